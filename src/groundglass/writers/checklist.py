"""What a reader should look at before trusting the numbers."""

from __future__ import annotations

from groundglass.core.results import CaseResult
from groundglass.core.verdict import Status, Verdict

ADVICE = {
    "slice_gaps": "Compare the slices on both sides of each gap: disease in the gap is a guess.",
    "slice_spacing": "Scroll through the part with other steps; pictures there look stretched.",
    "gantry_tilt": "Coronal and sagittal views lean by the tilt; judge on the axial slices.",
    "duplicate_positions": "Make sure that the phase or reconstruction used is the one you meant.",
    "series_choice": "Make sure that the chosen series is the one you meant.",
    "modality": "Make sure that this is a CT: other images give meaningless numbers.",
    "intensity": "Check the density of air, fat and muscle in a viewer; the numbers rest on them.",
    "single_slice": "One slice says nothing about the whole lung.",
    "picture": "A picture's window is not known: compare its grey values with the overlay.",
    "slice_thickness": "Thick slices blur vessels into ground glass: look along the vessels.",
    "contrast": "Contrast agent brightens vessels: look for vessels marked as consolidation.",
    "coverage": "Lungs are cut by the border of the scan: volumes and percentages miss that part.",
    "body_region": "Make sure that the scan shows a chest.",
    "lung_plausibility": "Follow the lung contours slice by slice; a part may be missing or extra.",
    "lung_repair": "Look at the places where the lung contour was closed over dense tissue.",
    "pleural_repair": "Look where dents of the lung were filled: consolidation, effusion or wall?",
    "pleural_opacity": "Look at the dense tissue left outside the lung: consolidation or effusion?",
    "lung_gaps": "Look at the slices without lung between slices with lung.",
    "lobes": "Follow the borders of the lobes in lobes.nii.gz where a lobe's number matters.",
    "lung_sides": "Follow the border between right and left lung; numbers by side rest on it.",
    "picture_inverted": "Make sure that lungs are dark in the picture; it was turned to that.",
    "picture_lungs": "Make sure that the picture shows lungs.",
    "picture_window": "Take a picture in the lung window instead of this one.",
    "image_type": "Look for marks, text or derived images among the slices.",
    "orientation": "Make sure that right and left are not swapped: the heart points to the left.",
    "pixel_integrity": "Look for torn or shifted slices.",
    "truncated_file": "Look at the slices beside the damaged file.",
}
"""By name of the check."""
ALWAYS_VOLUME = (
    "Lung contours at the apex, along the back and above the diaphragm: dense consolidation that "
    "touches the chest wall can fall outside the lungs and is then not counted.",
    "Marked areas at the hilum and beside the heart: vessels and motion can look like disease.",
    "Gravity-dependent haze at the back and scars: density alone does not tell them from disease.",
)
ALWAYS_PICTURE = (
    "The lung contour in every picture: without Hounsfield units it rests on contrast alone.",
    "Bright vessels and the hilum: they can be marked as disease.",
)


def things_to_check(result: CaseResult, verdicts: tuple[Verdict, ...]) -> tuple[str, ...]:
    """Return what to look at by eye, the most serious first.

    Parameters
    ----------
    result : CaseResult
        The result.
    verdicts : tuple of Verdict
        Its verdicts; those of status note or worse add their advice.
    """
    order = list(Status)
    serious = sorted(
        (v for v in verdicts if v.status is not Status.OK and v.check in ADVICE),
        key=lambda v: -order.index(v.status),
    )
    advice = [ADVICE[verdict.check] for verdict in serious]
    always = ALWAYS_VOLUME if result.lungs.sides_known else ALWAYS_PICTURE
    return tuple(dict.fromkeys((*advice, *always)))
