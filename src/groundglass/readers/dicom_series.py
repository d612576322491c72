"""Which of several series is analyzed: an explicit rule whose reason is always told."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from groundglass.core.verdict import Status, Verdict
from groundglass.errors import InconsistentSeriesError, NotAnalyzableError
from groundglass.readers.dicom_header import ImageHeader
from groundglass.readers.dicom_order import (
    AXIAL,
    Source,
    common,
    slice_normal,
    usable_orientation,
)
from groundglass.readers.dicom_stacks import Stack
from groundglass.readers.dicom_terms import CHEST_PARTS, OTHER_PARTS, UNKNOWN, counted
from groundglass.readers.dicom_values import valid_uid

FULL_COVERAGE_MM = 250.0
"""Length that holds the lungs of an adult."""
THIN_MM = 3.0
"""Steps up to this are thin."""
THICK_MM = 5.0
"""Steps above this are thick."""
MOST_TOLD = 6
"""So many series or phases are told one by one."""
_SHARP = re.compile(r"(LUNG|BONE|SHARP|EDGE|[BDHITQ][RFVLCV]?[ ]?([67]\d)|FC[58]\d|YC|YD|\bL\b)")
_VERY_SHARP = re.compile(r"(BONE|EDGE|[BDHITQ][RFVLC]?[ ]?([789]\d)|YE)")


@dataclass(frozen=True, slots=True)
class Score:
    """How well a stack suits, and the words for it."""

    points: float
    """Sum of the points of the rule."""
    words: str
    """The facts that gave them."""


def score(stack: Stack) -> Score:
    """Return how well a stack suits a measurement of the lungs.

    ============================================= =====================================
    Fact                                          Points
    ============================================= =====================================
    Length covered, up to 250 mm                  8 times the share of 250 mm
    Axial slices                                  4
    Body part names the chest / another part      2 / -4
    Step up to 3 mm / up to 5 mm / more           2 / 1 / 0
    Original / derived images                     1 / 0
    Kernel very sharp / sharp                     -2 / -1
    Fewer than three slices                       -6
    Projections instead of slices                 -8
    No positions / no rescale to HU               -3 / -3
    ============================================= =====================================

    More slices win between equals, then the earlier phase, then the lower series number.
    """
    facts = (_coverage(stack), _direction(stack), _body(stack), _step(stack), _images(stack))
    points = sum(points for points, _ in facts)
    return Score(points, ", ".join(words for _, words in facts if words))


def list_series(stacks: Sequence[Stack]) -> list[str]:
    """Return the distinct series keys in the order in which they are numbered."""
    numbers: dict[str, tuple[float, str]] = {}
    for stack in stacks:
        number = stack.headers[0].series_number
        rank = (float("inf") if number is None else float(number), stack.series_key)
        numbers[stack.series_key] = min(rank, numbers.get(stack.series_key, rank))
    return sorted(numbers, key=lambda key: numbers[key])


def choose(stacks: Sequence[Stack], wanted: str | None) -> tuple[Stack, tuple[Verdict, ...]]:
    """Return the stack to analyze and why.

    Parameters
    ----------
    stacks : sequence of Stack
        At least one.
    wanted : str or None
        Series asked for: its UID, the beginning of it, or its number in the list of series.

    Raises
    ------
    InconsistentSeriesError
        If no series or more than one fits ``wanted``; the message lists them all.
    NotAnalyzableError
        If what is left is not CT.
    """
    names = list_series(stacks)
    candidates = list(stacks)
    if wanted is not None:
        key = _resolve(wanted, names, stacks)
        candidates = [stack for stack in stacks if stack.series_key == key]
    suited = [stack for stack in candidates if modality(stack) in (None, "CT")]
    if not suited:
        raise _refuse_modality(candidates)
    best = min(suited, key=lambda stack: _rank(stack, names))
    told = [_choice_verdict(best, stacks, names, wanted)]
    if best.phases > 1:
        told.append(_phase_verdict(best, suited))
    return best, (*told, *_modality_verdicts(best))


def modality(stack: Stack) -> str | None:
    """Return the modality of a stack's images."""
    return stack.headers[0].modality


def describe_series(stacks: Sequence[Stack], names: Sequence[str]) -> str:
    """Return all series as text: number, UID, images; never a description."""
    lines = []
    for number, key in enumerate(names, 1):
        count = sum(len(s.headers) for s in stacks if s.series_key == key)
        uid = valid_uid(key) or ("no UID" if not key else "UID withheld, it is not a valid one")
        lines.append(f"{number}: {uid}, {counted(count, 'image')}")
    return "; ".join(lines)


def _rank(stack: Stack, names: Sequence[str]) -> tuple[float, int, int, int]:
    points = round(score(stack).points, 1)
    return -points, -len(stack.headers), stack.phase, names.index(stack.series_key)


def _coverage(stack: Stack) -> tuple[float, str]:
    count = len(stack.headers)
    penalty = -6.0 if count < 3 else 0.0
    penalty -= 8.0 if stack.is_projection else 0.0
    length = length_mm(stack)
    if length is None:
        return penalty - 3.0, f"{counted(count, 'image')} without positions"
    points = 8.0 * min(length, FULL_COVERAGE_MM) / FULL_COVERAGE_MM
    return points + penalty, f"{counted(count, 'image')} over {length:.0f} mm"


def length_mm(stack: Stack) -> float | None:
    """Return the distance from the first to the last slice, if it is known in mm."""
    if stack.located.source in (Source.NUMBER, Source.NAME):
        return None
    return stack.located.coverage


def _direction(stack: Stack) -> tuple[float, str]:
    normal = slice_normal(usable_orientation(stack.headers[0]) or AXIAL)
    return (4.0, "axial") if abs(normal[2]) >= 0.8 else (0.0, "not axial")


def _body(stack: Stack) -> tuple[float, str]:
    part = stack.headers[0].body_part
    if part in CHEST_PARTS:
        return 2.0, "of the chest"
    return (-4.0, "of another body part") if part in OTHER_PARTS else (0.0, "")


def _step(stack: Stack) -> tuple[float, str]:
    if length_mm(stack) is None or len(stack.headers) < 2:
        return 0.0, ""
    step = float(np.median(np.diff(stack.located.along_mm)))
    points = 2.0 if step <= THIN_MM else 1.0 if step <= THICK_MM else 0.0
    return points, f"every {step:.2f} mm"


def _images(stack: Stack) -> tuple[float, str]:
    header = stack.headers[0]
    points, words = (0.0, "derived") if "DERIVED" in header.image_type else (1.0, "")
    if not header.scale.is_hu:
        points, words = points - 3.0, "without rescale to HU"
    sharpness = sharpness_of(header)
    names = {0: "", 1: "sharp kernel", 2: "very sharp kernel"}
    return points - sharpness, ", ".join(w for w in (words, names[sharpness]) if w)


def sharpness_of(header: ImageHeader) -> int:
    """Return 0 for a soft, standard or unknown kernel, 1 for a sharp and 2 for a very sharp one."""
    kernel = (header.kernel or "").upper()
    if _VERY_SHARP.search(kernel):
        return 2
    return 1 if _SHARP.search(kernel) else 0


def _resolve(wanted: str, names: Sequence[str], stacks: Sequence[Stack]) -> str:
    if wanted in names:
        return wanted
    if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return names[int(wanted) - 1]
    fitting = [name for name in names if wanted and name.startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    problem = "several series begin with" if fitting else "no series has"
    msg = f"{problem} the UID or number asked for; give one of: {describe_series(stacks, names)}"
    raise InconsistentSeriesError(msg)


def _refuse_modality(stacks: Sequence[Stack]) -> NotAnalyzableError:
    counts = Counter(modality(stack) for stack in stacks for _ in stack.headers)
    kinds = ", ".join(
        f"{count} of {'an unknown modality' if kind == UNKNOWN else f'modality {kind}'}"
        for kind, count in counts.most_common()
    )
    verdict = Verdict(
        "modality",
        Status.REFUSED,
        f"The images are not CT: {kinds}",
        "Nothing was measured; if they are CT with a wrong tag, correct the tag or convert them "
        "to NIfTI with values in HU",
        "Only CT values tell air from tissue, so no number would mean anything",
    )
    msg = f"CT images are needed, found {kinds}; give a CT series"
    return NotAnalyzableError(msg, (verdict,))


def _choice_verdict(
    best: Stack, stacks: Sequence[Stack], names: Sequence[str], wanted: str | None
) -> Verdict:
    words = score(best).words
    number = names.index(best.series_key) + 1
    if len(names) == 1:
        found = f"One series was found: {words}"
        return Verdict("series_choice", Status.OK, found, "It was read", "")
    reason = "as asked" if wanted is not None else "which suits best by length, thickness, kernel"
    rest = [key for key in names if key != best.series_key]
    others = "; ".join(
        f"{names.index(key) + 1}: {_others(stacks, key)}" for key in rest[:MOST_TOLD]
    )
    others += f"; and {len(rest) - MOST_TOLD} more" if len(rest) > MOST_TOLD else ""
    patients = len({s.headers[0].patient_key for s in stacks if s.headers[0].patient_key})
    mixed = f" of {patients} patients" if patients > 1 else ""
    return Verdict(
        "series_choice",
        Status.WARNING if patients > 1 else Status.NOTE,
        f"{len(names)} series{mixed} were found",
        f"Series {number} was read ({words}), {reason}; not read: {others}",
        "All numbers belong to that series alone; another can be asked for by its UID or number",
    )


def _others(stacks: Sequence[Stack], key: str) -> str:
    own = [stack for stack in stacks if stack.series_key == key]
    kind = modality(own[0])
    prefix = "" if kind in (None, "CT") else "not CT, "
    return prefix + " and ".join(score(stack).words for stack in own[:3])


def _phase_verdict(best: Stack, stacks: Sequence[Stack]) -> Verdict:
    siblings = [s for s in stacks if s.series_key == best.series_key and s.told_apart_by]
    sizes = [len(s.headers) for s in sorted(siblings, key=lambda s: s.phase)]
    counts = " and ".join(map(str, sizes)) if len(sizes) <= MOST_TOLD else f"up to {max(sizes)}"
    return Verdict(
        "duplicate_positions",
        Status.WARNING,
        f"The series holds {best.phases} sets of slices on the same places ({counts} slices), "
        f"told apart by {best.told_apart_by}",
        f"Set {best.phase + 1} was read: {_phase_reason(best, siblings)}",
        "The other sets are not mixed in; their numbers may differ, for example after contrast",
    )


def _phase_reason(best: Stack, siblings: Sequence[Stack]) -> str:
    """Return what set the chosen phase apart."""
    if all(len(best.headers) > len(s.headers) for s in siblings if s is not best):
        return "it has the most slices"
    sharper = [sharpness_of(s.headers[0]) for s in siblings if s is not best]
    if all(sharpness_of(best.headers[0]) < sharpness for sharpness in sharper):
        return "it has the softer kernel"
    return "it suits best or, between equals, comes first"


def _modality_verdicts(best: Stack) -> tuple[Verdict, ...]:
    told = []
    if modality(best) is None:
        told.append(
            Verdict(
                "modality",
                Status.WARNING,
                "The files do not state their modality",
                "They were taken for CT",
                "If they are not, no number means anything; check the pictures of the report",
            )
        )
    part = common([h.body_part for h in best.headers])
    if part in OTHER_PARTS:
        told.append(
            Verdict(
                "body_region",
                Status.WARNING,
                f"The header calls the body part {part}",
                "The scan was read all the same, as this tag is often wrong",
                "If the lungs are not shown whole, volumes are too small",
            )
        )
    return tuple(told)
