"""How far two scenarios lie apart under common random numbers, outcome by outcome and step by step.

What belongs here: which measures are compared, and their rows for ``gold/scenario_divergence``. The statistics of one
difference are in ``paired``.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from math import isnan
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.simulation.risk.paired import Difference, from_variances, mean_difference, quantile_difference
from pulse_assets.simulation.world import Floats

QUANTILES = (0.01, 0.05, 0.5, 0.95, 0.99)

DIVERGENCE = pa.schema(
    [
        ("as_of", pa.date32()),
        ("scenario", pa.string()),
        ("against", pa.string()),
        ("measure", pa.string()),
        ("step", pa.int16()),
        ("difference", pa.float64()),
        ("se", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("correlation", pa.float64()),
    ]
)
"""Columns of ``gold/scenario_divergence``; what is not known is null."""


class Sums(NamedTuple):
    """What an engine records of N paths at S steps for V variables.

    Attributes
    ----------
    paths
        N.
    total, squares
        Sums of states and of their squares, shape ``(S, V)``.
    """

    paths: int
    total: Floats
    squares: Floats


def outcome_differences(
    values: Mapping[str, npt.NDArray[np.generic]],
    against: Mapping[str, npt.NDArray[np.generic]],
    step: int,
    quantiles: Sequence[float] = QUANTILES,
) -> list[Difference]:
    """Return the differences of all outcomes that two scenarios have: means, and quantiles of what is no yes or no.

    Parameters
    ----------
    values, against
        Outcome of each path by measure, shape ``(N,)``: numbers, or booleans for events.
    step
        Last step.
    quantiles
        Probabilities.

    Raises
    ------
    ValueError
        As :func:`mean_difference`; the message names the measure.
    """
    found = []
    for measure in sorted(values.keys() & against.keys()):
        a, b = values[measure].astype(np.float64), against[measure].astype(np.float64)
        found.append(mean_difference(measure, step, a, b))
        if values[measure].dtype != np.bool_:
            found += [quantile_difference(measure, step, a, b, p) for p in quantiles]
    return found


def step_differences(
    variables: Sequence[str], steps: Sequence[int], values: Sums, against: Sums, cross: Floats | None = None
) -> list[Difference]:
    """Return the differences of variables' means at recorded steps, from sums alone.

    Parameters
    ----------
    variables, steps
        V names and S steps.
    values, against
        Sums over the same paths.
    cross
        Sums of the products of both scenarios' states, shape ``(S, V)``. Without them the errors are those of
        independent runs, too large where random numbers are common, and the correlation is NaN.

    Raises
    ------
    ValueError
        Counts differ or are below 2, shapes do not fit, or a sum is not finite.
    """
    shape, n = (len(steps), len(variables)), values.paths
    if against.paths != n or n < 2:
        raise ValueError(f"expected sums over the same two paths or more; came {n} and {against.paths}")
    parts = [values.total, values.squares, against.total, against.squares, *([] if cross is None else [cross])]
    if any(part.shape != shape or not np.isfinite(part).all() for part in parts):
        raise ValueError(f"expected finite sums of shape {shape}; came {[part.shape for part in parts]}")
    a, b = _variance(values), _variance(against)
    gap = a + b
    if cross is not None:
        gap = np.maximum(gap - 2 * (cross - values.total * against.total / n) / (n - 1), 0)
    difference = (values.total - against.total) / n
    return [
        from_variances(
            name, step, float(difference[s, v]), n, float(a[s, v]), float(b[s, v]), float(gap[s, v]), cross is not None
        )
        for s, step in enumerate(steps)
        for v, name in enumerate(variables)
    ]


def replayed_differences(
    variables: Sequence[str], steps: Sequence[int], values: Floats, against: Floats
) -> list[Difference]:
    """Return the differences of variables' means at some steps, from states of paths that were replayed in both.

    Parameters
    ----------
    variables, steps
        V names and S steps.
    values, against
        States of the same N paths, shape ``(N, S, V)``.

    Raises
    ------
    ValueError
        As :func:`mean_difference`; the message names the variable.
    """
    return [
        mean_difference(name, step, values[:, s, v], against[:, s, v])
        for s, step in enumerate(steps)
        for v, name in enumerate(variables)
    ]


def divergence_rows(as_of: date, scenario: str, against: str, differences: Sequence[Difference]) -> pa.Table:
    """Return differences as rows of ``gold/scenario_divergence``.

    Returns
    -------
    table
        Columns of :data:`DIVERGENCE`, by measure and step; NaN becomes null.

    Examples
    --------
    >>> same = mean_difference("pnl_usd", 5, np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    >>> divergence_rows(date(2024, 1, 2), "energy_crisis", "base", [same])["difference"].to_pylist()
    [1.0]
    """
    ordered = sorted(differences, key=lambda each: (each.measure, each.step))
    rows = [
        {"as_of": as_of, "scenario": scenario, "against": against, "measure": each.measure, "step": each.step}
        | {
            name: None if isnan(value := getattr(each, name)) else value
            for name in ("difference", "se", "low", "high", "correlation")
        }
        for each in ordered
    ]
    return pa.Table.from_pylist(rows, schema=DIVERGENCE)


def _variance(sums: Sums) -> Floats:
    return np.maximum(sums.squares - sums.total**2 / sums.paths, 0) / (sums.paths - 1)
