"""Walk-forward backfill of a panel through the folder source.

``python -m benchmarks.panel_backfill PANEL.parquet [--json]``

PANEL holds daily bars (``unique_id, ds, open, high, low, close, volume``). The ranges are the panel's last 1, 2 and all
years; each is one Dagster run over all of silver, forecasts, scores, licences and lineage in a process of its own.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.report import Report, as_dict, environment, measured

YEARS = (1, 2, 5)


def backfill(first: str, last: str) -> None:
    """Run one backfill in this process and print its cost and the versions of the forecast table."""
    import dagster as dg

    from jobs.definitions import build_definitions
    from jobs.home import prepare_home
    from jobs.pipeline import Pipeline
    from jobs.settings import Settings
    from pulse_assets.forecasting.tables import FORECASTS

    settings = Settings.from_environment()
    prepare_home(settings.home)
    with dg.DagsterInstance.get() as instance, measured() as cost:
        lake = settings.lake().lake()
        pipeline = Pipeline(build_definitions(), instance, lake)
        assert pipeline.ingest().success, "ingest failed"
        outcome = pipeline.backfill(date.fromisoformat(first), date.fromisoformat(last))
        assert outcome.success, outcome.error
    rows = lake.open(FORECASTS).count()
    runs = len({commit.get("dagster.run_id") for commit in lake.history(FORECASTS)} - {None})
    sys.stdout.write(json.dumps(as_dict(cost) | {"rows": rows, "runs": runs}) + "\n")


def measure(panel: Path, first: date, last: date) -> dict[str, float]:
    """Backfill a range of a panel in a fresh lake and a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "panel").mkdir()
        shutil.copyfile(panel, root / "panel" / "panel.parquet")
        config = (
            "sources:\n  - {use: folder, name: panel, path: panel, kind: price, unit: USD, freq: B, calendar: XNYS}\n"
        )
        (root / "pulse.yaml").write_text(config)
        environ = environment(root) | {"PULSE_CONFIG": str(root / "pulse.yaml"), "PULSE_START": "2013-01-01"}
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.panel_backfill", "--child", str(first), str(last)]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-3_000:])
        return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("panel", type=Path, nargs="?")
    parser.add_argument("--child", nargs=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.child:
        backfill(*options.child)
        return
    if options.panel is None or not options.panel.is_file():
        sys.stderr.write(f"no panel at {options.panel}: name a Parquet file of daily bars\n")
        sys.exit(os.EX_NOINPUT)
    bars = pq.read_table(options.panel, columns=["unique_id", "ds"])
    first, last = (moment.date() for moment in pc.min_max(bars["ds"]).as_py().values())
    report = Report("panel_backfill")
    costs = {}
    for years in YEARS:
        start = max(first, last.replace(year=last.year - years))
        costs[years] = cost = measure(options.panel, start, last)
        note = f"{len(pc.unique(bars['unique_id']))} series, {start} to {last}, {cost['runs']:.0f} run"
        report.add(f"wall_s_{years}y", cost["wall_s"], "s", note=note)
        report.add(f"cpu_s_{years}y", cost["cpu_s"], "CPU s")
        report.add(f"peak_mib_{years}y", cost["peak_mib"], "MiB")
        report.add(f"forecast_rows_{years}y", cost["rows"], "rows")
    slopes = [
        (costs[b]["cpu_s"] - costs[a]["cpu_s"]) / (costs[b]["rows"] - costs[a]["rows"]) * 1e6
        for a, b in ((1, 2), (2, 5))
    ]
    report.add(
        "linearity",
        slopes[1] / slopes[0],
        "ratio",
        note="marginal CPU per row, years 2 to 5 over years 1 to 2; 1 is linear",
    )
    report.add(
        "memory_growth", costs[5]["peak_mib"] / costs[1]["peak_mib"], "ratio", note="five years over one; 1 is flat"
    )
    report.print()


if __name__ == "__main__":
    main()
