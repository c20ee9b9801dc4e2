"""Which origins' simulations overlap in time. Pure.

What belongs here: counting weekdays between origins. What is tested on those that stand apart is decided elsewhere.
"""

import numpy as np
import numpy.typing as npt

Days = npt.NDArray[np.datetime64]
Ints = npt.NDArray[np.int64]


def spacing_of(origins: Days) -> int:
    """Return how many weekdays usually lie between one origin and the next, at least 1.

    Parameters
    ----------
    origins
        ``datetime64[D]``, strictly rising.

    Examples
    --------
    >>> spacing_of(np.array(["2018-06-01", "2018-06-08", "2018-06-15"], "datetime64[D]"))
    5
    """
    if len(origins) < 2:
        return 1
    return max(1, int(np.median(np.busday_count(origins[:-1], origins[1:]))))


def apart(origins: Days, steps: int) -> Ints:
    """Return places of origins at least so many weekdays apart, from the first one on: their scores do not overlap.

    Parameters
    ----------
    origins
        ``datetime64[D]``, strictly rising.
    steps
        Weekdays that a score spans; 1 takes all.

    Examples
    --------
    >>> apart(np.array(["2018-06-01", "2018-06-04", "2018-06-08", "2018-06-11"], "datetime64[D]"), 5).tolist()
    [0, 2]
    """
    number = np.busday_count(np.datetime64("1970-01-01"), origins)
    chosen: list[int] = []
    for place, day in enumerate(number):
        if not chosen or day - number[chosen[-1]] >= steps:
            chosen.append(place)
    return np.array(chosen, np.int64)
