"""The panels inside a panel: series of one frequency and kind, on their scale, asked by models that are given. Pure.

What the engine behind ``gold/forecasts`` and a trained panel by itself share. Which training serves an origin is
decided in :mod:`.engine`, what a panel teaches in :mod:`.learning`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.batches import Scaled, scaled_batch
from pulse_assets.forecasting.engine import MapBlocks, origin_end
from pulse_assets.forecasting.kinds import SEASONS, panel_class
from pulse_assets.forecasting.learning import PanelModel
from pulse_assets.forecasting.pack import Floats, Ints, Panel
from pulse_assets.forecasting.prior import Prior, prior_on
from pulse_assets.forecasting.quantile_rows import fill_quantiles
from pulse_assets.forecasting.speaking import Outlook, speak
from pulse_assets.numerics.quantiles import LEVELS

Bools = npt.NDArray[np.bool_]

LEAST = 8
"""Observations from which on the pool is asked."""


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


def version_of(engine: str, family: str, trained_on: date) -> str:
    """Return the version of a panel's model: engine, family, last day that it has learned from."""
    return f"{engine} {family} {trained_on}"


def families(panel: Panel) -> dict[str, str]:
    """Return the family of each series of a panel: frequency and kind."""
    return {str(name): f"{freq} {kind}" for name, freq, kind in zip(panel.ids, panel.freq, panel.kind, strict=True)}


def segments_by_family(panel: Panel) -> dict[str, Ints]:
    """Return the places of each family's segments in a panel, families in alphabetical order."""
    labels = np.array([f"{freq} {kind}" for freq, kind in zip(panel.freq, panel.kind, strict=True)], object)
    return {label: np.flatnonzero(labels == label) for label in sorted(set(labels.tolist()))}


def scaled_family(part: Panel, horizons: Mapping[str, int]) -> Scaled:
    """Return the segments of one family, at least one, on their scale."""
    freq, kind = str(part.freq[0]), str(part.kind[0])
    return scaled_batch(part.ids, part.values, part.offsets, kind=kind, seasons=SEASONS[freq], horizon=horizons[freq])


def prior_of(part: Panel, end: int) -> Prior:
    """Return what a refit of one family starts from, if it learns from what was known before an end."""
    return prior_on(panel_class(str(part.kind[0])), day_before(end))


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
