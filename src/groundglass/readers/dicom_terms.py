"""Coded words of DICOM headers that may be told: anything else may be somebody's name."""

from __future__ import annotations

CHEST_PARTS = frozenset(
    [
        "CHEST",
        "LUNG",
        "LUNGS",
        "THORAX",
        "TORSO",
        "TRUNK",
        "HEART",
        "MEDIASTINUM",
        "TSPINE",
        "WHOLEBODY",
        "CHESTABDOMEN",
        "CHESTABDPELVIS",
        "CHEST_ABDOMEN",
        "CHEST_TO_PELVIS",
        "NECKCHEST",
        "NECKCHESTABDOMEN",
    ]
)
"""Values of BodyPartExamined of scans that show the lungs."""
OTHER_PARTS = frozenset(
    [
        "HEAD",
        "BRAIN",
        "SKULL",
        "NECK",
        "CSPINE",
        "LSPINE",
        "SPINE",
        "SSPINE",
        "ABDOMEN",
        "PELVIS",
        "ABDOMENPELVIS",
        "LIVER",
        "KIDNEY",
        "COLON",
        "PROSTATE",
        "BLADDER",
        "KNEE",
        "HIP",
        "LEG",
        "THIGH",
        "CALF",
        "FOOT",
        "ANKLE",
        "HAND",
        "WRIST",
        "ELBOW",
        "ARM",
        "SHOULDER",
        "EXTREMITY",
        "SINUS",
        "ORBIT",
        "EAR",
        "IAC",
        "JAW",
        "MAXILLA",
        "BREAST",
    ]
)
"""Values of BodyPartExamined of scans that do not."""
MODALITIES = frozenset(
    [
        "CT",
        "CR",
        "DX",
        "MR",
        "US",
        "PT",
        "NM",
        "MG",
        "XA",
        "RF",
        "OT",
        "SC",
        "XC",
        "ES",
        "RG",
        "DR",
        "PX",
        "IO",
        "OP",
        "OPT",
        "GM",
        "SM",
        "IVUS",
        "IVOCT",
        "ECG",
        "BI",
        "HD",
        "SEG",
        "SR",
        "KO",
        "PR",
        "REG",
        "FID",
        "RTIMAGE",
        "RTDOSE",
        "RTSTRUCT",
        "RTPLAN",
        "DOC",
        "BMD",
        "TG",
        "LS",
        "CF",
        "DG",
        "FA",
        "CS",
        "DM",
    ]
)
"""Values of Modality."""
UNKNOWN = "unknown"
"""Stands for a word that is none of these."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
