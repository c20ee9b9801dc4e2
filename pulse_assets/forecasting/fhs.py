"""Filtered historical simulation: future returns from a fit and the standardised residuals that a series really had.

What belongs here: paths and their quantiles, on arrays. Fitting and filtering are in ``garch``.

Randomness is a function: which residual a path draws at a step depends on (seed, path, step) and on nothing else. Hence
chunks, order and company do not matter, more paths keep the first ones, and series with the same dates draw the same
dates, which keeps what they have in common.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.forecasting.garch import GjrFit, checked_series, filter_variance
from pulse_assets.forecasting.garch_likelihood import Floats, Ints
from pulse_assets.numerics.quantiles import LEVELS

Words = npt.NDArray[np.uint64]

GOLDEN = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: the increment of splitmix64."""
RETURNS_A_CHUNK = 2_000_000
"""Simulated returns held at once: 16 MB."""


def random_words(seed: int, paths: int, horizon: int) -> Words:
    """Return 64 random bits for every step of every path, each a hash of (seed, path, step) only; shape ``(H, P)``.

    The finaliser of splitmix64 over the seed, then over paths, then over steps.

    References
    ----------
    Steele, Lea and Flood (2014), Fast splittable pseudorandom number generators.

    Examples
    --------
    >>> bool((random_words(7, 100, 5)[:3, :10] == random_words(7, 10, 3)).all())
    True
    """
    start = _mixed(np.array([(seed + 1) * GOLDEN % 2**64], np.uint64))
    streams = _mixed(start + np.arange(1, paths + 1, dtype=np.uint64) * np.uint64(GOLDEN))
    steps = np.arange(1, horizon + 1, dtype=np.uint64) * np.uint64(GOLDEN)
    return _mixed(streams[None, :] + steps[:, None])


def _mixed(words: Words) -> Words:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(words ^ (words >> np.uint64(31)))


def standardised_residuals(fit: GjrFit, values: Floats, offsets: Ints) -> tuple[Floats, Floats]:
    """Return each return less its mean over its expected deviation, and the variance expected next.

    Parameters
    ----------
    fit
        S series.
    values, offsets
        As for :func:`pulse_assets.forecasting.garch.filter_variance`.

    Returns
    -------
    residuals, next_variance
        Shapes ``(N,)`` and ``(S,)``; NaN where a return is missing or a series has no parameters.
    """
    values, offsets = checked_series(values, offsets, len(fit.mu))
    variance, following = filter_variance(fit, values, offsets)
    inside = slice(offsets[0], offsets[-1])
    residuals = np.full(len(values), np.nan)
    residuals[inside] = (values[inside] - np.repeat(fit.mu, np.diff(offsets))) / np.sqrt(variance[inside])
    residuals[~np.isfinite(residuals)] = np.nan
    return residuals, following


def filtered_historical_paths(
    fit: GjrFit,
    residuals: Floats,
    offsets: Ints,
    next_variance: Floats,
    *,
    horizon: int,
    paths: int = 1000,
    seed: int = 0,
    cumulative: bool = False,
) -> Floats:
    """Return simulated returns: drawn residuals of a series, sent through its own variance recursion.

    Parameters
    ----------
    fit
        S series.
    residuals, offsets
        Residuals to draw from, shapes ``(N,)`` and ``(S + 1,)``; NaN is never drawn.
    next_variance
        Variance of the first step, shape ``(S,)``.
    horizon, paths
        Steps H and paths P, at least 1 each.
    seed
        Any integer; negative ones count modulo 2^64.
    cumulative
        Whether a step holds the sum of the returns up to it.

    Returns
    -------
    array
        Shape ``(S, H, P)``, decimal; NaN where a series has no parameters or no residuals.

    Raises
    ------
    ValueError
        No step or path is asked for, or the offsets do not cut the residuals into the series of the fit.

    References
    ----------
    Barone-Adesi, Giannopoulos and Vosper (1999), VaR without correlations for portfolios of derivative securities.
    """
    residuals, offsets = checked_series(residuals, offsets, len(fit.mu))
    _require_some(horizon, paths)
    made = np.empty((len(fit.mu), horizon, paths))
    parameters = np.stack([fit.mu, fit.omega, fit.alpha, fit.gamma, fit.beta], axis=1)
    words = (random_words(seed, paths, horizon) >> np.uint64(32)).astype(np.int64)
    _simulate(parameters, residuals, offsets, next_variance, words, cumulative, made)
    return made


def filtered_historical_quantiles(
    fit: GjrFit,
    values: Floats,
    offsets: Ints,
    *,
    horizon: int,
    paths: int = 1000,
    seed: int = 0,
    cumulative: bool = False,
) -> Floats:
    """Return the 23 quantiles of the return at each of the next steps, by filtered historical simulation.

    Parameters
    ----------
    fit
        S series.
    values, offsets
        Returns up to the origin, shapes ``(N,)`` and ``(S + 1,)``, decimal.
    horizon, paths, seed, cumulative
        As for :func:`filtered_historical_paths`; with ``cumulative`` quantiles are those of h-step returns.

    Returns
    -------
    array
        Shape ``(S, H, 23)``, decimal, never falling along the levels; NaN where a series has no parameters.

    Raises
    ------
    ValueError
        As for :func:`filtered_historical_paths`.

    Examples
    --------
    >>> from pulse_assets.forecasting.garch import fit_gjr
    >>> returns, offsets = np.random.default_rng(1).normal(0, 0.01, 500), np.array([0, 500])
    >>> quantiles = filtered_historical_quantiles(fit_gjr(returns, offsets), returns, offsets, horizon=5)
    >>> quantiles.shape, bool(abs(quantiles[0, 0, 11]) < 0.002)
    ((1, 5, 23), True)
    """
    _require_some(horizon, paths)
    residuals, following = standardised_residuals(fit, values, offsets)
    quantiles = np.empty((len(fit.mu), horizon, len(LEVELS)))
    series = max(1, RETURNS_A_CHUNK // (horizon * paths))
    for low in range(0, len(fit.mu), series):
        part = np.arange(low, min(low + series, len(fit.mu)))
        made = filtered_historical_paths(
            fit.take(part),
            residuals,
            offsets[low : part[-1] + 2],
            following[part],
            horizon=horizon,
            paths=paths,
            seed=seed,
            cumulative=cumulative,
        )
        made.sort(axis=2)
        quantiles[part] = _read_quantiles(made)
    return quantiles


def _require_some(horizon: int, paths: int) -> None:
    if horizon < 1 or paths < 1:
        raise ValueError(f"expected at least one step and one path, got horizon {horizon} and paths {paths}")


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _simulate(
    parameters: Floats,
    residuals: Floats,
    offsets: Ints,
    next_variance: Floats,
    words: Ints,
    cumulative: bool,
    made: Floats,
) -> None:
    """Fill returns, shape ``(S, H, P)``: paths fill the SIMD lanes, ``words`` below 2^32 choose residuals."""
    _, horizon, paths = made.shape
    for s in range(len(offsets) - 1):
        z = residuals[offsets[s] : offsets[s + 1]]
        z = z[np.isfinite(z)]
        if len(z) == 0 or not np.isfinite(next_variance[s]):
            made[s] = np.nan
            continue
        mu, omega, alpha, gamma, beta = parameters[s]
        growth = beta + np.where(z < 0, alpha + gamma, alpha) * z * z
        h = np.full(paths, next_variance[s])
        for step in range(horizon):
            now, before = made[s, step], made[s, max(step - 1, 0)]
            for path in range(paths):
                drawn = (words[step, path] * len(z)) >> 32
                now[path] = mu + np.sqrt(h[path]) * z[drawn]
                h[path] = omega + growth[drawn] * h[path]
            if cumulative and step > 0:
                now += before


def _read_quantiles(ascending: Floats) -> Floats:
    """Return quantiles of ascending samples, shapes ``(…, P)`` and ``(…, 23)``; a NaN sample gives NaN.

    Position ``level·(P + 1)``, the extremes beyond the ends (Hyndman and Fan 1996, definition 6).
    """
    last = ascending.shape[-1] - 1
    position = np.clip(LEVELS * (last + 2) - 1, 0, last)
    below = position.astype(np.int64)
    low, high = ascending[..., below], ascending[..., np.minimum(below + 1, last)]
    return np.asarray(np.minimum(low + (position - below) * (high - low), high))
