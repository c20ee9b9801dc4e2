"""One panel model by itself: trained as of a day, kept as bytes, and asked later. Pure.

It says what the engine behind ``gold/forecasts`` says at the origins that this training serves, bit for bit. Where the
bytes are kept, and which training serves, does not belong here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from functools import cached_property

import numpy as np
import pyarrow as pa

from pulse_assets.forecasting.engine import HORIZONS, MapBlocks, inline, origin_end
from pulse_assets.forecasting.families import (
    ask,
    learned_counts,
    prior_of,
    quantiles_of,
    scaled_family,
    segments_by_family,
    version_of,
)
from pulse_assets.forecasting.garch import GjrFit, fit_gjr
from pulse_assets.forecasting.learning import PanelModel, fit_models
from pulse_assets.forecasting.pack import Ints, Panel, Texts, pack
from pulse_assets.forecasting.pooled import PULSE, PooledEngine
from pulse_assets.forecasting.rows import forecast_rows
from pulse_assets.forecasting.training_bytes import (
    Arrays,
    Meta,
    digest_of,
    model_arrays,
    model_from,
    packed,
    unpacked,
)
from pulse_assets.forecasting.volatility import Volatility
from pulse_assets.numerics.quantiles import LEVELS


@dataclass(frozen=True, eq=False)
class TrainedPanel:
    """What one panel had taught by the end of a day.

    Parameters
    ----------
    family
        Frequency and kind of its series, as in ``B price``.
    trained_on
        Last day whose knowledge it has learned from.
    engine_version
        Version of the engine that trained it.
    horizon
        Steps ahead.
    ids, learned
        Series that it has learned from, and from how many observations of each, shape ``(S,)``.
    model
        Its parameters; a conditional volatility has those of the S series.
    """

    family: str
    trained_on: date
    engine_version: str
    horizon: int
    ids: Texts
    learned: Ints
    model: PanelModel

    @property
    def model_version(self) -> str:
        """Version of the model, as in ``gold/forecasts``."""
        return version_of(self.engine_version, self.family, self.trained_on)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the parameters and of what they are: equal trainings have equal digests."""
        return digest_of(*self._parts())

    def metrics(self) -> dict[str, float]:
        """Return what is worth comparing between trainings; all numbers are finite."""
        model, shape = self.model, self.model.shape
        numbers = {
            "series": float(len(self.ids)),
            "observations": float(self.learned.sum()),
            "backtest_rows": float(model.rows),
            "gate_was_tuned": float(np.isfinite(model.penalty)),
            "pull": model.pull,
            "shape_width_80_first": float(shape[0, -4] - shape[0, 3]),
            "shape_width_80_last": float(shape[-1, -4] - shape[-1, 3]),
            "lag_windows": float(model.lag_map.windows if model.lag_map else 0),
        }
        if model.volatility is not None:
            numbers["volatility_share"] = float(np.isfinite(model.volatility.fit.omega).mean())
        return {name: value for name, value in numbers.items() if np.isfinite(value)}

    def forecast(self, series: pa.Table | Panel, origin: date, map_blocks: MapBlocks = inline) -> pa.Table:
        """Forecast the panel's series from an origin, from what was known on that day.

        Parameters
        ----------
        series
            Rows of ``silver/series`` (see :func:`~pulse_assets.forecasting.pack.pack`), or a panel that was packed from
            the end of ``trained_on`` or earlier. Series of other families are passed over; a new one is forecast, too.
        origin
            A day, not before ``trained_on``.

        Returns
        -------
        Table
            The rows of the model ``pulse``, with the columns of ``gold/forecasts`` up to the quantiles; none for series
            that are too short or stale.

        Raises
        ------
        ValueError
            The origin lies before what was learned, or another version of the engine trained the model.
        """
        self._check(origin)
        panel = series if isinstance(series, Panel) else pack(series, origin_end(self.trained_on), origin_end(origin))
        part = panel.select(segments_by_family(panel).get(self.family, np.empty(0, np.int64)))
        counts = part.known_counts(np.array([origin_end(origin)]))
        horizon, every = np.full(len(part), self.horizon, np.int64), np.arange(len(part))
        asked, numbers = np.zeros((len(part), 1), bool), (np.empty(0), np.empty((len(LEVELS), 0)))
        if len(part):
            made = scaled_family(part, {_freq(self.family): self.horizon})
            learned, model = self._fitted_to(part)
            serving = np.zeros(1, np.int64)
            group = ask(part, every, made, [origin], serving, learned[:, None], [model], map_blocks)
            asked, numbers = group.asked, quantiles_of([group], group.asked, horizon, slice(0, 1))
        return forecast_rows(part, [origin], counts, asked, horizon, (PULSE,), *numbers)

    def to_bytes(self) -> bytes:
        """Return the model as a file of numbers with the digest in it; equal trainings give equal bytes."""
        return packed(*self._parts())

    @classmethod
    def from_bytes(cls, content: bytes) -> "TrainedPanel":
        """Return the model that :meth:`to_bytes` wrote. No pickle: the bytes may come from anywhere.

        Raises
        ------
        ValueError
            The bytes are cut off, changed, or of something else.
        """
        meta, arrays = unpacked(content)
        return cls(
            str(meta["family"]),
            date.fromisoformat(str(meta["trained_on"])),
            str(meta["engine_version"]),
            int(str(meta["horizon"])),
            arrays["ids"].astype(object),
            arrays["learned"].astype(np.int64),
            model_from(arrays),
        )

    def _parts(self) -> tuple[Meta, Arrays]:
        meta: Meta = {
            "family": self.family,
            "trained_on": str(self.trained_on),
            "engine_version": self.engine_version,
            "horizon": self.horizon,
        }
        return meta, {"ids": self.ids.astype(np.str_), "learned": self.learned, **model_arrays(self.model)}

    def _check(self, origin: date) -> None:
        if origin < self.trained_on:
            raise ValueError(
                f"{self.model_version} has learned up to {self.trained_on}, so it cannot speak from {origin}; take a "
                "later origin, or an earlier training"
            )
        if self.engine_version != PooledEngine().version:
            raise ValueError(
                f"{self.model_version} was trained by engine {self.engine_version}, and this is "
                f"{PooledEngine().version}: install that version of Pulse, or train the panel again"
            )

    def _fitted_to(self, part: Panel) -> tuple[Ints, PanelModel]:
        """Return how much was learned of each segment, and the model with a volatility for each.

        A segment that was told otherwise since, or came later, has taught nothing: as if it had no observations.
        """
        served = part.known_counts(np.array([origin_end(self.trained_on)]))[:, 0] > 0
        places = {str(name): place for place, name in enumerate(self.ids)}
        place = np.array([places.get(str(name), -1) for name in part.ids], np.int64)
        place[~served] = -1
        learned = np.where(place >= 0, np.append(self.learned, 0)[place], 0)
        volatility = self.model.volatility
        if volatility is None:
            return learned, self.model
        nothing = fit_gjr(np.empty(0), np.zeros(2, np.int64), mean="zero")
        columns = [
            np.append(getattr(volatility.fit, field.name), getattr(nothing, field.name))[place]
            for field in fields(GjrFit)
        ]
        return learned, replace(self.model, volatility=Volatility(GjrFit(*columns), volatility.differenced))


def train(
    panel: Panel,
    family: str,
    trained_on: date,
    *,
    horizons: Mapping[str, int] = HORIZONS,
    map_blocks: MapBlocks = inline,
) -> TrainedPanel:
    """Learn what one family of a panel had to teach by the end of a day.

    Parameters
    ----------
    panel
        Packed from the end of ``trained_on`` or earlier, up to that or later: what was known after it is not used.
    family
        Frequency and kind, as in ``B price``.
    trained_on
        Last day whose knowledge counts.
    horizons
        Steps ahead for each frequency.

    Raises
    ------
    ValueError
        No series of the family was known by then.
    """
    part = panel.select(segments_by_family(panel).get(family, np.empty(0, np.int64)))
    end = origin_end(trained_on)
    known = part.known_counts(np.array([end])) if len(part) else np.zeros((0, 1), np.int64)
    if not (known > 0).any():
        raise ValueError(
            f"no series of {family!r} was known by {trained_on}, so there is nothing to learn; this panel has "
            f"{', '.join(segments_by_family(panel)) or 'no series'}"
        )
    made = scaled_family(part, horizons)
    learned = learned_counts(part, made, np.array([end]))
    model = fit_models(made.batch, learned, [prior_of(part, end)], map_blocks)[0]
    kept = np.flatnonzero(learned[:, 0] > 0)
    if model.volatility is not None:
        model = replace(model, volatility=model.volatility.take(kept))
    horizon = int(horizons[_freq(family)])
    return TrainedPanel(family, trained_on, PooledEngine().version, horizon, part.ids[kept], learned[kept, 0], model)


def _freq(family: str) -> str:
    return family.split(" ", 1)[0]
