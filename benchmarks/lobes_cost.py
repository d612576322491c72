"""What finding the lobes of one volume costs: seconds, and the most memory held meanwhile.

Every volume runs in a process of its own. The peak is read from the system after its mark was set
back when the lungs were found, so it is that of the lobes: scan and lungs, which must be held, and
all that is made on the way. Needs Linux.

    python benchmarks/lobes_cost.py SERIES [SERIES ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.report import write_report

STATUS, MARKS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def memory_mb(field: str) -> int:
    """Return a memory figure of this process: ``VmHWM`` for its peak, ``VmRSS`` for now."""
    line = next(one for one in STATUS.read_text().splitlines() if one.startswith(field))
    return round(int(line.split()[1]) * 1024 / 1e6)


def measure(folder: Path) -> dict[str, Any]:
    """Return time and memory of the lobes of one series."""
    from groundglass.checks.intensity import calibrate
    from groundglass.lungs.find import find_lungs
    from groundglass.lungs.lobes.find import find_lobes
    from groundglass.readers.read import read_scan

    scan = calibrate(read_scan(folder))
    lungs = find_lungs(scan)
    before = memory_mb("VmHWM")
    MARKS.write_text("5")
    held = memory_mb("VmRSS")
    start, cpu = time.perf_counter(), time.process_time()
    lobes = find_lobes(scan, lungs)
    return {
        "series": folder.name,
        "shape": list(scan.shape),
        "method": None if lobes is None else lobes.method,
        "seconds": round(time.perf_counter() - start, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "held_before_mb": held,
        "peak_mb": memory_mb("VmHWM"),
        "peak_before_mb": before,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("series", nargs="+", type=Path)
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measure(given.series[0])))
        return
    rows = []
    for folder in given.series:
        command = [sys.executable, __file__, str(folder), "--child"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(json.dumps(rows[-1]))
    write_report({"volumes": rows}, given.json)


if __name__ == "__main__":
    main()
