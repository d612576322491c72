"""The published tasks on patients: classes of SPGC and low-dose sets, grades, severity scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from groundglass.checks.intensity import calibrate
from groundglass.core.progress import OnProgress, Progress, silent
from groundglass.core.results import CaseResult
from groundglass.datasets.ctss import read_ctss
from groundglass.datasets.mosmed import GRADES, read_mosmed
from groundglass.datasets.patients import CLASSES, PatientScan
from groundglass.datasets.spgc import TEST, read_spgc_test, read_spgc_train
from groundglass.errors import (
    GroundglassError,
    NoLungsError,
    NotAnalyzableError,
    ReadError,
    UncalibratedError,
)
from groundglass.evaluation.agreement import MEANING, Agreement, agreement
from groundglass.evaluation.patient_figures import (
    auc_table,
    calibration_table,
    class_table,
    confusion,
)
from groundglass.evaluation.severity_masks import Method
from groundglass.evaluation.severity_published import ctss_table, grades_table, patients_table
from groundglass.evaluation.tables import Cell, NumberTable, TaskResult, span
from groundglass.lungs.find import find_lungs
from groundglass.models.runtime import Model
from groundglass.pipeline import AnalyzeConfig, analyze
from groundglass.readers.read import read_scan
from groundglass.systems.identification_severity.severity import published_ctss, published_percent
from groundglass.systems.identification_severity.statement import (
    OUTPUTS,
    SYSTEM,
    VOTE,
    DecisionConfig,
    SliceAnswers,
    Way,
    classify_slices,
    decide_by,
    decision_config,
)
from groundglass.systems.identification_severity.vote import Decision, decide_by_vote

CONFIGS: Mapping[Method, AnalyzeConfig] = {
    Method.PUBLISHED: AnalyzeConfig(infection_method="published", cross_check=False),
    Method.OURS: AnalyzeConfig(infection_method="training-free", cross_check=False),
    Method.NETWORK: AnalyzeConfig(infection_method="network", cross_check=False),
}
"""How a scan is analyzed, by method; the network is the default one."""
LOW_DOSE = ("COVID-19", "NORMAL")
"""Classes of the low-dose sets, in the order of the decision's shares."""

ScanError = (ReadError, NotAnalyzableError, UncalibratedError, NoLungsError)
"""What may be wrong with one scan."""


@dataclass(frozen=True, eq=False)
class _Called:
    """A patient with the decision by each way that the classifier allows."""

    patient: PatientScan
    decisions: Mapping[Way, Decision]
    votes: Decision
    slices: int
    hits: int
    labelled: int


def classes_task(
    root: Path, model: Model, *, low_dose: bool = False, on_progress: OnProgress = silent
) -> TaskResult:
    """Return how a classifier calls the test patients of SPGC or of a low-dose set.

    Parameters
    ----------
    root : Path
        Holds ``Test`` with its table of labels; where it does not, the training patients are
        measured and the result says so.
    model : Model
        Opened classifier of patients.
    low_dose : bool
        Whether the set knows COVID-19 and normal alone.
    on_progress : callable, optional

    Raises
    ------
    ReadError
        If the layout is another, or no patient has a label.
    ModelError
        If the model is no classifier of patients.
    """
    config = decision_config(model.card)
    patients, notes = _labelled(root, low_dose=low_dose)
    called: list[_Called] = []
    for number, patient in enumerate(patients):
        on_progress(Progress("classifying", number, len(patients)))
        try:
            scan = calibrate(read_scan(patient.path))
            answers, slices = classify_slices(model, scan, find_lungs(scan), config), scan.shape[0]
        except ScanError as error:
            answers, slices = _no_answers(model), 0
            notes += (f"patient {patient.patient} counts as undetermined: {error}",)
        called.append(_call(patient, answers, slices, config, low_dose=low_dose))
    return _classes_result(called, model.card.name, notes, low_dose=low_dose)


def _no_answers(model: Model) -> SliceAnswers:
    """Return the answers of a scan that cannot be read."""
    none = np.zeros((0, len(CLASSES)), np.float32)
    if set(OUTPUTS) <= set(model.outputs):
        return SliceAnswers(np.zeros(0, np.intp), none, none[:, 0], none)
    return SliceAnswers(np.zeros(0, np.intp), none)


def _labelled(root: Path, *, low_dose: bool) -> tuple[list[PatientScan], tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    classes = LOW_DOSE if low_dose else CLASSES
    if (root / TEST).is_dir():
        found = read_spgc_test(root, classes)
    else:
        found = read_spgc_train(root)
        notes = ("no test patients are there; these are training patients",)
    known = [one for one in found if one.label in classes]
    if not known:
        msg = "no patient has a label; a table with a column 'Labels' is needed beside 'Test'"
        raise ReadError(msg)
    if len(known) < len(found):
        notes += (f"{len(found) - len(known)} patients without a label are left out",)
    return known, notes


def _call(
    patient: PatientScan,
    answers: SliceAnswers,
    slices: int,
    config: DecisionConfig,
    *,
    low_dose: bool,
) -> _Called:
    best = answers.probabilities.argmax(axis=1) if len(answers.index) else np.zeros(0, np.intp)
    labels, hits, labelled = patient.labels_of(slices) if best.size else None, 0, 0
    if labels is not None and patient.label is not None:
        wanted = np.where(labels[answers.index], CLASSES.index(patient.label), 0)
        hits, labelled = int((best == wanted).sum()), int(best.size)
    return _Called(
        patient,
        {way: decide_by(way, answers, config, two_classes=low_dose) for way in answers.ways},
        decide_by_vote(best, two_classes=low_dose),
        int(answers.index.size),
        hits,
        labelled,
    )


def _classes_result(
    called: Sequence[_Called], model: str, notes: tuple[str, ...], *, low_dose: bool
) -> TaskResult:
    classes = LOW_DOSE if low_dose else CLASSES
    truth = [str(one.patient.label) for one in called]
    ways: dict[str, list[Decision]] = {
        way: [one.decisions[way] for one in called] for way in called[0].decisions
    }
    labels = {way: [one.label for one in given] for way, given in ways.items()}
    shares = {way: [one.shares for one in given] for way, given in ways.items()}
    ranks = {**shares, VOTE: [one.votes.shares for one in called]}  # plain, as published
    tables = [class_table(truth, labels, classes), auc_table(truth, ranks, classes)]
    tables.append(calibration_table(truth, shares, classes))
    tables += [
        confusion(truth, given, classes, f"Confusion, by {way}") for way, given in labels.items()
    ]
    seen = sum(one.labelled for one in called)
    if seen:
        row = ("slices with labels", seen, sum(one.hits for one in called) / seen)
        tables.append(NumberTable("Slices", ("of", "n", "accuracy"), (row,)))
    published = patients_table(("LDCT",) if low_dose else ("SPGC", "validation"))
    task = "ldct" if low_dose else "spgc"
    return TaskResult(
        SYSTEM,
        task,
        model,
        task.upper(),
        len(called),
        tuple(tables),
        published,
        tuple(_item(one) for one in called),
        notes,
    )


def _item(one: _Called) -> dict[str, Cell]:
    return {
        "patient": one.patient.patient,
        "cohort": one.patient.cohort,
        "reference": one.patient.label,
        **{way: decision.label for way, decision in one.decisions.items()},
        "slices": one.slices,
    }


def grades_task(
    root: Path, method: Method, *, seed: int = 0, on_progress: OnProgress = silent
) -> TaskResult:
    """Return how grades CT-0 to CT-4 by infected percent agree with MosMedData's.

    Raises
    ------
    ReadError
        If the layout is another.
    """
    studies = [one for one in read_mosmed(root) if one.label in GRADES]
    cases, notes = _analyzed(studies, method, on_progress)
    truth = [GRADES.index(str(one.label)) for one, _ in cases]
    values = [case.severity.ct_grade.value for _, case in cases]
    known = [place for place, value in enumerate(values) if value is not None]
    found = [int(values[place] or 0) for place in known]
    wanted = [truth[place] for place in known]
    names = [GRADES[grade] for grade in wanted]
    called = {method.value: [GRADES[grade] for grade in found]}
    figures = agreement([float(t) for t in wanted], [float(f) for f in found], 1000, seed)
    tables = (
        class_table(names, called, GRADES),
        confusion(names, called[method.value], GRADES, "Confusion"),
        _agreement_table({method.value: figures}, "Agreement of grades"),
    )
    items = tuple(
        {
            "patient": one.patient,
            "reference": one.label,
            "grade": value,
            "percent": case.burden.regions["total"].percent.value,
            "published percent": _published_percent(case, method),
        }
        for (one, case), value in zip(cases, values, strict=True)
    )
    dataset = f"MosMedData, {len(cases)} studies"
    return TaskResult(
        SYSTEM, "mosmed", method.value, dataset, len(cases), tables, grades_table(), items, notes
    )


def _published_percent(case: CaseResult, method: Method) -> float | None:
    """Return the percent of the published code, where that is what is measured."""
    if method is not Method.PUBLISHED:
        return None
    return published_percent(case.scan.hu(), case.lungs.labels)


def scores_task(
    root: Path, method: Method, *, seed: int = 0, on_progress: OnProgress = silent
) -> TaskResult:
    """Return how severity scores agree with radiologists: the published ones and ours.

    Raises
    ------
    ReadError
        If the layout is another.
    """
    cases, notes = _analyzed(read_ctss(root), method, on_progress)
    items: list[dict[str, Cell]] = []
    for one, case in cases:
        legacy = published_ctss(case.scan.hu(), case.lungs.labels)
        items.append(
            {
                "patient": one.patient,
                "reference": one.score,
                "published rule, mean over slices": legacy.mean,
                "published rule, max over slices": legacy.worst,
                f"ctss25 of {method.value}": case.severity.ctss25.value,
            }
        )
    rows = {}
    for name in list(items[0])[2:]:
        pairs = [(i["reference"], i[name]) for i in items if i[name] is not None]
        truth, score = ([float(cell or 0) for cell in side] for side in zip(*pairs, strict=True))
        rows[name] = agreement(truth, score, 1000, seed)
    tables = (_agreement_table(rows, "Agreement with radiologists"),)
    count = len(cases)
    notes += ("patients of this cohort are in the sets of SPGC as well: keep them apart",)
    dataset = f"CTSS cohort, {count} patients"
    return TaskResult(
        SYSTEM, "ctss", method.value, dataset, count, tables, ctss_table(), tuple(items), notes
    )


def _analyzed(
    patients: Sequence[PatientScan], method: Method, on_progress: OnProgress
) -> tuple[list[tuple[PatientScan, CaseResult]], tuple[str, ...]]:
    cases, left_out = [], []
    for number, patient in enumerate(patients):
        on_progress(Progress("analyzing", number, len(patients)))
        try:
            cases.append((patient, analyze(read_scan(patient.path), CONFIGS[method])))
        except GroundglassError as error:
            left_out.append(f"patient {patient.patient} is left out: {error}")
    if not cases:
        msg = f"no scan could be analyzed; {left_out[0] if left_out else 'there is none'}"
        raise ReadError(msg)
    return cases, tuple(left_out)


def _agreement_table(rows: Mapping[str, Agreement], title: str) -> NumberTable:
    columns = ("score", "n", *MEANING, "pearson 95 %")
    cells = []
    for name, one in rows.items():
        interval = one.figures["pearson"]
        values = (one.figures[key].value for key in MEANING)
        cells.append((name, one.count, *values, span(interval.low, interval.high)))
    return NumberTable(title, columns, tuple(cells))
