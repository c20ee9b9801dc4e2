"""The state of a world on a day, from parameters that stand and from what was known by then.

What belongs here: variance filtered forward, residuals, probabilities of regimes, levels and history. Nothing is
estimated here but the scale of the residuals that are drawn again.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pulse_assets.forecasting.fhs import standardised_residuals
from pulse_assets.forecasting.garch import filter_variance
from pulse_assets.simulation.calibration.dynamics.jumps import market_moves
from pulse_assets.simulation.calibration.known_series import Days, Values, log_returns, window
from pulse_assets.simulation.calibration.parameters import GONE, Parameters
from pulse_assets.simulation.calibration.participants import KnownBy, factor_at, stale_reason
from pulse_assets.simulation.calibration.regime_scales import reference_returns, regime_scales
from pulse_assets.simulation.calibration.regimes import filtered_probabilities
from pulse_assets.simulation.calibration.world_settings import WorldSettings
from pulse_assets.simulation.world import Floats, Regimes, state_of


class Track(NamedTuple):
    """One asset since the start of the window; a shorter past has the first rows of it, bit for bit.

    Attributes
    ----------
    values
        Prices.
    days, returns, residuals
        Of n returns.
    variance
        Expected before each return, and after the last, shape ``(n + 1,)``.
    """

    values: Values
    days: Days
    returns: Floats
    residuals: Floats
    variance: Floats

    def up_to(self, values: Values) -> "Track | None":
        """Return the track of a shorter past, None if that is not how this one begins."""
        count = len(values.days)
        is_start = count <= len(self.values.days) and (
            np.array_equal(values.levels, self.values.levels[:count])
            and np.array_equal(values.days, self.values.days[:count])
        )
        if not is_start:
            return None
        n = int(np.searchsorted(self.days, values.days[-1], side="right")) if count else 0
        return Track(values, self.days[:n], self.returns[:n], self.residuals[:n], self.variance[: n + 1])


def follow(parameters: Parameters, asset: int, values: Values, longest_gap: int) -> Track:
    """Filter one asset through its prices with the parameters that stand.

    Raises
    ------
    ValueError
        A price is 0 or less.
    """
    fit = parameters.volatility.take(np.array([asset]))
    days, returns = log_returns(parameters.assets[asset].name, values, longest_gap)
    inside = days > parameters.start
    days, returns = days[inside], np.ascontiguousarray(returns[inside])
    offsets = np.array([0, len(returns)])
    variance, following = filter_variance(fit, returns, offsets)
    residuals, _ = standardised_residuals(fit, returns, offsets)
    return Track(values, days, returns, residuals, np.append(variance, following))


class Followed:
    """Tracks of all assets of a set of parameters up to a last day, from which earlier days are read.

    Parameters
    ----------
    parameters
        Of A assets.
    known
        Series in silver.
    last
        Last day that will be asked for.
    longest_gap
        Days between two prices beyond which there is no return.
    """

    def __init__(self, parameters: Parameters, known: KnownBy, last: np.datetime64, longest_gap: int) -> None:
        self.parameters = parameters
        self._known = known
        self._gap = longest_gap
        self._longest = [self._up_to(i, last) for i in range(len(parameters.assets))]
        tracks = [track for track in self._longest if track is not None]
        has_rows = _needs_rows(parameters) and len(tracks) == len(self._longest)
        self._rows = _Rows(parameters, tracks) if has_rows else None

    def tracks(self, day: np.datetime64) -> list[Track]:
        """Return the track of each asset from what was known by a day."""
        found = []
        for i, longest in enumerate(self._longest):
            values = self._values(i, day)
            track = None if longest is None else longest.up_to(values)
            found.append(track or follow(self.parameters, i, values, self._gap))
        return found

    def residuals(self, tracks: Sequence[Track]) -> Floats:
        """Return standardised residuals of the days that all assets have, of mean 0 and mean square 1, ``(T, A)``."""
        rows = self._rows_of(tracks)
        found = rows.residuals[: rows.count(tracks)]
        found = found[~(np.abs(market_moves(found)) > self.parameters.jump_limit)]
        if not len(found):
            return found
        centred = found - found.mean(axis=0)
        return np.ascontiguousarray(centred / np.sqrt((centred**2).mean(axis=0)))

    def regimes(self, tracks: Sequence[Track]) -> Regimes | None:
        """Return the regimes with the probabilities that the last day leaves; stationary ones without an index."""
        regimes, switching = self.parameters.regimes, self.parameters.switching
        if regimes is None or switching is None:
            return None
        if self.parameters.index == GONE:
            reference = np.empty(0)
        elif self.parameters.index is None:
            rows = self._rows_of(tracks)
            reference = rows.reference[: rows.count(tracks)]
        else:
            reference = tracks[self.parameters.index].returns
        now = filtered_probabilities(switching, reference)[-1] if len(reference) else switching.stationary
        return replace(regimes, now=now / now.sum())

    def _up_to(self, asset: int, last: np.datetime64) -> Track | None:
        """Return the track up to the last day, None if a price on the way is 0 or less: earlier days do not know."""
        try:
            return follow(self.parameters, asset, self._values(asset, last), self._gap)
        except ValueError:
            return None

    def _values(self, asset: int, day: np.datetime64) -> Values:
        return window(self._known[self.parameters.assets[asset].source].by(day), self.parameters.start)

    def _rows_of(self, tracks: Sequence[Track]) -> "_Rows":
        shared = all(
            longest is not None and (len(track.days) == 0 or np.shares_memory(track.days, longest.days))
            for track, longest in zip(tracks, self._longest, strict=True)
        )
        return self._rows if shared and self._rows is not None else _Rows(self.parameters, tracks)


class _Rows:
    """Days that all assets have, with residuals over what regimes explain, ``(T, A)``, and returns of the market."""

    def __init__(self, parameters: Parameters, tracks: Sequence[Track]) -> None:
        days = tracks[0].days
        for track in tracks[1:]:
            days = np.intersect1d(days, track.days, assume_unique=True)
        self._places = np.array([np.searchsorted(track.days, days) for track in tracks]).T.reshape(len(days), -1)
        self.residuals = np.empty(self._places.shape)
        returns = np.empty(self._places.shape)
        for i, track in enumerate(tracks):
            self.residuals[:, i] = track.residuals[self._places[:, i]]
            returns[:, i] = track.returns[self._places[:, i]]
        index = parameters.index
        self.reference = reference_returns(returns, None)
        if parameters.regimes is not None and parameters.switching is not None and index != GONE:
            market = (days, self.reference) if index is None else (tracks[index].days, tracks[index].returns)
            scales, _ = regime_scales(parameters.switching, parameters.regimes, *market, days)
            self.residuals /= scales[:, None]

    def count(self, tracks: Sequence[Track]) -> int:
        """Return how many of the days all of the tracks have."""
        return min(
            int(np.searchsorted(self._places[:, i], len(track.days), side="left")) for i, track in enumerate(tracks)
        )


def _needs_rows(parameters: Parameters) -> bool:
    is_mean = parameters.regimes is not None and parameters.index is None
    return parameters.innovations == "historical" or is_mean


def past_states(values: Values, days: Days) -> Floats:
    """Return the last level on or before each day, the first one before there is any, shape ``(L,)``."""
    return np.asarray(values.levels[np.maximum(np.searchsorted(values.days, days, side="right") - 1, 0)])


def levels_and_history(
    parameters: Parameters, tracks: Sequence[Track], known: KnownBy, lags: int, day: np.datetime64
) -> tuple[Floats, Floats]:
    """Return states of factors at the origin, shape ``(F,)``, and of all variables on L weekdays before, ``(L, V)``."""
    before = np.busday_offset(day, np.arange(-lags, 0), roll="forward")
    columns = [np.log(past_states(track.values, before)) - np.log(track.values.levels[-1]) for track in tracks]
    levels = []
    for factor in parameters.factors:
        values = factor_at(known, factor, day)
        levels.append(float(state_of(factor.variable, float(values.levels[-1]))))
        columns.append(state_of(factor.variable, past_states(values, before)))
    history = np.array(columns).T.reshape(len(before), len(columns))
    return np.array(levels, np.float64), np.ascontiguousarray(history)


def still_there(
    parameters: Parameters, known: KnownBy, settings: WorldSettings, day: np.datetime64, left_out: dict[str, str]
) -> tuple[list[int], list[int]]:
    """Return which assets and factors still have a recent and valid level on a day, and fill why others have none."""
    assets, factors = [], []
    for i, asset in enumerate(parameters.assets):
        values = window(known[asset.source].by(day), parameters.start)
        why = stale_reason(values, day, settings.stale_days)
        if not why and values.levels.min() <= 0:
            why = "it has a price of 0 or less"
        assets += [] if _note(left_out, asset.name, why) else [i]
    for i, factor in enumerate(parameters.factors):
        try:
            why = stale_reason(factor_at(known, factor, day), day, factor.stale_days or settings.stale_days)
        except ValueError as error:
            why = str(error)
        factors += [] if _note(left_out, factor.name, why) else [i]
    return assets, factors


def _note(left_out: dict[str, str], name: str, why: str) -> bool:
    if why:
        left_out[name] = why
    return bool(why)
