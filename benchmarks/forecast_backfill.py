"""What more cutoffs cost: ``python -m benchmarks.forecast_backfill [--panel PANEL --freq B --kind price] [--json]``.

CPU seconds of backtests over 1 to 1,000 cutoffs of the same series, in turn, and of statsforecast's cross-validation of
a few of them by AutoETS (model ZZN: any error, any trend, no season), which fits at every cutoff or only at the first.
Ours fits its panel anew every quarter. Last, one more step of every series taken in against all fitted anew.
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.forecast_accuracy import long_frame, quiet, read_series
from benchmarks.forecast_speed import as_table
from benchmarks.report import Report, measured
from pulse_assets.forecasting.api import Forecast, backtest
from pulse_assets.forecasting.fitted import Fitted

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CUTOFFS = (1, 10, 100, 1_000)
DAYS = 1_500
PEER_SERIES, PEER_WINDOWS = 5, 10
"""Series and cutoffs of the cross-validation: all of them would take hours."""
VARIANTS = (
    ("vs_cross_validation", True, "fitted at every cutoff"),
    ("vs_cross_validation_frozen", False, "fitted once"),
)


def synthetic_prices(series: int, days: int) -> Floats:
    """Return prices whose volatility clusters as in a GARCH(1, 1), shape ``(series, days)``."""
    rng = np.random.default_rng(11)
    shocks, returns = rng.standard_t(6, (days, series)) / np.sqrt(1.5), np.empty((days, series))
    variance = np.full(series, 2e-4)
    for day in range(days):
        returns[day] = np.sqrt(variance) * shocks[day]
        variance = 4e-6 + 0.08 * returns[day] ** 2 + 0.9 * variance
    return np.asarray(np.exp(rng.normal(4, 1, series) + np.cumsum(returns, axis=0)).T)


@dataclass(frozen=True)
class Daily:
    """A table by series and stamp, the rows of each series, and how it is forecast."""

    table: pa.Table
    rows: list[Ints]
    freq: str
    kind: str
    horizon: int

    @property
    def histories(self) -> list[Floats]:
        """Values of each series."""
        y = self.table["y"].to_numpy()
        return [y[own] for own in self.rows]

    def backtest(self, cutoffs: int) -> Forecast:
        """Forecast every series from past cutoffs."""
        return backtest(self.table, freq=self.freq, horizon=self.horizon, cutoffs=cutoffs, kind=self.kind)

    def fit(self, left_out: int) -> Fitted:
        """Fit all but the last steps of every series."""
        rows = np.concatenate([own[: len(own) - left_out] for own in self.rows])
        return Fitted.fit(self.table.take(rows), freq=self.freq, horizon=self.horizon, kind=self.kind)

    def step(self, back: int) -> pa.Table:
        """Return one observation of every series, counted from the last, which is 1."""
        return self.table.take(np.array([own[-back] for own in self.rows]))


def synthetic_panel(series: int) -> tuple[pa.Table, list[Ints]]:
    """Return a table of weekdays and the rows of each series."""
    days = np.busday_offset("2018-01-01", np.arange(DAYS), roll="forward").astype("datetime64[us]")
    return as_table(synthetic_prices(series, DAYS), days), np.split(np.arange(series * DAYS), series)


def read(path: Path, series: int) -> tuple[pa.Table, list[Ints]]:
    """Return up to some series of a panel with all their steps, and the rows of each."""
    table, _, rows = read_series(path)
    return table.slice(0, sum(map(len, rows[:series]))), rows[:series]


def cross_validate(histories: Sequence[Floats], horizon: int, windows: int, *, refit: bool) -> float:
    """Return CPU seconds that statsforecast takes a series and cutoff."""
    with quiet():
        from statsforecast import StatsForecast
        from statsforecast.models import AutoETS

        table = long_frame(histories)
        with measured() as cost:
            asked = StatsForecast([AutoETS(season_length=1, model="ZZN")], freq=1)
            asked.cross_validation(df=table, h=horizon, n_windows=windows, refit=refit, level=[80, 95])
    return cost.cpu_s / len(histories) / windows


def compare(panel: Daily, rounds: int) -> tuple[dict[int, float], dict[int, int], dict[str, float]]:
    """Return medians of interleaved rounds: ours by cutoffs with the rows made, and theirs a series and cutoff."""
    costs: dict[int, list[float]] = {count: [] for count in CUTOFFS}
    peers: dict[str, list[float]] = {metric: [] for metric, _, _ in VARIANTS}
    rows, sample = dict.fromkeys(CUTOFFS, 0), panel.histories[:PEER_SERIES]
    panel.backtest(2)
    for _, refit, _ in VARIANTS:
        cross_validate([y[-40:] for y in sample[:1]], 2, 2, refit=refit)
    for _ in range(rounds):
        for count in CUTOFFS:
            with measured() as cost:
                rows[count] = panel.backtest(count).rows.num_rows
            costs[count].append(cost.cpu_s)
        for metric, refit, _ in VARIANTS:
            peers[metric].append(cross_validate(sample, panel.horizon, PEER_WINDOWS, refit=refit))
    ours = {count: statistics.median(values) for count, values in costs.items()}
    return ours, rows, {metric: statistics.median(values) for metric, values in peers.items()}


def compare_update(panel: Daily, rounds: int) -> tuple[float, float]:
    """Return CPU seconds of one more step for every series and the forecasts then: taken in, and fitted anew."""
    updates, refits = [], []
    fitted = panel.fit(rounds + 1)
    for back in range(rounds + 1, 0, -1):
        fresh = panel.step(back)
        with measured() as cost:
            fitted.update(fresh).forecast()
        updates.append(cost.cpu_s)
        with measured() as cost:
            panel.fit(back - 1).forecast()
        refits.append(cost.cpu_s)
    return statistics.median(updates[1:]), statistics.median(refits[1:])


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--panel", type=Path)
    parser.add_argument("--freq", default="B")
    parser.add_argument("--kind", default="price")
    parser.add_argument("--horizon", type=int, default=5)
    parser.add_argument("--series", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options, report = arguments(), Report("forecast_backfill")
    found = synthetic_panel(options.series) if options.panel is None else read(options.panel, options.series)
    panel = Daily(*found, options.freq, options.kind, options.horizon)
    cpu_s, rows, peers = compare(panel, options.rounds)
    steps = len(panel.table) / len(panel.rows)
    for count in CUTOFFS[1:]:
        note = f"{len(panel.rows):,} series of {steps:,.0f} steps; {cpu_s[count]:.2f} CPU s over {cpu_s[1]:.2f}"
        report.add(f"cutoffs_{count}_vs_1", cpu_s[count] / cpu_s[1], "ratio", note=note)
    each = {count: cpu_s[count] * panel.horizon / rows[count] for count in CUTOFFS}
    for metric, _, how in VARIANTS:
        peer = f"statsforecast AutoETS ZZN, {how}"
        for count, suffix in ((CUTOFFS[-1], ""), (PEER_WINDOWS, f"_{PEER_WINDOWS}")):
            note = (
                f"{1e3 * peers[metric]:.2f} ms a series and cutoff over {1e6 * each[count]:.1f} us at {count:,} cutoffs"
            )
            report.add(f"{metric}{suffix}", peers[metric] / each[count], "ratio", peer, note)
        report.add(metric.replace("vs_", "") + "_ms", 1e3 * peers[metric], "CPU ms", peer, "a series and cutoff")
    report.add("rows_per_cpu_s", rows[CUTOFFS[-1]] / cpu_s[CUTOFFS[-1]], "rows", note=f"{CUTOFFS[-1]:,} cutoffs")
    update, refit = compare_update(panel, options.rounds)
    note = f"one step of every series, then forecasts: {1e3 * update:.1f} ms over {1e3 * refit:.1f} ms"
    report.add("update_vs_refit", update / refit, "ratio", note=note)
    report.print()


if __name__ == "__main__":
    main()
