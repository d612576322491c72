"""What installed classifiers of patients say in an analysis, and when they say nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from groundglass.core.results import LungMask
from groundglass.core.scan import Intensity, Scan
from groundglass.datasets import spgc
from groundglass.datasets.covid_ct_md_fake import fake_hu
from groundglass.datasets.patients import CLASSES
from groundglass.errors import ModelError, ReadError
from groundglass.evaluation.patient_tasks import classes_task
from groundglass.models.card import Preparation, Scale, Task, card_path, write_card
from groundglass.models.catalogue import FOLDER_VARIABLE, Entry, Origin, load_catalogue
from groundglass.models.runtime import Model, verify
from groundglass.pipeline import AnalyzeConfig, analyze
from groundglass.systems.classify import ClassifyConfig
from groundglass.systems.identification_severity import statement
from groundglass.systems.identification_severity.pictures import ClassificationConfig
from groundglass.systems.identification_severity.statement import (
    NO_STATEMENT,
    WAYS,
    DecisionConfig,
    SliceAnswers,
    Way,
    classify_slices,
    decide_by,
    decide_patient,
    decision_config,
    state_patient,
)
from tests.networks import card_for
from tests.phantoms import phantom

PICTURES = ClassificationConfig(outline=False)


def classifier_bytes(*, attends: bool = False) -> bytes:
    """Return a network: black pictures are normal, grey ones COVID-19, bright ones CAP.

    It looks at the share of the picture that is not black and at the share that is bright. One that
    attends tells its logits as well, and as attention the share that is not black times a hundred.
    """
    from onnx import TensorProto, helper, numpy_helper

    shape: list[str | int | None] = ["slices", 1, "rows", "columns"]
    nodes = [
        helper.make_node("Greater", ["tones", "dark"], ["seen"]),
        helper.make_node("Cast", ["seen"], ["seen_f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["seen_f"], ["share"], axes=[2, 3], keepdims=0),
        helper.make_node("ReduceMean", ["tones"], ["tone"], axes=[2, 3], keepdims=0),
        helper.make_node("Concat", ["share", "tone"], ["both"], axis=1),
        helper.make_node("Gemm", ["both", "weight", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    told = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["slices", 3])]
    if attends:
        nodes.append(helper.make_node("Mul", ["share", "hundred"], ["attention"]))
        nodes.append(helper.make_node("Identity", ["logits"], ["attended"]))
        for name, width in (("attention", 1), ("attended", 3)):
            kind = TensorProto.FLOAT
            told.append(helper.make_tensor_value_info(name, kind, ["slices", width]))
    weight = np.array([[0.0, 0.0, 400.0], [0.0, 0.0, 0.0]], np.float32)
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("tones", TensorProto.FLOAT, shape)],
        told,
        [
            numpy_helper.from_array(np.array(0.05, np.float32), "dark"),
            numpy_helper.from_array(np.array(100, np.float32), "hundred"),
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(np.array([4.0, 0.0, 0.0], np.float32), "bias"),
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    made: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return made


def install(
    folder: Path, name: str = "threeway", decision: Way = "vote", **calibration: float
) -> Entry:
    """Write the classifier with its card; return its entry."""
    data = classifier_bytes(attends=decision == "attention")
    config = replace(DecisionConfig(decision, 1.5, pictures=PICTURES), **calibration)  # type: ignore[arg-type]
    card = card_for(
        data,
        name=name,
        task=Task.CLASSES,
        system="identification-severity",
        architecture_config={"patient": config.as_mapping()},
        labels=CLASSES,
        thresholds={},
        preparation=Preparation(Scale.SLICE_MINMAX, size=(64, 64)),
        limits=("made up",),
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    path.write_bytes(data)
    write_card(card, card_path(path))
    return Entry(card, path, Origin.FILE)


def chest(*, ill: bool) -> tuple[Scan, LungMask]:
    """Return a fake series and its lungs."""
    shown = np.full(12, ill)
    hu = fake_hu(shown, np.random.default_rng(0), vessels=True)
    scan = Scan.from_array(hu, (8.0, 5.0, 5.0))
    y, x = np.mgrid[:64, :64]
    lungs = np.zeros((64, 64), np.uint8)
    for label, middle in ((1, 18), (2, 46)):
        lungs[((y - 32) / 18) ** 2 + ((x - middle) / 10) ** 2 < 1] = label
    return scan, LungMask(np.repeat(lungs[None], 12, axis=0), scan.geometry, "test")


def test_sound_classifier_is_verified_and_read_from_its_card(tmp_path: Path) -> None:
    entry = install(tmp_path)
    assert verify(entry) is None
    config = decision_config(entry.card)
    assert (config.decision, config.temperature, config.pictures) == ("vote", 1.5, PICTURES)
    other = card_for(b"x")
    with pytest.raises(ModelError, match="not a classifier of patients"):
        decision_config(other)


@pytest.mark.parametrize("decision", WAYS)
def test_ill_and_healthy_series_are_told_apart(tmp_path: Path, decision: Way) -> None:
    install(tmp_path, decision=decision)
    catalogue = load_catalogue(tmp_path, tmp_path / "none")
    found = {ill: state_patient(*chest(ill=ill), catalogue)[0] for ill in (True, False)}
    assert (found[True].label, found[False].label) == ("COVID-19", "NORMAL")
    for one in found.values():
        assert sum(one.probabilities.values()) == pytest.approx(1)
        assert tuple(one.probabilities) == CLASSES
        assert one.note.startswith("12 slices")
        assert "Not for diagnosis." in one.note
    assert ("votes, not probabilities" in found[True].note) == (decision == "vote")


def test_attention_is_the_weighted_sum_over_slices_and_calibrated(tmp_path: Path) -> None:
    entry = install(tmp_path, decision="attention", attention_temperature=2.0)
    assert verify(entry) is None
    model, config = Model(entry), decision_config(entry.card)
    scan, lungs = chest(ill=True)
    hu = scan.hu().copy()
    hu[:8] = chest(ill=False)[0].hu()[:8]  # ill in the lower third alone
    few = Scan.from_array(hu, (8.0, 5.0, 5.0))
    answers = classify_slices(model, few, lungs, config)
    assert answers.attention is not None
    assert answers.attended is not None
    weights = softmax(answers.attention.astype(np.float64))
    logits = sum(w * row for w, row in zip(weights, answers.attended, strict=True))
    wanted = softmax(np.log(softmax(logits)) / 2.0)
    (one,) = state_patient(few, lungs, load_catalogue(tmp_path, tmp_path / "none"))
    assert list(one.probabilities.values()) == pytest.approx(wanted.tolist(), abs=1e-6)
    assert one.label == "COVID-19"
    assert "attention over slices" in one.note
    assert "temperature 2.00" in one.note
    # Attention looks where the lesion is; the mean of all slices says normal.
    assert decide_by("mean", answers, config).label == "NORMAL"


def test_a_card_that_decides_by_what_its_network_does_not_tell_makes_no_statement(
    tmp_path: Path,
) -> None:
    entry = install(tmp_path)
    given = entry.card.architecture_config["patient"]
    for way, complaint in (("attention", "does not tell"), ("oracle", "no way to decide")):
        config = {**entry.card.architecture_config, "patient": {**given, "decision": way}}
        write_card(replace(entry.card, architecture_config=config), card_path(entry.path))
        (one,) = state_patient(*chest(ill=True), load_catalogue(tmp_path, tmp_path / "none"))
        assert one.label == NO_STATEMENT
        assert complaint in one.note


def test_calibrated_votes_keep_the_label_and_say_so(tmp_path: Path) -> None:
    install(tmp_path, vote_temperature=3.0)
    (one,) = state_patient(*chest(ill=True), load_catalogue(tmp_path, tmp_path / "none"))
    assert one.label == "COVID-19"
    assert "calibrated (temperature 3.00)" in one.note
    assert 0 < one.probabilities["NORMAL"] < one.probabilities["COVID-19"] < 1
    assert sum(one.probabilities.values()) == pytest.approx(1)


def test_nothing_installed_says_nothing(tmp_path: Path) -> None:
    assert state_patient(*chest(ill=True), load_catalogue(tmp_path, tmp_path)) == ()


def test_no_slice_that_votes_is_undetermined(tmp_path: Path) -> None:
    scan, lungs = chest(ill=True)
    air = Scan.from_array(np.full(scan.shape, -900, np.int16), (8.0, 5.0, 5.0))
    install(tmp_path)
    (one,) = state_patient(air, lungs, load_catalogue(tmp_path, tmp_path / "none"))
    assert (one.label, one.probabilities) == ("undetermined", {})
    empty = SliceAnswers(np.zeros(0, np.intp), np.zeros((0, 3), np.float32))
    none = empty.probabilities
    blind = replace(empty, attention=none[:, 0], attended=none)
    for decision in WAYS:
        assert decide_patient(blind, DecisionConfig(decision)).label == "undetermined"
    calibrated = DecisionConfig(vote_temperature=2.0)
    assert decide_patient(empty, calibrated).label == "undetermined"


def test_pictures_and_broken_models_get_no_statement_with_a_reason(tmp_path: Path) -> None:
    entry = install(tmp_path)
    catalogue = load_catalogue(tmp_path, tmp_path / "none")
    scan, lungs = chest(ill=True)
    grey = np.zeros(scan.shape, np.uint8)
    picture = Scan.from_array(grey, (8.0, 5.0, 5.0), intensity=Intensity.DISPLAY)
    (one,) = state_patient(picture, lungs, catalogue)
    assert one.label == NO_STATEMENT
    assert "pictures" in one.note
    entry.path.write_bytes(b"broken")
    (one,) = state_patient(scan, lungs, catalogue)
    assert one.label == NO_STATEMENT
    assert "SHA-256" in one.note


def test_analysis_carries_the_statement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    scan = phantom().scan
    alone = AnalyzeConfig(classify=ClassifyConfig("none"))
    assert analyze(scan, alone).predictions == ()
    install(tmp_path)
    (one,) = analyze(scan, alone).predictions
    assert one.model == "threeway"
    assert one.label in {*CLASSES, "undetermined"}
    card_path(tmp_path / "threeway.onnx").write_text("{}", encoding="utf-8")
    (one,) = analyze(scan, alone).predictions
    assert one.label == NO_STATEMENT


def test_classes_are_measured_by_attention_too_where_the_network_tells_it(tmp_path: Path) -> None:
    spgc.write_fake(tmp_path, np.random.default_rng(0), patients=1, slices=6)
    for file in (tmp_path / "Test" / "SET1" / "T1-003").iterdir():
        file.write_bytes(b"damaged")
    found = classes_task(tmp_path, Model(install(tmp_path / "model", decision="attention")))
    tables = {table.title: table for table in found.tables}
    assert [row[0] for row in tables["Patients"].rows] == list(WAYS)
    assert [item["attention"] for item in found.items][2] == "undetermined"
    losses = {row[0]: row[2] for row in tables["Shares as probabilities"].rows}
    assert set(losses) == {*WAYS, "equal shares"}
    assert losses["equal shares"] == pytest.approx(np.log(3))


def test_classes_are_measured_by_both_decisions(tmp_path: Path) -> None:
    spgc.write_fake(tmp_path, np.random.default_rng(0), patients=1)
    model = Model(install(tmp_path / "model"))
    found = classes_task(tmp_path, model)
    assert found.count == 3
    assert [item["reference"] for item in found.items] == ["COVID-19", "CAP", "NORMAL"]
    table = found.tables[0]
    assert [row[0] for row in table.rows] == ["vote", "mean"]
    assert all(int(item["slices"] or 0) > 0 for item in found.items)
    assert json.loads(found.to_json())["published"]["rows"]
    for file in (tmp_path / "Test" / "SET1" / "T1-003").iterdir():
        file.write_bytes(b"damaged")
    worse = classes_task(tmp_path, model)
    assert worse.items[2]["vote"] == worse.items[2]["mean"] == "undetermined"
    assert worse.notes[0].startswith("patient T1-003 counts as undetermined")
    (tmp_path / "test_labels.csv").unlink()
    with pytest.raises(ReadError, match="no patient has a label"):
        classes_task(tmp_path, model)
    (tmp_path / "labels.csv").write_text("Patient,Labels\nT1-001,CAP\n", encoding="utf-8")
    with pytest.raises(ReadError, match="COVID-19, NORMAL"):
        classes_task(tmp_path, model, low_dose=True)


def test_module_loads_no_torch() -> None:
    source = Path(str(statement.__file__)).read_text(encoding="utf-8")
    assert "import torch" not in source
