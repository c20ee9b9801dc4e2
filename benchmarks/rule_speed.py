"""Cost of compiled rules against NumPy masks: ``python -m benchmarks.rule_speed [--rounds R] [--json]``.

The rules that ship with Pulse, all of them active, act on 8,192 paths of 126 steps of a world of walks and
autoregressions whose shocks are given. Both sides move the same states by the same float32 operations, which is
measured without rules and taken off; both must end in the same states and counts. The peer works on all paths at once,
or on 512 at a time if that is faster, skips effects of rules that fire nowhere, and is given its uniforms, which the
compiled rules draw. CPU seconds of one thread, in turn; compiling is measured by itself.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from numba import njit

from benchmarks.compiled_rules import CompiledRules
from benchmarks.plain_rules import PlainRules
from benchmarks.report import Report
from pulse_assets.simulation.kernel.intrinsics import LANES
from pulse_assets.simulation.rules.checked_rules import CheckedRules
from pulse_assets.simulation.rules.rule_checks import check_rules
from pulse_assets.simulation.rules.rule_set import load_rules
from pulse_assets.simulation.rules.vocabulary import LOG_RETURN, STEPS_A_YEAR, Term, Vocabulary
from pulse_assets.simulation.world import Scale

F32s = npt.NDArray[np.float32]

STEPS, BLOCKS = 126, 16
PATHS = BLOCKS * LANES
BOUNDS = (-np.inf, np.inf)
RATE = "percent per year"
FACTORS: dict[str, tuple[Scale, str, Sequence[float], float, float, float]] = {
    "vix": ("log", RATE, (1.6, 5.0), 2.94, 0.35, 0.97),
    "aaa": ("linear", RATE, (-1, 30), 4.0, 0.6, 0.995),
    "baa": ("linear", RATE, (-1, 30), 5.0, 0.6, 0.995),
    "credit_spread": ("linear", RATE, (0, 20), 1.0, 0.3, 0.99),
    "core_cpi": ("log", "index", BOUNDS, 5.56, 0.01, 0.999),
    "us10y": ("linear", RATE, (-2, 20), 3.0, 0.8, 0.997),
    "us2y": ("linear", RATE, (-2, 20), 2.5, 0.8, 0.997),
    "policy_rate": ("linear", RATE, (-2, 20), 2.5, 0.8, 0.998),
    **dict.fromkeys(("hope", "despair", "rage", "fatigue", "trust"), ("linear", "index", (0, 1), 0.5, 0.17, 0.95)),
}
"""Scale, unit, bounds, mean, deviation and autoregression of the state: plausible, not calibrated."""


@dataclass(frozen=True)
class Course:
    """States at the origin and before, and what moves them: x = phi x + shock."""

    checked: CheckedRules
    past: dict[str, F32s]
    shocks: dict[str, F32s]
    regime: F32s

    @cached_property
    def parts(self) -> list[F32s]:
        """Shocks of each block, shape ``(steps, variables, lanes)``."""
        shocks = np.stack([self.shocks[name] for name in self.names], axis=1)
        return [np.ascontiguousarray(shocks[:, :, b * LANES : (b + 1) * LANES]) for b in range(BLOCKS)]

    @property
    def names(self) -> list[str]:
        """Names of the variables, in order of their rows."""
        return list(self.checked.vocabulary.terms)

    def phi(self, name: str) -> np.float32:
        """Return the autoregression of a state."""
        return np.float32(self.checked.vocabulary.terms[name].phi)


def vocabulary() -> Vocabulary:
    """Return a world that has everything the default rules can use."""
    terms = {}
    for name in ("SPX", "WTI", "XOM", "CVX", "BAC", "JPM"):
        sigma = 0.022 if name == "WTI" else 0.012
        walked = sigma * STEPS_A_YEAR**0.5
        terms[name] = Term(name, "asset", "linear", LOG_RETURN, *BOUNDS, 0.0, walked, 1.0, sigma, 0.97)
    for name, (scale, unit, (low, high), mean, sd, phi) in FACTORS.items():
        step = sd * float(np.sqrt(1 - phi**2))
        terms[name] = Term(name, "macro", scale, unit, low, high, mean, sd, phi, step)
    return Vocabulary(terms, ("calm", "stressed"))


def course(seed: int = 7) -> Course:
    """Return where all paths start and what moves them."""
    rng, words = np.random.default_rng(seed), vocabulary()
    checked = check_rules(load_rules(), words)
    depth = max(checked.lags.values()) + 1
    past, shocks = {}, {}
    for name, term in words.terms.items():
        drawn = rng.normal((1 - term.phi) * term.mean, term.sigma, (depth + STEPS, PATHS))
        states = np.empty((depth, PATHS))
        x = np.zeros(PATHS) if term.is_asset else rng.normal(term.mean, term.sd, PATHS)
        for s in range(depth):
            x = np.clip(term.phi * x + drawn[s], term.low, term.high)
            states[s] = x
        past[name], shocks[name] = states.astype(np.float32), drawn[depth:].astype(np.float32)
    return Course(checked, past, shocks, (rng.random(PATHS) < 0.15).astype(np.float32))


def blocks_of(run: Course) -> list[CompiledRules]:
    """Return the compiled rules of each block, filled with the paths' origins."""
    found: list[CompiledRules] = []
    for block in range(BLOCKS):
        part = slice(block * LANES, (block + 1) * LANES)
        rules = CompiledRules(run.checked, STEPS, first_path=block * LANES, code=found[0].apply if found else None)
        variance = {name: np.full(LANES, 1.44e-4, np.float32) for name in rules.rows.variance}
        rules.fill({name: states[-1, part] for name, states in run.past.items()}, variance, run.regime[part])
        for name in rules.rows.ring:
            for age in range(rules.rows.depth):
                rules.remember(name, -1 - age, run.past[name][-1 - age, part])
        found.append(rules)
    return found


def driver(run: Course, rules: CompiledRules) -> Callable[..., None]:
    """Return a compiled loop over the steps of a block, with rules or without."""
    apply, phis = rules.apply, np.array([run.phi(name) for name in run.names])
    rings = np.array([[rules.rows.state[name], row] for name, row in rules.rows.ring.items()])
    depth, valid = rules.rows.depth, LANES

    @njit(nogil=True, error_model="numpy")
    def drive(work, shocks, floats, counts, ids, k0, k1, acting):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        for t in range(STEPS):
            for v in range(len(phis)):
                for lane in range(LANES):
                    work[v * LANES + lane] = phis[v] * work[v * LANES + lane] + shocks[t, v, lane]
            if acting:
                apply(work, floats, counts, ids, k0, k1, 0, t, STEPS, valid)
            for ring in range(len(rings)):
                state, first = rings[ring]
                for lane in range(LANES):
                    work[(first + t % depth) * LANES + lane] = work[state * LANES + lane]

    return drive  # type: ignore[no-any-return]


def compiled_seconds(run: Course, drive: Callable[..., None], blocks: list[CompiledRules], acting: bool) -> float:
    """Move all blocks over all steps; return CPU seconds."""
    start = time.process_time()
    for rules, part in zip(blocks, run.parts, strict=True):
        drive(rules.work, part, rules.floats, rules.counts, rules.ids, *rules.key, acting)
    return time.process_time() - start


def plain_seconds(
    run: Course, uniforms: list[dict[str, F32s]], width: int, acting: bool
) -> tuple[float, list[PlainRules]]:
    """Move all paths over all steps, so many at a time; return CPU seconds and where they ended."""
    total, found = 0.0, []
    for begin in range(0, PATHS, width):
        part = slice(begin, begin + width)
        state = {name: states[-1, part].copy() for name, states in run.past.items()}
        variance = {name: np.full(width, 1.44e-4, np.float32) for name in run.checked.vocabulary.assets}
        rules = PlainRules(run.checked, state, variance, run.regime[part].copy())
        kept = {name: run.past[name][:, part] for name in run.checked.lags}
        rules.past = {(name, s - len(states)): row for name, states in kept.items() for s, row in enumerate(states)}
        drawn = [{rule: values[part] for rule, values in each.items()} for each in uniforms]
        shocks = {name: values[:, part] for name, values in run.shocks.items()}
        start = time.process_time()
        for t in range(STEPS):
            for name in run.names:
                state[name] *= run.phi(name)
                state[name] += shocks[name][t]
            if acting:
                rules.step(t, drawn[t])
            for name in kept:
                rules.past[name, t] = state[name].copy()
        total += time.process_time() - start
        found.append(rules)
    return total, found


def assert_same(blocks: list[CompiledRules], plain: list[PlainRules]) -> npt.NDArray[np.int64]:
    """Return the fires of each rule, after comparing them and all states bit for bit."""
    fires = np.sum([rules.fires for rules in blocks], axis=0)
    np.testing.assert_array_equal(fires, np.sum([rules.fires for rules in plain], axis=0))
    for name, row in blocks[0].rows.state.items():
        ours = np.concatenate([rules.row(row) for rules in blocks])
        np.testing.assert_array_equal(ours, np.concatenate([rules.state[name] for rules in plain]), name)
    return np.asarray(fires)


def compare(rounds: int) -> dict[str, float]:
    """Measure both sides in turn; return nanoseconds a rule, path and step, and what else is worth knowing."""
    run = course()
    blocks, begin = blocks_of(run), time.process_time()
    drive = driver(run, blocks[0])
    compiled_seconds(run, drive, blocks, acting=True)
    compiling = time.process_time() - begin
    drawn = [[rules.uniforms(t) for rules in blocks_of(run)] for t in range(STEPS)]
    uniforms = [{rule: np.concatenate([each[rule] for each in step]) for rule in step[0]} for step in drawn]
    ours, masks = [], {PATHS: list[float](), LANES: list[float]()}
    for _ in range(rounds):
        blocks = blocks_of(run)
        idle = compiled_seconds(run, drive, blocks_of(run), acting=False)
        ours.append(compiled_seconds(run, drive, blocks, acting=True) - idle)
        for width, costs in masks.items():
            cost, plain = plain_seconds(run, uniforms, width, acting=True)
            costs.append(cost - plain_seconds(run, uniforms, width, acting=False)[0])
        fires = assert_same(blocks, plain)
    scale = 1e9 / (PATHS * STEPS * len(run.checked.active))
    peers = {width: statistics.median(costs) * scale for width, costs in masks.items()}
    return {
        "rules": len(run.checked.active),
        "fires_a_step": float(fires.sum() / PATHS / STEPS),
        "compile_s": compiling,
        "ours": statistics.median(ours) * scale,
        "peer": min(peers.values()),
        "peer_whole": peers[PATHS],
        "peer_blocks": peers[LANES],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found, report = compare(options.rounds), Report("rule_speed")
    note = (
        f"{found['rules']:.0f} rules, {PATHS} paths, {STEPS} steps, {found['fires_a_step']:.2f} fires a path and step"
    )
    report.add("rule_ns", found["ours"], "ns a rule, path and step", note=note)
    report.add("vs_numpy_masks", found["peer"] / found["ours"], "ratio", "NumPy masks", "same states and fire counts")
    note = f"all paths at once {found['peer_whole']:.2f}, {LANES} at a time {found['peer_blocks']:.2f}"
    report.add("numpy_masks_ns", found["peer"], "ns a rule, path and step", "NumPy masks", note)
    report.add("compile_s", found["compile_s"], "s", note="once for a set of rules; Pulse keeps the result on disk")
    report.print()


if __name__ == "__main__":
    main()
