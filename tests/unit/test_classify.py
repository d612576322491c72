"""From slices to a likeness: views, attention on the scan's grid, decisions, files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from groundglass.core.results import Attention, SliceChance
from groundglass.core.scan import Intensity, Scan
from groundglass.errors import GridMismatchError
from groundglass.models.card import Fit, Measured, Preparation, Scale
from groundglass.models.catalogue import Entry, Origin, load_catalogue
from groundglass.models.familiar import Familiarity
from groundglass.models.runtime import Model
from groundglass.systems.class_views import classify_pictures, enlarged, view_of
from groundglass.systems.classify import (
    NO_STATEMENT,
    ClassifyConfig,
    _gathered,
    chosen_places,
    classify_scan,
    decide,
    note_of,
    open_classifier,
)
from groundglass.systems.learn_familiar import learn_familiarity, scrambled
from groundglass.systems.pictures import input_of
from groundglass.writers.folder import write_case
from groundglass.writers.likeness import heated, likeness_figures
from groundglass.writers.summary import result_document
from tests.cases import picture_case, volume_case
from tests.networks import write_classifier


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A tiny classifier of dark and bright."""
    return opened(tmp_path)


def opened(folder: Path, **changes: Any) -> Model:
    path = write_classifier(folder, **changes)
    return Model(load_catalogue().find(str(path)))


def bright_corner(rows: int = 40, columns: int = 64) -> np.ndarray:
    picture = np.full((rows, columns), 120, np.uint8)
    picture[: rows // 4, -(columns // 4) :] = 255
    return picture


def test_probabilities_follow_from_the_attention(model: Model) -> None:
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (32, 32)).astype(np.uint8) for _ in range(11)]
    found = classify_pictures(model, pictures)
    assert found.attention is not None
    logits = found.attention.sum((2, 3)) + np.array([0.5, -0.5])
    wanted = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, wanted, rtol=1e-4)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-6)
    bright = np.maximum(np.array(pictures) / 255 - 0.7, 0).mean((1, 2))
    assert found.features is not None
    np.testing.assert_allclose(found.features[:, 1], bright, rtol=1e-4)


def test_views_are_turned_back_before_they_are_averaged(tmp_path: Path) -> None:
    preparation = Preparation(Scale.BYTES, None, (32, 32), views=("as_is", "columns", "both"))
    found = classify_pictures(opened(tmp_path, preparation=preparation), [bright_corner(32, 32)])
    assert found.attention is not None
    bright = found.attention[0, 1]
    assert np.unravel_index(bright.argmax(), bright.shape) == (0, 3)
    assert (bright > 0.1 * bright.max()).sum() == 1


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (64, 64)])
def test_attention_comes_back_to_where_it_was(fit: Fit, shape: tuple[int, int]) -> None:
    """A spot of the picture, prepared as an input and enlarged again, lies where it lay."""
    preparation = Preparation(Scale.BYTES, None, (64, 64), fit=fit)
    spot = np.zeros(shape, np.uint8)
    row, column = shape[0] * 5 // 12, shape[1] * 6 // 11
    spot[row - 2 : row + 3, column - 2 : column + 3] = 255
    given = input_of(spot[None], Intensity.DISPLAY, preparation)[0]
    back = enlarged(given, shape, preparation)
    assert back.shape == shape
    weight = back / back.sum()
    assert (weight.sum(1) @ np.arange(shape[0])) == pytest.approx(row, abs=1)
    assert (weight.sum(0) @ np.arange(shape[1])) == pytest.approx(column, abs=1)


def test_a_volume_is_shown_round_its_lungs_in_a_window(model: Model) -> None:
    case = volume_case()
    view = view_of(case.scan, case.lungs, (-1150.0, 150.0), margin_mm=8.0)
    assert (view.rows, view.columns) == ((6, 42), (4, 60))
    shown = view.of(case.scan.voxels[4])
    assert shown.shape == (36, 56)
    assert shown[4, 4] == round(300 * 255 / 1300)
    assert shown[0, 0] == round(1190 * 255 / 1300)
    assert model.card.labels[-1] == "COVID-19"


def test_pictures_are_shown_whole() -> None:
    case = picture_case()
    view = view_of(case.scan, case.lungs, (-1150.0, 150.0), margin_mm=8.0)
    np.testing.assert_array_equal(view.of(case.scan.voxels[0]), case.scan.voxels[0])
    deep = replace(case.scan, voxels=np.full((1, 48, 64), 4000, np.uint16))
    assert view.of(deep.voxels[0]).max() == 255


def test_attention_lies_on_the_scan(model: Model) -> None:
    case = volume_case()
    config = ClassifyConfig(margin_mm=4.0, most_slices=6)
    found = classify_scan(case.scan, case.lungs, case.selection, config, model)
    (prediction,), attention = found.predictions, found.attention
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert [one.index for one in prediction.slices] == [0, 2, 4, 7, 9, 11]
    assert attention is not None
    assert attention.values.shape == case.scan.shape
    assert attention.values.max() == 100
    assert attention.values[:, :6].max() == 0
    healthy = attention.values[9, 20:30, 14:20].mean()
    between = attention.values[9, 20:30, 30:34].mean()
    assert between > 20
    assert healthy < between / 2
    probability = prediction.slices[2].probability
    assert 0 < probability < 1


def test_few_slices_are_evenly_chosen() -> None:
    assert chosen_places(np.ones(100, bool), 4) == [0, 33, 66, 99]
    assert chosen_places(np.array([False, True, True]), 4) == [1, 2]
    assert chosen_places(np.zeros(3, bool), 4) == []


def chances(probabilities: list[float], counts: list[bool]) -> tuple[Any, Any]:
    pairs = enumerate(zip(probabilities, counts, strict=True))
    said = [SliceChance(index, p, None, counted) for index, (p, counted) in pairs]
    return said, np.array([[1 - p, p] for p in probabilities])


@pytest.mark.parametrize(
    ("probabilities", "counts", "label", "reason"),
    [
        ([0.9] * 6, [True] * 6, "more like its COVID-19 pictures", None),
        ([0.1] * 6, [True] * 6, "more like its other pictures", None),
        ([0.5] * 6, [True] * 6, NO_STATEMENT, "between 0.4 and 0.6"),
        ([0.9] * 4, [True] * 4, NO_STATEMENT, "4 slices have a say, 5 are needed"),
        ([0.9] * 12, [True] * 5 + [False] * 7, NO_STATEMENT, "7 of 12 slices are unlike"),
        ([0.9] * 3, [False] * 3, NO_STATEMENT, "none of 3 slices"),
    ],
)
def test_decisions(
    model: Model, probabilities: list[float], counts: list[bool], label: str, reason: str | None
) -> None:
    said, rows = chances(probabilities, counts)
    found = decide(model.card, said, rows, ClassifyConfig())
    assert found.label == label
    assert (found.reason is None) == (reason is None)
    assert reason is None or reason in (found.reason or "")
    if any(counts):
        assert sum(found.probabilities.values()) == pytest.approx(1)
        counted = [p for p, counts_ in zip(probabilities, counts, strict=True) if counts_]
        assert found.probabilities["COVID-19"] == pytest.approx(np.mean(counted))
    else:
        assert found.probabilities == {}


def test_slices_without_a_say_do_not_move_the_mean_and_one_picture_is_enough(model: Model) -> None:
    said, rows = chances([0.8, 0.0], [True, False])
    config = ClassifyConfig()
    alone = decide(model.card, said, rows, config, single=True)
    assert alone.label == "more like its COVID-19 pictures"
    assert alone.probabilities["COVID-19"] == pytest.approx(0.8)


def test_the_note_says_what_the_answer_is(model: Model) -> None:
    scores = (
        Measured("auc", 0.9, 0.85, 0.95, 118, "covid-ct val, chosen on it"),
        Measured("auc", 0.83, 0.77, 0.88, 203, "covid-ct test"),
    )
    told = note_of(replace(model.card, scores=scores, limits=("Finds opacity.",)))
    assert "not a diagnosis" in told
    assert "AUC 0.83 (0.77 to 0.88) on 203 pictures: covid-ct test" in told
    assert "Trained on drawn pictures." in told
    assert "cannot tell pictures it has never seen" in told
    assert told.endswith("Finds opacity.")


def test_without_a_classifier_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GROUNDGLASS_MODELS", str(tmp_path))
    case = volume_case()
    assert open_classifier("none") is None
    assert (
        classify_scan(case.scan, case.lungs, case.selection, ClassifyConfig("none")).predictions
        == ()
    )
    found = classify_scan(case.scan, case.lungs, case.selection, ClassifyConfig("missing"))
    (prediction,) = found.predictions
    assert prediction.label == NO_STATEMENT
    assert "no model 'missing'" in (prediction.reason or "")


def test_unknown_values_and_no_slices_are_not_judged(model: Model) -> None:
    case = volume_case()
    blind = Scan.from_array(case.scan.voxels, (5.0, 4.0, 4.0), intensity=Intensity.UNKNOWN)
    nothing = replace(case.selection, kept=np.zeros(12, bool))
    for scan, selection, told in (
        (blind, case.selection, "the meaning of the values"),
        (case.scan, nothing, "no slice was chosen"),
    ):
        found = classify_scan(scan, case.lungs, selection, ClassifyConfig(), model)
        assert found.attention is None
        assert found.predictions[0].label == NO_STATEMENT
        assert told in (found.predictions[0].reason or "")


def test_files_and_report_tell_it(model: Model, tmp_path: Path) -> None:
    case = volume_case()
    found = classify_scan(
        case.scan, case.lungs, case.selection, ClassifyConfig(margin_mm=4.0), model
    )
    case = replace(case, predictions=found.predictions, attention=found.attention)
    document = json.loads(result_document(case).to_json())
    told = document["predictions"][0]
    assert told["wanted"] == "COVID-19"
    assert len(told["slices"]) == 12
    write_case(case, tmp_path / "out")
    image: Any = nib.load(tmp_path / "out" / "attention.nii.gz")
    lungs: Any = nib.load(tmp_path / "out" / "lungs.nii.gz")
    np.testing.assert_allclose(image.affine, lungs.affine)
    assert np.asarray(image.dataobj).max() == 100
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "What classifiers say" in page
    assert "no diagnosis" in page
    assert page.count("data:image/jpeg") == len(likeness_figures(case)) == 4


def test_attention_needs_the_grid_and_tints_red() -> None:
    case = volume_case()
    with pytest.raises(GridMismatchError, match="attention"):
        Attention(np.zeros((1, 2, 3), np.uint8), case.scan.geometry, "m", "l", "how")
    assert likeness_figures(case) == []
    tinted = np.asarray(
        heated(np.full((2, 2), 100, np.uint8), np.array([[0, 100], [50, 0]], np.uint8))
    )
    assert tinted[0, 0].tolist() == [100, 100, 100]
    assert tinted[0, 1, 0] > tinted[1, 0, 0] > 100 > tinted[1, 0, 2] > tinted[0, 1, 2]


def chest(generator: np.random.Generator, size: int = 64) -> np.ndarray:
    """Return a drawn chest: body in air, two lungs, noise."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    grey = np.full((size, size), 15.0)
    tall, wide = generator.uniform(0.33, 0.42), generator.uniform(0.42, 0.48)
    grey[np.hypot((y - 0.5) / tall, (x - 0.5) / wide) < 1] = generator.uniform(170, 200)
    for middle in (0.3, 0.7):
        place = middle + generator.uniform(-0.02, 0.02)
        grey[np.hypot((y - 0.5) / generator.uniform(0.2, 0.28), (x - place) / 0.13) < 1] = 45
    return np.clip(grey + generator.normal(0, 8, grey.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def familiar() -> Familiarity:
    """What drawn chests are like."""
    generator = np.random.default_rng(0)
    return learn_familiarity([chest(generator) for _ in range(100)], generator)


def test_new_pictures_of_the_kind_are_familiar_and_others_are_not(familiar: Familiarity) -> None:
    generator = np.random.default_rng(1)
    new = [chest(generator) for _ in range(60)]
    assert np.mean([familiar.strangeness(one) > 1 for one in new]) <= 0.15
    assert np.mean([familiar.strangeness(one[:, ::-1]) > 1 for one in new]) <= 0.15
    assert np.mean([familiar.strangeness(np.rot90(one)) > 1 for one in new]) > 0.9
    assert np.mean([familiar.strangeness(255 - one) > 1 for one in new]) == 1
    for pieces in (3, 4, 8):
        odd = [scrambled(one, pieces, generator) for one in new]
        assert np.mean([familiar.strangeness(one) > 1 for one in odd]) > 0.9
    for empty in (np.zeros((50, 60), np.uint8), np.full((50, 60), 200, np.uint8)):
        assert familiar.strangeness(empty) > 1
    assert familiar.strangeness(generator.integers(0, 256, (64, 64)).astype(np.uint8)) > 1


def test_scrambling_keeps_every_piece() -> None:
    picture = np.arange(64, dtype=np.uint8).reshape(8, 8)
    mixed = scrambled(picture, 4, np.random.default_rng(0))
    assert sorted(mixed.ravel().tolist()) == list(range(64))
    assert not np.array_equal(mixed, picture)
    pieces = {
        tuple(mixed[r : r + 2, c : c + 2].ravel()) for r in (0, 2, 4, 6) for c in (0, 2, 4, 6)
    }
    assert tuple(picture[:2, :2].ravel()) in pieces
    with pytest.raises(ValueError, match="50 pictures at least"):
        learn_familiarity([picture] * 49, np.random.default_rng(0))


def test_what_is_familiar_travels_on_the_card(tmp_path: Path, familiar: Familiarity) -> None:
    path = write_classifier(tmp_path, familiarity=familiar)
    card = load_catalogue().find(str(path)).card
    assert card.familiarity == familiar
    shown = volume_case()
    model = Model(Entry(card, path, Origin.FILE))
    found = classify_scan(shown.scan, shown.lungs, shown.selection, ClassifyConfig(), model)
    assert all(one.strangeness is not None for one in found.predictions[0].slices)
    assert "cannot tell" not in found.predictions[0].note
    old = json.loads(path.with_name("tiny-classes.card.json").read_text(encoding="utf-8"))
    del old["familiarity"]
    path.with_name("tiny-classes.card.json").write_text(json.dumps(old), encoding="utf-8")
    assert load_catalogue().find(str(path)).card.familiarity is None


def test_attention_is_shown_coarsely_and_nothing_of_it_is_lost() -> None:
    fine = np.random.default_rng(0).normal(size=(2, 128, 40)).astype(np.float32)
    shown = _gathered(fine)
    assert shown.shape == (2, 16, 20)
    np.testing.assert_allclose(shown.sum((1, 2)), fine.sum((1, 2)), rtol=1e-3, atol=1e-3)
    assert _gathered(fine[:, :12, :7]).shape == (2, 12, 7)
