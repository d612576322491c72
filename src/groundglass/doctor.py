"""Does everything an analysis needs work on this machine, and if not, how to mend it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NEEDED_PYTHON = (3, 11)
NEEDED_MEMORY_GB = 1.0
"""What a series of 150 slices of 512 x 512 takes, rounded up."""
NEEDED_DISK_GB = 0.5
LIBRARIES = ("numpy", "scipy", "SimpleITK", "pydicom", "nibabel", "tifffile", "pillow", "pydantic")
COMPRESSIONS = ("uncompressed", "RLE", "JPEG Lossless", "JPEG-LS", "JPEG 2000", "HTJ2K")
_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
_USES = ("memory.current", "memory/memory.usage_in_bytes")


class State(StrEnum):
    """What a finding means."""

    OK = "ok"
    """It works."""
    NOTE = "note"
    """Good to know; an analysis works."""
    FAILS = "fails"
    """An analysis would fail."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    """What."""
    state: State
    """Whether it works."""
    found: str
    """What was found."""
    mend: str = ""
    """What to do, where something is to be done."""


def examine() -> tuple[Finding, ...]:
    """Return what was found out about this machine; nothing is changed and nothing is fetched."""
    checks: tuple[Callable[[], Finding], ...] = (
        python_version,
        *(lambda name=name: library(name) for name in LIBRARIES),
        *(lambda name=name: decoder(name) for name in COMPRESSIONS),
        memory,
        processors,
        temporary_folder,
        cache_folder,
        network,
        models,
        small_analysis,
    )
    return tuple(check() for check in checks)


def python_version() -> Finding:
    """Look at the interpreter."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < NEEDED_PYTHON:
        return Finding("Python", State.FAILS, found, "install Python 3.11 or newer")
    return Finding("Python", State.OK, found)


def library(name: str) -> Finding:
    """Look whether a library is installed."""
    try:
        return Finding(name, State.OK, version(name))
    except PackageNotFoundError:
        return Finding(name, State.FAILS, "not installed", f"pip install {name.lower()}")


def decoder(compression: str) -> Finding:
    """Decode a tiny DICOM file and compare it with the known pixels."""
    name = f"DICOM {compression}"
    mend = "pip install --upgrade --force-reinstall SimpleITK pydicom"
    try:
        right = _decodes(compression)
    except Exception as error:  # noqa: BLE001 - whatever a decoder raises is the finding
        return Finding(name, State.FAILS, f"cannot be decoded: {type(error).__name__}", mend)
    if not right:
        return Finding(name, State.FAILS, "decodes to wrong pixels", mend)
    return Finding(name, State.OK, "decodes to the known pixels")


def _decodes(compression: str) -> bool:
    """Return whether a sample is read as what it is; a broken library must not stop the doctor."""
    from groundglass.doctor_samples import sample_dataset, sample_hu  # noqa: PLC0415
    from groundglass.readers.read import read_scan  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.dcm"
        sample_dataset(compression).save_as(path, enforce_file_format=True)
        voxels = read_scan(path).voxels
    wanted = sample_hu()[None]
    return voxels.shape == wanted.shape and bool((voxels == wanted).all())


def memory() -> Finding:
    """Compare free memory with what a usual series takes."""
    free = free_memory_gb()
    if free is None:
        return Finding("Memory", State.NOTE, "how much is free cannot be told on this system")
    found = f"{free:.1f} GB free, {NEEDED_MEMORY_GB:.0f} GB needed for 150 slices of 512 x 512"
    if free < NEEDED_MEMORY_GB:
        return Finding("Memory", State.FAILS, found, "close programs or use a larger machine")
    return Finding("Memory", State.OK, found)


def free_memory_gb() -> float | None:
    """Return the memory that can be taken, a container's limit included; ``None`` if not known."""
    amounts = []
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        told = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
        amounts += [int(kilobytes) * 1024 for kilobytes in told]
    except OSError:
        if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
            amounts.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit, use in zip(_LIMITS, _USES, strict=True):
        allowed, used = _control_group(limit), _control_group(use)
        if allowed is not None and used is not None:
            amounts.append(max(0, allowed - used))
    return min(amounts) / 1e9 if amounts else None


def _control_group(name: str) -> int | None:
    try:
        return int((Path("/sys/fs/cgroup") / name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def processors() -> Finding:
    """Count the processors this process may use."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    return Finding("Processors", State.OK, f"{count}")


def temporary_folder() -> Finding:
    """Look whether archives can be unpacked: a writable folder with room."""
    mend = "name a folder with room in the environment variable TMPDIR"
    try:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "try").write_bytes(b"1")
            free = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        found = f"cannot be written: {error.strerror or type(error).__name__}"
        return Finding("Temporary folder", State.FAILS, found, mend)
    found = f"writable, {free:.1f} GB free"
    if free < NEEDED_DISK_GB:
        return Finding("Temporary folder", State.FAILS, found, mend)
    return Finding("Temporary folder", State.OK, found)


def cache_folder() -> Finding:
    """Look whether the folder for added models could be written; no analysis needs it yet."""
    from groundglass.models.catalogue import FOLDER_VARIABLE, user_folder  # noqa: PLC0415

    folder = user_folder()
    there = next((place for place in (folder, *folder.parents) if place.exists()), None)
    if there is not None and there.is_dir() and os.access(there, os.W_OK):
        return Finding("Folder for models", State.OK, "writable; models added are kept in it")
    found = "cannot be written; an analysis does not need it"
    mend = f"name a writable folder in the environment variable {FOLDER_VARIABLE}"
    return Finding("Folder for models", State.NOTE, found, mend)


def network() -> Finding:
    """Say which commands may open network connections; none is opened to find out."""
    from groundglass.sealed import OFFLINE_VARIABLE, wish  # noqa: PLC0415

    wished = wish()
    if wished is None:
        found = "sealed while scans are read: analyze, deidentify and demo open no connection"
    elif wished:
        found = f"sealed: no command opens a connection ({OFFLINE_VARIABLE} is set)"
    else:
        found = f"open: {OFFLINE_VARIABLE} takes the seal off all commands"
        return Finding("Network", State.NOTE, found, f"unset {OFFLINE_VARIABLE}")
    return Finding("Network", State.OK, found)


def models() -> Finding:
    """Say which models are there and whether their files are the ones their cards name."""
    mend = "groundglass models verify says which; reinstall groundglass or add the model again"
    try:
        from groundglass.models.catalogue import load_catalogue  # noqa: PLC0415

        entries = load_catalogue().entries
        for entry in entries:
            entry.content()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        found = f"a model is broken ({type(error).__name__}); an analysis does not need it"
        return Finding("Models", State.NOTE, found, mend)
    names = ", ".join(entry.card.name for entry in entries)
    return Finding("Models", State.OK, f"{names or 'none'}; an analysis needs none")


def small_analysis() -> Finding:
    """Analyze a small phantom in memory and compare with its truth."""
    mend = "reinstall groundglass and its libraries into a new environment"
    try:
        measured, truth = _small_lungs_ml()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return Finding("Analysis", State.FAILS, f"a phantom failed: {type(error).__name__}", mend)
    if measured is None or abs(measured / truth - 1) > 0.1:
        return Finding("Analysis", State.FAILS, "a phantom's lungs measured wrong", mend)
    found = f"a phantom's lungs measured {measured:.0f} ml, truth {truth:.0f} ml"
    return Finding("Analysis", State.OK, found)


def _small_lungs_ml() -> tuple[float | None, float]:
    """Return the lung volume of a small phantom, measured and true."""
    from groundglass.phantom import Chest, build_chest  # noqa: PLC0415
    from groundglass.pipeline import analyze  # noqa: PLC0415

    chest = Chest(shape=(54, 96, 96), spacing_mm=(5.0, 3.75, 3.75))
    return analyze(build_chest(chest)).burden.regions["total"].lung_ml.value, chest.lungs_ml
