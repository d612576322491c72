"""What the benchmarks write: a report as JSON that says on what machine it was measured."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

MACHINE = (
    f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
    f"Python {platform.python_version()}"
)
"""The machine, without naming it."""


def write_report(report: dict[str, Any], path: Path | None) -> str:
    """Return a report as JSON with the machine first; write it where a file is named."""
    text = json.dumps({"machine": MACHINE, **report}, indent=2) + "\n"
    if path is not None:
        path.write_text(text, encoding="utf-8")
    return text
