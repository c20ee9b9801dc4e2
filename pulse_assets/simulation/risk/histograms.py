"""Histograms of states that merge by addition, and what is read from them: quantiles, means, expected exposure. Pure.

Counts are int64, so that merging is exact in any order. Exact quantiles of outcomes are in ``exact_quantiles``, what
is done with a loss in ``risk``.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

BINS = 4096
"""Bins of a recorded variable; the first and the last also hold what lies outside."""
FRACTION_BITS = 20
"""Fixed-point sums are whole multiples of two to minus this."""
ROUNDING = 1e-9
"""0.55 of 100 values is 55.00000000000001 in floating point, and yet rank 55."""


def ranks_of(count: Ints | int, levels: Floats | Sequence[float]) -> Ints:
    """Return which value in ascending order is the quantile: the lowest with at least that share at or below it.

    Parameters
    ----------
    count
        How many values there are, at least 1, any shape ``(...)``.
    levels
        Shape ``(K,)``, between 0 and 1.

    Returns
    -------
    Ints
        Counted from 1, shape ``(..., K)``.

    Raises
    ------
    ValueError
        A level is not between 0 and 1.

    References
    ----------
    Hyndman and Fan (1996), Sample quantiles in statistical packages, definition 1.

    Examples
    --------
    >>> ranks_of(100, [0.55, 0.551, 0.99]).tolist()
    [55, 56, 99]
    """
    wanted = np.asarray(levels, np.float64)
    if not bool(np.all((wanted > 0) & (wanted < 1))):
        raise ValueError(f"levels lie between 0 and 1, as 0.99 does; came {wanted.tolist()}")
    exact = np.multiply.outer(np.asarray(count, np.float64), wanted)
    return np.asarray(np.maximum(np.ceil(exact - ROUNDING), 1).astype(np.int64))


def count_in_bins(values: Floats | Singles, low: float, width: float, bins: int = BINS) -> Ints:
    """Count values in equal bins from ``low`` up; what lies outside counts in the first or the last.

    Parameters
    ----------
    values
        Shape ``(N,)``.
    low, width
        Lower edge of the first bin and width of each, in the unit of the values.

    Returns
    -------
    Ints
        Shape ``(bins,)``.

    Raises
    ------
    ValueError
        A value is NaN: it belongs in no bin.

    Examples
    --------
    >>> count_in_bins(np.array([-9.0, 0.5, 0.75, 1.0, 9.0]), low=0.0, width=1.0, bins=3).tolist()
    [3, 1, 1]
    """
    refuse_nan(values)
    place = np.clip(np.floor((values.astype(np.float64) - low) / width), 0, bins - 1)
    return np.bincount(place.astype(np.int64), minlength=bins).astype(np.int64)


def merge(parts: Iterable[Ints]) -> Ints:
    """Return the sum of histograms or fixed-point sums of one shape, whatever their order.

    Raises
    ------
    ValueError
        There are none, their shapes differ, or they are not int64, whose sums would not be exact.

    Examples
    --------
    >>> merge([np.array([1, 2]), np.array([0, 5])]).tolist()
    [1, 7]
    """
    total: Ints | None = None
    for part in parts:
        if part.dtype != np.int64 or (total is not None and part.shape != total.shape):
            shape = "any shape" if total is None else f"shape {total.shape}"
            raise ValueError(f"expected int64 of {shape} to add; came {part.dtype} of shape {part.shape}")
        total = part.copy() if total is None else total + part
    if total is None:
        raise ValueError("there is no histogram to merge; pass at least one")
    return total


def quantiles(counts: Ints, low: Floats | float, width: Floats | float, levels: Floats | Sequence[float]) -> Floats:
    """Return quantiles of counted values, within one bin's width of those of the values themselves.

    The value of rank r stands in the bin that the r-th count falls in; within the bin values are taken to be spread
    evenly, the i-th of c at ``(i - 0.5) / c`` of its width.

    Parameters
    ----------
    counts
        Shape ``(..., BINS)``. A histogram without counts gives NaN.
    low, width
        Lower edge of the first bin and width of each, shape ``(...)`` or one for all.
    levels
        Shape ``(K,)``, between 0 and 1.

    Returns
    -------
    Floats
        Shape ``(..., K)``. Where :func:`share_outside` says that the level lies in an end bin the range was too
        narrow, and the value is only a bound.

    Raises
    ------
    ValueError
        A level is not between 0 and 1.

    Examples
    --------
    >>> quantiles(np.array([0, 2, 1, 0]), low=10.0, width=1.0, levels=[0.5, 0.9]).tolist()
    [11.75, 12.5]
    """
    cumulative = np.cumsum(counts, axis=-1)
    count = cumulative[..., -1]
    ranks = ranks_of(count, levels)
    place = np.stack([(cumulative < rank[..., None]).sum(-1) for rank in np.moveaxis(ranks, -1, 0)], axis=-1)
    place = np.minimum(place, counts.shape[-1] - 1)
    inside = np.take_along_axis(counts, place, axis=-1)
    before = np.take_along_axis(cumulative, place, axis=-1) - inside
    share = (ranks - before - 0.5) / np.maximum(inside, 1)
    found = np.asarray(low)[..., None] + np.asarray(width)[..., None] * (place + share)
    return np.asarray(np.where(count[..., None] > 0, found, np.nan))


def share_outside(counts: Ints) -> tuple[Floats, Floats]:
    """Return the share of values in the first and in the last bin of histograms ``(..., BINS)``, each ``(...)``.

    Examples
    --------
    >>> [float(share) for share in share_outside(np.array([1, 6, 3]))]
    [0.1, 0.3]
    """
    count = np.maximum(counts.sum(-1), 1)
    return np.asarray(counts[..., 0] / count), np.asarray(counts[..., -1] / count)


def mean_from_sums(sums: Ints, count: Ints | int, fraction_bits: int = FRACTION_BITS) -> Floats:
    """Return means from fixed-point sums, shape ``(...)``; NaN where nothing was counted.

    Sums are exact as long as they stay below ``2**63``: in units, 8.8e12 with 20 bits of fraction. Each summand was
    rounded to a multiple of ``2**-20``, so that a mean is off by half of that at most.

    Examples
    --------
    >>> float(mean_from_sums(np.array(3 << 20), 2))
    1.5
    """
    number = np.asarray(count, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(number > 0, np.ldexp(sums.astype(np.float64), -fraction_bits) / number, np.nan))


def expected_positive_part(counts: Ints, low: Floats | float, width: Floats | float) -> Floats:
    """Return the mean of ``max(value, 0)`` of counted values, to half a bin's width: the expected exposure.

    Parameters
    ----------
    counts, low, width
        As :func:`quantiles` takes them.

    Returns
    -------
    Floats
        Shape ``(...)``; NaN without counts.

    Examples
    --------
    >>> float(expected_positive_part(np.array([1, 1, 2]), low=-1.0, width=1.0))
    0.875
    """
    middle = np.asarray(low)[..., None] + np.asarray(width)[..., None] * (np.arange(counts.shape[-1]) + 0.5)
    count = counts.sum(-1)
    with np.errstate(invalid="ignore"):
        return np.asarray((counts * np.maximum(middle, 0)).sum(-1) / np.where(count > 0, count, np.nan))


def refuse_nan(values: Floats | Singles) -> None:
    """Raise if a value is NaN.

    Raises
    ------
    ValueError
        How many are, and the position of the first.
    """
    unknown = np.flatnonzero(np.isnan(values))
    if unknown.size:
        where = f"the first at position {unknown[0]}"
        raise ValueError(
            f"{unknown.size} of {values.size} values are NaN, {where}: they can be neither ranked nor counted"
        )
