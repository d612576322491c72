"""groundglass reads a chest CT: how much of the lung is ill, where, and how badly.

>>> import groundglass as gg
>>> scan = gg.read_scan("SERIES_FOLDER")  # doctest: +SKIP
>>> result = gg.analyze(scan)  # doctest: +SKIP
>>> result.burden.regions["total"].percent.value  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundglass.core.results import CaseResult
    from groundglass.core.scan import Intensity, Scan
    from groundglass.pipeline import AnalyzeConfig, analyze
    from groundglass.readers.read import ReadOptions, read_scan
    from groundglass.writers.folder import write_case

__version__ = version("groundglass")

_HOME = {
    "AnalyzeConfig": "groundglass.pipeline",
    "CaseResult": "groundglass.core.results",
    "Intensity": "groundglass.core.scan",
    "ReadOptions": "groundglass.readers.read",
    "Scan": "groundglass.core.scan",
    "analyze": "groundglass.pipeline",
    "read_scan": "groundglass.readers.read",
    "write_case": "groundglass.writers.folder",
}

__all__ = [
    "AnalyzeConfig",
    "CaseResult",
    "Intensity",
    "ReadOptions",
    "Scan",
    "__version__",
    "analyze",
    "read_scan",
    "write_case",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module at first use, so that importing stays quick."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    msg = f"module 'groundglass' has no attribute '{name}'"
    raise AttributeError(msg)
