"""What a reader cannot know and a user may state."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Facts about the input that the files themselves do not hold."""

    series: str | None = None
    """DICOM series to read: its UID, the beginning of it, or its number in the list of series."""
    spacing_mm: tuple[float, float, float] | None = None
    """Step between slices, rows and columns in mm, for inputs without a scale."""
    hu_offset: float | None = None
    """What to add to values of unknown scale to get HU; for TIFF files -1024 if ``None``."""
    window_hu: tuple[float, float] | None = None
    """HU shown as black and as white, for pictures; without it pictures have no HU."""
    feet_first: bool = False
    """Whether slices that have only numbers, no positions, run from the feet to the head."""

    def __post_init__(self) -> None:
        """Refuse values that mean nothing.

        Raises
        ------
        ValueError
            If a spacing is not positive and finite, or the window is empty.
        """
        if self.spacing_mm is not None and not all(0 < step < 1e3 for step in self.spacing_mm):
            msg = f"spacing_mm needs three steps between 0 and 1000 mm, found {self.spacing_mm}"
            raise ValueError(msg)
        if self.window_hu is not None and not self.window_hu[0] < self.window_hu[1]:
            msg = f"window_hu needs the darker value first, found {self.window_hu}"
            raise ValueError(msg)
