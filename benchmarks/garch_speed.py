"""Cost and quality of GJR-GARCH fits against arch: ``python -m benchmarks.garch_speed [--rounds R] [--json]``.

Both fit the last 1,008 daily log returns of 20 equities with a constant mean, in one process and in turn; ours as one
batch, arch series by series in percent, without its standard errors. Compiling is not measured.
"""

import argparse
import statistics
import warnings

import numpy as np
import numpy.typing as npt

from benchmarks.report import Report, measured
from pulse_assets.forecasting.fhs import filtered_historical_quantiles
from pulse_assets.forecasting.garch import GjrFit, fit_gjr

Floats = npt.NDArray[np.float64]

DAYS = 1008
REPEATS = 50
"""Batches of ours in one measurement, which would else be shorter than the clock is fine."""
DISTRIBUTIONS = ("normal", "t")


def equities() -> Floats:
    """Return decimal log returns, shape ``(20, 1008)``."""
    from skfolio.datasets import load_sp500_dataset

    prices = load_sp500_dataset().to_numpy()[-DAYS - 1 :]
    return np.ascontiguousarray(np.diff(np.log(prices), axis=0).T, np.float64)


def offsets(returns: Floats) -> npt.NDArray[np.int64]:
    """Return where each row begins."""
    return np.arange(0, returns.size + 1, returns.shape[1], dtype=np.int64)


def fit_ours(returns: Floats, dist: str) -> GjrFit:
    """Fit all series in one call."""
    return fit_gjr(returns.ravel(), offsets(returns), dist="t" if dist == "t" else "normal")


def fit_arch(returns: Floats, dist: str) -> Floats:
    """Fit series by series; return the log-likelihoods of decimal returns."""
    from arch import arch_model

    found = [
        arch_model(100 * row, mean="Constant", vol="GARCH", p=1, o=1, q=1, dist=dist, rescale=False)
        .fit(disp="off", show_warning=False)
        .loglikelihood
        for row in returns
    ]
    return np.asarray(np.array(found) + returns.shape[1] * np.log(100))


def compare(returns: Floats, dist: str, rounds: int) -> tuple[float, float, Floats]:
    """Return CPU seconds a series of ours and of arch, and by how much our log-likelihoods are higher."""
    ours, peer = [], []
    for _ in range(rounds):
        with measured() as cost:
            for _ in range(REPEATS):
                fit = fit_ours(returns, dist)
        ours.append(cost.cpu_s / REPEATS / len(returns))
        with measured() as cost:
            theirs = fit_arch(returns, dist)
        peer.append(cost.cpu_s / len(returns))
    return statistics.median(ours), statistics.median(peer), fit.loglik - theirs


def simulation_seconds(returns: Floats, series: int, rounds: int) -> float:
    """Return CPU seconds of the quantiles of 1,000 paths of 21 steps for many series."""
    many = np.resize(returns, (series, returns.shape[1]))
    fit = fit_ours(many, "normal")
    costs = []
    for _ in range(rounds + 1):
        with measured() as cost:
            filtered_historical_quantiles(fit, many.ravel(), offsets(many), horizon=21, paths=1000)
        costs.append(cost.cpu_s)
    return statistics.median(costs[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    returns, report = equities(), Report("garch_speed")
    warnings.simplefilter("ignore")  # arch's about its own search
    for dist in DISTRIBUTIONS:
        compare(returns, dist, 1)
        ours, peer, ahead = compare(returns, dist, options.rounds)
        name = "" if dist == "normal" else f"_{dist}"
        note = f"GJR, {dist}, {len(returns)} series of {DAYS}, CPU, median of {options.rounds}"
        report.add(f"vs_arch{name}", peer / ours, "ratio", "arch", note)
        report.add(f"fit_us{name}", 1e6 * ours, "us a series", note=f"arch {1e3 * peer:.2f} ms")
        distance = np.abs(ahead)
        for part, value in (("p50", np.median(distance)), ("p95", np.quantile(distance, 0.95)), ("worst", ahead.min())):
            note = f"{value:.1e}, " + ("ours less arch's where lowest" if part == "worst" else "absolute")
            report.add(f"loglik_difference_{part}{name}", float(value), "nats", "arch", note)
    note = "500 series, 1,000 paths, 21 steps, 23 quantiles each, filtering included"
    report.add("simulation_s", simulation_seconds(returns, 500, options.rounds), "s", note=note)
    report.print()


if __name__ == "__main__":
    main()
