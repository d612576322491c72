"""The node against other people's programs: dcmtk, Orthanc, pynetdicom."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom
import pytest

from groundglass.errors import PacsError
from groundglass.pacs import ask
from groundglass.pacs.nodes import Caller, Login, Peer, Tls, parse_node, parse_peer
from groundglass.pacs.study import Limits, State
from groundglass.pacs.work import Plan, Worker
from tests.pacs_nodes import (
    PASSWORD,
    USER,
    Archive,
    certificate,
    receiving,
    storescu,
    wait_for,
)
from tests.series import block, compress, make_slices, save

pytest.importorskip("pynetdicom")
pytest.importorskip("dicomweb_client")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]
PLAIN = Tls()
READER = Login(user=USER, password=PASSWORD)


def series(folder: Path, slices: int = 6) -> Path:
    """Write a series of its own study."""
    return save(make_slices(block((slices, 32, 32))), folder, "{:03d}.dcm".format)


def test_four_senders_at_once_lose_nothing(tmp_path: Path) -> None:
    studies = [series(tmp_path / f"study{i}", 12) for i in range(4)]
    with receiving(tmp_path / "spool") as node:
        with ThreadPoolExecutor(8) as pool:
            codes = list(pool.map(lambda study: storescu(node.peer, study), studies * 2))
        assert codes == [0] * 8
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
            ask.send(node.peer, [study], Caller("MODALITY"))
        assert node.count() == 4
        assert not Worker(node.spool, Plan(quiet_seconds=0.0)).step()
        (key,) = node.spool.keys(State.FAILED)
        reason = node.spool.note(key, State.FAILED).reason
        assert reason == "images of it were refused for want of room; send it again"


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
                ask.send(node.peer, [study], Caller("MODALITY"))
            kept = node.count()
            assert 0 < kept < 6
            for path in node.spool.root.glob("*/*/instances/*/*.dcm"):
                pydicom.dcmread(path)
            assert not list(small.rglob(".part-*"))
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)


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
        ask.send(node.peer, [study], Caller("MODALITY"))
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
        ask.send(node.peer, [study], Caller("MODALITY"))
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
            ask.send(peer, [study], Caller("MODALITY"))
    finally:
        server.shutdown()


def test_what_is_no_object_or_our_own_is_not_kept(tmp_path: Path) -> None:
    ours, nameless = make_slices(block((2, 32, 32)))
    ours.Manufacturer = "groundglass"
    nameless.StudyInstanceUID = ""
    study = save([ours, nameless], tmp_path / "study")
    with receiving(tmp_path / "spool") as node:
        with pytest.raises(PacsError, match=r"stored 1 of 2 objects .*0xC000"):
            ask.send(node.peer, [study], Caller("MODALITY"))
        assert node.count() == 0


def test_tls_lets_in_who_has_a_trusted_certificate(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path / "tls", "node")
    stranger, strange_key = certificate(tmp_path / "tls", "stranger")
    study = series(tmp_path / "study", 2)
    with receiving(tmp_path / "spool", tls=Tls(cert, key, cert)) as node:
        assert ask.send(node.peer, [study], Caller("MODALITY", Tls(cert, key, cert))) == 2
        for outsider in (PLAIN, Tls(ca=cert), Tls(stranger, strange_key, cert), Tls(cert, key)):
            with pytest.raises(PacsError, match="cannot be reached"):
                ask.echo(node.peer, Caller("MODALITY", outsider))
    client, client_key = certificate(tmp_path / "tls", "client")
    ours = Tls(cert, key, cert)
    with receiving(tmp_path / "archive", tls=Tls(stranger, strange_key, client)) as archive:
        back = ours.replaced(client, client_key, stranger)
        assert ask.send(archive.peer, [study], Caller("GROUNDGLASS", back)) == 2
        with pytest.raises(PacsError, match="cannot be reached"):
            ask.echo(archive.peer, Caller("GROUNDGLASS", ours))
    with pytest.raises(PacsError, match="needs a certificate and its key"):
        Tls(ca=cert).server()
    with pytest.raises(PacsError, match="cannot be read"):
        Tls(cert, strange_key).server()


@pytest.mark.parametrize("way", ["dicom", "web"])
def test_a_study_goes_out_is_found_and_comes_back(
    way: str, archive: Archive, tmp_path: Path
) -> None:
    study = series(tmp_path / "study")
    first = pydicom.dcmread(study / "000.dcm")
    node, login = parse_node(getattr(archive, way)), READER
    ask.echo(node, Caller(login=login))
    assert ask.send(node, [study], Caller(login=login)) == 6
    wanted = ask.Wanted(study=first.StudyInstanceUID)
    found = ask.find(node, wanted, Caller(login=login))
    assert [row["StudyInstanceUID"] for row in found] == [first.StudyInstanceUID]
    assert found[0]["PatientID"] == first.PatientID
    wanted = ask.Wanted("SERIES", study=first.StudyInstanceUID)
    rows = ask.find(node, wanted, Caller(login=login))
    assert [row["SeriesInstanceUID"] for row in rows] == [first.SeriesInstanceUID]
    for level in ({"study": first.StudyInstanceUID}, {"series": first.SeriesInstanceUID}):
        wanted = ask.Wanted(**{"study": first.StudyInstanceUID, **level})
        out = tmp_path / f"{way}-{len(level)}-{next(iter(level))}"
        files = ask.get(node, wanted, out, Caller(login=login))
        assert {pydicom.dcmread(f).SOPInstanceUID for f in files} == {
            pydicom.dcmread(f).SOPInstanceUID for f in study.iterdir()
        }
    gone = ask.Wanted(study="1.2.3.4")
    with pytest.raises(PacsError, match=r"holds nothing|failed|404"):
        ask.get(node, gone, tmp_path / f"{way}-none", Caller(login=login))


def test_who_is_not_known_is_refused(archive: Archive) -> None:
    web = parse_node(archive.web)
    for login in (Login(), Login(user=USER, password="wrong"), Login(token="wrong")):
        with pytest.raises(PacsError, match=r"HTTP 40[13]; check token or password"):
            ask.echo(web, Caller(login=login))
    peer = parse_peer(archive.dicom)
    with pytest.raises(PacsError, match="refused the call"):
        ask.echo(Peer("OTHER", peer.host, peer.port), Caller())
    with pytest.raises(PacsError, match="cannot be reached"):
        ask.echo(Peer("ORTHANC", "127.0.0.1", 1), Caller())
    with pytest.raises(PacsError, match="https only"):
        ask.echo(parse_node("http://pacs.example/dicom-web"), Caller(login=READER))
