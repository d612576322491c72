"""Which data set of single slices a folder holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from groundglass.core.scan import Intensity
from groundglass.datasets.covid_ct_rate import looks_like_covid_ct_rate, read_covid_ct_rate
from groundglass.datasets.covid_semiseg import SemiSegSample, Split, read_covid_semiseg
from groundglass.datasets.slices import Slice, SliceItem, SliceSet
from groundglass.errors import ReadError

SPLITS: dict[str, Split] = {"train": "train", "pseudo": "pseudo", "test": "test"}
"""Parts of COVID-SemiSeg."""
SEMISEG = "covid-semiseg"
CT_RATE = "covid-ct-rate"
SEMISEG_TERMS = "non-commercial research only"


def open_slices(root: Path, splits: Sequence[str]) -> SliceSet:
    """Return slices of the data set in a folder.

    Parameters
    ----------
    root : Path
        COVID-SemiSeg (holds ``Dataset``), COVID-CT-Rate (holds slices and masks), or a folder of
        several data sets, COVID-SemiSeg as ``covid-semiseg`` among them.
    splits : sequence of str
        Parts wanted: ``train``, ``pseudo``, ``test``. COVID-CT-Rate has ``train`` alone.

    Raises
    ------
    ReadError
        If the folder holds neither, or not the part wanted.
    ValueError
        If a part is not one of those.
    """
    unknown = sorted(set(splits) - set(SPLITS))
    if unknown:
        msg = f"parts of a data set are {', '.join(SPLITS)}; found {', '.join(unknown)}"
        raise ValueError(msg)
    place = _place_of(root)
    if (place / "Dataset").is_dir():
        return _semiseg(place, splits)
    if looks_like_covid_ct_rate(place):
        if tuple(splits) != ("train",):
            msg = "COVID-CT-Rate has no part but train; cross-validate on it instead"
            raise ReadError(msg)
        found = read_covid_ct_rate(place)
        return SliceSet(CT_RATE, found.licence, found.items, found.notes)
    msg = (
        "the folder of data needs to hold 'Dataset' (COVID-SemiSeg), or folders 'Images' and "
        "'Masks' (COVID-CT-Rate); it holds neither"
    )
    raise ReadError(msg)


def _place_of(root: Path) -> Path:
    """Return the folder of the data set, where its inside or a folder of several was named."""
    if root.name == "Dataset" and root.is_dir():
        return root.parent
    inside = root / SEMISEG
    return inside if (inside / "Dataset").is_dir() else root


def parts_in(root: Path) -> tuple[str, ...]:
    """Return the parts that are there: ``train`` first, then ``pseudo`` and ``test``."""
    found = []
    for part in SPLITS:
        try:
            open_slices(root, [part])
        except ReadError:
            continue
        found.append(part)
    return tuple(found)


def _semiseg(place: Path, splits: Sequence[str]) -> SliceSet:
    items: list[SliceItem] = []
    for split in splits:
        annotator = "network" if split == "pseudo" else "doctor"
        for sample in read_covid_semiseg(place, SPLITS[split]):
            name = f"{split}/{sample.name}"
            items.append(SliceItem(name, name, split, annotator, _Reader(sample)))
    notes = ("patients are not known: slices that look alike count as one source",)
    return SliceSet(SEMISEG, SEMISEG_TERMS, tuple(items), notes)


class _Reader:
    """Reads one sample of COVID-SemiSeg."""

    def __init__(self, sample: SemiSegSample) -> None:
        self._sample = sample

    def __call__(self) -> Slice:
        lesion, classes = self._sample.mask().astype("uint8"), self._sample.classes()
        if classes is not None and classes.shape == lesion.shape:
            lesion[(lesion > 0) & (classes == 2)] = 2
        image = self._sample.image()
        return Slice(image, Intensity.DISPLAY, lesion, kinds_known=classes is not None)
