"""What several integration tests ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pacs_nodes import Archive, orthanc


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """A running Orthanc with DICOMweb; skips the test where it is not installed."""
    with orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running
