"""The walk: what it says at an origin is what a walk that ends there says, and what the books say of each member."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting.pool import PARTS, Batch, listen
from pulse_assets.forecasting.walk_state import (
    COUNT,
    FAST,
    FORGET,
    FORGET_SPREAD,
    MEMBERS,
    MIDDLE,
    NAIVE,
    PHASE,
    REFERENCE,
    SHORTEST,
    SIGHTED,
    SLOW,
    Spec,
    State,
    anchors_of,
    new_state,
    spec,
)
from tests.assets.forecasting import plain_walk as plain

Make = Callable[[np.random.Generator, int], np.ndarray]
SHAPES: dict[str, Make] = {
    "positive": lambda rng, n: np.exp(rng.normal(0, 0.3, n) + np.sin(np.arange(n) * np.pi / 2)),
    "negative": lambda rng, n: -20 + rng.normal(size=n).cumsum(),
    "turns_negative": lambda rng, n: np.where(np.arange(n) < n // 2, 5 + rng.random(n), rng.normal(size=n)),
    "intermittent": lambda rng, n: np.where(rng.random(n) < 0.6, 0.0, rng.integers(1, 9, n) + rng.random(n)),
    "line": lambda rng, n: 10 + 0.7 * np.arange(n) + rng.normal(0, 0.2, n),
    "large": lambda rng, n: 1e8 + 1e6 * rng.normal(size=n).cumsum(),
}
SIZES = {
    "plain": spec(1, 0, 3),
    "season": spec(4, 0, 8),
    "two_seasons": spec(3, 7, 5),
    "long": spec(5, 0, 20),
}
each_shape = pytest.mark.parametrize("shape", SHAPES)
each_size = pytest.mark.parametrize("size", SIZES)


@dataclass
class Said:
    """What the walk filled at P origins."""

    made: np.ndarray
    loss: np.ndarray
    spread: np.ndarray
    statistics: np.ndarray
    phases: np.ndarray

    def at(self, rows: slice) -> list[bytes]:
        """All bits of some origins."""
        return [getattr(self, name)[rows].tobytes() for name in PARTS]


def walked(
    series: list[np.ndarray],
    origins: list[list[int]],
    sizes: Spec,
    may_log: bool = True,
    state: State | None = None,
) -> Said:
    """Walk over some series; their values are those that the state has not seen."""
    batch = Batch(
        np.concatenate(series),
        np.cumsum([0, *map(len, series)]),
        np.full(len(series), may_log),
        np.zeros(len(series), np.int64),
        sizes,
        relative=True,
    )
    wanted = np.array([origin for some in origins for origin in some], np.int64)
    spoken = listen(batch, np.cumsum([0, *map(len, origins)]), wanted, state)
    return Said(*(getattr(spoken, name) for name in PARTS))


def series(shape: str, n: int = 60) -> np.ndarray:
    return SHAPES[shape](np.random.default_rng(sum(map(ord, shape))), n)


def members_at(said: Said, row: int) -> dict[str, np.ndarray]:
    """Members that said something there."""
    columns = [member for member in range(COUNT) if np.isfinite(said.made[row, :, member]).any()]
    return {MEMBERS[member]: said.made[row, :, member] for member in columns}


@each_shape
@each_size
def test_every_member_says_what_the_books_say(shape: str, size: str) -> None:
    sizes, y = SIZES[size], series(shape, 45)
    origins = [1, 2, 3, 4, 7, 8, 10, 13, 16, 22, 31, 45]
    said = walked([y], [origins], sizes)
    for row, n in enumerate(origins):
        expected = plain.plain_members(y[:n], sizes.season, sizes.season_2, sizes.horizon, sizes.order)
        found = members_at(said, row)
        assert set(found) == set(expected), n
        for name, choices in expected.items():
            near = [np.allclose(found[name], ahead, rtol=1e-7, atol=1e-7 * np.abs(y).max()) for ahead in choices]
            assert any(near), f"{name} at {n}: {found[name]} is none of {choices}"


@each_shape
@each_size
def test_what_is_said_at_an_origin_is_what_a_walk_that_ends_there_says(shape: str, size: str) -> None:
    sizes, y = SIZES[size], series(shape)
    whole = walked([y], [list(range(1, len(y) + 1))], sizes)
    for n in range(1, len(y) + 1):
        assert walked([y[:n]], [[n]], sizes).at(slice(0, 1)) == whole.at(slice(n - 1, n)), n


@given(
    st.lists(st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, 5.0])), min_size=2, max_size=50),
    st.sampled_from(sorted(SIZES)),
    st.booleans(),
    st.data(),
)
@settings(max_examples=60)
def test_a_walk_that_pauses_anywhere_goes_on_as_if_it_had_not(
    values: list[float], size: str, may_log: bool, data: st.DataObject
) -> None:
    sizes, y, n = SIZES[size], np.array(values), len(values)
    whole = walked([y], [list(range(1, n + 1))], sizes, may_log)
    cuts = sorted(data.draw(st.sets(st.integers(1, n - 1), max_size=4)) | {0, n})
    state = new_state(1, sizes)
    for low, high in pairwise(cuts):
        part = walked([y[low:high]], [list(range(low + 1, high + 1))], sizes, may_log, state)
        assert part.at(slice(None)) == whole.at(slice(low, high))


def test_pausing_without_asking_anything_changes_nothing_either() -> None:
    sizes, y = SIZES["season"], series("positive")
    state = new_state(1, sizes)
    walked([y[:33]], [[33]], sizes, state=state)
    again = walked([y[33:33]], [[33]], sizes, state=state)
    assert again.at(slice(None)) == walked([y], [[33]], sizes).at(slice(None))
    assert walked([y[33:]], [[60]], sizes, state=state).at(slice(None)) == walked([y], [[60]], sizes).at(slice(None))


@each_size
def test_series_do_not_hear_each_other(size: str) -> None:
    sizes, many = SIZES[size], [series(shape, 40 + 3 * k) for k, shape in enumerate(SHAPES)]
    origins = [[5, 11, 30, len(y)] for y in many]
    together = walked(many, origins, sizes)
    for k, y in enumerate(many):
        assert walked([y], [origins[k]], sizes).at(slice(None)) == together.at(slice(4 * k, 4 * k + 4))


@each_shape
@each_size
def test_losses_are_those_of_forecasts_really_made(shape: str, size: str) -> None:
    """Discounted by each later loss of the same member, recomputed from what was said at the origins that count."""
    sizes, y = SIZES[size], series(shape)
    origins = list(range(1, len(y) + 1))
    said = walked([y], [origins], sizes)
    judged = [n for n in origins if n % sizes.stride == 0 and n > SHORTEST]
    place = {n: n // sizes.stride % sizes.pending for n in judged}
    anchors = anchors_of(sizes.horizon)
    loss, weight = np.zeros(COUNT), np.zeros(COUNT)
    spread, spread_weight = np.zeros(len(anchors)), np.zeros(len(anchors))
    for n in origins:
        t = n - 1
        settled = [(place[o], o, t - o) for o in judged if o <= t and t - o in anchors]
        for _, origin, h in sorted(settled):
            error = np.abs(y[t] - said.made[origin - 1, h, :COUNT])
            spoke = ~np.isnan(error)
            loss[spoke] = loss[spoke] * FORGET + error[spoke]
            weight[spoke] = weight[spoke] * FORGET + 1
            i = anchors.tolist().index(h)
            spread[i] = spread[i] * FORGET_SPREAD + abs(y[t] - said.made[origin - 1, h, REFERENCE])
            spread_weight[i] = spread_weight[i] * FORGET_SPREAD + 1
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(said.loss[n - 1, :COUNT], loss / weight)
            np.testing.assert_array_equal(said.spread[n - 1], spread / spread_weight)


@each_shape
def test_the_reference_is_the_mean_of_members_by_inverse_cubed_loss(shape: str) -> None:
    sizes, y = SIZES["season"], series(shape)
    origins = list(range(1, len(y) + 1))
    said = walked([y], [origins], sizes)
    judged = sum(n % sizes.stride == 0 and n > SHORTEST for n in origins)
    assert judged > 10
    for row, n in enumerate(origins):
        loss = said.loss[row, :COUNT]
        spoke = np.isfinite(said.made[row, 0, :COUNT]) & np.isfinite(loss)
        late = n > SHORTEST + 4 * sizes.stride  # by then every member that spoke at all has two losses
        if not spoke.any():
            np.testing.assert_array_equal(said.made[row, :, REFERENCE], said.made[row, :, NAIVE])
        elif late and len(np.unique(np.isfinite(said.made[row - 9 : row, 0, :COUNT]), axis=0)) == 1:
            weights = (loss[spoke].min() / loss[spoke]) ** 3
            mean = said.made[row, :, :COUNT][:, spoke] @ weights / weights.sum()
            np.testing.assert_allclose(said.made[row, :, REFERENCE], mean, rtol=1e-9)


def plain_one_step(y: np.ndarray, n: int, m: int) -> Callable[[np.ndarray], float]:
    """Return the filter that had lost least a step by n observations, as a function of a past."""
    past = y[:n]
    filters = [
        (lambda z, a=a, s=s: plain.level_filter(z, a, s, 1))
        for s in plain.bank.DRIFT_SHARE
        for a in plain.bank.LEVEL_GAIN
    ]
    grid = zip(plain.bank.TREND_GAIN, plain.bank.TREND_SLOPE_GAIN, plain.bank.TREND_DAMPING, strict=True)
    filters += [lambda z, f=f: plain.damped_trend(z, *f, 1) for f in grid]
    losses = [f(past).loss(past) / (n - 3) for f in filters]
    if m > 1 and n >= 3 * m:
        holts = zip(
            plain.bank.HOLT_GAIN,
            plain.bank.HOLT_SLOPE_GAIN,
            plain.bank.HOLT_SEASON,
            plain.bank.HOLT_DAMPING,
            strict=True,
        )
        seasonal = [lambda z, f=f: plain.holt_winters(z, m, *f, 1) for f in holts]
        losses += [f(past).loss(past) / (n - 2 * m) for f in seasonal]
        filters += seasonal
    best = filters[int(np.argmin(losses))]
    return lambda z: float(best(z).ahead[0])


@pytest.mark.parametrize("shape", ["positive", "line", "negative"])
@pytest.mark.parametrize("m", [1, 4])
def test_pace_is_the_mean_one_step_error_of_the_filter_that_lost_least_and_phase_that_at_each_place(
    shape: str, m: int
) -> None:
    sizes, y = spec(m, 0, 12), series(shape, 40)
    said = walked([y], [list(range(1, 41))], sizes)
    one_step: Callable[[np.ndarray], float] = lambda z: float(plain.level_filter(z, 0.02, 0.0, 1).ahead[0])  # noqa: E731
    pace, errors = np.zeros(3), np.full(len(y), np.nan)
    for t in range(SHORTEST, len(y)):
        errors[t] = error = abs(y[t] - one_step(y[:t]))
        pace += np.maximum([FAST, MIDDLE, SLOW], 1 / (t - 3)) * (error - pace)
        np.testing.assert_allclose(said.statistics[t, :3], pace, rtol=1e-8)
        if (t + 1) % sizes.stride == 0 and t + 1 > SHORTEST:
            one_step = plain_one_step(y, t + 1, m)
        for h in range(sizes.horizon):
            expected = place_error(errors[(t + 1 + h) % m : t + 1 : m]) / pace[2] if m > 1 and t + 1 >= 2 * m else 1.0
            assert said.phases[t, h] == pytest.approx(expected, rel=1e-7), (t, h)


def place_error(errors: np.ndarray) -> float:
    """Mean error at one place in the season; of the first ten seasons the plain one."""
    mean = 0.0
    for count, error in enumerate(errors[~np.isnan(errors)], start=1):
        mean += max(PHASE, 1 / count) * (error - mean)
    return mean


@each_shape
@each_size
def test_statistics_are_the_count_the_range_and_the_mean_seasonal_difference(shape: str, size: str) -> None:
    sizes, y = SIZES[size], series(shape)
    said = walked([y], [list(range(1, len(y) + 1))], sizes)
    for n in range(1, len(y) + 1):
        _, _, _, scale, count, lowest, highest = said.statistics[n - 1]
        assert (count, lowest, highest) == (n, y[:n].min(), y[:n].max())
        m = max(sizes.season, 1)
        if n > m:
            assert scale == pytest.approx(np.abs(y[m:n] - y[: n - m]).mean())
        else:
            assert np.isnan(scale)


def test_before_four_values_only_the_naive_members_speak() -> None:
    said = walked([series("positive")], [[1, 2, 3, 4]], spec(2, 0, 3))
    assert [set(members_at(said, row)) for row in (0, 1)] == [{"naive", "drift"}, {"naive", "drift", "seasonal_naive"}]
    assert set(members_at(said, 2)) == {"naive", "drift", "seasonal_naive"}
    assert {"level", "theta", "level_drift", "trend", "log_level"} <= set(members_at(said, 3))
    assert np.isnan(said.loss).all()
    assert np.isnan(said.spread).all()


def test_a_member_speaks_of_all_steps_or_of_none_and_then_has_no_new_loss() -> None:
    for shape in SHAPES:
        for sizes in SIZES.values():
            said = walked([series(shape)], [list(range(1, 61))], sizes)
            silent = np.isnan(said.made[:, :, : COUNT + 1])
            assert (silent.all(axis=1) == silent.any(axis=1)).all()
            assert not silent[:, 0, [NAIVE, REFERENCE]].any()


def test_columns_behind_the_reference_are_left_alone() -> None:
    said = walked([series("line")], [[20, 60]], SIZES["season"])
    assert np.isnan(said.made[:, :, COUNT + 1 :]).all()
    assert np.isnan(said.loss[:, COUNT:]).all()


def test_logarithms_are_used_only_while_all_values_are_positive_and_only_where_they_may() -> None:
    y = series("positive", 40)
    y[25] = -1.0
    said = walked([y], [[20, 25, 26, 40]], SIZES["season"])
    logs = [{name for name in members_at(said, row) if name.startswith("log_")} for row in range(4)]
    assert logs[0] == logs[1] != set()
    assert logs[2] == logs[3] == set()
    forbidden = walked([y], [[20]], SIZES["season"], may_log=False)
    assert not any(name.startswith("log_") for name in members_at(forbidden, 0))


def test_autoregressions_that_began_on_logarithms_fall_silent_with_them() -> None:
    y = series("positive", 40)
    y[25] = 0.0
    late = [set(members_at(walked([y], [[n]], SIZES["season"]), 0)) for n in (25, 26)]
    assert {"ar_values", "ar_differences", "ar_seasonal"} <= late[0]
    assert not {"ar_values", "ar_differences", "ar_seasonal"} & late[1]
    y[SIGHTED - 1] = -1.0  # early enough to be settled: they see values, and go on
    assert "ar_values" in members_at(walked([y], [[40]], SIZES["season"]), 0)


def test_demand_speaks_where_a_tenth_of_the_values_are_zero() -> None:
    y = 1 + np.random.default_rng(0).random(40)
    y[[3, 11]] = 0
    said = walked([y], [[20, 21, 40]], SIZES["plain"])
    assert ["demand" in members_at(said, row) for row in range(3)] == [True, False, False]


@each_size
@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 0.1, 1e9])
def test_a_constant_is_forecast_as_itself_without_loss_or_spread(size: str, value: float) -> None:
    said = walked([np.full(60, value)], [[4, 10, 60]], SIZES[size])
    for row in range(3):
        for name, ahead in members_at(said, row).items():
            np.testing.assert_allclose(ahead, value, rtol=1e-12, err_msg=name)
    assert np.nanmax(said.loss) <= 1e-12 * max(abs(value), 1e-300)
    assert np.nanmax(said.spread) <= 1e-12 * max(abs(value), 1e-300)
    assert set(said.statistics[:, 3]) <= {0.0, np.nan} or said.statistics[-1, 3] == 0.0


@given(
    st.lists(st.floats(-1e90, 1e90), min_size=1, max_size=40),
    st.sampled_from(sorted(SIZES)),
)
@settings(max_examples=60)
def test_any_finite_series_gives_finite_forecasts_of_whoever_speaks_and_losses_that_are_not_negative(
    values: list[float], size: str
) -> None:
    said = walked([np.array(values)], [list(range(1, len(values) + 1))], SIZES[size])
    assert not np.isinf(said.made).any()
    assert not np.isinf(said.loss).any()
    assert not (said.loss < 0).any()
    assert np.isfinite(said.made[:, :, REFERENCE]).all()


@pytest.mark.parametrize("horizon", [1, 2, 5, 6, 7, 18, 48])
@pytest.mark.parametrize("season", [1, 4, 12, 24])
def test_origins_that_judge_see_every_place_in_the_season(horizon: int, season: int) -> None:
    sizes = spec(season, 0, horizon)
    assert {n * sizes.stride % season for n in range(season)} == set(range(season))
    assert sizes.ring & (sizes.ring - 1) == 0
    assert sizes.pending * sizes.stride >= horizon


@pytest.mark.parametrize("horizon", range(1, 50))
def test_anchors_rise_from_the_first_step_to_the_last(horizon: int) -> None:
    anchors = anchors_of(horizon)
    assert anchors[0] == 0
    assert anchors[-1] == horizon - 1
    assert (np.diff(anchors) > 0).all()
    assert len(anchors) == spec(1, 0, horizon).anchors <= 6
