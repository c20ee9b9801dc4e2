"""Adaptive conformal inference for many rows at once: what truths teach. Pure.

A row is one series, model and horizon. Each of its 23 levels has a *rate*: the level that a quantile of scores is taken
at. After each truth the rates of a central interval move apart or together, fast, and both to one side, slowly, so that
a bias moves an interval and does not only widen it. What counts is the threshold that was *issued* at the origin,
however much later the truth came, so long-run coverage is that of the intervals which readers saw (Gibbs and Candès,
2021, Proposition 4.1). Rates are put in order after each truth, so quantiles never cross; ordering thresholds instead
would teach one level by the errors of another, and tails drift (measured on simulated series, November 2026).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.numerics.quantiles import LEVELS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Kept = npt.NDArray[np.float32]

WINDOW = 60
"""Newest scores of a row that its thresholds are quantiles of."""
STEP = 0.02
"""How far one truth moves the width of an interval, in coverage; half of it falls on either end."""
CENTRE = 0.25
"""How much less it moves where the interval lies: chasing every turn of luck would cost more than a bias does."""
SLACK = 0.25
"""How far a rate may leave [0, 1] before it is held: beyond, errors would have to be paid back for years."""
NEVER = -(2**30)
SLOTS = 6
"""Events that a row waits for at first; there are more where they are needed."""


class State(NamedTuple):
    """What R rows have learned, changed in place.

    Attributes
    ----------
    window
        Newest scores, shape ``(R, 60)``, a ring: score number i stands at ``i % 60``.
    days
        Days since 1970 on which these became known, shape ``(R, 60)``.
    seen
        Scores seen so far, shape ``(R,)``.
    rates
        Adaptive levels, never falling in a row, shape ``(R, 23)``.
    awaited
        Event times that thresholds were issued for, shape ``(R, P)``.
    until
        Days on which these are given up, shape ``(R, P)``; a slot whose day has passed is free.
    issued
        The thresholds, of the newest origin that spoke of the event, shape ``(R, P, 23)``.
    """

    window: Floats
    days: npt.NDArray[np.int32]
    seen: Ints
    rates: Floats
    awaited: Ints
    until: npt.NDArray[np.int32]
    issued: Kept


def fresh_state(rows: int, slots: int = SLOTS) -> State:
    """Return the state of rows that have learned nothing.

    Examples
    --------
    >>> fresh_state(2).rates.shape
    (2, 23)
    """
    return State(
        window=np.zeros((rows, WINDOW)),
        days=np.full((rows, WINDOW), NEVER, np.int32),
        seen=np.zeros(rows, np.int64),
        rates=np.tile(LEVELS, (rows, 1)),
        awaited=np.zeros((rows, slots), np.int64),
        until=np.full((rows, slots), NEVER, np.int32),
        issued=np.zeros((rows, slots, len(LEVELS)), np.float32),
    )


def with_rows(state: State, more: int) -> State:
    """Return the state with fresh rows behind the others."""
    fresh = fresh_state(more, state.until.shape[1])
    return State(
        window=np.concatenate((state.window, fresh.window)),
        days=np.concatenate((state.days, fresh.days)),
        seen=np.concatenate((state.seen, fresh.seen)),
        rates=np.concatenate((state.rates, fresh.rates)),
        awaited=np.concatenate((state.awaited, fresh.awaited)),
        until=np.concatenate((state.until, fresh.until)),
        issued=np.concatenate((state.issued, fresh.issued)),
    )


class Arrived(NamedTuple):
    """Truths that became known: by day, and within a day by event time; each once for a row.

    Attributes
    ----------
    rows
        Places in a state, shape ``(k,)``.
    ds
        Event times, in any unit that :func:`await_truths` was told too, shape ``(k,)``.
    day
        On which they became known, days since 1970, never falling, shape ``(k,)``.
    z
        Normal scores, shape ``(k,)``; NaN is no truth and teaches nothing.
    """

    rows: Ints
    ds: Ints
    day: Ints
    z: Floats

    def part(self, low: int, high: int) -> "Arrived":
        """Return some of them, by place."""
        return Arrived(self.rows[low:high], self.ds[low:high], self.day[low:high], self.z[low:high])


def learn(state: State, arrived: Arrived, steps: Floats, *, judged: bool = True) -> None:
    """Take in truths.

    Parameters
    ----------
    state
        Of R rows.
    arrived
        Truths.
    steps
        How far each moves the rates, shape ``(k,)``.
    judged
        Whether issued thresholds are judged by them; without, they only enter the windows. A truth that nothing was
        issued for moves no rate either way.
    """
    _learn(*state, *arrived, steps, judged)


def await_truths(state: State, rows: Ints, ds: Ints, thresholds: Kept, origins: Ints, until: Ints) -> State:
    """Keep what was issued until its truths come; return the state, with more slots where they were too few.

    Parameters
    ----------
    state
        Of R rows.
    rows, ds
        Which events, shape ``(k,)``; of several entries for one of them the last counts.
    thresholds
        Shape ``(k, 23)``.
    origins, until
        Days since 1970 on which they were issued and will be given up, shape ``(k,)``, origins never falling.
    """
    done = 0
    while True:
        done = int(_await(state.awaited, state.until, state.issued, rows, ds, thresholds, origins, until, done))
        if done == len(rows):
            return state
        more = fresh_state(len(state.seen), state.until.shape[1] // 2)
        state = state._replace(
            awaited=np.concatenate((state.awaited, more.awaited), axis=1),
            until=np.concatenate((state.until, more.until), axis=1),
            issued=np.concatenate((state.issued, more.issued), axis=1),
        )


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _learn(
    window: Floats,
    days: npt.NDArray[np.int32],
    seen: Ints,
    rates: Floats,
    awaited: Ints,
    until: npt.NDArray[np.int32],
    issued: Kept,
    rows: Ints,
    ds: Ints,
    day: Ints,
    z: Floats,
    steps: Floats,
    judged: bool,
) -> None:
    for place in range(len(rows)):
        row = rows[place]
        if not np.isnan(z[place]):
            window[row, seen[row] % WINDOW] = z[place]
            days[row, seen[row] % WINDOW] = day[place]
            seen[row] += 1
        for slot in range(until.shape[1]):
            if judged and awaited[row, slot] == ds[place] and until[row, slot] >= day[place]:
                if not np.isnan(z[place]):
                    _turn(rates[row], z[place], issued[row, slot], steps[place])
                until[row, slot] = NEVER


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _turn(rates: Floats, z: float, issued: Kept, step: float) -> None:
    """Move the rates of one row after a truth: the width of each interval fast, where it lies slowly."""
    last = len(rates) - 1
    for low in range(last // 2 + 1):
        high = last - low
        miss_low = LEVELS[low] - (1.0 if z <= issued[low] else 0.0)
        miss_high = LEVELS[high] - (1.0 if z <= issued[high] else 0.0)
        width, centre = 0.5 * step * (miss_high - miss_low), 0.5 * CENTRE * step * (miss_high + miss_low)
        rates[low] = min(max(rates[low] + centre - width, -SLACK), 1.0 + SLACK)
        if high > low:
            rates[high] = min(max(rates[high] + centre + width, -SLACK), 1.0 + SLACK)
    for level in range(1, last + 1):  # by insertion: they were in order before
        moved, place = rates[level], level
        while place > 0 and rates[place - 1] > moved:
            rates[place] = rates[place - 1]
            place -= 1
        rates[place] = moved


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _await(
    awaited: Ints,
    until: npt.NDArray[np.int32],
    issued: Kept,
    rows: Ints,
    ds: Ints,
    thresholds: Kept,
    origins: Ints,
    given_up: Ints,
    begin: int,
) -> int:
    """Keep entries from one place on; return the place of the first that found no slot."""
    for place in range(begin, len(rows)):
        row, found = rows[place], -1
        for slot in range(until.shape[1]):
            free = until[row, slot] < origins[place]
            if not free and awaited[row, slot] == ds[place]:
                found = slot
                break
            if free and found < 0:
                found = slot
        if found < 0:
            return place
        awaited[row, found], until[row, found] = ds[place], given_up[place]
        issued[row, found] = thresholds[place]
    return len(rows)
