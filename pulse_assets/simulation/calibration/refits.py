"""Estimation of a world's parameters from what was known on a day.

What belongs here: the order in which plug-ins see what. Which series take part is decided in ``participants``; the
state of a later day, such as its variance, is in ``day_states``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pulse_assets.forecasting.fhs import standardised_residuals
from pulse_assets.forecasting.garch import GjrFit
from pulse_assets.numerics.threads import one_thread
from pulse_assets.simulation.calibration.driver_correlation import driver_correlation, on_common_days
from pulse_assets.simulation.calibration.dynamics.jumps import market_moves
from pulse_assets.simulation.calibration.dynamics.protocol import Sample
from pulse_assets.simulation.calibration.dynamics.volatility import mean_and_variance
from pulse_assets.simulation.calibration.known_series import Days
from pulse_assets.simulation.calibration.parameters import Parameters
from pulse_assets.simulation.calibration.participants import KnownBy, asset_series, factor_states, refuse_missing
from pulse_assets.simulation.calibration.regime_scales import reference_returns, regime_scales
from pulse_assets.simulation.calibration.regimes import RegimeFit
from pulse_assets.simulation.calibration.world_settings import Choice, FactorSettings, WorldSettings
from pulse_assets.simulation.world import Floats, Jumps, Regimes


@dataclass(frozen=True, eq=False)
class _Panel:
    """Returns of the assets that take part, on the union of their days, shape ``(T, A)``, NaN where there is none."""

    days: Days
    returns: Floats


def fit_parameters(known: KnownBy, settings: WorldSettings, day: np.datetime64) -> Parameters:
    """Estimate all parameters from what was known by the end of a day.

    Parameters
    ----------
    known
        Series in silver by name.
    settings
        Of the world.
    day
        ``datetime64[D]``.

    Raises
    ------
    ValueError
        No asset has enough of a past, or a required variable is left out; the message gives the reasons.
    """
    with one_thread():
        return _fit(known, settings, day)


def _fit(known: KnownBy, settings: WorldSettings, day: np.datetime64) -> Parameters:
    start = np.busday_offset(day, -settings.window_days, roll="backward")
    left_out: dict[str, str] = {}
    series = asset_series(known, settings, day, start, left_out)
    factors = factor_states(known, settings, day, left_out)
    refuse_missing(left_out, settings, day, none_left=not series)
    assets = tuple(variable for variable in settings.asset_variables() if variable.name in series)
    days, returns = on_common_days([series[asset.name] for asset in assets])
    panel = _Panel(days, returns)
    volatility, notes = _fit_volatility(panel, settings, [asset.name for asset in assets])
    index = _index(settings, [asset.name for asset in assets], notes)
    variance = mean_and_variance(returns)[1]
    residuals = _residuals(volatility, returns)
    empty = np.empty(0)
    found = Parameters(
        day,
        start,
        assets,
        tuple(factor for factor, _, _ in factors),
        volatility,
        _drift(returns, settings.drift),
        np.ones(len(assets)),
        variance,
        empty,
        empty,
        empty,
        np.eye(len(assets)),
        "normal",
        index=index,
        left_out=left_out,
        observations={name: len(values) for name, (_, values) in series.items()}
        | {factor.name: len(states) for factor, (_, states), _ in factors},
    )
    found, sample = _with_regimes(found, panel, residuals, settings, notes)
    found, sample = _with_jumps(found, sample, settings, notes)
    found = _with_innovations(found, sample, settings.innovations)
    found = _with_factors(found, panel.days, sample.residuals, factors)
    return replace(found, notes=tuple(notes))


def _fit_volatility(panel: _Panel, settings: WorldSettings, names: Sequence[str]) -> tuple[GjrFit, list[str]]:
    plugin, options = settings.volatility.plugin("volatility")
    fields = plugin.calibrate(Sample(panel.returns), options)
    mu, omega, alpha, gamma, beta, first = (
        np.asarray(fields[name], np.float64) for name in ("drift", "omega", "alpha", "gamma", "beta", "variance")
    )
    blank = np.full(len(names), np.nan)
    failed = fields.get("failed", {})
    assert isinstance(failed, dict)
    notes = [f"{names[i]}: constant volatility, because its fit says {why}" for i, why in failed.items()]
    return GjrFit(mu, omega, alpha, gamma, beta, blank, blank, first, np.zeros(len(names), np.int8)), notes


def _index(settings: WorldSettings, names: Sequence[str], notes: list[str]) -> int | None:
    wanted = (settings.regimes.model_extra or {}).get("index") if settings.regimes else None
    if wanted is None or wanted in names:
        return None if wanted is None else names.index(str(wanted))
    notes.append(f"the index {wanted} is left out: the mean return of all assets stands for the market")
    return None


def _residuals(volatility: GjrFit, returns: Floats) -> Floats:
    known = np.isfinite(returns)
    offsets = np.concatenate([[0], np.cumsum(known.sum(axis=0))]).astype(np.int64)
    residuals = np.full(returns.shape, np.nan)
    residuals.T[known.T] = standardised_residuals(volatility, returns.T[known.T], offsets)[0]
    return residuals


def _drift(returns: Floats, how: str) -> Floats:
    mean, variance = mean_and_variance(returns)
    if how == "zero":
        return np.zeros(len(mean))
    error = variance / np.maximum(np.isfinite(returns).sum(axis=0), 1)
    spread = max(0.0, float(np.mean(mean**2 - error)))
    return mean if how == "mean" else np.asarray(mean * spread / (spread + error))


def _with_regimes(
    found: Parameters, panel: _Panel, residuals: Floats, settings: WorldSettings, notes: list[str]
) -> tuple[Parameters, Sample]:
    """Add regimes; the sample then has residuals over the deviation that regimes explain."""
    reference = reference_returns(panel.returns, found.index)
    sample = Sample(panel.returns, residuals, reference, np.ones((len(residuals), 1)), variance=found.sample_variance)
    if settings.regimes is None:
        return found, sample
    plugin, options = settings.regimes.plugin("regimes")
    fields = plugin.calibrate(sample, options)
    regimes, switching = fields["regimes"], fields["switching"]
    assert isinstance(regimes, Regimes)
    assert isinstance(switching, RegimeFit)
    if len(regimes.names) == 1:
        notes.append("one regime: by the Bayesian information criterion the returns do not ask for more")
        return found, sample
    if settings.drift == "zero":
        regimes = replace(regimes, drift=np.zeros(len(regimes.names)))
    has = np.isfinite(reference)
    scales, probabilities = regime_scales(switching, regimes, panel.days[has], reference[has], panel.days)
    sample = replace(
        sample, residuals=residuals / scales[:, None], probabilities=probabilities, stationary=switching.stationary
    )
    return replace(found, regimes=regimes, switching=switching), sample


def _with_jumps(
    found: Parameters, sample: Sample, settings: WorldSettings, notes: list[str]
) -> tuple[Parameters, Sample]:
    """Add jumps, lower drift and variance by what they explain, and take their days out of the residuals."""
    if settings.jumps is None:
        return found, sample
    plugin, options = settings.jumps.plugin("jumps")
    fields = plugin.calibrate(sample, options)
    jumps, explained, limit = fields["jumps"], np.asarray(fields["explained"]), fields["limit"]
    if jumps is None:
        notes.append("no jumps: too few days lie beyond the threshold")
        return found, sample
    assert isinstance(jumps, Jumps)
    assert isinstance(limit, float)
    expected = float(sample.stationary @ jumps.intensity) * jumps.mean * jumps.load
    calm = ~(np.abs(market_moves(sample.residuals)) > limit)
    residuals = np.where(calm[:, None], sample.residuals, np.nan)
    found = replace(found, jumps=jumps, jump_limit=limit, kept_variance=1 - explained, drift=found.drift - expected)
    return found, replace(sample, residuals=residuals)


def _with_innovations(found: Parameters, sample: Sample, choice: Choice) -> Parameters:
    plugin, options = choice.plugin("innovations")
    return replace(found, **plugin.calibrate(sample, options))  # type: ignore[arg-type]


def _with_factors(
    found: Parameters,
    days: Days,
    residuals: Floats,
    factors: Sequence[tuple[FactorSettings, tuple[Days, Floats], float]],
) -> Parameters:
    """Add factors and the correlation of all drivers."""
    drivers = []
    for column in residuals.T:
        has = np.isfinite(column)
        drivers.append((days[has], column[has]))
    parameters = []
    for factor, (own, states), steps in factors:
        plugin, options = factor.dynamics.plugin("factor")
        fields = plugin.calibrate(Sample(states[:, None], steps=steps), options)
        mean, phi, sigma = (float(np.asarray(fields[name])[0]) for name in ("mean", "phi", "sigma"))
        parameters.append((mean, phi, sigma))
        drivers.append((own[1:], states[1:] - mean - np.sign(phi) * abs(phi) ** steps * (states[:-1] - mean)))
    table = np.array(parameters, np.float64).reshape(-1, 3)
    steps_of = [1.0] * residuals.shape[1] + [steps for _, _, steps in factors]
    correlation = driver_correlation(drivers, steps_of)
    return replace(found, mean=table[:, 0], phi=table[:, 1], sigma=table[:, 2], correlation=correlation)
