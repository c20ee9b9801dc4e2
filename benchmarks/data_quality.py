"""Cost of data quality, and how well changes of unit are told from volatile days.

``python -m benchmarks.data_quality [PANEL.parquet] [--freq B] [--kind price] [--calendar XNYS] [--json]``

Cost is from the lake to rows of ``ops/data_quality``: one day of 5,000 series with five years each, and ten years of
days of 22 series; compiling is not measured. PANEL holds ``unique_id, ds, y`` (or ``close``); every Friday of it is
looked at as it is, and then its last ten values are multiplied. Peer: values beyond eight robust standard deviations
of one-step changes, which is what a z-score alone would flag.
"""

import argparse
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.report import Report, measured
from pulse_assets.forecasting.engine import origin_end
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.quality.jumps import MAD_TO_SD
from pulse_assets.trust.quality.ledger import Ledger, keep_ledger
from pulse_assets.trust.quality.measures import measure
from pulse_assets.trust.quality_days import quality_days
from pulse_resources.lake import Lake
from pulse_resources.lake.partitions import Partitions, blocks_of, weekdays

LAST = date(2024, 6, 28)
FACTORS = (0.01, 0.1, 0.5, 2.0, 10.0, 100.0)
AFTER = 10
BLOCK = 120


def synthetic(series: int, days: int) -> pa.Table:
    """Return silver rows of daily prices with fat tails."""
    ds = pd.bdate_range(end=str(LAST), periods=days, tz="UTC").as_unit("us")
    steps = np.random.default_rng(0).standard_t(4, (days, series)) * 0.01
    frame = pd.DataFrame(
        {
            "as_of": np.repeat(ds.date, series),
            "unique_id": np.tile([f"s:{number:05d}" for number in range(series)], days),
            "ds": np.repeat(ds, series),
            "y": 100 * np.exp(np.cumsum(steps, axis=0)).ravel(),
        }
    )
    traits = {"kind": "price", "unit": "USD", "freq": "B", "calendar": "XNYS", "source": "s", "flags": ""}
    frame = frame.assign(known_at=frame["ds"] + pd.Timedelta(hours=22), **traits)
    return SERIES.cast(pa.Table.from_pandas(frame, preserve_index=False))


def add_cost(report: Report, name: str, series: int, history: int, days: list[date]) -> None:
    """Measure some days of a lake of daily prices."""
    with tempfile.TemporaryDirectory() as folder:
        lake, rows = Lake(folder, durable=False), synthetic(series, history)
        lake.overwrite(SERIES, rows, Partitions.of("as_of", sorted(set(rows["as_of"].to_pylist()))))
        del rows
        list(quality_days(lake.snapshot(), [[LAST]]))
        with measured() as cost:
            count = sum(len(block) for block in quality_days(lake.snapshot(), blocks_of(days, BLOCK)))
    note = f"{series:,} series of {history:,} days, {len(days):,} days measured, {count:,} rows"
    report.add(f"cpu_s_{name}", cost.cpu_s, "CPU s", note=note)
    report.add(f"peak_mib_{name}", cost.peak_mib, "MiB")


def panel_of(path: Path, freq: str, kind: str, calendar: str) -> pd.DataFrame:
    """Return a panel as silver rows that are known at once."""
    frame = pd.read_parquet(path).rename(columns={"close": "y"}).dropna(subset="y")
    ds = pd.to_datetime(frame["ds"]).dt.tz_localize("UTC").dt.as_unit("us")
    names, y = frame["unique_id"].astype(str), frame["y"].astype(float)
    rows = pd.DataFrame({"unique_id": names, "ds": ds, "y": y, "known_at": ds})
    return rows.assign(freq=freq, kind=kind, calendar=calendar).sort_values(["unique_id", "ds"], ignore_index=True)


def jumped(rows: pd.DataFrame, days: pd.DatetimeIndex) -> tuple[Ledger, np.ndarray]:
    """Return the ledger, and which series are said to have changed their unit on which day."""
    ends = np.array([origin_end(day.date()) for day in days], np.int64)
    ledger = keep_ledger(pa.Table.from_pandas(rows, preserve_index=False), int(ends[-1]))
    return ledger, measure(ledger, ends).faults["DQ_UNIT_JUMP"]


def plain_flags(rows: pd.DataFrame) -> int:
    """Return how many series have a step beyond eight robust standard deviations of their steps."""
    logs = np.log(rows["y"].where(rows["y"] > 0))
    steps = logs.groupby(rows["unique_id"]).diff().abs()
    sd = MAD_TO_SD * steps.groupby(rows["unique_id"]).transform("median")
    return int((steps > 8 * sd).groupby(rows["unique_id"]).any().sum())


def add_jumps(report: Report, rows: pd.DataFrame) -> None:
    """Count series flagged as they are, and with their last values multiplied."""
    days = pd.date_range(rows["ds"].min().tz_localize(None), rows["ds"].max().tz_localize(None), freq="W-FRI")
    ledger, flags = jumped(rows, days)
    named = ", ".join(ledger.ids[flags.any(axis=1)][:8])
    peer = f"a z-score alone: {plain_flags(rows)}"
    report.add("series_flagged", float(flags.any(axis=1).sum()), "series", peer, f"of {len(ledger)}: {named}")
    from_end = rows.groupby("unique_id").cumcount(ascending=False)
    after = pd.DatetimeIndex([rows["ds"].max().tz_localize(None)])
    for factor in FACTORS:
        changed = rows.assign(y=rows["y"].mask(from_end < AFTER, rows["y"] * factor))
        _, found = jumped(changed, after)
        report.add(f"found_x{factor:g}", float(found.mean()), "share", note=f"{AFTER} values after the change")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("panel", type=Path, nargs="?")
    parser.add_argument("--freq", default="B")
    parser.add_argument("--kind", default="price")
    parser.add_argument("--calendar", default="weekday")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report = Report("data_quality")
    if options.panel is not None:
        add_jumps(report, panel_of(options.panel, options.freq, options.kind, options.calendar))
    add_cost(report, "day_5000", 5_000, 1_250, [LAST])
    add_cost(report, "decade_22", 22, 6_500, weekdays(date(2014, 7, 10), LAST))
    report.print()


if __name__ == "__main__":
    main()
