"""Carries the sequential test of many streams from day to day: values in, states out. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pulse_assets.trust.detection import cusum
from pulse_assets.trust.detection.cusum import ALLOWANCE, KEPT, REFERENCE
from pulse_assets.trust.detection.thresholds import ALARMS, HORIZON, WARNS, p_values, threshold

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
STATES = ("learning", "none", "warn", "alarm")
LEARNING, QUIET, WARN, ALARM = range(4)
NEVER = -(10**6)


class Verdicts(NamedTuple):
    """What is said of some streams, each of shape ``(k,)``; NaN where nothing is watched yet."""

    state: Ints
    statistic: Floats
    threshold: Floats
    p_value: Floats
    phi: Floats
    rises: npt.NDArray[np.bool_]


class Kept(NamedTuple):
    """What streams hand to the next day, each of shape ``(k,)``; days since 1970, :data:`NEVER` for none.

    Attributes
    ----------
    values
        What the reference is made of, shape ``(k, 225)``.
    held
        How many of them are there.
    targets
        Values since an alarm began where there is one, else values watched.
    """

    values: Floats
    held: Ints
    last: Floats
    up: Floats
    down: Floats
    largest: Floats
    targets: Ints
    reference_on: Ints
    alarm_on: Ints


class Watcher:
    """The streams, when their alarm began, and when their reference was complete.

    An alarm stays until 30 further values have come; then the values after it become the next reference, and the
    stream learns. A stream that was watched for 1,000 values without an alarm keeps its reference, its sums begin
    again: p-values hold no longer than that.

    Parameters
    ----------
    count
        Streams at first; more are added by :meth:`grow`.
    allowance
        As in :func:`.cusum.watch`.
    """

    def __init__(self, count: int = 0, allowance: float = ALLOWANCE) -> None:
        self.allowance = allowance
        self.streams = cusum.fresh_streams(count)
        self.alarm_on: Ints = np.full(count, NEVER)
        self.since_alarm: Ints = np.zeros(count, np.int64)
        self.reference_on: Ints = np.full(count, NEVER)

    def __len__(self) -> int:
        """Return the number of streams."""
        return len(self.alarm_on)

    def grow(self, count: int) -> None:
        """Add streams that have seen nothing until there are so many."""
        more = count - len(self)
        if more > 0:
            fresh = cusum.fresh_streams(more)
            self.streams = cusum.Streams(*(np.concatenate(pair) for pair in zip(self.streams, fresh, strict=True)))
            self.alarm_on = np.append(self.alarm_on, np.full(more, NEVER))
            self.since_alarm = np.append(self.since_alarm, np.zeros(more, np.int64))
            self.reference_on = np.append(self.reference_on, np.full(more, NEVER))

    def take(self, rows: Ints, values: Floats, day: int) -> None:
        """Take in one value for each of some streams.

        Parameters
        ----------
        rows
            Which, shape ``(k,)``, each at most once.
        values
            Shape ``(k,)``; NaN and infinity are left out.
        day
            Days since 1970.
        """
        known = np.isfinite(values)
        rows, values = rows[known], values[known]
        self._end_alarms(rows)
        quiet = self.alarm_on[rows] == NEVER
        rows, values = rows[quiet], values[quiet]
        cusum.begin_again(self.streams, rows[self.streams.watched[rows] >= HORIZON])
        before = self.streams.held[rows]
        cusum.watch(self.streams, rows, values, self.allowance)
        held = self.streams.held[rows]
        self.reference_on[rows[(held == KEPT) & (before < KEPT)]] = day
        watched = rows[self.streams.watched[rows] > 0]
        limit = threshold(self.streams.phi[watched], ALARMS, self.allowance)
        self.alarm_on[watched[self.streams.largest[watched] >= limit]] = day

    def _end_alarms(self, rows: Ints) -> None:
        alarmed = rows[self.alarm_on[rows] != NEVER]
        self.since_alarm[alarmed] += 1
        over = alarmed[self.since_alarm[alarmed] > cusum.HELD]
        cusum.restart(self.streams, over)
        self.alarm_on[over], self.since_alarm[over], self.reference_on[over] = NEVER, 0, NEVER

    def kept(self, rows: Ints) -> Kept:
        """Return what is to be kept of some streams: :meth:`restore` takes it up."""
        streams = self.streams
        return Kept(
            values=streams.values[rows],
            held=streams.held[rows],
            last=streams.last[rows],
            up=streams.up[rows],
            down=streams.down[rows],
            largest=streams.largest[rows],
            targets=np.where(self.alarm_on[rows] != NEVER, self.since_alarm[rows], streams.watched[rows]),
            reference_on=self.reference_on[rows],
            alarm_on=self.alarm_on[rows],
        )

    def restore(self, rows: Ints, kept: Kept) -> None:
        """Take up some streams from what was kept of them."""
        streams, alarmed = self.streams, kept.alarm_on != NEVER
        streams.values[rows], streams.held[rows] = kept.values, kept.held
        streams.last[rows], streams.up[rows], streams.down[rows] = kept.last, kept.up, kept.down
        streams.largest[rows] = kept.largest
        streams.watched[rows] = np.where(alarmed, 0, kept.targets)
        self.since_alarm[rows] = np.where(alarmed, kept.targets, 0)
        self.reference_on[rows], self.alarm_on[rows] = kept.reference_on, kept.alarm_on
        cusum.learn_again(streams, rows)

    def verdicts(self, rows: Ints) -> Verdicts:
        """Return what is said of some streams now, each of shape ``(k,)``."""
        streams, learned = self.streams, self.streams.held[rows] >= REFERENCE
        phi, largest = streams.phi[rows], streams.largest[rows]
        p = np.where(learned, p_values(largest, phi, self.allowance), np.nan)
        state = np.where(learned, np.where(p <= WARNS, WARN, QUIET), LEARNING)
        return Verdicts(
            np.where(self.alarm_on[rows] != NEVER, ALARM, state),
            np.where(learned, largest, np.nan),
            np.where(learned, threshold(phi, ALARMS, self.allowance), np.nan),
            p,
            np.where(learned, phi, np.nan),
            streams.up[rows] >= streams.down[rows],
        )
