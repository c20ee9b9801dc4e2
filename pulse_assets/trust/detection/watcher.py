"""Carries the sequential test of many streams from day to day: values in, states out. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pulse_assets.trust.detection import cusum
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
    rises: npt.NDArray[np.bool_]


class Kept(NamedTuple):
    """What one stream hands to the next day; days since 1970, :data:`NEVER` for none."""

    reference: Floats
    last: float
    up: float
    down: float
    largest: float
    targets: int
    reference_on: int
    alarm_on: int


class Watcher:
    """The streams, when their alarm began, and when their reference was complete.

    An alarm stays until 30 further values have come; then the values after it become the next reference, and the
    stream learns. So does a stream that was watched for 1,000 values: p-values hold no longer.

    Parameters
    ----------
    count
        Streams at first; more are added by :meth:`grow`.
    """

    def __init__(self, count: int = 0) -> None:
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
            Shape ``(k,)``; NaN is left out.
        day
            Days since 1970.
        """
        rows, values = rows[np.isfinite(values)], values[np.isfinite(values)]
        alarmed = self.alarm_on[rows] != NEVER
        self.since_alarm[rows[alarmed]] += 1
        over = rows[alarmed][self.since_alarm[rows[alarmed]] > cusum.HELD]
        over = np.append(over, rows[~alarmed][self.streams.watched[rows[~alarmed]] >= HORIZON])
        cusum.restart(self.streams, over)
        self.alarm_on[over], self.since_alarm[over], self.reference_on[over] = NEVER, 0, NEVER
        going = self.alarm_on[rows] == NEVER
        before = self.streams.held[rows]
        cusum.watch(self.streams, rows[going], values[going])
        done = rows[(self.streams.held[rows] == cusum.REFERENCE) & (before < cusum.REFERENCE)]
        self.reference_on[done] = day
        watching = rows[(self.streams.watched[rows] > 0) & going]
        new = watching[self._p(watching) <= ALARMS]
        self.alarm_on[new], self.since_alarm[new] = day, 0

    def restore(self, row: int, kept: "Kept") -> None:
        """Take up one stream from what was kept of it."""
        streams = self.streams
        held = len(kept.reference)
        streams.values[row, :held], streams.held[row] = kept.reference, held
        if held == cusum.REFERENCE:
            streams.mean[row], streams.phi[row] = cusum.learned(streams.values[row], streams.errors[row])
        streams.last[row], streams.up[row], streams.down[row] = kept.last, kept.up, kept.down
        streams.largest[row], self.reference_on[row] = kept.largest, kept.reference_on
        self.alarm_on[row] = kept.alarm_on
        counter = streams.watched if kept.alarm_on == NEVER else self.since_alarm
        counter[row] = kept.targets

    def kept(self, row: int) -> "Kept":
        """Return what is to be kept of one stream: :meth:`restore` takes it up."""
        streams = self.streams
        alarmed = self.alarm_on[row] != NEVER
        return Kept(
            reference=streams.values[row, : streams.held[row]].copy(),
            last=float(streams.last[row]),
            up=float(streams.up[row]),
            down=float(streams.down[row]),
            largest=float(streams.largest[row]),
            targets=int(self.since_alarm[row] if alarmed else streams.watched[row]),
            reference_on=int(self.reference_on[row]),
            alarm_on=int(self.alarm_on[row]),
        )

    def verdicts(self, rows: Ints) -> Verdicts:
        """Return what is said of some streams now."""
        learned = self.streams.held[rows] == cusum.REFERENCE
        p = np.where(learned, self._p(rows), np.nan)
        state = np.where(learned, np.where(p <= WARNS, WARN, QUIET), LEARNING)
        state = np.where(self.alarm_on[rows] != NEVER, ALARM, state)
        return Verdicts(
            state,
            np.where(learned, self.streams.largest[rows], np.nan),
            np.where(learned, threshold(self.streams.phi[rows]), np.nan),
            p,
            self.streams.up[rows] >= self.streams.down[rows],
        )

    def _p(self, rows: Ints) -> Floats:
        return p_values(self.streams.largest[rows], self.streams.phi[rows])
