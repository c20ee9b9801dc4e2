"""Loading the code location is cheap and touches nothing: every run, tick and page of the UI pays for it."""

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

HEAVY = (
    "cupy",
    "distributed",
    "evidently",
    "great_expectations",
    "matplotlib",
    "mlflow",
    "numba",
    "sklearn",
)
TIMES_DAGSTER = 3.0

REPORT = """
import json, sys, time
print(json.dumps([time.process_time(), sorted({name.split(".")[0] for name in sys.modules})]))
"""
LOAD = """
import jobs.definitions
jobs.definitions.defs().get_repository_def()
"""
OFFLINE = """
import socket, sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        raise SystemExit(f"{event} {arguments} while loading: a code location must load without network")
sys.addaudithook(refuse)
"""


@dataclass(frozen=True)
class Loaded:
    """What a new interpreter spent and imported until it had run some code."""

    cpu_seconds: float
    packages: frozenset[str]


def fresh_interpreter(code: str, folder: Path) -> Loaded:
    """Run code in a new interpreter with an empty working directory and none of Pulse's variables."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code + REPORT],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seconds, packages = json.loads(done.stdout)
    return Loaded(seconds, frozenset(packages))


def test_the_location_loads_without_network_heavy_libraries_or_a_trace_on_disk(tmp_path: Path) -> None:
    loaded = fresh_interpreter(OFFLINE + LOAD, tmp_path)
    assert "jobs" in loaded.packages
    assert sorted(loaded.packages.intersection(HEAVY)) == []
    assert list(tmp_path.iterdir()) == []


def test_the_network_guard_of_these_tests_works(tmp_path: Path) -> None:
    code = OFFLINE + "import socket; socket.create_connection(('127.0.0.1', 1))"
    with pytest.raises(AssertionError, match="must load without network"):
        fresh_interpreter(code, tmp_path)


@pytest.mark.slow
def test_loading_costs_at_most_three_times_dagster_itself(tmp_path: Path) -> None:
    """Seconds differ between machines; the ratio to what every Dagster user pays does not."""
    pairs = [
        (fresh_interpreter(LOAD, tmp_path).cpu_seconds, fresh_interpreter("import dagster\n", tmp_path).cpu_seconds)
        for _ in range(3)
    ]
    ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"loading {ours:.2f} CPU s, `import dagster` {bare:.2f} CPU s, ratio {ours / bare:.2f}")
    assert ours <= TIMES_DAGSTER * bare
