"""The kernel's exponential, logarithm, sine and cosine against float64, and where their coefficients come from."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from benchmarks import minimax
from pulse_assets.simulation.kernel import transforms
from pulse_assets.simulation.kernel.transforms import cosine_of_turn, exp_, log_, minus_two_log, sine_of_turn

F32s = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
U64s = npt.NDArray[np.uint64]

SMALLEST, LARGEST = np.float32(-86), np.float32(88)
SMALLEST_NORMAL, LARGEST_FLOAT = 2.0**-126, 2.0**127
WORD = 2**32


def over_arrays(function: Callable[..., object]) -> Callable[[npt.NDArray[np.generic]], F32s]:
    """Return a kernel's function of one number as one of arrays."""

    @njit  # type: ignore[untyped-decorator]
    def fill(x, found):  # noqa: ANN001, ANN202 - numba sees the types
        for i in range(len(x)):
            found[i] = function(x[i])

    def on(x: npt.NDArray[np.generic]) -> F32s:
        found = np.empty(len(x), np.float32)
        fill(x, found)
        return found

    return on


exponential, logarithm = over_arrays(exp_), over_arrays(log_)
size_of_word, sine, cosine = over_arrays(minus_two_log), over_arrays(sine_of_turn), over_arrays(cosine_of_turn)


def between(low: float, high: float, count: int = 1_000_000) -> F32s:
    """Return positive numbers as equally spaced as float32 has them: as many in each power of two."""
    first, last = (int(np.float32(end).view(np.int32)) for end in (low, high))
    return np.linspace(first, last, count).astype(np.int32).view(np.float32)


def places_off(found: F32s, exact: Floats) -> Floats:
    """Return the errors in units of the last place of float32."""
    return np.asarray(np.abs(found.astype(np.float64) - exact) / np.spacing(np.abs(exact).astype(np.float32)))


# exponential

EXPONENTS = np.concatenate([-between(1e-30, 86)[::-1], [np.float32(0)], between(1e-30, 88)])
EVEN = np.linspace(-86, 88, 1_000_001).astype(np.float32)


@pytest.mark.parametrize("x", [EXPONENTS, EVEN], ids=["every power", "even steps"])
def test_the_exponential_is_within_a_place_or_so_and_never_falls(x: F32s) -> None:
    found = exponential(x)
    assert places_off(found, np.exp(x.astype(np.float64))).max() < 1.1
    assert (np.diff(found) >= 0).all()


@given(st.floats(-86, 88, width=32))
def test_the_exponential_of_any_number(x: float) -> None:
    assert exp_(np.float32(x)) == pytest.approx(np.exp(x), rel=9e-8)


def test_the_exponential_of_nothing_is_one() -> None:
    assert exp_(np.float32(0)) == exp_(np.float32(-0.0)) == 1


def test_the_exponential_is_clamped_and_takes_nan_to_the_lower_end() -> None:
    lowest, highest = float(exp_(SMALLEST)), float(exp_(LARGEST))
    assert lowest == pytest.approx(np.exp(-86), rel=9e-8)
    assert highest == pytest.approx(np.exp(88), rel=9e-8)
    for x in (-86.0001, -1e30, -np.inf, np.nan, -np.nan):
        assert exp_(np.float32(x)) == lowest
    for x in (88.0001, 1e30, np.inf):
        assert exp_(np.float32(x)) == highest
    assert lowest > SMALLEST_NORMAL


# logarithm


def test_the_logarithm_is_within_two_places_near_one_and_never_falls() -> None:
    x = between(0.5, 2.0)
    found = logarithm(x)
    assert places_off(found, np.log(x.astype(np.float64)))[x != 1].max() < 1.7
    assert (np.diff(found) >= 0).all()


def test_the_logarithm_is_within_two_places_everywhere_and_never_falls() -> None:
    x = between(SMALLEST_NORMAL, LARGEST_FLOAT)
    found, exact = logarithm(x), np.log(x.astype(np.float64))
    assert places_off(found, exact)[x != 1].max() < 1.7
    assert np.abs(found - exact).max() < 5e-6
    assert (np.diff(found) >= 0).all()


def test_the_logarithm_of_one_is_nothing_and_of_its_neighbours_is_not() -> None:
    below, one, above = np.nextafter(np.float32(1), np.float32([0, 1, 2]))
    assert log_(one) == 0
    assert log_(below) == pytest.approx(-(2.0**-24), rel=1e-6)
    assert log_(above) == pytest.approx(2.0**-23, rel=1e-6)


@given(st.floats(SMALLEST_NORMAL, LARGEST_FLOAT, width=32))
def test_the_logarithm_of_any_normal_number(x: float) -> None:
    assert log_(np.float32(x)) == pytest.approx(np.log(x), rel=2e-7, abs=1e-12)


def test_exponential_and_logarithm_undo_each_other() -> None:
    x = np.linspace(-80, 80, 100_001).astype(np.float32)
    np.testing.assert_allclose(logarithm(exponential(x)), x, atol=8e-6)


# sizes of normals

EVERYWHERE = np.linspace(0, WORD - 1, 1_000_003).astype(np.uint64)
AT_THE_ENDS = np.concatenate([np.arange(2**20), np.arange(WORD - 2**20, WORD)]).astype(np.uint64)


@pytest.mark.parametrize("word", [EVERYWHERE, AT_THE_ENDS], ids=["everywhere", "at the ends"])
def test_a_word_becomes_minus_two_logarithms_of_its_uniform(word: U64s) -> None:
    found, uniform = size_of_word(word), ((word >> np.uint64(1)).astype(np.float64) + 0.5) / 2**31
    np.testing.assert_allclose(found, -2 * np.log(uniform), atol=2.1e-6)
    assert (found >= 0).all()
    assert (np.diff(found) <= 0).all()


def test_sizes_end_at_those_of_31_bits() -> None:
    smallest, largest = size_of_word(np.array([WORD - 1, 0], np.uint64))
    assert smallest == 0
    assert largest == pytest.approx(2 * 32 * np.log(2), rel=1e-6)


# sine and cosine

QUARTERS = [0, 2**30, 2**31, 3 * 2**30]
AROUND_EIGHTHS = np.concatenate(
    [np.arange(max(eighth - 2**16, 0), min(eighth + 2**16, WORD)) for eighth in range(0, WORD + 1, 2**29)]
).astype(np.uint64)


@pytest.mark.parametrize("word", [EVERYWHERE, AROUND_EIGHTHS], ids=["everywhere", "where octants meet"])
def test_sine_and_cosine_are_those_of_the_turn(word: U64s) -> None:
    turn = 2 * np.pi * word.astype(np.float64) / WORD
    s, c = sine(word).astype(np.float64), cosine(word).astype(np.float64)
    assert np.abs(s - np.sin(turn)).max() < 1.3e-7
    assert np.abs(c - np.cos(turn)).max() < 1.3e-7
    assert np.abs(s**2 + c**2 - 1).max() < 1.8e-7
    assert max(np.abs(s).max(), np.abs(c).max()) <= 1


def test_quarter_turns_are_exact() -> None:
    word = np.array(QUARTERS, np.uint64)
    assert sine(word).tolist() == [0, 1, 0, -1]
    assert cosine(word).tolist() == [1, 0, -1, 0]


@given(st.integers(0, WORD - 1))
def test_turns_are_symmetric_to_the_last_bit(word: int) -> None:
    """A half turn flips both signs; the sine runs a quarter turn behind the cosine."""
    here, half, quarter = (np.uint64((word + more) % WORD) for more in (0, 2**31, 2**30))
    assert (sine_of_turn(half), cosine_of_turn(half)) == (-sine_of_turn(here), -cosine_of_turn(here))
    assert sine_of_turn(quarter) == cosine_of_turn(here)


def test_sine_and_cosine_rise_and_fall_where_they_should() -> None:
    word = np.linspace(0, 2**30, 300_001).astype(np.uint64)
    assert (np.diff(sine(word)) >= -1.2e-7).all()
    assert (np.diff(cosine(word)) <= 1.2e-7).all()


# coefficients

PROBLEMS = {problem.name: problem for problem in minimax.problems()}


def constants_of(name: str) -> F32s:
    return np.array([getattr(transforms, constant) for constant in PROBLEMS[name].constants], np.float32)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_kernel_has_the_minimax_coefficients(name: str) -> None:
    derived = minimax.solve(PROBLEMS[name]).coefficients.astype(np.float32)
    off = constants_of(name).view(np.int32).astype(np.int64) - derived.view(np.int32)
    assert np.abs(off).max() <= 2, f"in the last place: {off.tolist()}, expected {derived.tolist()}"


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_kernels_coefficients_cost_less_than_a_rounding(name: str) -> None:
    assert minimax.error_of(PROBLEMS[name], constants_of(name).astype(np.float64)) < 2.0**-24


@pytest.mark.parametrize("name", PROBLEMS)
def test_errors_of_a_minimax_polynomial_are_equally_large_and_alternate(name: str) -> None:
    """Chebyshev's theorem: one more of them than coefficients, and then no polynomial is better."""
    problem = PROBLEMS[name]
    found, x = minimax.solve(problem), minimax._grid(problem)
    error = (minimax.values(problem.series, x) - minimax.values(found.coefficients, x)) * problem.weight(x)
    at = minimax._reference(error, len(problem.constants) + 1, name)
    np.testing.assert_allclose(np.abs(error[at]), found.error, rtol=1e-4)
    assert (np.sign(error[at][1:]) == -np.sign(error[at][:-1])).all()
    rng = np.random.default_rng(1)
    for _ in range(20):
        moved = found.coefficients * (1 + 1e-4 * rng.normal(size=len(found.coefficients)))
        assert minimax.error_of(problem, moved) > found.error


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("exp", lambda r: (np.expm1(r) - r) / r**2),
        ("log", lambda f: (np.log1p(f) - f + f**2 / 2) / f**3),
        ("sine", lambda t: (np.sin(np.sqrt(t)) / np.sqrt(t) - 1) / t),
        ("cosine", lambda t: (np.cos(np.sqrt(t)) - 1 + t / 2) / t**2),
    ],
)
def test_what_is_approximated_is_the_function_less_its_first_terms(
    name: str, exact: Callable[[Floats], Floats]
) -> None:
    x = np.linspace(PROBLEMS[name].low, PROBLEMS[name].high, 41)
    x = x[np.abs(x) > 0.1]
    np.testing.assert_allclose(minimax.values(PROBLEMS[name].series, x), exact(x), rtol=1e-11)


def test_a_known_minimax_polynomial_is_found() -> None:
    """x² on [-1, 1] by 1 and x: the answer is 1/2, and 1/2 is its error."""
    square = np.zeros(minimax.TERMS)
    square[2] = 1
    found = minimax.solve(minimax.Problem("square", ("a", "b"), square, np.ones_like, -1.0, 1.0, "absolute"))
    np.testing.assert_allclose(found.coefficients, [0.5, 0.0], atol=1e-6)
    assert found.error == pytest.approx(0.5, rel=1e-6)


def test_more_coefficients_lower_the_error_until_rounding_wins() -> None:
    errors = [minimax.solve(replace(PROBLEMS["log"], constants=("",) * count)).error for count in range(1, 9)]
    assert all(later < earlier / 3 for earlier, later in pairwise(errors))
    with pytest.raises(ValueError, match=r"cosine: .*(ask for fewer coefficients|changes sign)"):
        minimax.solve(replace(PROBLEMS["cosine"], constants=("",) * 8))


def test_the_benchmark_prints_every_coefficient(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["minimax"])
    minimax.main()
    printed = capsys.readouterr().out
    names = [constant for problem in PROBLEMS.values() for constant in problem.constants]
    assert all(f"  {name} = " in printed for name in names)
    assert "exp: largest relative error 3.06e-09" in printed
