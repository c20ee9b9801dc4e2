"""Earlier probabilities and what became of them: what the calibration of trust learns from. Pure.

Probabilities are looked at on the first weekday of each month only, and so is what became of them: on the first such
day by which 30 truths were in. Outcomes overlap little, and of years of rows one day a month is enough.
"""

import zlib
from collections.abc import Mapping
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.signals.calendars import STEPS_A_YEAR
from pulse_assets.trust.belief.probability import UNFITTED, ProbabilityMap, fit_map
from pulse_assets.trust.belief.sizes import LEAST_RECENT, NEXT, WINDOW
from pulse_assets.trust.buckets import LONGEST

Floats = npt.NDArray[np.float64]

MONTHS = 36
"""Months whose probabilities are looked back at."""
LATE = 3
"""Weekdays that truths may come late."""
ROWS_A_DAY = 5_000
"""Rows of one day that are enough."""
KEYS = ["unique_id", "model", "bucket"]
REMEMBERED = [*KEYS, "freq", "p_raw", "recent_targets", "recent_skill"]


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


def ahead(freq: str, bucket: str) -> int:
    """Return the weekdays that pass until the 30 truths after a day are in.

    Examples
    --------
    >>> ahead("B", "1"), ahead("B", "2-5")
    (33, 37)
    """
    return weekdays_of(freq, NEXT + LONGEST[bucket] - 1) + LATE


def probe(day: date) -> date:
    """Return the first weekday of the month of a day, or of the next month if that has passed.

    Examples
    --------
    >>> probe(date(2024, 6, 3)), probe(date(2024, 6, 4))
    (datetime.date(2024, 6, 3), datetime.date(2024, 7, 1))
    """
    month = np.datetime64(day, "M")
    first = np.busday_offset(month.astype("datetime64[D]"), 0, roll="forward")
    if first < np.datetime64(day, "D"):
        first = np.busday_offset((month + 1).astype("datetime64[D]"), 0, roll="forward")
    return first.astype(object)  # type: ignore[no-any-return]


def probes(first: date, last: date) -> list[date]:
    """Return the days that are looked at for the maps of a range of days."""
    months = np.arange(np.datetime64(first, "M") - MONTHS, np.datetime64(last, "M") + 1)
    return [probe(month.astype("datetime64[D]").astype(object)) for month in months]


def judged_on(day: date, freq: str, bucket: str) -> date:
    """Return the first day looked at by which the 30 truths after another are in."""
    in_by: date = np.busday_offset(np.datetime64(day, "D"), ahead(freq, bucket), roll="forward").astype(object)
    return probe(in_by)


def thinned(rows: pa.Table) -> pa.Table:
    """Return the columns :data:`REMEMBERED` of one day, of a share of the series where there are many.

    Which series stay is decided by their names, and those that stay of a larger day stay of a smaller one, too.
    """
    share = 1
    while len(rows) > ROWS_A_DAY * share:
        share *= 2
    rows = rows.select(REMEMBERED)
    if share > 1:
        names = pc.unique(rows["unique_id"])
        kept = [name for name in names.to_pylist() if zlib.crc32(name.encode()) % share == 0]
        rows = rows.filter(pc.is_in(rows["unique_id"], pa.array(kept, pa.string())))
    return rows


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
    parts = [
        outcomes(rows[made], rows, made, begins)
        for made in probes(begins, begins)
        if made in rows and made < begins
    ]  # fmt: skip
    if not parts:
        return UNFITTED
    periods = sum(len(probability) > 0 for probability, _ in parts)
    stated, happened = (np.concatenate(column) for column in zip(*parts, strict=True))
    return fit_map(stated, happened, periods)


def outcomes(stated: pa.Table, rows: Mapping[date, pa.Table], made: date, before: date) -> tuple[Floats, Floats]:
    """Return the probabilities stated on a day whose outcomes were known before another, and whether they came true."""
    stated = stated.filter(pc.is_valid(stated["p_raw"]))
    kinds: pa.Table = stated.group_by(["freq", "bucket"]).aggregate([])
    probability, happened = [np.empty(0)], [np.empty(0)]
    for kind in kinds.sort_by([("freq", "ascending"), ("bucket", "ascending")]).to_pylist():
        judged = judged_on(made, kind["freq"], kind["bucket"])
        if judged >= before or judged not in rows:
            continue
        of_kind = pc.and_(pc.equal(stated["freq"], kind["freq"]), pc.equal(stated["bucket"], kind["bucket"]))
        later = rows[judged].filter(pc.greater_equal(rows[judged]["recent_targets"], LEAST_RECENT))
        both = stated.filter(of_kind).select([*KEYS, "p_raw"]).join(later.select([*KEYS, "recent_skill"]), keys=KEYS,
                                                                    join_type="inner")  # fmt: skip
        both = both.filter(pc.is_valid(both["recent_skill"])).sort_by([(name, "ascending") for name in KEYS])
        probability.append(both["p_raw"].to_numpy())
        happened.append((both["recent_skill"].to_numpy() > 0).astype(np.float64))
    return np.concatenate(probability), np.concatenate(happened)
