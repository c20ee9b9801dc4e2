"""Reconciliation against the dense textbook formula, and what must hold of anything that adds up."""

import math
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from pulse_assets.forecasting.hierarchy import Hierarchy
from pulse_assets.forecasting.reconcile import FLOOR, Reconciled, bottom_up, min_trace
from pulse_assets.forecasting.sample_paths import MIN_RESIDUALS
from pulse_assets.numerics.quantiles import LEVELS

Floats = np.ndarray


def grouped(bottom: int, groups: tuple[int, ...], seed: int = 0) -> Hierarchy:
    """Random groupings that cross; many small groups make more sums than bottom series."""
    random = np.random.default_rng(seed)
    columns = {f"g{k}": [f"{code:03d}" for code in random.integers(0, size, bottom)] for k, size in enumerate(groups)}
    return Hierarchy.from_groups(pa.table({"unique_id": [f"s{row:04d}" for row in range(bottom)], **columns}))


def forecasts(hierarchy: Hierarchy, horizon: int, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Means that do not add up, skewed quantiles around them, and variances."""
    random = np.random.default_rng(seed)
    nodes = len(hierarchy.names)
    mean = hierarchy.summing @ random.normal(5, 3, (hierarchy.summing.shape[1], horizon))
    mean += random.normal(0, 1, mean.shape)
    spread = random.uniform(0.5, 2, (*mean.shape, 1))
    normal = ndtri(LEVELS)
    return mean, mean[..., None] + spread * (normal + 0.2 * np.exp(0.3 * normal)), random.uniform(0.1, 9, nodes)


def dense(hierarchy: Hierarchy, variance: Floats) -> Floats:
    """P of Wickramasuriya et al. (2019), written as in the paper."""
    s, precision = hierarchy.summing.toarray(), np.diag(1 / variance)
    return np.asarray(s @ np.linalg.inv(s.T @ precision @ s) @ s.T @ precision)


SHAPES = [(12, (3,)), (12, (3, 4)), (12, (9, 9, 9)), (1, ()), (30, (2, 5))]
"""Bottom series and groups: fewer sums than series, more sums than series, and a single series."""


def adds_up(hierarchy: Hierarchy, made: Reconciled) -> None:
    np.testing.assert_array_equal(made.mean, hierarchy.summing @ made.mean[hierarchy.is_bottom])


def test_crossed_groups_make_nodes_sorted_by_name() -> None:
    table = pa.table(
        {
            "unique_id": pa.array(["m", "b", "z"]).dictionary_encode(),
            "sector": ["Energy", "Tech", "Energy"],
            "country": ["US", "US", "DE"],
        }
    )
    hierarchy = Hierarchy.from_groups(table)
    assert hierarchy.names == (
        *("b", "country=DE", "country=US", "m"),
        *("sector=Energy", "sector=Tech", "total", "z"),
    )
    assert np.array(hierarchy.names)[hierarchy.is_bottom].tolist() == ["b", "m", "z"]
    assert hierarchy.summing.toarray().tolist() == [
        *([1, 0, 0], [0, 0, 1], [1, 1, 0], [0, 1, 0]),
        *([0, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 1]),
    ]


@given(order=st.permutations(range(12)))
@settings(max_examples=20, deadline=None)
def test_order_of_rows_does_not_matter(order: list[int]) -> None:
    table = pa.table({"unique_id": [f"s{row}" for row in range(12)], "g": [f"{row % 5}" for row in range(12)]})
    one, other = Hierarchy.from_groups(table), Hierarchy.from_groups(table.take(order))
    assert one.names == other.names
    np.testing.assert_array_equal(one.summing.toarray(), other.summing.toarray())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["a"]}, "expected a table with a column unique_id"),
        ({"unique_id": pa.array([], pa.string())}, "came 0 rows"),
        ({"unique_id": ["a", "b", "a"]}, "unique_id must name a bottom series once; came a: keep one row"),
        ({"unique_id": ["a", None]}, "came 1 null or empty of 2"),
        ({"unique_id": ["a", "b"], "g": ["x", ""]}, "column g, came 1 null or empty of 2"),
        ({"unique_id": ["a", "b"], "g": [1, 2]}, "expected text in column g, came int64: cast it"),
        ({"unique_id": ["a", "g=x"], "g": ["x", "x"]}, "names of their own; came g=x: rename"),
        ({"unique_id": ["a", "total"]}, "names of their own; came total"),
        ({"unique_id": ["a"], "g": ["x=y"], "g=x": ["y"]}, "names of their own; came g=x=y"),
    ],
)
def test_groups_that_make_no_hierarchy_are_refused(columns: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Hierarchy.from_groups(pa.table(columns))


def test_column_given_twice_is_refused() -> None:
    table = pa.table([pa.array(["a"]), pa.array(["x"]), pa.array(["y"])], names=["unique_id", "g", "g"])
    with pytest.raises(ValueError, match="came g: rename"):
        Hierarchy.from_groups(table)


@pytest.mark.parametrize(("bottom", "groups"), SHAPES)
def test_min_trace_is_the_textbook_projection(bottom: int, groups: tuple[int, ...]) -> None:
    hierarchy = grouped(bottom, groups)
    mean, quantiles, variance = forecasts(hierarchy, 4)
    projection = dense(hierarchy, variance)
    made = min_trace(hierarchy, mean, quantiles, variance)
    np.testing.assert_allclose(made.mean, projection @ mean, rtol=1e-10)
    ratio = np.sqrt(np.diag(projection @ np.diag(variance) @ projection.T) / variance)
    expected = (projection @ mean)[..., None] + ratio[:, None, None] * (quantiles - mean[..., None])
    np.testing.assert_allclose(made.quantiles, expected, rtol=1e-9)
    adds_up(hierarchy, made)
    assert set(made.reasons) == {""}


@pytest.mark.parametrize(("bottom", "groups"), SHAPES)
def test_variance_by_horizon_is_each_horizon_by_itself(bottom: int, groups: tuple[int, ...]) -> None:
    hierarchy = grouped(bottom, groups)
    mean, quantiles, _ = forecasts(hierarchy, 5)
    variance = np.random.default_rng(1).uniform(0.1, 9, mean.shape)
    variance[:, 3] = variance[:, 1]
    made = min_trace(hierarchy, mean, quantiles, variance)
    for h in range(5):
        alone = min_trace(hierarchy, mean[:, [h]], quantiles[:, [h]], variance[:, h])
        np.testing.assert_allclose(made.mean[:, [h]], alone.mean, rtol=1e-12)
        np.testing.assert_allclose(made.quantiles[:, [h]], alone.quantiles, rtol=1e-12)
    np.testing.assert_allclose(made.mean[:, 2], dense(hierarchy, variance[:, 2]) @ mean[:, 2], rtol=1e-10)


def test_spread_follows_the_residuals_when_they_are_given() -> None:
    hierarchy = grouped(12, (3, 4))
    mean, quantiles, variance = forecasts(hierarchy, 3)
    random = np.random.default_rng(5)
    residuals = random.normal(size=(len(mean), 4)) @ random.normal(size=(4, 200)) + random.normal(size=(len(mean), 200))
    made = min_trace(hierarchy, mean, quantiles, variance, residuals=residuals)
    projection = dense(hierarchy, variance)
    covariance = np.cov(residuals)
    ratio = np.sqrt(np.diag(projection @ covariance @ projection.T) / np.diag(covariance))
    expected = made.mean[..., None] + ratio[:, None, None] * (quantiles - mean[..., None])
    np.testing.assert_allclose(made.quantiles, expected, rtol=1e-9)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Hierarchy, Floats, Floats, Floats]:
    bottom = draw(st.integers(1, 8))
    groups = tuple(draw(st.lists(st.integers(1, 6), max_size=3)))
    seed = draw(st.integers(0, 2**16))
    hierarchy = grouped(bottom, groups, seed)
    mean, quantiles, _ = forecasts(hierarchy, draw(st.integers(1, 3)), seed)
    special = st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 50.0, 1e9, np.inf, np.nan])
    shape = draw(st.sampled_from([mean.shape, mean.shape[:1]]))
    size = math.prod(shape)
    variance = np.array(draw(st.lists(special, min_size=size, max_size=size))).reshape(shape)
    return hierarchy, mean, quantiles, variance


@given(case=cases(), non_negative=st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_is_reconciled_adds_up_and_quantiles_do_not_cross(
    case: tuple[Hierarchy, Floats, Floats, Floats], non_negative: bool
) -> None:
    hierarchy, mean, quantiles, variance = case
    for made in (
        bottom_up(hierarchy, mean, quantiles, non_negative=non_negative),
        min_trace(hierarchy, mean, quantiles, variance, non_negative=non_negative),
    ):
        adds_up(hierarchy, made)
        assert made.quantiles is not None
        assert np.isfinite(made.quantiles).all()
        assert (np.diff(made.quantiles, axis=2) >= 0).all()
        if non_negative:
            assert made.mean.min() >= 0
            assert made.quantiles.min() >= 0


@given(case=cases())
@settings(max_examples=100, deadline=None)
def test_forecasts_that_add_up_stay(case: tuple[Hierarchy, Floats, Floats, Floats]) -> None:
    hierarchy, mean, quantiles, variance = case
    coherent = hierarchy.summing @ mean[hierarchy.is_bottom]
    shifted = quantiles + (coherent - mean)[..., None]
    np.testing.assert_array_equal(bottom_up(hierarchy, coherent, shifted).mean, coherent)
    np.testing.assert_allclose(min_trace(hierarchy, coherent, shifted, variance).mean, coherent, rtol=1e-9, atol=1e-9)


@given(case=cases(), power=st.integers(-40, 40))
@settings(max_examples=60, deadline=None)
def test_scale_of_the_series_does_not_matter(case: tuple[Hierarchy, Floats, Floats, Floats], power: int) -> None:
    hierarchy, mean, quantiles, variance = case
    scale = 2.0**power
    for one, other in (
        (bottom_up(hierarchy, mean, quantiles), bottom_up(hierarchy, mean * scale, quantiles * scale)),
        (
            min_trace(hierarchy, mean, quantiles, variance),
            min_trace(hierarchy, mean * scale, quantiles * scale, variance * scale**2),
        ),
    ):
        np.testing.assert_array_equal(one.mean * scale, other.mean)
        assert one.quantiles is not None
        np.testing.assert_array_equal(one.quantiles * scale, other.quantiles)
        assert one.reasons == other.reasons


def test_node_without_forecast_has_no_say() -> None:
    hierarchy = grouped(12, (3, 4))
    mean, quantiles, variance = forecasts(hierarchy, 3)
    silent = hierarchy.names.index("g0=001")
    gone = mean.copy()
    gone[silent, 1] = np.nan
    made = min_trace(hierarchy, gone, quantiles, variance)
    without = variance.copy()
    without[silent] = 1e14
    np.testing.assert_allclose(made.mean[:, [0, 2]], (dense(hierarchy, variance) @ mean)[:, [0, 2]], rtol=1e-10)
    np.testing.assert_allclose(made.mean[:, 1], (dense(hierarchy, without) @ mean)[:, 1], rtol=1e-9)
    assert made.reasons[silent] == "NO_FORECAST"
    assert made.reasons.count("") == len(mean) - 1
    assert np.isfinite(made.quantiles).all()
    adds_up(hierarchy, made)


def test_node_without_quantiles_keeps_its_say() -> None:
    hierarchy = grouped(12, (3, 4))
    mean, quantiles, variance = forecasts(hierarchy, 3)
    total = hierarchy.names.index("total")
    whole = min_trace(hierarchy, mean, quantiles, variance)
    quantiles[total] = np.nan
    made = min_trace(hierarchy, mean, quantiles, variance)
    np.testing.assert_array_equal(made.mean, whole.mean)
    assert made.quantiles is not None
    assert whole.quantiles is not None
    others = np.arange(len(mean)) != total
    np.testing.assert_array_equal(made.quantiles[others], whole.quantiles[others])
    assert np.isfinite(made.quantiles).all()


def test_all_nodes_above_without_say_leave_the_bottom_alone() -> None:
    hierarchy = grouped(12, (3, 4))
    mean, quantiles, variance = forecasts(hierarchy, 3)
    mean[~hierarchy.is_bottom] = np.nan
    one, other = min_trace(hierarchy, mean, quantiles, variance), bottom_up(hierarchy, mean, quantiles)
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_allclose(one.quantiles, other.quantiles, rtol=1e-12)


@pytest.mark.parametrize("unknown", [np.inf, np.nan])
def test_unknown_variances_are_said_and_the_bottom_yields(unknown: float) -> None:
    hierarchy = Hierarchy.from_groups(pa.table({"unique_id": ["a", "b"], "g": ["x", "y"]}))
    a, b, total, group = (hierarchy.names.index(name) for name in ("a", "b", "total", "g=x"))
    mean = np.array([{a: 1.0, b: 2.0, total: 9.0}.get(row, 1.0) for row in range(5)])[:, None]
    quantiles = mean[..., None] + ndtri(LEVELS)
    variance = np.ones(5)
    variance[[b, group]] = unknown
    mean[hierarchy.names.index("g=y")] = np.nan
    made = min_trace(hierarchy, mean, quantiles, variance)
    np.testing.assert_allclose(made.mean[[a, b, total], 0], [1, 8, 9], atol=0.02)
    assert [made.reasons[row] for row in (a, b, group)] == ["", "VARIANCE_UNKNOWN", "VARIANCE_UNKNOWN"]
    assert made.quantiles is not None
    np.testing.assert_allclose(made.quantiles[b, 0] - made.mean[b, 0], ndtri(LEVELS), rtol=1e-9)


def test_perfect_past_is_floored_and_moves_least() -> None:
    hierarchy = Hierarchy.from_groups(pa.table({"unique_id": ["a", "b"]}))
    mean = np.array([[1.0], [2.0], [6.0]])
    made = min_trace(hierarchy, mean, None, np.array([0.0, 1.0, 1.0]))
    np.testing.assert_allclose(made.mean[:, 0], [1, 3.5, 4.5], atol=1e-9)
    assert made.reasons == ("VARIANCE_FLOORED", "", "")
    floored = min_trace(hierarchy, mean, None, np.array([FLOOR, 1.0, 1.0]))
    np.testing.assert_array_equal(made.mean, floored.mean)
    nothing_known = min_trace(hierarchy, mean, None, np.zeros(3))
    np.testing.assert_allclose(nothing_known.mean[:, 0], [2, 3, 5], rtol=1e-12)
    assert set(nothing_known.reasons) == {"VARIANCE_FLOORED"}


@pytest.mark.parametrize("unknown", [0.0, np.inf])
def test_extreme_variances_of_many_series_can_be_solved(unknown: float) -> None:
    ids = [f"s{row:04d}" for row in range(3000)]
    hierarchy = Hierarchy.from_groups(pa.table({"unique_id": ids, "same_as_total": ["x"] * 3000}))
    mean, quantiles, _ = forecasts(hierarchy, 2)
    variance = np.where(hierarchy.is_bottom, unknown, 0.0)
    variance[0] = 1.0
    made = min_trace(hierarchy, mean, quantiles, variance)
    assert np.isfinite(made.quantiles).all()
    again = min_trace(hierarchy, made.mean, None, variance)
    np.testing.assert_allclose(again.mean, made.mean, rtol=1e-12)
    if unknown:
        middle = mean[~hierarchy.is_bottom].mean(axis=0)
        np.testing.assert_allclose(made.mean[~hierarchy.is_bottom], [middle, middle], rtol=1e-8)


def test_zero_is_the_least_when_asked() -> None:
    hierarchy = Hierarchy.from_groups(pa.table({"unique_id": ["a", "b"]}))
    mean = np.array([[-2.0], [3.0], [0.0]])
    quantiles = mean[..., None] + ndtri(LEVELS)
    for made in (
        bottom_up(hierarchy, mean, quantiles, non_negative=True),
        min_trace(hierarchy, mean, quantiles, np.ones(3), non_negative=True),
    ):
        assert made.mean[0, 0] == 0
        assert made.mean[1, 0] == made.mean[2, 0] > 0
        assert made.quantiles is not None
        assert made.quantiles.min() == 0


def test_bottom_keeps_its_quantiles_and_a_sum_of_one_takes_them_over() -> None:
    hierarchy = Hierarchy.from_groups(pa.table({"unique_id": ["a", "b"], "g": ["x", "y"]}))
    mean, quantiles, _ = forecasts(hierarchy, 3)
    made = bottom_up(hierarchy, mean, quantiles)
    assert made.quantiles is not None
    is_bottom = hierarchy.is_bottom
    np.testing.assert_array_equal(made.quantiles[is_bottom], quantiles[is_bottom])
    for bottom, node in (("a", "g=x"), ("b", "g=y")):
        one, other = hierarchy.names.index(bottom), hierarchy.names.index(node)
        np.testing.assert_allclose(made.quantiles[other], quantiles[one], atol=0.002)


def normal_pair() -> tuple[Hierarchy, Floats, Floats]:
    hierarchy = Hierarchy.from_groups(pa.table({"unique_id": ["a", "b"]}))
    mean = np.array([[1.0], [2.0], [np.nan]])
    return hierarchy, mean, mean[..., None] + np.array([3.0, 4.0, np.nan])[:, None, None] * ndtri(LEVELS)


@pytest.mark.parametrize("correlation", [None, -0.9, 0.0, 0.5, 1.0])
def test_sum_of_normal_series_is_as_wide_as_their_correlation_says(correlation: float | None) -> None:
    hierarchy, mean, quantiles = normal_pair()
    residuals = None
    if correlation is not None:
        first, second = np.random.default_rng(3).normal(size=(2, 5000))
        other = correlation * first + np.sqrt(1 - correlation**2) * second
        residuals = np.stack([100 + first, other, np.full(5000, np.nan)])
    made = bottom_up(hierarchy, mean, quantiles, residuals=residuals)
    assert made.quantiles is not None
    width = np.sqrt(9 + 16 + 2 * 12 * (correlation or 0.0))
    middle = slice(2, -2)
    np.testing.assert_allclose(made.quantiles[2, 0, middle], 3 + width * ndtri(LEVELS)[middle], atol=0.08 * 5)


def test_columns_of_residuals_with_gaps_are_left_out() -> None:
    hierarchy, mean, quantiles = normal_pair()
    residuals = np.random.default_rng(3).normal(size=(3, 60))
    gaps = np.insert(residuals, [5, 30], np.array([[np.nan, 0.0, 1.0], [1.0, np.nan, 1.0]]).T, axis=1)
    one, other = (bottom_up(hierarchy, mean, quantiles, residuals=errors) for errors in (residuals, gaps))
    np.testing.assert_array_equal(one.quantiles, other.quantiles)
    with pytest.raises(ValueError, match=f"at least {MIN_RESIDUALS} columns.*came 19 of 19"):
        bottom_up(hierarchy, mean, quantiles, residuals=residuals[:, :19])


def test_paths_follow_from_the_seed() -> None:
    hierarchy, mean, quantiles = normal_pair()
    one, same, other = (bottom_up(hierarchy, mean, quantiles, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.quantiles, same.quantiles)
    assert not np.array_equal(one.quantiles, other.quantiles)


def test_horizons_do_not_depend_on_each_other() -> None:
    hierarchy = grouped(12, (3, 4))
    mean, quantiles, variance = forecasts(hierarchy, 4)
    calls: list[Callable[[Floats, Floats], Reconciled]] = [
        lambda mean, quantiles: bottom_up(hierarchy, mean, quantiles),
        lambda mean, quantiles: min_trace(hierarchy, mean, quantiles, variance),
    ]
    for call in calls:
        whole, part = call(mean, quantiles), call(mean[:, 1:3], quantiles[:, 1:3])
        np.testing.assert_allclose(whole.mean[:, 1:3], part.mean, rtol=1e-12)
        assert whole.quantiles is not None
        np.testing.assert_allclose(whole.quantiles[:, 1:3], part.quantiles, rtol=1e-12)


def wrong(change: str) -> dict[str, Floats | None]:
    """Arguments of the pair's reconciliation with one of them wrong."""
    mean, quantiles, variance = np.ones((3, 2)), np.tile(LEVELS, (3, 2, 1)), np.ones(3)
    arguments = {"mean": mean, "quantiles": quantiles, "residual_variance": variance}
    changes: dict[str, Callable[[], object]] = {
        "rows": lambda: arguments.update(mean=mean[:2]),
        "flat": lambda: arguments.update(mean=mean[:, 0]),
        "levels": lambda: arguments.update(quantiles=quantiles[..., :5]),
        "gap": lambda: mean.__setitem__((1, 0), np.nan),
        "quantile gap": lambda: quantiles.__setitem__((1, 0, 3), np.nan),
        "infinite": lambda: mean.__setitem__((2, 1), np.inf),
        "crossing": lambda: quantiles.__setitem__((0, 1), LEVELS[::-1]),
        "variance": lambda: arguments.update(residual_variance=np.ones((3, 5))),
        "negative": lambda: variance.__setitem__(2, -1.0),
        "residuals": lambda: arguments.update(residuals=np.ones((2, 50))),
    }
    changes[change]()
    return dict(arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("rows", r"mean must have shape \(3, H\).*came \(2, 2\)"),
        ("flat", r"mean must have shape \(3, H\).*came \(3,\)"),
        ("levels", r"quantiles must have shape \(3, 2, 23\).*came \(3, 2, 5\)"),
        ("gap", "every bottom series needs a forecast; came b: forecast these"),
        ("quantile gap", "every bottom series needs a forecast; came b"),
        ("infinite", "forecasts must be finite.*came total"),
        ("crossing", "quantiles must not fall along the levels; came a"),
        ("variance", r"residual_variance must have shape \(3,\) or \(3, 2\).*came \(3, 5\)"),
        ("negative", "variances must not be negative; came total"),
        ("residuals", r"residuals must have shape \(3, T\).*came \(2, 50\)"),
    ],
)
def test_what_does_not_fit_is_refused(change: str, message: str) -> None:
    hierarchy = Hierarchy.from_groups(pa.table({"unique_id": ["a", "b"]}))
    arguments = wrong(change)
    with pytest.raises(ValueError, match=message):
        min_trace(hierarchy, **arguments)
    if change not in ("variance", "negative"):
        arguments.pop("residual_variance")
        with pytest.raises(ValueError, match=message):
            bottom_up(hierarchy, **arguments)


def test_names_of_many_series_are_counted_not_listed() -> None:
    hierarchy = grouped(12, (3,))
    with pytest.raises(ValueError, match="came s0000, s0001, s0002, s0003, s0004 and 7 more"):
        bottom_up(hierarchy, np.full((len(hierarchy.names), 2), np.nan))


@pytest.mark.parametrize("levels", [[0.5], [0.5, 0.5], [0.0, 0.5], [0.5, 1.0], [0.9, 0.1]])
def test_levels_that_are_no_levels_are_refused(levels: list[float]) -> None:
    hierarchy = Hierarchy.from_groups(pa.table({"unique_id": ["a", "b"]}))
    with pytest.raises(ValueError, match="levels must be two or more"):
        bottom_up(hierarchy, np.ones((3, 1)), np.ones((3, 1, len(levels))), levels=np.array(levels))


@pytest.mark.parametrize(("bottom", "groups"), [(1700, (12, 40, 247)), (800, (400, 500, 600))])
def test_two_thousand_nodes_are_quick(bottom: int, groups: tuple[int, ...]) -> None:
    hierarchy = grouped(bottom, groups)
    assert 1900 <= len(hierarchy.names) <= 2100
    mean, quantiles, variance = forecasts(hierarchy, 12)
    begin = time.process_time()
    made = min_trace(hierarchy, mean, quantiles, variance)
    bottom_up(hierarchy, mean, quantiles)
    assert time.process_time() - begin < 30, "a sparse solution takes about two seconds"
    np.testing.assert_allclose(made.mean, dense(hierarchy, variance) @ mean, rtol=1e-8, atol=1e-8)


def simulated(seed: int) -> tuple[Hierarchy, Floats, Floats, Floats]:
    """Truth and forecasts at 400 times, errors with a common part; sums are forecast better than their series are."""
    hierarchy = grouped(40, (4, 8), seed=1)
    random = np.random.default_rng(seed)
    bottom = hierarchy.is_bottom
    truth = hierarchy.summing @ random.normal(10, 2, (40, 400))
    noise = random.normal(0, 1, (len(truth), 400)) * np.where(bottom, 2.0, 1.5)[:, None]
    common = hierarchy.summing @ (0.4 * random.normal(size=400) * np.ones((40, 1)))
    return hierarchy, truth, truth + noise + common, noise + common


def test_min_trace_is_more_accurate_than_base_and_bottom_up() -> None:
    hierarchy, truth, base, _ = simulated(1)
    variance = ((base - truth)[:, :200] ** 2).mean(axis=1)
    new = slice(200, None)
    made = min_trace(hierarchy, base[:, new], None, variance).mean
    added = bottom_up(hierarchy, base[:, new]).mean

    def error(forecast: Floats) -> Floats:
        return np.asarray(np.sqrt(((forecast - truth[:, new]) ** 2).mean(axis=1)))

    above = ~hierarchy.is_bottom
    assert error(made).mean() < 0.95 * error(base[:, new]).mean()
    assert error(made)[above].mean() < 0.95 * error(added)[above].mean()


def coverage(quantiles: Floats, truth: Floats, rows: Floats) -> float:
    inside = (quantiles[..., 3] <= truth) & (truth <= quantiles[..., -4])
    return float(inside[rows].mean())


def test_intervals_cover_when_the_residuals_are_given() -> None:
    hierarchy, truth, base, errors = simulated(2)
    past, new = slice(0, 200), slice(200, None, 2)
    quantiles = base[:, new, None] + np.quantile(errors[:, past], LEVELS, axis=1).T[:, None]
    variance = (errors[:, past] ** 2).mean(axis=1)

    def coverage(made: Reconciled) -> float:
        assert made.quantiles is not None
        inside = (made.quantiles[..., 3] <= truth[:, new]) & (truth[:, new] <= made.quantiles[..., -4])
        return float(inside[~hierarchy.is_bottom].mean())

    for residuals, low, high in ((errors[:, past], 0.75, 0.85), (None, 0.5, 0.75)):
        moved = min_trace(hierarchy, base[:, new], quantiles, variance, residuals=residuals)
        added = bottom_up(hierarchy, base[:, new], quantiles, residuals=residuals)
        assert low < coverage(moved) < high, "errors in common widen a sum, and only residuals tell"
        assert low < coverage(added) < high
