"""Recalibrates scores step by step, as a benchmark or a day would, and the same in slow, plain Python."""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from pulse_assets.numerics.normal_scores import KNOTS
from pulse_assets.numerics.quantiles import LEVELS
from pulse_assets.trust.conformal import learning
from pulse_assets.trust.conformal import thresholds as rules
from pulse_assets.trust.conformal.learning import Arrived, await_truths, fresh_state, learn
from pulse_assets.trust.conformal.thresholds import issue

Floats = npt.NDArray[np.float64]
INTERVALS = ((6, 16, 0.5), (3, 19, 0.8), (1, 21, 0.95))
FAR = 10**6


def issued_in_turn(z: Floats, h: int = 1) -> Floats:
    """Return the thresholds of every step for scores (steps, series) that come h steps late: (steps, series, 23)."""
    count = z.shape[1]
    rows, group = np.arange(count), np.zeros(count, np.int64)
    state, found = fresh_state(count), np.empty((*z.shape, len(LEVELS)))
    steps = np.full(count, learning.STEP / np.sqrt(np.sqrt(h)))
    for step in range(len(z)):
        if step >= h:
            learn(state, Arrived(rows, np.full(count, step - h), np.full(count, step), z[step - h]), steps)
        found[step] = issue(state, rows, group, np.full(count, h), np.full(count, -FAR)).thresholds
        told = (np.full(count, step), found[step].astype(np.float32), np.full(count, step), np.full(count, step + h))
        state = await_truths(state, rows, *told)
    return found


def plain_in_turn(z: Floats, h: int = 1) -> Floats:
    """Return the same by loops over series and levels that follow the formulas one by one."""
    steps, count = z.shape
    rates, found = np.tile(LEVELS, (count, 1)), np.empty((*z.shape, len(LEVELS)))
    for step in range(steps):
        if step >= h:
            for one in range(count):
                rates[one] = plain_rates(rates[one], z[step - h, one], found[step - h, one], h)
        newest = z[max(step - h + 1 - learning.WINDOW, 0) : max(step - h + 1, 0)]
        found[step] = plain_thresholds([sorted(own) for own in newest.T], rates, h)
    return found


def plain_rates(rates: Floats, z: float, issued: Floats, h: int) -> Floats:
    errors = LEVELS - (z <= issued)
    apart, aside = errors - errors[::-1], errors + errors[::-1]
    moved = rates + 0.5 * learning.STEP / h**0.25 * (apart + learning.CENTRE * aside)
    return np.sort(np.clip(moved, -learning.SLACK, 1 + learning.SLACK))


def plain_thresholds(windows: list[list[float]], rates: Floats, h: int) -> Floats:
    squares = [np.mean(np.minimum(np.abs(own), rules.LARGEST) ** 2) if own else np.nan for own in windows]
    known = [square for square in squares if square > 0]
    typical = float(np.median(known)) if known else 1.0
    spreads = [
        np.sqrt((len(own) / h * square + rules.LENT * typical) / (len(own) / h + rules.LENT)) if own else typical**0.5
        for own, square in zip(windows, squares, strict=True)
    ]
    pooled = [score / spread for own, spread in zip(windows, spreads, strict=True) for score in own]
    if len(pooled) < rules.LEAST:
        return np.tile(KNOTS, (len(windows), 1))
    shape = np.quantile(pooled, LEVELS)
    found = [plain_row(*row, shape, h) for row in zip(windows, spreads, rates, strict=True)]
    return np.array(found).astype(np.float32).astype(np.float64)


def plain_row(own: list[float], spread: float, rates: Floats, shape: Floats, h: int) -> list[float]:
    row = []
    for rate in rates:
        inside = min(max(rate, rules.EDGE), 1 - rules.EDGE)
        at = ndtri(inside) + rules.BEYOND * (rate - inside)
        left = np.clip(np.searchsorted(KNOTS, at) - 1, 0, len(KNOTS) - 2)
        slope = (shape[left + 1] - shape[left]) / (KNOTS[left + 1] - KNOTS[left])
        value = spread * (shape[left] + (at - KNOTS[left]) * slope)
        if len(own) >= rules.LEAST:
            share = rules.OWN_SHARE * min(len(own) / h / rules.OWN, 1)
            reach = rules.REACH * max(abs(own[0]), abs(own[-1]))
            place, longest = rate * (len(own) + 1) - 1, 1 + learning.SLACK * (len(own) + 1)
            ends = [-longest, *range(len(own)), len(own) - 1 + longest]
            value = (1 - share) * value + share * np.interp(place, ends, [-reach, *own, reach])
            limit = rules.REACH * max(abs(own[0]), abs(own[-1]), KNOTS[-1])
            value = min(max(value, -limit), limit)
        row.append(value)
    return row
