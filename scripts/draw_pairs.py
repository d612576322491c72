"""Draws ten synthetic pairs of COVID-Rate, made from phantoms, for the documentation.

python scripts/draw_pairs.py docs/explanation/synthetic-pairs.png
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from groundglass.phantom import Chest, Ellipsoid, Lung, build_chest, true_labels
from groundglass.systems.covid_rate.synthesis import (
    Donor,
    Mode,
    Pair,
    Recipient,
    SynthesisConfig,
    synthesize,
)

SLICES = (38, 46, 52, 58, 64)
WINDOW = (-1100, 250)


def patients() -> tuple[list[Donor], list[Recipient]]:
    """Return slices of an ill phantom and of a healthy one of another build."""
    ill = Chest()
    hu = build_chest(ill).hu()
    lungs, lesions = true_labels(ill)
    donors = [Donor(f"ill {i}", hu[i], lesions[i] > 0, lungs[i]) for i in SLICES]
    healthy = replace(
        ill,
        right=Lung(Ellipsoid((-74.0, 6.0, -13.0), (48.0, 72.0, 130.0))),
        left=Lung(Ellipsoid((76.0, 4.0, -13.0), (46.0, 70.0, 126.0))),
        ground_glass=(),
        consolidation=(),
    )
    hu, lungs = build_chest(healthy, seed=1).hu(), true_labels(healthy)[0]
    return donors, [Recipient(f"healthy {i}", hu[i], lungs[i]) for i in SLICES]


def draw(pairs: list[Pair], path: Path) -> None:
    """Draw pairs in two rows, the lesions outlined."""
    figure = Figure(figsize=(12.5, 5.4), layout="constrained")
    axes = figure.subplots(2, len(pairs) // 2, squeeze=False)
    for pair, panel in zip(pairs, axes.ravel().tolist(), strict=True):
        faithful = pair.record.mode is Mode.FAITHFUL
        low, high = (0.0, 0.6) if faithful else WINDOW
        panel.imshow(pair.image, cmap="gray", vmin=low, vmax=high)
        panel.contour(pair.mask, levels=[0.5], colors="orange", linewidths=0.8)
        state = "kept" if pair.record.kept else "refused"
        share = f"{pair.record.rate_after:.1%} of the lung"
        panel.set_title(f"{pair.record.mode}: {state}, {share}", fontsize=8)
        panel.axis("off")
    figure.savefig(path, dpi=80)


def main() -> None:
    """Make five pairs in each mode and draw them."""
    donors, recipients = patients()
    pairs: list[Pair] = []
    for mode in Mode:
        pairs += synthesize(donors, recipients, SynthesisConfig(mode=mode), seed=4)
    draw(pairs, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
