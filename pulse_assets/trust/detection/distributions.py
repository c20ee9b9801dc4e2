"""Compares two samples of every column of a panel: did its distribution change? Pure.

Each sample is put in order once; Kolmogorov-Smirnov, Wasserstein and stability index all come from that. Nothing is
drawn here: a report on the few columns that changed most is :mod:`.report`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pulse_assets.numerics.comparison import benjamini_hochberg
from pulse_assets.trust.detection.distributions_kernels import compare_rows, effective_sizes
from pulse_assets.trust.detection.distributions_significance import distance_p_values

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Samples = Floats | Sequence[Floats]
"""One row a column of the panel: an array ``(S, n)``, in which NaN pads, or S arrays of any lengths."""

BINS = 10
AT_ONCE = 131_072
"""Values that are sorted and merged while they are still in the processor's cache; sorting is five times as fast."""


@dataclass(frozen=True)
class PanelComparison:
    """What the comparison of S columns found; each entry has shape ``(S,)``.

    Parameters
    ----------
    statistic
        Kolmogorov-Smirnov distance, in [0, 1].
    p_value, q_value
        Of that distance by chance, alone and after Benjamini-Hochberg over the panel.
    wasserstein
        Wasserstein-1 distance, in the unit of the column.
    psi
        Population stability index in bins of equal shares of the reference, less its mean where independent values
        did not change; below 0 as often as not then. Of 365 beside 90 values with an autocorrelation of 0.5, 0.05
        too much; effective sizes would take out 0.18 too much.
    reference_size, recent_size
        Finite values that were compared.
    reference_effective, recent_effective
        Independent values they are worth.

    Notes
    -----
    NaN, other than in sizes, where a column has no finite value in either sample; p and q also where both together
    are worth less than one independent value. NaN is no evidence of no change.
    """

    statistic: Floats
    p_value: Floats
    q_value: Floats
    wasserstein: Floats
    psi: Floats
    reference_size: Ints
    recent_size: Ints
    reference_effective: Floats
    recent_effective: Floats

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self.statistic)


def compare_panel(
    reference: Samples, recent: Samples, *, autocorrelated: bool = False, bins: int = BINS
) -> PanelComparison:
    """Compare two samples of each column of a panel.

    Parameters
    ----------
    reference, recent
        Shapes ``(S, n)`` and ``(S, m)``, or S arrays each; in order of time if ``autocorrelated``. What is not finite
        is left out; sizes say how much is left.
    autocorrelated
        Count samples as the ``n (1 - r) / (1 + r)`` independent values that they are worth by their own
        autocorrelation r at lag 1. Where r is 0.5 and nothing changed, 24 % of columns have a p-value below 0.05
        without it and 2 % with it (365 beside 90 values, November 2026).
    bins
        Bins of the stability index, at least 2.

    Returns
    -------
    PanelComparison
        In the order of the columns.

    Raises
    ------
    ValueError
        The samples are not of the same columns, or there are fewer than two bins.

    References
    ----------
    p-values: :func:`.distance_p_values`. Mean of the index by chance, ``(B - 1)(1/n + 1/m)``: Yurdakul and Naranjo
    (2020), Statistical properties of the population stability index.

    Examples
    --------
    >>> found = compare_panel([np.array([1.0, 2, 3, 4]), np.array([])], [np.array([3.0, 4, 5, 6])] * 2)
    >>> found.statistic.tolist(), found.wasserstein.tolist(), found.q_value.round(6).tolist()
    ([0.5, nan], [2.0, nan], [0.5, nan])
    """
    if bins < 2:
        raise ValueError(f"a stability index needs at least 2 bins; came {bins}")
    figures, effective = _figures(reference, recent, autocorrelated, bins)
    p_value = distance_p_values(figures[:, 2], effective[:, 0], effective[:, 1])
    with np.errstate(divide="ignore"):
        by_chance = (figures[:, 5] - 1) * (1 / figures[:, :2]).sum(axis=1)
    return PanelComparison(
        statistic=figures[:, 2],
        p_value=p_value,
        q_value=benjamini_hochberg(p_value),
        wasserstein=figures[:, 3],
        psi=figures[:, 4] - by_chance,
        reference_size=figures[:, 0].astype(np.int64),
        recent_size=figures[:, 1].astype(np.int64),
        reference_effective=effective[:, 0],
        recent_effective=effective[:, 1],
    )


def ks_panel(reference: Samples, recent: Samples) -> tuple[Floats, Floats]:
    """Return Kolmogorov-Smirnov distances and their p-values, shapes ``(S,)``, as of independent values.

    Parameters
    ----------
    reference, recent
        As for :func:`compare_panel`, and NaN as there.

    Examples
    --------
    >>> statistic, p_value = ks_panel(np.array([[1.0, 2, 3, 4]]), np.array([[3.0, 4, 5, 6]]))
    >>> statistic.tolist(), p_value.round(6).tolist()
    ([0.5], [0.5])
    """
    figures, effective = _figures(reference, recent, False, 0)
    return figures[:, 2], distance_p_values(figures[:, 2], effective[:, 0], effective[:, 1])


def _figures(reference: Samples, recent: Samples, autocorrelated: bool, bins: int) -> tuple[Floats, Floats]:
    """Return what :func:`.compare_rows` fills in, and effective sizes, shape ``(S, 2)``."""
    for name, samples in (("reference", reference), ("recent", recent)):
        if isinstance(samples, np.ndarray) and samples.ndim != 2:
            raise ValueError(f"{name} is one row a column of the panel; came shape {samples.shape}: reshape it")
    if len(reference) != len(recent):
        raise ValueError(f"both samples are of the same columns; came {len(reference)} and {len(recent)}")
    figures = np.full((len(reference), 6), np.nan)
    effective = np.empty((len(reference), 2))
    low = 0
    while low < len(reference):
        high = _end_of_block(reference, recent, low)
        x, y = _block(reference, low, high), _block(recent, low, high)
        compare_rows(np.sort(x, axis=1), np.sort(y, axis=1), bins, figures[low:high])
        for side, rows in enumerate((x, y)):
            counts = figures[low:high, side]
            effective[low:high, side] = effective_sizes(rows, counts.astype(np.int64)) if autocorrelated else counts
        low = high
    return figures, effective


def _end_of_block(reference: Samples, recent: Samples, low: int) -> int:
    """Return where a block of rows ends that begins at ``low`` and fits the cache, of one row at least."""
    high, longest = low + 1, len(reference[low]) + len(recent[low])
    while high < len(reference):
        longest = max(longest, len(reference[high]) + len(recent[high]))
        if (high + 1 - low) * longest > AT_ONCE:
            break
        high += 1
    return high


def _block(samples: Samples, low: int, high: int) -> Floats:
    """Return some rows as one array, NaN after the end of the shorter ones."""
    if isinstance(samples, np.ndarray):
        return np.ascontiguousarray(samples[low:high], np.float64)
    rows = [np.asarray(samples[place], np.float64) for place in range(low, high)]
    wrong = next((row.shape for row in rows if row.ndim != 1), None)
    if wrong is not None:
        raise ValueError(f"each sample is 1-d; came shape {wrong} among rows {low} to {high - 1}")
    block = np.full((len(rows), max(map(len, rows))), np.nan)
    for row, values in zip(block, rows, strict=True):
        row[: len(values)] = values
    return block
