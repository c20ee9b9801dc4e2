"""Packing: what a panel shows at an origin is exactly what was known then, however silver rows came."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting.pack import MICROSECONDS_A_DAY, STALE_AFTER_DAYS, Panel, pack

START = datetime(2020, 1, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")
DAY = MICROSECONDS_A_DAY
Row = tuple[str, int, int, float]


def silver(rows: list[Row], freq: str = "D") -> pa.Table:
    """Rows of ``(series, day of the event, hour of knowledge, value)``, both counted from the start of 2020."""
    ids, days, hours, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pa.table(
        {
            "unique_id": pa.array(ids, pa.string()),
            "ds": pa.array([START + timedelta(days=day) for day in days], TIME),
            "y": pa.array(values, pa.float64()),
            "known_at": pa.array([START + timedelta(hours=hour) for hour in hours], TIME),
            "kind": pa.array(["other"] * len(rows), pa.string()),
            "freq": pa.array([freq] * len(rows), pa.string()),
            "calendar": pa.array(["none"] * len(rows), pa.string()),
        }
    )


def end_of_day(day: int) -> int:
    return int(START.timestamp()) * 1_000_000 + (day + 1) * DAY


def known_then(rows: list[Row], day: int) -> dict[str, list[tuple[int, float]]]:
    """Return the slow and obvious answer: rows known before the day ended, the newest vintage of each event time."""
    latest: dict[tuple[str, int], tuple[int, float]] = {}
    for name, ds, hour, value in rows:
        if hour < 24 * (day + 1) and hour >= latest.get((name, ds), (-1, 0.0))[0]:
            latest[name, ds] = (hour, value)
    found: dict[str, list[tuple[int, float]]] = {}
    for (name, ds), (_, value) in sorted(latest.items()):
        found.setdefault(name, []).append((ds, value))
    return found


def seen_then(panel: Panel, day: int) -> dict[str, list[tuple[int, float]]]:
    counts = panel.known_counts(np.array([end_of_day(day)]))[:, 0]
    found: dict[str, list[tuple[int, float]]] = {}
    for s in np.flatnonzero(counts):
        assert panel.ids[s] not in found, "two epochs serve one origin"
        part = slice(panel.offsets[s], panel.offsets[s] + counts[s])
        days = (panel.ds[part] - int(START.timestamp()) * 1_000_000) // DAY
        found[panel.ids[s]] = list(zip(days.tolist(), panel.values[part].tolist(), strict=True))
    return found


ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 14 * 24)), unique=True, min_size=1, max_size=40
).map(lambda keys: [(*key, float(number)) for number, key in enumerate(keys)])


@given(ROWS, st.integers(0, 14), st.integers(0, 14))
@settings(max_examples=200)
def test_an_origin_sees_the_newest_vintages_of_what_was_known_and_nothing_else(
    rows: list[Row], one: int, other: int
) -> None:
    first, last = sorted((one, other))
    panel = pack(silver(rows), end_of_day(first), end_of_day(last))
    for day in range(first, last + 1):
        assert seen_then(panel, day) == known_then(rows, day)


@given(ROWS, st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_the_order_of_rows_does_not_matter(rows: list[Row], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    ours, theirs = (pack(silver(order), end_of_day(0), end_of_day(14)) for order in (rows, shuffled))
    for name in ("ids", "values", "ds", "known", "offsets", "after", "until"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


@given(ROWS)
@settings(max_examples=50)
def test_segments_rise_in_event_time_and_never_fall_in_knowledge(rows: list[Row]) -> None:
    panel = pack(silver(rows), end_of_day(0), end_of_day(14))
    assert panel.ids.tolist() == sorted(panel.ids)
    for low, high in zip(panel.offsets, panel.offsets[1:], strict=False):
        assert (np.diff(panel.ds[low:high]) > 0).all()
        assert (np.diff(panel.known[low:high]) >= 0).all()


@given(ROWS)
@settings(max_examples=50)
def test_freshness_counts_from_the_newest_knowledge_of_any_row(rows: list[Row]) -> None:
    panel = pack(silver(rows), end_of_day(0), end_of_day(40))
    for day in range(5, 41, 5):
        ends = np.array([end_of_day(day)])
        fresh = panel.is_fresh(panel.known_counts(ends), ends)[:, 0]
        hours = {name: max(h for n, _, h, _ in rows if n == name) for name, _, h, _ in rows if h < 24 * (day + 1)}
        for name, newest in hours.items():
            known = [h for n, _, h, _ in rows if n == name and h < 24 * (day + 1)]
            assert bool(fresh[panel.ids == name].any()) == (
                24 * (day + 1) - max(known) <= 24 * STALE_AFTER_DAYS["D"]
            ), newest


def test_a_series_that_only_grows_is_one_segment_without_limits() -> None:
    panel = pack(silver([("a", day, 24 * day + 22, float(day)) for day in range(30)]), end_of_day(0), end_of_day(29))
    assert len(panel) == 1
    assert panel.after[0] < 0 < panel.until[0]
    ends = np.array([end_of_day(day) for day in range(30)])
    assert panel.known_counts(ends)[0].tolist() == list(range(1, 31))


def test_what_becomes_known_at_midnight_belongs_to_the_new_day() -> None:
    panel = pack(silver([("a", 0, 0, 1.0), ("a", 1, 48, 2.0)]), end_of_day(0), end_of_day(5))
    assert panel.known_counts(np.array([end_of_day(1), end_of_day(2)]))[0].tolist() == [1, 2]


def test_a_revision_shows_from_its_own_day_on_and_not_before() -> None:
    rows = [("a", 0, 1, 1.0), ("a", 1, 25, 2.0), ("a", 0, 24 * 5, 9.0)]
    panel = pack(silver(rows), end_of_day(0), end_of_day(9))
    assert len(panel) == 2
    assert seen_then(panel, 4) == {"a": [(0, 1.0), (1, 2.0)]}
    assert seen_then(panel, 5) == {"a": [(0, 9.0), (1, 2.0)]}


def test_epochs_that_no_origin_asks_for_are_left_out() -> None:
    rows = [("a", 0, 1, 1.0)] + [("a", 0, 24 * day, float(day)) for day in range(1, 50)]
    assert len(pack(silver(rows), end_of_day(45), end_of_day(49))) < 8


@pytest.mark.parametrize("later", ["price", "h", "XNYS"])
def test_what_a_series_is_was_settled_by_its_first_known_row(later: str) -> None:
    table = silver([("a", 5, 24 * 5 + 1, 1.0), ("a", 0, 24 * 9, 2.0), ("a", 6, 24 * 6 + 1, 3.0)])
    for name in ("kind", "freq", "calendar"):
        table = table.set_column(
            table.schema.get_field_index(name), name, pa.array([table[name][0].as_py(), later, later])
        )
    panel = pack(table, end_of_day(0), end_of_day(10))
    assert set(panel.kind) == {"other"}
    assert set(panel.freq) == {"D"}
    assert set(panel.calendar) == {"none"}


def test_no_rows_make_an_empty_panel() -> None:
    for rows in ([], [("a", 0, 24 * 30, 1.0)]):
        panel = pack(silver(rows), end_of_day(0), end_of_day(3))
        assert len(panel) == 0
        assert panel.known_counts(np.array([end_of_day(3)])).shape == (0, 1)


def test_selected_segments_keep_their_observations() -> None:
    rows = [(name, day, 24 * day + 1, ord(name) + day / 10) for name in "abcd" for day in range(3 + ord(name) % 4)]
    panel = pack(silver(rows), end_of_day(0), end_of_day(9))
    part = panel.select(np.array([3, 1]))
    assert part.ids.tolist() == ["d", "b"]
    for place, source in ((0, 3), (1, 1)):
        ours = part.values[part.offsets[place] : part.offsets[place + 1]]
        np.testing.assert_array_equal(ours, panel.values[panel.offsets[source] : panel.offsets[source + 1]])
