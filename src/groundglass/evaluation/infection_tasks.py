"""The published segmentation tasks: 48 slices, nine volumes, MosMedData's masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from groundglass.checks.intensity import calibrate
from groundglass.core.progress import OnProgress, Progress, silent
from groundglass.core.scan import Scan
from groundglass.datasets.covid_semiseg import Split, read_covid_semiseg
from groundglass.datasets.medseg import EFFUSION, read_medseg_slices, read_medseg_volumes
from groundglass.datasets.mosmed import read_mosmed
from groundglass.datasets.patients import PatientScan
from groundglass.errors import ReadError
from groundglass.evaluation.five_averages import Legacy, ScoredSlice, five_averages
from groundglass.evaluation.severity_masks import (
    Method,
    picture_masks,
    slice_masks,
    volume_masks,
)
from groundglass.evaluation.severity_published import infnet_table, mosmed_table, volumes_table
from groundglass.evaluation.tables import NumberTable, TaskResult
from groundglass.metrics import infnet_scores, overlap
from groundglass.models.runtime import Model
from groundglass.readers.masks import read_labels
from groundglass.readers.read import read_scan
from groundglass.systems.identification_severity.published import SLICES_48, SLICES_636
from groundglass.systems.identification_severity.statement import SYSTEM

SIDE_PX = 512
"""Rows and columns the published code brings every slice to."""
MOSMED_LUNG_SHARE = 0.07
"""Least lung area of a slice that counts, as a share of its pixels."""
SAME_SLICES_FROM = 0.95
"""Correlation of the slices' sums from which a file and its scan are in the same order."""
ROUNDING = 1e-6
"""Values of a resized mask up to this one are 0."""
_STACK = 100
_PIXELS = (
    "COVID-SemiSeg holds 8-bit JPEG pictures of the slices, the published rule was given densities"
    " in HU: same patients, other pixels, so figures are not comparable one to one"
)

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class TaskOptions:
    """How a task is measured."""

    method: Method = Method.OURS
    """Which model."""
    network: Model | None = None
    """Opened network, for ``NETWORK``."""
    rounds: int = 1000
    """Draws of the bootstrap."""
    seed: int = 0
    """Its seed."""
    resize: bool = True
    """Whether the published rule sees every slice at 512 x 512, as in its code."""


@dataclass(frozen=True, eq=False)
class _Measured:
    """One slice with its masks."""

    name: str
    patient: str
    mask: Mask
    reference: Labels
    grown: Mask
    """Reference as the published code resizes it."""


def infection_48(
    root: Path, options: TaskOptions | None = None, on_progress: OnProgress = silent
) -> TaskResult:
    """Return the figures on the 48 test slices: in HU, or as pictures of COVID-SemiSeg.

    Parameters
    ----------
    root : Path
        Holds ``tr_im.nii.gz`` and ``tr_mask.nii.gz``, or ``Dataset`` of COVID-SemiSeg. Where the
        test part of the latter is not there, its training part is measured and the result says so.
    options : TaskOptions, optional
    on_progress : callable, optional

    Raises
    ------
    ReadError
        If the folder holds neither layout, or another number of slices than 100.
    """
    options = options or TaskOptions()
    place = root if (root / "Dataset").is_dir() else root / "covid-semiseg"
    if (place / "Dataset").is_dir():
        measured, dataset, notes = _of_pictures(place, options, on_progress)
    else:
        measured, dataset, notes = _of_stack(root, options, on_progress)
    found = [m.mask.astype(np.float64) for m in measured]
    scores = infnet_scores(found, [m.reference > 0 for m in measured])
    columns = ("method", "Dice mean", "sensitivity", "specificity", "MAE", "Dice adp", "Dice max")
    row = (
        options.method.value,
        scores.dice_mean,
        scores.sensitivity_mean,
        scores.specificity_mean,
        scores.mae,
        scores.dice_adaptive,
        scores.dice_max,
    )
    own = NumberTable("Inf-Net's own averages over 256 thresholds", columns, (row,))
    notes += ("patients are not known: every slice counts as one, so intervals are too narrow",)
    return _result(
        "infection-48", dataset, measured, Legacy.FOUND, infnet_table(), notes, options, own
    )


def _of_pictures(
    root: Path, options: TaskOptions, on_progress: OnProgress
) -> tuple[list[_Measured], str, tuple[str, ...]]:
    notes: tuple[str, ...] = (_PIXELS,)
    split: Split = "test"
    try:
        samples = read_covid_semiseg(root, split)
    except ReadError:
        split = "train"
        samples = read_covid_semiseg(root, split)
        notes += ("the 48 test slices are not there; these are the doctors' training slices",)
    found = []
    for place, sample in enumerate(samples):
        on_progress(Progress("measuring", place, len(samples)))
        mask = picture_masks(sample.image(), options.method, options.network)
        truth = sample.mask()
        reference, classes = truth.astype(np.uint8), sample.classes()
        if classes is not None and classes.shape == truth.shape:
            reference[truth & (classes == 2)] = 2
        found.append(_Measured(sample.name, sample.name, mask, reference, truth))
    return found, f"COVID-SemiSeg, {split}, JPEG", notes


def _of_stack(
    root: Path, options: TaskOptions, on_progress: OnProgress
) -> tuple[list[_Measured], str, tuple[str, ...]]:
    stack = read_medseg_slices(root)
    scan, labels = _read(stack)
    if scan.shape[0] != _STACK:
        msg = f"MedSeg's stack needs {_STACK} slices, found {scan.shape[0]}"
        raise ReadError(msg)
    places = _file_places(stack.path, scan)
    found = []
    for done, number in enumerate(SLICES_48):
        on_progress(Progress("measuring", done, len(SLICES_48)))
        index = places[number - 1]
        hu = _to_side(scan.hu()[index], 1) if _resizes(options) else scan.hu()[index]
        mask = slice_masks(hu, options.method, options.network)[1]
        name = f"slice {number}"
        found.append(_measured(name, name, mask, labels[index], options))
    return found, "MedSeg, 48 of 100 slices, HU", ("lungs are found in each slice alone",)


def infection_638(
    root: Path, options: TaskOptions | None = None, on_progress: OnProgress = silent
) -> TaskResult:
    """Return the figures on the listed slices of the nine volumes, 636 though published as 638.

    Raises
    ------
    ReadError
        If the layout is another, or a volume has fewer slices than listed.
    """
    options = options or TaskOptions()
    volumes = read_medseg_volumes(root)
    listed = len(volumes) == len(SLICES_636)
    notes: tuple[str, ...] = (
        ("the published list of slices has 636 entries, not 638",)
        if listed
        else (f"the published list is for nine volumes, found {len(volumes)}; all slices count",)
    )
    measured: list[_Measured] = []
    for number, volume in enumerate(volumes):
        on_progress(Progress("measuring", number, len(volumes)))
        scan, labels = _read(volume)
        places: Sequence[int] = range(scan.shape[0])
        if listed:
            first, last = SLICES_636[number]
            if last > scan.shape[0]:
                msg = f"volume {volume.patient} needs at least {last} slices, has {scan.shape[0]}"
                raise ReadError(msg)
            places = sorted(_file_places(volume.path, scan)[first - 1 : last])
        measured += _of_volume(volume.patient, scan, labels, places, options)
    return _result(
        "infection-638",
        f"MedSeg, {len(volumes)} volumes, HU",
        measured,
        Legacy.FOUND,
        volumes_table(),
        notes,
        options,
    )


def infection_mosmed(
    root: Path, options: TaskOptions | None = None, on_progress: OnProgress = silent
) -> TaskResult:
    """Return the figures on MosMedData's volumes with masks, slices with enough lung.

    Raises
    ------
    ReadError
        If the layout is another, or no study has a mask.
    """
    options = options or TaskOptions()
    studies = [one for one in read_mosmed(root) if one.mask is not None]
    if not studies:
        msg = "MosMedData needs masks 'study_0255_mask.nii.gz' and so on, found none"
        raise ReadError(msg)
    measured: list[_Measured] = []
    for number, study in enumerate(studies):
        on_progress(Progress("measuring", number, len(studies)))
        scan, labels = _read(study)
        measured += _of_volume(study.patient, scan, labels, None, options)
    notes = ("slices with lung on at least 7 % of their pixels count, by our lung mask",)
    return _result(
        "infection-mosmed",
        f"MosMedData, {len(studies)} studies with masks",
        measured,
        Legacy.RUNNING,
        mosmed_table(),
        notes,
        options,
    )


def _of_volume(
    patient: str,
    scan: Scan,
    labels: Labels,
    places: Sequence[int] | None,
    options: TaskOptions,
) -> Iterator[_Measured]:
    """Yield the slices at some places; where none are given, those with enough lung."""
    seen = _resized(scan) if _resizes(options) else scan
    lungs, found = volume_masks(seen, options.method, options.network)
    if places is None:
        area = np.count_nonzero(lungs, axis=(1, 2))
        places = np.flatnonzero(area >= MOSMED_LUNG_SHARE * lungs[0].size).tolist()
    for index in places:
        yield _measured(f"{patient} {index}", patient, found[index], labels[index], options)


def _resizes(options: TaskOptions) -> bool:
    return options.resize and options.method is Method.PUBLISHED


def _measured(
    name: str, patient: str, mask: Mask, reference: Labels, options: TaskOptions
) -> _Measured:
    if not _resizes(options):
        return _Measured(name, patient, mask, reference, reference > 0)
    nearest = _to_side(reference, 0)
    return _Measured(name, patient, mask, nearest, _grown(reference > 0))


def _grown(reference: Mask) -> Mask:
    """Return a mask brought to 512 x 512 as published: all that a cubic kernel leaves above 0."""
    picture = Image.fromarray(reference.astype(np.float32))
    cubic = picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    return np.asarray(np.asarray(cubic) > ROUNDING)


def _to_side(values: NDArray[Any], order: Literal[0, 1]) -> NDArray[Any]:
    """Return a slice at 512 x 512: 0 nearest, 1 linear."""
    if values.shape == (SIDE_PX, SIDE_PX):
        return values
    steps = tuple(SIDE_PX / size for size in values.shape)
    return np.asarray(
        ndimage.zoom(np.asarray(values), steps, order=order, mode="nearest", grid_mode=True)
    )


def _resized(scan: Scan) -> Scan:
    hu, side = scan.hu(), SIDE_PX
    if hu.shape[1:] == (side, side):
        return scan
    spacing = scan.geometry.spacing_mm
    steps = tuple(step * size / side for step, size in zip(spacing[1:], hu.shape[1:], strict=True))
    values = np.stack([np.rint(_to_side(one.astype(np.float32), 1)) for one in hu])
    return Scan.from_array(values.astype(np.int16), (spacing[0], steps[0], steps[1]))


def _read(one: PatientScan) -> tuple[Scan, Labels]:
    scan = calibrate(read_scan(one.path))
    assert one.mask is not None
    labels, _ = read_labels(one.mask, scan.geometry)
    return scan, labels


def _file_places(path: Path, scan: Scan) -> list[int]:
    """Return where each slice of a NIfTI file, in the file's order, lies in its scan.

    Raises
    ------
    ReadError
        If the slices of the file are not those of the scan in either direction.
    """
    image: Any = nibabel.load(path)
    values = np.asarray(image.dataobj, dtype=np.float32)
    sums = values.reshape(-1, values.shape[-1]).sum(axis=0, dtype=np.float64)
    own = scan.voxels.reshape(scan.shape[0], -1).sum(axis=1, dtype=np.float64)
    if sums.size == own.size:
        alike = [float(np.corrcoef(sums, own[::step])[0, 1]) for step in (1, -1)]
        if max(alike) > SAME_SLICES_FROM:
            order = range(own.size) if alike[0] >= alike[1] else range(own.size - 1, -1, -1)
            return list(order)
    msg = "the slices of the file need to lie across the axis from head to feet"
    raise ReadError(msg)


def _result(  # noqa: PLR0913, PLR0917 - the parts of a result
    task: str,
    dataset: str,
    measured: Sequence[_Measured],
    legacy: Legacy,
    published: NumberTable,
    notes: tuple[str, ...],
    options: TaskOptions,
    *more: NumberTable,
) -> TaskResult:
    scored = [_scored(one, one.reference > 0, one.grown) for one in measured]
    tables = [five_averages(scored, legacy, "All infection", options.rounds, options.seed)]
    if any((one.reference == EFFUSION).any() for one in measured):
        kept = [(one, (one.reference > 0) & (one.reference != EFFUSION)) for one in measured]
        without = [_scored(one, truth, truth) for one, truth in kept]
        title = "Without effusion, which the published code counts as infection"
        tables.append(five_averages(without, legacy, title, options.rounds, options.seed))
    return TaskResult(
        SYSTEM,
        task,
        options.method.value,
        dataset,
        len(measured),
        (*tables, *more),
        published,
        tuple(
            {
                "slice": one.name,
                "patient": one.patient,
                "dice": one.overlap.dice,
                "found_pixels": one.overlap.tp + one.overlap.fp,
                "reference_pixels": one.overlap.tp + one.overlap.fn,
            }
            for one in scored
        ),
        notes,
    )


def _scored(one: _Measured, truth: Mask, grown: Mask) -> ScoredSlice:
    same = truth is grown or np.array_equal(truth, grown)
    counts = overlap(one.mask, truth)
    return ScoredSlice(one.name, one.patient, counts, counts if same else overlap(one.mask, grown))
