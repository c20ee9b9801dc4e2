"""Compiled loops over when things became known: what precedes an origin, and which rows change the past."""

import numpy as np
import numpy.typing as npt
from numba import njit

Ints = npt.NDArray[np.int64]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def prefix_counts(known: Ints, offsets: Ints, after: Ints, until: Ints, ends: Ints) -> Ints:
    """Return how many observations each segment had before each end, 0 where it does not serve; shape ``(S, O)``."""
    counts = np.zeros((len(offsets) - 1, len(ends)), np.int64)
    for segment in range(len(offsets) - 1):
        low, high = offsets[segment], offsets[segment + 1]
        for origin in range(len(ends)):
            if after[segment] < ends[origin] <= until[segment]:
                counts[segment, origin] = np.searchsorted(known[low:high], ends[origin])
    return counts


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def revising_rows(ds: Ints, bounds: Ints) -> npt.NDArray[np.bool_]:
    """Return which rows do not extend their series: an earlier-known row has the same or a later event time."""
    found = np.zeros(len(ds), np.bool_)
    for series in range(len(bounds) - 1):
        newest = ds[bounds[series]]
        for row in range(bounds[series] + 1, bounds[series + 1]):
            found[row] = ds[row] <= newest
            newest = max(newest, ds[row])
    return found
