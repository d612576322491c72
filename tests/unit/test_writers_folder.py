from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from groundglass.errors import ExportError, NoLungsError
from groundglass.writers import folder
from groundglass.writers.folder import check_out, write_case, write_refusal
from groundglass.writers.summary import refusal_document
from tests.cases import picture_case, volume_case

REFUSAL = refusal_document(NoLungsError("no lung was found"))

FILES = tuple(name for name in folder.FILES if name != "attention.nii.gz")
"""Written without a classifier."""


def leftovers(path: Path) -> list[str]:
    return [found.name for found in path.iterdir() if found.name.startswith(".")]


def test_a_result_is_written_whole(tmp_path: Path) -> None:
    files = write_case(volume_case(), tmp_path / "new" / "out")
    told = [name for name in FILES if name != "lobes.nii.gz"]  # the case has no lobes
    assert [path.name for path in files] == told
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == sorted(told)
    assert all(path.stat().st_size for path in files)
    assert leftovers(tmp_path / "new") == []
    document = json.loads((tmp_path / "new" / "out" / "result.json").read_text())
    assert document["status"] == "analyzed"
    assert json.loads((tmp_path / "new/out/config.json").read_text()) == {"threshold_hu": -600.0}


def test_pictures_are_written_too(tmp_path: Path) -> None:
    assert len(write_case(picture_case(), tmp_path / "out")) == len(FILES) - 1  # no lobes


def test_nothing_is_replaced_without_force(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "slices.csv").write_text("mine")
    with pytest.raises(ExportError, match=r"already holds slices\.csv.*--force"):
        write_case(volume_case(), out)
    assert (out / "slices.csv").read_text() == "mine"
    assert sorted(path.name for path in out.iterdir()) == ["slices.csv"]
    assert leftovers(tmp_path) == []


def test_force_replaces_our_files_and_no_others(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_case(volume_case(), out)
    (out / "notes.txt").write_text("mine")
    (out / "report.html").write_text("old")
    write_case(volume_case(14), out, force=True)
    assert (out / "notes.txt").read_text() == "mine"
    assert "<html" in (out / "report.html").read_text()
    assert json.loads((out / "result.json").read_text())["scan"]["slices"] == 14


def test_a_forced_refusal_takes_an_older_result_away(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_case(volume_case(), out)
    (out / "notes.txt").write_text("mine")
    write_refusal(REFUSAL, out, force=True)
    assert sorted(path.name for path in out.iterdir()) == ["notes.txt", "result.json"]
    assert json.loads((out / "result.json").read_text())["status"] == "refused"


def test_a_link_in_the_folder_is_replaced_and_not_followed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    victim = tmp_path / "victim.json"
    victim.write_text("theirs")
    (out / "result.json").symlink_to(victim)
    with pytest.raises(ExportError, match=r"already holds result\.json"):
        write_refusal(REFUSAL, out)
    write_refusal(REFUSAL, out, force=True)
    assert victim.read_text() == "theirs"
    assert not (out / "result.json").is_symlink()


def test_folders_that_cannot_hold_a_result_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    source = tmp_path / "scan"
    source.mkdir()
    taken = tmp_path / "taken"
    (taken / "result.json").mkdir(parents=True)
    with pytest.raises(ExportError, match="a file of that name exists"):
        check_out(file)
    with pytest.raises(ExportError, match="symbolic link"):
        check_out(link)
    with pytest.raises(ExportError, match="inside the input"):
        check_out(source / "deep" / "out", source=source)
    with pytest.raises(ExportError, match="inside the input"):
        check_out(source, source=source)
    with pytest.raises(ExportError, match=r"holds folders.*result\.json"):
        check_out(taken, force=True)
    with pytest.raises(ExportError, match="cannot be"):
        write_refusal(REFUSAL, file / "out")
    check_out(tmp_path / "fine", source=source)


def test_a_name_that_is_too_long_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="the name is too long") as caught:
        write_refusal(REFUSAL, tmp_path / ("x" * 300))
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "not permitted")]
)
def test_a_failing_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def fail(*_: Any, **__: Any) -> bytes:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(folder, "preview_png", fail)
    with pytest.raises(ExportError, match=words):
        write_case(volume_case(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_stopping_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "render_report", stop)
    with pytest.raises(KeyboardInterrupt):
        write_case(volume_case(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_stopping_while_replacing_keeps_the_old_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_case(volume_case(), tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    monkeypatch.setattr(folder, "render_report", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_case(volume_case(14), tmp_path / "out", force=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_result_never_replaces_its_own_input(tmp_path: Path) -> None:
    mask = tmp_path / "lungs.nii.gz"
    mask.write_bytes(b"corrected by hand")
    for source in (mask, tmp_path / ".." / tmp_path.name / "lungs.nii.gz"):
        with pytest.raises(ExportError, match="would replace"):
            check_out(tmp_path, force=True, source=source)
        with pytest.raises(ExportError, match="would replace"):
            write_refusal(REFUSAL, tmp_path, force=True, source=source)
    assert mask.read_bytes() == b"corrected by hand"
