"""How large the sums of :mod:`.cusum` grow by chance: p-values that hold at every look over 1,000 values. Pure.

The table ships. ``python -m pulse_assets.trust.detection.thresholds`` makes it again, by running the same pipeline over
autoregressive streams in which nothing changes, and sorting the largest sums by the autocorrelation that was estimated:
what was estimated as .8 may be .9, and then sums grow farther.
"""

import json
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pulse_assets.trust.detection.cusum import REFERENCE, fresh_streams, watch

Floats = npt.NDArray[np.float64]

HORIZON = 1_000
"""Values over which a stream may be watched for the p-values to hold."""
WARNS, ALARMS = 0.1, 0.01
TABLE = "cusum_null.json"
EDGES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Between which estimated autocorrelations the table tells apart."""
TAILS = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
STREAMS, SEED = 10_000, 20_261_125
TRUE = (*(0.0 for _ in range(11)), *(round(0.05 * step, 2) for step in range(20)))
"""Autocorrelations of the streams: one-step errors of a model have hardly any, so none is the most common."""


@lru_cache(maxsize=1)
def null_table() -> Floats:
    """Return the largest sums that chance exceeds with probability :data:`TAILS`, shape ``(bins of φ, tails)``."""
    text = resources.files(__package__).joinpath(TABLE).read_text(encoding="utf-8")
    return np.array(json.loads(text)["quantiles"])


def p_values(largest: Floats, phi: Floats) -> Floats:
    """Return the probability that a stream in which nothing changes ever shows such a sum within 1,000 values.

    Parameters
    ----------
    largest
        Largest sum so far, shape ``(S,)``.
    phi
        Estimated autocorrelation, shape ``(S,)``.

    Returns
    -------
    array
        Shape ``(S,)``, in (0, 1]. It falls as the sum grows, and may be looked at after every value. Beyond the table
        the last two tails are carried on, which sums of this kind follow.

    Examples
    --------
    >>> p = p_values(np.array([0.0, 15.0, 60.0]), np.zeros(3))
    >>> bool(p[0] == 1 and 0.005 < p[1] < 0.02 and p[2] < 1e-3)
    True
    """
    table, logs = null_table(), np.log(TAILS)
    found = np.empty(len(largest))
    bins = np.searchsorted(EDGES, phi)
    for place in range(len(table)):
        rows = bins == place
        at = table[place]
        inside = np.interp(largest[rows], np.append(0.0, at), np.append(0.0, logs))
        slope = (logs[-1] - logs[-4]) / (at[-1] - at[-4])
        beyond = logs[-1] + slope * (largest[rows] - at[-1])
        found[rows] = np.exp(np.where(largest[rows] > at[-1], beyond, inside))
    return found


def threshold(phi: Floats, tail: float = ALARMS) -> Floats:
    """Return the sum that is exceeded with a probability of the table, shape of ``phi``."""
    return np.asarray(null_table()[np.searchsorted(EDGES, phi), TAILS.index(tail)])


def simulate_null() -> Floats:
    """Run the pipeline over streams in which nothing changes; return the table (about a minute)."""
    random = np.random.default_rng(SEED)
    largest, estimated = [], []
    for phi in TRUE:
        streams, rows = fresh_streams(STREAMS), np.arange(STREAMS)
        value = random.standard_normal(STREAMS) / np.sqrt(1 - phi**2)
        for _ in range(REFERENCE + HORIZON):
            watch(streams, rows, value)
            value = phi * value + random.standard_normal(STREAMS)
        largest.append(streams.largest)
        estimated.append(streams.phi)
    sums, bins = np.concatenate(largest), np.searchsorted(EDGES, np.concatenate(estimated))
    quantiles = [np.quantile(sums[bins == place], 1 - np.array(TAILS)) for place in range(len(EDGES) + 1)]
    return np.maximum.accumulate(np.array(quantiles), axis=0)


if __name__ == "__main__":
    made = {"streams": STREAMS, "seed": SEED, "quantiles": simulate_null().round(3).tolist()}
    Path(__file__).with_name(TABLE).write_text(json.dumps(made) + "\n", encoding="utf-8")
