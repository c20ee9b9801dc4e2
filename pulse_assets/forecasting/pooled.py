"""The engine behind ``gold/forecasts``: the pool of :mod:`.pool` beside the reference models, as of every origin. Pure.

Series of one frequency and kind are one panel, its *family*. What a panel teaches is refitted at the start of each
quarter, or when a promotion says so, from what was known then; a forecast at an origin depends neither on later data
nor on which other origins are asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.forecasting.engine import (
    HORIZONS,
    MapBlocks,
    check_origins,
    inline,
    origin_chunks,
    origin_end,
    refit_end,
)
from pulse_assets.forecasting.families import (
    Group,
    ask,
    day_before,
    learned_counts,
    prior_of,
    quantiles_of,
    scaled_family,
    segments_by_family,
    version_of,
)
from pulse_assets.forecasting.learning import fit_models
from pulse_assets.forecasting.pack import Ints, Panel
from pulse_assets.forecasting.prior import CLASSES, COLUMNS, load_prior
from pulse_assets.forecasting.references import ReferenceBank
from pulse_assets.forecasting.rows import forecast_rows

PULSE = "pulse"
SHOWN_WEIGHT = 0.02
"""Members that weigh less at both ends are not told."""


@dataclass(frozen=True)
class PooledEngine:
    """The pool and the reference models.

    Parameters
    ----------
    horizons
        Steps ahead for each frequency.
    promotions
        Trainings that serve out of turn, see :class:`~pulse_assets.forecasting.engine.Promotion`; one that was rolled
        back is absent, or another follows it.

    Raises
    ------
    ValueError
        A promotion takes effect before the day that it has learned from.
    """

    horizons: Mapping[str, int] = field(default_factory=lambda: dict(HORIZONS))
    promotions: tuple[tuple[str, date, date], ...] = ()

    def __post_init__(self) -> None:
        for family, after, trained_on in self.promotions:
            if trained_on > after:
                raise ValueError(
                    f"a promotion counts for origins after all that it has learned from; {family} was to learn from "
                    f"{trained_on} and to serve after {after}"
                )

    @property
    def version(self) -> str:
        """Version of the engine and of what ships for panels that have taught nothing yet."""
        return "pulse-2-" + load_prior(CLASSES[0])[1].version[:6]

    def model_version(self, family: str, origin: date) -> str:
        """Return the version of the model that serves a panel at an origin: engine, family, last day it learned from.

        Examples
        --------
        >>> PooledEngine().model_version("B price", date(2024, 5, 7)).split(" ", 1)[1]
        'B price 2024-03-31'
        """
        return version_of(self.version, family, day_before(refit_end(family, origin, self.promotions)))

    def model_versions(self, rows: pa.Table, family: Mapping[str, str]) -> pa.Array:
        """Return the version of the model behind each row.

        Parameters
        ----------
        rows
            Columns ``as_of``, ``unique_id`` and perhaps ``model``; without that, all rows are of ``pulse``.
        family
            Panel of each series; see :func:`families`.
        """
        day, series = (rows[name].combine_chunks().dictionary_encode() for name in ("as_of", "unique_id"))
        panels, panel = np.unique([family[name] for name in series.dictionary.to_pylist()], return_inverse=True)
        days = day.dictionary.to_pylist()
        pair = panel.astype(np.int64)[series.indices.to_numpy()] * len(days) + day.indices.to_numpy()
        used, place = np.unique(pair, return_inverse=True)
        versions = [self.model_version(str(panels[code // len(days)]), days[code % len(days)]) for code in used]
        if "model" in rows.column_names:
            place = np.where(pc.equal(rows["model"], PULSE).to_numpy(), place, len(versions))
        return pa.array([*versions, self.version], pa.string()).take(pa.array(place))

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
            mean, quantiles = quantiles_of(groups, asked, horizon, piece)
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
        return [
            self._ask(panel, label, segments, origins, map_blocks, explain)
            for label, segments in segments_by_family(panel).items()
        ]

    def _ask(
        self, panel: Panel, label: str, segments: Ints, origins: list[date], map_blocks: MapBlocks, explain: bool
    ) -> Group:
        part = panel.select(segments)
        made = scaled_family(part, self.horizons)
        ends, serving = np.unique(
            [refit_end(label, origin, self.promotions) for origin in origins], return_inverse=True
        )
        fitted_on = learned_counts(part, made, ends)
        models = fit_models(made.batch, fitted_on, [prior_of(part, end) for end in ends], map_blocks)
        return ask(part, segments, made, origins, serving, fitted_on, models, map_blocks, explain=explain)


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
