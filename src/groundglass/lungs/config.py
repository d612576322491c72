"""Settings of the lung segmentation."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LungConfig:
    """Settings of the lung segmentation; lengths in mm, densities in HU."""

    method: Literal["network", "training-free"] = "network"
    """``network``: a small network completes the training-free lungs where opacity is as dense as
    the chest wall; ``training-free``: no network."""

    grid_mm: float = 1.4
    """Wanted voxel side of the working grid; finer axes are averaged in whole blocks."""

    air_below_hu: float = -350.0
    """Voxels below are air or aerated lung. -200 costs 3 to 5 % volume by partial volume, -500
    loses as much."""

    outside_below_hu: float = -920.0
    """Air outside the body is at least this thin on a 3 mm grid; lung is not."""

    gas_below_hu: float = -950.0
    """Objects that lie mostly below are gas (bowel, pockets of room air), not lung."""

    smallest_piece_ml: float = 6.0
    """Detached pieces of lung below this volume are dropped."""

    piece_reach_mm: float = 15.0
    """Detached pieces farther than this from the main lungs are dropped."""

    z_gap_mm: float = 6.0
    """Missing lung between slices no farther apart than this is filled with the air found there,
    so that one bad slice cannot cut off the apex."""

    airway_wall_mm: float = 2.0
    """The airway found is widened by this much before it is taken out."""

    airway_most_ml: float = 150.0
    """A grown airway above this volume has leaked into lung; the last smaller one counts."""

    aerated_below_hu: float = -800.0
    """Seeds for telling right from left are taken below this density."""

    split_most_mm: float = 14.0
    """Touching lungs are eroded by up to this much to find where they part."""

    closing_mm: float = 8.0
    """Radius of the ball that closes vessels and small lesions into each lung."""

    dent_ball_mm: float = 60.0
    """Dents of the rib-side surface are what the closing by a ball of this radius adds; 0 leaves
    all dents as they are."""

    dent_depth_mm: float = 6.0
    """Shallower dents are left as they are."""

    network_least: float = 0.4
    """Probability from which a voxel may be added by the network."""

    network_certainty: float = 0.7
    """Least mean probability of a part that is added."""

    network_contact: float = 0.1
    """Least share of the surface of an added part that lies against lung."""

    network_smallest_ml: float = 1.5
    """Smaller parts are not added."""

    network_seam_mm: float = 3.0
    """Parts must hold a ball of this radius: seams along a lung's surface do not."""

    organ_gap_hu: float = 10.0
    """An organ beside consolidation is at least so much denser than it."""

    fluid_hu: tuple[float, float] = (-25.0, 21.0)
    """Mean density of effusion, which is left out; consolidation is denser."""
