"""ZIP and tar archives, unpacked to a temporary folder without trusting them.

Members are written under plain names of our own making into one folder that is removed afterwards.
Whatever could leave that folder (paths upwards, absolute paths, links, devices) is never written,
and sizes are counted while writing, so that what a header claims does not matter.
"""

from __future__ import annotations

import errno
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import Path
from typing import IO, cast

from groundglass.core.verdict import Status, Verdict
from groundglass.errors import ReadError, UnsafeInputError
from groundglass.readers import sniff

MAX_BYTES = 16 * 2**30
"""Most that is unpacked in all: several thousand slices."""
MAX_MEMBERS = 50_000
"""Most files of an archive, those in archives inside it counted."""
MAX_RATIO = 200
"""Most bytes unpacked per byte of the archive; CT slices shrink by less than 10 to 1."""
RATIO_FREE_BYTES = 256 * 2**20
"""Up to this size any ratio is allowed: empty slices shrink a lot and harm nobody."""
MAX_DEPTH = 1
"""How many archives deep an archive may lie inside another."""
RESERVE_BYTES = 512 * 2**20
"""Space that is left free on the disk."""
_CHUNK_BYTES = 2**20
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. +%()=-]{0,120}")
_STREAM_ERRORS = (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error, LZMAError)

OnVerdict = Callable[[Verdict], None]


def _keep_silent(_: Verdict) -> None:
    """Take no notice."""


@contextmanager
def unpacked(path: Path, on_verdict: OnVerdict = _keep_silent) -> Iterator[Path]:
    """Unpack an archive into a temporary folder and yield that folder.

    Parameters
    ----------
    path : Path
        A ZIP file, a tar file (also compressed by gzip, bzip2 or xz), or one file in gzip.
    on_verdict : callable
        Told about members that were left out and about a cut-off end.

    Yields
    ------
    Path
        Folder of plain files; removed when the context ends, also after an error. Archives inside
        the archive are unpacked ``MAX_DEPTH`` deep, those below are left out.

    Raises
    ------
    UnsafeInputError
        If the archive would unpack to too many bytes or files, or fill the disk.
    ReadError
        If it is damaged beyond use, wholly encrypted, or holds no file.
    """
    with tempfile.TemporaryDirectory(prefix="groundglass-") as name:
        job = _Job(Path(name), max(path.stat().st_size, 1))
        job.unpack(path, Path(name), 0)
        if job.files == 0:
            raise ReadError(job.reason_for_nothing())
        for verdict in job.verdicts():
            on_verdict(verdict)
        yield Path(name)


@dataclass
class _Job:
    """Budgets and counts of one unpacking."""

    folder: Path
    archive_bytes: int
    written: int = 0
    members: int = 0
    files: int = 0
    unsafe: int = 0
    encrypted: int = 0
    damaged: int = 0
    nested: int = 0
    repeated: int = 0
    cut: bool = False
    _taken: set[str] = field(default_factory=set)

    def unpack(self, path: Path, target: Path, depth: int) -> None:
        """Unpack one archive into the folder ``target``."""
        what = sniff.kind(path)
        if what == "zip":
            self._unpack_zip(path, target)
        elif what == "tar":
            self._unpack_tar(path, target)
        elif what == "gzip":
            self._unpack_gzip(path, target)
        else:
            msg = "a ZIP or tar archive is needed, and the file's content is neither"
            raise ReadError(msg)
        self._open_nested(target, depth)

    def _open_nested(self, target: Path, depth: int) -> None:
        inner = [p for p in sorted(target.rglob("*")) if sniff.kind(p) in ("zip", "tar")]
        for number, path in enumerate(inner):
            self.files -= 1
            if depth >= MAX_DEPTH:
                self.nested += 1
            else:
                place = path.parent / f"archive-{number:05d}"
                place.mkdir()
                try:
                    self.unpack(path, place, depth + 1)
                except UnsafeInputError:
                    raise
                except ReadError:
                    self.damaged += 1
            path.unlink()

    def _unpack_zip(self, path: Path, target: Path) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                infos = archive.infolist()
                self._announce(len(infos), sum(info.file_size for info in infos))
                for info in infos:
                    self._take_zip_member(archive, info, target)
        except _STREAM_ERRORS as error:
            msg = (
                "the ZIP file is damaged or cut off: its table of contents cannot be read; copy "
                "or download it again"
            )
            raise ReadError(msg) from error

    def _take_zip_member(
        self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path
    ) -> None:
        mode = info.external_attr >> 16
        if info.is_dir():
            return
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            self.unsafe += 1
        elif info.flag_bits & 0x1:
            self.encrypted += 1
        else:
            try:
                self._write(info.filename, lambda: archive.open(info), target)
            except (NotImplementedError, RuntimeError):
                self.damaged += 1

    def _unpack_tar(self, path: Path, target: Path) -> None:
        opener = sniff.opener_of(sniff.first_bytes(path)) or (lambda p: p.open("rb"))
        try:
            with (
                opener(path) as stream,
                tarfile.open(
                    fileobj=cast("IO[bytes]", _Counted(stream, self)), mode="r|"
                ) as archive,
            ):
                for member in archive:
                    # A stream is skipped by reading it, so an absurd claim would take for ever.
                    self._announce(1, max(member.size, 0))
                    self._take_tar_member(archive, member, target)
        except _STREAM_ERRORS:
            self.cut = True

    def _take_tar_member(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path
    ) -> None:
        if member.isdir():
            return
        if not member.isreg():
            self.unsafe += 1
            return
        source = archive.extractfile(member)
        if source is not None:
            self._write(member.name, lambda: source, target)

    def _unpack_gzip(self, path: Path, target: Path) -> None:
        opener = sniff.opener_of(sniff.first_bytes(path))
        assert opener is not None
        self._announce(1, 0)
        self._write("content", lambda: opener(path), target)

    def _write(self, name: str, opened: Callable[[], IO[bytes]], target: Path) -> None:
        """Write one member; a damaged one leaves no file."""
        parts = _plain_parts(name, self.members + self.files)
        if parts is None:
            self.unsafe += 1
            return
        place = target.joinpath(*parts)
        if str(place).casefold() in self._taken:
            self.repeated += 1
            return
        self._taken.add(str(place).casefold())
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with opened() as source, place.open("xb") as sink:
                while chunk := source.read(_CHUNK_BYTES):
                    self._count(len(chunk))
                    sink.write(chunk)
        except _STREAM_ERRORS as error:
            if getattr(error, "errno", None) == errno.ENOSPC:
                msg = "the disk is full; make room for the unpacked archive or unpack it elsewhere"
                raise UnsafeInputError(msg) from error
            place.unlink(missing_ok=True)
            self.damaged += 1
            return
        self.files += 1

    def _announce(self, members: int, claimed_bytes: int) -> None:
        """Refuse what an archive says of itself before anything is unpacked."""
        self.members += members
        if self.members > MAX_MEMBERS:
            msg = f"the archive holds more than {MAX_MEMBERS} files; unpack what belongs to a scan"
            raise UnsafeInputError(msg)
        self._refuse_size(self.written + claimed_bytes)
        free = shutil.disk_usage(self.folder).free
        if claimed_bytes > free - RESERVE_BYTES:
            msg = (
                f"the archive needs {claimed_bytes / 2**30:.1f} GiB of temporary space and "
                f"{free / 2**30:.1f} GiB are free; make room or unpack it elsewhere"
            )
            raise UnsafeInputError(msg)

    def _count(self, size: int) -> None:
        self.written += size
        self._refuse_size(self.written)
        if self.written // (64 * _CHUNK_BYTES) != (self.written - size) // (64 * _CHUNK_BYTES):
            self._announce(0, 0)

    def _refuse_size(self, total: int) -> None:
        if total > MAX_BYTES:
            msg = f"the archive unpacks to more than {MAX_BYTES / 2**30:.0f} GiB"
            raise UnsafeInputError(msg)
        if total > RATIO_FREE_BYTES and total > MAX_RATIO * self.archive_bytes:
            msg = (
                f"the archive unpacks to more than {MAX_RATIO} times its size, as no CT does; "
                "it looks like an archive made to fill the disk"
            )
            raise UnsafeInputError(msg)

    def reason_for_nothing(self) -> str:
        """Return why nothing was unpacked."""
        if self.encrypted:
            return "the archive is encrypted; unpack it with its password first"
        if self.cut or self.damaged:
            return "the archive is damaged or cut off before its first whole file; copy it again"
        if self.unsafe:
            return "the archive holds only links, devices or paths that leave it; nothing is read"
        if self.nested:
            return f"the archive holds only archives more than {MAX_DEPTH} deep; unpack it by hand"
        return "the archive holds no file"

    def verdicts(self) -> Iterator[Verdict]:
        """Yield what was left out, as verdicts."""
        counts = (
            (self.unsafe, "links, devices or paths that leave the archive"),
            (self.encrypted, "encrypted files"),
            (self.damaged, "damaged files"),
            (self.repeated, "files under a name that came before"),
            (self.nested, "archives inside archives inside the archive"),
        )
        told = [f"{count} {words}" for count, words in counts if count]
        if told:
            yield Verdict(
                "files_skipped",
                Status.WARNING if self.encrypted or self.damaged else Status.NOTE,
                f"The archive holds {', '.join(told)}",
                f"They were left out and {self.files} files were read",
                "If slices were among them, volumes are too small",
            )
        if self.cut:
            yield Verdict(
                "truncated_file",
                Status.WARNING,
                "The archive is cut off",
                f"The {self.files} whole files before the end were used",
                "Slices may be missing: volumes may be too small and percentages off",
            )


class _Counted:
    """A stream of an archive that counts what is unpacked from it, headers included."""

    def __init__(self, stream: IO[bytes], job: _Job) -> None:
        self._stream = stream
        self._job = job
        self._read = 0

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, refusing when the stream grows without end."""
        data = self._stream.read(size)
        self._read += len(data)
        self._job._refuse_size(self._read)
        return data


def _plain_parts(name: str, number: int) -> list[str] | None:
    """Return the folders and file name to write a member to; ``None`` if it would leave."""
    if not name or "\x00" in name or "\\" in name or name.startswith("/") or ":" in name[:3]:
        return None
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or len(parts) > 32:
        return None
    return [
        part if _PLAIN_NAME.fullmatch(part) else f"member-{number:06d}{_suffix(part)}"
        for part in parts
    ]


def _suffix(name: str) -> str:
    found = re.search(r"\.[A-Za-z0-9]{1,5}$", name)
    return found.group() if found else ""
