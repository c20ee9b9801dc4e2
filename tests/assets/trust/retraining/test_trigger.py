"""A family is suspected on strong evidence, stays so on weak, and is never stuck either way."""

from collections.abc import Sequence
from datetime import date, timedelta
from math import isnan, nan

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.trust.retraining.trigger import (
    DISTRUSTED,
    DRIFTED,
    RULES,
    STALE,
    Rules,
    Suspicion,
    distrusted_shares,
    drift_shares,
    is_suspected,
    suspicions,
)
from pulse_resources.lake.partitions import weekdays

FAMILY = "B price"
DAY = date(2024, 5, 10)
NAMES = [f"t:{place}" for place in range(10)]
FAMILIES = dict.fromkeys(NAMES, FAMILY)
CHAMPIONS = {FAMILY: date(2024, 3, 31)}
DAYS = weekdays(date(2024, 1, 1), DAY)
SHARES = st.one_of(st.floats(0, 1), st.just(nan))


def drift_rows(*alarms: Sequence[str], drift: str = "model_drift", direction: str = "up") -> pa.Table:
    """One row a series and day, up to DAY; of each day the names that alarm."""
    days = DAYS[-len(alarms) :] if alarms else []
    return pa.table(
        {
            "as_of": pa.array([day for day in days for _ in NAMES], pa.date32()),
            "drift": [drift] * len(days) * len(NAMES),
            "unique_id": NAMES * len(days),
            "state": ["alarm" if name in some else "none" for some in alarms for name in NAMES],
            "direction": [direction] * len(days) * len(NAMES),
        },
        schema=pa.schema(
            [("as_of", pa.date32()), *((name, pa.string()) for name in ("drift", "unique_id", "state", "direction"))]
        ),
    )


def trust_rows(days: Sequence[date], *columns: Sequence[float | None]) -> pa.Table:
    """One row a day and series; of each series its trust by day."""
    return pa.table(
        {
            "as_of": pa.array([day for _ in columns for day in days], pa.date32()),
            "unique_id": pa.array([NAMES[place] for place, _ in enumerate(columns) for _ in days], pa.string()),
            "bucket": pa.array(["1" for _ in columns for _ in days], pa.string()),
            "trust": pa.array([value for column in columns for value in column], pa.float64()),
        }
    )


NO_DRIFT, NO_TRUST = drift_rows(), trust_rows([])


def suspected(drift: pa.Table = NO_DRIFT, trust: pa.Table = NO_TRUST, learned: date = CHAMPIONS[FAMILY]) -> Suspicion:
    (one,) = suspicions(drift, trust, FAMILIES, {FAMILY: learned}, DAY)
    return one


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([], False),
        ([0.1] * 5, False),
        ([0.2], True),
        ([0.2, 0.1, 0.06], True),
        ([0.2, 0.05], False),
        ([0.2, 0.0, 0.19], False),
        ([nan, nan], False),
        ([0.3, nan], True),
        ([0.3, 0.0, nan], False),
    ],
)
def test_a_suspicion_begins_at_the_high_share_and_ends_at_the_low_one(path: list[float], expected: bool) -> None:
    assert is_suspected(np.array(path), RULES.drift_enter, RULES.drift_leave) is expected


@given(path=st.lists(SHARES, max_size=12), more=st.floats(0, 1))
def test_more_alarms_never_end_a_suspicion(path: list[float], more: float) -> None:
    raised = np.minimum(np.array(path) + more, 1)
    assert is_suspected(raised, 0.2, 0.05) >= is_suspected(np.array(path), 0.2, 0.05)


@given(before=st.lists(SHARES, max_size=12))
def test_whatever_came_before_a_full_alarm_is_heard_and_quiet_is_believed(before: list[float]) -> None:
    """The trigger cannot be locked: its state follows from the share alone once that is clear."""
    assert is_suspected(np.array([*before, 1.0]), 0.2, 0.05)
    assert not is_suspected(np.array([*before, 0.0]), 0.2, 0.05)


def test_without_evidence_nothing_is_suspected_and_shares_are_unknown() -> None:
    one = suspected()
    assert one.reasons == ()
    assert isnan(one.drifted)
    assert isnan(one.distrusted)
    assert one.strength == 0
    assert suspicions(NO_DRIFT, NO_TRUST, {}, {}, DAY) == []


def test_a_fifth_of_the_series_in_alarm_is_enough() -> None:
    assert suspected(drift_rows(NAMES[:1])).reasons == ()
    assert suspected(drift_rows(NAMES[:2])).reasons == (DRIFTED,)
    assert suspected(drift_rows(NAMES[:2], NAMES[:1])).reasons == (DRIFTED,), "it stays while one in ten alarms"
    assert suspected(drift_rows(NAMES[:2], *[NAMES[:1]] * RULES.memory)).reasons == (), "but not for ever"
    assert suspected(drift_rows(NAMES[:2], [])).reasons == ()


def test_the_alarm_of_the_one_series_of_a_family_is_enough() -> None:
    families = {NAMES[0]: "MS index"}
    (one,) = suspicions(drift_rows(NAMES[:1]), NO_TRUST, families, {"MS index": DAY}, DAY)
    assert (one.reasons, one.drifted) == ((DRIFTED,), 1.0)


@pytest.mark.parametrize(
    ("drift", "direction", "expected"),
    [("prediction_drift", "down", (DRIFTED,)), ("prediction_drift", "up", ()), ("data_drift", "down", ())],
)
def test_getting_better_beside_naive_is_no_reason_to_learn_anew(
    drift: str, direction: str, expected: tuple[str, ...]
) -> None:
    assert suspected(drift_rows(NAMES, drift=drift, direction=direction)).reasons == expected


def test_fourteen_origins_below_one_half_are_enough_and_thirteen_are_not() -> None:
    days = DAYS[-14:]
    low, late = [0.4] * 14, [0.6, *[0.4] * 13]
    assert suspected(trust=trust_rows(days, low, late)).reasons == (DISTRUSTED,)
    assert suspected(trust=trust_rows(days, low, late, late)).reasons == ()
    assert suspected(trust=trust_rows(days[1:], low[1:])).reasons == (), "thirteen origins prove nothing"


def test_an_origin_without_trust_breaks_the_row() -> None:
    assert suspected(trust=trust_rows(DAYS[-14:], [0.4] * 7 + [None] + [0.4] * 6)).reasons == ()


def test_a_model_that_never_beat_naive_is_not_trained_for_that_again() -> None:
    days = [DAYS[-1 - RULES.reference], *DAYS[-14:]]
    assert suspected(trust=trust_rows(days, [0.4] * 15)).reasons == ()
    assert suspected(trust=trust_rows(days, [0.6] + [0.4] * 14)).reasons == (DISTRUSTED,)
    assert suspected(trust=trust_rows(days, [None] + [0.4] * 14)).reasons == (DISTRUSTED,)


def test_a_model_grows_stale() -> None:
    limit = DAY - timedelta(days=RULES.model_age_days)
    assert suspected(learned=limit).reasons == ()
    one = suspected(learned=limit - timedelta(days=1))
    assert (one.reasons, one.strength) == ((STALE,), 1.0)


@given(seed=st.integers(0, 1_000))
def test_neither_later_rows_nor_their_order_nor_strangers_change_anything(seed: int) -> None:
    random = np.random.default_rng(seed)
    alarms = [[name for name in NAMES if random.random() < 0.2] for _ in range(8)]
    drift = drift_rows(*alarms)
    trust = trust_rows(DAYS[-20:], *(random.uniform(0.3, 0.6, 20).tolist() for _ in range(3)))
    day = DAYS[-3]
    until = {"as_of": pa.scalar(day)}
    earlier = [table.filter(pa.compute.less_equal(table["as_of"], until["as_of"])) for table in (drift, trust)]
    mixed = [table.take(pa.array(random.permutation(len(table)))) for table in (drift, trust)]
    expected = suspicions(*earlier, FAMILIES, CHAMPIONS, day)
    np.testing.assert_equal(suspicions(*mixed, FAMILIES, CHAMPIONS, day), expected)
    fewer = dict.fromkeys(NAMES[:5], FAMILY)
    alone = drift_shares(drift, fewer, 10)[FAMILY].tolist()
    assert alone == [len({*some} & {*NAMES[:5]}) / 5 for some in alarms]


@given(seed=st.integers(0, 1_000))
def test_shares_of_trust_are_those_of_the_plain_count(seed: int) -> None:
    random = np.random.default_rng(seed)
    days = DAYS[-18:]
    columns = [[None if random.random() < 0.02 else float(random.choice([0.4, 0.4, 0.4, 0.6])) for _ in days]
               for _ in NAMES]  # fmt: skip
    rules = Rules(origins=3)
    shares = distrusted_shares(trust_rows(days, *columns), FAMILIES, rules).get(FAMILY)
    for place, at in enumerate(range(18 - 10, 18)):
        known = [column for column in columns if column[at] is not None]
        fallen = [all(v is not None and v < 0.5 for v in column[at - 2 : at + 1]) for column in known]
        assert shares is not None
        assert shares[place] == pytest.approx(np.mean(fallen))


@pytest.mark.parametrize("wrong", [{"drift_leave": 0.2}, {"trust_enter": 1.5}, {"trust_leave": -0.1}])
def test_rules_without_a_gap_between_beginning_and_end_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="begins at a higher share than it ends"):
        Rules(**wrong)  # type: ignore[arg-type]
