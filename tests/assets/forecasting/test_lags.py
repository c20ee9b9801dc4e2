"""The ridge on lags against a plain one, and its promises: folds, what was known by then, silence where it must."""

from dataclasses import dataclass

import numpy as np
import pytest

from pulse_assets.forecasting import lags as fast
from pulse_assets.forecasting.lag_forecasts import JUDGED, apply_lags
from pulse_assets.forecasting.lags import ALL, LARGEST, STRENGTHS, LagMap, fit_lags, lags_of
from pulse_assets.forecasting.walk_state import FORGET, anchors_of

LAGS, HORIZON, SEASON, STRIDE = 6, 4, 3, 2


@dataclass
class Panel:
    """Some series and what fitting needs to know of them."""

    series: list[np.ndarray]
    may_log: np.ndarray
    fold: np.ndarray

    @property
    def offsets(self) -> np.ndarray:
        """Where each series begins."""
        return np.cumsum([0, *map(len, self.series)])

    @property
    def counts(self) -> np.ndarray:
        """Observations of each series."""
        return np.array([len(y) for y in self.series])

    def fit(self, counts: np.ndarray | None = None, lags: int = LAGS) -> LagMap | None:
        """Fit the map on the first observations of each series, by default all."""
        known = self.counts if counts is None else counts
        arrays = (np.concatenate(self.series), self.offsets, self.may_log, self.fold, known)
        return fit_lags(*arrays, SEASON, lags, HORIZON)


def panel(series: int = 6, length: int = 70, seed: int = 0) -> Panel:
    rng = np.random.default_rng(seed)
    made = []
    for s in range(series):
        y = np.sin(np.arange(length + 3 * s) * 2 * np.pi / SEASON) + rng.normal(0, 0.4, length + 3 * s).cumsum()
        made.append(np.exp(0.1 * y) if s % 3 == 0 else 1e3 * y if s % 3 == 1 else y - 100)
    return Panel(made, np.arange(series) % 3 != 1, np.arange(series) % 2)


def scaled(y: np.ndarray, end: int, may_log: bool, upto: int) -> tuple[np.ndarray, float, bool]:
    """Return the values as the map sees them, and their mean seasonal difference at an origin."""
    is_log = bool(may_log and (y[:upto] > 0).all())
    z = np.log(y[:upto]) if is_log else y[:upto]
    return z, float(np.abs(z[SEASON:end] - z[: end - SEASON]).mean()), is_log


def inputs_at(z: np.ndarray, end: int, scale: float, lags: int = LAGS) -> np.ndarray:
    return np.append(np.clip((z[end - lags : end - 1] - z[end - 1]) / scale, -LARGEST, LARGEST), 1.0)


def windows(panel: Panel, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs, outputs and owners of evenly spread windows that end by ``counts``, newest first."""
    most = int(np.clip(fast.WINDOWS // len(counts), 2, fast.WINDOWS_A_SERIES))
    x, y, owner = [], [], []
    for s, values in enumerate(panel.series):
        newest, room = counts[s] - HORIZON, counts[s] - LAGS - HORIZON
        pieces = min(most, room)
        for end in sorted({newest - (room - 1) * i // max(pieces - 1, 1) for i in range(pieces)}, reverse=True):
            z, scale, _ = scaled(values, end, panel.may_log[s], counts[s])
            x.append(inputs_at(z, end, scale))
            y.append(np.clip((z[end : end + HORIZON] - z[end - 1]) / scale, -LARGEST, LARGEST))
            owner.append(s)
    return np.array(x), np.array(y), np.array(owner)


def ridge(x: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
    square = x.T @ x
    return np.linalg.solve(square + strength * np.trace(square) / len(square) * np.eye(len(square)), x.T @ y)


def plain_fit(panel: Panel, counts: np.ndarray) -> tuple[np.ndarray, float]:
    x, y, owner = windows(panel, counts)
    own = panel.fold[owner]
    losses = [
        sum(np.abs(x[own == f] @ ridge(x[own != f], y[own != f], k) - y[own == f]).sum() for f in range(2))
        for k in STRENGTHS
    ]
    best = STRENGTHS[int(np.argmin(losses))]
    return np.stack([*(ridge(x[own != f], y[own != f], best) for f in range(2)), ridge(x, y, best)]), best


@pytest.mark.parametrize("seed", range(3))
def test_the_map_is_the_ridge_that_the_other_fold_likes_best(seed: int) -> None:
    some = panel(seed=seed)
    counts = some.counts - np.array([0, 5, 11, 2, 40, 0])
    found = some.fit(counts)
    coefficients, strength = plain_fit(some, counts)
    assert found is not None
    assert found.strength == strength
    np.testing.assert_allclose(found.coefficients, coefficients, rtol=1e-8, atol=1e-10)
    assert found.windows == len(windows(some, counts)[0])


def test_what_comes_after_the_counts_does_not_change_the_map() -> None:
    some = panel()
    counts = some.counts - 9
    other = Panel([np.append(y[:-9], -1e6 * np.ones(9)) for y in some.series], some.may_log, some.fold)
    ours, theirs = some.fit(counts), other.fit(counts)
    assert ours is not None
    assert theirs is not None
    np.testing.assert_array_equal(ours.coefficients, theirs.coefficients)


def test_a_fold_s_map_never_saw_the_series_of_the_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the penalty, one of five, is chosen by all."""
    monkeypatch.setattr(fast, "STRENGTHS", (1e-2,))
    some = panel()
    other = Panel([y if s % 2 else y[::-1].copy() for s, y in enumerate(some.series)], some.may_log, some.fold)
    ours, theirs = some.fit(), other.fit()
    assert ours is not None
    assert theirs is not None
    np.testing.assert_array_equal(ours.coefficients[0], theirs.coefficients[0])
    assert (ours.coefficients[1:] != theirs.coefficients[1:]).any(axis=(1, 2)).all()


@pytest.mark.parametrize("unit", [2.0**-30, 2.0**30])
def test_the_unit_of_a_series_changes_nothing(unit: float) -> None:
    some = panel()
    some.may_log[:] = False
    other = Panel([y * unit if s == 1 else y for s, y in enumerate(some.series)], some.may_log, some.fold)
    ours, theirs = some.fit(), other.fit()
    assert ours is not None
    assert theirs is not None
    np.testing.assert_array_equal(ours.coefficients, theirs.coefficients)


def test_too_few_windows_make_no_map() -> None:
    assert panel(2, LAGS + HORIZON + 10).fit() is None
    assert panel(2, LAGS + HORIZON).fit() is None
    assert panel(6, 70).fit(np.zeros(6, np.int64)) is None
    assert panel(6, 70).fit(lags=60) is None


def test_series_of_one_fold_alone_make_no_map() -> None:
    some = panel()
    some.fold[:] = 1
    assert some.fit() is None


def test_series_that_do_not_move_make_no_map() -> None:
    still = Panel([np.full(70, 3.0)] * 6, np.full(6, True), np.arange(6) % 2)
    assert still.fit() is None


def test_few_series_that_move_among_many_that_do_not_still_teach() -> None:
    some = panel()
    both = Panel([*some.series, *[np.full(70, 3.0)] * 4], np.append(some.may_log, [True] * 4), np.arange(10) % 2)
    found, alone = both.fit(), some.fit()
    assert found is not None
    assert alone is not None
    assert found.windows == alone.windows


def applied(
    some: Panel, origins: list[list[int]], judged_until: np.ndarray, coefficients: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return forecasts ``(P, H)`` and losses ``(P,)``."""
    count, series = sum(map(len, origins)), len(some.series)
    made, loss = np.full((count, HORIZON, 3), -7.0), np.full((count, 3), -7.0)
    apply_lags(
        np.concatenate(some.series),
        some.offsets,
        some.may_log,
        some.fold,
        np.cumsum([0, *map(len, origins)]),
        np.array([origin for row in origins for origin in row], np.int64),
        judged_until,
        np.zeros(series, np.int64),
        np.zeros((series, 2)),
        coefficients,
        SEASON,
        STRIDE,
        anchors_of(HORIZON),
        1,
        made,
        loss,
    )
    assert (made[:, :, [0, 2]] == -7).all(), "another member was touched"
    return made[:, :, 1], loss[:, 1]


def plain_forecast(y: np.ndarray, n: int, is_log: bool, coefficients: np.ndarray) -> np.ndarray | None:
    z = np.log(y[:n]) if is_log else y[:n]
    scale = float(np.abs(z[SEASON:] - z[:-SEASON]).mean()) if n > SEASON else 0.0
    if n < LAGS + 1 or not scale > 0:
        return None
    ahead = z[-1] + scale * (inputs_at(z, n, scale) @ coefficients)
    return np.exp(ahead) if is_log else ahead


def plain_loss(y: np.ndarray, n: int, is_log: bool, coefficients: np.ndarray) -> float:
    """Mean error of the newest past origins, older ones weighing less with each later error."""
    errors: list[float] = []
    end = (n - 1) // STRIDE * STRIDE
    for _ in range(JUDGED):
        ahead = plain_forecast(y, end, is_log, coefficients)
        if ahead is None:
            break
        errors += [abs(ahead[h] - y[end + h]) for h in anchors_of(HORIZON) if end + h < n]
        end -= STRIDE
    weights = FORGET ** np.arange(len(errors))
    return float(weights @ errors / weights.sum()) if errors else np.nan


def test_forecasts_and_losses_are_those_of_a_plain_loop() -> None:
    some = panel()
    some.series[3][45:] -= 10  # logarithms end here
    found = some.fit()
    assert found is not None
    origins = [[1, 3, LAGS, LAGS + 1, LAGS + 2, 9, 14, 30, 44, 45, 46, 60, len(y)] for y in some.series]
    until = np.array([20, 45, 0, 45, 100, 30])
    made, loss = applied(some, origins, until, found.coefficients)
    p = 0
    for s, y in enumerate(some.series):
        for n in origins[s]:
            is_log = bool(some.may_log[s] and (y[:n] > 0).all())
            ahead = plain_forecast(y, n, is_log, found.coefficients[some.fold[s] if n <= until[s] else ALL])
            if ahead is None:
                assert np.isnan(made[p]).all()
                assert np.isnan(loss[p])
            else:
                np.testing.assert_allclose(made[p], ahead, rtol=1e-8, atol=1e-10)
                expected = plain_loss(y, n, is_log, found.coefficients[some.fold[s]])
                np.testing.assert_allclose(loss[p], expected, rtol=1e-8)
            p += 1


def test_an_origin_hears_neither_what_comes_later_nor_the_other_origins() -> None:
    some = panel()
    found = some.fit()
    assert found is not None
    every = [list(range(1, len(y) + 1)) for y in some.series]
    until = np.full(6, 40)
    whole, losses = applied(some, every, until, found.coefficients)
    for n in (7, 8, 23, 40, 41, 57):
        cut = Panel([y[:n] for y in some.series], some.may_log, some.fold)
        made, loss = applied(cut, [[n]] * 6, until, found.coefficients)
        rows = some.offsets[:-1] + n - 1
        assert made.tobytes() == whole[rows].tobytes()
        assert loss.tobytes() == losses[rows].tobytes()


def test_a_series_without_origins_is_passed_over() -> None:
    some = panel()
    found = some.fit()
    assert found is not None
    made, _ = applied(some, [[50], [], [], [50], [], []], np.zeros(6, np.int64), found.coefficients)
    assert made.shape == (2, HORIZON)
    assert np.isfinite(made).all()


@pytest.mark.parametrize(
    ("seasons", "expected"), [((1, 0), 8), ((12, 0), 37), ((24, 168), 504), ((10, 0), 31), ((400, 0), 504)]
)
def test_lags_reach_back_three_seasons_where_that_is_not_too_many(seasons: tuple[int, int], expected: int) -> None:
    assert lags_of(*seasons) == expected
