"""What is published on the classifier that makes the X-ray initialisation: nothing comparable."""

from __future__ import annotations

from collections.abc import Mapping

SOURCE = (
    "The five-class chest X-ray data are described in Sensors 21, 1742 (2021); neither its "
    "checkpoint nor its training recipe is published"
)


def published_for(dataset: str) -> tuple[str, Mapping[str, Mapping[str, float]]]:  # noqa: ARG001
    """Return the source and an empty table."""
    return SOURCE, {}
