"""How large the sums of :mod:`.cusum` grow by chance: p-values that hold at every look over 1,000 values. Pure.

The table ships. ``python -m pulse_assets.trust.detection.thresholds`` makes it again, by running the same pipeline over
autoregressive streams in which nothing changes, and sorting the largest sums by the autocorrelation that was estimated:
what was estimated as .5 may be .7, and then sums grow farther. Limits are then moved until streams of no true
autocorrelation up to .95 exceed them more often than said, so that which one is true need not be known.
"""

import json
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pulse_assets.trust.detection.cusum import ALLOWANCE, GAP, GROWTH, KEPT, REFERENCE, fresh_streams, watch

Floats = npt.NDArray[np.float64]

HORIZON = 1_000
"""Values over which a stream may be watched for the p-values to hold."""
WARNS, ALARMS = 0.1, 0.01
TABLE = "cusum_null.json"
ALLOWANCES = (0.5, 0.4, 0.25)
"""The one that is used, and one on either side."""
EDGES = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85)
"""Between which estimated autocorrelations the table tells apart."""
TAILS = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
STREAMS, SEED = 12_000, 20_261_125
TRUE = tuple(round(0.05 * step, 2) for step in range(20))
"""Autocorrelations of the streams that are simulated."""
MARGIN = 0.85
"""Share of each tail that limits are set to use: so many streams tell one of a hundred within a tenth of itself, and
what is said to be rare should be at least so rare."""
ROUNDS = 60
"""In which limits are moved until no autocorrelation has more false alarms than another."""


@lru_cache(maxsize=len(ALLOWANCES))
def null_table(allowance: float = ALLOWANCE) -> Floats:
    """Return the largest sums that chance exceeds with probability :data:`TAILS`, shape ``(bins of φ, tails)``.

    Raises
    ------
    ValueError
        Nothing was simulated for that allowance.
    """
    if allowance not in ALLOWANCES:
        raise ValueError(f"limits were simulated for allowances of {ALLOWANCES}; came {allowance}")
    text = resources.files(__package__).joinpath(TABLE).read_text(encoding="utf-8")
    return np.array(json.loads(text)["quantiles"][str(allowance)])


def p_values(largest: Floats, phi: Floats, allowance: float = ALLOWANCE) -> Floats:
    """Return the probability that a stream in which nothing changes ever shows such a sum within 1,000 values.

    Parameters
    ----------
    largest
        Largest sum so far, shape ``(S,)``.
    phi
        Estimated autocorrelation, shape ``(S,)``.
    allowance
        With which the sums were made, one of :data:`ALLOWANCES`.

    Returns
    -------
    array
        Shape ``(S,)``, in (0, 1]. It falls as the sum grows, and may be looked at after every value. Beyond the table
        the last tails are carried on, which sums of this kind follow. NaN gives NaN.

    Raises
    ------
    ValueError
        Nothing was simulated for that allowance.

    Examples
    --------
    >>> p = p_values(np.array([0.0, 15.0, 60.0]), np.zeros(3))
    >>> bool(p[0] == 1 and 0.002 < p[1] < 0.02 and p[2] < 1e-3)
    True
    """
    table, logs = null_table(allowance), np.log(TAILS)
    found = np.full(len(largest), np.nan)
    bins = np.searchsorted(EDGES, phi)
    for place in range(len(table)):
        rows = bins == place
        at = table[place]
        inside = np.interp(largest[rows], np.append(0.0, at), np.append(0.0, logs))
        slope = (logs[-1] - logs[-4]) / (at[-1] - at[-4])
        beyond = logs[-1] + slope * (largest[rows] - at[-1])
        found[rows] = np.exp(np.where(largest[rows] > at[-1], beyond, inside))
    return np.asarray(np.maximum(found, np.finfo(float).tiny))


def threshold(phi: Floats, tail: float = ALARMS, allowance: float = ALLOWANCE) -> Floats:
    """Return the sum that is exceeded with a probability of the table, shape of ``phi``."""
    return np.asarray(null_table(allowance)[np.searchsorted(EDGES, phi), TAILS.index(tail)])


def simulate_null(allowance: float, streams: int = STREAMS, seed: int = SEED) -> Floats:
    """Run the pipeline over streams in which nothing changes; return the table.

    Parameters
    ----------
    allowance
        What is taken off each score.
    streams
        How many for each autocorrelation.
    seed
        Of the random numbers.

    Returns
    -------
    array
        Shape ``(bins of φ, tails)``.
    """
    random = np.random.default_rng(seed)
    looks = [*range(REFERENCE + GROWTH + GAP, KEPT + 1, GROWTH), REFERENCE + HORIZON]
    largest, estimated = (np.empty((len(TRUE), streams, len(looks))) for _ in range(2))
    for place, phi in enumerate(TRUE):
        state, rows = fresh_streams(streams), np.arange(streams)
        value = random.standard_normal(streams) / np.sqrt(1 - phi**2)
        for step in range(1, REFERENCE + HORIZON + 1):
            if step in looks:  # the newest value of this step changes the estimate
                largest[place, :, looks.index(step)], estimated[place, :, looks.index(step)] = state.largest, state.phi
            watch(state, rows, value, allowance)
            value = phi * value + random.standard_normal(streams)
    return _limits(largest, np.searchsorted(EDGES, estimated))


def _limits(largest: Floats, bins: npt.NDArray[np.int64]) -> Floats:
    """Return limits by bin of φ̂ such that the streams of no true φ exceed them more often than said.

    The sums come as they are each time before φ is estimated anew, shape ``(true φ, streams, estimates)``.
    A φ whose streams do so too often raises the limits of the bins where they do, one whose streams do so too seldom
    lowers them a quarter as much.
    """
    table = np.empty((len(EDGES) + 1, len(TAILS)))
    for column, tail in enumerate(MARGIN * np.array(TAILS)):
        limits = np.array([np.quantile(largest[bins == place], 1 - tail) for place in range(len(table))])
        for _ in range(ROUNDS):
            over = largest >= limits[bins]
            exceeds = over.any(axis=2)
            # with its neighbours: the share of one φ alone is noisy
            often = np.convolve(np.pad(exceeds.mean(axis=1), 1, mode="edge"), np.full(3, 1 / 3), mode="valid")
            excess = np.log(np.maximum(often, tail / 4) / tail)
            where = np.array([(over & (bins == place)).mean(axis=(1, 2)) for place in range(len(table))])
            move = (where @ np.where(excess > 0, 4 * excess, excess)) / np.maximum(where.sum(axis=1), 1e-12)
            limits = np.maximum.accumulate(limits * np.exp(0.1 * move))
        table[:, column] = limits
    return np.maximum.accumulate(table, axis=1)


if __name__ == "__main__":
    made = {str(allowance): simulate_null(allowance).round(3).tolist() for allowance in ALLOWANCES}
    text = json.dumps({"streams": STREAMS, "seed": SEED, "quantiles": made})
    Path(__file__).with_name(TABLE).write_text(text + "\n", encoding="utf-8")
