"""Paths for the same error, plain over quasi-random: ``python -m benchmarks.rqmc [--replicates R] [--json]``.

A basket of 64 assets (S = 100, volatility 0.3, rate 0.02, one year, correlation 0.5) on 4,096 paths of 16 steps: the
arithmetic basket call, and VaR and ES at 99 % of the basket's P&L. A figure is the variance of plain Monte Carlo's
estimates over that of a method's, so how many times fewer paths it needs. Plain paths take one step, which has the
same law at the end. Antithetic paths count both twins. Pulse wants at least 1,000, 20 and 100 of ``sobol_own``.
"""

import argparse
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from benchmarks.report import Report, measured
from pulse_assets.simulation.risk.estimators import antithetic_mean, control_variate_mean, replicate_mean
from pulse_assets.simulation.risk.measures import expected_shortfall, value_at_risk
from pulse_assets.simulation.risk.quasi import Order, normals_of, plan_sobol

Floats = npt.NDArray[np.float64]

ASSETS, STEPS, PATHS = 64, 16, 4096
SPOT, VOLATILITY, RATE, YEARS, CORRELATION = 100.0, 0.3, 0.02, 1.0, 0.5
GEOMETRIC_CALL, ARITHMETIC_CALL = 8.2302154241965, 9.4567
PLAIN = 400
"""Replicates of plain Monte Carlo: their variance is in all ratios."""
RESAMPLES = 2000
SEED = 20_240_628
OUTPUTS = ("basket_call", "var99", "es99")
CHOL = np.asarray(
    np.linalg.cholesky(np.full((ASSETS, ASSETS), CORRELATION) + (1 - CORRELATION) * np.eye(ASSETS)), np.float64
)


def log_returns(z: Floats | npt.NDArray[np.float32]) -> Floats:
    """Return log returns at the end, shape ``(N, A)``, from normals ``(N, steps, A)``."""
    shocks = z.sum(axis=1, dtype=np.float64) / np.sqrt(z.shape[1])
    drift = (RATE - VOLATILITY**2 / 2) * YEARS
    return np.asarray(drift + VOLATILITY * np.sqrt(YEARS) * (shocks @ CHOL.T))


def call(price: Floats) -> Floats:
    """Return the discounted payoff of a call at the money."""
    return np.asarray(np.exp(-RATE * YEARS) * np.maximum(price - SPOT, 0))


def estimates(x: Floats) -> list[float]:
    """Return the three outputs of paths that count alike."""
    basket = SPOT * np.exp(x).mean(axis=1)
    pnl = basket - SPOT
    tail = [float(measure(pnl, [0.99]).value[0]) for measure in (value_at_risk, expected_shortfall)]
    return [float(call(basket).mean()), *tail]


def draw(replicate: int, paths: int = PATHS) -> Floats:
    """Return pseudo-random normals of one step."""
    return np.random.default_rng([SEED, replicate]).standard_normal((paths, 1, ASSETS))


def plain(replicate: int) -> list[float]:
    """Estimate from independent paths."""
    return estimates(log_returns(draw(replicate)))


def antithetic(replicate: int) -> list[float]:
    """Estimate from half as many paths and their twins."""
    z = draw(replicate, PATHS // 2)
    both = [log_returns(z), log_returns(-z)]
    one, other = (call(SPOT * np.exp(x).mean(axis=1)) for x in both)
    return [float(antithetic_mean(one, other).value), *estimates(np.concatenate(both))[1:]]


def geometric_control(replicate: int) -> list[float]:
    """Correct the basket call by that of the geometric mean, whose price is known; VaR and ES have no such control."""
    x = log_returns(draw(replicate))
    control = call(SPOT * np.exp(x.mean(axis=1)))
    arithmetic = call(SPOT * np.exp(x).mean(axis=1))
    found = control_variate_mean(arithmetic, control[:, None], np.array([GEOMETRIC_CALL]))
    return [float(found.value), np.nan, np.nan]


def quasi(own: bool, order: Order) -> Callable[[int], list[float]]:
    """Return the estimate from scrambled Sobol points, with the portfolio's own direction first or without."""
    weights = np.full(ASSETS, VOLATILITY) if own else None
    plan = plan_sobol(PATHS, STEPS, CHOL, SEED, weights, order)
    return lambda replicate: estimates(log_returns(normals_of(plan, replicate)))


def replicated(method: Callable[[int], list[float]], replicates: int) -> Floats:
    """Return estimates of independent replicates, shape ``(R, 3)``."""
    return np.array([method(replicate) for replicate in range(replicates)])


def ratio_with_interval(few: Floats, many: Floats) -> tuple[float, float, float]:
    """Return the ratio of two variances and its 95 % interval, bootstrapped: scrambles' errors are far from normal."""
    rng = np.random.default_rng(SEED)
    above, below = (
        each[rng.integers(len(each), size=(RESAMPLES, len(each)))].var(axis=1, ddof=1) for each in (many, few)
    )
    low, high = np.quantile(above / below, [0.025, 0.975])
    return float(many.var(ddof=1) / few.var(ddof=1)), float(low), float(high)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=100, help="scrambles, at least 40")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    methods = {
        "antithetic": antithetic,
        "geometric_control": geometric_control,
        "sobol_pca": quasi(own=False, order="terminal"),
        "sobol_own": quasi(own=True, order="terminal"),
        "sobol_brownian": quasi(own=True, order="brownian"),
    }
    report, base = Report("rqmc"), replicated(plain, PLAIN)
    report.add(
        "plain_basket_call_se", float(base[:, 0].std(ddof=1)), "USD", note=f"{PATHS:,} paths, {PLAIN} replicates"
    )
    for name, method in methods.items():
        with measured() as cost:
            found = replicated(method, max(options.replicates, 40))
        for column, output in enumerate(OUTPUTS):
            if not np.isnan(found[:, column]).any():
                ratio, low, high = ratio_with_interval(found[:, column], base[:, column])
                report.add(f"{name}_{output}", ratio, "ratio", note=f"95 % interval {low:,.1f} to {high:,.1f}")
        error = replicate_mean(found[:, 0])
        note = f"in standard errors; {cost.cpu_s / len(found):.2f} CPU s a replicate"
        report.add(
            f"{name}_bias",
            float((error.value - ARITHMETIC_CALL) / np.hypot(error.standard_error, 5e-4)),
            "z",
            note=note,
        )
    report.print()


if __name__ == "__main__":
    main()
