"""Compiles the simulator's kernel once: ``python -m pulse_assets.simulation.warm``. Later processes start at once.

Rules are compiled when a world with them is first simulated, since their text depends on it.
"""

import sys
import time

import numpy as np


def main() -> None:
    """Simulate one block of a world with a single asset."""
    from pulse_assets.simulation.plan import Request, make_plan
    from pulse_assets.simulation.risk.capital import Portfolio
    from pulse_assets.simulation.runs import carry_out
    from pulse_assets.simulation.scenarios.shocks import no_shock
    from pulse_assets.simulation.world import Variable, World

    started = time.perf_counter()
    none, nothing, one = np.empty(0), np.zeros(1), np.ones(1)
    world = World(
        (Variable("x", "asset", "log return"),),
        drift=nothing,
        omega=nothing,
        alpha=nothing,
        gamma=nothing,
        beta=one,
        variance=1e-4 * one,
        level=none,
        mean=none,
        phi=none,
        sigma=none,
        correlation=np.eye(1),
    )
    portfolio = Portfolio(positions={"x": 1.0}, capital_usd=1.0)
    carry_out(make_plan(Request(world, "warm", no_shock(world, 2), portfolio), 1))
    sys.stdout.write(f"simulator compiled in {time.perf_counter() - started:.0f} s\n")


if __name__ == "__main__":
    main()
