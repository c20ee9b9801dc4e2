"""Reverse stress: what would have to happen for a loss, and which such path is the most likely.

What belongs here: distances of moves from what a world expects. Which paths lose how much is known to the engine.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, ndtr

from pulse_assets.simulation.calibration.guards import persistence
from pulse_assets.simulation.world import Floats, World

RANK_TOLERANCE = 1e-10
"""Eigenvalue of a covariance, relative to the largest, below which a direction counts as one that never moves."""


@dataclass(frozen=True, eq=False)
class Stress:
    """Moves of A assets and how far they are from what is expected.

    Attributes
    ----------
    path
        Number of the simulated path, -1 for the linear answer.
    moves
        Log returns over the horizon, shape ``(A,)``.
    distance
        Mahalanobis distance from the mean, in standard deviations.
    tail_probability
        For a path: of normal moves at least as far from the mean in any direction. For the linear answer: of a loss at
        least as large, were moves normal and losses linear.
    """

    path: int
    moves: Floats
    distance: float
    tail_probability: float


class Moments(NamedTuple):
    """Mean, shape ``(A,)``, and covariance, shape ``(A, A)``, of log returns over a horizon."""

    mean: Floats
    covariance: Floats


def most_likely_bad_path(paths: npt.NDArray[np.int64], moves: Floats, moments: Moments) -> Stress:
    """Return the bad path that is least unlikely: the one of smallest Mahalanobis distance.

    Parameters
    ----------
    paths
        Numbers of the paths whose loss lies beyond the threshold, shape ``(N,)``.
    moves
        Their log returns over the horizon, shape ``(N, A)``.
    moments
        Of log returns over the horizon. Directions in which the covariance does not move count neither for distance
        nor for degrees of freedom.

    Returns
    -------
    Stress
        Of equally likely paths that of the lowest number.

    Raises
    ------
    ValueError
        No path is bad, shapes do not fit, a move is not finite, or the covariance is not positive semi-definite.

    Examples
    --------
    >>> moments = Moments(np.zeros(2), np.array([[0.04, 0.0], [0.0, 0.01]]))
    >>> found = most_likely_bad_path(np.array([3, 8]), np.array([[-0.2, -0.3], [-0.4, 0.0]]), moments)
    >>> found.path, round(found.distance, 6), round(found.tail_probability, 4)
    (8, 2.0, 0.1353)
    """
    if len(paths) == 0:
        raise ValueError("no path loses as much as the threshold: lower the threshold or simulate more paths")
    if moves.shape != (len(paths), len(moments.mean)):
        raise ValueError(f"expected moves of shape {(len(paths), len(moments.mean))}; came {moves.shape}")
    broken = ~np.isfinite(moves).all(axis=1)
    if broken.any():
        raise ValueError(f"path {paths[np.argmax(broken)]} has a move that is not finite: leave such paths out")
    whitening = _whitening(moments.covariance)
    squares = (((moves - moments.mean) @ whitening) ** 2).sum(axis=1)
    nearest = int(np.lexsort((paths, squares))[0])
    square = float(squares[nearest])
    tail = float(chdtrc(whitening.shape[1], square))
    return Stress(int(paths[nearest]), moves[nearest].copy(), float(np.sqrt(square)), tail)


def linear_bad_moves(exposure: Floats, loss: float, moments: Moments) -> Stress:
    """Return the most likely moves that lose an amount, were losses linear in them.

    Minimises ``(d − m)' S⁻¹ (d − m)`` subject to ``w'd <= −loss``; with ``w'm + loss = c > 0`` the answer is
    ``d = m − S w c / (w'S w)``, at a distance of ``c / sqrt(w'S w)``.

    Parameters
    ----------
    exposure
        Gain for a log return of 1 in each asset (the value of the position), USD, shape ``(A,)``.
    loss
        USD, positive.
    moments
        Of log returns over the horizon.

    Raises
    ------
    ValueError
        The loss is not positive and finite, shapes do not fit, or the exposure never moves.

    References
    ----------
    Breuer, Jandačka, Rheinberger and Summer (2009), How to find plausible, severe, and useful stress scenarios.

    Examples
    --------
    >>> moments = Moments(np.zeros(2), np.array([[0.04, 0.01], [0.01, 0.01]]))
    >>> found = linear_bad_moves(np.array([100.0, 0.0]), 40.0, moments)
    >>> found.moves.round(6).tolist(), round(found.distance, 6), round(found.tail_probability, 4)
    ([-0.4, -0.1], 2.0, 0.0228)
    """
    if not (np.isfinite(loss) and loss > 0):
        raise ValueError(f"a loss is a positive number of USD; came {loss}")
    if exposure.shape != moments.mean.shape:
        raise ValueError(f"expected an exposure of shape {moments.mean.shape}; came {exposure.shape}")
    direction = moments.covariance @ exposure
    variance = float(exposure @ direction)
    if not variance > 0:
        raise ValueError("nothing moves this exposure: give positions in assets of the world")
    beyond = float(exposure @ moments.mean) + loss
    if beyond <= 0:
        return Stress(-1, moments.mean.copy(), 0.0, float(ndtr(-beyond / np.sqrt(variance))))
    distance = beyond / float(np.sqrt(variance))
    return Stress(-1, moments.mean - direction * (beyond / variance), distance, float(ndtr(-distance)))


def horizon_moments(world: World, steps: int) -> Moments:
    """Return mean and covariance of assets' log returns over a horizon, from the origin.

    Variances are expected ones of the GARCH recursion; regimes bring their squared factors, and together with jumps
    the variance of what a path expects of them. Rules, scenarios and that variances are uncertain are left out.

    Parameters
    ----------
    world
        A assets.
    steps
        Length of the horizon, at least 1.

    Raises
    ------
    ValueError
        There is no step, or no asset.
    """
    count = len(world.assets)
    if steps < 1 or not count:
        raise ValueError(f"moments need at least one step and one asset; came {steps} and {count}")
    transition, now, volatility, expected, spread = _by_regime(world)
    left, variance = persistence(world), world.variance.copy()
    correlation = world.correlation[:count, :count]
    covariance, square = np.zeros((count, count)), np.zeros((count, count))
    so_far = np.zeros_like(expected)  # expected sum of what regimes bring, on the paths that are in each now
    for _ in range(steps):
        now, so_far = now @ transition, transition.T @ so_far
        deviation = np.sqrt(variance)
        covariance += (now @ volatility**2) * correlation * np.outer(deviation, deviation)
        covariance += np.tensordot(now, spread, 1)
        cross = so_far.T @ expected
        square += cross + cross.T + (expected.T * now) @ expected
        so_far += now[:, None] * expected
        variance = world.omega + left * variance
    mean = so_far.sum(axis=0)
    return Moments(steps * world.drift + mean, covariance + square - np.outer(mean, mean))


def _by_regime(world: World) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return transition, probabilities, factors, and mean (K, A) and covariance (K, A, A) of what regimes add."""
    count = len(world.assets)
    transition, now, volatility, drift = np.ones((1, 1)), np.ones(1), np.ones(1), np.zeros(1)
    if world.regimes is not None:
        transition, now = world.regimes.transition, world.regimes.now
        volatility, drift = world.regimes.volatility, world.regimes.drift
    expected, spread = np.tile(drift[:, None], count), np.zeros((len(now), count, count))
    if world.jumps is not None:
        jumps = world.jumps
        expected = expected + np.outer(jumps.intensity * jumps.mean, jumps.load)
        loads = np.outer(jumps.load, jumps.load)
        spread = jumps.intensity[:, None, None] * (jumps.mean**2 + jumps.sd**2) * loads
    return transition, now, volatility, expected, spread


def _whitening(covariance: Floats) -> Floats:
    """Return W, shape ``(A, rank)``, with ``W W'`` the pseudo-inverse."""
    values, vectors = np.linalg.eigh(covariance)
    largest = float(values[-1])
    if not largest > 0 or values[0] < -RANK_TOLERANCE * largest:
        raise ValueError(
            f"expected a positive semi-definite covariance; its eigenvalues go from {values[0]:.3g} to {largest:.3g}: "
            "repair the correlation"
        )
    moving = values > RANK_TOLERANCE * largest
    return np.asarray(vectors[:, moving] / np.sqrt(values[moving]), np.float64)
