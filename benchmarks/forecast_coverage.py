"""Coverage of past forecasts over several origins, and hit rates of one-step quantiles.

``python -m benchmarks.forecast_coverage PANEL.parquet --freq F --horizon H [--cutoffs K] [--step N] [--kind KIND]
[--returns] [--cutoffs-a-refit N] [--shortest N] [--json]``

PANEL has ``unique_id, ds`` and ``y`` or ``close``. Each series is forecast from K past cutoffs, N steps apart (a
horizon by default), by panel models that saw nothing after. ``--returns`` takes differences of logarithms first. Shares
are over series, cutoffs and steps; the worst origin is the one whose steps were covered least, over all series.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import Report
from pulse_assets.forecasting.api import CUTOFFS_A_REFIT, backtest

WINDOW = 21


def read(options: argparse.Namespace) -> pa.Table:
    """Return the panel, series with fewer than ``--shortest`` values left out."""
    frame = pq.read_table(options.panel).to_pandas().rename(columns={"close": "y"})[["unique_id", "ds", "y"]].dropna()
    frame["unique_id"], frame["y"] = frame["unique_id"].astype(str), frame["y"].astype(float)
    frame = frame[frame.groupby("unique_id")["y"].transform("size") >= options.shortest]
    if options.returns:
        frame = frame.sort_values(["unique_id", "ds"])
        frame["y"] = np.log(frame["y"]).groupby(frame["unique_id"]).diff()
    return pa.Table.from_pandas(frame.dropna(), preserve_index=False)


def measure(rows: pd.DataFrame, report: Report, note: str) -> None:
    """Add what the forecasts covered; origins are counted from the end of each series."""
    rows["origin"] = rows.groupby("unique_id")["cutoff"].rank(method="dense", ascending=False)
    for level, low, high in (("80", "q100", "q900"), ("95", "q025", "q975")):
        rows[level] = (rows[low] <= rows["y"]) & (rows["y"] <= rows[high])
        report.add(f"coverage_{level}", float(rows[level].mean()), "share", note=note)
    report.add("worst_origin_95", float(rows.groupby("origin")["95"].mean().min()), "share", note="of all its steps")
    first = rows[rows["h"] == 1]
    windows = first.groupby("origin")["95"].mean().rolling(WINDOW).mean()
    if windows.notna().any():
        report.add("worst_window_95", float(windows.min()), "share", note=f"{WINDOW} origins in a row, one step ahead")
    for name, column in (("hits_1", "q010"), ("hits_5", "q050")):
        report.add(
            name, float((first["y"] < first[column]).mean()), "share", note=f"truths below {column}, one step ahead"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("panel", type=Path)
    parser.add_argument("--freq", required=True)
    parser.add_argument("--horizon", type=int, required=True)
    parser.add_argument("--cutoffs", type=int, default=8)
    parser.add_argument("--step", type=int)
    parser.add_argument("--kind", default="other")
    parser.add_argument("--returns", action="store_true")
    parser.add_argument("--shortest", type=int, default=0)
    parser.add_argument("--cutoffs-a-refit", type=int, default=CUTOFFS_A_REFIT)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    made = backtest(
        read(options),
        freq=options.freq,
        horizon=options.horizon,
        cutoffs=options.cutoffs,
        step=options.step or options.horizon,
        kind=options.kind,
        cutoffs_a_refit=options.cutoffs_a_refit,
    )
    rows, report = made.rows.to_pandas(), Report("forecast_coverage")
    note = f"{rows['unique_id'].nunique()} series, {options.cutoffs} cutoffs, {len(rows):,} truths"
    measure(rows.astype({"unique_id": str}), report, note)
    report.print()


if __name__ == "__main__":
    main()
