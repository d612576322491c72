"""Where a scan came from and everything done to it since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Step:
    """One processing step with its parameters (JSON values only)."""

    name: str
    parameters: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Provenance:
    """Identity of the input and the list of steps since."""

    source_format: str = "array"
    """How the input was stored: ``dicom``, ``nifti``, ``picture``, ``array`` ..."""
    sha256: str | None = None
    """Hash of the bytes the scan was read from, files in slice order; ``None`` for arrays."""
    files: int = 0
    """Number of files the voxels came from."""
    instance_uids: tuple[str, ...] = ()
    """SOP Instance UID of every slice in slice order, where the input has them."""
    steps: tuple[Step, ...] = ()
    """What was done since, oldest first."""

    def after(self, name: str, **parameters: object) -> Provenance:
        """Return the provenance with one more step."""
        return replace(self, steps=(*self.steps, Step(name, MappingProxyType(dict(parameters)))))
