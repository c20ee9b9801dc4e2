"""A small world that scenario tests share, and a slow walk through it."""

import numpy as np

from pulse_assets.simulation.scenarios.shocks import Shocks, origin_states
from pulse_assets.simulation.world import Floats, Regimes, Variable, World

NAMES = ("SPX", "WTI", "vix", "spread")


def small_world(**changes: object) -> World:
    """Two assets, a factor on a log scale that forgets, and a linear one that does not."""
    correlation = np.array(
        [[1.0, 0.3, -0.7, -0.4], [0.3, 1.0, -0.2, -0.1], [-0.7, -0.2, 1.0, 0.5], [-0.4, -0.1, 0.5, 1]]
    )
    world = World(
        variables=(
            Variable("SPX", "asset", "log return"),
            Variable("WTI", "asset", "log return"),
            Variable("vix", "macro", "percent per year", "log", 5, 150),
            Variable("spread", "overlay", "percent", "linear", 0.0, 10.0),
        ),
        drift=np.array([0.0003, 0.0]),
        omega=np.array([2e-6, 5e-6]),
        alpha=np.array([0.03, 0.05]),
        gamma=np.array([0.1, 0.0]),
        beta=np.array([0.9, 0.93]),
        variance=np.array([1e-4, 4e-4]),
        level=np.array([np.log(20.0), 1.0]),
        mean=np.array([np.log(18.0), 1.2]),
        phi=np.array([0.9, 1.0]),
        sigma=np.array([0.06, 0.02]),
        correlation=correlation,
        regimes=Regimes(
            ("quiet", "wild"),
            np.array([[0.95, 0.05], [0.2, 0.8]]),
            np.array([1.0, 0.0]),
            np.array([0.8, 2.0]),
            np.array([0.0, -0.001]),
        ),
    )
    return world.with_(**changes)


def walk(world: World, shocks: Shocks, noise: Floats) -> Floats:
    """Move states (V,) by drift, pull back and noise (steps, V), then by the shocks; shape ``(steps, V)``."""
    state, assets, found = origin_states(world), len(world.assets), []
    for t in range(shocks.steps):
        moved = state.copy()
        moved[:assets] += world.drift + noise[t, :assets]
        moved[assets:] = world.mean + world.phi * (state[assets:] - world.mean) + noise[t, assets:]
        state = shocks.keep[t] * moved + shocks.add[t]
        found.append(state)
    return np.array(found)
