"""How long a whole analysis takes, stage by stage, and how much memory.

    python benchmarks/analyze_time.py                         # a phantom series, made here
    python benchmarks/analyze_time.py SERIES --peer lungmask  # a real one, beside lungmask

Every measurement runs in a process of its own, so that its peak memory is its own. ``decode`` opens
every file with SimpleITK and does nothing else: what any program must pay to see the voxels.
``rule`` is the whole analysis by training-free rules alone, without the networks of the default.
``growth`` analyzes the same chest with half, all and twice the slices. The peer is lungmask's R231
network with random weights on the same volume: its time does not depend on the weights
(``pip install lungmask torch`` into the same environment; without them a sentence says so).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"
GROWTH = (0.5, 1.0, 2.0)
"""Numbers of slices, relative to the series."""
PHANTOM_SHAPE = (148, 512, 512)
PHANTOM_SPACING_MM = (2.0, 0.7, 0.7)


def main() -> None:
    """Measure, print a table, and write the JSON."""
    arguments = parse()
    if arguments.child:
        print(json.dumps(CHILDREN[arguments.child](arguments.input, arguments.factor)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.input or make_phantom_series(Path(scratch) / "series")
        report = measure(folder, arguments.repeat, arguments.peer)
    report["input"]["what"] = arguments.name or ("phantom" if arguments.input is None else "series")
    show(report)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("input", nargs="?", type=Path, help="series; a phantom if left out")
    parser.add_argument("--name", help="what to call the input in the results")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the median counts")
    parser.add_argument("--peer", choices=["lungmask"], help="another program, on the same volume")
    parser.add_argument("--output", type=Path, default=RESULTS / "analyze_time.json")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--factor", type=float, default=1.0, help=argparse.SUPPRESS)
    return parser.parse_args()


def make_phantom_series(folder: Path) -> Path:
    """Write the phantom chest as a DICOM series of a usual size."""
    from groundglass.phantom import Chest, build_chest
    from groundglass.phantom_dicom import write_series

    write_series(build_chest(Chest(PHANTOM_SHAPE, PHANTOM_SPACING_MM)), folder)
    return folder


def measure(folder: Path, repeat: int, peer: str | None) -> dict[str, Any]:
    """Return all measurements of one input."""
    decode = runs("decode", folder, repeat)
    whole = runs("whole", folder, repeat)
    rule = runs("rule", folder, repeat)
    growth = {str(factor): runs("growth", folder, repeat, factor) for factor in GROWTH}
    ratio = {unit: whole[unit] / decode[unit] for unit in ("seconds", "cpu_seconds")}
    report = {
        "machine": machine(),
        "versions": versions(),
        "input": {"slices": whole["slices"], "rows": whole["rows"], "columns": whole["columns"]},
        "repeat": repeat,
        "decode": decode,
        "whole": whole,
        "rule": rule,
        "whole_to_rule": {
            unit: round(whole[unit] / rule[unit], 2) for unit in ("seconds", "cpu_seconds")
        },
        "whole_to_decode": {unit: round(value, 2) for unit, value in ratio.items()},
        "growth": growth,
    }
    if peer:
        report["peer"] = {"name": peer, **runs("lungmask", folder, 1)}
    return report


def runs(child: str, folder: Path, repeat: int, factor: float = 1.0) -> dict[str, Any]:
    """Return the run of median duration of a child process, with the range of all."""
    command = [sys.executable, __file__, str(folder), "--child", child, "--factor", str(factor)]
    found = []
    for _ in range(repeat):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"failed": done.stderr.strip().splitlines()[-1:]}
        found.append(json.loads(done.stdout.splitlines()[-1]))
    if any("skipped" in one for one in found):
        return dict(found[0])
    middle = median(one["seconds"] for one in found)
    chosen = min(found, key=lambda one: abs(one["seconds"] - middle))
    return {**chosen, "range_seconds": [min(o["seconds"] for o in found), max_of(found)]}


def max_of(found: list[dict[str, Any]]) -> float:
    """Return the longest duration."""
    return float(max(one["seconds"] for one in found))


@contextmanager
def timed(stages: dict[str, Any], name: str) -> Iterator[None]:
    """Record wall and CPU seconds of a block, and the peak memory of the process after it."""
    start, before = time.perf_counter(), cpu_seconds()
    yield
    stages[name] = {
        "seconds": round(time.perf_counter() - start, 3),
        "cpu_seconds": round(cpu_seconds() - before, 3),
        "peak_mb": peak_mb(),
    }


def cpu_seconds() -> float:
    """Return processor time of this process so far, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mb() -> int:
    """Return the largest resident memory of this process so far in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)


def total(stages: dict[str, Any], *counted: str) -> dict[str, Any]:
    """Return the sum of stages with the stages themselves."""
    parts = [stages[name] for name in (counted or tuple(stages))]
    return {
        "seconds": round(sum(part["seconds"] for part in parts), 3),
        "cpu_seconds": round(sum(part["cpu_seconds"] for part in parts), 3),
        "peak_mb": peak_mb(),
        "stages": stages,
    }


def decode(folder: Path, _: float) -> dict[str, Any]:
    """Open every file with SimpleITK, one after the other."""
    import SimpleITK

    files = sorted(path for path in folder.rglob("*") if path.is_file()) or [folder]
    stages: dict[str, Any] = {}
    with timed(stages, "decode"):
        images: list[Any] = [SimpleITK.ReadImage(str(path)) for path in files]
        voxels = sum(image.GetNumberOfPixels() for image in images)
    return {**total(stages), "voxels": voxels}


def whole(folder: Path, _: float) -> dict[str, Any]:
    """Read, analyze and write one input, as the command does."""
    return _whole(folder, {})


def rule(folder: Path, _: float) -> dict[str, Any]:
    """Do the same by training-free rules alone."""
    from groundglass.lungs.config import LungConfig

    lungs = LungConfig(method="training-free")
    settings = {"infection_method": "training-free", "cross_check": False, "lungs": lungs}
    return _whole(folder, settings)


def _whole(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    stages: dict[str, Any] = {}
    with timed(stages, "import"):
        from groundglass.pipeline import AnalyzeConfig, analyze
        from groundglass.readers.read import read_scan
        from groundglass.writers.folder import write_case
    with timed(stages, "read"):
        scan = read_scan(folder)
    with timed(stages, "analyze"):
        result = analyze(scan, AnalyzeConfig(**settings))
    with tempfile.TemporaryDirectory() as out, timed(stages, "write"):
        write_case(result, Path(out) / "out")
    parts = {name: round(seconds, 3) for name, seconds in result.seconds.items()}
    slices, rows, columns = scan.shape
    return {
        **total(stages, "read", "analyze", "write"),
        "analyze_parts_seconds": parts,
        "slices": slices,
        "rows": rows,
        "columns": columns,
    }


def growth(folder: Path, factor: float) -> dict[str, Any]:
    """Analyze the same chest with fewer or more slices, from memory."""
    import numpy as np

    from groundglass.core.scan import Scan
    from groundglass.pipeline import analyze
    from groundglass.readers.read import read_scan

    scan = read_scan(folder)
    count = round(scan.shape[0] * factor)
    chosen = np.minimum((np.arange(count) / factor).astype(int), scan.shape[0] - 1)
    step, row, column = scan.geometry.spacing_mm
    hu = np.ascontiguousarray(scan.voxels[chosen])
    stacked = Scan.from_array(hu, (step / factor, row, column), intensity=scan.intensity)
    stages: dict[str, Any] = {}
    with timed(stages, "analyze"):
        analyze(replace(stacked, acquisition=scan.acquisition))
    return {**total(stages), "slices": count}


def lungmask(folder: Path, _: float) -> dict[str, Any]:
    """Run lungmask's R231 network with random weights on the volume, on the CPU."""
    try:
        import torch
        from lungmask.mask import LMInferer
        from lungmask.resunet import UNet
    except ImportError as error:
        return {"skipped": f"lungmask is not installed here ({error}); pip install lungmask torch"}
    from groundglass.readers.read import read_scan

    hu = read_scan(folder).hu()
    shape = {"padding": True, "depth": 5, "up_mode": "upsample", "batch_norm": True}
    stages: dict[str, Any] = {}
    with tempfile.NamedTemporaryFile(suffix=".pth") as weights:
        torch.save(UNet(n_classes=3, residual=False, **shape).state_dict(), weights.name)
        with timed(stages, "load"):
            network = LMInferer(
                modelpath=weights.name,
                force_cpu=True,
                volume_postprocessing=False,  # random labels would make it slower than real ones
                tqdm_disable=True,
            )
    with timed(stages, "network"):
        network.apply(hu)
    names = ("lungmask", "torch")
    return {
        **total(stages, "network"),
        "threads": torch.get_num_threads(),
        "versions": {name: metadata.version(name) for name in names},
        "note": "lung labels only; reading, post-processing, infection and report not included",
    }


CHILDREN: dict[str, Callable[[Path, float], dict[str, Any]]] = {
    "decode": decode,
    "whole": whole,
    "rule": rule,
    "growth": growth,
    "lungmask": lungmask,
}


def machine() -> dict[str, Any]:
    """Describe the machine without naming it."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    usable = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
    return {
        "cpu": cpu_model(),
        "cores": len(usable(0)),
        "memory_gb": round(pages / 1e9, 1),
        "load_at_start": [round(value, 2) for value in os.getloadavg()],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def cpu_model() -> str:
    """Return the name of the processor."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def versions() -> dict[str, str]:
    """Return versions of what computes."""
    return {name: metadata.version(name) for name in ("groundglass", "numpy", "scipy", "simpleitk")}


def show(report: dict[str, Any]) -> None:
    """Print the main figures."""
    rows = [("decode alone", report["decode"]), ("whole analysis", report["whole"])]
    rows.append(("  by training-free rules alone", report["rule"]))
    rows += [(f"  {name}", part) for name, part in report["whole"].get("stages", {}).items()]
    rows += [(f"analyze, {part['slices']} slices", part) for part in report["growth"].values()]
    if "seconds" in report.get("peer", {}):
        rows.append((report["peer"]["name"], report["peer"]))
    print(f"{'':28}{'seconds':>9}{'CPU s':>9}{'peak MB':>9}")
    for name, part in rows:
        print(f"{name:28}{part['seconds']:9.2f}{part['cpu_seconds']:9.2f}{part['peak_mb']:9d}")
    ratio = report["whole_to_rule"]
    print(f"whole / training-free: {ratio['seconds']} in time, {ratio['cpu_seconds']} in CPU time")
    ratio = report["whole_to_decode"]
    print(f"whole / decode: {ratio['seconds']} in time, {ratio['cpu_seconds']} in CPU time")
    if "skipped" in report.get("peer", {}):
        print(report["peer"]["skipped"])


if __name__ == "__main__":
    main()
