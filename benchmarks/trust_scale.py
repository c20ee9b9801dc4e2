"""One day of trust for many series: recalibration, trust, quality, drift and licences, from tables on disk.

A lake of made-up series is filled with the scores of the last 130 weekdays; then the newest day is computed as the
assets do it, in this process. What it costs to write the rows is not counted.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.report import Report, measured
from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.numerics.normal_scores import KNOTS
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.calibrated_days import calibrate_days
from pulse_assets.trust.drift_days import drift_days
from pulse_assets.trust.evidence_tables import DATA_QUALITY, DRIFT
from pulse_assets.trust.licence_days import licence_days
from pulse_assets.trust.quality_days import quality_days
from pulse_assets.trust.tables import CALIBRATED, CALIBRATED_SCORES, LICENCES, SCORES, TRUST
from pulse_assets.trust.trust_days import trust_days
from pulse_resources.lake import Lake, Snapshot, TableContract
from pulse_resources.lake.partitions import Partitions, weekdays

Compute = Callable[[Snapshot, list[list[date]]], Iterable[pa.Table]]
MODELS = ("naive", "pulse")
FIRST, LAST = date(2024, 1, 1), date(2024, 6, 28)


def silver(ids: list[str], days: list[date], rng: np.random.Generator) -> pa.Table:
    """Return a random walk of every series."""
    stamps = np.array(days, "datetime64[us]")
    y = np.cumsum(rng.normal(size=(len(ids), len(days))), axis=1).ravel()
    count = len(y)
    when = pa.array(np.tile(stamps, len(ids))).cast(pa.timestamp("us", "UTC"))
    late = pa.array(np.tile(stamps + np.timedelta64(22, "h"), len(ids))).cast(pa.timestamp("us", "UTC"))
    texts = {"kind": "rate", "unit": "percent", "freq": "B", "calendar": "weekday", "source": "made", "flags": ""}
    columns = {"as_of": pa.array(np.tile(np.array(days, "datetime64[D]"), len(ids))), "y": pa.array(y)}
    columns |= {"unique_id": pa.array(np.repeat(ids, len(days))), "ds": when, "known_at": late}
    rows = pa.table(columns | {name: pa.array([text] * count) for name, text in texts.items()})
    return SERIES.cast(rows).sort_by([("as_of", "ascending"), ("unique_id", "ascending")])


def scores(ids: list[str], day: date, origin: date, rng: np.random.Generator) -> pa.Table:
    """Return one-step scores of a day."""
    count = len(ids) * len(MODELS)
    z = np.repeat(rng.normal(size=len(ids)), len(MODELS)) + rng.normal(size=count) * 0.1
    wis = np.abs(z) * 0.5 + 0.2
    frame = pd.DataFrame(
        {"unique_id": np.repeat(ids, len(MODELS)), "model": list(MODELS) * len(ids), "z": z, "wis": wis}
    )
    frame = frame.assign(as_of=day, origin=origin, h=1, ds=pd.Timestamp(day, tz="UTC"), y=z, error=z, crps=wis, pit=0.5)
    frame = frame.assign(
        covered_50=np.abs(z) < 0.67, covered_80=np.abs(z) < 1.28, covered_95=np.abs(z) < 1.96, model_version="1"
    )
    return SCORES.cast(pa.Table.from_pandas(frame, preserve_index=False))


def forecasts(ids: list[str], day: date, ahead: date) -> pa.Table:
    """Return standard normal forecasts from a day."""
    count = len(ids) * len(MODELS)
    columns = {
        "as_of": [day] * count,
        "unique_id": np.repeat(ids, len(MODELS)),
        "model": list(MODELS) * len(ids),
        "h": [1] * count,
        "ds": pa.array([pd.Timestamp(ahead, tz="UTC")] * count, pa.timestamp("us", "UTC")),
        "mean": np.zeros(count),
        **{name: np.full(count, knot) for name, knot in zip(QUANTILE_COLUMNS, KNOTS, strict=True)},
        "model_version": ["1"] * count,
        "data_version": [0] * count,
    }
    return FORECASTS.cast(pa.table(columns))


def write(lake: Lake, contract: TableContract, tables: Iterable[pa.Table]) -> int:
    """Write the partitions that the tables hold; return the rows."""
    rows = pa.concat_tables(list(tables))
    if len(rows):
        lake.overwrite(contract, rows, Partitions.of("as_of", sorted(set(rows["as_of"].to_pylist()))))
    return len(rows)


def main() -> None:
    """Fill a lake, then print what each part of the newest day costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=5_000)
    parser.add_argument("--json", action="store_true")
    count = parser.parse_args().series
    rng, report = np.random.default_rng(0), Report("trust_scale")
    ids, days = [f"made:{number:05d}" for number in range(count)], weekdays(FIRST, LAST)
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder, durable=False)
        write(lake, SERIES, [silver(ids, days, rng)])
        for contract in (SCORES, CALIBRATED_SCORES):
            write(lake, contract, [scores(ids, day, before, rng) for before, day in pairwise(days)])
        write(lake, FORECASTS, [forecasts(ids, day, LAST) for day in days[-2:]])
        yesterday, today = days[-2], days[-1]
        parts: tuple[tuple[str, TableContract, Compute], ...] = (
            ("recalibration", CALIBRATED, calibrate_days),
            ("trust", TRUST, trust_days),
            ("quality", DATA_QUALITY, quality_days),
            ("drift", DRIFT, drift_days),
            ("licences", LICENCES, partial(licence_days, thresholds={})),
        )
        total = 0.0
        for name, contract, compute in parts:
            write(lake, contract, compute(lake.snapshot(), [[yesterday]]))
            with measured() as cost:
                made = list(compute(lake.snapshot(), [[today]]))
            total += cost.cpu_s
            report.add(name, cost.cpu_s, "CPU s", note=f"{sum(map(len, made)):,} rows")
            report.add(f"{name}_peak", cost.peak_mib, "MiB", note="of the whole process")
            write(lake, contract, made)
        report.add("one_day", total, "CPU s", note=f"{count:,} series, {len(MODELS)} models, one step")
    report.print()


if __name__ == "__main__":
    main()
