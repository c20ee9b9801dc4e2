"""The worlds that simulations are measured on: W1, and a full one with everything that a world can have.

W1 is 64 assets with a full correlation matrix, 252 steps of geometric Brownian motion in logarithms, and the value of
an equally weighted portfolio at the end of each path. Its mean and deviation are known: log returns are jointly normal.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.program import Holdings, Program, build
from pulse_assets.simulation.rules.checked_rules import CheckedRules
from pulse_assets.simulation.rules.rule_checks import check_rules
from pulse_assets.simulation.rules.rule_set import parse_rules
from pulse_assets.simulation.scenarios.shocks import no_shock
from pulse_assets.simulation.world import Jumps, Regimes, Variable, World

Floats = npt.NDArray[np.float64]

ASSETS, STEPS = 64, 252
RATE, VOLATILITY = 0.02, 0.2
"""Of a year, which has :data:`STEPS` steps."""
STEP_SD = VOLATILITY / STEPS**0.5
STEP_DRIFT = RATE / STEPS - STEP_SD**2 / 2
OVERLAYS = ("hope", "trust", "rage", "fatigue", "despair", "greed", "doubt", "wonder")
RECORDED = (21, STEPS)
RULES = (
    ("hope > 0.65", "effects: [{target: greed, add: 0.01}], cooldown: 5"),
    ("despair > 0.65 and regime == stressed", "effects: [{target: hope, add: -0.01}]"),
    ("rage > 0.7", "effects: [{target: trust, add: -0.01}]"),
    ("trust < 0.35", "effects: [{target: doubt, add: 0.01}], cooldown: 5"),
    ("fatigue > 0.7", "effects: [{target: rage, multiply: 0.98}]"),
    ("greed > 0.7 and regime == calm", "effects: [{target: a0, shock: 0.0005}]"),
    ("doubt > 0.7", "effects: [{target: a1, shock: -0.0005}], half_life: 3"),
    ("change(a0, 5) < -0.05 [log return]", "effects: [{target: despair, add: 0.01}], half_life: 3"),
    ("change(a1, 5) < -0.05 [log return]", "effects: [{target: doubt, add: 0.01}], cooldown: 5"),
    ("change(a2, 21) > 0.08 [log return]", "effects: [{target: greed, add: 0.01}], cooldown: 10"),
    ("wonder > 0.65", "effects: [{target: hope, add: 0.005}]"),
    ("change(hope, 5) < -0.05", "effects: [{target: despair, add: 0.005}], cooldown: 5"),
    ("despair > 0.7 and regime == calm", "effects: [{target: regime, set: stressed}], cooldown: 10, probability: 0.05"),
    ("hope > 0.6 and regime == stressed", "effects: [{target: regime, set: calm}], cooldown: 10, probability: 0.05"),
    ("rage > 0.65", "effects: [{target: volatility.a3, multiply: 1.01}], cooldown: 5"),
    ("fatigue > 0.65", "effects: [{target: wonder, add: -0.005}]"),
    ("abs(change(a3, 5)) > 0.06 [log return]", "effects: [{target: rage, add: 0.01}]"),
    ("trust > 0.65 and doubt < 0.5", "effects: [{target: fatigue, add: -0.005}]"),
    ("wonder > 0.6", "effects: [{target: trust, add: 0.003}], probability: 0.5"),
    ("greed > hope and lag(greed, 5) > 0.6", "effects: [{target: fatigue, add: 0.004}], probability: 0.5"),
)
"""Twenty rules over overlays, regimes and assets: condition, and what follows; the rest is the same for all."""


@dataclass(frozen=True, eq=False)
class Job:
    """W1 as every engine gets it.

    Attributes
    ----------
    correlation
        Shape ``(A, A)``.
    factor
        Lower triangular, with the deviation of a step: shocks are ``factor @ z``.
    drift
        Of each asset's log return a step.
    mean, sd
        Of the portfolio's value at the end, exactly; its value at the start is 1.
    """

    correlation: Floats
    factor: Floats
    drift: float
    mean: float
    sd: float


def job() -> Job:
    """Return W1."""
    correlation = _correlation(ASSETS)
    covariance = np.exp(VOLATILITY**2 * correlation) - 1
    sd = np.exp(RATE) * float(np.sqrt(covariance.mean()))
    return Job(correlation, np.linalg.cholesky(correlation) * STEP_SD, STEP_DRIFT, float(np.exp(RATE)), sd)


def w1(tracked: bool = False) -> Program:
    """Return W1 for the engine; ``tracked`` adds value, peak and drawdown at every step (W2)."""
    world = _world(())
    return build(world, _holdings(), no_shock(world, STEPS), tracked=tracked)


def full(has_rules: bool, is_recorded: bool = False) -> Program:
    """Return the full world: GARCH, two regimes, jumps, eight overlays, drawdown; if wanted rules and histograms."""
    world = full_world()
    recorded = RECORDED if is_recorded else ()
    ranges = np.tile([-1.0, 2.0 / 4096], (len(recorded), len(world.variables) + 4, 1))
    rules = checked_rules(world) if has_rules else None
    return build(world, _holdings(), no_shock(world, STEPS), recorded=recorded, ranges=ranges, rules=rules)


def full_world() -> World:
    """Return what :func:`full` simulates."""
    regimes = Regimes(
        names=("calm", "stressed"),
        transition=np.array([[0.98, 0.02], [0.05, 0.95]]),
        now=np.array([0.7, 0.3]),
        volatility=np.array([0.8, 1.6]),
        drift=np.array([0.0, -1e-4]),
    )
    jumps = Jumps(intensity=np.array([0.005, 0.02]), mean=-0.01, sd=0.02, load=np.ones(ASSETS))
    recursion = {"omega": 3e-6, "alpha": 0.04, "gamma": 0.06, "beta": 0.91}
    changes = {name: np.full(ASSETS, value) for name, value in recursion.items()}
    return _world(OVERLAYS).with_(regimes=regimes, jumps=jumps, **changes)


def checked_rules(world: World) -> CheckedRules:
    """Return the twenty rules, checked against a world."""
    same = "version: 1, rationale: measured, source: benchmark"
    entries = (f"{{id: rule_{i:02}, {same}, when: '{when}', {then}}}" for i, (when, then) in enumerate(RULES, 1))
    return check_rules(parse_rules("\n- ".join(("rules:", *entries)), "benchmark"), world)


def _world(overlays: tuple[str, ...]) -> World:
    assets = tuple(Variable(f"a{i}", "asset", "log return") for i in range(ASSETS))
    factors = tuple(Variable(name, "overlay", "1", low=0.0, high=1.0) for name in overlays)
    none, count = np.zeros(ASSETS), len(overlays)
    return World(
        (*assets, *factors),
        drift=np.full(ASSETS, STEP_DRIFT),
        omega=none,
        alpha=none,
        gamma=none,
        beta=np.ones(ASSETS),
        variance=np.full(ASSETS, STEP_SD**2),
        level=np.full(count, 0.5),
        mean=np.full(count, 0.5),
        phi=np.full(count, 0.98),
        sigma=np.full(count, 0.02),
        correlation=_correlation(ASSETS + count),
    )


def _correlation(variables: int) -> Floats:
    """Return a full correlation matrix: five common factors and something of each one's own."""
    loads = np.random.default_rng(1).normal(size=(variables, 5))
    covariance = loads @ loads.T + 5 * np.eye(variables)
    sd = np.sqrt(np.diag(covariance))
    return np.asarray(covariance / sd / sd[:, None])


def _holdings() -> Holdings:
    return Holdings(np.full(ASSETS, 1 / ASSETS), 1.0)
