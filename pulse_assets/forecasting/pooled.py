"""The engine behind ``gold/forecasts``: the pool of :mod:`.pool` beside the reference models, as of every origin. Pure.

Series of one frequency and kind are one panel, its *family*. What a panel teaches is refitted at the start of each
quarter, or when a promotion says so, from what was known then; a forecast at an origin depends neither on later data
nor on which other origins are asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.forecasting.batches import Scaled, scaled_batch
from pulse_assets.forecasting.engine import (
    HORIZONS,
    MapBlocks,
    Promotion,
    check_origins,
    inline,
    origin_chunks,
    origin_end,
    refit_end,
)
from pulse_assets.forecasting.kinds import SEASONS, panel_class
from pulse_assets.forecasting.learning import PanelModel, fit_models
from pulse_assets.forecasting.pack import Floats, Ints, Panel, Texts
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
    promotions
        Trainings that serve out of turn; a rollback is a promotion that is absent, or that another one follows.

    Raises
    ------
    ValueError
        A promotion takes effect before the day that it has learned from.
    """

    horizons: Mapping[str, int] = field(default_factory=lambda: dict(HORIZONS))
    promotions: tuple[Promotion | tuple[str, date, date], ...] = ()

    def __post_init__(self) -> None:
        for promotion in self._promotions:
            if promotion.trained_on > promotion.effective_after:
                raise ValueError(
                    f"a promotion counts for origins after what it has learned from; {promotion.family} was to learn "
                    f"from {promotion.trained_on} and to serve after {promotion.effective_after}"
                )

    @property
    def _promotions(self) -> list[Promotion]:
        return [Promotion(*promotion) for promotion in self.promotions]

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
        return version_of(self.version, family, day_before(refit_end(family, origin, self._promotions)))

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
        names, panel = np.unique([family[name] for name in series.dictionary.to_pylist()], return_inverse=True)
        days = day.dictionary.to_pylist()
        code = panel[series.indices.to_numpy()] * max(len(days), 1) + day.indices.to_numpy() if len(rows) else []
        used, place = np.unique(np.asarray(code, np.int64), return_inverse=True)
        versions = [self.model_version(str(names[pair // len(days)]), days[pair % len(days)]) for pair in used]
        if "model" in rows.column_names:
            place = np.where(np.asarray(rows["model"]) == PULSE, place, len(versions))
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
            [refit_end(label, origin, self._promotions) for origin in origins], return_inverse=True
        )
        fitted_on = learned_counts(part, made, ends)
        priors = [prior_on(panel_class(str(part.kind[0])), day_before(end)) for end in ends]
        models = fit_models(made.batch, fitted_on, priors, map_blocks)
        return ask(part, segments, made, origins, serving, fitted_on, models, map_blocks, explain=explain)


def version_of(engine: str, family: str, trained_on: date) -> str:
    """Return the version of a panel's model: engine, family, last day that it has learned from."""
    return f"{engine} {family} {trained_on}"


def families(panel: Panel) -> dict[str, str]:
    """Return the family of each series of a panel: frequency and kind."""
    return {
        str(name): f"{freq} {kind}" for name, freq, kind in zip(panel.ids, panel.freq, panel.kind, strict=True)
    }


def segments_by_family(panel: Panel) -> dict[str, Ints]:
    """Return the places of each family's segments in a panel, families in alphabetical order."""
    labels = np.array([f"{freq} {kind}" for freq, kind in zip(panel.freq, panel.kind, strict=True)], object)
    return {label: np.flatnonzero(labels == label) for label in sorted(set(labels.tolist()))}


def scaled_family(part: Panel, horizons: Mapping[str, int]) -> Scaled:
    """Return the segments of one family, at least one, on their scale."""
    freq, kind = str(part.freq[0]), str(part.kind[0])
    return scaled_batch(
        part.ids, part.values, part.offsets, kind=kind, seasons=SEASONS[freq], horizon=horizons[freq]
    )


def learned_counts(part: Panel, made: Scaled, ends: Ints) -> Ints:
    """Return how many observations of each segment a refit learns from, shape ``(S, R)``; ends in microseconds."""
    fitted_on = part.known_counts(ends)
    fitted_on[fitted_on > made.sound[:, None]] = 0
    return fitted_on


def ask(
    part: Panel,
    segments: Ints,
    made: Scaled,
    origins: list[date],
    serving: Ints,
    fitted_on: Ints,
    models: Sequence[PanelModel],
    map_blocks: MapBlocks,
    *,
    explain: bool = False,
) -> Group:
    """Ask the models of one family at every origin where a segment is long and fresh enough.

    Parameters
    ----------
    part, made
        The segments of the family, as they came and on their scale.
    segments
        Their places in the whole panel.
    serving
        Which model serves each origin, shape ``(O,)``.
    fitted_on
        Observations of each segment that each model has learned from, shape ``(S, R)``.
    """
    ends = np.array([origin_end(origin) for origin in origins], np.int64)
    counts = part.known_counts(ends)
    asked = part.is_fresh(counts, ends) & (counts >= LEAST) & (counts <= made.sound[:, None])
    series, place = np.nonzero(asked)
    count, model = counts[series, place], serving[place]
    new = np.ones(len(series), bool)
    new[1:] = (np.diff(series) != 0) | (np.diff(count) != 0) | (np.diff(model) != 0)
    starts = np.searchsorted(series[new], np.arange(len(segments) + 1))
    outlook = speak(made.batch, starts, count[new], model[new], fitted_on, models, map_blocks, explain=explain)
    said_at = np.full(asked.shape, -1, np.int64)
    said_at[series, place] = np.cumsum(new) - 1
    return Group(segments, made.scale, asked, said_at, serving, list(models), outlook)


def day_before(end: int) -> date:
    """Return the last day that is over at an end, in microseconds since 1970."""
    return (np.datetime64(int(end), "us") - np.timedelta64(1, "us")).astype("datetime64[D]").astype(object)  # type: ignore[no-any-return]


def quantiles_of(groups: list[Group], asked: Bools, horizon: Ints, piece: slice) -> tuple[Floats, Floats]:
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
