from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from groundglass.core.results import (
    Burden,
    Estimate,
    PercentEstimate,
    Prediction,
    RegionBurden,
)
from groundglass.core.scan import Scan
from groundglass.core.verdict import Status, Verdict
from groundglass.errors import NotAnalyzableError
from groundglass.writers.document import ResultDocument, build_schema, schema_text
from groundglass.writers.scores import grade
from groundglass.writers.summary import refusal_document, result_document
from tests.cases import picture_case, volume_case


def loaded(document: ResultDocument) -> dict[str, Any]:
    return dict(json.loads(document.to_json()))


def nulls(value: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted path of every null, list positions left out."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from nulls(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from nulls(inner, path)
    elif value is None:
        yield path


def test_the_schema_in_the_package_is_current() -> None:
    assert json.loads(schema_text()) == build_schema()


def test_the_schema_describes_every_field() -> None:
    schema = build_schema()
    for part in (schema, *schema["$defs"].values()):
        for name, field in part.get("properties", {}).items():
            assert field.get("description"), name
            assert part["additionalProperties"] is False


@pytest.mark.parametrize("case", [volume_case(), picture_case()], ids=["volume", "picture"])
def test_documents_follow_the_schema(case: Any) -> None:
    jsonschema.validate(loaded(result_document(case)), build_schema())


def test_a_refusal_follows_the_schema_and_keeps_its_verdicts() -> None:
    verdict = Verdict("modality", Status.REFUSED, "the modality is MR", "nothing", "no numbers")
    document = loaded(refusal_document(NotAnalyzableError("a CT is needed", (verdict,))))
    jsonschema.validate(document, build_schema())
    assert document["status"] == "refused"
    assert document["error"] == {"type": "NotAnalyzableError", "message": "a CT is needed"}
    assert document["verdicts"][0]["check"] == "modality"
    assert document["lungs"] is document["infection"] is document["severity"] is None
    assert document["slices"] == []


def test_a_refusal_names_the_scan_if_it_was_read() -> None:
    scan = picture_case().scan
    document = loaded(refusal_document(NotAnalyzableError("no"), scan=scan))
    jsonschema.validate(document, build_schema())
    assert document["scan"]["slices"] == 1
    assert document["reasons"]["scan.spacing_mm"]
    assert loaded(refusal_document(ValueError("odd"), message="said so"))["error"] == {
        "type": "ValueError",
        "message": "said so",
    }


def test_the_document_holds_what_was_measured() -> None:
    document = loaded(result_document(volume_case(), {"reading": 0.5}))
    assert document["schema"] == "groundglass/result/1"
    assert document["scan"]["spacing_mm"] == [5.0, 4.0, 4.0]
    assert document["infection"]["percent"] == {"total": 3.457, "right": 4.5, "left": 2.4}
    assert document["infection"]["interval_percent"] == [2.765, 4.494]
    assert document["infection"]["ground_glass_ml"] == pytest.approx(29.2, abs=0.01)
    assert document["lungs"]["mean_hu"]["total"] == -812.3
    assert document["severity"]["ct_grade"] == "CT-1"
    assert document["severity"]["intervals"]["ct_grade"] == ["CT-1", "CT-2"]
    assert document["severity"]["points"]["ctss25"] == {"right_1": 2, "left_1": 2}
    assert document["provenance"]["seconds"] == {"reading": 0.5, "finding lungs": 1.235}
    assert document["provenance"]["config"] == {"threshold_hu": -600.0}
    positions = [row["position_mm"] for row in document["slices"]]
    assert positions == sorted(positions, reverse=True)


@pytest.mark.parametrize("case", [volume_case(), picture_case()], ids=["volume", "picture"])
def test_every_missing_number_has_a_reason(case: Any) -> None:
    document = loaded(result_document(case))
    measured = ("lungs", "infection", "severity", "slices", "selection")
    missing = {p for key in measured for p in nulls(document[key], key)}
    missing |= set(nulls(document["scan"]["spacing_mm"], "scan.spacing_mm"))
    unexplained = missing - set(document["reasons"]) - {"slices.selected_ctset"}
    assert unexplained == set()
    assert all(text for text in document["reasons"].values())


def test_a_picture_has_percent_and_no_ml() -> None:
    document = loaded(result_document(picture_case()))
    assert document["infection"]["percent"]["total"] == 6.01
    assert document["infection"]["volume_ml"]["total"] is None
    assert document["reasons"]["infection.volume_ml.total"] == "pictures carry no scale"
    assert document["scan"]["spacing_mm"] is None
    assert document["scan"]["intensity"] == "display"


def test_unknown_fields_and_infinite_numbers_are_refused() -> None:
    document = loaded(result_document(volume_case()))
    with pytest.raises(ValidationError, match="extra"):
        ResultDocument.model_validate({**document, "more": 1})
    document["lungs"]["volume_ml"]["total"] = math.nan
    with pytest.raises(ValidationError, match="finite"):
        ResultDocument.model_validate(document)


def test_a_grid_that_nifti_cannot_hold_adds_a_verdict() -> None:
    case = volume_case()
    origins = case.scan.geometry.origins_mm.copy()
    origins[6:, 2] -= 10
    scan = replace(case.scan, geometry=replace(case.scan.geometry, origins_mm=origins))
    document = result_document(replace(case, scan=scan))
    assert [v.check for v in document.verdicts][-1] == "mask_grid"


def test_predictions_are_kept() -> None:
    prediction = Prediction("small", "no statement", {"covid": 0.5, "other": 0.5}, "few patients")
    document = loaded(result_document(volume_case(predictions=(prediction,))))
    assert document["predictions"][0]["probabilities"] == {"covid": 0.5, "other": 0.5}


def test_other_estimates_are_kept_and_their_nulls_explained() -> None:
    slices = (None, 1.0, 2.34567)
    told = PercentEstimate("network", "small", Estimate(3.14159, 2, 4), "By a network.", slices)
    untold = PercentEstimate("by area", None, Estimate.unknown("no lung area"), "By area.")
    document = loaded(result_document(volume_case(estimates=(told, untold))))
    jsonschema.validate(document, build_schema())
    first, second = document["infection"]["estimates"]
    assert (first["percent"], first["interval_percent"]) == (3.142, [2.0, 4.0])
    assert first["slices_percent"] == [None, 1.0, 2.346]
    assert (second["percent"], second["slices_percent"]) == (None, [])
    for field in ("percent", "interval_percent"):
        assert document["reasons"][f"infection.estimates.{field}"] == "by area: no lung area"
    assert document["reasons"]["infection.estimates.slices_percent"] == "the slice holds no lung"


def test_an_estimate_without_a_range_says_so() -> None:
    plain = PercentEstimate("regression", "small", Estimate(7.0), "From slices.")
    document = loaded(result_document(volume_case(estimates=(plain,))))
    assert document["infection"]["estimates"][0]["interval_percent"] is None
    assert "no range" in document["reasons"]["infection.estimates.interval_percent"]
    assert "infection.estimates.percent" not in document["reasons"]


def test_grades_are_written_as_doctors_write_them() -> None:
    assert (grade(0), grade(4), grade(None)) == ("CT-0", "CT-4", None)


@given(
    share=st.floats(0, 100),
    lung=st.one_of(st.none(), st.floats(0, 20_000)),
    density=st.one_of(st.none(), st.floats(-1024, 3000)),
)
def test_any_numbers_make_strict_json(
    share: float, lung: float | None, density: float | None
) -> None:
    known = Estimate.unknown("no scale") if lung is None else Estimate(lung)
    total = RegionBurden("total", known, known, Estimate(share, 0, share), share, 0.0, density)
    case = volume_case()
    document = result_document(replace(case, burden=Burden({"total": total}, case.burden.slices)))
    text = document.to_json()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert ResultDocument.model_validate_json(text) == document


def test_the_schema_lies_in_the_package() -> None:
    assert (files("groundglass.writers") / "result.schema.json").is_file()


def test_the_step_of_one_slice_of_unknown_thickness_is_null() -> None:
    case = volume_case(1)
    grid = replace(case.scan.geometry, slice_width_mm=None)
    scan = Scan(case.scan.voxels, grid, case.scan.intensity, case.scan.provenance)
    document = loaded(refusal_document(NotAnalyzableError("no"), scan=scan))
    jsonschema.validate(document, build_schema())
    assert document["scan"]["spacing_mm"] == [None, 4.0, 4.0]
    assert "thickness" in document["reasons"]["scan.spacing_mm[0]"]
