"""Worlds that tests of the engine share: plain ones with known answers, and one with every part."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.engine import replay, simulate
from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.plan import Request
from pulse_assets.simulation.program import Holdings, Program, build
from pulse_assets.simulation.risk.capital import Portfolio
from pulse_assets.simulation.scenarios.shocks import Shocks
from pulse_assets.simulation.world import Floats, Jumps, Regimes, Variable, World

FURTHEST = 4.0
"""Standard errors that a correct estimate may be off, with seeds that are fixed."""
CAPITAL = 100.0


def plain_world(sd: float = 0.01, assets: int = 1, rho: float = 0.0, **changes: Any) -> World:
    """Return geometric Brownian motions whose prices are expected to stay, equally correlated."""
    each, nothing = np.ones(assets), np.empty(0)
    world = World(
        tuple(Variable(f"a{i}", "asset", "log return") for i in range(assets)),
        drift=-0.5 * sd**2 * each,
        omega=0 * each,
        alpha=0 * each,
        gamma=0 * each,
        beta=each,
        variance=sd**2 * each,
        level=nothing,
        mean=nothing,
        phi=nothing,
        sigma=nothing,
        correlation=np.full((assets, assets), rho) + (1 - rho) * np.eye(assets),
    )
    return world.with_(**changes)


def factor_world(level: float, mean: float, phi: float, sigma: float, **of_variable: Any) -> World:
    """Return one asset and one factor, independent."""
    one = plain_world(0.01)
    factor = Variable("f", "macro", "1", **of_variable)
    states = {"level": level, "mean": mean, "phi": phi, "sigma": sigma}
    arrays = {name: np.array([value]) for name, value in states.items()}
    return one.with_(variables=(*one.variables, factor), correlation=np.eye(2), **arrays)


def two_regimes(now: tuple[float, float] = (1.0, 0.0)) -> Regimes:
    """Return calm and stressed days: 50 and 20 steps long on average, 5/7 and 2/7 of all."""
    transition = np.array([[0.98, 0.02], [0.05, 0.95]])
    return Regimes(("calm", "stressed"), transition, np.array(now), np.array([0.8, 1.7]), np.array([2e-4, -1e-3]))


def rich_world(**changes: Any) -> World:
    """Return three assets and three factors with every part there is: GJR, regimes, jumps, t tails, scales, bounds."""
    names = ("spx", "wti", "gold", "vix", "mood", "rate")
    mixing = np.random.default_rng(11).normal(size=(6, 4))
    covariance = mixing @ mixing.T + 4 * np.eye(6)
    sd = np.sqrt(np.diag(covariance))
    world = World(
        (
            *(Variable(name, "asset", "log return") for name in names[:3]),
            Variable("vix", "macro", "percent per year", "log", 5, 150),
            Variable("mood", "overlay", "1", "linear", 0.0, 1.0),
            Variable("rate", "macro", "percent", "linear", -2.0, 20.0),
        ),
        drift=np.array([3e-4, 1e-4, 2e-4]),
        omega=np.array([2e-6, 5e-6, 1e-6]),
        alpha=np.array([0.03, 0.05, 0.04]),
        gamma=np.array([0.1, 0.0, -0.02]),
        beta=np.array([0.9, 0.93, 0.92]),
        variance=np.array([1e-4, 4e-4, 8e-5]),
        level=np.array([np.log(20.0), 0.5, 3.0]),
        mean=np.array([np.log(18.0), 0.45, 2.5]),
        phi=np.array([0.95, 0.9, 0.999]),
        sigma=np.array([0.06, 0.1, 0.05]),
        correlation=covariance / sd / sd[:, None],
        innovations="student_t",
        nu=5,
        regimes=two_regimes(),
        jumps=Jumps(np.array([0.02, 0.1]), -0.01, 0.02, np.array([1.0, 1.5, 0.0])),
    )
    return world.with_(**changes)


def no_shocks(world: World, steps: int, **changes: Any) -> Shocks:
    """Return a scenario in which nothing happens, or only what ``changes`` say."""
    count = len(world.variables)
    parts = {
        "keep": np.ones((steps, count)),
        "add": np.zeros((steps, count)),
        "variance": np.ones(steps),
        "regime": np.full(steps, -1),
        "phase": np.zeros(steps, int),
        "correlations": (world.correlation,),
        "branch": np.zeros(steps, int),
    }
    return Shocks(**(parts | changes))


def some_shocks(world: World, steps: int) -> Shocks:
    """Return shocks of every kind: on states, variance, regime and correlation."""
    shocks = no_shocks(world, steps)
    shocks.add[3, 0], shocks.keep[4, -1], shocks.variance[5:9] = -0.1, 0.5, 4.0
    shocks.regime[6:10], shocks.phase[8:] = 1, 1
    stressed = 0.5 * world.correlation + 0.5
    np.fill_diagonal(stressed, 1.0)
    parts = {name: getattr(shocks, name) for name in ("add", "keep", "variance", "regime", "phase")}
    return no_shocks(world, steps, correlations=(world.correlation, stressed), **parts)


def portfolio(world: World, **changes: Any) -> Portfolio:
    """Return long and short positions in all assets but the last."""
    names = [asset.name for asset in world.assets]
    sizes = np.linspace(80.0, -30.0, max(len(names) - 1, 1))
    parts = {"positions": dict(zip(names, sizes.tolist(), strict=False)), "capital_usd": CAPITAL, "allow_short": True}
    return Portfolio(**(parts | changes))


def request_of(world: World, steps: int = 12, **changes: Any) -> Request:
    """Return a request without a scenario's shocks."""
    parts = {"scenario": "base", "shocks": no_shocks(world, steps), "portfolio": portfolio(world), "seed": 7}
    return Request(world, **(parts | changes))


def program_of(world: World, steps: int, positions: object = (CAPITAL,), **parts: Any) -> Program:
    """Return a program without shocks that holds some positions."""
    shocks = parts.pop("shocks", None) or no_shocks(world, steps)
    return build(world, Holdings(np.asarray(positions, np.float64), CAPITAL), shocks, **parts)


def profits(world: World, steps: int, paths: int, positions: object = (CAPITAL,), seed: int = 1) -> Floats:
    """Return profits at the end, shape ``(paths,)``, USD."""
    program = program_of(world, steps, positions, tracked=False)
    return simulate(program, seed, 0, paths).outcomes[0].astype(np.float64)


def returns(world: World, steps: int, paths: int, seed: int = 1) -> Floats:
    """Return the log return at the end of a world of one asset."""
    return np.asarray(np.log1p(profits(world, steps, paths, seed=seed) / CAPITAL))


def states(program: Program, paths: int, seed: int = 1) -> Floats:
    """Return traced rows of the first paths, shape ``(paths, steps, rows)``."""
    return replay(program, seed, np.arange(paths, dtype=np.uint64)).astype(np.float64)


def traced_row(program: Program, place: int) -> int:
    """Return where a row of ``work`` stands in a trace."""
    return program.offset(place) - program.offset(H.STATE)


def scores(values: Floats, expected: npt.ArrayLike) -> Floats:
    """Return how many standard errors means over paths, the first axis, are from what is expected."""
    return np.asarray((values.mean(axis=0) - expected) / (values.std(axis=0) / np.sqrt(len(values))))


def assert_mean(values: Floats, expected: npt.ArrayLike) -> None:
    """Say that means over paths, the first axis, are what is expected, within four standard errors."""
    found = scores(values, expected)
    assert np.abs(found).max() < FURTHEST, f"{values.mean(axis=0)} is {found} standard errors from {expected}"
