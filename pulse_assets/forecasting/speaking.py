"""The second pass: every series walked to the origins asked for, and what a panel taught applied there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.calibrate import spread_of
from pulse_assets.forecasting.engine import MapBlocks
from pulse_assets.forecasting.learning import PanelModel
from pulse_assets.forecasting.pool import (
    POOL,
    Batch,
    Spoken,
    anchors_at,
    blended,
    blocks_of,
    expected_spreads,
    hear_lags,
    joined,
    listen,
    spread_parts,
)
from pulse_assets.forecasting.walk_state import Spec

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Outlook:
    """What a pool says at P origins: distribution = center + sigma × shape of the model.

    Parameters
    ----------
    center, sigma
        Shape ``(P, H)``, on the scale of the batch.
    weights
        Shape ``(P, 2, POOL)``: nearest and farthest step; empty unless asked for.
    loss
        Shape ``(P, POOL)``; likewise.
    lowest
        Lowest value seen by then, shape ``(P,)``.
    """

    center: Floats
    sigma: Floats
    weights: npt.NDArray[np.float32]
    loss: Floats
    lowest: Floats


def outlook_of(model: PanelModel, spoken: Spoken, expected: Floats, sizes: Spec, anchor: int) -> Outlook:
    """Apply one model to what was heard, the map on lags included, and to the expected standard deviations."""
    center, apart, weights = blended(model.gate, spoken)
    start = anchors_at(spoken, anchor)
    center = start + model.pull * (center - start)
    base, inputs = spread_parts(spoken, apart, expected, sizes)
    sigma = np.empty_like(center)
    spread_of(base, inputs, model.slopes, sigma)
    return Outlook(center, sigma, weights.astype(np.float32), spoken.loss, spoken.statistics[:, 5])


@dataclass(frozen=True)
class _Speaking:
    batch: Batch
    series: tuple[int, int]
    starts: Ints
    origins: Ints
    model_of: Ints
    fitted_on: Ints
    models: Sequence[PanelModel]
    explain: bool


def speak(
    batch: Batch,
    starts: Ints,
    origins: Ints,
    model_of: Ints,
    fitted_on: Ints,
    models: Sequence[PanelModel],
    map_blocks: MapBlocks,
    *,
    explain: bool = False,
) -> Outlook:
    """Forecast each series from each of its origins.

    Parameters
    ----------
    starts, origins
        Series s has the origins ``origins[starts[s]:starts[s + 1]]``: numbers of observations, rising.
    model_of
        Which of the models serves each origin, shape ``(P,)``.
    fitted_on
        Observations of each series that were known when each model was fitted, shape ``(S, R)``.
    explain
        Return weights and losses as well.
    """
    works = (
        _Speaking(
            batch.select(np.arange(low, high)),
            (low, high),
            starts[low : high + 1] - starts[low],
            origins[starts[low] : starts[high]],
            model_of[starts[low] : starts[high]],
            fitted_on[low:high],
            models,
            explain,
        )
        for low, high in blocks_of(len(batch), starts, batch.sizes.horizon)
        if starts[high] > starts[low]
    )
    parts = list(map_blocks(_speak, works))
    if not parts:
        horizon = batch.sizes.horizon
        empty = np.empty((0, horizon))
        return Outlook(empty, empty, np.empty((0, 2, POOL), np.float32), np.empty((0, POOL)), np.empty(0))
    return joined(parts)


def _speak(work: _Speaking) -> Outlook:
    spoken = listen(work.batch, work.starts, work.origins)
    return say(work, spoken)


def say(work: _Speaking, spoken: Spoken) -> Outlook:
    """Apply the models to what was heard at the origins of one block."""
    parts, places = [], []
    series = np.repeat(np.arange(len(work.batch)), np.diff(work.starts))
    for number in np.unique(work.model_of):
        model = work.models[number]
        rows = np.flatnonzero(work.model_of == number)
        part = spoken if len(rows) == len(series) else spoken.take(rows)
        starts = np.searchsorted(series[rows], np.arange(len(work.batch) + 1))
        hear_lags(work.batch, starts, work.origins[rows], work.fitted_on[:, number], model.lag_map, part)
        expected = np.empty((0, 0))
        if model.volatility is not None:
            own = model.volatility.take(np.arange(*work.series))
            expected = expected_spreads(own, work.batch, starts, work.origins[rows])
        parts.append(outlook_of(model, part, expected, work.batch.sizes, work.batch.anchor))
        places.append(rows)
    back = np.argsort(np.concatenate(places), kind="stable")
    said, told = joined(parts), back if work.explain else back[:0]
    return Outlook(said.center[back], said.sigma[back], said.weights[told], said.loss[told], said.lowest[back])
