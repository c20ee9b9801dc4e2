"""The reference models against which every licence is measured: naive and seasonal naive, from every origin. Pure.

Their quantiles come from their own past h-step errors. Anything cleverer belongs to another engine.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.forecasting.engine import (
    HORIZONS,
    LARGEST,
    LOG_KINDS,
    SEASONS,
    MapBlocks,
    check_origins,
    inline,
    origin_chunks,
    origin_end,
)
from pulse_assets.forecasting.pack import Floats, Ints, Panel
from pulse_assets.forecasting.rows import forecast_rows
from pulse_assets.numerics.quantiles import LEVELS

if TYPE_CHECKING:
    from pulse_assets.forecasting.references_kernel import State

REFERENCES = ("naive", "seasonal_naive")
"""In alphabetical order, which is the order of the rows and of the kernel."""
MIN_ERRORS = 20
"""Past errors that every horizon needs before a quantile is stated."""
SEGMENTS_A_BLOCK = 256


@dataclass(frozen=True)
class Work:
    """One block of segments on its way through a chunk of origins."""

    panel: Panel
    counts: Ints
    asked: npt.NDArray[np.bool_]
    horizon: Ints
    state: "State"


@dataclass(frozen=True)
class ReferenceBank:
    """Naive and seasonal naive, with quantiles from their past h-step errors.

    Parameters
    ----------
    horizons
        Steps ahead for each frequency.
    """

    horizons: Mapping[str, int] = field(default_factory=lambda: dict(HORIZONS))
    version: str = "reference-1"

    def forecast(self, panel: Panel, origins: list[date], map_blocks: MapBlocks = inline) -> Iterator[pa.Table]:
        """Yield the forecasts of both models; see :class:`pulse_assets.forecasting.engine.Forecaster`."""
        from pulse_assets.forecasting.references_kernel import new_state

        check_origins(origins)
        scaled = replace(panel, values=_scaled(panel))
        sound = _sound_counts(scaled)
        horizon = np.array([self.horizons[freq] for freq in panel.freq], np.int64)
        ends = np.array([origin_end(origin) for origin in origins], np.int64)
        blocks = [
            np.arange(low, min(low + SEGMENTS_A_BLOCK, len(panel))) for low in range(0, len(panel), SEGMENTS_A_BLOCK)
        ]
        parts = [scaled.select(block) for block in blocks]
        states = [new_state(len(part), max(self.horizons.values())) for part in parts]
        for piece in origin_chunks(origins, int(horizon.sum())):
            some = ends[piece]
            counts = panel.known_counts(some)
            asked = panel.is_fresh(counts, some) & (counts >= MIN_ERRORS + horizon[:, None])
            asked &= counts <= sound[:, None]
            works = (
                Work(part, counts[block], asked[block], horizon[block], state)
                for part, block, state in zip(parts, blocks, states, strict=True)
            )
            results = list(map_blocks(_walk, works))
            states = [state for state, _, _ in results]
            mean = np.concatenate([np.empty(0), *(part for _, part, _ in results)])
            quantiles = np.concatenate([np.empty((0, len(LEVELS))), *(part for _, _, part in results)])
            yield forecast_rows(panel, origins[piece], counts, asked, horizon, REFERENCES, mean, quantiles.T)


def _walk(work: Work) -> "tuple[State, Floats, Floats]":
    """Advance one block over a chunk of origins; rows come by segment, origin, model, horizon."""
    from pulse_assets.forecasting.references_kernel import advance

    panel, models = work.panel, len(REFERENCES)
    sizes = np.where(work.asked, work.horizon[:, None] * models, 0)
    target = np.where(work.asked, (np.cumsum(sizes) - sizes.ravel()).reshape(sizes.shape), -1)
    total = int(sizes.sum())
    mean, quantiles = np.empty(total), np.empty((total, len(LEVELS)))
    season = np.array([SEASONS[freq] for freq in panel.freq], np.int64)
    values, is_log = panel.values, _is_log(panel)
    advance(
        values, panel.offsets, work.counts, target, season, work.horizon, is_log, LEVELS, work.state, mean, quantiles
    )
    return work.state, mean, quantiles


def _is_log(panel: Panel) -> npt.NDArray[np.bool_]:
    return np.isin(panel.kind.astype(str), LOG_KINDS)


def _scaled(panel: Panel) -> Floats:
    """Return the values as the kernel walks them: logarithms for some kinds."""
    rows = np.repeat(_is_log(panel), np.diff(panel.offsets))
    values = panel.values.copy()
    with np.errstate(divide="ignore", invalid="ignore"):  # what is not positive ends the series, see LARGEST
        values[rows] = np.log(values[rows])
    return values


def _sound_counts(scaled: Panel) -> Ints:
    """Return how many values of each segment come before the first that the kernel cannot take, shape ``(S,)``."""
    unsound = np.append(np.flatnonzero(~(np.abs(scaled.values) <= LARGEST)), len(scaled.values))
    first = unsound[np.searchsorted(unsound, scaled.offsets[:-1])]
    return np.asarray(np.minimum(first, scaled.offsets[1:]) - scaled.offsets[:-1])
