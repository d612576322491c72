"""Archives are unpacked without harm: nothing leaves the folder, nothing grows without end."""

from __future__ import annotations

import errno
import gzip
import io
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from groundglass.core.verdict import Status, Verdict
from groundglass.errors import ReadError, UnsafeInputError
from groundglass.readers import archive
from groundglass.readers.archive import unpacked


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which temporary folders are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def zip_of(path: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path


def tar_of(path: Path, members: Sequence[tuple[str, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def contents(path: Path, told: list[Verdict] | None = None) -> dict[str, bytes]:
    """Return what an archive unpacks to, by path inside the folder."""
    with unpacked(path, (told if told is not None else []).append) as folder:
        return {
            str(file.relative_to(folder)): file.read_bytes()
            for file in folder.rglob("*")
            if file.is_file()
        }


MAKERS: dict[str, Callable[[Path, Sequence[tuple[str, bytes]]], Path]] = {
    "zip": zip_of,
    "tar": tar_of,
    "tar.gz": lambda path, members: tar_of(path, members, "w:gz"),
    "tar.bz2": lambda path, members: tar_of(path, members, "w:bz2"),
    "tar.xz": lambda path, members: tar_of(path, members, "w:xz"),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_members_keep_folders_and_plain_names(kind: str, tmp_path: Path, scratch: Path) -> None:
    path = MAKERS[kind](tmp_path / "any-name", [("study/a.dcm", b"one"), ("b", b"two")])
    told: list[Verdict] = []
    assert contents(path, told) == {"study/a.dcm": b"one", "b": b"two"}
    assert told == []
    assert list(scratch.iterdir()) == []


HOSTILE = (
    "../outside", "/outside", "a/../../outside", "..\\outside", "C:\\outside", "\\\\host\\share",
)  # fmt: skip


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", HOSTILE)
def test_paths_that_leave_are_left_out_and_said(kind: str, name: str, tmp_path: Path) -> None:
    path = MAKERS[kind](tmp_path / "x", [(name, b"evil"), ("good", b"fine")])
    told: list[Verdict] = []
    assert contents(path, told) == {"good": b"fine"}
    assert told[0].check == "files_skipped"
    assert "1 links, devices or paths" in told[0].found
    assert name not in told[0].sentence
    assert not list(tmp_path.rglob("outside"))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_never_made(kind: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as file:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc"
        file.addfile(info)
        inside = tarfile.TarInfo("link/passwd")
        inside.size = 4
        file.addfile(inside, io.BytesIO(b"evil"))
    assert contents(path) == {"link/passwd": b"evil"}


def test_a_link_in_a_zip_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        file.writestr(info, "/etc/passwd")
        file.writestr("good", b"fine")
    assert contents(path) == {"good": b"fine"}


@pytest.mark.parametrize("name", ["new\nline", "-rf", "%s", "ünïcödé", "a" * 300 + ".dcm", "$(id)"])
def test_strange_names_are_replaced(name: str, tmp_path: Path) -> None:
    (written,) = contents(zip_of(tmp_path / "a.zip", [(name, b"data")]))
    assert written.startswith("member-")
    assert written.endswith(".dcm") == name.endswith(".dcm")


def test_the_first_of_members_of_one_name_counts(tmp_path: Path) -> None:
    told: list[Verdict] = []
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zip_of(tmp_path / "a.zip", [("a", b"first"), ("a", b"second"), ("A", b"third")])
    assert contents(path, told) == {"a": b"first"}
    assert "2 files under a name that came before" in told[0].found


def test_encrypted_members_are_left_out_or_the_reason(tmp_path: Path) -> None:
    def encrypt(path: Path, entry: int) -> Path:
        data = bytearray(path.read_bytes())
        place = -1
        for _ in range(entry):
            place = data.find(b"PK\x01\x02", place + 1)
        data[place + 8] |= 1
        path.write_bytes(data)
        return path

    told: list[Verdict] = []
    path = encrypt(zip_of(tmp_path / "some.zip", [("a", b"1"), ("b", b"2")]), 1)
    assert contents(path, told) == {"b": b"2"}
    assert "1 encrypted files" in told[0].found
    assert told[0].status is Status.WARNING
    with pytest.raises(ReadError, match="encrypted; unpack it with its password"):
        contents(encrypt(zip_of(tmp_path / "all.zip", [("a", b"1")]), 1))


def test_a_damaged_member_is_left_out(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", [("a", b"x" * 500), ("b", b"fine")])
    data = bytearray(path.read_bytes())
    data[data.find(b"PK\x01\x02") + 16] ^= 0xFF
    path.write_bytes(data)
    told: list[Verdict] = []
    assert contents(path, told) == {"b": b"fine"}
    assert "1 damaged files" in told[0].found


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_whole_members_before_a_cut_are_used_and_said(kind: str, tmp_path: Path) -> None:
    import random

    noise = random.Random(1)
    members = [(str(i), noise.randbytes(20_000)) for i in range(10)]
    path = MAKERS[kind](tmp_path / "a", members)
    path.write_bytes(path.read_bytes()[:120_000])
    told: list[Verdict] = []
    found = contents(path, told)
    assert 3 <= len(found) <= 6
    assert all(found[name] == dict(members)[name] for name in found)
    assert "truncated_file" in {verdict.check for verdict in told}


def test_a_cut_zip_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", [("a", b"x" * 500)])
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ReadError, match="damaged or cut off: its table of contents"):
        contents(path)


def test_nothing_to_unpack_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="holds no file"):
        contents(zip_of(tmp_path / "empty.zip", []))
    with pytest.raises(ReadError, match="only links, devices or paths"):
        contents(zip_of(tmp_path / "evil.zip", [("../x", b"")]))
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ReadError, match="ZIP or tar archive is needed"):
        contents(tmp_path / "text")
    (tmp_path / "cut.tar").write_bytes(
        tar_of(tmp_path / "a.tar", [("a", b"x" * 5000)]).read_bytes()[:1500]
    )
    with pytest.raises(ReadError, match="before its first whole file"):
        contents(tmp_path / "cut.tar")


def test_one_file_in_gzip_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.dcm.gz").write_bytes(gzip.compress(b"slice"))
    assert contents(tmp_path / "a.dcm.gz") == {"content": b"slice"}


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind != "tar"])
def test_a_bomb_is_refused_and_nothing_stays(
    kind: str, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "RATIO_FREE_BYTES", 2**20)
    path = MAKERS[kind](tmp_path / "bomb", [(str(i), bytes(2**20)) for i in range(4)])
    with pytest.raises(UnsafeInputError, match="200 times"):
        contents(path)
    assert list(scratch.iterdir()) == []


def test_a_header_that_claims_little_does_not_help_a_bomb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "RATIO_FREE_BYTES", 2**20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(2**23)))
    with pytest.raises(UnsafeInputError, match="made to fill the disk"):
        contents(tmp_path / "bomb.gz")


def test_size_and_number_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zip_of(tmp_path / "a.zip", [(str(i), bytes(1000)) for i in range(10)])
    monkeypatch.setattr(archive, "MAX_MEMBERS", 9)
    with pytest.raises(UnsafeInputError, match="more than 9 files"):
        contents(path)
    monkeypatch.setattr(archive, "MAX_MEMBERS", 10)
    monkeypatch.setattr(archive, "MAX_BYTES", 9000)
    with pytest.raises(UnsafeInputError, match="unpacks to more than"):
        contents(path)


def test_a_full_disk_is_seen_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zip_of(tmp_path / "a.zip", [("a", bytes(2**20))])
    usage = shutil.disk_usage(tmp_path)
    full = usage._replace(free=archive.RESERVE_BYTES + 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(UnsafeInputError, match="temporary space"):
        contents(path)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_disk_that_fills_up_is_no_damage(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = MAKERS[kind](tmp_path / "a", [("a", b"data")])
    monkeypatch.setattr(archive._Job, "_count", fail)
    with pytest.raises(UnsafeInputError, match="disk is full"):
        contents(path)


def test_archives_inside_are_opened_once(tmp_path: Path) -> None:
    inner = zip_of(tmp_path / "inner.zip", [("slice", b"data")])
    middle = zip_of(tmp_path / "middle.zip", [("inner.zip", inner.read_bytes())])
    outer = zip_of(tmp_path / "outer.zip", [("m.zip", middle.read_bytes()), ("x", b"plain")])
    assert contents(middle) == {"archive-00000/slice": b"data"}
    told: list[Verdict] = []
    assert contents(outer, told) == {"x": b"plain"}
    assert "1 archives inside archives" in told[0].found
    with pytest.raises(ReadError, match="more than 1 deep"):
        contents(zip_of(tmp_path / "o2.zip", [("m.zip", middle.read_bytes())]))


def test_the_folder_goes_away_after_an_error(tmp_path: Path, scratch: Path) -> None:
    path = zip_of(tmp_path / "a.zip", [("a", b"1")])

    def fail() -> None:
        with unpacked(path):
            msg = "inside"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert list(scratch.iterdir()) == []
