"""What all benchmarks share: measuring CPU seconds and memory, and printing a table or one JSON object."""

import json
import os
import platform
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table


@dataclass
class Cost:
    """CPU seconds of this process and its ended children, wall seconds, and the peak of resident memory."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mib: float = 0.0


@dataclass
class Report:
    """Rows of one benchmark."""

    name: str
    rows: list[dict[str, object]] = field(default_factory=list)

    def add(self, metric: str, value: float, unit: str, peer: str = "", note: str = "") -> None:
        """Add one measured figure."""
        self.rows.append({"metric": metric, "value": round(value, 4), "unit": unit, "peer": peer, "note": note})

    def print(self) -> None:
        """Print one JSON object if ``--json`` was given, else a table."""
        if "--json" in sys.argv:
            sys.stdout.write(json.dumps({"name": self.name, "machine": machine(), "rows": self.rows}) + "\n")
            return
        table = Table(title=f"{self.name} ({machine()})", title_justify="left", box=None)
        for column in ("metric", "value", "unit", "peer", "note"):
            table.add_column(column, justify="right" if column == "value" else "left")
        for row in self.rows:
            table.add_row(*(str(value) for value in row.values()))
        Console(width=160).print(table)


def machine() -> str:
    """Return what the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, {platform.machine()}"


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure a block: CPU and wall seconds, and the highest resident memory of this process seen every 20 ms."""
    cost, stop, process = Cost(), threading.Event(), psutil.Process()

    def watch() -> None:
        while not stop.is_set():
            cost.peak_mib = max(cost.peak_mib, process.memory_info().rss / 2**20)
            stop.wait(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    wall, cpu = time.perf_counter(), _cpu()
    try:
        yield cost
    finally:
        cost.wall_s, cost.cpu_s = time.perf_counter() - wall, _cpu() - cpu
        stop.set()
        thread.join()


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a fresh installation that keeps everything in a folder."""
    ours = {"PULSE_LAKE": str(folder / "lake"), "DAGSTER_HOME": str(folder / "home")}
    return {name: value for name, value in os.environ.items() if not name.startswith("PULSE_")} | ours


def as_dict(cost: Cost) -> dict[str, float]:
    """Return a cost as JSON-like values."""
    return asdict(cost)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
