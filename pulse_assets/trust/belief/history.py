"""Earlier probabilities and what became of them: what the calibration of trust learns from. Pure."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.signals.calendars import STEPS_A_YEAR
from pulse_assets.trust.belief.probability import UNFITTED, ProbabilityMap, fit_map
from pulse_assets.trust.belief.shrinkage import NEXT
from pulse_assets.trust.belief.windows import WINDOW
from pulse_assets.trust.buckets import LONGEST

Floats = npt.NDArray[np.float64]

MONTHS = 36
"""Months whose probabilities are looked back at."""
LATE = 3
"""Weekdays that truths may come late."""
KEYS = ["unique_id", "model", "bucket"]
REMEMBERED = [*KEYS, "freq", "p_raw", "recent_skill"]


def weekdays_of(freq: str, steps: int) -> int:
    """Return how many weekdays hold some steps of a frequency.

    Examples
    --------
    >>> weekdays_of("B", 90), weekdays_of("MS", 12)
    (90, 261)
    """
    return round(steps / min(STEPS_A_YEAR[freq] / STEPS_A_YEAR["B"], 1.0))


def span_days(freq: str) -> int:
    """Return how many days back a target may lie and still count."""
    return round(weekdays_of(freq, WINDOW) * 1.4 * 1.15) + 10


def looked_at(day: date) -> list[date]:
    """Return the first weekdays of the months before a day's, newest first: probabilities of these days are judged."""
    first = np.datetime64(day, "M")
    return [
        np.busday_offset(first - np.timedelta64(back, "M"), 0, roll="forward").astype(object)
        for back in range(1, MONTHS + 1)
    ]


def judged_on(day: date, freq: str, bucket: str) -> date:
    """Return the weekday on which the 30 truths after a day are in."""
    ahead = weekdays_of(freq, NEXT + LONGEST[bucket] - 1) + LATE
    return np.busday_offset(np.datetime64(day, "D"), ahead, roll="forward").astype(object)  # type: ignore[no-any-return]


def wanted_days(first: date, last: date, freqs: Iterable[str], buckets: Iterable[str]) -> set[date]:
    """Return all days whose rows the maps of a range of days may ask for."""
    made = {day for month in _months(first, last) for day in looked_at(month)}
    pairs = [(freq, bucket) for freq in set(freqs) for bucket in set(buckets)]
    return made | {judged_on(day, freq, bucket) for day in made for freq, bucket in pairs}


def map_for(day: date, rows: Mapping[date, pa.Table]) -> ProbabilityMap:
    """Return the map of the month of a day, fitted on what had become of earlier probabilities when it began.

    Parameters
    ----------
    day
        Any day of the month.
    rows
        Columns :data:`REMEMBERED` of ``gold/trust``, by day; those that are missing teach nothing.
    """
    begins = day.replace(day=1)
    probabilities, outcomes = [np.empty(0)], [np.empty(0)]
    for made in looked_at(day):
        if made not in rows or not len(rows[made]):
            continue
        stated = rows[made].filter(pc.is_valid(rows[made]["p_raw"]))
        kinds: pa.Table = stated.group_by(["freq", "bucket"]).aggregate([])
        for kind in kinds.to_pylist():
            judged = judged_on(made, kind["freq"], kind["bucket"])
            if judged >= begins or judged not in rows:
                continue
            of_kind = pc.and_(pc.equal(stated["freq"], kind["freq"]), pc.equal(stated["bucket"], kind["bucket"]))
            both = stated.filter(of_kind).select([*KEYS, "p_raw"])
            both = both.join(rows[judged].select([*KEYS, "recent_skill"]), keys=KEYS, join_type="inner")
            both = both.filter(pc.is_valid(both["recent_skill"])).sort_by([(name, "ascending") for name in KEYS])
            probabilities.append(both["p_raw"].to_numpy())
            outcomes.append((both["recent_skill"].to_numpy() > 0).astype(np.float64))
    probability = np.concatenate(probabilities)
    return fit_map(probability, np.concatenate(outcomes)) if len(probability) else UNFITTED


def _months(first: date, last: date) -> list[date]:
    months, month = [], first.replace(day=1)
    while month <= last:
        months.append(month)
        month = (month + timedelta(days=32)).replace(day=1)
    return months
