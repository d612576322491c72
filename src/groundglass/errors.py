"""The exceptions groundglass raises for bad data.

::

    GroundglassError
    ├── ReadError                    the input cannot become a scan
    │   ├── UnsupportedFormatError   no reader knows this content
    │   ├── UnsafeInputError         an archive or file that would harm the machine
    │   └── InconsistentSeriesError  slices that do not form one scan
    ├── UncalibratedError            Hounsfield units needed, values of another meaning found
    ├── GridMismatchError            two arrays that should share a voxel grid do not
    ├── NoLungsError                 no lung found in the scan
    ├── NotAnalyzableError           a check refused the scan; carries the verdicts
    ├── IdentityError                scans that are not known to be of one patient
    ├── ExportError                  a result cannot be written as asked
    ├── PacsError                    a node of the network refused, failed or cannot be reached
    ├── LeakError                    the same picture lies on two sides of a split
    ├── SealedError                  a network connection was asked for where none is allowed
    └── ModelError                   a network or its weights cannot be used
        ├── UnknownModelError        no model of that name; names near it are offered
        └── WeightsError             the file of a model is missing, broken or another one

A wrong call is a ``TypeError`` or ``ValueError`` as in any library. Messages say what was needed,
what was found and what to do; they never hold a patient's name or identifier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from groundglass.core.verdict import Verdict


class GroundglassError(Exception):
    """Base of every error about data, so that one ``except`` catches them all.

    Parameters
    ----------
    message : str
        One plain sentence: what was needed, what was found, what to do.
    verdicts : tuple of Verdict, optional
        What was already found out about the input before it was given up.
    """

    def __init__(self, message: str, verdicts: tuple[Verdict, ...] = ()) -> None:
        super().__init__(message)
        self.verdicts = verdicts


class ReadError(GroundglassError):
    """The input cannot be turned into a scan."""


class UnsupportedFormatError(ReadError):
    """No reader knows the content of the input."""


class UnsafeInputError(ReadError):
    """Opening the input would harm the machine: bombs, links out of the tree, absurd sizes."""


class InconsistentSeriesError(ReadError):
    """The slices found do not form one scan."""


class UncalibratedError(GroundglassError):
    """Hounsfield units are needed and the values mean something else, or nothing known."""


class GridMismatchError(GroundglassError):
    """Two arrays that must lie on one voxel grid do not."""


class NoLungsError(GroundglassError):
    """No lung was found in the scan."""


class NotAnalyzableError(GroundglassError):
    """A check refused the scan; ``verdicts`` says which and why."""


class IdentityError(GroundglassError):
    """Scans that should be of one patient are not known to be."""


class ExportError(GroundglassError):
    """A result cannot be written as asked."""


class PacsError(GroundglassError):
    """A node of the hospital's network refused, failed or cannot be reached."""


class ModelError(GroundglassError):
    """A network or its weights cannot be used."""


class UnknownModelError(ModelError):
    """No model goes by the name asked for."""


class WeightsError(ModelError):
    """The file of a model is missing, broken, or not the one its card names."""


class LeakError(GroundglassError):
    """The same picture lies on two sides of a split."""


class SealedError(GroundglassError):
    """A network connection was asked for where none is allowed."""
