"""Adapters that make pool members of common libraries; none is imported before its adapter forecasts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.members import MemberShapeError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class StatsModel(Protocol):
    """What :class:`StatsForecastMember` needs of a model of statsforecast."""

    def forecast(self, y: Floats, h: int) -> Mapping[str, npt.ArrayLike]:
        """Fit ``y`` and return a mapping with ``mean``, shape ``(h,)``."""


class SktimeForecaster(Protocol):
    """What :class:`SktimeMember` needs of a forecaster."""

    def fit(self, y: Floats, *, fh: Ints) -> object:
        """Fit ``y`` for the steps ``fh`` after its end."""

    def predict(self) -> npt.ArrayLike:
        """Return those steps, shape ``(len(fh),)`` or ``(len(fh), 1)``."""


class Regressor(Protocol):
    """What :class:`MlForecastMember` needs of a regressor: the interface of scikit-learn."""

    def fit(self, X: object, y: object) -> object:  # noqa: N803 - scikit-learn's name
        """Fit features to targets."""

    def predict(self, X: object) -> npt.ArrayLike:  # noqa: N803 - scikit-learn's name
        """Return one target a row."""


@dataclass(frozen=True)
class StatsForecastMember:
    """One model of statsforecast, fitted to each series by itself.

    Parameters
    ----------
    model
        A model such as ``AutoETS(season_length=12)``, or a function that makes one from the season.
    name
        As in :class:`PoolMember`.
    shortest
        Series with fewer values get NaN rows.

    Examples
    --------
    >>> from statsforecast.models import SeasonalNaive
    >>> member = StatsForecastMember(lambda season: SeasonalNaive(season_length=season), "last_season")
    >>> member.forecast([np.array([1.0, 2.0, 3.0, 4.0])], horizon=3, season=2)
    array([[3., 4., 3.]])
    """

    model: StatsModel | Callable[[int], StatsModel]
    name: str = "statsforecast"
    shortest: int = 2

    def forecast(self, histories: list[Floats], horizon: int, season: int) -> Floats:
        """Return the model's means; see :class:`PoolMember`."""
        model = self.model(season) if callable(self.model) else self.model
        made = np.full((len(histories), horizon), np.nan)
        for row, history in enumerate(histories):
            if len(history) >= self.shortest:
                made[row] = _steps(model.forecast(y=history, h=horizon)["mean"], horizon)
        return made


@dataclass(frozen=True)
class SktimeMember:
    """Any forecaster with ``fit(y, fh=...)`` and ``predict()``, such as sktime's, made anew for each series.

    Parameters
    ----------
    factory
        Makes a forecaster from the season, such as ``lambda season: ThetaForecaster(sp=season)``. It is fitted to a
        plain array; a forecaster that wants an index needs a small wrapper.
    name, shortest
        As in :class:`StatsForecastMember`.

    Examples
    --------
    >>> class Last:
    ...     def fit(self, y, *, fh):
    ...         self.made = np.repeat(y[-1], len(fh))
    ...     def predict(self):
    ...         return self.made
    >>> SktimeMember(lambda season: Last()).forecast([np.array([1.0, 5.0])], horizon=2, season=1)
    array([[5., 5.]])
    """

    factory: Callable[[int], SktimeForecaster]
    name: str = "sktime"
    shortest: int = 2

    def forecast(self, histories: list[Floats], horizon: int, season: int) -> Floats:
        """Return the forecasters' predictions; see :class:`PoolMember`."""
        made = np.full((len(histories), horizon), np.nan)
        for row, history in enumerate(histories):
            if len(history) >= self.shortest:
                forecaster = self.factory(season)
                forecaster.fit(history, fh=np.arange(1, horizon + 1))
                made[row] = _steps(forecaster.predict(), horizon)
        return made


def small_lightgbm() -> Regressor:
    """Return a LightGBM of 200 small trees, on one thread and with the same result every time."""
    from lightgbm import LGBMRegressor

    made: Regressor = LGBMRegressor(
        n_estimators=200,
        learning_rate=0.05,
        num_leaves=15,
        random_state=0,
        n_jobs=1,
        deterministic=True,
        force_row_wise=True,
        verbosity=-1,
    )
    return made


@dataclass(frozen=True)
class MlForecastMember:
    """One regressor on lags for all series together, through mlforecast; several steps ahead by recursion.

    It sees each series' changes from step to step, divided by their mean size, so that trends go on and scales do not
    matter. A series' forecast depends on which others it is trained with.

    Parameters
    ----------
    regressor_factory
        Makes an unfitted regressor of scikit-learn's interface.
    lags
        Steps back whose changes are features; the season is added.
    longest
        Newest values of each series that are used.
    name
        As in :class:`PoolMember`. Series with fewer than two values more than the longest lag get NaN rows.
    """

    regressor_factory: Callable[[], Regressor] = small_lightgbm
    lags: tuple[int, ...] = (1, 2, 3, 5)
    longest: int = 1000
    name: str = "mlforecast"

    def forecast(self, histories: list[Floats], horizon: int, season: int) -> Floats:
        """Return the regressor's forecasts; see :class:`PoolMember`."""
        lags = sorted({*self.lags, season})
        made = np.full((len(histories), horizon), np.nan)
        fewest = lags[-1] + 2
        rows = [row for row, history in enumerate(histories) if len(history) >= fewest]
        if not rows:
            return made
        changes = [np.diff(histories[row][-max(self.longest, fewest) :]) for row in rows]
        scales = np.array([np.abs(change).mean() for change in changes])
        scaled = [change / (scale or 1.0) for change, scale in zip(changes, scales, strict=True)]
        last = np.array([histories[row][-1] for row in rows])
        made[rows] = last[:, None] + np.cumsum(self._changes(scaled, lags, horizon), axis=1) * scales[:, None]
        return made

    def _changes(self, changes: list[Floats], lags: list[int], horizon: int) -> Floats:
        """Fit all changes at once and return the next ones, shape ``(len(changes), horizon)``."""
        import pandas as pd
        from mlforecast import MLForecast

        sizes = [len(change) for change in changes]
        frame = pd.DataFrame(
            {
                "unique_id": np.repeat(np.arange(len(changes)), sizes),
                "ds": np.concatenate([np.arange(size) for size in sizes]),
                "y": np.concatenate(changes),
            }
        )
        model = MLForecast(models={"change": self.regressor_factory()}, freq=1, lags=lags, num_threads=1)
        table = model.fit(frame, static_features=[]).predict(horizon).sort_values(["unique_id", "ds"])
        return np.asarray(table["change"], np.float64).reshape(len(changes), horizon)


@dataclass(frozen=True)
class FoundationMember:
    """A pretrained model, reached through one function; Pulse neither ships nor loads any.

    Parameters
    ----------
    predict
        Takes contexts (arrays of their own lengths, oldest first) and the horizon; returns an array of shape
        ``(n, horizon)``, or ``(n, horizon, Q)`` where it says quantiles. For a pipeline of Chronos, for example, a
        function that turns the contexts into tensors, calls ``predict_quantiles`` and returns the first of its results.
    levels
        Probabilities of the Q quantiles, 0.5 among them: the median becomes the point. None where it returns points.
    context_length
        Newest values of each series that are passed on.
    batch_size
        Series a call.
    name, shortest
        As in :class:`StatsForecastMember`.

    Examples
    --------
    >>> def last(contexts, horizon):
    ...     return np.array([[context[-1]] * horizon for context in contexts])
    >>> FoundationMember(last).forecast([np.array([1.0, 5.0])], horizon=2, season=1)
    array([[5., 5.]])
    """

    predict: Callable[[list[Floats], int], npt.ArrayLike]
    levels: tuple[float, ...] | None = None
    context_length: int = 512
    batch_size: int = 64
    name: str = "foundation"
    shortest: int = 2

    def __post_init__(self) -> None:
        if self.levels is not None and 0.5 not in self.levels:
            raise ValueError(
                f"levels must hold 0.5, whose quantile is the point; came {self.levels}: ask the model for it"
            )

    def forecast(self, histories: list[Floats], horizon: int, season: int) -> Floats:  # noqa: ARG002 - finds its own
        """Return the model's points or medians; see :class:`PoolMember`."""
        made = np.full((len(histories), horizon), np.nan)
        rows = [row for row, history in enumerate(histories) if len(history) >= self.shortest]
        for low in range(0, len(rows), self.batch_size):
            some = rows[low : low + self.batch_size]
            answer = np.asarray(self.predict([histories[row][-self.context_length :] for row in some], horizon), float)
            wanted = (len(some), horizon) if self.levels is None else (len(some), horizon, len(self.levels))
            if answer.shape != wanted:
                raise MemberShapeError(f"expected an array of shape {wanted}, came {answer.shape}: check {self.name}")
            made[some] = answer if self.levels is None else answer[..., self.levels.index(0.5)]
        return made


def _steps(answer: npt.ArrayLike, horizon: int) -> Floats:
    """Return one series' steps as a flat array."""
    steps = np.asarray(answer, np.float64)
    if steps.shape not in ((horizon,), (horizon, 1)):
        raise MemberShapeError(f"expected {horizon} steps, came an array of shape {steps.shape}: check the model")
    return steps.reshape(horizon)
