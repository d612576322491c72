"""Archives that claim more than they hold."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from groundglass.errors import UnsafeInputError
from groundglass.readers.read import read_scan


@pytest.mark.parametrize("size", [1 << 40, 1 << 62, (1 << 63) + 5])
def test_an_absurd_member_of_a_tar_is_refused_before_it_is_read(tmp_path: Path, size: int) -> None:
    info = tarfile.TarInfo("slice.dcm")
    info.size = size
    path = tmp_path / "series.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(UnsafeInputError, match="unpacks to more than 16 GiB"):
        read_scan(path)
