"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent

settings.register_profile(
    "groundglass",
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("groundglass")


def data_folder() -> Path:
    """Return where the real data lies, whether or not it does."""
    named = os.environ.get("GROUNDGLASS_DATA")
    return Path(named) if named else ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data; skips the test where it is absent."""
    folder = data_folder()
    if not folder.is_dir():
        pytest.skip("no real data: set GROUNDGLASS_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the project."""
    return ROOT
