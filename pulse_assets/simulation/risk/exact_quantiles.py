"""Exact quantiles of any number of float32 values from counts that merge by addition, in two passes over blocks. Pure.

The bits of float32 numbers, as whole numbers, are in the numbers' own order once the sign is seen to. The first pass
counts the high 16 bits, the second the low 16 bits of the values beside the wanted ranks.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.risk.histograms import Floats, Ints, Singles, ranks_of, refuse_nan

Bits = npt.NDArray[np.uint32]

COARSE = 65_536
"""Bins of each of the two passes."""
HALF, LOW_HALF, SIGN = np.uint32(16), np.uint32(0xFFFF), np.uint32(0x8000_0000)
RAW_BIN = np.concatenate([np.arange(COARSE - 1, COARSE // 2 - 1, -1), np.arange(COARSE // 2)])
"""High half of the bits of a float32 by that of its place in order: negative ones backwards, then positive ones."""
MAY_BE_NAN = np.array([[sign + part for part in range(0x7F80, 0x8000)] for sign in (0, 0x8000)]).ravel()
"""High halves of the bits of infinity and of NaN."""


def coarse_counts(values: Singles) -> Ints:
    """Count float32 values by the high 16 bits of their place in the order of all float32: the first pass.

    Returns
    -------
    Ints
        Shape ``(65536,)``; add those of all blocks.

    Raises
    ------
    ValueError
        The values are not float32, or one is NaN, which has no place in the order.
    """
    counts = np.bincount(_bits(values) >> HALF, minlength=COARSE).astype(np.int64)
    if counts[MAY_BE_NAN].any():
        refuse_nan(values)
    return np.asarray(counts[RAW_BIN])


def bins_of(coarse: Ints, ranks: Ints) -> tuple[Ints, Ints]:
    """Return the coarse bin that holds each rank and its rank within that bin, both shape ``(K,)``.

    Raises
    ------
    ValueError
        A rank is below 1 or above the number of values counted.
    """
    cumulative = np.cumsum(coarse)
    if ranks.size and not 1 <= int(ranks.min()) <= int(ranks.max()) <= int(cumulative[-1]):
        raise ValueError(f"ranks run from 1 to {int(cumulative[-1])}, the values counted; came {ranks.tolist()}")
    bins = np.searchsorted(cumulative, ranks)
    return bins.astype(np.int64), np.asarray(ranks - (cumulative[bins] - coarse[bins]))


def refine(values: Singles, bins: Ints) -> Ints:
    """Count by their low 16 bits the values that lie in some coarse bins: the second pass.

    Parameters
    ----------
    values
        One block of the values that :func:`coarse_counts` has seen.
    bins
        From :func:`bins_of`, shape ``(K,)``.

    Returns
    -------
    Ints
        Shape ``(K, 65536)``; add those of all blocks.
    """
    bits, wanted = _bits(values), np.zeros(COARSE, np.bool_)
    wanted[RAW_BIN[bins]] = True
    ordered = _ordered(bits[wanted[bits >> HALF]])
    high, low = ordered >> HALF, (ordered & LOW_HALF).astype(np.int64)
    rows = [np.bincount(low[high == each], minlength=COARSE) for each in bins]
    return np.asarray(np.array(rows, np.int64).reshape(len(bins), COARSE))


def order_statistics(fine: Ints, bins: Ints, within: Ints) -> Singles:
    """Return the float32 values of the ranks that :func:`bins_of` looked up, shape ``(K,)``."""
    low = (np.cumsum(fine, axis=1) < within[:, None]).sum(axis=1)
    return from_ordered_bits(((bins << 16) | low).astype(np.uint32))


def exact_quantiles(blocks: Callable[[], Iterable[Singles]], levels: Floats | Sequence[float]) -> Singles:
    """Return quantiles of any number of float32 values, equal to those of all of them sorted, in two passes.

    Parameters
    ----------
    blocks
        Called twice; gives the same values both times, in blocks of any size and order.
    levels
        Shape ``(K,)``, between 0 and 1.

    Returns
    -------
    Singles
        The value of rank :func:`ranks_of`, shape ``(K,)``; -0 counts as 0. NaN where there are no values.

    Raises
    ------
    ValueError
        The values are not float32, or one is NaN.

    Examples
    --------
    >>> values = np.arange(1000, dtype=np.float32)
    >>> exact_quantiles(lambda: np.split(values, 4), [0.5, 0.99]).tolist()
    [499.0, 989.0]
    """
    coarse = np.zeros(COARSE, np.int64)
    for block in blocks():
        coarse += coarse_counts(block)
    ranks = ranks_of(int(coarse.sum()), levels)
    if not coarse.any():
        return np.full(len(ranks), np.nan, np.float32)
    bins, within = bins_of(coarse, ranks)
    fine = np.zeros((len(bins), COARSE), np.int64)
    for block in blocks():
        fine += refine(block, bins)
    return order_statistics(fine, bins, within)


def ordered_bits(values: Singles) -> Bits:
    """Return whole numbers in the order of float32 values: the sign's bit is flipped, all bits of a negative one.

    Raises
    ------
    ValueError
        The values are not float32, or one is NaN.

    Examples
    --------
    >>> bits = ordered_bits(np.array([-np.inf, -1, 0, 1e-45, 1, np.inf], np.float32))
    >>> bool(np.all(np.diff(bits.astype(np.int64)) > 0))
    True
    """
    refuse_nan(values)
    return _ordered(_bits(values))


def from_ordered_bits(ordered: Bits) -> Singles:
    """Return the float32 values that :func:`ordered_bits` came from."""
    return np.asarray(np.where(ordered & SIGN, ordered ^ SIGN, ~ordered)).view(np.float32)


def _bits(values: Singles) -> Bits:
    if values.dtype != np.float32:
        raise ValueError(f"bits are ordered of float32; came {values.dtype}: convert, which rounds")
    return (values + np.float32(0)).view(np.uint32)  # adding 0 makes 0 of -0


def _ordered(bits: Bits) -> Bits:
    return np.asarray(np.where(bits & SIGN, ~bits, bits | SIGN))
