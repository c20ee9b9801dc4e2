"""Cost of forecasts against statsforecast: ``python -m benchmarks.forecast_speed [--panel PANEL --freq F …] [--json]``.

CPU seconds a series: ours of a whole table with 23 quantiles, a peer's of a sample with intervals of 80 and 95 %; table
in, table out, one process, in turn. Without a panel three synthetic shapes are measured: metrics with a suffix are of
one shape, those without are of the shape where we gain least.
"""

import argparse
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.forecast_accuracy import ENSEMBLE, ask_peer, few_series, read_panel, warm_up
from benchmarks.report import Report, measured
from pulse_assets.forecasting.api import forecast

Floats = npt.NDArray[np.float64]

MODELS = ("Theta", *ENSEMBLE)
METRICS = {
    "vs_autoets": ("AutoETS",),
    "vs_ensemble": ENSEMBLE,
    "vs_theta": ("Theta",),
    "vs_dot": ("DynamicOptimizedTheta",),
}
"""Ratios, and the models whose costs are added up for each."""
PLANS = (
    ("yearly", "YS", 31, 6, 1, 20_000, 60),
    ("monthly", "MS", 184, 18, 12, 4_000, 20),
    ("hourly", "h", 850, 48, 24, 400, 6),
)
"""Name, frequency, steps, horizon, season, and how many series we and the peers forecast."""
PATIENCE_S = 60.0
"""A peer that takes longer in the first round is not asked again."""
SERIES_A_DRAW = 4_096
COLD_START = """
import numpy as np, pyarrow as pa
from pulse_assets.forecasting.api import forecast
y = 10 + np.sin(np.arange(120) / 2)
forecast(pa.table({"unique_id": ["a"] * 60 + ["b"] * 60, "ds": [*range(60)] * 2, "y": y}), freq="MS", horizon=6)
"""


@dataclass(frozen=True)
class Shape:
    """A table to forecast, and the histories that peers get."""

    name: str
    freq: str
    season: int
    horizon: int
    table: pa.Table
    series: int
    histories: list[Floats]


def synthetic(series: int, length: int, season: int) -> Floats:
    """Return positive series of level, trend, wandering, season and noise, shape ``(series, length)``.

    The first series are the same however many are asked for.
    """
    values = np.empty((series, length))
    for number, low in enumerate(range(0, series, SERIES_A_DRAW)):
        rng = np.random.default_rng((7, number))
        level, trend = rng.normal(7, 1, (SERIES_A_DRAW, 1)), rng.normal(0.3, 0.5, (SERIES_A_DRAW, 1))
        pattern = rng.normal(0, 1, (SERIES_A_DRAW, season)) * rng.uniform(0, 0.3, (SERIES_A_DRAW, 1))
        logs = level + trend * np.arange(length) / length + pattern[:, np.arange(length) % season]
        logs += np.cumsum(rng.normal(0, 0.02, logs.shape), axis=1) + rng.normal(0, 0.04, logs.shape)
        values[low : low + SERIES_A_DRAW] = np.exp(logs[: series - low])
    return values


def as_table(values: Floats, stamps: npt.NDArray[np.generic]) -> pa.Table:
    """Return a long table of equally long series."""
    series, length = values.shape
    codes = np.repeat(np.arange(series, dtype=np.int32), length)
    names = pa.array([f"s{number:07d}" for number in range(series)])
    ids = pa.DictionaryArray.from_arrays(pa.array(codes), names)
    return pa.table({"unique_id": ids, "ds": pa.array(np.tile(stamps, series)), "y": pa.array(values.ravel())})


def synthetic_shape(name: str, freq: str, length: int, horizon: int, season: int, series: int, sample: int) -> Shape:
    """Return a synthetic table, whose first series are the peers' sample."""
    values = synthetic(series, length, season)
    return Shape(name, freq, season, horizon, as_table(values, np.arange(length)), series, list(values[:sample]))


def panel_shape(options: argparse.Namespace) -> Shape:
    """Return the histories of a panel."""
    panel = read_panel(options.panel, options.horizon)
    ids = panel.ids[: options.series]
    chosen = panel.take(np.arange(len(ids)))
    table = panel.table.filter(pc.is_in(panel.table["unique_id"], pa.array(ids)))
    sample = chosen.sample(options.sample or 60)
    return Shape("", options.freq, options.season, options.horizon, table, len(ids), sample.histories)


def shapes(options: argparse.Namespace) -> list[Shape]:
    """Return what is measured."""
    if options.panel is not None:
        return [panel_shape(options)]
    return [synthetic_shape(*plan[:5], options.series or plan[5], options.sample or plan[6]) for plan in PLANS]


def compare(shape: Shape, rounds: int) -> dict[str, float]:
    """Return CPU seconds a series, the median of interleaved rounds, of ours and of each model."""
    costs: dict[str, list[float]] = {name: [] for name in ("ours", *MODELS)}
    for number in range(rounds):
        with measured() as cost:
            forecast(shape.table, freq=shape.freq, horizon=shape.horizon)
        costs["ours"].append(cost.cpu_s / shape.series)
        for name in MODELS:
            if number and costs[name][0] * len(shape.histories) > PATIENCE_S:
                continue
            cpu_s = ask_peer(name, shape.histories, shape.season, shape.horizon)[1]
            costs[name].append(cpu_s / len(shape.histories))
    return {name: statistics.median(values) for name, values in costs.items()}


def cold_start(rounds: int) -> float:
    """Return wall seconds of a fresh process that imports the engine and forecasts two series, its caches warm."""
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", COLD_START], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def add(report: Report, shape: Shape, costs: dict[str, float]) -> dict[str, float]:
    """Add the rows of a shape and return its ratios."""
    suffix = shape.name and f"_{shape.name}"
    ratios = {name: sum(costs[model] for model in models) / costs["ours"] for name, models in METRICS.items()}
    steps = len(shape.table) / shape.series
    note = (
        f"ours of {shape.series:,}, theirs of {len(shape.histories)} series; about {steps:.0f} steps, h {shape.horizon}"
    )
    for name, models in METRICS.items():
        theirs = 1e3 * sum(costs[model] for model in models)
        report.add(
            f"{name}{suffix}", ratios[name], "ratio", _peer(models), f"{note}; they take {theirs:.2f} ms a series"
        )
    report.add(f"us_per_series{suffix}", 1e6 * costs["ours"], "CPU us", note="23 quantiles a step")
    return ratios


def add_least(report: Report, ratios: dict[str, dict[str, float]]) -> None:
    """Add each ratio of the shape where it is smallest."""
    for name, models in METRICS.items():
        shape = min(ratios, key=lambda shape: ratios[shape][name])
        report.add(name, ratios[shape][name], "ratio", _peer(models), f"least of {', '.join(ratios)}: {shape}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--panel", type=Path)
    parser.add_argument("--freq", default="MS")
    parser.add_argument("--horizon", type=int, default=18)
    parser.add_argument("--season", type=int, default=12, help="of the peers")
    parser.add_argument("--series", type=int, help="how many series we forecast")
    parser.add_argument("--sample", type=int, help="how many of them the peers forecast")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report, ratios = Report("forecast_speed"), {}
    warm_up(MODELS)
    for shape in shapes(options):
        forecast(few_series(shape.table), freq=shape.freq, horizon=shape.horizon)
        ratios[shape.name] = add(report, shape, compare(shape, options.rounds))
    if options.panel is None:
        add_least(report, ratios)
    report.add("cold_start_s", cold_start(options.rounds), "s", note="wall, with the interpreter's start; caches warm")
    report.print()


def _peer(models: tuple[str, ...]) -> str:
    return "statsforecast " + " + ".join(models)


if __name__ == "__main__":
    main()
