"""How sound a series is: shares, flags and one number between 0 and 1, for many series and days at once. Pure.

The thresholds are here, with the reason for each. A fault that forbids forecasts takes the quality to 0; any other one
takes a part of it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.pack import MICROSECONDS_A_DAY, STALE_AFTER_DAYS
from pulse_assets.signals.calendars import steps_between
from pulse_assets.trust.quality.flags import FLAGS, RUINING
from pulse_assets.trust.quality.jumps import JUMP_Z, smallest_factor
from pulse_assets.trust.quality.ledger import Ledger, alike
from pulse_assets.trust.quality.walk import FIGURES, walk

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]

WINDOW_STEPS = {"h": 336, "D": 42, "B": 42, "W": 104, "MS": 24, "QS": 8, "YS": 8}
"""Two of the longest seasons; two months of days and eight years where these would be too few to count shares."""
FEWEST = 8
"""Fewer observations have no usual step."""
AGEING = 0.5
"""Share of the allowed age from which quality falls; a series on time stays below it between two releases."""
GAPS_ABOVE = 0.1
"""A market's holidays are 4 % of weekdays: a series under the wrong calendar must not look full of gaps."""
FLAT_RUN, FLAT_SURPRISE = 5, -float(np.log(1e-6))
"""A flat run of so many observations whose probability is below one in a million."""
REVISED_ABOVE = 0.5
"""Mean revision over all of the window's event times, in usual steps."""
COST_OF_FLAT = 0.5
COST_OF_AGE = 0.5


@dataclass(frozen=True)
class Measures:
    """Measures of S series at D ends, each of shape ``(S, D)``; meaningless where a series is not ``known``.

    Parameters
    ----------
    known
        Whether anything of the series was known.
    age_days, late_share
        Time since something became known, in days, and over what the frequency allows.
    flat_surprise
        Minus the logarithm of the probability of the newest flat run; infinite where the series never moved.
    revision_size, jump_z
        NaN where there is none.
    """

    known: Bools
    observations: Ints
    age_days: Floats
    late_share: Floats
    missing_share: Floats
    duplicates: Ints
    flat_run: Ints
    flat_share: Floats
    flat_surprise: Floats
    revision_rate: Floats
    revision_size: Floats
    jump_z: Floats

    @property
    def faults(self) -> dict[str, Bools]:
        """Return which flag holds where, in the order of :data:`.flags.FLAGS`."""
        still = (self.flat_run >= FLAT_RUN) & (self.flat_surprise > FLAT_SURPRISE)
        return {
            "DQ_EMPTY": self.observations == 0,
            "DQ_STALE": self.late_share > 1,
            "DQ_SHORT": (self.observations > 0) & (self.observations < FEWEST),
            "DQ_DUP": self.duplicates > 0,
            "DQ_UNIT_JUMP": self.jump_z > JUMP_Z,
            "DQ_FLAT": still,
            "DQ_GAPS": (self.observations > 0) & (self.missing_share > GAPS_ABOVE),
            "REVISION_HIGH": revised_steps(self) > REVISED_ABOVE,
        }

    @property
    def flags(self) -> Texts:
        """Return the flags that hold, separated by blanks, shape ``(S, D)``."""
        code = np.zeros(self.known.shape, np.int64)
        for bit, holds in enumerate(self.faults.values()):
            code |= holds.astype(np.int64) << bit
        return np.array([_words(code) for code in range(1 << len(FLAGS))], object)[code]


def measure(ledger: Ledger, ends: Ints) -> Measures:
    """Measure every series of a ledger at some moments; each sees only rows known before it.

    Parameters
    ----------
    ledger
        Rows known before the last end.
    ends
        Microseconds since 1970, ascending, shape ``(D,)``.

    Raises
    ------
    ValueError
        Ends that do not ascend.
    """
    ends = np.asarray(ends, np.int64)
    if (np.diff(ends) <= 0).any():
        raise ValueError(f"expected ends that ascend, came {ends[:4].tolist()} …; sort them and drop repetitions")
    figures, told_at = walk(
        ledger.known,
        ledger.values,
        ledger.event,
        ledger.row_offsets,
        ledger.event_offsets,
        ledger.ds,
        ledger.step,
        np.array([WINDOW_STEPS[freq] for freq in ledger.freq], np.int64),
        np.array([smallest_factor(*of) for of in zip(ledger.kind, ledger.freq, strict=True)], float),
        ends,
    )
    of = dict(zip(FIGURES, figures, strict=True))
    allowed = np.array([STALE_AFTER_DAYS[freq] for freq in ledger.freq], float)
    known = told_at >= 0
    age = np.where(known, ends - told_at, 0) / MICROSECONDS_A_DAY
    overdue = _overdue(ledger, of, ends)
    due = of["due"] + overdue
    missing = np.divide(of["missing"] + overdue, due, out=np.ones(due.shape), where=due > 0)
    return Measures(
        known=known,
        observations=of["observations"].astype(np.int64),
        age_days=age,
        late_share=age / allowed[:, None],
        missing_share=missing,
        duplicates=of["duplicates"].astype(np.int64),
        flat_run=of["flat_run"].astype(np.int64),
        flat_share=of["flat_share"],
        flat_surprise=of["flat_surprise"],
        revision_rate=of["revision_rate"],
        revision_size=of["revision_size"],
        jump_z=of["jump_z"],
    )


def quality_of(measures: Measures) -> Floats:
    """Return the product of what is lost to each fault, from 0 to 1; worse measures never give more.

    Empty, stale and doubled series and those that changed their unit have 0.
    """
    faults = measures.faults
    late = np.clip((measures.late_share - AGEING) / (1 - AGEING), 0, 1)
    quality = 1 - COST_OF_AGE * late
    quality = quality * np.minimum(measures.observations / FEWEST, 1)
    quality = quality * (1 - np.clip(measures.missing_share, 0, 1))
    quality = quality * np.where(faults["DQ_FLAT"], COST_OF_FLAT, 1.0)
    quality = quality / (1 + revised_steps(measures))
    ruined = np.logical_or.reduce([faults[flag] for flag in RUINING])
    return np.asarray(np.where(ruined, 0.0, quality))


def revised_steps(measures: Measures) -> Floats:
    """Return the mean revision over all event times, in usual steps; their share where steps have no usual size."""
    size = np.where(np.isnan(measures.revision_size), 1.0, measures.revision_size)
    return np.asarray(measures.revision_rate * size)


def _overdue(ledger: Ledger, of: dict[str, Floats], ends: Ints) -> Floats:
    """Count steps after the newest event time that should be known by now, if as late as the latest of the window."""
    overdue = np.zeros(of["observations"].shape)
    some = of["observations"] > 0
    for freq, calendar, ours in alike(ledger.freq, ledger.calendar):
        chosen = some & ours[:, None]
        newest = of["newest_ds"][chosen].astype(np.int64)
        by_now = np.broadcast_to(ends, some.shape)[chosen] - of["longest_lag"][chosen].astype(np.int64) - 1
        later = np.maximum(by_now, newest)
        first, last = (array.astype("datetime64[us]") for array in (newest, later))
        overdue[chosen] = steps_between(first, last, freq, calendar)
    return overdue


def _words(code: int) -> str:
    return " ".join(flag for bit, flag in enumerate(FLAGS) if code >> bit & 1)
