"""From the record of what became of trainings to those that serve: nothing recorded later counts earlier."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.forecasting.engine import knows_from, origin_end, refit_end
from pulse_assets.forecasting.pooled import PooledEngine
from pulse_assets.trust.evidence_tables import MODEL_EVENTS
from pulse_assets.trust.retraining.promotions import NOTHING, promotions_in_force

FAMILY = "B price"
MONDAY = date(2024, 5, 6)
NAMES = ("retrain_requested", "shadow", "promoted", "rejected", "rolled_back")


def on(number: int) -> date:
    return MONDAY + timedelta(days=number)


def events(*rows: tuple[int, str, int | None], family: str = FAMILY) -> pa.Table:
    """Events by day, name and day learned from, recorded in the order in which they stand."""
    return MODEL_EVENTS.cast(
        pa.Table.from_pylist(
            [
                {
                    "as_of": on(day),
                    "family": family,
                    "event": event,
                    "trained_on": None if learned is None else on(learned),
                    "replaces": None,
                    "reasons": "",
                    "evidence": "{}",
                    "run_id": "",
                    "recorded_at": datetime(2024, 6, 1, 12, number, tzinfo=UTC),
                }
                for number, (day, event, learned) in enumerate(rows)
            ],
            schema=MODEL_EVENTS.schema.remove_metadata(),
        )
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((), ()),
        (((1, "shadow", 0), (2, "rejected", 0), (3, "retrain_requested", None)), ()),
        (((1, "promoted", 0),), ((1, 0),)),
        (((1, "promoted", 0), (5, "promoted", 4)), ((1, 0), (5, 4))),
        (((1, "promoted", 0), (8, "rolled_back", 0)), ((1, 0), (8, None))),
        (((1, "promoted", 0), (5, "promoted", 4), (8, "rolled_back", 4)), ((1, 0), (5, 4), (8, 0))),
        (((1, "promoted", 0), (5, "promoted", 4), (8, "rolled_back", 0)), ((1, 0), (5, 4), (8, 4))),
        (((1, "promoted", 0), (8, "rolled_back", 3)), ((1, 0),)),
        (((8, "rolled_back", 0),), ()),
        (((1, "promoted", 0), (5, "promoted", 0), (8, "rolled_back", 0)), ((1, 0), (8, None))),
        (((1, "promoted", 0), (1, "rolled_back", 0)), ((1, 0), (1, None))),
        (((8, "rolled_back", 0), (1, "promoted", 0)), ((1, 0), (8, None))),
    ],
)
def test_promotions_add_up_and_a_rollback_returns_to_what_was_before(
    rows: tuple[tuple[int, str, int | None], ...], expected: tuple[tuple[int, int | None], ...]
) -> None:
    found = promotions_in_force(events(*rows))
    assert [(after, learned) for _, after, learned in found] == [
        (on(day), NOTHING if learned is None else on(learned)) for day, learned in expected
    ]
    assert {family for family, _, _ in found} <= {FAMILY}


def test_an_engine_takes_them_and_a_rollback_counts_after_its_own_day_only() -> None:
    rows = events((1, "promoted", 0), (8, "rolled_back", 0))
    engine = PooledEngine(promotions=promotions_in_force(rows))
    learned = {number: engine.model_version(FAMILY, on(number))[-10:] for number in (1, 2, 8, 9)}
    assert learned == {1: "2024-03-31", 2: str(MONDAY), 8: str(MONDAY), 9: "2024-03-31"}
    assert engine.model_version("D price", on(5)).endswith("2024-03-31")


def test_families_do_not_mix() -> None:
    both = pa.concat_tables([events((1, "promoted", 0)), events((5, "rolled_back", 0), family="D price")])
    assert [(family, after) for family, after, _ in promotions_in_force(both)] == [(FAMILY, on(1))]


def test_a_promotion_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=f"promotion of {FAMILY} on {on(1)} does not say what it has learned from"):
        promotions_in_force(events((1, "promoted", None)))


HISTORIES = st.lists(
    st.tuples(st.integers(0, 80), st.sampled_from(NAMES), st.integers(-60, 80)).filter(lambda row: row[2] <= row[0]),
    max_size=12,
)


@given(history=HISTORIES, origin=st.integers(1, 90))
def test_what_serves_at_an_origin_is_told_by_earlier_events_alone_and_never_looks_ahead(
    history: list[tuple[int, str, int]], origin: int
) -> None:
    rows = events(*history)
    day = on(origin)
    serving = refit_end(FAMILY, day, promotions_in_force(rows))
    earlier = rows.filter(pc.field("as_of") < pa.scalar(day))
    assert serving == refit_end(FAMILY, day, promotions_in_force(earlier))
    assert knows_from(day) <= serving < origin_end(day)


@given(history=HISTORIES, seed=st.randoms())
def test_the_order_of_rows_changes_nothing(history: list[tuple[int, str, int]], seed: object) -> None:
    rows = events(*history)
    order = list(range(len(rows)))
    seed.shuffle(order)  # type: ignore[attr-defined]
    assert promotions_in_force(rows.take(pa.array(order, pa.int64()))) == promotions_in_force(rows)
