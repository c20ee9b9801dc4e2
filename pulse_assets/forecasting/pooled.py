"""The engine behind ``gold/forecasts``: the pool of :mod:`.pool` beside the reference models, as of every origin. Pure.

Series of one frequency and kind are one panel. What a panel teaches is refitted at the start of each quarter from what
was known then, so a forecast at an origin depends neither on later data nor on which other origins are asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.forecasting.batches import scaled_batch
from pulse_assets.forecasting.engine import (
    HORIZONS,
    MapBlocks,
    check_origins,
    inline,
    knows_from,
    origin_chunks,
    origin_end,
)
from pulse_assets.forecasting.kinds import SEASONS, panel_class
from pulse_assets.forecasting.learning import PanelModel, fit_models
from pulse_assets.forecasting.pack import Floats, Ints, Panel
from pulse_assets.forecasting.prior import CLASSES, COLUMNS, load_prior, prior_on
from pulse_assets.forecasting.quantile_rows import fill_quantiles
from pulse_assets.forecasting.references import ReferenceBank
from pulse_assets.forecasting.rows import forecast_rows
from pulse_assets.forecasting.speaking import Outlook, speak
from pulse_assets.numerics.quantiles import LEVELS

Bools = npt.NDArray[np.bool_]

PULSE = "pulse"
LEAST = 8
"""Observations from which on the pool is asked."""
SHOWN_WEIGHT = 0.02
"""Members that weigh less at both ends are not told."""


@dataclass(frozen=True)
class Group:
    """One panel inside a panel: segments of one frequency and kind, and what was said of them.

    Parameters
    ----------
    segments
        Their places in the whole panel, shape ``(G,)``.
    scale
        Scale of each, shape ``(G,)``.
    asked, said_at
        Where there is a forecast and which of the outlook's origins it is, shape ``(G, O)``; -1 for none.
    serving
        Which model serves each of the O origins.
    """

    segments: Ints
    scale: Ints
    asked: Bools
    said_at: Ints
    serving: Ints
    models: list[PanelModel]
    outlook: Outlook


@dataclass(frozen=True)
class PooledEngine:
    """The pool and the reference models.

    Parameters
    ----------
    horizons
        Steps ahead for each frequency.
    """

    horizons: Mapping[str, int] = field(default_factory=lambda: dict(HORIZONS))

    @property
    def version(self) -> str:
        """Version of the engine and of what ships for panels that have taught nothing yet."""
        return "pulse-2-" + load_prior(CLASSES[0])[1].version[:6]

    def forecast(self, panel: Panel, origins: list[date], map_blocks: MapBlocks = inline) -> Iterator[pa.Table]:
        """Yield the forecasts of all models; see :class:`pulse_assets.forecasting.engine.Forecaster`.

        The panel must be packed from :func:`~pulse_assets.forecasting.engine.knows_from` the first origin.
        """
        check_origins(origins)
        horizon = np.array([self.horizons[freq] for freq in panel.freq], np.int64)
        ends = np.array([origin_end(origin) for origin in origins], np.int64)
        groups = self.groups(panel, origins, map_blocks)
        asked = np.zeros((len(panel), len(origins)), bool)
        for group in groups:
            asked[group.segments] = group.asked
        references = ReferenceBank(self.horizons).forecast(panel, origins, map_blocks)
        for piece, reference in zip(origin_chunks(origins, int(horizon.sum())), references, strict=True):
            mean, quantiles = _quantiles(groups, asked, horizon, piece)
            counts = panel.known_counts(ends[piece])
            made = forecast_rows(panel, origins[piece], counts, asked[:, piece], horizon, (PULSE,), mean, quantiles)
            yield _merged(reference, made)

    def members(self, panel: Panel, origins: list[date], map_blocks: MapBlocks = inline) -> Iterator[pa.Table]:
        """Yield what each forecast is made of: ``as_of, unique_id, member, weight_first, weight_last, loss``.

        In order of origin; members below 2 % at both ends are left out.
        """
        check_origins(origins)
        groups = self.groups(panel, origins, map_blocks, explain=True)
        for place, origin in enumerate(origins):
            parts = [_weights_at(panel, group, place) for group in groups]
            table = pa.concat_tables(parts) if parts else None
            if table is not None and len(table):
                days = pa.array(np.full(len(table), np.datetime64(origin, "D")))
                yield table.sort_by([("unique_id", "ascending"), ("member", "ascending")]).add_column(0, "as_of", days)

    def groups(self, panel: Panel, origins: list[date], map_blocks: MapBlocks, *, explain: bool = False) -> list[Group]:
        """Fit and ask every panel inside the panel."""
        labels = np.array([f"{freq} {kind}" for freq, kind in zip(panel.freq, panel.kind, strict=True)], object)
        return [
            self._ask(panel, np.flatnonzero(labels == label), origins, map_blocks, explain)
            for label in sorted(set(labels.tolist()))
        ]

    def _ask(self, panel: Panel, segments: Ints, origins: list[date], map_blocks: MapBlocks, explain: bool) -> Group:
        part = panel.select(segments)
        freq, kind = str(part.freq[0]), str(part.kind[0])
        made = scaled_batch(
            part.ids, part.values, part.offsets, kind=kind, seasons=SEASONS[freq], horizon=self.horizons[freq]
        )
        batch, sound = made.batch, made.sound
        ends = np.array([origin_end(origin) for origin in origins], np.int64)
        refits, serving = np.unique([knows_from(origin) for origin in origins], return_inverse=True)
        fitted_on = part.known_counts(refits)
        fitted_on[fitted_on > sound[:, None]] = 0
        priors = [prior_on(panel_class(kind), _day_before(refit)) for refit in refits]
        models = fit_models(batch, fitted_on, priors, map_blocks)
        counts = part.known_counts(ends)
        asked = part.is_fresh(counts, ends) & (counts >= LEAST) & (counts <= sound[:, None])
        series, place = np.nonzero(asked)
        count, model = counts[series, place], serving[place]
        new = np.ones(len(series), bool)
        new[1:] = (np.diff(series) != 0) | (np.diff(count) != 0) | (np.diff(model) != 0)
        starts = np.searchsorted(series[new], np.arange(len(segments) + 1))
        outlook = speak(batch, starts, count[new], model[new], fitted_on, models, map_blocks, explain=explain)
        said_at = np.full(asked.shape, -1, np.int64)
        said_at[series, place] = np.cumsum(new) - 1
        return Group(segments, made.scale, asked, said_at, serving, models, outlook)


def _day_before(end: int) -> date:
    """Return the last day that is over at an end, in microseconds since 1970."""
    return (np.datetime64(int(end), "us") - np.timedelta64(1, "us")).astype("datetime64[D]").astype(object)  # type: ignore[no-any-return]


def _quantiles(groups: list[Group], asked: Bools, horizon: Ints, piece: slice) -> tuple[Floats, Floats]:
    """Return mean and quantiles of a chunk of origins, rows by segment, origin and horizon."""
    sizes = np.where(asked[:, piece], horizon[:, None], 0)
    target = (np.cumsum(sizes) - sizes.ravel()).reshape(sizes.shape)
    total = int(sizes.sum())
    mean, quantiles = np.empty(total), np.empty((len(LEVELS), total))
    for group in groups:
        series, place = np.nonzero(group.asked[:, piece])
        fill_quantiles(
            group.outlook.center,
            group.outlook.sigma,
            group.outlook.lowest,
            np.stack([model.shape for model in group.models]),
            group.serving[piece][place],
            group.scale[series],
            group.said_at[:, piece][series, place],
            target[group.segments[series], place],
            mean,
            quantiles,
        )
    return mean, quantiles


def _merged(reference: pa.Table, made: pa.Table) -> pa.Table:
    """Return both in the order of the table's key."""
    both = pa.concat_tables([reference, made])
    return both.sort_by([(name, "ascending") for name in ("as_of", "unique_id", "model", "h")])


def _weights_at(panel: Panel, group: Group, place: int) -> pa.Table:
    said = group.said_at[:, place]
    series = np.flatnonzero(said >= 0)
    weights, loss = group.outlook.weights[said[series]], group.outlook.loss[said[series]]
    row, member = np.nonzero((weights >= SHOWN_WEIGHT).any(axis=1))
    return pa.table(
        {
            "unique_id": pa.array(panel.ids[group.segments[series[row]]], pa.string()),
            "member": pa.array(np.array(COLUMNS, object)[member], pa.string()),
            "weight_first": pa.array(weights[row, 0, member].astype(np.float64)),
            "weight_last": pa.array(weights[row, 1, member].astype(np.float64)),
            "loss": pa.array(loss[row, member].astype(np.float64), from_pandas=True),
        }
    )
