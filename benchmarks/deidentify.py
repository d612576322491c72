"""How many personal attributes are left on crafted worst-case files, ours beside other tools.

    python benchmarks/deidentify.py --peers PYTHON [--series FOLDER]

``PYTHON`` is an interpreter of an environment with the peers, which do not belong into this one:
``pip install dicom-anonymizer dicognito deid``. Peers that it lacks are named in the results. The
files (``tests/phi.py``) carry a mark in every attribute of Table E.1-1, at the top and nested, in
private blocks, functional groups, overlays, curves, report content, codes, file meta information,
preamble and padding. A mark counts as left if its text stands anywhere in the copies or in their
names; a date or time if the same place holds the same value. ``dciodvfy`` (Debian: dicom3tools)
says which errors of validity the copies have that the originals did not have. With ``--series``
the processor time for a real series is measured as well.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.phi import Marks, dates_left, marks_left, write_worst

RESULTS = Path(__file__).parent / "results" / "deidentify.json"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
OURS = {
    "groundglass": [],
    "groundglass, dates shifted, age and sex": ["--keep", "dates-shifted", "--keep", "age-sex"],
}
PEERS = {
    "dicom-anonymizer": "dicomanonymizer",
    "dicom-anonymizer, 2026c table": "dicomanonymizer",
    "dicognito": "dicognito",
    "deid": "deid",
}
"""Peers with the module that must be there."""
PEER_CODE = {
    "dicom-anonymizer": """
from dicomanonymizer import anonymize_dicom_file
for source, target in pairs:
    anonymize_dicom_file(source, target, delete_private_tags=True)
""",
    "dicom-anonymizer, 2026c table": """
from dicomanonymizer.simpledicomanonymizer import anonymize_dicom_file, initialize_actions
for source, target in pairs:
    anonymize_dicom_file(source, target, delete_private_tags=True,
                         base_rules_gen=lambda: initialize_actions("dicomfields_2026c"))
""",
    "dicognito": """
import pydicom
from dicognito.anonymizer import Anonymizer
anonymizer = Anonymizer(seed="benchmark")
for source, target in pairs:
    dataset = pydicom.dcmread(source)
    anonymizer.anonymize(dataset)
    dataset.save_as(target)
""",
    "deid": """
from deid.dicom import get_identifiers, replace_identifiers
import os
folder = os.path.dirname(pairs[0][1])
for source, target in pairs:
    done = replace_identifiers(dicom_files=[source], ids=get_identifiers([source]), save=True,
                               output_folder=folder, overwrite=True)
    os.replace(os.path.join(folder, os.path.basename(source)), target)
""",
}
"""How each peer is called on pairs of source and target, with the defaults it documents."""


def main() -> None:
    """Measure, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peers", type=Path, help="interpreter of an environment with the peers")
    parser.add_argument("--series", type=Path, help="a real series, to be timed")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        report = measure(Path(name), arguments.peers)
        if arguments.series:
            report["series"] = timed_series(arguments.series, Path(name))
    show(report)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def measure(scratch: Path, peers: Path | None) -> dict[str, Any]:
    """Return what each tool leaves of the crafted files."""
    source = scratch / "source"
    marks = write_worst(source)
    originals = sorted(source.rglob("*.dcm"))
    tools: dict[str, Any] = {}
    for number, (name, options) in enumerate(OURS.items()):
        out = scratch / f"ours{number}"
        command = [sys.executable, "-m", "groundglass", "deidentify", str(source), str(out)]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        tools[name] = judged(originals, sorted(out.rglob("*.dcm")), marks, done.stderr)
    for number, name in enumerate(PEERS):
        tools[name] = run_peer(name, peers, originals, scratch / f"peer{number}", marks)
    return {
        "python": platform.python_version(),
        "groundglass": metadata.version("groundglass"),
        "marks": len(marks.where),
        "files": len(originals),
        "tools": tools,
    }


def run_peer(
    name: str, python: Path | None, originals: list[Path], out: Path, marks: Marks
) -> dict[str, Any]:
    """Return what a peer leaves, or that it is missing."""
    asked = "import sys, importlib.util as u; sys.exit(u.find_spec(sys.argv[1]) is None)"
    if python is None or subprocess.run([python, "-c", asked, PEERS[name]], check=False).returncode:
        return {"missing": f"pip install {name.partition(',')[0]}"}
    out.mkdir()
    pairs = [(str(path), str(out / f"copy{i}.dcm")) for i, path in enumerate(originals)]
    done = subprocess.run(
        [python, "-W", "ignore", "-c", f"import json\npairs = {pairs!r}\n{PEER_CODE[name]}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=out,
    )
    version = subprocess.run(
        [
            python,
            "-c",
            f"from importlib.metadata import version as v; print(v({name.partition(',')[0]!r}))",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    found = judged(originals, sorted(out.glob("copy*.dcm")), marks, done.stderr)
    return {"version": version.stdout.strip(), **found}


def judged(originals: list[Path], copies: list[Path], marks: Marks, talk: str) -> dict[str, Any]:
    """Return the counts for one tool's copies."""
    left = marks_left(copies, marks)
    kinds = Counter(place.partition(" (")[0] for place in left.values())
    before, after = datasets(originals), datasets(copies)
    dates = 0
    for key, dataset in after.items():
        original = before.get(key)
        dates += len(dates_left(original, dataset)) if original is not None else 0
    slices = [d for d in after.values() if d.get("SOPClassUID") == CT_IMAGE]
    objects = {d.get("SOPInstanceUID") for d in slices}
    pointed = [d.get("ReferencedImageSequence") for d in slices]
    resolved = sum(bool(p) and p[0].get("ReferencedSOPInstanceUID") in objects for p in pointed)
    return {
        "files_written": len(copies),
        "marked_values_left": len(left),
        "dates_and_times_left": dates,
        "left_by_place": dict(kinds.most_common()),
        "references_that_still_point_into_the_series": f"{resolved} of 3",
        "new_dciodvfy_errors_ct": new_errors(originals, copies),
        "says_identity_removed": sum(
            d.get("PatientIdentityRemoved") == "YES" for d in after.values()
        ),
        "last_words": talk.strip().splitlines()[-1:] if len(copies) < len(originals) else [],
    }


def datasets(paths: list[Path]) -> dict[str, Dataset]:
    """Return data sets by what the crafted files can be told by: kind and number."""
    found: dict[str, Dataset] = {}
    for path in paths:
        dataset = pydicom.dcmread(path, force=True)
        found[f"{dataset.get('SOPClassUID')} {dataset.get('InstanceNumber')}"] = dataset
    return found


def new_errors(originals: list[Path], copies: list[Path]) -> int | str:
    """Return the kinds of errors dciodvfy finds in CT copies and not in CT originals."""
    if shutil.which("dciodvfy") is None:
        return "dciodvfy is missing (Debian: dicom3tools)"
    return len(errors_of(copies) - errors_of(originals))


def errors_of(paths: list[Path]) -> set[str]:
    """Return the errors in plain CT images."""
    found: set[str] = set()
    for path in paths:
        if pydicom.dcmread(path, force=True).get("SOPClassUID") == CT_IMAGE:
            done = subprocess.run(["dciodvfy", path], capture_output=True, check=False)  # noqa: S607
            lines = done.stderr.decode("latin-1").splitlines()
            found.update(line for line in lines if line.startswith("Error"))
    return found


def timed_series(series: Path, scratch: Path) -> dict[str, Any]:
    """Return the processor time for a series, looking at its pixels included."""
    from groundglass.deidentify.run import Job, deidentify

    used = time.process_time()
    summary = deidentify(Job(series, scratch / "series"))
    return {
        "files": summary.found,
        "written": summary.written,
        "held_back": dict(summary.held),
        "cpu_seconds": round(time.process_time() - used, 2),
    }


def show(report: dict[str, Any]) -> None:
    """Print the table."""
    print(f"{report['marks']} marked values in {report['files']} files")
    for name, found in report["tools"].items():
        if "missing" in found:
            print(f"{name}: missing ({found['missing']})")
            continue
        print(
            f"{name}: {found['marked_values_left']} values and {found['dates_and_times_left']} "
            f"dates left, {found['files_written']} files, references "
            f"{found['references_that_still_point_into_the_series']}, new errors in CT "
            f"{found['new_dciodvfy_errors_ct']}"
        )
    if "series" in report:
        print(f"series: {report['series']}")


if __name__ == "__main__":
    main()
