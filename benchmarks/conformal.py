"""Recalibration: coverage of intervals after calm and shocks, and what it costs, beside simpler ways.

Heavy-tailed scores whose spread doubles at step 500 and calms at 1,000 (Student's t with 5 degrees of freedom), as if
from a forecast that knows of none of it; and scores that are perfect, on which every recalibration can only lose.
"""

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from benchmarks.report import Report
from pulse_assets.numerics.normal_scores import KNOTS
from pulse_assets.numerics.quantiles import LEVELS
from pulse_assets.trust.conformal.adaptive import fresh_state, learn, pooled_quantiles, thresholds

Floats = npt.NDArray[np.float64]
SERIES, STEPS, SHOCK, CALM, BURN = 500, 1_300, 500, 1_000, 100
INTERVALS = ((6, 16, 0.5), (3, 19, 0.8), (1, 21, 0.95))
WINDOW = 60


def ours(z: Floats) -> Floats:
    """Return Pulse's thresholds, shape ``(steps, series, 23)``."""
    state, rows, overlap = fresh_state(z.shape[1]), np.arange(z.shape[1]), np.ones(z.shape[1], np.int64)
    found = np.full((*z.shape, len(LEVELS)), np.nan)
    for step in range(len(z)):
        if step:
            learn(state, rows, z[step - 1], found[step - 1], overlap, step)
        pool = np.tile(pooled_quantiles(state, rows, step), (z.shape[1], 1))
        found[step] = thresholds(state, rows, pool, overlap, step)[0]
    return found


def static(z: Floats) -> Floats:
    """Return the thresholds of the first 100 scores, for good."""
    return np.broadcast_to(np.quantile(z[:BURN], LEVELS, axis=0).T, (*z.shape, len(LEVELS)))


def rolling(z: Floats) -> Floats:
    """Return the quantiles of the newest 60 scores."""
    found = np.full((*z.shape, len(LEVELS)), np.nan)
    for step in range(WINDOW, len(z)):
        found[step] = np.quantile(z[step - WINDOW : step], LEVELS, axis=0).T
    return found


def raw(z: Floats) -> Floats:
    """Return the forecast as it is."""
    return np.broadcast_to(KNOTS, (*z.shape, len(LEVELS)))


WAYS: dict[str, Callable[[Floats], Floats]] = {"pulse": ours, "rolling 60": rolling, "static": static, "raw": raw}


def main() -> None:
    """Print coverage, loss and cost of every way."""
    rng = np.random.default_rng(0)
    shocked = rng.standard_t(5, (STEPS, SERIES))
    shocked[SHOCK:CALM] *= 2
    perfect = rng.standard_normal((STEPS, SERIES))
    report = Report("conformal")
    for name, way in WAYS.items():
        begun = time.process_time()
        found = way(shocked)
        spent = time.process_time() - begun
        for low, high, nominal in INTERVALS:
            covered = (shocked >= found[:, :, low]) & (shocked <= found[:, :, high])
            of = f"coverage_{nominal * 100:.0f}"
            report.add(of, float(covered[BURN:].mean() - nominal) * 100, "points", name, "over the panel, less nominal")
            deviation = np.abs(covered[BURN:].mean(axis=0) - nominal).mean()
            report.add(f"{of}_per_series", float(deviation) * 100, "points", name, "mean distance from nominal")
            after = covered[SHOCK : SHOCK + 100].mean() - nominal
            report.add(f"{of}_after_shock", float(after) * 100, "points", name, "100 steps after the spread doubled")
        report.add("infinite", float((~np.isfinite(found[BURN:])).sum()), "thresholds", name)
        report.add("loss_if_perfect", _loss(perfect, way(perfect)) / _loss(perfect, raw(perfect)), "x raw", name)
        updates = shocked.size * len(LEVELS)
        report.add("cpu_s_2m_updates", spent * 2e6 / updates, "CPU s", name, f"{updates / 1e6:.0f} million measured")
    report.print()


def _loss(z: Floats, found: Floats) -> float:
    miss = z[BURN:, :, None] - found[BURN:]
    return float(np.maximum(LEVELS * miss, (LEVELS - 1) * miss).mean())


if __name__ == "__main__":
    main()
