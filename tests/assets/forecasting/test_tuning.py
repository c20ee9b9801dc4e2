"""Tuning: its slope is the slope of its loss, it goes down, and without evidence it stays where it was."""

from dataclasses import replace

import numpy as np
import pytest

from pulse_assets.forecasting.gate import INPUTS, plain_gate, weigh
from pulse_assets.forecasting.tuning import (
    LARGEST_LOSS,
    LEAST_ROWS,
    MOST_ROWS,
    NEWEST,
    PENALTIES,
    Rows,
    descend,
    loss_and_slope,
    mean_loss,
    tune,
)

MEMBERS = 5
GOOD = 3
"""The member that is right in the scenes where one is."""
relative_or_not = pytest.mark.parametrize("relative", [0.0, 1.7])


def rows_of(rng: np.random.Generator, count: int, horizon: int = 3, relative: float = 0.0, good: float = 1.0) -> Rows:
    """Backtest rows in which member :data:`GOOD` errs ``good`` times as much as the others; losses say nothing."""
    truth = rng.normal(10, 2, (count, horizon))
    noise = rng.normal(0, 1, (count, horizon, MEMBERS)) * np.where(np.arange(MEMBERS) == GOOD, good, 1.0)
    usable = rng.random((count, MEMBERS)) < 0.9
    usable[:, 0] = True
    features = np.column_stack([np.ones(count), rng.normal(size=(count, INPUTS - 1))])
    closeness = -rng.gamma(1, 0.5, (count, MEMBERS))
    far = np.linspace(0, 1, horizon) ** 2 if horizon > 1 else np.zeros(1)
    scale = rng.uniform(0.5, 2, count)
    return Rows(truth[:, :, None] + noise, truth, far, usable, closeness, features, scale, relative)


def gate_of(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, 0.5, (2, MEMBERS, INPUTS + 1))


def plain_loss(gate: np.ndarray, rows: Rows) -> float:
    losses = []
    for n in range(len(rows.truth)):
        weights = np.zeros((2, MEMBERS))
        weigh(gate, rows.usable[n], rows.closeness[n], rows.features[n], weights)
        for h in range(rows.truth.shape[1]):
            mean = ((1 - rows.far[h]) * weights[0] + rows.far[h] * weights[1]) @ rows.made[n, h]
            error = abs(rows.truth[n, h] - mean)
            scaled = min(error * rows.scale[n], LARGEST_LOSS)
            symmetric = 2 * error / (abs(rows.truth[n, h]) + abs(mean)) * rows.relative
            losses.append((scaled + symmetric) / 2 if rows.relative else scaled)
    return float(np.mean(losses))


def slope_of(gate: np.ndarray, rows: Rows) -> np.ndarray:
    slope = np.full_like(gate, np.nan)
    arrays = (rows.made, rows.truth, rows.far, rows.usable, rows.closeness, rows.features, rows.scale)
    loss_and_slope(gate, *arrays, rows.relative, slope)
    return slope


@relative_or_not
@pytest.mark.parametrize("horizon", [1, 4])
def test_the_loss_is_the_scaled_error_and_half_of_it_the_relative_one_where_that_makes_sense(
    relative: float, horizon: int
) -> None:
    rng = np.random.default_rng(1)
    rows, gate = rows_of(rng, 30, horizon, relative), gate_of(rng)
    rows.truth[3, 0] = 1e6
    assert mean_loss(gate, rows) == pytest.approx(plain_loss(gate, rows), rel=1e-12)


@relative_or_not
@pytest.mark.parametrize("horizon", [1, 4])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_slope_is_that_of_finite_differences(relative: float, horizon: int, sign: int) -> None:
    rng = np.random.default_rng(2)
    rows, gate = rows_of(rng, 20, horizon, relative), gate_of(rng)
    rows = replace(rows, made=sign * rows.made, truth=sign * rows.truth)
    rows.truth[3, 0] = 1e6  # beyond the largest loss, where the scaled error pulls no more
    slope, step = slope_of(gate, rows), 1e-6
    for place in np.ndindex(gate.shape):
        up, down = gate.copy(), gate.copy()
        up[place] += step
        down[place] -= step
        numeric = (mean_loss(up, rows) - mean_loss(down, rows)) / (2 * step)
        assert slope[place] == pytest.approx(numeric, rel=1e-5, abs=1e-7), place


def test_unusable_members_have_no_slope_and_their_numbers_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    rows, gate = rows_of(rng, 20), gate_of(rng)
    rows.usable[:, 2] = False
    other = replace(rows, made=np.where(np.arange(MEMBERS) == 2, 1e9, rows.made))
    np.testing.assert_array_equal(slope_of(gate, rows), slope_of(gate, other))
    assert not slope_of(gate, rows)[:, 2].any()


@relative_or_not
def test_descent_lowers_the_loss_and_finds_the_good_member(relative: float) -> None:
    rng = np.random.default_rng(4)
    rows, start = rows_of(rng, 200, relative=relative, good=0.05), plain_gate(MEMBERS)
    end = descend(start, [rows], penalty=0.0)
    assert mean_loss(end, rows) < 0.8 * mean_loss(start, rows)
    assert end[:, :, 0].argmax(axis=1).tolist() == [GOOD, GOOD]


def test_descent_starts_from_a_copy_and_a_penalty_holds_it_back() -> None:
    rng = np.random.default_rng(5)
    rows, start = rows_of(rng, 150, good=0.1), plain_gate(MEMBERS)
    before = start.copy()
    free, held, tied = (np.abs(descend(start, [rows], p) - before).sum() for p in (0.0, 0.1, 1e4))
    np.testing.assert_array_equal(start, before)
    assert free > 1.5 * held > 3 * tied
    np.testing.assert_array_equal(descend(start, [rows], 0.0, steps=0), start)


def test_panels_count_alike_whatever_their_size() -> None:
    rng = np.random.default_rng(6)
    small, large, start = rows_of(rng, 10), rows_of(rng, 300), plain_gate(MEMBERS)
    twice = large.part(np.tile(np.arange(300), 2))
    ours, theirs = (descend(start, [small, panel], 0.0, steps=5) for panel in (large, twice))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def test_too_few_rows_keep_the_prior() -> None:
    rows, prior = rows_of(np.random.default_rng(7), LEAST_ROWS - 1, good=0.01), plain_gate(MEMBERS)
    gate, penalty = tune(prior, rows)
    assert gate is prior
    assert penalty == np.inf


@relative_or_not
def test_without_evidence_the_prior_stays(relative: float) -> None:
    """Equal weights for members that are equally good leave tuning nothing but noise to follow."""
    prior, kept = np.zeros((2, MEMBERS, INPUTS + 1)), 0
    for seed in range(10):
        rows = rows_of(np.random.default_rng(seed), 150, relative=relative)
        gate, penalty = tune(prior, rows)
        kept += gate is prior and penalty == np.inf
    assert kept >= 8


@relative_or_not
def test_a_good_member_is_found_and_newer_rows_agree(relative: float) -> None:
    rng = np.random.default_rng(8)
    prior = plain_gate(MEMBERS)
    gate, penalty = tune(prior, rows_of(rng, 300, relative=relative, good=0.1))
    assert penalty in PENALTIES
    later = rows_of(rng, 300, relative=relative, good=0.1)
    assert mean_loss(gate, later) < 0.9 * mean_loss(prior, later)


def test_what_was_good_in_older_rows_only_keeps_the_prior() -> None:
    rng = np.random.default_rng(9)
    older, newer = rows_of(rng, 200, good=0.1), rows_of(rng, 150, good=8.0)
    columns = ("made", "truth", "usable", "closeness", "features", "scale")
    joined = {name: np.concatenate([getattr(part, name) for part in (older, newer)]) for name in columns}
    both = Rows(far=older.far, relative=0.0, **joined)
    assert NEWEST * len(both.truth) < 150
    prior = np.zeros((2, MEMBERS, INPUTS + 1))
    assert tune(prior, both)[0] is prior
    assert tune(prior, older)[0] is not prior


def test_of_many_rows_evenly_spread_ones_are_looked_at() -> None:
    rows = rows_of(np.random.default_rng(10), 2_500)
    few = rows.some(np.ones(2_500, bool))
    np.testing.assert_array_equal(few.truth, rows.truth[::3])
    assert len(few.truth) <= MOST_ROWS
    chosen = np.arange(2_500) % 5 == 0
    np.testing.assert_array_equal(rows.some(chosen).made, rows.made[::5])
