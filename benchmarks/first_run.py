"""Cost of ``pulse run`` on a cold lake, and of running it again: ``python -m benchmarks.first_run [--json]``."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.report import Report, environment


def pulse_run(folder: Path) -> tuple[float, float, int]:
    """Run ``pulse run`` with everything in a folder; return wall seconds, peak MiB of its process tree, exit code."""
    command = [str(Path(sys.executable).with_name("pulse")), "run"]
    started, peak = time.perf_counter(), 0.0
    with subprocess.Popen(
        command, env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        process = psutil.Process(child.pid)
        while child.poll() is None:
            peak = max(peak, _resident(process))
            time.sleep(0.05)
    return time.perf_counter() - started, peak / 2**20, child.returncode


def _resident(process: psutil.Process) -> float:
    try:
        return float(sum(p.memory_info().rss for p in [process, *process.children(recursive=True)]))
    except psutil.NoSuchProcess:
        return 0.0


def main() -> None:
    """Measure and print."""
    report = Report("first_run")
    with tempfile.TemporaryDirectory() as folder:
        for what in ("cold", "again"):
            seconds, peak, code = pulse_run(Path(folder))
            report.add(f"{what}_s", seconds, "s", note=f"exit code {code}")
            report.add(f"{what}_peak_mib", peak, "MiB")
    report.print()


if __name__ == "__main__":
    main()
