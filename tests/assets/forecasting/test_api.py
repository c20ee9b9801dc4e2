"""Forecasts and backtests of any table: what must not change them, and what wrong input gives."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting import api, pool
from pulse_assets.forecasting.api import Forecast, backtest, forecast
from pulse_assets.forecasting.engine import inline
from pulse_assets.forecasting.frames import FATAL, REASONS
from pulse_assets.forecasting.learning import fit_models
from pulse_assets.forecasting.prior import COLUMNS
from pulse_assets.forecasting.speaking import speak
from pulse_assets.forecasting.walk_state import SHORTEST
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_resources.compute import Compute

NUMBERS = ["mean", *QUANTILE_COLUMNS]
HORIZON = 5
START = np.datetime64("2025-01-01", "us")


def table(series: dict[str, np.ndarray], **more: object) -> pa.Table:
    """Daily series that begin on the first day of 2025, when the shipped prior may be used."""
    ids = [name for name, y in series.items() for _ in y]
    days = np.concatenate([START + np.arange(len(y)) * np.timedelta64(1, "D") for y in series.values()])
    return pa.table({"unique_id": ids, "ds": days, "y": np.concatenate([*series.values()]).astype(float)} | more)


def seasonal(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.asarray(
        20 + 5 * np.sin(np.arange(n) * 2 * np.pi / 7) + rng.normal(0, 0.5, n).cumsum() + rng.normal(size=n)
    )


def panel(count: int = 9, n: int = 64) -> dict[str, np.ndarray]:
    """Series of several shapes: positive, around zero, far from it, intermittent."""
    rng = np.random.default_rng(3)
    made = {}
    for k in range(count):
        y = seasonal(rng, n + 5 * k)
        shapes = (y, y - 20, np.exp(y / 10), 1e4 + y, np.where(rng.random(len(y)) < 0.5, 0, np.abs(y)), -y - 40)
        made[f"s{k}"] = shapes[k % len(shapes)]
    return made


PANEL = panel()


def ask(rows: pa.Table, **options: object) -> Forecast:
    return forecast(rows, **{"freq": "D", "horizon": HORIZON} | options)  # type: ignore[arg-type]


def ask_back(rows: pa.Table, **options: object) -> Forecast:
    return backtest(rows, **{"freq": "D", "horizon": HORIZON, "cutoffs": 8, "cutoffs_a_refit": 3} | options)  # type: ignore[arg-type]


def as_bytes(rows: pa.Table) -> bytes:
    plain = rows.set_column(0, "unique_id", rows["unique_id"].cast(pa.string())).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, plain.schema) as stream:
        stream.write_table(plain)
    return bytes(sink.getvalue().to_pybytes())


def of(rows: pa.Table, names: list[str]) -> pa.Table:
    return rows.filter(pc.is_in(rows["unique_id"].cast(pa.string()), pa.array(names)))


def reasons(made: Forecast) -> dict[str, str]:
    return dict(zip(made.reasons["unique_id"].to_pylist(), made.reasons["reason"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def made() -> Forecast:
    return ask(table(PANEL))


@pytest.fixture(scope="module")
def tested() -> Forecast:
    return ask_back(table(PANEL))


def test_rows_come_by_series_and_step_with_the_stamps_that_follow(made: Forecast) -> None:
    assert made.rows.column_names == ["unique_id", "h", "ds", *NUMBERS]
    keys = list(zip(made.rows["unique_id"].to_pylist(), made.rows["h"].to_pylist(), strict=True))
    assert keys == [(name, h) for name in sorted(PANEL) for h in range(1, HORIZON + 1)]
    for name, h, ds in zip(*(made.rows[column].to_pylist() for column in ("unique_id", "h", "ds")), strict=True):
        assert ds == datetime(2025, 1, 1) + timedelta(days=len(PANEL[name]) - 1 + h)  # noqa: DTZ001 - naive as asked
    assert len(made.reasons) == 0


def test_quantiles_rise_and_the_mean_lies_among_them(made: Forecast, tested: Forecast) -> None:
    for rows in (made.rows, tested.rows):
        ranked = np.column_stack([rows[name].to_numpy() for name in QUANTILE_COLUMNS])
        assert np.isfinite(ranked).all()
        assert (np.diff(ranked, axis=1) >= 0).all()
        mean = rows["mean"].to_numpy()
        assert ((ranked[:, 0] < mean) & (mean < ranked[:, -1])).all()


def test_a_series_that_was_never_negative_is_not_forecast_to_be(made: Forecast) -> None:
    floored = [name for name, y in PANEL.items() if y.min() >= 0]
    assert pc.min(of(made.rows, floored)["q010"]).as_py() >= 0
    assert pc.min(made.rows["q010"]).as_py() < 0


def test_intervals_widen_with_the_horizon_of_a_random_walk() -> None:
    rng = np.random.default_rng(0)
    rows = ask(table({f"w{k}": rng.normal(size=150).cumsum() for k in range(8)}), horizon=12).rows
    width = (rows["q900"].to_numpy() - rows["q100"].to_numpy()).reshape(8, 12).mean(axis=0)
    assert width[11] > 2 * width[0]


def test_members_are_named_and_weigh_one_together_but_for_the_smallest(made: Forecast) -> None:
    assert set(made.members["member"].to_pylist()) <= set(COLUMNS) - {"reference"}
    for end in ("weight_first", "weight_last"):
        sums = made.members.group_by("unique_id").aggregate([(end, "sum")])
        total = sums[f"{end}_sum"].to_numpy()
        assert ((total > 1 - len(COLUMNS) * api.SHOWN_WEIGHT) & (total <= 1 + 1e-6)).all()
    assert set(made.members["unique_id"].to_pylist()) == set(PANEL)
    assert (made.members["loss"].to_numpy() >= 0).all()


@pytest.mark.parametrize("factor", [1e-6, 3.7, 1e6])
@pytest.mark.parametrize("kind", ["other", "price", "return"])
def test_another_unit_gives_the_same_forecasts_in_that_unit(factor: float, kind: str) -> None:
    some = {name: np.abs(y) + 0.5 if kind == "price" else y for name, y in PANEL.items()}
    for call in (ask, ask_back):
        ours = call(table(some), kind=kind).rows
        theirs = call(table({name: y * factor for name, y in some.items()}), kind=kind).rows
        for name in NUMBERS:
            scale = np.abs(ours[name].to_numpy()) + ours["q750"].to_numpy() - ours["q250"].to_numpy()
            error = np.abs(theirs[name].to_numpy() / factor - ours[name].to_numpy()) / scale
            assert error.max() < 1e-9, name


def test_one_series_in_another_unit_leaves_the_others_where_they_were() -> None:
    """What a panel shares has no unit."""
    ours = ask(table(PANEL)).rows
    theirs = ask(table(PANEL | {"s1": PANEL["s1"] * 1e6, "s2": PANEL["s2"] * 1e-6})).rows
    others = sorted(set(PANEL) - {"s1", "s2"})
    for name in NUMBERS:
        np.testing.assert_allclose(of(theirs, others)[name], of(ours, others)[name], rtol=1e-9, atol=1e-9)


def test_neither_order_nor_partition_of_rows_changes_a_bit(made: Forecast, tested: Forecast) -> None:
    rows = table(PANEL)
    order = np.random.default_rng(1).permutation(len(rows))
    shuffled = rows.take(pa.array(order))
    parts = pa.concat_tables([shuffled.slice(low, 37) for low in range(0, len(rows), 37)])
    coded = parts.set_column(0, "unique_id", parts["unique_id"].dictionary_encode())
    for other in (shuffled, parts, coded):
        assert as_bytes(ask(other).rows) == as_bytes(made.rows)
        assert as_bytes(ask(other).members) == as_bytes(made.members)
    assert as_bytes(ask_back(parts).rows) == as_bytes(tested.rows)


def test_names_of_series_do_not_matter_beyond_their_fold() -> None:
    """Ids that give the same hashes' parities and order would give the same bits; here only that all are forecast."""
    renamed = {name.replace("s", "series "): y for name, y in PANEL.items()}
    assert len(ask(table(renamed)).rows) == len(PANEL) * HORIZON


@pytest.fixture(scope="module")
def local() -> Iterator[Compute]:
    compute = Compute(mode="local", workers=2, memory_limit="1GiB")
    yield compute
    compute.close()


@pytest.mark.parametrize(("series_a_block", "origins_a_block"), [(1, 1), (2, 10**6), (64, 9), (10**6, 10**6)])
def test_the_size_of_blocks_changes_no_bit(
    made: Forecast, tested: Forecast, monkeypatch: pytest.MonkeyPatch, series_a_block: int, origins_a_block: int
) -> None:
    monkeypatch.setattr(pool, "SERIES_A_BLOCK", series_a_block)
    monkeypatch.setattr(pool, "STEPS_A_BLOCK", 5 * origins_a_block)
    assert as_bytes(ask(table(PANEL)).rows) == as_bytes(made.rows)
    assert as_bytes(ask_back(table(PANEL)).rows) == as_bytes(tested.rows)


@pytest.mark.parametrize("mode", ["threads", "local"])
@pytest.mark.parametrize("kind", ["other", "return"])
def test_where_blocks_run_changes_no_bit(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, mode: str, kind: str
) -> None:
    here, here_back = ask(table(PANEL), kind=kind), ask_back(table(PANEL), kind=kind)
    monkeypatch.setattr(pool, "SERIES_A_BLOCK", 2)
    compute = request.getfixturevalue("local") if mode == "local" else Compute(mode="threads", workers=3)
    there = ask(table(PANEL), kind=kind, map_blocks=compute.map_blocks)
    assert as_bytes(there.rows) == as_bytes(here.rows)
    assert as_bytes(there.members) == as_bytes(here.members)
    there_back = ask_back(table(PANEL), kind=kind, map_blocks=compute.map_blocks)
    assert as_bytes(there_back.rows) == as_bytes(here_back.rows)


def with_rows(rows: pa.Table, name: str, stamps: list[int], y: list[float]) -> pa.Table:
    """Append a series with values on some days of 2025, in front."""
    days = START + np.array(stamps) * np.timedelta64(1, "D")
    return pa.concat_tables([pa.table({"unique_id": [name] * len(y), "ds": days, "y": np.array(y, float)}), rows])


BAD: dict[str, tuple[list[int], list[float], str]] = {
    "all_nan": (list(range(30)), [np.nan] * 30, "NO_VALUES"),
    "one_value": ([3], [5.0], "TOO_SHORT"),
    "three_values": ([3, 4, 5], [5.0, 6.0, 7.0], "TOO_SHORT"),
    "huge": (list(range(30)), [1e300 * (-1) ** k for k in range(30)], "OFF_SCALE"),
    "one_huge": (list(range(30)), [1e300 if k == 20 else k for k in range(30)], "OFF_SCALE"),
    "duplicates": ([0, 1, 1, 2, 3, 4, 5], [1.0, 2, 3, 4, 5, 6, 7], "DUPLICATE_STAMPS"),
    "mostly_gaps": ([0, 1, 2, 9_000], [1.0, 2, 3, 4], "HAS_GAPS"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("name", ["a", "s3b", "z"])
def test_a_bad_series_has_a_reason_and_changes_no_bit_of_another(
    made: Forecast, tested: Forecast, what: str, name: str
) -> None:
    stamps, y, reason = BAD[what]
    rows = with_rows(table(PANEL), name, stamps, y)
    ours, ours_back = ask(rows), ask_back(rows)
    assert reasons(ours) == reasons(ours_back) == {name: reason}
    assert reason in FATAL
    assert as_bytes(ours.rows) == as_bytes(made.rows)
    assert as_bytes(ours_back.rows) == as_bytes(tested.rows)


MAD: dict[str, np.ndarray] = {
    "nearly_still_then_jumps": np.append(5 + 1e-14 * np.sin(np.arange(60)), [6.0, 6.0, 6.0]),
    "next_to_nothing": np.concatenate([np.zeros(20), [1e-300], np.zeros(20), [1.0, 0.0]]),
    "smallest_there_is": np.append(np.full(30, 5e-324), np.zeros(30)),
    "one_outlier": np.append(np.sin(np.arange(50)), [1e90, 0, 0, 0, 0, 0, 0]),
    "explodes": np.geomspace(1e-90, 1e90, 80),
    "alternates": 1e80 * (-1.0) ** np.arange(60),
}


@pytest.mark.parametrize("what", MAD)
@pytest.mark.parametrize("kind", ["other", "return"])
def test_a_mad_series_moves_its_neighbours_only_so_far(what: str, kind: str) -> None:
    """It has its say in what the panel shares, like any other, but a bounded one."""
    ours, theirs = (
        ask(table(PANEL), kind=kind).rows,
        of(ask(table(PANEL | {"mad": MAD[what]}), kind=kind).rows, list(PANEL)),
    )
    before, after = (rows["q900"].to_numpy() - rows["q100"].to_numpy() for rows in (ours, theirs))
    assert ((after > before / 10) & (after < before * 20)).all()
    assert (np.abs(ours["q500"].to_numpy() - theirs["q500"].to_numpy()) < before).all()


def test_a_series_without_finite_quantiles_is_left_out_and_told() -> None:
    wild = np.array([1e-3, 1e-3, 1e-3, 1e-3, 1e90, 1e-3, 1e90])
    for found in (
        ask(table({"wild": wild}), kind="price"),
        ask_back(table({"wild": np.append(wild, wild[:HORIZON])}), kind="price", cutoffs=1),
    ):
        assert reasons(found) == {"wild": "NOT_FINITE"}
        assert len(found.rows) == 0


def test_values_beyond_single_precision_are_forecast_like_any_other() -> None:
    found = ask(table({"large": np.append(np.zeros(6), 4e38)} | PANEL))
    assert np.isfinite(found.members["loss"].to_numpy()).all()


def test_a_price_of_zero_is_off_its_scale() -> None:
    some = {name: np.abs(y) + 1 for name, y in PANEL.items()}
    some["s4"][30] = 0
    found = ask(table(some), kind="price")
    assert reasons(found) == {"s4": "OFF_SCALE"}
    assert set(found.rows["unique_id"].to_pylist()) == set(PANEL) - {"s4"}


def test_series_share_what_the_panel_teaches_and_nothing_else() -> None:
    """With gate, map on lags, pull, slopes and shape of the spread given, each series is forecast alone.

    So another good series moves its neighbours' forecasts a little, through these.
    """
    ready = api.prepare(table(PANEL), freq="D", horizon=HORIZON)
    counts = np.diff(ready.batch.offsets)
    model = fit_models(ready.batch, counts[:, None], [ready.prior], inline)[0]
    together = said_of(ready, np.arange(len(counts)), model)
    for series in range(len(counts)):
        alone = said_of(ready, np.array([series]), model)
        assert alone.center.tobytes() == together.center[series].tobytes()
        assert alone.sigma.tobytes() == together.sigma[series].tobytes()
    more = ask(table(PANEL | {"good": PANEL["s0"][::-1] * 3})).rows
    ours = ask(table(PANEL)).rows
    ratio = of(more, list(PANEL))["q900"].to_numpy() / ours["q900"].to_numpy()
    assert 0 < np.abs(ratio - 1).max() < 0.5


def said_of(ready: api.Prepared, series: np.ndarray, model: object) -> object:
    batch = ready.batch.select(series)
    counts = np.diff(batch.offsets)
    return speak(
        batch,
        np.arange(len(series) + 1),
        counts,
        np.zeros(len(series), np.int64),
        counts[:, None],
        [model],  # type: ignore[list-item]
        inline,
    )


KINDS_AND_PANELS: dict[str, dict[str, np.ndarray]] = {
    "other": PANEL,
    "price": {name: np.exp(y / (np.abs(y).max() / 3)) for name, y in PANEL.items()},
    "return": {name: np.diff(y, prepend=y[0]) / (np.abs(y).max()) for name, y in PANEL.items()},
    "sentiment": {name: np.tanh(y / np.abs(y).max()) for name, y in PANEL.items()},
}
each_kind = pytest.mark.parametrize("kind", KINDS_AND_PANELS)


@each_kind
def test_a_backtest_says_at_each_cutoff_what_was_said_then(kind: str) -> None:
    """The same cutoffs of a table that ends with the truths of the first few of them: same bytes, truths aside."""
    some = KINDS_AND_PANELS[kind]
    whole = ask_back(table(some), kind=kind).rows
    for left_out in (1, 4, 5, 7):
        then = ask_back(table({name: y[:-left_out] for name, y in some.items()}), kind=kind, cutoffs=8 - left_out).rows
        both = of_cutoffs(whole, then)
        assert len(both) == len(then) == len(some) * (8 - left_out) * HORIZON
        assert as_bytes(both) == as_bytes(then)


def of_cutoffs(rows: pa.Table, like: pa.Table) -> pa.Table:
    """The rows of ``rows`` with series and cutoffs of ``like``."""
    keys = set(zip(like["unique_id"].to_pylist(), like["cutoff"].to_pylist(), strict=True))
    mine = zip(rows["unique_id"].to_pylist(), rows["cutoff"].to_pylist(), strict=True)
    return rows.filter(pa.array([key in keys for key in mine]))


@each_kind
def test_another_future_changes_no_bit_of_the_past(kind: str) -> None:
    some = KINDS_AND_PANELS[kind]
    whole = ask_back(table(some), kind=kind).rows
    rng = np.random.default_rng(2)
    for known in (1, 4, 8):  # how many cutoffs lie before what is changed
        changed = {}
        for name, y in some.items():
            after = len(y) - HORIZON - 8 + known
            future = rng.permutation(y[after:]) * 0.9 + 0.01
            changed[name] = np.concatenate([y[:after], np.abs(future) if kind == "price" else future])
        other = ask_back(table(changed), kind=kind).rows
        for cutoff in range(8):
            mine, theirs = (cutoff_number(rows.drop_columns("y"), some, cutoff) for rows in (whole, other))
            assert (as_bytes(mine) == as_bytes(theirs)) == (cutoff < known), (known, cutoff)


def cutoff_number(rows: pa.Table, some: dict[str, np.ndarray], number: int) -> pa.Table:
    days = {name: datetime(2025, 1, 1) + timedelta(days=len(y) - 1 - HORIZON - 7 + number) for name, y in some.items()}  # noqa: DTZ001
    keys = zip(rows["unique_id"].to_pylist(), rows["cutoff"].to_pylist(), strict=True)
    return rows.filter(pa.array([days[name] == cutoff for name, cutoff in keys]))


def test_the_last_cutoff_of_its_own_refit_is_the_forecast_of_the_table_that_ended_there() -> None:
    back = ask_back(table(PANEL), cutoffs=1).rows.drop_columns(["cutoff", "y"])
    then = ask(table({name: y[:-HORIZON] for name, y in PANEL.items()})).rows
    assert as_bytes(back) == as_bytes(then)


@each_kind
def test_backtest_rows_carry_what_came(kind: str) -> None:
    some = KINDS_AND_PANELS[kind]
    rows = ask_back(table(some), kind=kind).rows
    assert rows.column_names == ["unique_id", "h", "cutoff", "ds", *NUMBERS, "y"]
    for name, ds, y in zip(*(rows[column].to_pylist() for column in ("unique_id", "ds", "y")), strict=True):
        day = (ds.replace(tzinfo=UTC) - datetime(2025, 1, 1, tzinfo=UTC)).days
        assert y == pytest.approx(some[name][day], rel=1e-9, abs=1e-12)
    ahead = pc.subtract(rows["ds"], rows["cutoff"]).to_numpy() / np.timedelta64(1, "D")
    np.testing.assert_array_equal(ahead, rows["h"].to_numpy())


@pytest.mark.parametrize("step", [1, 3])
def test_cutoffs_lie_steps_apart_and_those_before_four_values_are_left_out(step: int) -> None:
    rows = ask_back(table({"long": PANEL["s0"], "short": PANEL["s1"][:14]}), step=step).rows
    for name, n in (("long", len(PANEL["s0"])), ("short", 14)):
        cutoffs = sorted(set(of(rows, [name])["cutoff"].to_pylist()))
        counts = [n - HORIZON - step * k for k in range(7, -1, -1)]
        expected = [datetime(2025, 1, 1) + timedelta(days=c - 1) for c in counts if c >= SHORTEST]  # noqa: DTZ001
        assert cutoffs == expected


def test_cutoffs_of_one_refit_share_its_model_and_it_saw_nothing_after_the_first() -> None:
    rare, often = ask_back(table(PANEL), cutoffs_a_refit=8).rows, ask_back(table(PANEL), cutoffs_a_refit=1).rows
    assert as_bytes(cutoff_number(rare, PANEL, 0)) == as_bytes(cutoff_number(often, PANEL, 0))
    assert as_bytes(cutoff_number(rare, PANEL, 7)) != as_bytes(cutoff_number(often, PANEL, 7))


@pytest.mark.parametrize("value", [0.0, 1.0, -7.25, 0.1, 1e9])
@pytest.mark.parametrize("company", [True, False])
def test_a_constant_is_forecast_as_itself_and_told(value: float, company: bool) -> None:
    made = ask(table({"flat": np.full(40, value)} | (PANEL if company else {})))
    assert reasons(made) == {"flat": "CONSTANT"}
    rows = of(made.rows, ["flat"])
    for name in NUMBERS:
        np.testing.assert_allclose(rows[name].to_numpy(), value, rtol=1e-12)


def test_gaps_are_filled_and_told_or_refused() -> None:
    holed = with_rows(table(PANEL), "holed", [k for k in range(60) if k not in (20, 21)], list(PANEL["s0"][:58]))
    found = ask(holed)
    assert reasons(found) == {"holed": "GAPS_FILLED"}
    assert len(of(found.rows, ["holed"])) == HORIZON
    refused = ask(holed, gap_policy="none")
    assert reasons(refused) == {"holed": "HAS_GAPS"}
    assert as_bytes(refused.rows) == as_bytes(ask(table(PANEL)).rows)


def test_of_vintages_the_last_known_counts() -> None:
    rows = table(PANEL)
    first = rows.append_column("known_at", pa.array([datetime(2025, 6, 1, tzinfo=UTC)] * len(rows)))
    wrong = first.set_column(2, "y", pc.multiply(first["y"], 3.0))
    earlier = wrong.set_column(3, "known_at", pa.array([datetime(2025, 5, 1, tzinfo=UTC)] * len(rows)))
    assert as_bytes(ask(pa.concat_tables([first, earlier])).rows) == as_bytes(ask(rows).rows)


def test_nothing_good_gives_no_rows_but_all_columns_and_reasons() -> None:
    bad = with_rows(with_rows(table({"b": np.array([1.0])}), "a", [1, 1], [1.0, 2.0]), "c", [1], [np.nan])
    for found in (ask(bad), ask_back(bad)):
        assert len(found.rows) == len(found.members) == 0
        assert set(NUMBERS) < set(found.rows.column_names)
        assert reasons(found) == {"a": "DUPLICATE_STAMPS", "b": "TOO_SHORT", "c": "NO_VALUES"}


@pytest.mark.parametrize("n", range(SHORTEST, 14))
def test_young_series_are_forecast_alone_and_in_company(n: int) -> None:
    young = {"young": PANEL["s0"][:n]}
    for some in (young, young | PANEL):
        rows = of(ask(table(some)).rows, ["young"])
        assert len(rows) == HORIZON
        assert all(np.isfinite(rows[name].to_numpy()).all() for name in NUMBERS)
    assert len(ask_back(table(young), cutoffs=20).rows) == max(0, n - HORIZON - SHORTEST + 1) * HORIZON


ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "horizon_0": (lambda: ask(table(PANEL), horizon=0), "horizon must be 1 to 1,000 steps; came 0"),
    "horizon_10_000": (lambda: ask(table(PANEL), horizon=10_000), "horizon must be 1 to 1,000 steps; came 10000"),
    "season": (lambda: ask(table(PANEL), season=-1), "season must have 0 to 1,000 steps; came -1"),
    "second_season": (lambda: ask(table(PANEL), season=(7, 5_000)), "season must have 0 to 1,000 steps"),
    "frequency": (lambda: ask(table(PANEL), freq="5min"), "frequency '5min' is not known"),
    "kind": (lambda: ask(table(PANEL), kind="weather"), "kind 'weather' is not known"),
    "gap_policy": (lambda: ask(table(PANEL), gap_policy="mean"), "gap policy 'mean' is not known"),
    "column": (lambda: ask(table(PANEL).drop_columns(["y"])), "lacks y"),
    "cutoffs": (lambda: ask_back(table(PANEL), cutoffs=0), "cutoffs, step and cutoffs_a_refit must be at least 1"),
    "step": (lambda: ask_back(table(PANEL), step=0), "must be at least 1"),
    "refit": (lambda: ask_back(table(PANEL), cutoffs_a_refit=-1), "must be at least 1"),
    "zones": (
        lambda: ask(
            pa.table({"unique_id": ["a"] * 2, "ds": ["2025-01-01T00:00Z", "2025-01-02T00:00+01:00"], "y": [1, 2]})
        ),
        "mixes time zones",
    ),
}


@pytest.mark.parametrize("fault", ERRORS)
def test_wrong_options_and_tables_are_errors_that_say_what_came(fault: str) -> None:
    call, message = ERRORS[fault]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("horizon", [1, 2, 6, 7, 100, 1_000])
def test_any_allowed_horizon_is_forecast_whole(horizon: int) -> None:
    rows = ask(table({name: PANEL[name] for name in ("s0", "s1", "s2")}), horizon=horizon).rows
    assert rows["h"].to_pylist() == [*range(1, horizon + 1)] * 3
    assert all(np.isfinite(rows[name].to_numpy()).all() for name in NUMBERS)


@pytest.mark.parametrize("season", [None, 0, 1, 7, 30, (7, 0), (3, 14), (0, 5)])
def test_any_season_or_two_or_none_is_forecast(season: int | tuple[int, int] | None) -> None:
    rows = ask(table(PANEL), season=season).rows
    assert all(np.isfinite(rows[name].to_numpy()).all() for name in NUMBERS)


def test_a_season_that_is_known_beats_one_that_is_not() -> None:
    rng = np.random.default_rng(5)
    some = {f"w{k}": np.tile(rng.normal(0, 10, 13), 8) + rng.normal(size=104) for k in range(6)}
    errors = []
    for season in (13, 1):
        rows = ask_back(table(some), season=season, horizon=7).rows
        errors.append(np.abs(rows["q500"].to_numpy() - rows["y"].to_numpy()).mean())
    assert errors[0] < 0.4 * errors[1]


@given(
    st.dictionaries(
        st.sampled_from("abc"),
        st.lists(
            st.one_of(st.floats(-1e9, 1e9), st.sampled_from([0.0, 1.0, 1e300, np.nan, np.inf])), min_size=1, max_size=40
        ),
        min_size=1,
    ),
    st.sampled_from(["other", "price", "return", "sentiment"]),
)
@settings(max_examples=40)
def test_any_table_gives_rising_finite_quantiles_or_a_reason(series: dict[str, list[float]], kind: str) -> None:
    found = ask(table({name: np.array(y) for name, y in series.items()}), kind=kind)
    told, forecast_ids = reasons(found), set(found.rows["unique_id"].to_pylist())
    assert set(told.values()) <= set(REASONS)
    assert forecast_ids == {name for name in series if told.get(name) not in FATAL}
    ranked = np.column_stack([found.rows[name].to_numpy() for name in QUANTILE_COLUMNS])
    assert np.isfinite(ranked).all()
    assert np.isfinite(found.rows["mean"].to_numpy()).all()
    assert (np.diff(ranked, axis=1) >= 0).all()
