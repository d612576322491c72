"""One tiny picture in every compression that CT series come in, to try the decoders on.

The picture is a gradient with a texture, see `sample_hu`; the compressed ones were made with
the imagecodecs library and hold nothing else.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from groundglass.core.scan import Scan
from groundglass.phantom_dicom import INTERCEPT_HU, slice_dataset

SIZE = 16


@dataclass(frozen=True, slots=True)
class Sample:
    """The picture in one transfer syntax."""

    name: str
    """What the compression is called."""
    syntax: str
    """Transfer syntax UID."""
    stream: str = ""
    """Compressed picture in base64; empty where pydicom makes it."""


SAMPLES = (
    Sample("uncompressed", str(ExplicitVRLittleEndian)),
    Sample("RLE", str(RLELossless)),
    Sample(
        "JPEG Lossless",
        "1.2.840.10008.1.2.4.70",
        (
            "/9j/xAAWAAEBAQAAAAAAAAAAAAAAAAAGBwz/wwALDAAQABABABEA/9oACAEAAAYAAM//AEd5R3jyjvHlHePK"
            "O8o7y9PXrKhvWVDevXr169ZUO9MqG9evXr16yob1lQ3r29PXr1lQ3rKhvXr169esr09ZUN69evXr1lQ3rKhv"
            "b09evXrKhvWVDevXr169t9DesqG9evXr16yob1lQ709evXr1lQ3rKhvXr169vTKhvWVDevXr169ZUN6yvT16"
            "9evXrKhvWVDevXr29PWVDesqG9evXr16yob230N69evXr1lQ3rKhvXr29PXrKhvWVDevXr169ZUO9MqG9evX"
            "r16yob1lQ3r29PXr1lQ3rKhvXr169esr09ZUN69evXr1lQ3rKhvQ/9k="
        ),
    ),
    Sample(
        "JPEG-LS",
        "1.2.840.10008.1.2.4.80",
        (
            "/9j/6AAgU1BJRkYAAgAAAQAAABAAAAAQChAGAQAAASwAAAEs/+gACAAAAAH/2P/3AAsQABAAEAEBEQD/+AAN"
            "Af//ABIAQwEUAED/2gAIAQEAAAAApGx3kXOc4yNjrOdD2+24G032yz0kdHiO0jo7TpIydKInScsNcLdI6els"
            "oi3YCcLZfrVZsJaLJgrNI7vWS7WKvYCwbl+3vCzbndtR2aWxqXrW6LFqc2lnXbQzLpHZjbmdvZmN4ZWJ3ZGx"
            "rY2tOik6sS86MLQ0MDOvrbkvLSiJ5ZGZdY1xXcFtWb1phY1lRV4VW1ZVWxYX2BXXldTalZOSg2XF5qttU9oa"
            "J7O0WltcExmmsrNNZGTdYZN2SxiW58wsWqqxasVTAwUr7Botl3aMFK8wULy9mpL2a9OwF2Trq9kormK5MuLk"
            "y2tYYjWr1qR0sRuli5csXK1uIVaJyrWLlSxUhcKkLhaA/9k="
        ),
    ),
    Sample(
        "JPEG 2000",
        "1.2.840.10008.1.2.4.90",
        (
            "/0//UQApAAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABCwEB/1IADAAAAAEAAQQEAAH/XAAH"
            "QGBoaHD/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAADmAAH/k8/lXBFQ"
            "PfDHmG/WqgE5iOCD/LOlIR8GFs+z8a3X2uyTiekS8M0YAmXmpJSnOc6gijY4MC4AApqHxnlgx/YLH797cFbl"
            "EfNiu6dGpmGYtT1lWgfXhAt2EejNK8B9pZAfaTwAfIgANUxAyho+X7icDLixcBFRra7ATRHPzjXtmyAVGFve"
            "v4P+Ng53xtHfAm//aX89pi7W1C8BUFCOIlp/c+lEDsDaBtkRUxwJXgE7EZqhkn3S9ptpZiNdOHB+pLSXixSU"
            "qVyr5A6yk3uy0/lMEndGi54sjRvRv//Z"
        ),
    ),
    Sample(
        "HTJ2K",
        "1.2.840.10008.1.2.4.201",
        (
            "/0//UQApQAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgAB"
            "AAUEBEAB/1wAEyCIkJCQkJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAARwA"
            "Af+TwAAmX/kFB3QAAMAAE0AAE0AAEgCQ/AKHdACQ+AMHdAD+AGMAwAAVMAAE8AAEgAQGKCHyAQK0AEQ04gCj"
            "VAAjKXMAwAAWhAABacAAFYA6AgAeIO4cQf5GzSMQOXcAkUbAwwAWCgARwMJAMYAIvCR4AOwq3ISn8VyLpXG2"
            "AMAALsYAAXXQAAuocNYHANezYOgZIw8dwHcYwBkfeewAGQe9HHsw8LDRwMAKLV8MuM+8P5W9WnAJAyMxAQy8"
            "GgAcBPCqAUYKAXg1eYAfiBF2gNxevAAXsEEAANIAgAxw7+8cLOmnJkyUkwHaJBm1FbJShWRU7VRWWiEZ1UZL"
            "VURR6QWvLz5fzy56OdDo6fWhyNEB/9k="
        ),
    ),
)


def sample_hu() -> NDArray[np.int16]:
    """Return the picture in HU."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    texture = (7 * columns + 13 * rows) % 11
    return np.asarray(64 * columns + 120 * rows + texture + INTERCEPT_HU, dtype=np.int16)


def sample_dataset(name: str) -> Dataset:
    """Return a DICOM CT image of the picture.

    Parameters
    ----------
    name : str
        Of one of the ``SAMPLES``.
    """
    sample = next(sample for sample in SAMPLES if sample.name == name)
    dataset = slice_dataset(Scan.from_array(sample_hu(), (1.0, 1.0, 1.0)), 0, 1)
    if sample.stream:
        dataset.PixelData = encapsulate([b64decode(sample.stream)])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = UID(sample.syntax)
    elif sample.syntax == RLELossless:
        dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return dataset
