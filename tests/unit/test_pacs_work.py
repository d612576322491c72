from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from groundglass.pacs.spool import Spool
from groundglass.pacs.work import Plan, Worker


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_an_analysis_begun_while_the_node_stops_is_ended(tmp_path: Path) -> None:
    worker = Worker(Spool(tmp_path / "spool"), Plan())
    worker.stop()
    (tmp_path / "study" / "input").mkdir(parents=True)
    code, said = worker._run(tmp_path / "study" / "input", tmp_path / "out")
    assert (code, said) == (-signal.SIGKILL, "")
