"""A world that is malformed or would explode is refused with the variable's name."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pulse_assets.simulation.calibration.guards import check_world, long_run_variance, persistence
from pulse_assets.simulation.world import Jumps, Regimes, Variable, World


def a_world() -> World:
    """Two assets and two factors, with regimes and jumps."""
    return World(
        variables=(
            Variable("stock", "asset", "log return"),
            Variable("bond", "asset", "log return"),
            Variable("vix", "overlay", "percent", "log", 5.0, 150.0),
            Variable("rate", "macro", "percent", low=0.0, high=20.0),
        ),
        drift=np.array([2e-4, 1e-4]),
        omega=np.array([1e-6, 0.0]),
        alpha=np.array([0.03, 0.0]),
        gamma=np.array([0.1, 0.0]),
        beta=np.array([0.9, 1.0]),
        variance=np.array([1e-4, 1e-5]),
        level=np.array([np.log(20.0), 3.0]),
        mean=np.array([np.log(18.0), 4.0]),
        phi=np.array([0.95, 1.0]),
        sigma=np.array([0.08, 0.05]),
        correlation=np.eye(4),
        regimes=Regimes(
            ("calm", "stressed"),
            np.array([[0.98, 0.02], [0.05, 0.95]]),
            np.array([0.7, 0.3]),
            np.array([0.8, 1.5]),
            np.array([1e-4, -3e-4]),
        ),
        jumps=Jumps(np.array([0.001, 0.02]), -0.02, 0.02, np.array([1.0, 0.2])),
        history=np.zeros((3, 4)),
    )


def historical(residuals: np.ndarray, **changes: object) -> World:
    return a_world().with_(innovations="historical", residuals=residuals, **changes)


def shocks(days: int = 200) -> np.ndarray:
    drawn = np.random.default_rng(1).normal(size=(days, 2))
    return np.asarray((drawn - drawn.mean(axis=0)) / drawn.std(axis=0))


def test_a_good_world_passes() -> None:
    check_world(a_world())
    check_world(a_world().with_(innovations="student_t", nu=5))
    check_world(historical(shocks(), block_length=5.0))
    check_world(World((), *(np.empty(0),) * 10, np.empty((0, 0))).with_(**only_a_rate()))


def only_a_rate() -> dict[str, object]:
    whole = a_world()
    factors = {name: getattr(whole, name)[1:] for name in ("level", "mean", "phi", "sigma")}
    return factors | {"variables": whole.variables[3:], "correlation": np.eye(1)}


def named(world: World, place: int, **changes: object) -> World:
    variables = list(world.variables)
    variables[place] = replace(variables[place], **changes)  # type: ignore[arg-type]
    return world.with_(variables=tuple(variables))


def put(world: World, field: str, place: object, value: float) -> World:
    array = getattr(world, field).copy()
    array[place] = value
    return world.with_(**{field: array})


def in_part(world: World, part: str, **changes: object) -> World:
    return world.with_(**{part: replace(getattr(world, part), **changes)})


BAD: dict[str, tuple[Callable[[World], World], str]] = {
    "no variable": (lambda w: w.with_(variables=()), "at least one variable"),
    "name": (lambda w: named(w, 1, name="2y bond"), "variable '2y bond': expected letters"),
    "keyword": (lambda w: named(w, 1, name="if"), "variable 'if'"),
    "twice": (lambda w: named(w, 1, name="stock"), "'stock' stands twice"),
    "group": (lambda w: named(w, 3, group="weather"), "rate: expected a group"),
    "order": (lambda w: named(w, 0, group="macro"), "stock: factors stand after all assets"),
    "shape": (lambda w: w.with_(drift=np.zeros(3)), "drift: expected one number for each of"),
    "nan": (lambda w: put(w, "alpha", 0, np.nan), "stock: expected a finite alpha"),
    "nan factor": (lambda w: put(w, "sigma", 1, np.inf), "rate: expected a finite sigma"),
    "variance": (lambda w: put(w, "variance", 1, 0.0), "bond: expected a variance above 0"),
    "negative beta": (lambda w: put(w, "beta", 0, -0.1), "stock: expected beta of at least 0"),
    "leverage": (lambda w: put(w, "gamma", 0, -0.1), r"stock: expected alpha \+ gamma of at least 0"),
    "explosive": (lambda w: put(w, "beta", 0, 0.92), "stock: expected persistence below 1"),
    "no omega": (lambda w: put(w, "omega", 0, 0.0), "stock: expected persistence below 1 and omega above 0"),
    "huge": (lambda w: put(w, "omega", 0, 0.01), "stock: expected a deviation of a step up to 0.5"),
    "multiplier": (
        lambda w: in_part(w, "regimes", volatility=np.array([1.0, 60.0])),
        r"stock.*: expected a deviation of a step up to 0.5 in every regime",
    ),
    "drift": (lambda w: put(w, "drift", 1, 0.6), "bond: expected a drift a step within"),
    "regime drift": (lambda w: in_part(w, "regimes", drift=np.array([0, 0.6])), "expected a drift a step within"),
    "level": (lambda w: put(w, "level", 1, 25.0), "rate: expected 0.0 to 20.0, got 25.0: widen its bounds"),
    "log level": (lambda w: put(w, "level", 0, 90.0), "vix: expected a state within"),
    "bounds": (lambda w: named(w, 3, low=30.0), "rate: expected low < high"),
    "phi": (lambda w: put(w, "phi", 0, 1.01), r"vix: expected phi in \[-1, 1\]"),
    "sigma": (lambda w: put(w, "sigma", 1, -0.1), "rate: expected sigma of at least 0"),
    "log sigma": (lambda w: put(w, "sigma", 0, 0.9), "vix: expected sigma up to 0.5"),
    "correlation shape": (lambda w: w.with_(correlation=np.eye(3)), r"correlation: expected shape \(4, 4\)"),
    "diagonal": (lambda w: put(w, "correlation", (2, 2), 1.1), "correlation of vix and vix"),
    "asymmetric": (lambda w: put(w, "correlation", (0, 2), 0.3), "correlation of stock and vix"),
    "not psd": (
        lambda w: w.with_(correlation=np.full((4, 4), -0.5) + 1.5 * np.eye(4)),
        "correlation: expected no eigenvalue below 0, got -0.5.*nearest_correlation",
    ),
    "innovations": (lambda w: w.with_(innovations="cauchy"), "innovations: expected normal"),
    "nu": (lambda w: w.with_(innovations="student_t", nu=2), "nu: expected a whole number from 3 to 30, got 2"),
    "fraction": (lambda w: w.with_(innovations="student_t", nu=4.5), "nu: expected a whole number"),
    "few days": (lambda _: historical(shocks(50)), "residuals: expected at least 100 days"),
    "nan day": (lambda _: put(historical(shocks()), "residuals", (5, 1), np.nan), "bond: expected no missing"),
    "not standardised": (lambda _: historical(0.01 * shocks()), "expected residuals of mean square near 1"),
    "block": (lambda _: historical(shocks(), block_length=0.5), "block_length: expected 1 to 200"),
    "history": (lambda w: w.with_(history=np.zeros((3, 2))), r"history: expected shape \(L, 4\)"),
    "history nan": (lambda w: put(w, "history", (1, 3), np.nan), "rate: expected finite past states"),
    "transition": (
        lambda w: in_part(w, "regimes", transition=np.array([[0.9, 0.2], [0.1, 0.9]])),
        "regimes.transition from calm: expected probabilities that sum to 1",
    ),
    "probability": (lambda w: in_part(w, "regimes", now=np.array([1.2, -0.2])), "regimes.now: expected probabilities"),
    "regime nan": (
        lambda w: in_part(w, "regimes", volatility=np.array([np.nan, 1])),
        "regimes.volatility: expected finite numbers",
    ),
    "zero multiplier": (
        lambda w: in_part(w, "regimes", volatility=np.array([0.0, 1])),
        "regimes.volatility of calm: expected a factor above 0",
    ),
    "regime names": (lambda w: in_part(w, "regimes", names=("a", "a")), "regimes: expected different names"),
    "many jumps": (
        lambda w: in_part(w, "jumps", intensity=np.array([0.1, 12.0])),
        "jumps.intensity in regime 1: expected 0 to 2.0 jumps a step, got 12.0",
    ),
    "jump regimes": (lambda w: in_part(w, "jumps", intensity=np.array([0.1])), "expected one for each of 2 regimes"),
    "jump sd": (lambda w: in_part(w, "jumps", sd=-0.1), "jumps: expected a finite mean and sd"),
    "jump size": (lambda w: in_part(w, "jumps", mean=5.0), "stock: expected a deviation of a step up to 0.5"),
    "jump loads": (lambda w: in_part(w, "jumps", load=np.ones(3)), "jumps.load: expected one for each of 2 assets"),
    "jump load": (lambda w: in_part(w, "jumps", load=np.array([1, np.nan])), "bond: expected a finite jump load"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_world_is_refused_by_name(case: str) -> None:
    spoil, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        check_world(spoil(a_world()))


def test_multipliers_do_not_feed_back_into_variance() -> None:
    """A world that would explode if they did (alpha m² + beta > 1) passes, and has a long-run variance."""
    world = in_part(put(a_world(), "alpha", 0, 0.04), "regimes", volatility=np.array([0.5, 3.0]))
    assert (world.alpha + world.gamma / 2)[0] * 9 + world.beta[0] > 1
    check_world(world)
    assert long_run_variance(world)[0] == pytest.approx(1e-6 / (1 - 0.04 - 0.05 - 0.9))


def test_persistence_counts_the_skew_of_the_days_that_are_drawn() -> None:
    """Rare deep falls: their squares are more than half of all, and gamma weighs them."""
    residuals = shocks(1000)
    residuals[::50, 0] = -6.0
    residuals = (residuals - residuals.mean(axis=0)) / residuals.std(axis=0)
    world = put(historical(residuals), "beta", 0, 0.915)
    assert persistence(a_world().with_(beta=world.beta))[0] < 1 < persistence(world)[0]
    with pytest.raises(ValueError, match="stock: expected persistence below 1"):
        check_world(world)
