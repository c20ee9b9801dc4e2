"""Cost of calibrating worlds, against arch: ``python -m benchmarks.calibration_speed [--rounds R] [--json]``.

64 assets: the daily closes of 20 equities, more than once and shifted by some months, in a window of 2,520 weekdays.
Ours is the whole calibration: GJR of each asset, regimes of the mean return, degrees of freedom, shrunk correlation,
checks. The peers do one part of it each: arch GJR series by series, without standard errors, in percent; statsmodels
the regimes. Compiling is not measured.
"""

import argparse
import statistics
import warnings

import numpy as np

from benchmarks.report import Report, measured
from pulse_assets.forecasting.garch import fit_gjr
from pulse_assets.simulation.calibration.known_series import Days, Vintages
from pulse_assets.simulation.calibration.regimes import fit_regimes
from pulse_assets.simulation.calibration.world_settings import WorldSettings
from pulse_assets.simulation.calibration.worlds import calibrate, calibrate_days
from pulse_assets.simulation.world import Floats

ASSETS, WINDOW, SHIFT = 64, 2520, 60
REPEATS = 5
"""Calibrations in one measurement."""

SeriesByName = dict[str, tuple[Days, Floats]]


def assets() -> SeriesByName:
    """Return days and prices of 64 assets."""
    from skfolio.datasets import load_sp500_dataset

    table = load_sp500_dataset()
    days, levels = table.index.to_numpy().astype("datetime64[D]"), table.to_numpy()
    count = levels.shape[1]
    last = len(days) - SHIFT * (ASSETS // count)
    found = {}
    for place in range(ASSETS):
        start = SHIFT * (place // count)
        found[f"s{place}"] = (days[:last], np.ascontiguousarray(levels[start : start + last, place % count]))
    return found


def settings(innovations: str) -> WorldSettings:
    """Return the settings of a world of all assets."""
    names = [f"s{place}" for place in range(ASSETS)]
    given = {"assets": {name: name for name in names}, "window_days": WINDOW, "regimes": True}
    return WorldSettings.model_validate(given | {"innovations": innovations})


def window_returns(values: SeriesByName) -> Floats:
    """Return the log returns of the window, shape ``(64, T)``."""
    days = next(iter(values.values()))[0]
    inside = days[1:] > np.busday_offset(days[-1], -WINDOW)
    return np.stack([np.diff(np.log(levels))[inside] for _, levels in values.values()])


def arch_seconds(returns: Floats) -> float:
    """Return CPU seconds of arch for all series."""
    from arch import arch_model

    with measured() as cost:
        for row in returns:
            model = arch_model(100 * row, mean="Constant", vol="GARCH", p=1, o=1, q=1, rescale=False)
            model.fit(disp="off", show_warning=False)
    return cost.cpu_s


def our_fit_seconds(returns: Floats) -> float:
    """Return CPU seconds of our GJR fits of all series."""
    offsets = np.arange(0, returns.size + 1, returns.shape[1])
    with measured() as cost:
        for _ in range(REPEATS):
            fit_gjr(returns.ravel(), offsets)
    return cost.cpu_s / REPEATS


def world_seconds(values: SeriesByName) -> float:
    """Return CPU seconds of a whole calibration."""
    day, chosen = next(iter(values.values()))[0][-1], settings("student_t")
    with measured() as cost:
        for _ in range(REPEATS):
            calibrate(values, day, chosen)
    return cost.cpu_s / REPEATS


def regime_seconds(returns: Floats) -> tuple[float, float]:
    """Return CPU seconds of the regimes of the mean return, ours and those of statsmodels."""
    from statsmodels.tsa.api import MarkovRegression  # type: ignore[import-untyped]

    market = returns.mean(axis=0)
    with measured() as cost:
        for _ in range(REPEATS):
            fit_regimes(market, 2)
    with measured() as peer:
        MarkovRegression(100 * market, k_regimes=2, trend="c", switching_variance=True).fit(disp=False)
    return cost.cpu_s / REPEATS, peer.cpu_s


def backfill_seconds(values: SeriesByName, innovations: str, days: int) -> float:
    """Return CPU seconds of a world of one of the last days, monthly refits included."""
    asked = next(iter(values.values()))[0][-days:]
    vintages = {name: Vintages(own, own, levels) for name, (own, levels) in values.items()}
    with measured() as cost:
        for _ in calibrate_days(vintages, asked, settings(innovations)):
            pass
    return cost.cpu_s / days


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--days", type=int, default=504)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers' about their own searches
    values, report = assets(), Report("calibration_speed")
    returns = window_returns(values)
    world_seconds(values)
    rounds = [
        (world_seconds(values), our_fit_seconds(returns), arch_seconds(returns), *regime_seconds(returns))
        for _ in range(options.rounds)
    ]
    world, fit, arch, regimes, statsmodels = (statistics.median(column) for column in zip(*rounds, strict=True))
    note = f"{ASSETS} assets, {returns.shape[1]} days, CPU, median of {options.rounds}"
    report.add("gjr_vs_arch", arch / fit, "ratio", "arch", f"{note}; the fits alone")
    report.add("world_vs_arch", arch / world, "ratio", "arch", f"{note}; our whole world, arch's fits alone")
    report.add("regimes_vs_statsmodels", statsmodels / regimes, "ratio", "statsmodels", "two regimes of the mean")
    report.add("world_ms", 1e3 * world, "ms", note=note)
    report.add("regimes_ms", 1e3 * regimes, "ms", note=f"{returns.shape[1]} returns")
    for innovations in ("student_t", "historical"):
        cost = backfill_seconds(values, innovations, options.days)
        note = f"{options.days} days, monthly refits, {ASSETS} assets"
        report.add(f"backfill_ms_{innovations}", 1e3 * cost, "ms a day", note=note)
    report.print()


if __name__ == "__main__":
    main()
