"""Cost of loading the code location in a fresh interpreter: ``python -m benchmarks.location [--json]``."""

import json
import statistics
import subprocess
import sys

from benchmarks.report import Report

HEAVY = ("mlflow", "evidently", "great_expectations", "cupy", "numba", "sklearn", "matplotlib", "distributed")
LOAD = """
import json, sys, time
from jobs.definitions import build_definitions
build_definitions().get_repository_def()
print(json.dumps([time.process_time(), sorted(set({heavy!r}) & set(sys.modules))]))
"""
DAGSTER = "import json, time, dagster; print(json.dumps([time.process_time(), []]))"


def fresh(code: str) -> tuple[float, list[str]]:
    """Run code in a new interpreter; return its CPU seconds and the heavy modules it loaded."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    seconds, heavy = json.loads(done.stdout)
    return float(seconds), list(heavy)


def main() -> None:
    """Measure and print."""
    report = Report("location")
    pairs = [(fresh(LOAD.format(heavy=HEAVY)), fresh(DAGSTER)) for _ in range(5)]
    ours, bare = (statistics.median(pair[which][0] for pair in pairs) for which in (0, 1))
    report.add("load_cpu_s", ours, "CPU s", "import dagster", f"{bare:.2f} CPU s of it is Dagster itself")
    report.add("load_vs_dagster", ours / bare, "ratio", "import dagster", "median of 5, interleaved")
    report.add(
        "heavy_modules", len(pairs[0][0][1]), "modules", note=", ".join(pairs[0][0][1]) or "none of " + ", ".join(HEAVY)
    )
    report.print()


if __name__ == "__main__":
    main()
