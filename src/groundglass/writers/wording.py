"""Numbers as a reader wants them, with units; what is not known says so."""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN = "not known"
TIED, THIN = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"
STATUS_WORDS = {
    "ok": ("✓", "fine"),
    "note": ("i", "note"),
    "warning": ("!", "look"),
    "refused": ("×", "refused"),  # noqa: RUF001 - a cross, not a letter
}
"""Symbol and word for each status of a verdict."""
CHECK_WORDS = {
    "series_choice": "Choice of series",
    "ordering": "Order of slices",
    "slice_gaps": "Missing slices",
    "slice_spacing": "Slice spacing",
    "gantry_tilt": "Gantry tilt",
    "duplicate_positions": "Repeated positions",
    "image_type": "Image type",
    "modality": "Modality",
    "intensity": "Hounsfield units",
    "single_slice": "Single slice",
    "picture": "Pictures",
    "picture_inverted": "Inverted picture",
    "picture_lungs": "Lung in the picture",
    "picture_window": "Window of the picture",
    "published_mixture": "Published rule: mixture",
    "published_slices": "Published rule: slices",
    "slice_thickness": "Slice thickness",
    "contrast": "Contrast agent",
    "patient_position": "Patient position",
    "coverage": "Lungs complete",
    "body_region": "Body region",
    "lung_plausibility": "Lung plausibility",
    "lung_repair": "Lung repair",
    "lobes": "Lobes",
    "registration": "Laying over",
    "same_patient": "One patient",
    "scan_dates": "Dates",
    "earlier_result": "Earlier result",
    "settings": "Settings of the analyses",
    "lung_network": "Lung added by the network",
    "pleural_fluid": "Pleural fluid",
    "lung_gaps": "Slices without lung",
    "lung_sides": "Right and left",
    "airway": "Windpipe",
    "pleural_opacity": "Dense rim of the lung",
    "pleural_repair": "Lung repair",
    "orientation": "Orientation",
    "files_skipped": "Files left out",
    "truncated_file": "Truncated file",
    "pixel_integrity": "Pixel integrity",
    "padding": "Padding",
    "infection_cross_check": "Network and rule",
    "percent_disagreement": "Other percentages",
    "regressor_domain": "Domain of the regressor",
    "mask_grid": "Grid of the mask files",
}
VALUE_WORDS = {
    "HU": "Hounsfield units",
    "display": "picture values",
    "unknown": "of unknown meaning",
}
"""What each kind of voxel values is called."""
REGION_WORDS = {
    "total": "Both lungs",
    "right": "Right lung",
    "left": "Left lung",
    "upper": "Upper third",
    "middle": "Middle third",
    "lower": "Lower third",
    "right_upper": "Right upper lobe",
    "right_middle": "Right middle lobe",
    "right_lower": "Right lower lobe",
    "left_upper": "Left upper lobe",
    "left_lower": "Left lower lobe",
}


def check_words(check: str) -> str:
    """Return the name of a check as a reader would say it."""
    return CHECK_WORDS.get(check, check.replace("_", " ").capitalize())


def region_words(name: str) -> str:
    """Return the name of a region as a reader would say it."""
    return REGION_WORDS.get(name, name.replace("_", " ").capitalize())


def part_words(name: str) -> str:
    """Return the name of a part that gives points to a score; a part need not be a lobe."""
    return name.replace("_", " ").capitalize()


def plain_spaces(text: str) -> str:
    """Return text for fonts and streams without special spaces."""
    return text.replace(TIED, " ").replace(THIN, " ")


def whole(value: int) -> str:
    """Return a count with thin spaces between thousands."""
    return f"{value:,}".replace(",", THIN)


def percent(value: float | None) -> str:
    """Return a percentage: one decimal, two below one."""
    return UNKNOWN if value is None else f"{_digits(value)}{TIED}%"


def ml(value: float | None) -> str:
    """Return a volume in whole ml, with one decimal below ten."""
    if value is None:
        return UNKNOWN
    digits = f"{value:.1f}" if 0 < abs(value) < 10 else f"{value:,.0f}".replace(",", THIN)
    return f"{digits}{TIED}ml"


def hu(value: float | None) -> str:
    """Return a density in whole HU."""
    return UNKNOWN if value is None else f"{value:.0f}{TIED}HU".replace("-", "\N{MINUS SIGN}")


def percent_range(ends: Sequence[float] | None) -> str:
    """Return a range of percentages, or nothing."""
    return "" if ends is None else f"{_digits(ends[0])} to {_digits(ends[1])}{TIED}%"


def ml_range(ends: Sequence[float] | None) -> str:
    """Return a range of volumes, or nothing."""
    return "" if ends is None else f"{ml(ends[0]).split(TIED)[0]} to {ml(ends[1])}"


def plain_range(ends: Sequence[object] | None) -> str:
    """Return a range of scores: one word if both ends are equal, nothing if there is none."""
    if ends is None:
        return ""
    return f"{ends[0]}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _digits(value: float) -> str:
    if value == 0 or value >= 1:
        return f"{value:.1f}"
    return f"{value:.2f}"


def sentence(*parts: str) -> str:
    """Return parts as running text: each with a capital and a full stop."""
    kept = [part.strip().rstrip(".") for part in parts]
    return " ".join(f"{part[0].upper()}{part[1:]}." for part in kept if part)
