"""A challenger is promoted on evidence that may be looked at every day, and on nothing less."""

import json
from collections.abc import Sequence
from datetime import date
from math import inf, nan

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.trust.evidence_tables import SHADOW_SCORES
from pulse_assets.trust.retraining.promotion import (
    BAR,
    BETTER,
    COVERAGE_LOST,
    KEEP,
    PROMOTE,
    REJECT,
    SEGMENT_WORSE,
    TIRED,
    WORSE,
    Bar,
    decide,
)
from pulse_resources.lake.partitions import weekdays

FIRST, LEARNED = date(2024, 1, 2), date(2023, 12, 29)
DAYS = weekdays(FIRST, date(2025, 12, 31))


def shadow(
    differences: Sequence[float],
    *,
    covered: tuple[float, float] = (0.8, 0.8),
    segments: dict[str, list[float]] | None = None,
    challenger: date = LEARNED,
) -> pa.Table:
    """Rows of one challenger by day; coverage is the challenger's, then the champion's."""
    rows = [
        {
            "as_of": day,
            "family": "B price",
            "challenger": challenger,
            "champion": date(2023, 9, 30),
            "series": 4,
            "difference": value,
            "wis_challenger": 1.0,
            "wis_champion": 1.0 + value,
            "covered_80_challenger": covered[0],
            "covered_80_champion": covered[1],
            "segments": json.dumps({"mood usual": [4.0, 4.1]} if segments is None else segments),
        }
        for day, value in zip(DAYS, differences, strict=False)
    ]
    return SHADOW_SCORES.cast(pa.Table.from_pylist(rows, schema=SHADOW_SCORES.schema.remove_metadata()))


def around(mean: float, days: int, seed: int = 1) -> list[float]:
    noise = np.random.default_rng(seed).standard_normal(days)
    return ((noise - noise.mean()) / noise.std() * 0.1 + mean).tolist()


def test_a_clearly_better_challenger_is_promoted_with_its_numbers() -> None:
    verdict = decide(shadow(around(0.1, 40)))
    assert (verdict.outcome, verdict.reasons) == (PROMOTE, (BETTER,))
    assert verdict.evidence["days"] == 40
    assert verdict.evidence["truths"] == 160
    assert 0 < float(str(verdict.evidence["lower"])) < 0.1 < float(str(verdict.evidence["upper"]))
    assert float(str(verdict.evidence["dm"])) > 5
    assert float(str(verdict.evidence["dm_p"])) < 1e-5
    assert verdict.evidence["segments"] == {"mood usual": pytest.approx(1 - 4 / 4.1, rel=1e-4)}
    json.dumps(verdict.evidence, allow_nan=False)


def test_nothing_is_decided_on_a_few_days_however_good_they_look() -> None:
    assert decide(shadow(around(1.0, BAR.least_days - 1))).outcome == KEEP
    assert decide(shadow(around(1.0, BAR.least_days))).outcome == PROMOTE


def test_no_evidence_decides_nothing() -> None:
    assert decide(SHADOW_SCORES.empty()).outcome == KEEP
    verdict = decide(shadow([0.5] * 60))
    assert verdict.outcome == KEEP, "differences that never vary say nothing of chance"
    assert verdict.evidence["lower"] is None
    json.dumps(verdict.evidence, allow_nan=False)
    assert decide(shadow([nan, inf] * 60)).evidence == {"days": 0}


def test_a_clearly_worse_one_is_rejected_and_an_equal_one_when_patience_ends() -> None:
    assert decide(shadow(around(-0.1, 40)))[:2] == (REJECT, (WORSE,))
    assert decide(shadow(around(0.0, BAR.most_days - 1))).outcome == KEEP
    assert decide(shadow(around(0.0, BAR.most_days)))[:2] == (REJECT, (TIRED,))


@pytest.mark.parametrize(
    ("covered", "outcome"),
    [((0.8, 0.8), PROMOTE), ((0.83, 0.80), KEEP), ((0.77, 0.80), KEEP), ((0.78, 0.81), PROMOTE), ((0.6, 0.59), PROMOTE),
     ((nan, 0.8), KEEP), ((0.8, nan), KEEP)],
)  # fmt: skip
def test_coverage_must_be_no_worse_by_more_than_two_points(covered: tuple[float, float], outcome: str) -> None:
    verdict = decide(shadow(around(0.1, 60), covered=covered))
    assert verdict.outcome == outcome
    assert verdict.reasons == ((BETTER,) if outcome == PROMOTE else (COVERAGE_LOST,))


def test_coverage_is_that_of_all_truths_and_not_of_days() -> None:
    rows = shadow(around(0.1, 40))
    covered, series = [0.0] + [0.8] * 39, [1] + [1_000] * 39
    for name, values in {"covered_80_challenger": covered, "series": series}.items():
        at = rows.column_names.index(name)
        rows = rows.set_column(at, rows.schema.field(name), pa.array(values, rows.schema.field(name).type))
    assert decide(rows).evidence["coverage_80_challenger"] == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize(("loss", "outcome"), [(1.04, PROMOTE), (1.06, KEEP)])
def test_no_segment_may_lose_more_than_five_in_a_hundred(loss: float, outcome: str) -> None:
    segments = {"calendar XNYS": [1.0, 2.0], "mood wild": [loss, 1.0]}
    verdict = decide(shadow(around(0.1, 60), segments=segments))
    assert verdict.outcome == outcome
    assert verdict.reasons == ((BETTER,) if outcome == PROMOTE else (SEGMENT_WORSE,))


def test_a_segment_that_was_seen_on_a_few_days_only_decides_nothing() -> None:
    rows = pa.concat_tables(
        [shadow(around(0.1, 60)).slice(10), shadow(around(0.1, 60), segments={"mood wild": [9.0, 1.0]}).slice(0, 10)]
    )
    assert decide(rows).outcome == PROMOTE
    assert decide(rows, Bar(segment_days=5)).outcome == KEEP


def test_what_holds_back_is_told_when_patience_ends() -> None:
    verdict = decide(shadow(around(0.1, BAR.most_days), covered=(0.7, 0.8)))
    assert (verdict.outcome, verdict.reasons) == (REJECT, (TIRED, COVERAGE_LOST))


@given(order=st.permutations(range(30)))
def test_the_order_of_rows_changes_nothing(order: list[int]) -> None:
    rows = shadow(around(0.03, 30))
    assert decide(rows.take(pa.array(order))) == decide(rows)


def test_two_challengers_or_a_day_told_twice_are_refused() -> None:
    rows = shadow(around(0.1, 5))
    with pytest.raises(ValueError, match="of one challenger"):
        decide(pa.concat_tables([rows, shadow([0.1], challenger=FIRST)]))
    with pytest.raises(ValueError, match="one row a day; came 10 of 5 days"):
        decide(pa.concat_tables([rows, rows]))


def test_of_challengers_that_are_no_better_few_are_promoted_in_a_quarter_of_daily_looks() -> None:
    random = np.random.default_rng(3)
    promoted = 0
    for _ in range(150):
        rows = shadow(random.standard_t(5, 64).tolist())
        promoted += any(decide(rows.slice(0, days)).outcome == PROMOTE for days in range(20, 65, 4))
    assert promoted <= 8
