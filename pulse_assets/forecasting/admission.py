"""Whether something from outside the pool earns a place in it: it must beat the pool on rows that did not fit it. Pure.

Rows of one series, and rows of one origin, share shocks. So the standard error of a gain is that of clusters: by
series and by origin, whichever is larger.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ADMITTED, NO_GAIN, TOO_FEW_ROWS = "ADMITTED", "NO_GAIN", "TOO_FEW_ROWS"
NEWEST = 0.35
"""Share of the origins, the newest, that judge what was fitted on the others."""
FEWEST_CLUSTERS = 8
"""Series or origins among the judged rows that a standard error needs."""
LEAST_GAIN, STANDARD_ERRORS = 0.005, 2.0
"""Share of the loss that must be saved, and how many standard errors of itself: twice what tuning asks of the pool's
own members, because a false admission also costs the time of a slow model."""
LARGEST_LOSS = 20.0
"""A scaled error counts for at most this."""


def newest_rows(ago: Ints) -> Bools:
    """Return which rows judge: those of the newest origins, at least one; all where there is only one origin.

    Parameters
    ----------
    ago
        Steps between each row's origin and the newest observation, shape ``(N,)``.

    Examples
    --------
    >>> newest_rows(np.array([9, 6, 3, 3])).tolist()
    [False, False, True, True]
    """
    steps = np.unique(ago)
    last = steps[max(1, int(NEWEST * len(steps))) - 1] if len(steps) else 0
    return np.asarray(ago <= last)


def scaled_losses(error: Floats, scale: Floats) -> Floats:
    """Return the mean scaled absolute error of each row, shape ``(N,)``.

    Parameters
    ----------
    error
        Shape ``(N, H)``.
    scale
        Weight of an error of each row, shape ``(N,)``: one over the typical change of its series.
    """
    return np.asarray(np.minimum(np.abs(error) * scale[:, None], LARGEST_LOSS).mean(axis=1))


def standard_error(saved: Floats, group: Ints) -> float:
    """Return the standard error of a mean whose terms are alike within groups.

    Parameters
    ----------
    saved, group
        Shape ``(N,)``. NaN comes back where there are fewer than two groups.

    References
    ----------
    Liang and Zeger (1986), Longitudinal data analysis using generalized linear models.

    Examples
    --------
    >>> round(standard_error(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1])), 6)
    1.0
    """
    _, place = np.unique(group, return_inverse=True)
    sums = np.bincount(place, saved - saved.mean()) if len(saved) else np.empty(0)
    if len(sums) < 2:
        return float("nan")
    return float(np.sqrt((sums * sums).sum() * len(sums) / (len(sums) - 1)) / len(saved))


def enough(series: Ints, ago: Ints) -> bool:
    """Return whether judged rows have series or origins enough for a verdict."""
    return max(len(np.unique(series)), len(np.unique(ago))) >= FEWEST_CLUSTERS


def gain_of(before: Floats, after: Floats, series: Ints, ago: Ints) -> float:
    """Return by how much a mean loss fell, or 0 when that is too little or may be chance.

    Parameters
    ----------
    before, after
        Loss of each judged row, shape ``(N,)``.
    series, ago
        Which series a row belongs to and how long ago its origin was, shape ``(N,)``.

    Examples
    --------
    >>> rows = np.arange(8)
    >>> gain_of(np.ones(8), np.full(8, 0.5), rows, rows)
    0.5
    >>> gain_of(np.ones(8), np.full(8, 0.999), rows, rows)
    0.0
    """
    if not enough(series, ago):
        return 0.0
    saved = before - after
    gain, noise = float(saved.mean()), np.nanmax([standard_error(saved, series), standard_error(saved, ago)])
    return gain if gain > max(LEAST_GAIN * float(before.mean()), STANDARD_ERRORS * noise) else 0.0
