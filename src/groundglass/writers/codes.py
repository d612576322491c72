"""The codes of anatomy, findings, measurements and units that DICOM objects of ours carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

SCHEME = "99GROUNDGLASS"
"""Designator of our own codes, for what the standard has no code for."""
SCHEME_NAME = "groundglass measurements"
SCHEME_UID = "2.25.300519671034118273044519462317385641013"
"""Identifies the scheme; drawn once at random."""


@dataclass(frozen=True, slots=True)
class Code:
    """One coded term."""

    value: str
    """The code."""
    scheme: str
    """Designator of its scheme."""
    meaning: str
    """The term in words."""

    @property
    def triple(self) -> tuple[str, str, str]:
        """Value, scheme, meaning: as the libraries want it."""
        return self.value, self.scheme, self.meaning

    def coded(self) -> Any:
        """Return the term as highdicom's type."""
        from highdicom.sr import CodedConcept  # noqa: PLC0415 - keeps importing quick

        return CodedConcept(*self.triple)

    def item(self) -> Dataset:
        """Return the term as an item of a code sequence."""
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = self.triple
        return item


def own(value: str, meaning: str) -> Code:
    """Return a code of our own scheme."""
    return Code(value, SCHEME, meaning)


LUNG = Code("39607008", "SCT", "Lung")
RIGHT_LUNG = Code("3341006", "SCT", "Right lung")
LEFT_LUNG = Code("44029006", "SCT", "Left lung")
ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
GROUND_GLASS = Code("112120", "DCM", "Ground glass opacity")
CONSOLIDATION = Code("95436008", "SCT", "Lung consolidation")
RULES = Code("123104", "DCM", "Morphological Operations")
LEARNED = Code("123110", "DCM", "Artificial Intelligence")
PROCEDURE = Code("169069000", "SCT", "CT of chest")
REPORT_TITLE = Code("126000", "DCM", "Imaging Measurement Report")

UPPER_LOBE = Code("45653009", "SCT", "Upper lobe of lung")
MIDDLE_LOBE = Code("72481006", "SCT", "Middle lobe of right lung")
LOWER_LOBE = Code("90572001", "SCT", "Lower lobe of lung")
ZONES = {
    "upper": Code("281392002", "SCT", "Upper zone of lung"),
    "middle": Code("281393007", "SCT", "Middle zone of lung"),
    "lower": Code("281394001", "SCT", "Lower zone of lung"),
}
RIGHT = Code("24028007", "SCT", "Right")
LEFT = Code("7771000", "SCT", "Left")

VOLUME = Code("118565006", "SCT", "Volume")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
MEAN = Code("373098007", "SCT", "Mean")
INFECTED_VOLUME = own("infected-volume", "Infected volume")
INFECTED_SHARE = own("infected-share", "Infected share of volume")
GROUND_GLASS_SHARE = own("ground-glass", "Ground glass share of volume")
CONSOLIDATION_SHARE = own("consolidation", "Consolidation share of volume")
SHARE = own("share-of-lungs", "Share of lung volume")
CTSS25 = own("ctss25", "CT severity score, 0 to 25")
TSS20 = own("tss20", "Total severity score, 0 to 20")
CT_GRADE = own("ct-grade", "CT grade, 0 to 4")
PROBABILITY = own("probability", "Probability told by a classifier")

ML = Code("mL", "UCUM", "mL")
PERCENT = Code("%", "UCUM", "%")
HU = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
SCORE = Code("{score}", "UCUM", "score")
ONE = Code("1", "UCUM", "no units")
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
ENGLISH = Code("en-US", "RFC5646", "English (United States)")
BELOW = Code("371885007", "SCT", "-, range of lower measurement uncertainty")
ABOVE = Code("371886008", "SCT", "+, range of upper measurement uncertainty")


def known_codes() -> Mapping[tuple[str, str], str]:
    """Return the meaning of every code that our objects carry, by scheme and value."""
    named = [*globals().values(), *ZONES.values()]
    return {(code.scheme, code.value): code.meaning for code in named if isinstance(code, Code)}
