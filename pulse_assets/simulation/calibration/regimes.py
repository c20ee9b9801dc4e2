"""Markov regime switching of one return series: means and deviations that change with a hidden state.

What belongs here: the likelihood, its maximum by expectation and maximisation, and probabilities of states. What the
states do to a world's assets is decided in ``calibration``.

The model of returns r with a hidden chain s of K states: ``r_t = mean[s_t] + sd[s_t] z_t``, z standard normal.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.calibration.regime_steps import filter_states, maximise, smooth_states
from pulse_assets.simulation.world import Floats

FEWEST_RETURNS = 250
"""A year of days: with less there is hardly a change of regime to learn from."""
LARGEST_STATES = 4
STAY = 0.95
TRIAL_ITERATIONS, ITERATIONS = 25, 1000
TOLERANCE = 1e-6
"""Gain of log-likelihood an iteration below which the search ends."""
CALM_SHARES = (0.5, 0.75, 0.9)
"""Shares of days that a start counts as calm."""
SMALLEST_START = 0.05
SPEED = 0.1
"""Weight of the newest square in the local variance by which starts tell states apart."""
NAMES = {1: ("normal",), 2: ("calm", "stressed"), 3: ("calm", "normal", "stressed")}


@dataclass(frozen=True, eq=False)
class RegimeFit:
    """Parameters of K states, the one with the smallest deviation first.

    Attributes
    ----------
    mean, sd
        Of a return in each state, in the unit of the returns, shape ``(K,)``.
    transition
        Probability of moving from row to column in a step, shape ``(K, K)``.
    loglik
        Log-likelihood with all constants.
    observations
        Returns that it was fitted to.
    """

    mean: Floats
    sd: Floats
    transition: Floats
    loglik: float
    observations: int

    @property
    def states(self) -> int:
        """How many states there are."""
        return len(self.mean)

    @property
    def names(self) -> tuple[str, ...]:
        """What the states are called, calm ones first."""
        return NAMES.get(self.states, tuple(f"regime_{k}" for k in range(self.states)))

    @property
    def stationary(self) -> Floats:
        """Share of time spent in each state in the long run, shape ``(K,)``."""
        return stationary_of(self.transition)

    @property
    def bic(self) -> float:
        """Bayesian information criterion; the smaller the better."""
        count = self.states * (self.states + 1)
        return float(np.log(self.observations) * count - 2 * self.loglik)


def stationary_of(transition: Floats) -> Floats:
    """Return the share of time that a chain spends in each state, shape ``(K,)``.

    Examples
    --------
    >>> stationary_of(np.array([[0.98, 0.02], [0.05, 0.95]])).round(6).tolist()
    [0.714286, 0.285714]
    """
    states = len(transition)
    system = np.vstack([transition.T - np.eye(states), np.ones(states)])
    found = np.linalg.lstsq(system, np.append(np.zeros(states), 1.0), rcond=None)[0]
    found = np.maximum(found, 0)
    return np.asarray(found / found.sum())


def fit_regimes(returns: Floats, states: int = 2, *, keep_all: bool = False) -> RegimeFit:
    """Fit the model by maximum likelihood, with fewer states where the data do not ask for more.

    The chain begins in its stationary distribution. Starts are groups of days by local variance, so there is no
    randomness; a state's deviation is kept above 1/100 of the sample's, without which the likelihood has no maximum.

    Parameters
    ----------
    returns
        In order of time, any unit, shape ``(T,)``; NaN counts as missing.
    states
        At most K of them, 1 to 4.
    keep_all
        Whether to return K states even if the Bayesian information criterion prefers fewer.

    Returns
    -------
    RegimeFit

    Raises
    ------
    ValueError
        Fewer than 250 returns, returns that do not move or are infinite, or another number of states.

    References
    ----------
    Hamilton (1989), A new approach to the economic analysis of nonstationary time series and the business cycle.
    Hamilton (1990), Analysis of time series subject to changes in regime (the estimator). Kim (1994), Dynamic linear
    models with Markov-switching (the smoother).

    Examples
    --------
    >>> random = np.random.default_rng(1)
    >>> sd = np.repeat([0.01, 0.03, 0.01, 0.03], 250)
    >>> fit_regimes(sd * random.normal(size=1000)).sd.round(3).tolist()
    [0.01, 0.029]
    >>> fit_regimes(random.normal(size=1000)).states
    1
    """
    scaled, centre, scale = _scaled(returns)
    if not 1 <= states <= LARGEST_STATES:
        raise ValueError(f"expected 1 to {LARGEST_STATES} regimes, got {states}: choose fewer")
    counts = [states] if keep_all else range(1, states + 1)
    fits = [_fit(scaled, centre, scale, count) for count in counts]
    return min(fits, key=lambda fit: fit.bic)


def filtered_probabilities(fit: RegimeFit, returns: Floats) -> Floats:
    """Return the probability of each state after each return, from that return and those before it only.

    Parameters
    ----------
    fit
        K states.
    returns
        In order of time, shape ``(T,)``; NaN counts as missing: probabilities then move by the chain alone.

    Returns
    -------
    array
        Shape ``(T, K)``. A row does not change by a bit when later returns do, or when there are more of them.
    """
    filtered = np.empty((len(returns), fit.states))
    _filter(fit, returns, filtered, np.empty_like(filtered))
    return filtered


def smoothed_probabilities(fit: RegimeFit, returns: Floats) -> Floats:
    """Return the probability of each state on each day given all the returns: for estimates, never for "now".

    Returns
    -------
    array
        Shape ``(T, K)``; the last row is the filtered one.
    """
    filtered = np.empty((len(returns), fit.states))
    predicted = np.empty_like(filtered)
    _filter(fit, returns, filtered, predicted)
    smooth_states(fit.transition, filtered, predicted)
    return filtered


def regime_log_likelihood(fit: RegimeFit, returns: Floats) -> float:
    """Return the log-likelihood of returns under a fit, with all constants."""
    filtered = np.empty((len(returns), fit.states))
    return _filter(fit, returns, filtered, np.empty_like(filtered))


def _filter(fit: RegimeFit, returns: Floats, filtered: Floats, predicted: Floats) -> float:
    returns = np.ascontiguousarray(returns, np.float64)
    return float(filter_states(returns, fit.mean, fit.sd, fit.transition, fit.stationary, filtered, predicted))


def _scaled(returns: Floats) -> tuple[Floats, float, float]:
    values = np.ascontiguousarray(returns, np.float64)
    known = values[np.isfinite(values)]
    if values.ndim != 1 or len(known) < FEWEST_RETURNS:
        raise ValueError(
            f"regimes need at least {FEWEST_RETURNS} returns of one series, got shape {values.shape} with {len(known)} "
            "finite ones: give a longer past or switch regimes off"
        )
    scale = float(known.std())
    if np.isinf(values).any() or not scale > 0:
        raise ValueError("regimes need finite returns that move: leave out or correct the series")
    return (values - known.mean()) / scale, float(known.mean()), scale


def _fit(x: Floats, centre: float, scale: float, states: int) -> RegimeFit:
    starts = [_start(x, states, share) for share in (CALM_SHARES if states > 1 else CALM_SHARES[:1])]
    tried = [maximise(x, *start, TRIAL_ITERATIONS, TOLERANCE) for start in starts]
    best = max(tried, key=lambda found: found[3])
    mean, sd, transition, loglik = maximise(x, *best[:3], ITERATIONS, TOLERANCE)
    order = np.argsort(sd, kind="stable")
    transition = np.ascontiguousarray(transition[np.ix_(order, order)])
    count = int(np.isfinite(x).sum())
    return RegimeFit(
        mean[order] * scale + centre, sd[order] * scale, transition, float(loglik) - count * float(np.log(scale)), count
    )


def _start(x: Floats, states: int, calm: float) -> tuple[Floats, Floats, Floats]:
    """Return means, deviations and transitions of groups of days by local variance, of which the first has ``calm``."""
    known = x[np.isfinite(x)]
    local = _local_variance(known)
    cuts = calm + (1 - calm) * np.arange(states - 1) / max(states - 1, 1)
    group = np.searchsorted(np.quantile(local, cuts), local, side="left")
    mean = np.array([known[group == k].mean() for k in range(states)])
    sd = np.array([max(float(known[group == k].std()), SMALLEST_START) for k in range(states)])
    leave = (1 - STAY) / max(states - 1, 1)
    transition = np.full((states, states), leave) + (STAY - leave) * np.eye(states)
    return mean, sd, transition / transition.sum(axis=1, keepdims=True)


def _local_variance(x: Floats) -> npt.NDArray[np.float64]:
    """Return an exponentially weighted mean square to both sides of each day, shape ``(T,)``."""
    from scipy.signal import lfilter

    forward = lfilter([SPEED], [1, SPEED - 1], x**2)
    backward = lfilter([SPEED], [1, SPEED - 1], x[::-1] ** 2)[::-1]
    return np.asarray(forward + backward)
