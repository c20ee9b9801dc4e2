"""Forecasts of any long table without Dagster or a lake: forecast, backtest, and a fit that is updated in place. Pure.

>>> import numpy as np, pyarrow as pa
>>> y = 10 + np.sin(np.arange(60) * 2 * np.pi / 12)
>>> table = pa.table({"unique_id": ["a"] * 60, "ds": np.arange(60), "y": y})
>>> made = forecast(table, freq="MS", horizon=3)
>>> made.rows.select(["unique_id", "h", "ds"]).to_pylist()[0]
{'unique_id': 'a', 'h': 1, 'ds': 60}
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.forecasting.drivers import read_drivers
from pulse_assets.forecasting.engine import MapBlocks, inline
from pulse_assets.forecasting.kinds import (
    from_scale,
)
from pulse_assets.forecasting.learning import PanelModel, fit_models
from pulse_assets.forecasting.members import PoolMember
from pulse_assets.forecasting.outside import Told, add_exogenous, add_members, learn_exogenous, named
from pulse_assets.forecasting.past import Known
from pulse_assets.forecasting.prepared import Prepared, newest_day, prepare
from pulse_assets.forecasting.prior import COLUMNS, Prior, prior_on
from pulse_assets.forecasting.quantile_rows import fill_quantiles
from pulse_assets.forecasting.speaking import Outlook, speak
from pulse_assets.forecasting.walk_state import SHORTEST
from pulse_assets.numerics.quantiles import LEVELS, QUANTILE_COLUMNS
from pulse_assets.signals.calendars import add_steps

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CUTOFFS_A_REFIT = 126
"""Backtest cutoffs that share one panel model: half a year of weekdays."""
SHOWN_WEIGHT = 0.01


@dataclass(frozen=True)
class Forecast:
    """What a forecast of a table returns.

    Parameters
    ----------
    rows
        ``unique_id, h, ds, mean, q010 … q990`` sorted by series and step; a backtest has ``cutoff`` and ``y``, too.
    reasons
        ``unique_id, reason``: series that got no forecast, or one with a remark, see
        :data:`~pulse_assets.forecasting.frames.REASONS`.
    members
        ``unique_id, member, weight_first, weight_last, loss``: what the forecast is made of; models from outside have
        no loss.
    model
        What the panel taught.
    outside
        ``name, weight, reason``: each model from outside and each exogenous column, and why it counts or does not.
    """

    rows: pa.Table
    reasons: pa.Table
    members: pa.Table
    model: PanelModel
    outside: pa.Table = field(default_factory=lambda: _outside(Told()))


def forecast(
    table: pa.Table,
    *,
    freq: str,
    horizon: int,
    season: int | tuple[int, int] | None = None,
    kind: str = "other",
    gap_policy: str = "ffill",
    members: Sequence[PoolMember] = (),
    member_origins: int = 3,
    map_blocks: MapBlocks = inline,
) -> Forecast:
    """Forecast every series of a long table.

    Parameters
    ----------
    table
        ``unique_id, ds, y`` and, for vintages, ``known_at``; see :func:`~pulse_assets.forecasting.frames.read_series`.
        Numbers called ``x_NAME`` are exogenous series known up to the newest observation, ``fx_NAME`` such as are
        known for the steps ahead, too: rows after the newest observation, with null ``y``, hold them.
    freq
        Frequency of all series, for example ``D``, ``B``, ``W``, ``MS``, ``QS``, ``YS``, ``h``.
    horizon
        Steps ahead, 1 to 1,000.
    season
        Steps of the season, or of two; by default what the frequency suggests. Series without it lose nothing.
    kind
        price, return, volatility, rate, macro, sentiment or other: decides the scale.
    gap_policy
        What becomes of missing steps: ``ffill``, ``zero`` or ``none``.
    members
        Models from outside. Like exogenous columns they count as far as they gain in backtests, and change nothing
        otherwise; see :mod:`~pulse_assets.forecasting.outside`.
    member_origins
        Past origins, a horizon apart, at which each of them is asked for at most 200 series.
    map_blocks
        Where blocks of series are walked; the result does not depend on it.

    Raises
    ------
    ValueError
        The table or an option is wrong. Faults of one series are reasons instead.
    """
    if member_origins < 1:
        raise ValueError(f"member_origins must be at least 1; came {member_origins}")
    named(members)
    ready = prepare(table, freq=freq, horizon=horizon, season=season, kind=kind, gap_policy=gap_policy)
    known = _known(ready, table, map_blocks)
    counts = np.diff(ready.batch.offsets)
    model = fit_models(ready.batch, counts[:, None], [ready.prior], map_blocks)[0]
    every = np.arange(len(counts) + 1)
    serving = np.zeros(len(counts), np.int64)
    said = speak(ready.batch, every, counts, serving, counts[:, None], [model], map_blocks, explain=True)
    told = Told()
    if known.drivers is not None:
        said, told = add_exogenous(known, [learn_exogenous(known, counts)], serving, every[:-1], counts, said)
    if members:
        said, told = add_members(known, members, member_origins, counts, said, told)
    return as_forecast(ready, said, model, told)


def as_forecast(ready: Prepared, said: Outlook, model: PanelModel, told: Told | None = None) -> Forecast:
    """Lay out what was said of each series from its newest observation, and what came from outside."""
    told = told or Told()
    every = np.arange(len(ready.series))
    rows = _rows(ready, said, [model], every, ready.series.newest, np.zeros(len(every), np.int64))
    rows, unsound = _finite(rows, every, ready.batch.sizes.horizon)
    return Forecast(rows, _reasons(ready, told, unsound), _members(ready, said, told), model, _outside(told))


def _known(ready: Prepared, table: pa.Table, map_blocks: MapBlocks) -> Known:
    drivers = read_drivers(table, ready.series, ready.freq, ready.batch.sizes.horizon)
    return Known(ready.batch, ready.scale, ready.prior, drivers, map_blocks)


def backtest(
    table: pa.Table,
    *,
    freq: str,
    horizon: int,
    cutoffs: int,
    step: int = 1,
    season: int | tuple[int, int] | None = None,
    kind: str = "other",
    gap_policy: str = "ffill",
    cutoffs_a_refit: int = CUTOFFS_A_REFIT,
    map_blocks: MapBlocks = inline,
) -> Forecast:
    """Forecast every series from past cutoffs, as it would have been forecast then.

    The last cutoff lies ``horizon`` steps before the end of a series, the others ``step`` steps before one another. A
    panel model serves ``cutoffs_a_refit`` cutoffs and saw nothing after the first of them, exogenous columns included.

    Returns
    -------
    Forecast
        ``rows`` also has ``cutoff``, the stamp of the last observation that was used, and ``y``, what came.
    """
    if cutoffs < 1 or step < 1 or cutoffs_a_refit < 1:
        raise ValueError(
            f"cutoffs, step and cutoffs_a_refit must be at least 1; came {(cutoffs, step, cutoffs_a_refit)}"
        )
    ready = prepare(table, freq=freq, horizon=horizon, season=season, kind=kind, gap_policy=gap_policy)
    batch, lengths = ready.batch, np.diff(ready.batch.offsets)
    ago = horizon + step * np.arange(cutoffs - 1, -1, -1)
    refit = np.arange(cutoffs) // cutoffs_a_refit
    first_ago = ago[np.arange(0, cutoffs, cutoffs_a_refit)]
    known = np.maximum(lengths[:, None] - first_ago, 0)
    priors = _priors(ready, first_ago)
    models = fit_models(batch, known, priors, map_blocks)
    origins = lengths[:, None] - ago
    asked = origins >= SHORTEST
    starts = np.concatenate(([0], np.cumsum(asked.sum(axis=1))))
    serving = np.broadcast_to(refit, origins.shape)[asked]
    said = speak(batch, starts, origins[asked], serving, known, models, map_blocks)
    series = np.repeat(np.arange(len(lengths)), asked.sum(axis=1))
    told, panel = Told(), _known(ready, table, map_blocks)
    if panel.drivers is not None:
        by_refit = zip(known.T, priors, strict=True)
        maps = [learn_exogenous(replace(panel, prior=prior), counts) for counts, prior in by_refit]
        said, told = add_exogenous(panel, maps, serving, series, origins[asked], said)
    back = (lengths[series] - origins[asked]).astype(np.int64)
    cutoff = _stamps_before(ready, series, back)
    rows = _rows(ready, said, models, series, cutoff, serving)
    truth = batch.offsets[:-1][series] + origins[asked]
    y = batch.values[truth[:, None] + np.arange(horizon)]
    for scale in np.unique(ready.scale):
        chosen = ready.scale[series] == scale
        y[chosen] = from_scale(y[chosen], int(scale))
    rows = rows.add_column(2, "cutoff", _as_stamps(np.repeat(cutoff, horizon), ready.series.stamps))
    rows = rows.append_column("y", pa.array(y.ravel()))
    rows, unsound = _finite(rows, series, horizon)
    nothing = _members(ready, said, told)
    return Forecast(rows, _reasons(ready, told, unsound), nothing, models[-1], _outside(told))


def _priors(ready: Prepared, ago: Ints) -> list[Prior]:
    """Return the prior that each refit may use, which lies so many steps before the newest observations."""
    if ready.series.stamps == "integer" or not len(ready.series):
        return [ready.prior] * len(ago)
    every = np.arange(len(ready.series))
    days = [newest_day(_stamps_before(ready, every, np.full(len(every), back))) for back in ago]
    return [prior_on(ready.panel_class, day) for day in days]


def _stamps_before(ready: Prepared, series: Ints, back: Ints) -> Ints:
    """Return the stamps some steps before the newest; counted in the frequency, since gaps were filled."""
    newest = ready.series.newest[series]
    if ready.series.stamps == "integer":
        return np.asarray(newest - back)
    return _moved(newest, -back, ready.freq)


def _moved(stamps: Ints, steps: Ints, freq: str) -> Ints:
    calendar = "weekday" if freq == "B" else "none"
    return np.asarray(add_steps(stamps.astype("datetime64[us]"), steps, freq, calendar).astype(np.int64))


def _as_stamps(stamps: Ints, kind: str) -> pa.Array:
    return pa.array(stamps) if kind == "integer" else pa.array(stamps.astype("datetime64[us]"))


def _rows(
    ready: Prepared, said: Outlook, models: list[PanelModel], series: Ints, newest: Ints, serving: Ints
) -> pa.Table:
    count, horizon = said.center.shape
    mean, quantiles = np.empty(count * horizon), np.empty((len(LEVELS), count * horizon))
    fill_quantiles(
        said.center,
        said.sigma,
        said.lowest,
        np.stack([model.shape for model in models]),
        serving,
        ready.scale[series],
        np.arange(count),
        np.arange(count) * horizon,
        mean,
        quantiles,
    )
    h = np.tile(np.arange(1, horizon + 1), count)
    begins = np.repeat(newest, horizon)
    stamps = begins + h if ready.series.stamps == "integer" else _moved(begins, h, ready.freq)
    names = pa.array(ready.series.ids, pa.string())
    columns = {
        "unique_id": pa.DictionaryArray.from_arrays(pa.array(np.repeat(series, horizon).astype(np.int32)), names),
        "h": pa.array(h.astype(np.int16)),
        "ds": _as_stamps(stamps, ready.series.stamps),
        "mean": pa.array(mean),
    }
    return pa.table(columns | {name: pa.array(quantiles[k]) for k, name in enumerate(QUANTILE_COLUMNS)})


def _finite(rows: pa.Table, series: Ints, horizon: int) -> tuple[pa.Table, Ints]:
    """Return the rows of forecasts all of whose numbers are finite, and the series that had another."""
    ends = [rows[name].to_numpy() for name in ("mean", QUANTILE_COLUMNS[0], QUANTILE_COLUMNS[-1])]
    fine = np.isfinite(ends).all(axis=0).reshape(-1, horizon).all(axis=1)
    return (rows if fine.all() else rows.filter(pa.array(np.repeat(fine, horizon)))), np.unique(series[~fine])


def _reasons(ready: Prepared, told: Told, unsound: Ints) -> pa.Table:
    why_not = [*told.failures, *((s, "NOT_FINITE") for s in unsound)]
    pairs = sorted({*ready.series.reasons.items(), *((str(ready.series.ids[s]), why) for s, why in why_not)})
    names, reasons = zip(*pairs, strict=True) if pairs else ((), ())
    return pa.table({"unique_id": pa.array(names, pa.string()), "reason": pa.array(reasons, pa.string())})


def _members(ready: Prepared, said: Outlook, told: Told) -> pa.Table:
    """Return the members that weigh something, for each series; nothing where nothing was explained."""
    weights, loss, names = said.weights, said.loss, (*COLUMNS, *told.names)
    shown = (weights >= SHOWN_WEIGHT).any(axis=1)
    if told.shares.any():
        shares = told.shares[:, None, :].astype(np.float32)
        pool = weights * (1 - shares.sum(axis=2, keepdims=True))
        weights = np.concatenate([pool, np.repeat(shares, 2, axis=1)], axis=2)
        loss = np.concatenate([loss, np.full(told.shares.shape, np.nan, np.float32)], axis=1)
        shown = np.concatenate([shown, told.shares > 0], axis=1)
    series, member = np.nonzero(shown)
    return pa.table(
        {
            "unique_id": pa.array(ready.series.ids[series], pa.string()),
            "member": pa.array(np.array(names, object)[member], pa.string()),
            "weight_first": pa.array(weights[series, 0, member]),
            "weight_last": pa.array(weights[series, 1, member]),
            "loss": pa.array(loss[series, member], from_pandas=True),
        }
    )


def _outside(told: Told) -> pa.Table:
    names, weights, reasons = zip(*told.table, strict=True) if told.table else ((), (), ())
    return pa.table(
        {
            "name": pa.array(names, pa.string()),
            "weight": pa.array(weights, pa.float64()),
            "reason": pa.array(reasons, pa.string()),
        }
    )
