"""Rules as NumPy masks, one array a variable: what the compiled rules must equal, and their peer in the benchmark."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.simulation.kernel.transforms import exp_
from pulse_assets.simulation.rules.checked_rules import CheckedRules
from pulse_assets.simulation.rules.effect_code import FAINTEST
from pulse_assets.simulation.rules.expression_code import Logarithm, is_logarithm, log_of
from pulse_assets.simulation.rules.expressions import (
    Arithmetic,
    Compare,
    Condition,
    Function,
    Junction,
    Level,
    Not,
    Number,
    Numeric,
    Past,
    RegimeIs,
    Step,
    Volatility,
)
from pulse_assets.simulation.rules.model import Effect, Rule

F32 = np.float32
F32s = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
COMPARE: Mapping[str, Callable[..., Bools]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
JOIN: Mapping[str, Callable[..., Bools]] = {"and": np.logical_and, "or": np.logical_or}
DO: Mapping[str, Callable[..., F32s]] = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}


@njit(error_model="numpy")  # type: ignore[untyped-decorator]
def levels(states: F32s) -> F32s:
    """Return exponentials by the simulator's own polynomial, so that ties fall alike."""
    out = np.empty_like(states)
    for i in range(len(states)):
        out[i] = exp_(states[i])
    return out


@dataclass
class PlainRules:
    """States of P paths, and rules that act on them a step at a time.

    Attributes
    ----------
    state, variance
        By name, shape ``(P,)``; changed in place.
    regime
        Number of each path's regime, shape ``(P,)``.
    past
        States by name at the ends of steps, shape ``(P,)`` each; -1 is the origin.
    enabled
        One a rule.
    partial
        Whether some paths never fire (``free_from`` far away), as those that fill up a block.
    """

    checked: CheckedRules
    state: dict[str, F32s]
    variance: dict[str, F32s]
    regime: F32s
    past: dict[tuple[str, int], F32s] = field(default_factory=dict)
    enabled: tuple[bool, ...] = ()
    partial: bool = False

    def __post_init__(self) -> None:
        paths, rules = len(self.regime), len(self.checked.active)
        self.enabled = self.enabled or (True,) * rules
        self.free_from = np.zeros((rules, paths), np.int64)
        self.intensity = np.zeros((rules, paths), F32)
        self.seen = np.zeros((rules, paths), bool)
        self.fires, self.firsts = [np.zeros(rules, np.int64) for _ in range(2)]

    def step(self, t: int, uniforms: Mapping[str, F32s]) -> list[Bools]:
        """Apply all rules; uniforms by rule's id for those with a probability below 1. Return who fired."""
        rules = self.checked.active
        with np.errstate(all="ignore"):
            masks = [self._fires(r, rule, t, uniforms) for r, rule in enumerate(rules)]
            for r, rule in enumerate(rules):
                self._act(r, rule, masks[r], t)
        return masks

    def _fires(self, r: int, rule: Rule, t: int, uniforms: Mapping[str, F32s]) -> Bools:
        if not self.enabled[r]:
            return np.zeros(len(self.regime), bool)
        mask: Bools = np.broadcast_to(self._holds(rule.condition, t), self.regime.shape)
        if rule.cooldown or self.partial:
            mask = mask & (t >= self.free_from[r])
        return mask & (uniforms[rule.id] < F32(rule.probability)) if rule.probability < 1 else mask

    def _act(self, r: int, rule: Rule, mask: Bools, t: int) -> None:
        fired = int(np.count_nonzero(mask))
        if fired:
            self.fires[r] += fired
            self.firsts[r] += np.count_nonzero(mask & ~self.seen[r])
            self.seen[r] |= mask
            if rule.cooldown:
                self.free_from[r][mask] = t + 1 + rule.cooldown
        if rule.half_life is not None:
            left = self.intensity[r] * F32(rule.decay)
            left[left <= F32(FAINTEST)] = 0
            left[mask] = 1
            self.intensity[r] = left
            for effect in rule.effects:
                self._put(effect.target, self.state[effect.target] + F32(effect.amount) * left, left > 0)
        elif fired:
            for effect in rule.effects:
                self._once(effect, mask)

    def _once(self, effect: Effect, mask: Bools) -> None:
        if effect.target == "regime":
            self.regime[mask] = self.checked.vocabulary.regimes.index(str(effect.set))
        elif effect.target.startswith("volatility"):
            name = effect.target.removeprefix("volatility").removeprefix(".")
            for asset in [name] if name else self.variance:
                self.variance[asset][mask] *= F32(effect.amount**2)
        else:
            term, x = self.checked.vocabulary.terms[effect.target], self.state[effect.target]
            logarithmic = term.is_logarithm
            if effect.kind == "set":
                moved = np.full_like(x, np.log(effect.amount) if logarithmic else effect.amount)
            elif effect.kind == "multiply":
                moved = x + F32(np.log(effect.amount)) if logarithmic else x * F32(effect.amount)
            else:
                moved = x + F32(effect.amount)
            self._put(effect.target, moved, mask)

    def _put(self, name: str, moved: F32s, mask: Bools) -> None:
        term = self.checked.vocabulary.terms[name]
        if np.isfinite(term.low) or np.isfinite(term.high):
            moved = np.clip(moved, F32(term.low), F32(term.high))
        np.copyto(self.state[name], moved, where=mask)

    def _holds(self, node: Condition, t: int) -> Bools:
        match node:
            case Not(part):
                return ~self._holds(part, t)
            case Junction(word, parts):
                held = [self._holds(part, t) for part in parts]
                return np.asarray(reduce(JOIN[word], held), bool)
            case RegimeIs(name, holds):
                same: Bools = self.regime == self.checked.vocabulary.regimes.index(name)
                return same if holds else ~same
            case Compare(sign, left, right):
                return self._compared(sign, left, right, t)

    def _compared(self, sign: str, left: Numeric, right: Numeric, t: int) -> Bools:
        words = self.checked.vocabulary
        one, other = log_of(left, words), log_of(right, words)
        if one is not None and other is not None and (one.states or other.states):
            return COMPARE[sign](self._sum(one, t), self._sum(other, t))
        return COMPARE[sign](self._value(left, t), self._value(right, t))

    def _sum(self, found: Logarithm, t: int) -> F32s | np.float32:
        total: F32s | np.float32 | None = None
        for power, part in found.states:
            state = self._state(part, t)
            signed = state if power > 0 else -state
            total = signed if total is None else total + signed
        if total is None:
            return F32(found.constant)
        return total + F32(found.constant) if found.constant else total

    def _state(self, node: Level | Past, t: int) -> F32s:
        if isinstance(node, Level):
            return self.state[node.name]
        then = self.past[node.name, t - node.lag]
        return self.state[node.name] - then if node.moved else then

    def _value(self, node: Numeric, t: int) -> F32s | np.float32:
        match node:
            case Number(value):
                return F32(value)
            case Step():
                return F32(t + 1)
            case Volatility(name):
                return np.sqrt(self.variance[name])
            case Function("abs", parts):
                return np.abs(self._value(parts[0], t))
            case Function(name, parts):
                one, other = (self._value(part, t) for part in parts)
                return np.where(one < other, one, other) if name == "min" else np.where(one > other, one, other)
            case Arithmetic(sign, left, right):
                return DO[sign](self._value(left, t), self._value(right, t))
            case Level() | Past():
                state = self._state(node, t)
                return levels(state) if is_logarithm(node, self.checked.vocabulary) else state
