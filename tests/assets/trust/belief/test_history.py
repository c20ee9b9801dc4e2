"""The map of a month learns from what had become of earlier probabilities when it began, and from nothing else."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from pulse_assets.trust.belief import history
from pulse_assets.trust.belief.history import ROWS_A_DAY, ahead, judged_on, map_for, outcomes, probe, probes, thinned
from pulse_assets.trust.buckets import LONGEST

SERIES = 300
MONTHS = probes(date(2024, 6, 3), date(2024, 6, 3))[-8:]


def rows(day: date, seed: int, series: int = SERIES, freq: str = "B") -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "unique_id": [f"s{k}" for k in range(series)],
            "model": ["m"] * series,
            "bucket": ["1"] * series,
            "freq": [freq] * series,
            "p_raw": rng.random(series),
            "recent_targets": pa.array([30] * series, pa.int64()),
            "recent_skill": rng.normal(size=series),
        }
    )


MEMORY = {day: rows(day, seed) for seed, day in enumerate(MONTHS)}


@pytest.mark.parametrize("freq", ["h", "B", "D", "W", "MS"])
@pytest.mark.parametrize("bucket", LONGEST)
def test_what_is_recent_when_judged_came_after_the_probability_was_stated(freq: str, bucket: str) -> None:
    judged = judged_on(MONTHS[0], freq, bucket)
    since = np.busday_offset(judged, -ahead(freq, bucket), roll="backward").astype(object)
    assert since >= MONTHS[0]
    assert judged == probe(judged)


def test_probes_are_the_first_weekdays_of_months() -> None:
    days = probes(date(2024, 1, 15), date(2024, 3, 1))
    assert days[-3:] == [date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)]
    assert len(days) == history.MONTHS + 3
    assert all(day.weekday() < 5 and probe(day) == day for day in days)


def test_outcomes_are_whether_skill_followed() -> None:
    made = MONTHS[0]
    p, happened = outcomes(MEMORY[made], MEMORY, made, date(2024, 12, 1))
    later = MEMORY[judged_on(made, "B", "1")].sort_by("unique_id")
    assert happened.tolist() == (later["recent_skill"].to_numpy() > 0).astype(float).tolist()
    assert p.tolist() == MEMORY[made].sort_by("unique_id")["p_raw"].to_pylist()


def test_a_map_knows_nothing_of_its_own_month_nor_of_later_ones() -> None:
    whole = map_for(date(2024, 6, 20), MEMORY)
    before = {day: held for day, held in MEMORY.items() if day < date(2024, 6, 1)}
    part = map_for(date(2024, 6, 3), before)
    assert whole.outcomes > 0
    np.testing.assert_array_equal(whole.to, part.to)
    np.testing.assert_array_equal(whole.at, part.at)


def test_a_map_changes_with_the_month_only() -> None:
    maps = [map_for(date(2024, 5, day), MEMORY) for day in (1, 15, 31)]
    assert len({one.outcomes for one in maps}) == 1
    assert map_for(date(2024, 6, 3), MEMORY).outcomes > maps[0].outcomes


def test_series_that_fell_silent_or_lost_their_skill_have_no_outcome() -> None:
    made = MONTHS[0]
    judged = judged_on(made, "B", "1")
    held = MEMORY[judged]
    few = held.set_column(5, "recent_targets", pa.array([5] * SERIES, pa.int64()))
    unknown = held.set_column(6, "recent_skill", pa.array([None] * SERIES, pa.float64()))
    for other in (few, unknown):
        p, _ = outcomes(MEMORY[made], {**MEMORY, judged: other}, made, date(2024, 12, 1))
        assert not len(p)


def test_no_rows_teach_nothing() -> None:
    assert map_for(date(2024, 6, 3), {}).outcomes == 0
    assert map_for(date(2024, 6, 3), {day: held.slice(0, 0) for day, held in MEMORY.items()}).outcomes == 0


def test_large_days_are_thinned_to_the_same_series_that_larger_ones_keep() -> None:
    day = date(2024, 1, 1)
    small, large = (thinned(rows(day, 0, series=size)) for size in (ROWS_A_DAY * 2, ROWS_A_DAY * 5))
    kept, rarer = (set(part["unique_id"].to_pylist()) for part in (small, large))
    assert 0.8 * ROWS_A_DAY < len(kept) < 1.2 * ROWS_A_DAY
    assert {name for name in rarer if int(name[1:]) < ROWS_A_DAY * 2} <= kept
    assert len(thinned(rows(day, 0))) == SERIES
