"""A sequential test for many streams: prewhitened, made normal scores, summed up, judged by simulated limits. Pure.

A stream's first 100 values are its reference. From then on each value is predicted from the one before by the
reference's autocorrelation, the error takes the normal score of its rank among the reference's errors, and two sums
watch for rises and falls. How large a sum may grow by chance was found by simulating exactly this, see
:mod:`.thresholds`; it includes what estimating from 100 values costs, which textbook limits do not.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.special import ndtri

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

REFERENCE = 100
"""Values that a stream is compared with."""
ALLOWANCE = 0.5
"""Half the shift, in standard deviations, that is found fastest: ``k`` of the field."""
HELD = 30
"""Values for which an alarm stays, before the values after it become the next reference."""
SMALL_SAMPLE = 1.9
"""Autocorrelation estimated from n values is too small by up to twice this over n of itself."""
SCORES: Floats = np.asarray(ndtri((np.arange(1, REFERENCE + 1) - 0.5) / REFERENCE), np.float64)


class Streams(NamedTuple):
    """The state of S streams, changed in place.

    Attributes
    ----------
    values
        The reference as it is learned, in order, shape ``(S, 100)``.
    errors
        Its one-step errors, ordered, shape ``(S, 99)``; valid once learned.
    held
        Values of the reference so far, shape ``(S,)``.
    phi, mean
        Autocorrelation and mean of the reference, shape ``(S,)``.
    last
        Newest value, shape ``(S,)``.
    up, down, largest
        Sums for rises and falls, and the largest of either since the reference, shape ``(S,)``.
    watched
        Values since the reference, shape ``(S,)``.
    """

    values: Floats
    errors: Floats
    held: Ints
    phi: Floats
    mean: Floats
    last: Floats
    up: Floats
    down: Floats
    largest: Floats
    watched: Ints


def fresh_streams(count: int) -> Streams:
    """Return the state of streams that have seen nothing."""
    return Streams(
        values=np.zeros((count, REFERENCE)),
        errors=np.zeros((count, REFERENCE - 1)),
        held=np.zeros(count, np.int64),
        phi=np.zeros(count),
        mean=np.zeros(count),
        last=np.zeros(count),
        up=np.zeros(count),
        down=np.zeros(count),
        largest=np.zeros(count),
        watched=np.zeros(count, np.int64),
    )


def watch(streams: Streams, rows: Ints, values: Floats) -> None:
    """Take in one value for each of some streams.

    Parameters
    ----------
    rows
        Which, shape ``(k,)``, each at most once.
    values
        Shape ``(k,)``; NaN is left out.
    """
    _watch(*streams, rows, values)


def restart(streams: Streams, rows: Ints) -> None:
    """Forget the references of some streams: what comes next is learned anew."""
    for column in streams:
        column[rows] = 0


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _watch(
    reference: Floats,
    errors: Floats,
    held: Ints,
    phi: Floats,
    mean: Floats,
    last: Floats,
    up: Floats,
    down: Floats,
    largest: Floats,
    watched: Ints,
    rows: Ints,
    values: Floats,
) -> None:
    for place in range(len(rows)):
        row, value = rows[place], values[place]
        if np.isnan(value):
            continue
        if held[row] < REFERENCE:
            reference[row, held[row]] = value
            held[row] += 1
            last[row] = value
            if held[row] == REFERENCE:
                mean[row], phi[row] = learned(reference[row], errors[row])
            continue
        error = (value - mean[row]) - phi[row] * (last[row] - mean[row])
        last[row] = value
        score = _score(errors[row], error)
        up[row] = max(0.0, up[row] + score - ALLOWANCE)
        down[row] = max(0.0, down[row] - score - ALLOWANCE)
        largest[row] = max(largest[row], up[row], down[row])
        watched[row] += 1


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def learned(reference: Floats, errors: Floats) -> tuple[float, float]:
    """Fill the ordered errors of a reference; return its mean and autocorrelation."""
    mean = reference.mean()
    product, square = 0.0, 0.0
    for place in range(1, len(reference)):
        product += (reference[place] - mean) * (reference[place - 1] - mean)
    for place in range(len(reference)):
        square += (reference[place] - mean) ** 2
    phi = product / square if square > 0.0 else 0.0
    if phi > 0.0:
        phi = min(phi * (1.0 + 2.0 * SMALL_SAMPLE / len(reference)), 0.97)
    for place in range(1, len(reference)):
        errors[place - 1] = (reference[place] - mean) - phi * (reference[place - 1] - mean)
    errors.sort()
    return mean, phi


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _score(ordered: Floats, error: float) -> float:
    """Return the normal score of the rank of a value among ordered ones, itself included; ties take the middle."""
    low, high = np.searchsorted(ordered, error), np.searchsorted(ordered, error, side="right")
    if low == high:
        return SCORES[low]  # type: ignore[no-any-return]
    return 0.5 * (SCORES[low] + SCORES[high])  # type: ignore[no-any-return]
