"""The classifier of patients: sizes, separable and shuffled features, kept features, export."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from groundglass.checks.intensity import calibrate  # noqa: E402
from groundglass.cli import app  # noqa: E402
from groundglass.core.serial import to_json  # noqa: E402
from groundglass.datasets import spgc  # noqa: E402
from groundglass.datasets.patients import CLASSES  # noqa: E402
from groundglass.datasets.spgc import read_spgc_train  # noqa: E402
from groundglass.errors import ModelError, ReadError, WeightsError  # noqa: E402
from groundglass.lungs.find import find_lungs  # noqa: E402
from groundglass.models.catalogue import FOLDER_VARIABLE, load_catalogue  # noqa: E402
from groundglass.models.runtime import Model  # noqa: E402
from groundglass.readers.read import read_scan  # noqa: E402
from groundglass.systems.identification_severity.network import (  # noqa: E402
    Features,
    Head,
    digest_of,
    new_backbone,
)
from groundglass.systems.identification_severity.pictures import (  # noqa: E402
    ClassificationConfig,
)
from groundglass.systems.identification_severity.statement import (  # noqa: E402
    OUTPUTS,
    SYSTEM,
    WAYS,
    DecisionConfig,
    SliceAnswers,
    Way,
    decide_by,
    decision_config,
    state_patient,
)
from groundglass.systems.identification_severity.training_config import (  # noqa: E402
    FEATURES,
    OURS,
    PUBLISHED,
    HeadConfig,
)
from groundglass.systems.identification_severity.vote import (  # noqa: E402
    decide_by_mean,
    decide_by_vote,
    pooled,
    softened,
)
from groundglass.training import patient_features, patient_run  # noqa: E402
from groundglass.training.patient_features import FeatureStore, PatientFeatures  # noqa: E402
from groundglass.training.patient_heads import (  # noqa: E402
    fit_temperature,
    slice_answers,
    slice_probabilities,
    train_attention,
    train_head,
)
from groundglass.training.patient_run import (  # noqa: E402
    PatientRunOptions,
    calibrated,
    stratified,
    train_patients,
)

QUICK = HeadConfig(hidden=(32,), learning_rate=1e-3, batch=32, rounds=1, epochs=4, draws=60)


def cached(count: int, *, shuffled: bool = False, seed: int = 0) -> list[PatientFeatures]:
    """Return patients with features of three clusters, or of clusters that say nothing."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(0, 1, (3, FEATURES))
    labels = np.arange(count) % 3
    told = generator.permutation(labels) if shuffled else labels
    return [
        PatientFeatures(
            f"p{number}",
            int(told[number]),
            (centres[label] + generator.normal(0, 1, (9, FEATURES))).astype(np.float32),
            None,
        )
        for number, label in enumerate(labels)
    ]


def accuracy(patients: list[PatientFeatures], head: Head, way: str) -> float:
    hits = 0
    for one in patients:
        answers = slice_probabilities(head, one)
        votes = decide_by_vote(answers.argmax(axis=1))
        hits += (votes if way == "vote" else decide_by_mean(answers)).label == CLASSES[one.label]
    return hits / len(patients)


def test_published_head_has_its_published_size() -> None:
    head = Head(PUBLISHED.head)
    assert sum(one.numel() for one in head.parameters()) == 6_297_603
    assert head(torch.zeros(2, FEATURES)).shape == (2, 3)


def test_separable_features_are_learnt_wholly() -> None:
    train, validation, test = cached(24), cached(6, seed=1), cached(30, seed=2)
    head, points = train_head(train, validation, QUICK)
    assert len(points) == 4
    assert points[-1].loss < points[0].loss
    assert accuracy(test, head, "vote") == accuracy(test, head, "mean") == 1
    pool = train_attention(train, validation, head, epochs=4)
    for one in test:
        answers = slice_answers(head, pool, one)
        assert answers.attention is not None
        assert answers.attended is not None
        answer = pooled(answers.attention, answers.attended)
        with torch.inference_mode():  # the network's own sum over slices
            own = torch.softmax(pool(head.scaled(torch.tensor(one.features))), dim=0)
        np.testing.assert_allclose(answer[0], own.numpy(), atol=1e-6)
        assert answer.argmax() == one.label
    empty = slice_answers(head, pool, replace(test[0], features=test[0].features[:0]))
    assert decide_by("attention", empty, DecisionConfig()).label == "undetermined"


def test_shuffled_labels_give_chance() -> None:
    train = cached(30, shuffled=True)
    head, _ = train_head(train, cached(9, shuffled=True, seed=1), QUICK)
    # Classes of the test say nothing of its features either, so a third is right by chance; with
    # 60 patients the standard error is 0.06.
    test = cached(60, shuffled=True, seed=2)
    for way in ("vote", "mean"):
        assert 0.15 < accuracy(test, head, way) < 0.52


def test_the_same_seed_gives_the_same_network() -> None:
    train, validation = cached(6), cached(3, seed=1)
    one, other, third = (
        train_head(train, validation, replace(QUICK, epochs=1), seed)[0] for seed in (0, 0, 1)
    )
    assert digest_of(one) == digest_of(other) != digest_of(third)


def test_a_class_without_slices_cannot_be_trained() -> None:
    train = [one for one in cached(12) if one.label != 1]
    with pytest.raises(ReadError, match="normal, CAP and COVID-19"):
        train_head(train, cached(3), QUICK)


def test_only_ill_slices_of_ill_patients_are_trained_on() -> None:
    ill = np.array([False, True, True, False])
    features = np.zeros((4, FEATURES), np.float32)
    assert PatientFeatures("a", 2, features, ill).rows.tolist() == [1, 2]
    assert PatientFeatures("a", 0, features, ill).rows.tolist() == [0, 1, 2, 3]
    assert PatientFeatures("a", 1, features, None).rows.tolist() == [0, 1, 2, 3]


def test_temperature_softens_answers_that_are_too_sure() -> None:
    sure = np.array([[0.98, 0.01, 0.01]], np.float32)
    answers = [sure] * 10
    assert fit_temperature(answers, [0] * 6 + [1] * 2 + [2] * 2) > 2
    assert fit_temperature(answers, [0] * 10) < 0.5
    assert fit_temperature([], []) == 1


def test_every_way_is_calibrated_on_patients_held_out() -> None:
    generator = np.random.default_rng(0)
    labels = [int(one) for one in generator.integers(0, 3, 40)]
    answers = []
    for label in labels:
        # Very sure, and wrong in a quarter of the patients.
        said = label if generator.random() < 0.75 else int(generator.integers(0, 3))
        logits = np.full((9, 3), -6.0, np.float32)
        logits[:, said] = 6
        shares = softened(np.exp(logits), 1).astype(np.float32)
        scores = generator.normal(0, 1, 9).astype(np.float32)
        answers.append(SliceAnswers(np.arange(9), shares, scores, logits))
    config = calibrated(answers, labels, PUBLISHED)
    for name in ("temperature", "vote_temperature", "attention_temperature"):
        assert getattr(config, name) > 1, name
    plain = DecisionConfig(vote_temperature=1.0)

    def loss(way: Way, how: DecisionConfig) -> float:
        shares = [decide_by(way, one, how).shares for one in answers]
        pairs = zip(shares, labels, strict=True)
        return -float(np.mean([np.log(one[CLASSES[label]]) for one, label in pairs]))

    for way in WAYS:
        assert loss(way, config) < 0.9 * loss(way, plain), way


class Tiny(torch.nn.Module):  # type: ignore[name-defined, misc]
    """A backbone of 2048 numbers: blurred pixels times fixed weights."""

    default_cfg: ClassVar = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}

    def __init__(self) -> None:
        super().__init__()
        self.pool = torch.nn.AdaptiveAvgPool2d(4)
        self.last = torch.nn.Linear(48, FEATURES)

    def forward(self, pictures: Any) -> Any:
        return self.last(self.pool(pictures).flatten(1))


def test_attention_is_trained_added_and_stated_by_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Train on a fake SPGC, add the model: the patients held out are called the same again."""
    pytest.importorskip("onnxscript")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setattr(patient_run, "new_backbone", lambda *_: Tiny())
    torch.manual_seed(0)
    spgc.write_fake(tmp_path, np.random.default_rng(0), patients=3, slices=6)
    config = replace(
        SMALL, head=QUICK, decision="attention", attention_epochs=4, validation_share=0.34
    )
    recipe, out = tmp_path / "recipe.json", tmp_path / "run"
    recipe.write_text(to_json(config), encoding="utf-8")
    words = ["train", SYSTEM, "--data", str(tmp_path), "-o", str(out), "--recipe", str(recipe)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "Shares as probabilities" in done.stdout
    assert "Confusion, by attention" in done.stdout
    again = CliRunner().invoke(app, ["models", "add", str(out / "full")])
    assert again.exit_code == 0, again.output
    (entry,) = (one for one in load_catalogue().entries if one.card.system == SYSTEM)
    assert Model(entry).outputs == OUTPUTS
    told = decision_config(entry.card)
    assert told.decision == "attention"
    assert None not in (told.temperature, told.vote_temperature, told.attention_temperature)
    assert (out / "full" / "attention.safetensors").is_file()
    held = {
        one["patient"]: one["decisions"]["attention"]
        for one in json.loads((out / "held_out.json").read_text(encoding="utf-8"))["held_out"]
    }
    assert held
    for patient in read_spgc_train(tmp_path):
        if patient.patient in held:
            scan = calibrate(read_scan(patient.path))
            (one,) = state_patient(scan, find_lungs(scan))
            assert one.label == held[patient.patient]["label"]
            assert one.probabilities == pytest.approx(held[patient.patient]["shares"], abs=1e-4)


def test_weights_that_are_missing_leave_the_folder_free(tmp_path: Path) -> None:
    spgc.write_fake(tmp_path, np.random.default_rng(0), patients=1, slices=6)
    out, patients = tmp_path / "run", read_spgc_train(tmp_path)
    options = PatientRunOptions("ours", str(tmp_path / "none.safetensors"))
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        train_patients(patients, SMALL, out, options)
    assert not out.exists()


def test_parts_spread_every_class_and_hold_everyone_once() -> None:
    patients = cached(30)
    parts = stratified(patients, 5, seed=0)
    assert sorted(place for part in parts for place in part) == list(range(30))
    for part in parts:
        assert sorted({patients[place].label for place in part}) == [0, 1, 2]
    assert parts == stratified(patients, 5, seed=0) != stratified(patients, 5, seed=1)


SMALL = replace(OURS, size=(32, 32), pictures=ClassificationConfig(short_reach=1))


@pytest.fixture(scope="module")
def backbone() -> Features:
    made = Features(new_backbone("random"))
    made.eval()
    return made


def test_backbone_makes_2048_numbers_of_grey_pictures(backbone: Features) -> None:
    with torch.inference_mode():
        grey = torch.rand(1, 1, 32, 32)
        found = backbone(grey)
        three = backbone.backbone((grey.expand(-1, 3, -1, -1) - backbone.mean) / backbone.std)
    assert found.shape == (1, FEATURES)
    torch.testing.assert_close(found, three)
    assert sum(one.numel() for one in backbone.parameters()) == 28_340_784


def test_features_are_kept_and_made_again_only_if_something_changed(
    tmp_path: Path, backbone: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    spgc.write_fake(tmp_path, np.random.default_rng(0), patients=1, slices=12)
    patients = read_spgc_train(tmp_path)
    store = FeatureStore(tmp_path / "kept", backbone, SMALL)
    found, spent = store.load(patients)
    assert (spent.made, spent.kept, spent.slices) == (3, 0, sum(len(f.features) for f in found))
    assert {len(one.features) for one in found} <= {2, 3}
    assert [CLASSES[one.label] for one in found] == [one.label for one in patients]
    ill = next(one for one in found if one.label == 2)
    assert ill.ill is not None
    assert ill.ill.all()

    def never(*_: object) -> None:
        pytest.fail("features were made again")

    with monkeypatch.context() as patch:
        patch.setattr(patient_features, "find_lungs", never)
        again, spent = FeatureStore(tmp_path / "kept", backbone, SMALL).load(patients)
    assert (spent.made, spent.kept) == (0, 3)
    np.testing.assert_array_equal(again[0].features, found[0].features)
    changed = replace(SMALL, pictures=replace(SMALL.pictures, outline=False))
    other = FeatureStore(tmp_path / "kept", backbone, changed)
    assert other.place_of(patients[0]) != store.place_of(patients[0])
    file = next(patients[0].path.iterdir())
    before = store.place_of(patients[0])
    file.write_bytes(file.read_bytes() + b"\0")
    assert store.place_of(patients[0]) != before


def test_weights_of_a_file_are_taken_and_those_of_imagenet_toldwhere_they_cannot_be(
    tmp_path: Path, backbone: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file

    weights = {name: one.clone() for name, one in backbone.backbone.state_dict().items()}
    name = next(name for name in weights if name.endswith("weight"))
    weights[name] += 1
    save_file(weights | {"classifier.weight": torch.zeros(1)}, tmp_path / "own.safetensors")
    made = new_backbone(str(tmp_path / "own.safetensors"))
    torch.testing.assert_close(made.state_dict()[name], weights[name])
    assert digest_of(made) != digest_of(backbone.backbone)

    def offline(*_: object, pretrained: bool, **__: object) -> None:
        assert pretrained
        raise OSError

    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(ModelError, match="--init FILE"):
        new_backbone("imagenet")


def test_other_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(WeightsError, match="cannot be read"):
        new_backbone(str(tmp_path / "none.safetensors"))
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="another network"):
        new_backbone(str(tmp_path / "other.safetensors"))
