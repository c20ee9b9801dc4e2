"""Scores of ensembles: known answers, slow references, properties, and what they prefer."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pulse_assets.numerics.distances import distances_within
from pulse_assets.numerics.ensemble import LARGE, crps_ensemble, energy_score, variogram_score

NUMBERS = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))
FORECASTS = st.integers(2, 12).flatmap(lambda m: arrays.arrays(float, (3, m), elements=NUMBERS))
TRUTHS = arrays.arrays(float, 3, elements=NUMBERS)
JOINT = st.integers(2, 8).flatmap(lambda m: arrays.arrays(float, (2, m, 3), elements=NUMBERS))
JOINT_TRUTHS = arrays.arrays(float, (2, 3), elements=NUMBERS)


def slow_energy(members: np.ndarray, y: np.ndarray, fair: bool) -> float:
    m = len(members)
    misses = np.linalg.norm(members - y, axis=1).mean()
    between = sum(float(np.linalg.norm(a - b)) for a in members for b in members)
    return float(misses - between / (2 * m * (m - 1 if fair else m)))


def slow_variogram(members: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    total = 0.0
    for i in range(len(y)):
        for j in range(len(y)):
            expected = np.mean([abs(member[i] - member[j]) ** 0.5 for member in members])
            total += weights[i, j] * (abs(y[i] - y[j]) ** 0.5 - expected) ** 2
    return total


@pytest.mark.parametrize(("y", "biased", "fair"), [(2.5, 0.3888888889, 0.1666666667), (2.0, 2 / 9, 0.0)])
def test_crps_knows_its_textbook_answers(y: float, biased: float, fair: float) -> None:
    members, truth = np.array([[1.0, 2.0, 3.0]]), np.array([y])
    assert crps_ensemble(members, truth, fair=False).item() == pytest.approx(biased, abs=1e-10)
    assert crps_ensemble(members, truth).item() == pytest.approx(fair, abs=1e-10)


@pytest.mark.parametrize(
    ("members", "y", "score"),
    [([[0, 0], [1, 1], [2, 0]], [1, 0], 0.4635080972504233), ([[1, 0], [0, 1]], [0, 0], 1 - 2**0.5 / 4)],
)
def test_energy_score_knows_its_textbook_answers(members: list[list[int]], y: list[int], score: float) -> None:
    found = energy_score(np.array([members], float), np.array([y], float), fair=False)
    assert found.item() == pytest.approx(score, rel=1e-13)


@pytest.mark.parametrize("count", [1000, 20_000])
def test_crps_of_a_large_ensemble_is_that_of_its_distribution(count: int) -> None:
    members = np.random.default_rng(count).normal(size=(2, count))
    exact = [0.23369497725510913, 0.6024413576276163]
    np.testing.assert_allclose(crps_ensemble(members, np.array([0.0, 1.0])), exact, atol=2 / count**0.5)


@given(FORECASTS, TRUTHS, st.booleans())
def test_crps_is_the_mean_miss_less_half_the_mean_distance(members: np.ndarray, y: np.ndarray, fair: bool) -> None:
    expected = [slow_energy(row[:, None], truth, fair) for row, truth in zip(members, y, strict=True)]
    np.testing.assert_allclose(crps_ensemble(members, y, fair=fair), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("count", [2, 255, 256, 257, 1000, 70_000])
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_crps_of_any_number_of_members_is_that_of_its_definition(count: int, precision: type) -> None:
    rng = np.random.default_rng(count)
    members, y = rng.standard_t(3, (3, count)).astype(precision), rng.normal(size=3)
    rising = np.sort(members.astype(float), axis=1)
    half = (rising * (2 * np.arange(count) + 1 - count)).sum(axis=1) / (count * (count - 1))
    expected = np.abs(members.astype(float) - y[:, None]).mean(axis=1) - half
    exact = precision is np.float32 or count < LARGE
    np.testing.assert_allclose(crps_ensemble(members, y), expected, rtol=1e-10 if exact else 1e-8)


@given(FORECASTS, TRUTHS, st.randoms(use_true_random=False))
def test_the_order_of_members_changes_not_a_bit_and_forecasts_do_not_meet(
    members: np.ndarray, y: np.ndarray, random: np.random.Generator
) -> None:
    order = list(range(members.shape[1]))
    random.shuffle(order)
    scores = crps_ensemble(members, y)
    np.testing.assert_array_equal(crps_ensemble(members[:, order], y), scores)
    np.testing.assert_array_equal(crps_ensemble(members[1:2], y[1:2]), scores[1:2])
    np.testing.assert_array_equal(crps_ensemble(np.asfortranarray(members), y), scores)


@given(FORECASTS, TRUTHS, NUMBERS)
def test_crps_moves_with_the_unit_and_not_with_the_origin(members: np.ndarray, y: np.ndarray, shift: float) -> None:
    scores = crps_ensemble(members, y)
    np.testing.assert_array_equal(crps_ensemble(4 * members, 4 * y), 4 * scores)
    np.testing.assert_allclose(crps_ensemble(-members, -y), scores, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(crps_ensemble(members + shift, y + shift), scores, rtol=1e-9, atol=1e-9)
    assert (crps_ensemble(members, y, fair=False) >= -1e-12).all()


def test_fair_scores_do_not_depend_on_the_number_of_members_and_others_do() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=40_000)
    few, many = (rng.normal(size=(len(y), m)) for m in (2, 20))
    assert crps_ensemble(few, y).mean() == pytest.approx(crps_ensemble(many, y).mean(), abs=0.015)
    assert crps_ensemble(few, y, fair=False).mean() > crps_ensemble(many, y, fair=False).mean() + 0.2
    vectors = rng.normal(size=(4_000, 20, 3))
    truth = rng.normal(size=(4_000, 3))
    assert energy_score(vectors[:, :2], truth).mean() == pytest.approx(energy_score(vectors, truth).mean(), abs=0.05)


@given(JOINT, JOINT_TRUTHS, st.booleans())
def test_energy_score_is_that_of_its_definition(members: np.ndarray, y: np.ndarray, fair: bool) -> None:
    expected = [slow_energy(row, truth, fair) for row, truth in zip(members, y, strict=True)]
    np.testing.assert_allclose(energy_score(members, y, fair=fair), expected, rtol=1e-9, atol=1e-8)


@given(FORECASTS, TRUTHS, st.booleans())
def test_the_energy_score_of_one_variable_is_its_crps(members: np.ndarray, y: np.ndarray, fair: bool) -> None:
    found = energy_score(members[:, :, None], y[:, None], fair=fair)
    np.testing.assert_allclose(found, crps_ensemble(members, y, fair=fair), rtol=1e-9, atol=1e-8)


@given(JOINT, JOINT_TRUTHS, arrays.arrays(float, (3, 3), elements=st.floats(0, 9)))
def test_variogram_score_is_that_of_its_definition(members: np.ndarray, y: np.ndarray, weights: np.ndarray) -> None:
    expected = [slow_variogram(row, truth, weights) for row, truth in zip(members, y, strict=True)]
    np.testing.assert_allclose(variogram_score(members, y, weights), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(variogram_score(members, y), variogram_score(members, y, np.ones((3, 3))))


def test_turning_all_vectors_turns_no_energy_score() -> None:
    rng = np.random.default_rng(4)
    members, y = rng.normal(size=(3, 50, 4)), rng.normal(size=(3, 4))
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    np.testing.assert_allclose(energy_score(members @ turn, y @ turn), energy_score(members, y), rtol=1e-10)


def joint(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return 700 members of 40 variables, enough for products in single precision."""
    members = rng.standard_t(4, (700, 40)) * np.geomspace(0.01, 1, 40) + 100
    if kind == "duplicates":
        members = members[rng.integers(0, 30, 700)]
    elif kind == "two far clusters":
        members = members * 1e-5 + 1e3 * rng.integers(0, 2, (700, 1))
    elif kind == "an outlier":
        members[3] = 1e12
    elif kind == "tiny":
        members *= 1e-200
    elif kind == "all the same":
        members[:] = members[0]
    return members


@pytest.mark.parametrize(
    "kind", ["ordinary", "duplicates", "two far clusters", "an outlier", "tiny", "huge", "all the same"]
)
def test_distances_of_many_members_are_exact_however_they_lie(kind: str) -> None:
    members = joint(kind, np.random.default_rng(5))
    members = members * 1e200 if kind == "huge" else members
    scale = np.abs(members).max()
    ruler = members / scale
    expected = sum(float(np.sqrt(np.square(ruler[k + 1 :] - ruler[k]).sum(axis=1)).sum()) for k in range(699))
    y = members[:1] + scale
    misses, sums = distances_within(members[None], y)
    np.testing.assert_allclose(sums / scale, expected, rtol=3e-7, atol=1e-12)
    np.testing.assert_allclose(misses / scale, np.linalg.norm(ruler - y[0] / scale, axis=1).mean(), rtol=1e-9)


@pytest.mark.parametrize("count", [1, 199, 200, 201, 401])
def test_blocks_of_distances_leave_no_pair_out(count: int) -> None:
    members = np.random.default_rng(count).normal(size=(1, count, 5)).astype(np.float32)
    wide = members[0].astype(float)
    expected = sum(float(np.linalg.norm(wide[k + 1 :] - wide[k], axis=1).sum()) for k in range(count - 1))
    np.testing.assert_allclose(distances_within(members, np.zeros((1, 5)))[1], [expected], rtol=1e-12)


@pytest.mark.parametrize("score", [energy_score, variogram_score])
def test_forecasts_of_a_batch_do_not_meet(score: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(6)
    members, y = rng.normal(size=(4, 30, 5)).astype(np.float32), rng.normal(size=(4, 5))
    y[1, 2], members[2, 7, 1] = np.nan, np.inf
    scores = score(members, y)
    assert np.isnan(scores).tolist() == [False, True, True, False]
    np.testing.assert_array_equal(score(members[3:], y[3:]), scores[3:])
    assert score(members[:0], y[:0]).shape == (0,)


@pytest.mark.parametrize("scale", [1e-250, 1e-40, 1e40, 1e250])
def test_crps_of_many_members_does_not_depend_on_the_unit(scale: float) -> None:
    rng = np.random.default_rng(9)
    members, y = rng.normal(size=(2, LARGE)), rng.normal(size=2)
    np.testing.assert_allclose(crps_ensemble(scale * members, scale * y) / scale, crps_ensemble(members, y), rtol=1e-8)
    assert crps_ensemble(np.full((1, LARGE), scale), np.full(1, scale)).tolist() == [0.0]


@pytest.mark.parametrize("count", [4, LARGE])
def test_nan_or_infinity_gives_nan_in_its_row_alone(count: int) -> None:
    members, y = np.tile(np.arange(float(count)), (5, 1)), np.array([1.0, np.nan, 1.0, 1.0, np.inf])
    members[2, 1], members[3, 0] = np.nan, -np.inf
    for fair in (False, True):
        assert np.isnan(crps_ensemble(members, y, fair=fair)).tolist() == [False, True, True, True, True]
    assert crps_ensemble(members[:0], y[:0]).shape == (0,)


def test_the_true_distribution_has_the_best_mean_score() -> None:
    rng = np.random.default_rng(8)
    n, m = 1500, 40
    common = rng.normal(size=(n, m + 1, 1))
    drawn = np.sqrt(0.7) * common + np.sqrt(0.3) * rng.normal(size=(n, m + 1, 3))
    y, members = drawn[:, 0], drawn[:, 1:]
    independent = np.stack([rng.permuted(members[:, :, k], axis=1) for k in range(3)], axis=-1)
    forecasts = {"true": members, "wide": 1.6 * members, "shifted": members + 0.5, "independent": independent}
    energy = {name: energy_score(f, y).mean() for name, f in forecasts.items()}
    crps = {name: crps_ensemble(f[:, :, 0], y[:, 0]).mean() for name, f in forecasts.items()}
    variogram = {name: variogram_score(f, y).mean() for name, f in forecasts.items()}
    assert min(energy, key=energy.__getitem__) == "true"
    assert crps["true"] < min(crps["wide"], crps["shifted"])
    assert variogram["independent"] > 1.3 * variogram["true"]
    assert variogram["shifted"] == pytest.approx(variogram["true"], rel=1e-9)  # a common bias goes unseen


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: crps_ensemble(np.ones((2, 3)), np.ones(3)), r"\(n, m\) and \(n,\); came \(2, 3\) and \(3,\)"),
        (lambda: crps_ensemble(np.ones((2, 1)), np.ones(2)), "a fair score needs at least 2 members; came 1"),
        (lambda: crps_ensemble(np.ones((2, 0)), np.ones(2), fair=False), "a score needs at least 1 members; came 0"),
        (lambda: energy_score(np.ones((2, 3, 4)), np.ones((2, 3))), r"\(n, m, d\) and \(n, d\); came \(2, 3, 4\)"),
        (lambda: variogram_score(np.ones((2, 0, 4)), np.ones((2, 4))), "came 0"),
        (lambda: variogram_score(np.ones((2, 3, 4)), np.ones((2, 4)), np.ones(4)), "every two of 4 variables"),
    ],
)
def test_forecasts_that_cannot_be_scored_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
