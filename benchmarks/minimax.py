"""The polynomials of the simulator's kernel, derived anew: ``python -m benchmarks.minimax``.

For each function of ``kernel.transforms`` it prints the coefficients as float32 numbers, the largest error of the
polynomial itself and the largest one after its coefficients were rounded; arithmetic in float32 comes on top of that.

Each is the polynomial with the smallest largest error, found by the exchange algorithm of Remez (1934) on a dense grid.
What is left to be approximated is a power series without the terms that the kernel adds exactly, so nothing cancels.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import cos, factorial, log, pi, sqrt

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

GRID = 20_000
TERMS = 60
"""Terms of a series: of the slowest one, the logarithm's, the next is below 1e-24."""
MOST_EXCHANGES = 50
LEVEL = 1e-6
"""By how much the largest error may differ from that at the reference points, as a share, once exchanges end."""


@dataclass(frozen=True)
class Problem:
    """One polynomial to be found.

    Attributes
    ----------
    name, constants
        Of the function, and of the coefficients in ``kernel.transforms``, lowest power first.
    series
        Coefficients of the power series that is approximated, shape ``(TERMS,)``.
    weight
        What an error of the polynomial at some points does to the function: absolute or relative.
    low, high
        Ends of the interval.
    error
        Which kind of error is the smallest, for people.
    """

    name: str
    constants: tuple[str, ...]
    series: Floats
    weight: Callable[[Floats], Floats]
    low: float
    high: float
    error: str


@dataclass(frozen=True)
class Solution:
    """A polynomial, lowest power first, shape ``(n,)``, and its largest weighted error."""

    coefficients: Floats
    error: float


def problems() -> tuple[Problem, ...]:
    """Return what the kernel needs.

    exp(r) = 1 + r + r² P(r); ln(1 + f) = f - f²/2 + f³ P(f); sin(a) = a + a t P(t) and cos(a) = 1 - t/2 + t² P(t) of an
    angle a with t = a².
    """
    k = np.arange(TERMS)
    signs = np.where(k % 2, -1.0, 1.0)
    return (
        Problem(
            "exp",
            ("EXP_2", "EXP_3", "EXP_4", "EXP_5", "EXP_6"),
            _over_factorial(k + 2),
            lambda r: r**2 * np.exp(-r),
            -log(2) / 2,
            log(2) / 2,
            "relative",
        ),
        Problem(
            "log",
            tuple(f"LOG_{power}" for power in range(3, 10)),
            signs / (k + 3),
            lambda f: f**3 / np.log1p(f),
            sqrt(0.5) - 1,
            sqrt(2) - 1,
            "relative",
        ),
        Problem(
            "sine",
            ("SIN_3", "SIN_5", "SIN_7"),
            -signs * _over_factorial(2 * k + 3),
            lambda t: t,
            0.0,
            (pi / 4) ** 2,
            "share of the angle",
        ),
        Problem(
            "cosine",
            ("COS_4", "COS_6", "COS_8"),
            signs * _over_factorial(2 * k + 4),
            lambda t: t**2,
            0.0,
            (pi / 4) ** 2,
            "absolute",
        ),
    )


def _over_factorial(powers: npt.NDArray[np.int64]) -> Floats:
    return np.array([1 / factorial(power) for power in powers.tolist()])


def solve(problem: Problem) -> Solution:
    """Return the polynomial whose largest weighted error is the smallest of all.

    Least squares come first: their error already changes sign as often as there are coefficients. Then the points
    where the error is largest between two changes of sign become the ones at which it shall be equally large.

    Raises
    ------
    ValueError
        The error changes sign too seldom, or exchanges do not end: the weight is not positive, or rounding has won.
    """
    x = _grid(problem)
    target, weight, count = values(problem.series, x), problem.weight(x), len(problem.constants)
    scale = np.abs(x).max()
    powers = (x[:, None] / scale) ** np.arange(count)
    found = np.linalg.lstsq(powers * weight[:, None], target * weight, rcond=None)[0]
    for _ in range(MOST_EXCHANGES):
        error = (target - powers @ found) * weight
        at = _reference(error, count + 1, problem.name)
        equations = np.column_stack([powers[at] * weight[at, None], np.where(np.arange(count + 1) % 2, -1.0, 1.0)])
        *found, level = np.linalg.solve(equations, target[at] * weight[at])
        largest = float(np.abs((target - powers @ found) * weight).max())
        if largest <= (1 + LEVEL) * abs(level):
            return Solution(np.array(found) / scale ** np.arange(count), largest)
    raise ValueError(f"{problem.name}: no equal errors after {MOST_EXCHANGES} exchanges: ask for fewer coefficients")


def _grid(problem: Problem) -> Floats:
    """Return Chebyshev points: dense at the ends, which are no points themselves, since a weight may be 0 there."""
    middle, half = (problem.low + problem.high) / 2, (problem.high - problem.low) / 2
    return np.asarray(middle - half * np.cos(pi * (np.arange(GRID) + 0.5) / GRID) / cos(pi / (2 * GRID)) * (1 - 1e-12))


def _reference(error: Floats, wanted: int, name: str) -> npt.NDArray[np.int64]:
    """Return the point of the largest error of each run of one sign, as many as are wanted, neighbours differing."""
    runs = np.split(np.arange(len(error)), np.flatnonzero(np.diff(np.signbit(error))) + 1)
    points = [int(run[np.argmax(np.abs(error[run]))]) for run in runs]
    if len(points) < wanted:
        raise ValueError(f"{name}: the error changes sign {len(points) - 1} times, expected {wanted - 1}")
    while len(points) > wanted:
        points.pop(0 if abs(error[points[0]]) < abs(error[points[-1]]) else -1)
    return np.array(points)


def values(coefficients: Floats, x: Floats) -> Floats:
    """Return a polynomial's values, lowest power first."""
    return np.asarray(np.polynomial.polynomial.polyval(x, coefficients))


def error_of(problem: Problem, coefficients: Floats) -> float:
    """Return the largest weighted error of any coefficients."""
    x = _grid(problem)
    return float(np.abs((values(problem.series, x) - values(coefficients, x)) * problem.weight(x)).max())


def main() -> None:
    """Derive all coefficients and print them."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for problem in problems():
        found = solve(problem)
        rounded = found.coefficients.astype(np.float32)
        sys.stdout.write(
            f"{problem.name}: largest {problem.error} error {found.error:.2e}, with coefficients in float32 "
            f"{error_of(problem, rounded.astype(np.float64)):.2e}\n"
        )
        for name, value in zip(problem.constants, rounded, strict=True):
            sys.stdout.write(f"  {name} = {value}\n")


if __name__ == "__main__":
    main()
