"""How far forecasts scale: ``python -m benchmarks.forecast_scale [--series 1000,10000,100000] [--threads 2] [--json]``.

Synthetic monthly series of 115 steps, 18 steps ahead with 23 quantiles, each size in a fresh process whose engine is
compiled and warm. Seconds and CPU are of the forecast, from table to table; memory is the peak of the whole process.
"""

import argparse
import json
import resource
import subprocess
import sys

import numpy as np

from benchmarks.forecast_accuracy import WARM_SERIES
from benchmarks.forecast_speed import as_table, synthetic
from benchmarks.report import Report, as_dict, measured
from pulse_assets.forecasting.api import forecast
from pulse_resources.compute import Compute

STEPS, HORIZON, SEASON = 115, 18, 12
FREQ = "MS"
KIB_A_GIB = 2**20


def child(series: int, threads: int) -> None:
    """Forecast in this process and print what it cost."""
    months = (np.datetime64("2010-01", "M") + np.arange(STEPS)).astype("datetime64[us]")
    compute = Compute(mode="threads", workers=threads)
    forecast(as_table(synthetic(WARM_SERIES, STEPS, SEASON), months), freq=FREQ, horizon=HORIZON)
    table = as_table(synthetic(series, STEPS, SEASON), months)
    with measured() as cost:
        rows = forecast(table, freq=FREQ, horizon=HORIZON, map_blocks=compute.map_blocks).rows
    assert rows.num_rows == series * HORIZON, f"{rows.num_rows:,} rows came of {series:,} series"
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_A_GIB
    sys.stdout.write(json.dumps(as_dict(cost) | {"peak_gib": peak_gib}) + "\n")


def measure(series: int, threads: int) -> dict[str, float]:
    """Forecast in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.forecast_scale", "--child", str(series), "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-3_000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def short(count: int) -> str:
    """Return a count as it stands in names of metrics.

    Examples
    --------
    >>> short(100_000), short(1_500)
    ('100k', '1500')
    """
    return f"{count // 1_000}k" if count % 1_000 == 0 else str(count)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", default="1000,10000,100000", help="sizes, with commas between them")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", type=int)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.child:
        child(options.child, options.threads)
        return
    sizes, report = [int(size) for size in options.series.split(",")], Report("forecast_scale")
    costs = {size: measure(size, options.threads) for size in sizes}
    for size, cost in costs.items():
        note = f"{size:,} series of {STEPS} months, h {HORIZON}, {options.threads} threads"
        report.add(f"seconds_{short(size)}", cost["wall_s"], "s", note=note)
        report.add(f"cpu_s_{short(size)}", cost["cpu_s"], "CPU s")
        report.add(f"rss_gib_{short(size)}", cost["peak_gib"], "GiB", note="peak of the process, panel included")
    small, large = min(sizes), max(sizes)
    growth = costs[large]["cpu_s"] / large / (costs[small]["cpu_s"] / small)
    note = f"CPU a series, {large:,} over {small:,}; 1 is linear"
    report.add("linearity", growth, "ratio", note=note)
    report.print()


if __name__ == "__main__":
    main()
