"""Scores of simulated paths against what happened, as rows. Pure.

What belongs here: one simulation at its scored steps. What many of them say together is in ``report``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.numerics.ensemble import crps_ensemble, energy_score
from pulse_assets.numerics.reliability import pit_of_ensemble
from pulse_assets.simulation.retrodiction.names import ALL, PORTFOLIO
from pulse_assets.simulation.risk.histograms import ranks_of
from pulse_assets.simulation.world import Floats

Singles = npt.NDArray[np.float32]

LEVELS = (0.95, 0.99)
SCHEMA = pa.schema(
    [
        ("as_of", pa.date32()),
        ("origin", pa.date32()),
        ("engine", pa.string()),
        ("mode", pa.string()),
        ("variable", pa.string()),
        ("step", pa.int16()),
        *((name, pa.float64()) for name in ("actual", "crps", "energy_score", "pit")),
        *((name, pa.float64()) for name in ("var_95", "es_95", "var_99", "es_99", "fall_probability")),
        ("fell", pa.bool_()),
        ("paths", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Label:
    """Whose scores they are: the first columns of every row."""

    as_of: date
    origin: date
    engine: str
    mode: str


def tail(members: Singles, level: float) -> tuple[Floats, Floats]:
    """Return the quantile that a log return falls short of with a probability, and the mean of the worst.

    Parameters
    ----------
    members
        Shape ``(n, m)``, each row rising.
    level
        Of confidence: 0.95 is the quantile at 5 %.

    Returns
    -------
    quantile, mean
        Shape ``(n,)``: minus what ``risk.measures`` calls value at risk and expected shortfall. The
        member at the quantile counts with the fraction that makes the share exact.

    Examples
    --------
    >>> [each.round(6).tolist() for each in tail(np.arange(1.0, 101.0)[None], 0.95)]
    [[6.0], [3.0]]
    """
    count = members.shape[1]
    worse = count - int(ranks_of(count, [level])[0])
    share = count * (1 - level)
    quantile = members[:, worse].astype(np.float64)
    total = members[:, :worse].sum(axis=1, dtype=np.float64) + (share - worse) * quantile
    return quantile, total / share


def of_portfolio(members: Singles) -> Singles:
    """Return the log return of an equal amount of each asset, held; shape ``(..., A, m)`` gives ``(..., m)``.

    Examples
    --------
    >>> of_portfolio(np.log(np.array([[1.1, 0.5], [0.9, 1.0]]))).round(6).tolist()
    [0.0, -0.287682]
    """
    return np.asarray(np.log(np.exp(members).mean(axis=-2)))


def score_steps(
    members: Singles,
    actual: Floats,
    names: Sequence[str],
    steps: Sequence[int],
    label: Label,
    *,
    fall: float,
    energy_members: int,
) -> pa.Table:
    """Return the rows of one simulation.

    Parameters
    ----------
    members
        Log returns since the origin of A assets at S steps on m paths, shape ``(S, A, m)``. A path that is not finite
        leaves that asset's row without CRPS, PIT and energy score.
    actual
        What happened, shape ``(S, A)``; NaN gives no row. Portfolio and vector are of the assets that have one.
    names, steps
        Of assets, and the steps.
    label
        First columns.
    fall
        Loss of value that counts as an event, as a share: 0.05 for 5 %.
    energy_members
        Paths, evenly chosen, that the energy score takes at most: its cost grows with their square.

    Returns
    -------
    pyarrow.Table
        Columns of :data:`SCHEMA`; assets, ``portfolio`` and ``all`` of each step that has a truth.
    """
    parts = []
    for s, step in enumerate(steps):
        has = np.flatnonzero(np.isfinite(actual[s]))
        if len(has):
            chosen, truth = members[s, has], actual[s, has]
            paired = np.concatenate([chosen, of_portfolio(chosen)[None]])
            truths = np.append(truth, of_portfolio(truth[:, None]))
            columns = _of_each(paired, truths, fall)
            variables = [*(names[a] for a in has.tolist()), PORTFOLIO]
            parts.append(_rows(columns | {"variable": variables}, label, step, members.shape[-1]))
            energy = {"variable": [ALL], "energy_score": _energy(chosen, truth, energy_members)}
            parts.append(_rows(energy, label, step, members.shape[-1]))
    return pa.concat_tables(parts) if parts else SCHEMA.empty_table()


def _of_each(members: Singles, truth: Floats, fall: float) -> dict[str, object]:
    """Return the columns of variables that are scored one by one, from members of shape ``(n, m)``."""
    rising = np.sort(members, axis=1)
    found: dict[str, object] = {
        "actual": truth,
        "crps": crps_ensemble(rising, truth),
        "pit": pit_of_ensemble(rising, truth),
        "fall_probability": np.count_nonzero(rising < np.log1p(-fall), axis=1) / members.shape[1],
        "fell": truth < np.log1p(-fall),
    }
    for level in LEVELS:
        quantile, mean = tail(rising, level)
        found[f"var_{100 * level:.0f}"], found[f"es_{100 * level:.0f}"] = quantile, mean
    return found


def _energy(members: Singles, truth: Floats, most: int) -> Floats:
    every = max(1, members.shape[1] // most)
    return energy_score(np.ascontiguousarray(members[:, ::every][:, :most].T)[None], truth[None])


def _rows(columns: Mapping[str, object], label: Label, step: int, paths: int) -> pa.Table:
    variables = columns["variable"]
    assert isinstance(variables, list)
    count = len(variables)
    fixed = {**vars(label), "step": step, "paths": paths}
    arrays = []
    for each in SCHEMA:
        if each.name in columns:
            arrays.append(pa.array(columns[each.name], each.type, from_pandas=True))
        elif each.name in fixed:
            arrays.append(pa.repeat(pa.scalar(fixed[each.name], each.type), count))
        else:
            arrays.append(pa.nulls(count, each.type))
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
