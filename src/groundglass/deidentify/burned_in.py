"""Text in the pixels: what the header says of it, and what lies in rows outside the body.

The look at pixels finds rows of at least four bright signs of like height in the air around the
body of a CT slice. It does not find text drawn over the body, dark text, handwriting, or fewer
than four signs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy import ndimage

from groundglass.deidentify.pixels import PixelElement
from groundglass.readers.dicom_layout import pixel_layout
from groundglass.readers.dicom_pixels import PixelDataError, decode_frame, split_frames
from groundglass.readers.dicom_values import number, text, texts

DECLARED = "burned-in text, by its own header"
CAPTURE = "secondary capture, which may show names"
LOCALIZER = "localizer or screen shot, which may show names"
OTHER_MODALITY = "kind of image that often shows names"
SEEN = "what looks like text in the pixels"
UNREADABLE = "pixels that cannot be looked at for text"
_CAPTURE_CLASS = "1.2.840.10008.5.1.4.1.1.7"
_SCREENS = frozenset({"LOCALIZER", "SCREEN SAVE", "SCREENSHOT", "SCREEN", "DOSE_INFO", "DOSE"})
_WITHOUT_TEXT = frozenset({"CT", "MR", "PT", "NM", "SEG", "RTDOSE"})
TISSUE_HU = -300
"""Above this, pixels are body, table or text."""
SIGN_HEIGHT = (5, 40)
"""Height of a letter or digit in pixels."""
FEWEST_SIGNS = 4
"""Signs in a row that make a text."""
_EIGHT = np.ones((3, 3), np.bool_)


def suspicion(dataset: Dataset, pixels: PixelElement, scratch: Path) -> str | None:
    """Return why an image may show names; ``None`` if nothing says so.

    Parameters
    ----------
    dataset : Dataset
        The original header.
    pixels : PixelElement
        Its pixel data.
    scratch : Path
        File name that may be written for a decoder and is removed again.
    """
    told = _told(dataset)
    if told is not None or text(dataset, "Modality") != "CT":
        return told
    try:
        layout = pixel_layout(dataset, 0)
        if layout.samples != 1:
            return OTHER_MODALITY
        frames = split_frames(memoryview(pixels.data), layout)
        slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
        for frame in frames:
            stored = decode_frame(frame, layout, scratch)
            if text_rows(stored * (slope or 1.0) + (-1024.0 if intercept is None else intercept)):
                return SEEN
    except (PixelDataError, ValueError):
        return UNREADABLE
    return None


def _told(dataset: Dataset) -> str | None:
    """Return what the header alone says."""
    declared = text(dataset, "BurnedInAnnotation")
    if declared == "YES":
        return DECLARED
    sop_class = str(text(dataset, "SOPClassUID"))
    if sop_class.startswith(_CAPTURE_CLASS) or "ConversionType" in dataset:
        return CAPTURE
    if _SCREENS.intersection(texts(dataset, "ImageType")):
        return LOCALIZER
    if declared != "NO" and text(dataset, "Modality") not in _WITHOUT_TEXT:
        return OTHER_MODALITY
    return None


def text_rows(hu: NDArray[Any]) -> int:
    """Return the number of rows of signs in the air around the body of a CT slice.

    Parameters
    ----------
    hu : array, shape (rows, columns)
        Hounsfield units.
    """
    signs = _signs(np.asarray(hu) > TISSUE_HU)
    rows, used = 0, np.zeros(len(signs), np.bool_)
    for start in range(len(signs)):
        if used[start]:
            continue
        members = _row_from(signs, start)
        if len(members) >= FEWEST_SIGNS:
            rows += 1
            used[members] = True
    return rows


def _signs(tissue: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return top, bottom, left, right of everything the size of a sign, from left to right."""
    labels, count = ndimage.label(tissue, structure=_EIGHT)
    if count == 0:
        return np.empty((0, 4), np.int64)
    body = np.bincount(labels.ravel())[1:].argmax() + 1
    low, high = SIGN_HEIGHT
    boxes = []
    for ys, xs in ndimage.find_objects(labels):
        height, width = ys.stop - ys.start, xs.stop - xs.start
        if low <= height <= high and width <= 1.5 * height:
            boxes.append((ys.start, ys.stop, xs.start, xs.stop))
    if len(boxes) < FEWEST_SIGNS:
        return np.empty((0, 4), np.int64)
    air = _around(labels == body)
    free = [(t, b, le, r) for t, b, le, r in boxes if air[t:b, le:r].all()]
    return np.array(sorted(free, key=lambda box: box[2]), np.int64).reshape(-1, 4)


def _around(body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what lies outside of the body's outline, to the frame of the image."""
    labels, count = ndimage.label(~body)
    edges = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    outside = np.zeros(count + 1, np.bool_)
    outside[np.concatenate(edges)] = True
    outside[0] = False
    found: NDArray[np.bool_] = outside[labels]
    return found


def _row_from(signs: NDArray[np.int64], start: int) -> list[int]:
    """Return the signs that follow one to the right on its line."""
    members = [start]
    for index in range(start + 1, len(signs)):
        top, bottom, left, _ = signs[members[-1]]
        height = bottom - top
        if signs[index][2] - signs[members[-1]][3] > 1.5 * height:
            break
        other = signs[index]
        same_line = abs(int(other[1]) - int(bottom)) <= max(2, 0.3 * height)
        like = 0.6 <= (other[1] - other[0]) / height <= 1.67
        if same_line and like and other[2] > left:
            members.append(index)
    return members
