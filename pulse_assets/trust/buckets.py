"""Horizons that are judged together. Pure."""

import numpy as np
import numpy.typing as npt

BUCKETS = ("1", "2-5", "6-20", "21+")
"""In steps of the series' own frequency, whatever its horizon: the next step, and what lies 5, 20 and more ahead."""
LAST_STEPS = np.array([1, 5, 20])
LONGEST = {"1": 1, "2-5": 5, "6-20": 20, "21+": 24}
"""How many steps the errors of a bucket may overlap."""


def bucket_codes(h: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return the place of each horizon's bucket in :data:`BUCKETS`.

    Examples
    --------
    >>> bucket_codes(np.array([1, 2, 5, 6, 21])).tolist()
    [0, 1, 1, 2, 3]
    """
    return np.searchsorted(LAST_STEPS, h).astype(np.int64)
