"""A panel that was trained by itself says what the engine says, bit for bit, and nothing else once it is damaged."""

import io
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting.engine import HORIZONS, Promotion, knows_from, origin_end
from pulse_assets.forecasting.families import families
from pulse_assets.forecasting.pack import Panel, pack
from pulse_assets.forecasting.pooled import PULSE, PooledEngine
from pulse_assets.forecasting.serving import ANSWERED, answer, question
from pulse_assets.forecasting.training import TrainedPanel, train
from pulse_assets.forecasting.training_bytes import packed, unpacked
from pulse_resources.lake.partitions import weekdays
from tests.assets.forecasting.silver_rows import as_bytes, series, told, values

QUARTER = date(1995, 3, 31)
"""Last day before the refit that serves the second quarter."""
PROMOTED = date(1995, 5, 9)
ORIGINS = [*weekdays(date(1995, 5, 8), date(1995, 5, 12)), date(1995, 6, 30), date(1995, 7, 3)]
PRICES = "B price"


EARLIER = np.datetime64("1994-05-02", "us")
"""So that each price has the hundred returns that a conditional volatility needs."""


def price(rng: np.random.Generator, name: str) -> pa.Table:
    return series(name, values(rng, "price", 334), kind="price", start=EARLIER)


def revised(rng: np.random.Generator) -> pa.Table:
    """A price told anew in January, before any training, and in May, after the quarter's."""
    plain = price(rng, "p-revised")
    ds, y = plain["ds"].cast(pa.int64()).to_numpy().astype("datetime64[us]"), plain["y"].to_numpy()
    days = [np.repeat(np.datetime64(day, "us"), 2) for day in ("1995-01-20", "1995-05-11")]
    again = [
        told("p-revised", ds[at : at + 2], y[at : at + 2] * 1.02, known, kind="price")
        for at, known in zip((40, 260), days, strict=True)
    ]
    return pa.concat_tables([plain, *again])


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    rng = np.random.default_rng(11)
    late = np.datetime64("1995-04-20", "us")
    return pa.concat_tables(
        [
            *(price(rng, f"p{k}") for k in range(3)),
            series("p-young", values(rng, "price", 60), kind="price", start=late),
            series("p-spoilt", np.append(values(rng, "price", 80), np.zeros(60)), kind="price"),
            revised(rng),
            *(series(f"d{k}", 10 + values(rng, "other", 230), "D") for k in range(2)),
            *(series(f"r{k}", 0.01 * rng.standard_t(4, 334), "B", "return", start=EARLIER) for k in range(2)),
        ]
    )


@pytest.fixture(scope="module")
def panel(rows: pa.Table) -> Panel:
    return packed_for(rows)


def packed_for(rows: pa.Table) -> Panel:
    return pack(rows, knows_from(ORIGINS[0]), origin_end(ORIGINS[-1]))


def said(engine: PooledEngine, panel: Panel, origins: list[date] = ORIGINS) -> pa.Table:
    return pa.concat_tables(engine.forecast(panel, origins)).filter(pc.field("model") == PULSE)


def of(rows: pa.Table, panel: Panel, family: str, day: date) -> pa.Table:
    ids = [name for name, label in families(panel).items() if label == family]
    return rows.filter((pc.field("as_of") == pa.scalar(day)) & pc.field("unique_id").isin(ids)).combine_chunks()


@pytest.fixture(scope="module")
def quarterly(panel: Panel) -> pa.Table:
    return said(PooledEngine(), panel)


@pytest.fixture(scope="module")
def promoted(panel: Panel) -> pa.Table:
    return said(PooledEngine(promotions=(Promotion(PRICES, PROMOTED, PROMOTED),)), panel)


@pytest.fixture(scope="module", params=[PRICES, "D other", "B return"])
def trained(request: pytest.FixtureRequest, panel: Panel) -> TrainedPanel:
    return train(panel, request.param, QUARTER)


@pytest.fixture(scope="module")
def prices(panel: Panel) -> TrainedPanel:
    return train(panel, PRICES, PROMOTED)


def test_a_trained_panel_says_what_the_engine_says_bit_for_bit(
    trained: TrainedPanel, panel: Panel, quarterly: pa.Table
) -> None:
    kept = TrainedPanel.from_bytes(trained.to_bytes())
    for origin in ORIGINS[:-1]:
        expected = of(quarterly, panel, trained.family, origin)
        assert len(expected)
        assert as_bytes(kept.forecast(panel, origin)) == as_bytes(expected)


def test_after_a_promotion_the_engine_says_what_that_training_says(
    prices: TrainedPanel, panel: Panel, rows: pa.Table, promoted: pa.Table
) -> None:
    served = [origin for origin in ORIGINS[:-1] if origin > PROMOTED]
    assert len(served) == 4
    for origin in served:
        assert as_bytes(prices.forecast(rows, origin)) == as_bytes(of(promoted, panel, PRICES, origin))


def test_a_promotion_changes_its_panel_after_its_day_until_the_next_refit_and_nothing_else(
    panel: Panel, quarterly: pa.Table, promoted: pa.Table
) -> None:
    for origin in ORIGINS:
        for family in (PRICES, "D other", "B return"):
            ours, theirs = (as_bytes(of(rows, panel, family, origin)) for rows in (quarterly, promoted))
            changes = family == PRICES and PROMOTED < origin < date(1995, 7, 1)
            assert (ours != theirs) == changes, (origin, family)


def test_which_other_origins_are_asked_for_changes_no_bit_around_a_promotion(
    rows: pa.Table, promoted: pa.Table
) -> None:
    engine = PooledEngine(promotions=(Promotion(PRICES, PROMOTED, PROMOTED),))
    alone = [said(engine, pack(rows, knows_from(origin), origin_end(origin)), [origin]) for origin in ORIGINS]
    assert as_bytes(pa.concat_tables(alone)) == as_bytes(promoted)


@pytest.mark.parametrize(
    ("promotions", "expected"),
    [
        ((), QUARTER),
        (((PRICES, PROMOTED, PROMOTED),), PROMOTED),
        ((("B rate", PROMOTED, PROMOTED),), QUARTER),
        (((PRICES, PROMOTED, date(1995, 2, 1)),), QUARTER),
        (((PRICES, PROMOTED, PROMOTED), (PRICES, date(1995, 5, 10), date(1995, 4, 9))), date(1995, 4, 9)),
        (((PRICES, PROMOTED, PROMOTED), (PRICES, date(1995, 5, 10), date.min)), QUARTER),
        (((PRICES, PROMOTED, PROMOTED), (PRICES, PROMOTED, date(1995, 5, 2))), date(1995, 5, 2)),
        (((PRICES, date(1995, 5, 11), PROMOTED),), QUARTER),
    ],
)
def test_the_newest_promotion_before_an_origin_serves_if_it_is_later_than_the_refit(
    promotions: tuple[tuple[str, date, date], ...], expected: date
) -> None:
    engine = PooledEngine(promotions=promotions)
    assert engine.model_version(PRICES, date(1995, 5, 11)) == f"{engine.version} {PRICES} {expected}"


def test_each_row_tells_the_engine_the_family_and_the_last_day_learned_from(panel: Panel) -> None:
    engine = PooledEngine(promotions=((PRICES, PROMOTED, PROMOTED),))
    made = pa.concat_tables(engine.forecast(panel, ORIGINS))
    versions = engine.model_versions(made, families(panel)).to_pylist()
    for row, version in zip(made.select(["as_of", "unique_id", "model"]).to_pylist(), versions, strict=True):
        if row["model"] != PULSE:
            assert version == engine.version
            continue
        family = families(panel)[row["unique_id"]]
        learned = QUARTER if row["as_of"] < date(1995, 7, 1) else date(1995, 6, 30)
        if family == PRICES and PROMOTED < row["as_of"] < date(1995, 7, 1):
            learned = PROMOTED
        assert version == f"{engine.version} {family} {learned}"
    assert engine.model_versions(made.slice(0, 0), {}).to_pylist() == []


def test_a_promotion_that_would_look_ahead_is_refused() -> None:
    with pytest.raises(ValueError, match="B price was to learn from 1995-05-10 and to serve after 1995-05-09"):
        PooledEngine(promotions=((PRICES, PROMOTED, date(1995, 5, 10)),))


def test_training_twice_gives_equal_bytes_and_later_knowledge_changes_none(
    rows: pa.Table, prices: TrainedPanel
) -> None:
    past = rows.filter(pc.less(rows["known_at"].cast(pa.int64()), origin_end(PROMOTED)))
    again = train(pack(past, origin_end(PROMOTED), origin_end(PROMOTED)), PRICES, PROMOTED)
    assert again.to_bytes() == prices.to_bytes()
    assert again.digest == prices.digest
    other = train(pack(past, origin_end(QUARTER), origin_end(PROMOTED)), PRICES, QUARTER)
    assert other.digest != prices.digest


def test_a_trained_panel_knows_its_series_and_its_version(prices: TrainedPanel) -> None:
    assert prices.ids.tolist() == ["p-revised", "p-young", "p0", "p1", "p2"]
    assert prices.model_version == f"{PooledEngine().version} {PRICES} {PROMOTED}"
    assert prices.horizon == HORIZONS["B"]
    numbers = prices.metrics()
    assert numbers["series"] == 5
    assert numbers["volatility_share"] == 4 / 5
    assert len(numbers) <= 50
    assert np.isfinite(list(numbers.values())).all()


def test_series_that_it_never_saw_are_forecast_and_other_families_are_passed_over(
    prices: TrainedPanel, rows: pa.Table
) -> None:
    rng = np.random.default_rng(3)
    both = pa.concat_tables([rows, series("p-new", values(rng, "price", 160), kind="price")])
    made, alone = (prices.forecast(some, ORIGINS[3]) for some in (both, rows))
    assert set(made["unique_id"].to_pylist()) == set(alone["unique_id"].to_pylist()) | {"p-new"}
    assert as_bytes(made.filter(pc.field("unique_id") != "p-new").combine_chunks()) == as_bytes(alone)
    nothing = prices.forecast(rows.filter(pc.field("kind") == "return"), ORIGINS[3])
    assert len(nothing) == 0
    assert nothing.schema == made.schema


def test_an_origin_before_what_was_learned_is_refused(prices: TrainedPanel, rows: pa.Table) -> None:
    with pytest.raises(ValueError, match="has learned up to 1995-05-09, so it cannot speak from 1995-05-08"):
        prices.forecast(rows, PROMOTED - timedelta(days=1))


def test_a_model_of_another_engine_is_not_asked(prices: TrainedPanel, rows: pa.Table) -> None:
    meta, arrays = unpacked(prices.to_bytes())
    old = TrainedPanel.from_bytes(packed({**meta, "engine_version": "pulse-1-abc"}, arrays))
    with pytest.raises(ValueError, match="was trained by engine pulse-1-abc"):
        old.forecast(rows, ORIGINS[3])


@pytest.mark.parametrize("family", ["B rate", "nonsense", ""])
def test_a_family_that_nobody_knew_is_not_trained(panel: Panel, family: str) -> None:
    with pytest.raises(ValueError, match="nothing to learn; this panel has B price, B return, D other"):
        train(panel, family, QUARTER)


def test_a_family_that_was_not_known_yet_is_not_trained(panel: Panel) -> None:
    with pytest.raises(ValueError, match="no series of 'B price' was known by 1994-04-29"):
        train(panel, PRICES, date(1994, 4, 29))


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04", b"\x80\x04K\x01.", b"\x93NUMPY\x01\x00"])
def test_bytes_of_something_else_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="expected a trained panel"):
        TrainedPanel.from_bytes(content)


@settings(max_examples=60)
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), cut=st.booleans())
def test_damaged_bytes_are_refused_or_mean_the_same(prices: TrainedPanel, place: float, flip: int, cut: bool) -> None:
    content = bytearray(prices.to_bytes())
    at = int(place * len(content))
    if cut:
        del content[at:]
    else:
        content[at] ^= flip
    try:
        kept = TrainedPanel.from_bytes(bytes(content))
    except ValueError as error:
        assert "expected a trained panel" in str(error)  # noqa: PT017 - most bytes; others are padding of the archive
    else:
        assert kept.to_bytes() == prices.to_bytes()


def test_a_number_that_was_changed_is_noticed_though_the_file_is_sound(prices: TrainedPanel) -> None:
    with np.load(io.BytesIO(prices.to_bytes())) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["gate"] = arrays["gate"] + 1e-12
    changed = io.BytesIO()
    np.savez(changed, allow_pickle=False, **arrays)
    with pytest.raises(ValueError, match="its digest is not"):
        TrainedPanel.from_bytes(changed.getvalue())


def test_a_frame_is_answered_as_a_table_is(prices: TrainedPanel, rows: pa.Table) -> None:
    origin = ORIGINS[3]
    mine = rows.filter(pc.field("kind") == "price")
    told_by_frame = answer(prices, question(mine), str(origin))
    expected = prices.forecast(mine, origin).to_pandas()
    assert list(told_by_frame.columns) == list(ANSWERED)
    for name, kind in ANSWERED.items():
        if kind in ("double", "long", "string"):
            assert told_by_frame[name].tolist() == expected[name].tolist()
    known = mine.filter(pc.less(mine["known_at"].cast(pa.int64()), origin_end(origin)))
    pd.testing.assert_frame_equal(answer(prices, question(known)), told_by_frame)


@pytest.mark.parametrize("spoil", ["column", "null", "empty", "origin"])
def test_a_frame_that_is_no_question_is_refused(prices: TrainedPanel, rows: pa.Table, spoil: str) -> None:
    frame = question(rows.filter(pc.field("kind") == "price"))
    origin = "tomorrow" if spoil == "origin" else ""
    if spoil == "column":
        frame = frame.drop(columns="calendar")
    elif spoil == "null":
        frame.loc[3, "y"] = np.nan
    elif spoil == "empty":
        frame = frame.iloc[:0]
    with pytest.raises(ValueError, match=r"expected rows with unique_id|Invalid isoformat"):
        answer(prices, frame, origin)
