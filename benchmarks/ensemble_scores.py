"""Cost of ensemble scores against scoringrules: ``python -m benchmarks.ensemble_scores [--rounds R] [--json]``.

Both score the same members in one process and in turn, with every thread pool held to one. Of scoringrules the fastest
of its exact estimators and backends counts; how far scores lie apart is told for the first. Compiling is not measured.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from benchmarks.report import Report, measured
from pulse_assets.numerics.distances import Members
from pulse_assets.numerics.ensemble import crps_ensemble, energy_score, variogram_score

Score = Callable[[], npt.NDArray[np.floating]]
Rivals = dict[str, Score]

MEMBERS = 500_000
"""Members scored in one call, in as many forecasts as that makes."""
BACKENDS = ("numba", "numpy")
SECONDS = 0.1
"""CPU seconds one measurement takes at least; a shorter one would be no longer than the clock is fine."""


def normal(precision: type, *shape: int) -> Members:
    """Return standard normal numbers, the same each time."""
    return np.random.default_rng(shape).normal(size=shape).astype(precision)


def seconds(score: Score, calls: int) -> float:
    """Return CPU seconds of a call."""
    with measured() as cost:
        for _ in range(calls):
            score()
    return cost.cpu_s / calls


def medians(scores: dict[str, Score], rounds: int) -> dict[str, float]:
    """Return CPU seconds of a call of each, measured in turn."""
    calls = {}
    for name, score in scores.items():
        score()  # compiles
        calls[name] = max(1, round(SECONDS / max(seconds(score, 1), 1e-6)))
    costs: dict[str, list[float]] = {name: [] for name in scores}
    for _ in range(rounds):
        for name, score in scores.items():
            costs[name].append(seconds(score, calls[name]))
    return {name: statistics.median(cost) for name, cost in costs.items()}


def crps(count: int, precision: type) -> tuple[Score, Rivals]:
    """Return ours and theirs, of ensembles in one variable."""
    import scoringrules

    members, y = normal(precision, MEMBERS // count, count), normal(precision, MEMBERS // count)
    theirs: Rivals = {
        f"{estimator}, {backend}": partial(scoringrules.crps_ensemble, y, members, estimator=estimator, backend=backend)
        for estimator, backend in product(("qd", "pwm", "int"), BACKENDS)
    }
    return partial(crps_ensemble, members, y, fair=False), theirs


def energy(count: int, variables: int) -> tuple[Score, Rivals]:
    """Return ours and theirs, of one ensemble in many variables."""
    import scoringrules

    members, y = normal(np.float64, 1, count, variables), normal(np.float64, 1, variables)
    theirs: Rivals = {backend: partial(scoringrules.es_ensemble, y, members, backend=backend) for backend in BACKENDS}
    return partial(energy_score, members, y, fair=False), theirs


def variogram(count: int, variables: int) -> tuple[Score, Rivals]:
    """Return ours and theirs, of one ensemble in many variables."""
    import scoringrules

    members, y = normal(np.float64, 1, count, variables), normal(np.float64, 1, variables)
    theirs: Rivals = {
        backend: partial(scoringrules.vs_ensemble, y, members, p=0.5, backend=backend) for backend in BACKENDS
    }
    return partial(variogram_score, members, y), theirs


def compare(report: Report, name: str, case: tuple[Score, Rivals], rounds: int) -> None:
    """Add how many times as long the fastest of theirs takes, and by how much the scores differ."""
    ours, theirs = case
    costs = medians({"ours": ours, **theirs}, rounds)
    best = min(theirs, key=costs.__getitem__)
    apart = float(np.max(np.abs(ours() - next(iter(theirs.values()))())))
    slowest = max(costs[other] for other in theirs) / costs["ours"]
    note = f"{1e3 * costs['ours']:.3g} ms; theirs {1e3 * costs[best]:.3g} ms ({best}), slowest {slowest:.0f} times ours"
    report.add(name, costs[best] / costs["ours"], "ratio", "scoringrules", f"{note}; apart by {apart:.0e}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    rounds, report = parser.parse_args().rounds, Report("ensemble_scores")
    with threadpool_limits(1):
        for count, precision in product((1000, 3000, 10_000), (np.float32, np.float64)):
            compare(report, f"crps_{count}_{precision.__name__}", crps(count, precision), rounds)
        for count, variables in ((200, 64), (1000, 8), (1000, 64)):
            compare(report, f"energy_{count}x{variables}", energy(count, variables), rounds)
        compare(report, "variogram_1000x64", variogram(1000, 64), rounds)
    report.print()


if __name__ == "__main__":
    main()
