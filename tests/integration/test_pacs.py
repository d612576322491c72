"""The node against other people's programs: dcmtk, Orthanc, pynetdicom."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from groundglass.errors import PacsError
from groundglass.pacs import ask
from groundglass.pacs.nodes import Login, Peer, Tls, parse_node, parse_peer
from groundglass.pacs.receive import Receiver, start_server
from groundglass.pacs.spool import Limits, Spool, State
from groundglass.phantom_dicom import write_series
from tests.pacs_nodes import (
    PASSWORD,
    USER,
    Archive,
    certificate,
    free_port,
    orthanc,
    qido,
    start_listener,
    tool,
    wait_for,
)
from tests.phantoms import SMALL, phantom
from tests.series import SECRETS, block, compress, make_slices, save

pytest.importorskip("pynetdicom")
pytest.importorskip("dicomweb_client")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]
PLAIN = Tls()
NOBODY = Login()
READER = Login(user=USER, password=PASSWORD)


def series(folder: Path, slices: int = 6) -> Path:
    """Write a series of its own study."""
    return save(make_slices(block((slices, 32, 32))), folder, "{:03d}.dcm".format)


@dataclass
class Node:
    """A receiving node in this process."""

    spool: Spool
    peer: Peer
    receiver: Receiver
    events: list[str] = field(default_factory=list)

    def count(self) -> int:
        return len(list(self.spool.root.glob("*/*/instances/*/*.dcm")))


@contextmanager
def receiving(
    folder: Path, limits: Limits | None = None, allow: tuple[str, ...] = (), tls: Tls | None = None
) -> Iterator[Node]:
    spool = Spool(folder, limits or Limits(reserve_bytes=0))
    receiver = Receiver(spool)
    server = start_server(receiver, "GROUNDGLASS", ("127.0.0.1", 0), allow, tls)
    try:
        port = server.socket.getsockname()[1]
        yield Node(spool, Peer("GROUNDGLASS", "127.0.0.1", port), receiver)
    finally:
        server.shutdown()


def storescu(peer: Peer, folder: Path, *options: str, ae: str = "MODALITY") -> int:
    """Send a folder with dcmtk; return the exit code."""
    command = [tool("storescu"), *options, "-aet", ae, "-aec", peer.ae, peer.host, str(peer.port)]
    done = subprocess.run([*command, "+sd", folder], capture_output=True, check=False, timeout=120)
    return done.returncode


def test_four_senders_at_once_lose_nothing(tmp_path: Path) -> None:
    studies = [series(tmp_path / f"study{i}", 12) for i in range(4)]
    with receiving(tmp_path / "spool") as node:
        threads = [
            threading.Thread(target=storescu, args=(node.peer, study)) for study in studies * 2
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert node.count() == 48
        assert len(node.spool.keys(State.INCOMING)) == 4
    for path in node.spool.root.glob("*/*/instances/*/*.dcm"):
        pydicom.dcmread(path)


def test_strangers_and_wrong_numbers_are_refused(tmp_path: Path) -> None:
    study = series(tmp_path / "study")
    with receiving(tmp_path / "spool", allow=("MODALITY",)) as node:
        assert storescu(node.peer, study, ae="STRANGER") != 0
        assert storescu(Peer("OTHER", node.peer.host, node.peer.port), study) != 0
        assert node.count() == 0
        assert storescu(node.peer, study) == 0
        assert node.count() == 6


def test_a_full_spool_says_so_and_keeps_the_rest(tmp_path: Path) -> None:
    study = series(tmp_path / "study")
    with receiving(tmp_path / "spool", Limits(instances=4, reserve_bytes=0)) as node:
        with pytest.raises(PacsError, match=r"stored 4 of 6 objects \(2 x status 0xA700\)"):
            ask.send(node.peer, [study], "MODALITY", PLAIN, NOBODY)
        assert node.count() == 4


def test_a_full_disk_says_so_and_keeps_the_rest(tmp_path: Path) -> None:
    study = series(tmp_path / "study")
    small = tmp_path / "small"
    small.mkdir()
    mount = shutil.which("mount")
    asked = [mount or "mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(small)]
    if mount is None or subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        with receiving(small / "spool") as node:
            with pytest.raises(PacsError, match="status 0xA700"):
                ask.send(node.peer, [study], "MODALITY", PLAIN, NOBODY)
            kept = node.count()
            assert 0 < kept < 6
            for path in node.spool.root.glob("*/*/instances/*/*.dcm"):
                pydicom.dcmread(path)
            assert not list(small.rglob(".part-*"))
    finally:
        subprocess.run(["umount", small], check=True)


def drop_after(peer: Peer, files: list[Path]) -> None:
    """Send files and cut the connection without saying goodbye."""
    from pynetdicom import AE

    ae = AE(ae_title="MODALITY")
    ae.add_requested_context(pydicom.uid.CTImageStorage)
    association = ae.associate(peer.host, peer.port, ae_title=peer.ae)
    for path in files:
        association.send_c_store(path)
    association.abort()


def test_a_connection_dropped_mid_study_is_noticed_and_mended(tmp_path: Path) -> None:
    study = series(tmp_path / "study")
    files = sorted(study.iterdir())
    with receiving(tmp_path / "spool") as node:
        drop_after(node.peer, files[:3])
        key = node.spool.keys(State.INCOMING)[0]
        wait_for(lambda: node.spool.note(key, State.INCOMING).broken_at is not None)
        ask.send(node.peer, [study], "MODALITY", PLAIN, NOBODY)
        wait_for(lambda: node.spool.note(key, State.INCOMING).broken_at is None)
        assert node.count() == 6


@pytest.mark.parametrize(
    "syntax",
    [
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.4.70",
    ],
)
def test_every_transfer_syntax_is_taken_as_it_is(syntax: str, tmp_path: Path) -> None:
    datasets = make_slices(block((2, 32, 32)))
    for dataset in datasets:
        compress(dataset, syntax)
    study = save(datasets, tmp_path / "study")
    with receiving(tmp_path / "spool") as node:
        ask.send(node.peer, [study], "MODALITY", PLAIN, NOBODY)
        kept = [pydicom.dcmread(p) for p in node.spool.root.glob("*/*/instances/*/*.dcm")]
    assert {dataset.file_meta.TransferSyntaxUID for dataset in kept} == {syntax}
    sent = {dataset.SOPInstanceUID: dataset for dataset in map(pydicom.dcmread, study.iterdir())}
    for dataset in kept:
        assert dataset.PixelData == sent[dataset.SOPInstanceUID].PixelData


def test_a_transfer_syntax_that_is_not_offered_is_told(tmp_path: Path) -> None:
    from pynetdicom import AE, evt

    datasets = make_slices(block((2, 32, 32)))
    compress(datasets[0], "1.2.840.10008.1.2.5")
    study = save(datasets, tmp_path / "study")
    ae = AE(ae_title="OLD")
    ae.add_supported_context(pydicom.uid.CTImageStorage, pydicom.uid.ExplicitVRLittleEndian)
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: 0)]
    )
    assert server is not None
    try:
        assert server.socket is not None
        peer = Peer("OLD", "127.0.0.1", server.socket.getsockname()[1])
        with pytest.raises(
            PacsError, match=r"stored 1 of 2 objects .*transfer syntax not accepted"
        ):
            ask.send(peer, [study], "MODALITY", PLAIN, NOBODY)
    finally:
        server.shutdown()


def test_what_is_no_object_or_our_own_is_not_kept(tmp_path: Path) -> None:
    ours, nameless = make_slices(block((2, 32, 32)))
    ours.Manufacturer = "groundglass"
    nameless.StudyInstanceUID = ""
    study = save([ours, nameless], tmp_path / "study")
    with receiving(tmp_path / "spool") as node:
        with pytest.raises(PacsError, match=r"stored 1 of 2 objects .*0xC000"):
            ask.send(node.peer, [study], "MODALITY", PLAIN, NOBODY)
        assert node.count() == 0


def test_tls_lets_in_who_has_a_trusted_certificate(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path / "tls", "node")
    stranger, strange_key = certificate(tmp_path / "tls", "stranger")
    study = series(tmp_path / "study", 2)
    with receiving(tmp_path / "spool", tls=Tls(cert, key, cert)) as node:
        assert ask.send(node.peer, [study], "MODALITY", Tls(cert, key, cert), NOBODY) == 2
        for outsider in (PLAIN, Tls(ca=cert), Tls(stranger, strange_key, cert), Tls(cert, key)):
            with pytest.raises(PacsError, match="cannot be reached"):
                ask.echo(node.peer, "MODALITY", outsider, NOBODY)
    with pytest.raises(PacsError, match="needs a certificate and its key"):
        Tls(ca=cert).server()
    with pytest.raises(PacsError, match="cannot be read"):
        Tls(cert, strange_key).server()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.mark.parametrize("way", ["dicom", "web"])
def test_a_study_goes_out_is_found_and_comes_back(
    way: str, archive: Archive, tmp_path: Path
) -> None:
    study = series(tmp_path / "study")
    first = pydicom.dcmread(study / "000.dcm")
    node, login = parse_node(getattr(archive, way)), READER
    ask.echo(node, "GROUNDGLASS", PLAIN, login)
    assert ask.send(node, [study], "GROUNDGLASS", PLAIN, login) == 6
    wanted = ask.Wanted(study=first.StudyInstanceUID)
    found = ask.find(node, wanted, "GROUNDGLASS", PLAIN, login)
    assert [row["StudyInstanceUID"] for row in found] == [first.StudyInstanceUID]
    assert found[0]["PatientID"] == first.PatientID
    wanted = ask.Wanted("SERIES", study=first.StudyInstanceUID)
    rows = ask.find(node, wanted, "GROUNDGLASS", PLAIN, login)
    assert [row["SeriesInstanceUID"] for row in rows] == [first.SeriesInstanceUID]
    for level in ({"study": first.StudyInstanceUID}, {"series": first.SeriesInstanceUID}):
        wanted = ask.Wanted(**{"study": first.StudyInstanceUID, **level})
        out = tmp_path / f"{way}-{len(level)}-{next(iter(level))}"
        files = ask.get(node, wanted, out, "GROUNDGLASS", PLAIN, login)
        assert {pydicom.dcmread(f).SOPInstanceUID for f in files} == {
            pydicom.dcmread(f).SOPInstanceUID for f in study.iterdir()
        }
    gone = ask.Wanted(study="1.2.3.4")
    with pytest.raises(PacsError, match=r"holds nothing|failed|404"):
        ask.get(node, gone, tmp_path / f"{way}-none", "GROUNDGLASS", PLAIN, login)


def test_who_is_not_known_is_refused(archive: Archive) -> None:
    web = parse_node(archive.web)
    for login in (NOBODY, Login(user=USER, password="wrong"), Login(token="wrong")):
        with pytest.raises(PacsError, match=r"HTTP 40[13]; check token or password"):
            ask.echo(web, "GROUNDGLASS", PLAIN, login)
    peer = parse_peer(archive.dicom)
    with pytest.raises(PacsError, match="refused the call"):
        ask.echo(Peer("OTHER", peer.host, peer.port), "GROUNDGLASS", PLAIN, NOBODY)
    with pytest.raises(PacsError, match="cannot be reached"):
        ask.echo(Peer("ORTHANC", "127.0.0.1", 1), "GROUNDGLASS", PLAIN, NOBODY)
    with pytest.raises(PacsError, match="https only"):
        ask.echo(parse_node("http://pacs.example/dicom-web"), "GROUNDGLASS", PLAIN, READER)


def small_study(folder: Path) -> Path:
    """Write a phantom that can be analyzed as a study of its own."""
    write_series(phantom(SMALL).scan, folder)
    study, serie = generate_uid(), generate_uid()
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, serie
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.PatientName, dataset.PatientID = SECRETS[:2]
        dataset.save_as(path)
    return folder


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
    peer, spool, port = parse_peer(archive.dicom), tmp_path / "spool", free_port()
    assert storescu(peer, study, *filter(None, [syntax]), ae="MODALITY") == 0
    listener = start_listener(spool, port, "--allow", archive.dicom, "--quiet-time", "1")
    try:
        node = Peer("GROUNDGLASS", "127.0.0.1", port)
        assert storescu(node, study, *filter(None, [syntax]), ae="ORTHANC") == 0
        wait_for(lambda: states(spool)["done"] or states(spool)["failed"], 900)
    finally:
        listener.send_signal(signal.SIGTERM)
        listener.wait(timeout=30)
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
        parse_node(archive.web), ask.Wanted(study=uid), tmp_path / "back", "GG", PLAIN, READER
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
    spool, port = tmp_path / "spool", free_port()
    studies = [small_study(tmp_path / f"study{i}") for i in range(2)]
    uids = [pydicom.dcmread(next(study.iterdir())).StudyInstanceUID for study in studies]
    options = ("--allow", archive.dicom, "--quiet-time", "0.5")
    listener = start_listener(spool, port, *options)
    chance = random.Random(4)
    try:
        for study in studies:
            assert storescu(Peer("GROUNDGLASS", "127.0.0.1", port), study, ae="ORTHANC") == 0
        for _ in range(2):
            wait_for(lambda: states(spool)["working"] or states(spool)["done"] == 2, 600)
            threading.Event().wait(chance.uniform(0, 3))
            listener.kill()
            listener.wait()
            assert sum(states(spool).values()) == 2
            listener = start_listener(spool, port, *options)
        wait_for(lambda: states(spool)["done"] == 2 or states(spool)["failed"], 900)
        storescu(Peer("GROUNDGLASS", "127.0.0.1", port), studies[0], ae="ORTHANC")
        threading.Event().wait(2)
        assert states(spool)["done"] == 2
    finally:
        listener.send_signal(signal.SIGTERM)
        listener.wait(timeout=30)
    for uid in uids:
        assert [kind for kind in kinds_of(archive, uid) if kind in {"SEG", "SR"}] == ["SEG", "SR"]
    assert len(list(spool.glob("done/*/result-*"))) == 2


@pytest.mark.data
def test_a_real_series_is_analyzed_and_returned(
    data: Path, archive: Archive, tmp_path: Path
) -> None:
    study = next((data / "covid-ct-md").glob("*/P001"))
    uid = pydicom.dcmread(next(study.iterdir())).StudyInstanceUID
    run_through(study, archive, tmp_path, "-xs")
    assert {"CT", "SEG", "SR"} <= set(kinds_of(archive, uid))
