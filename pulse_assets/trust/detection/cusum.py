"""A sequential test for many streams: prewhitened, made normal scores, summed up, judged by simulated limits. Pure.

A stream's first 100 values are its reference. From then on each value is predicted from the one before by the
reference's autocorrelation, the error takes the normal score of its rank among the reference's errors, and two sums
watch for rises and falls. The reference grows by 25 values at a time to 200; none joins it before 25 others have come,
so that a change is seen before it is taken for normal. How large a sum may grow by chance was found by simulating
exactly this, see :mod:`.thresholds`; it includes what estimating from so few values costs, which textbook limits do
not.

Measured 2026-11, ``python -m benchmarks.drift_detectors``.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.special import ndtri

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

REFERENCE, GROWN = 100, 200
"""Values that a stream is compared with, at first and in the end."""
GROWTH, GAP = 25, 25
"""Values by which the reference grows, and values that stand between it and the newest."""
KEPT = GROWN + GAP
ALLOWANCE = 0.4
"""Half the shift, in standard deviations, that is found fastest: ``k`` of the field. Autocorrelation that is taken out
takes part of a shift along, so a little less than half of what is looked for."""
HELD = 30
"""Values for which an alarm stays, before the values after it become the next reference."""
STRONGEST = 0.97
"""Autocorrelation beyond which none is believed: differences would be watched, not values."""
SCORES: Floats = np.array(
    [np.pad(ndtri((np.arange(size) + 0.5) / size), (0, GROWN - size)) for size in range(REFERENCE, GROWN + 1, GROWTH)]
)
"""Normal score of each rank, for each size of the reference."""


class Streams(NamedTuple):
    """The state of S streams, changed in place.

    Attributes
    ----------
    values
        What the reference is made of, in order, shape ``(S, 225)``.
    errors
        Its one-step errors, ordered, shape ``(S, 199)``: one less than :func:`reference_size`.
    held
        Values kept so far, shape ``(S,)``.
    phi, mean
        Autocorrelation and mean of the reference, shape ``(S,)``.
    last
        Newest value, shape ``(S,)``.
    up, down, largest
        Sums for rises and falls, and the largest of either while watched, shape ``(S,)``.
    watched
        Values watched, shape ``(S,)``.
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
        values=np.zeros((count, KEPT)),
        errors=np.zeros((count, GROWN - 1)),
        held=np.zeros(count, np.int64),
        phi=np.zeros(count),
        mean=np.zeros(count),
        last=np.zeros(count),
        up=np.zeros(count),
        down=np.zeros(count),
        largest=np.zeros(count),
        watched=np.zeros(count, np.int64),
    )


def watch(streams: Streams, rows: Ints, values: Floats, allowance: float = ALLOWANCE) -> None:
    """Take in one value for each of some streams.

    Parameters
    ----------
    streams
        Changed in place.
    rows
        Which, shape ``(k,)``, each at most once.
    values
        Shape ``(k,)``; NaN and infinity are left out, as if nothing had come.
    allowance
        What is taken off each score: half the shift that is to be found fastest, in standard deviations.

    Raises
    ------
    ValueError
        Rows and values differ in number.

    References
    ----------
    Page (1954), Continuous inspection schemes; Hawkins and Olwell (1998), Cumulative Sum Charts, chapter 2.

    Examples
    --------
    >>> streams, stream = fresh_streams(1), np.array([0])
    >>> for value in [*np.sin(np.arange(100.0)), 5.0, 5.0]:
    ...     watch(streams, stream, np.array([value]))
    >>> int(streams.watched[0]), bool(streams.up[0] > 2), float(streams.down[0])
    (2, True, 0.0)
    """
    if len(rows) != len(values):
        raise ValueError(f"each stream needs one value; came {len(rows)} streams and {len(values)} values")
    _watch(*streams, rows, values, allowance)


def restart(streams: Streams, rows: Ints) -> None:
    """Forget the references of some streams: what comes next is learned anew."""
    for column in streams:
        column[rows] = 0


def begin_again(streams: Streams, rows: Ints) -> None:
    """Set the sums of some streams to nothing and keep their references."""
    for column in (streams.up, streams.down, streams.largest, streams.watched):
        column[rows] = 0


def learn_again(streams: Streams, rows: Ints) -> None:
    """Estimate anew what some streams have learned, from the values they hold."""
    for row in rows.tolist():
        size = reference_size(int(streams.held[row]))
        if size:
            known = streams.values[row, :size], streams.errors[row, : size - 1]
            streams.mean[row], streams.phi[row] = learned(*known)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _watch(
    kept: Floats,
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
    allowance: float,
) -> None:
    for place in range(len(rows)):
        row, value = rows[place], values[place]
        if not np.isfinite(value):
            continue
        size = reference_size(held[row])
        if size:
            error = (value - mean[row]) - phi[row] * (last[row] - mean[row])
            score = _score(errors[row, : size - 1], error, SCORES[(size - REFERENCE) // GROWTH])
            up[row] = max(0.0, up[row] + score - allowance)
            down[row] = max(0.0, down[row] - score - allowance)
            largest[row] = max(largest[row], up[row], down[row])
            watched[row] += 1
        last[row] = value
        if held[row] < KEPT:
            kept[row, held[row]] = value
            held[row] += 1
            grown = reference_size(held[row])
            if grown > size:
                mean[row], phi[row] = learned(kept[row, :grown], errors[row, : grown - 1])


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def reference_size(held: int) -> int:
    """Return how many of the values kept are the reference; 0 while there are fewer than 100."""
    if held < REFERENCE:
        return 0
    return min(GROWN, REFERENCE + GROWTH * max(0, (held - GAP - REFERENCE) // GROWTH))


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def learned(reference: Floats, errors: Floats) -> tuple[float, float]:
    """Fill the ordered errors of a reference; return its mean and autocorrelation.

    The autocorrelation of few values is too small by about ``(1 + 3φ) / n`` [1]_; twice that is put back, since sums
    of what was whitened too little grow far, and of what was whitened too much hardly. One below 0 is taken as 0:
    left in, it makes sums smaller, and with skewed values taking out what is not there links scores that were free
    (measured 2026-11, losses like χ² with 1 degree: 1.6 false alarms in 100 streams of 1,000 values became .9).

    References
    ----------
    .. [1] Marriott and Pope (1954), Bias in the estimation of autocorrelations.
    """
    mean, count = reference.mean(), len(reference)
    product, square = 0.0, 0.0
    for place in range(1, count):
        product += (reference[place] - mean) * (reference[place - 1] - mean)
    for place in range(count):
        square += (reference[place] - mean) ** 2
    phi = product / square if square > 0.0 else 0.0
    phi = min(max(phi + 2.0 * (1.0 + 3.0 * phi) / count, 0.0), STRONGEST) if square > 0.0 else 0.0
    for place in range(1, count):
        errors[place - 1] = (reference[place] - mean) - phi * (reference[place - 1] - mean)
    errors.sort()
    return mean, phi


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _score(ordered: Floats, error: float, scores: Floats) -> float:
    """Return the normal score of the rank of a value among ordered ones, itself included; ties take the middle."""
    low, high = np.searchsorted(ordered, error), np.searchsorted(ordered, error, side="right")
    if low == high:
        return scores[low]  # type: ignore[no-any-return]
    return 0.5 * (scores[low] + scores[high])  # type: ignore[no-any-return]
