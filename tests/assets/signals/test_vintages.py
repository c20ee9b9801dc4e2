"""Which delivered rows say something new."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.signals.vintages import Fresh, fresh_rows, keep_settled

TIME = pa.timestamp("us", "UTC")
JANUARY = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
VALUES = ("value",)


def delivery(*rows: tuple[float | None, datetime | None], received: int, name: str = "CPI") -> pa.Table:
    """Rows about January: value and stated time (None: assumed a day later), received some days after."""
    return pa.table(
        {
            "series_id": pa.array([name] * len(rows), pa.string()),
            "ds": pa.array([JANUARY] * len(rows), TIME),
            "value": pa.array([value for value, _ in rows], pa.float64()),
            "known_at": pa.array([stated or JANUARY + DAY for _, stated in rows], TIME),
            "known_at_basis": pa.array(["stated" if stated else "assumed" for _, stated in rows], pa.string()),
            "received_at": pa.array([JANUARY + received * DAY] * len(rows), TIME),
        }
    )


class Held:
    """What a table would hold: takes deliveries one after the other."""

    def __init__(self) -> None:
        self.rows = delivery(received=0)

    def take(self, rows: pa.Table) -> Fresh:
        """Add what is new."""
        fresh = fresh_rows(rows, self.rows, "series_id", VALUES)
        self.rows = pa.concat_tables([self.rows, fresh.rows])
        return fresh

    def latest(self) -> float:
        """Return the value known last."""
        newest: float = self.rows.sort_by("known_at")["value"][-1].as_py()
        return newest


def test_a_first_release_is_new_and_no_correction() -> None:
    fresh = Held().take(delivery((1.0, None), received=5))
    assert (len(fresh.rows), fresh.corrected) == (1, 0)


def test_the_same_again_is_not_new() -> None:
    held = Held()
    held.take(delivery((1.0, None), received=5))
    assert len(held.take(delivery((1.0, None), received=6)).rows) == 0


def test_a_missing_value_is_the_same_as_a_missing_value() -> None:
    held = Held()
    held.take(delivery((None, None), received=5))
    assert len(held.take(delivery((None, None), received=6)).rows) == 0


def test_a_correction_counts_as_known_from_its_receipt() -> None:
    held = Held()
    held.take(delivery((1.0, None), received=5))
    fresh = held.take(delivery((2.0, None), received=6))
    row = fresh.rows.to_pylist()[0]
    assert fresh.corrected == 1
    assert (row["value"], row["known_at"], row["known_at_basis"]) == (2.0, JANUARY + 6 * DAY, "received")


def test_a_value_that_comes_back_is_a_further_correction() -> None:
    held = Held()
    for received, value in enumerate((1.0, 2.0, 1.0, 1.0), start=5):
        held.take(delivery((value, None), received=received))
    assert held.rows["value"].to_pylist() == [1.0, 2.0, 1.0]
    assert held.latest() == 1.0


def test_stated_vintages_are_rows_of_their_own_and_known_when_delivered_again() -> None:
    held = Held()
    vintages = [(1.0, JANUARY + 2 * DAY), (1.5, JANUARY + 9 * DAY)]
    assert len(held.take(delivery(*vintages, received=20)).rows) == 2
    assert len(held.take(delivery(*vintages, received=21)).rows) == 0
    longer = [*vintages, (1.6, JANUARY + 15 * DAY)]
    fresh = held.take(delivery(*longer, received=22))
    assert (fresh.rows["value"].to_pylist(), fresh.corrected) == ([1.6], 0)


def test_a_stated_vintage_that_changed_nothing_is_still_a_row() -> None:
    held = Held()
    held.take(delivery((1.0, JANUARY + 2 * DAY), received=5))
    assert len(held.take(delivery((1.0, JANUARY + 3 * DAY), received=6)).rows) == 1


def test_another_value_under_a_stated_time_already_taken_is_a_correction_once() -> None:
    held = Held()
    stated = JANUARY + 2 * DAY
    held.take(delivery((1.0, stated), received=5))
    fresh = held.take(delivery((2.0, stated), received=6))
    assert (fresh.corrected, fresh.rows["known_at"].to_pylist()) == (1, [JANUARY + 6 * DAY])
    assert len(held.take(delivery((2.0, stated), received=7)).rows) == 0
    assert held.latest() == 2.0


def test_other_series_and_other_event_times_are_not_confused() -> None:
    held = Held()
    held.take(delivery((1.0, None), received=5))
    fresh = held.take(delivery((2.0, None), received=6, name="PPI"))
    assert (len(fresh.rows), fresh.corrected) == (1, 0)


def test_vintages_that_are_all_rewritten_give_one_correction_of_the_newest() -> None:
    held = Held()
    early, late = JANUARY + 2 * DAY, JANUARY + 9 * DAY
    held.take(delivery((1.0, early), (1.5, late), received=20))
    fresh = held.take(delivery((10.0, early), (15.0, late), received=21))
    assert (fresh.rows["value"].to_pylist(), fresh.corrected) == ([15.0], 1)


def test_rewriting_a_replaced_vintage_does_not_change_what_is_known_now() -> None:
    held = Held()
    early, late = JANUARY + 2 * DAY, JANUARY + 9 * DAY
    held.take(delivery((1.0, early), (1.5, late), received=20))
    assert len(held.take(delivery((7.0, early), received=21)).rows) == 0
    assert held.latest() == 1.5


VALUE = st.sampled_from([None, 1.0, 2.0])
TIMES = st.one_of(st.just([None]), st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True))


@settings(max_examples=25)
@given(TIMES, st.data())
def test_feeding_a_delivery_twice_adds_nothing_the_second_time(times: list[int | None], data: st.DataObject) -> None:
    held = Held()
    stated = [None if days is None else JANUARY + days * DAY for days in times]
    for number in range(data.draw(st.integers(1, 4))):
        rows = [(data.draw(VALUE), moment) for moment in stated]
        held.take(delivery(*rows, received=10 + 2 * number))
        assert len(held.take(delivery(*rows, received=11 + 2 * number)).rows) == 0
        known = held.rows["known_at"].to_pylist()
        assert len(set(known)) == len(known)


@settings(max_examples=25)
@given(st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1, max_size=8))
def test_the_latest_row_says_what_the_source_said_last(said: list[float]) -> None:
    held = Held()
    for received, value in enumerate(said, start=5):
        held.take(delivery((value, None), received=received))
    assert held.latest() == said[-1]
    changes = 1 + sum(a != b for a, b in pairwise(said))
    assert len(held.rows) == changes


@settings(max_examples=25)
@given(st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1, max_size=8))
def test_the_latest_row_says_what_the_source_said_last_under_one_stated_time(said: list[float]) -> None:
    held = Held()
    for received, value in enumerate(said, start=5):
        held.take(delivery((value, JANUARY + 2 * DAY), received=received))
    assert held.latest() == said[-1]


def test_an_inferred_frequency_does_not_change_a_series_that_is_held() -> None:
    moment = pa.array([datetime(2024, 1, 3, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    held = pa.table({"symbol": ["a"], "known_at": moment, "freq": ["B"]})
    rows = pa.table({"symbol": ["a", "b"], "freq": ["D", "W"]})
    assert keep_settled(rows, held, "symbol")["freq"].to_pylist() == ["B", "W"]
