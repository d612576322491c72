"""Studies through the whole node and back into an archive, with and without kills."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from groundglass.pacs import ask
from groundglass.pacs.nodes import Caller, Login, parse_node, parse_peer
from groundglass.pacs.study import State
from groundglass.phantom import Chest
from groundglass.phantom_dicom import write_series
from tests.pacs_nodes import (
    PASSWORD,
    USER,
    Archive,
    qido,
    start_listener,
    stop,
    storescu,
    wait_for,
)
from tests.phantoms import phantom
from tests.series import SECRETS

pytest.importorskip("pynetdicom")
pytest.importorskip("dicomweb_client")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]
TINY = Chest(shape=(40, 64, 64), spacing_mm=(8.0, 5.6, 5.6), noise_hu=10.0)
"""Analyzed in a quarter of a second by the rules."""
QUIET = ("--quiet-time", "4")
"""Longer than a sender on a busy machine pauses between two images."""
READER = Login(user=USER, password=PASSWORD)


def small_study(folder: Path) -> Path:
    """Write a phantom that can be analyzed as a study of its own."""
    write_series(phantom(TINY).scan, folder)
    study, serie = generate_uid(), generate_uid()
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, serie
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.PatientName, dataset.PatientID = SECRETS[:2]
        dataset.save_as(path)
    return folder


def by_rules(folder: Path) -> str:
    """Write settings that find infection without a network, which is quicker."""
    path = folder / "config.json"
    path.write_text('{"infection_method": "training-free", "cross_check": false}')
    return str(path)


def kinds_of(archive: Archive, study: str) -> list[str]:
    """Return the modalities of a study's series, as QIDO-RS tells them."""
    found = qido(archive, f"/studies/{study}/series")
    return sorted(one["00080060"]["Value"][0] for one in found)


def states(spool: Path) -> dict[str, int]:
    return {
        state: len(list((spool / state).iterdir())) for state in State if (spool / state).is_dir()
    }


def run_through(study: Path, archive: Archive, tmp_path: Path, syntax: str = "") -> Path:
    """Send a study to the archive and to our node, wait for the results, return the spool."""
    peer, spool = parse_peer(archive.dicom), tmp_path / "spool"
    assert storescu(peer, study, *filter(None, [syntax]), ae="MODALITY") == 0
    options = ("--allow", archive.dicom, "--config", by_rules(tmp_path))
    listener, node = start_listener(spool, *options, *QUIET)
    try:
        assert storescu(node, study, *filter(None, [syntax]), ae="ORTHANC") == 0
        wait_for(lambda: states(spool)["done"] or states(spool)["failed"], 900)
    finally:
        stop(listener)
    notes = [path.read_text() for path in spool.glob("*/*/study.json")]
    assert states(spool)["done"] == 1, notes
    log = spool.with_suffix(".log").read_text()
    first = pydicom.dcmread(next(study.iterdir()))
    for secret in (*SECRETS, str(first.PatientID), str(first.StudyInstanceUID)):
        assert not secret or secret not in log
    return spool


def test_results_come_back_into_the_archive(archive: Archive, tmp_path: Path) -> None:
    study = small_study(tmp_path / "study")
    uid = pydicom.dcmread(next(study.iterdir())).StudyInstanceUID
    spool = run_through(study, archive, tmp_path)
    expected = ["CT", "DOC", "SEG", "SR"] if pdf_possible() else ["CT", "SEG", "SR"]
    assert kinds_of(archive, uid) == expected
    files = ask.get(
        parse_node(archive.web),
        ask.Wanted(study=uid),
        tmp_path / "back",
        Caller("GG", login=READER),
    )
    back = {pydicom.dcmread(path).Modality: pydicom.dcmread(path) for path in files}
    made = pydicom.dcmread(next(spool.glob("done/*/result-*/dicom/seg.dcm")))
    assert back["SEG"].SOPInstanceUID == made.SOPInstanceUID
    assert np.array_equal(back["SEG"].pixel_array, made.pixel_array)
    assert back["SEG"].PatientID == SECRETS[1]


def pdf_possible() -> bool:
    from groundglass.dicomout.pdf import PdfMissingError, render_pdf

    try:
        render_pdf("<p>x</p>")
    except PdfMissingError:
        return False
    return True


def test_no_study_is_lost_or_doubled_by_kills(archive: Archive, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    studies = [small_study(tmp_path / f"study{i}") for i in range(2)]
    uids = [pydicom.dcmread(next(study.iterdir())).StudyInstanceUID for study in studies]
    options = ("--allow", archive.dicom, "--config", by_rules(tmp_path), *QUIET)
    listener, node = start_listener(spool, *options)
    chance = random.Random(4)
    try:
        for study in studies:
            assert storescu(node, study, ae="ORTHANC") == 0
        for _ in range(2):
            wait_for(lambda: states(spool)["working"] or states(spool)["done"] == 2, 600)
            threading.Event().wait(chance.uniform(0, 8))
            listener.kill()
            listener.wait()
            assert sum(states(spool).values()) == 2
            listener, node = start_listener(spool, *options)
        wait_for(lambda: states(spool)["done"] == 2 or states(spool)["failed"], 900)
        assert storescu(node, studies[0], ae="ORTHANC") == 0
        threading.Event().wait(2)
        assert states(spool)["done"] == 2
    finally:
        stop(listener)
    for uid in uids:
        assert [kind for kind in kinds_of(archive, uid) if kind in {"SEG", "SR"}] == ["SEG", "SR"]
    assert len(list(spool.glob("done/*/result-*"))) == 2


@pytest.mark.data
@pytest.mark.parametrize(("name", "syntax"), [("P001", "-xs"), ("normal001", "-xt")])
def test_a_real_series_is_analyzed_and_returned(
    name: str, syntax: str, data: Path, archive: Archive, tmp_path: Path
) -> None:
    study = next((data / "covid-ct-md").glob(f"*/{name}"))
    uid = pydicom.dcmread(next(study.iterdir())).StudyInstanceUID
    run_through(study, archive, tmp_path, syntax)
    assert {"CT", "SEG", "SR"} <= set(kinds_of(archive, uid))
