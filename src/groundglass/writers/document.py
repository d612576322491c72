"""The shape of ``result.json``: what every field means, in which unit, and what may be null."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

SCHEMA: Final = "groundglass/result/1"
"""Name and version of the document."""

Percent = Annotated[float, Field(ge=0, le=100)]
Amount = Annotated[float, Field(ge=0)]
Interval = Annotated[list[float], Field(min_length=2, max_length=2)]
Grade = Literal["CT-0", "CT-1", "CT-2", "CT-3", "CT-4"]


def _said(text: str, **more: Any) -> Any:
    """Return a required field with its description."""
    field: FieldInfo = Field(description=text, **more)
    return field


class _Part(BaseModel):
    """A piece of the document: no unknown fields, no infinite numbers."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )


class ScanPart(_Part):
    """The scan that was measured."""

    slices: int = _said("Number of slices.")
    rows: int = _said("Rows of a slice.")
    columns: int = _said("Columns of a slice.")
    spacing_mm: list[float | None] | None = _said(
        "Step between slices (median), rows and columns; null for pictures without a scale. The "
        "first is null for one slice of unknown thickness.",
        min_length=3,
        max_length=3,
    )
    slice_width_mm: float | None = _said("Slice thickness the source states.")
    even_spacing: bool = _said("Whether all steps between slices are equal.")
    intensity: Literal["HU", "unknown", "display"] = _said(
        "What the values mean: Hounsfield units, unknown, or grey values of a picture."
    )
    modality: str | None = _said("DICOM modality.")
    series_uid: str | None = _said("DICOM Series Instance UID.")
    kernel: str | None = _said("Reconstruction kernel.")
    patient_position: str | None = _said("DICOM patient position, e.g. HFS.")
    contrast_agent: bool | None = _said("Whether the header names a contrast agent.")
    source_format: str = _said("How the input was stored.")
    files: int = _said("Number of files the voxels came from.")


class VerdictPart(_Part):
    """One finding about the input or the result."""

    check: str = _said("Stable name of the check.")
    status: Literal["ok", "note", "warning", "refused"] = _said("How much it matters.")
    found: str = _said("What was found.")
    done: str = _said("What was done about it.")
    effect: str = _said("What that does to ml and percent.")


class SidesPart(_Part):
    """A number for both lungs and each of them."""

    total: float | None = _said("Both lungs.")
    right: float | None = _said("The patient's right lung.")
    left: float | None = _said("The patient's left lung.")


class SideIntervalsPart(_Part):
    """A range for both lungs and each of them: what moving the thresholds gives."""

    total: Interval | None = _said("Both lungs: low, high.")
    right: Interval | None = _said("The patient's right lung: low, high.")
    left: Interval | None = _said("The patient's left lung: low, high.")


class LungsPart(_Part):
    """The lungs."""

    method: str = _said("What found them.")
    volume_ml: SidesPart = _said("Volume, vessels and lesions included.")
    mean_hu: SidesPart = _said("Mean density in HU.")


class RegionPart(_Part):
    """A zone or a lobe."""

    lung_ml: Amount | None = _said("Volume of the region.")
    volume_ml: Amount | None = _said("Infected volume in it.")
    interval_ml: Interval | None = _said("Infected volume: low, high.")
    percent: Percent | None = _said("Infected share of the region.")
    interval_percent: Interval | None = _said("Infected share: low, high.")
    ground_glass_percent: Percent | None = _said("Share of the region that is ground glass.")
    consolidation_percent: Percent | None = _said("Share of the region that is consolidation.")
    mean_hu: float | None = _said("Mean density of the region in HU.")
    voxels: int = _said("Voxels of the region.", ge=0)
    infected_voxels: int = _said(
        "Infected voxels among them; with even steps the share that decides a lobe's points.", ge=0
    )


class ZonesPart(_Part):
    """Thirds of the lung height."""

    upper: RegionPart | None = _said("Upper third; null for pictures.")
    middle: RegionPart | None = _said("Middle third; null for pictures.")
    lower: RegionPart | None = _said("Lower third; null for pictures.")


class LobesPart(_Part):
    """The five lobes, given or found."""

    right_upper: RegionPart | None = _said("Right upper lobe.")
    right_middle: RegionPart | None = _said("Right middle lobe.")
    right_lower: RegionPart | None = _said("Right lower lobe.")
    left_upper: RegionPart | None = _said("Left upper lobe.")
    left_lower: RegionPart | None = _said("Left lower lobe.")


class EstimatePart(_Part):
    """Another estimate of the infected share of both lungs."""

    method: str = _said("What made it.")
    model: str | None = _said("Name of the trained model behind it; null for a rule.")
    percent: Percent | None = _said("Infected share of both lungs, 0 to 100.")
    interval_percent: Interval | None = _said("Its own range: low, high.")
    note: str = _said("How it was made and what limits it.")
    slices_percent: list[Percent | None] = _said(
        "Infected percent of every slice, head to feet, null for slices without one; empty where "
        "the method does not tell slices apart."
    )


class InfectionPart(_Part):
    """How much of the lungs is infected."""

    method: str = _said("What found the infected voxels.")
    percent: SidesPart = _said("Infected share of the lung volume, 0 to 100.")
    interval_percent: Interval | None = _said(
        "Infected share of both lungs at the tight and at the loose thresholds, widened to hold "
        "the shares by other methods: low, high."
    )
    volume_ml: SidesPart = _said("Infected volume; null for pictures.")
    interval_ml: Interval | None = _said("Infected volume of both lungs: low, high.")
    side_intervals_percent: SideIntervalsPart = _said("Infected share by side: low, high.")
    side_intervals_ml: SideIntervalsPart = _said("Infected volume by side: low, high.")
    ground_glass_percent: Percent | None = _said("Share of both lungs that is ground glass.")
    consolidation_percent: Percent | None = _said("Share of both lungs that is consolidation.")
    ground_glass_ml: Amount | None = _said("Volume of ground glass; null for pictures.")
    consolidation_ml: Amount | None = _said("Volume of consolidation; null for pictures.")
    zones: ZonesPart = _said("By thirds of the lung height.")
    lobes_method: str | None = _said(
        "What found the lobes; 'approximate: fissures' or 'approximate: prior' where no lobe mask "
        "was given; null without lobes."
    )
    lobes: LobesPart | None = _said("By lobe; null where there are none.")
    estimates: list[EstimatePart] = _said(
        "What other methods say about the infected share of both lungs; empty if none was asked."
    )


class ScoreTexts(_Part):
    """A text for each score."""

    ctss25: str = _said("CT severity score, 0 to 25.")
    ctss25_published: str = _said("CTSS as published, by slices and bands, 0 to 25.")
    tss20: str = _said("Total severity score, 0 to 20.")
    ct_grade: str = _said("CT grade, CT-0 to CT-4.")


class ScoreIntervals(_Part):
    """The range of each score that moving the thresholds gives."""

    ctss25: list[int] | None = _said("Low, high.", min_length=2, max_length=2)
    ctss25_published: list[int] | None = _said("Low, high.", min_length=2, max_length=2)
    tss20: list[int] | None = _said("Low, high.", min_length=2, max_length=2)
    ct_grade: list[Grade] | None = _said("Low, high.", min_length=2, max_length=2)


class ScorePoints(_Part):
    """The points each region gave to a score."""

    ctss25: dict[str, int] = _said("Points by region; empty if there is no score.")
    ctss25_published: dict[str, int] = _said("Points by band; empty if there is no score.")
    tss20: dict[str, int] = _said("Points by region; empty if there is no score.")


class SeverityPart(_Part):
    """Published severity scores, all from the same mask."""

    ctss25: int | None = _said(
        "CT severity score, by lobes where there are any, else as published.", ge=0, le=25
    )
    ctss25_published: int | None = _said(
        "CTSS as published: by slices and front-to-back bands, not by lobes.", ge=0, le=25
    )
    tss20: int | None = _said("Total severity score.", ge=0, le=20)
    ct_grade: Grade | None = _said("CT grade.")
    intervals: ScoreIntervals = _said("Scores at the tight and at the loose thresholds.")
    rules: ScoreTexts = _said("The rule that produced each score, in words.")
    points: ScorePoints = _said("What the sums are made of.")


class SlicePart(_Part):
    """One slice."""

    index: int = _said("Number of the slice, 0 at the head.", ge=0)
    position_mm: float | None = _said(
        "Patient z of the slice (DICOM LPS), growing towards the head; null if not known."
    )
    lung_area_mm2: Amount | None = _said("Lung area; null without a scale.")
    infected_percent: Percent | None = _said(
        "Infected area as percent of the slice's lung area, or of 0.3 of the largest lung area if "
        "that is more; null without lung."
    )
    infected_percent_plain: Percent | None = _said(
        "Infected area as percent of the slice's own lung area; null without lung."
    )
    selected: bool = _said("Kept by the lung-area rule.")
    selected_ctset: bool | None = _said(
        "Kept by the COVID-CTset rule; null where that rule cannot be applied."
    )


class SelectionRulePart(_Part):
    """A rule that keeps slices."""

    method: str = _said("Name of the rule.")
    rule: str = _said("The rule in words.")
    threshold: float | None = _said("What it compares with; null where it cannot be applied.")
    kept: int = _said("Number of slices kept.", ge=0)


class SelectionPart(_Part):
    """The rules behind the columns ``selected`` and ``selected_ctset``."""

    area: SelectionRulePart = _said("By lung area.")
    ctset: SelectionRulePart = _said("The COVID-CTset rule.")


class SliceChancePart(_Part):
    """What a classifier says about one slice."""

    index: int = _said("Number of the slice, 0 at the head.", ge=0)
    probability: float = _said("Of the label in 'wanted'.", ge=0, le=1)
    strangeness: float | None = _said(
        "How unlike the training pictures the slice is, too unlike above 1; null where the model "
        "cannot tell."
    )
    counts: bool = _said("False for slices too unlike the training pictures; they have no say.")


class PredictionPart(_Part):
    """What a trained classifier says."""

    model: str = _said("Name of the model.")
    label: str = _said("Its statement, or 'no statement'.")
    probabilities: dict[str, Percent] = _said(
        "By label, summing to 1: the mean over the slices that have a say; empty where none has."
    )
    note: str = _said("What the model was trained on and what that limits.")
    reason: str | None = _said("Why there is no statement; null where there is one.")
    wanted: str | None = _said("The label that the probabilities of the slices are of.")
    slices: list[SliceChancePart] = _said("The slices that were looked at, head to feet.")


class StepPart(_Part):
    """One thing done to the scan."""

    name: str = _said("What was done.")
    parameters: dict[str, Any] = _said("With which settings.")


class ProvenancePart(_Part):
    """Version, settings, input and steps behind the numbers."""

    version: str = _said("Version of groundglass.")
    created_utc: str = _said("When the document was made, ISO 8601.")
    config: dict[str, Any] = _said("All settings.")
    input_sha256: str | None = _said("Hash of the input's bytes; null for arrays in memory.")
    steps: list[StepPart] = _said("What was done, oldest first.")
    seconds: dict[str, float] = _said("Wall time by stage.")
    python: str = _said("Version of Python.")
    libraries: dict[str, str] = _said("Versions of the libraries that compute.")


class ErrorPart(_Part):
    """Why there are no numbers."""

    type: str = _said("Kind of the error.")
    message: str = _said("What was needed, what was found, what to do.")


class ResultDocument(_Part):
    """The result of one analysis, or the reasons why there is none.

    Every null that stands in a number's place is explained in ``reasons``.
    """

    schema_name: Literal["groundglass/result/1"] = Field(
        alias="schema", description="Name and version of this document's structure."
    )
    status: Literal["analyzed", "refused"] = _said("Whether there are numbers.")
    scan: ScanPart | None = _said("The scan; null if the input could not be read.")
    verdicts: list[VerdictPart] = _said("Everything found out about the input and the result.")
    lungs: LungsPart | None = _said("The lungs; null if refused.")
    infection: InfectionPart | None = _said("The infection; null if refused.")
    severity: SeverityPart | None = _said("The scores; null if refused.")
    slices: list[SlicePart] = _said("Head to feet.")
    selection: SelectionPart | None = _said("The slice rules; null if refused.")
    predictions: list[PredictionPart] = _said("Classifiers' statements; empty without models.")
    reasons: dict[str, str] = _said(
        "Why a number is null, by dotted path; 'slices.NAME' stands for that field of all slices, "
        "'infection.estimates.NAME' for that of all estimates."
    )
    provenance: ProvenancePart = _said("Where the numbers come from.")
    error: ErrorPart | None = _said("Why there are no numbers; null if analyzed.")

    def to_json(self) -> str:
        """Return the document as indented JSON that ends with a newline."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"


@cache
def schema_text() -> str:
    """Return the JSON Schema of the document, as it stands in the package."""
    return (files("groundglass.writers") / "result.schema.json").read_text(encoding="utf-8")


def build_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document, made anew from the models."""
    schema = ResultDocument.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA, **schema}
