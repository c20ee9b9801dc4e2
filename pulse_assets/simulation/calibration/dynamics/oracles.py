"""Exact moments and prices of the dynamics, by which simulations are tested.

What belongs here: formulas on numbers. Log returns are decimal, variances their squares, steps whole.
"""

import math

import numpy as np

from pulse_assets.simulation.world import Floats

JUMP_TERMS = 200
"""Numbers of jumps that a Merton price sums over; with 50 jumps expected the rest is below 1e-40."""


def normal_cdf(x: float) -> float:
    """Return the probability that a standard normal number is below x."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def gbm_moments(drift: float, variance: float, steps: int) -> dict[str, float]:
    """Return moments of the log return and of the price relative of geometric Brownian motion after some steps.

    Parameters
    ----------
    drift, variance
        Expected log return a step and its variance.
    steps
        At least 1.

    Returns
    -------
    dict
        ``mean``, ``variance``, ``kurtosis`` of the log return; ``price`` and ``price_variance`` of the price relative.

    Examples
    --------
    >>> round(gbm_moments(0.0, 0.0004, 252)["price"], 6)
    1.051692
    """
    mean, total = drift * steps, variance * steps
    price = math.exp(mean + total / 2)
    of_return = {"mean": mean, "variance": total, "kurtosis": 3.0}
    return of_return | {"price": price, "price_variance": price**2 * math.expm1(total)}


def black_scholes_call(spot: float, strike: float, rate: float, sd: float, years: float) -> float:
    """Return the price of a European call; ``rate`` and ``sd`` a year.

    References
    ----------
    Black and Scholes (1973), The pricing of options and corporate liabilities, eq. 13.

    Examples
    --------
    >>> round(black_scholes_call(100, 100, 0.05, 0.2, 1), 12)
    10.450583572186
    """
    spread = sd * math.sqrt(years)
    up = (math.log(spot / strike) + rate * years) / spread + spread / 2
    return spot * normal_cdf(up) - strike * math.exp(-rate * years) * normal_cdf(up - spread)


def merton_call(
    spot: float, strike: float, rate: float, sd: float, years: float, intensity: float, mean: float, jump_sd: float
) -> float:
    """Return the price of a European call on a price with normal jumps of its logarithm.

    Parameters
    ----------
    spot, strike, rate, sd, years
        As for :func:`black_scholes_call`; ``sd`` is of the continuous part.
    intensity, mean, jump_sd
        Jumps a year, mean and deviation of their log size.

    References
    ----------
    Merton (1976), Option pricing when underlying stock returns are discontinuous, eq. 19.

    Examples
    --------
    >>> round(merton_call(100, 100, 0.05, 0.2, 1, 0.5, -0.1, 0.15), 10)
    11.6616747875
    """
    growth = math.exp(mean + jump_sd**2 / 2) - 1
    expected = intensity * (1 + growth) * years
    weight, total = math.exp(-expected), 0.0
    for jumps in range(JUMP_TERMS):
        spread = math.sqrt(sd**2 + jumps * jump_sd**2 / years)
        shifted = rate - intensity * growth + jumps * math.log1p(growth) / years
        total += weight * black_scholes_call(spot, strike, shifted, spread, years)
        weight *= expected / (jumps + 1)
    return total


def merton_moments(
    drift: float, variance: float, intensity: float, mean: float, jump_sd: float, steps: int
) -> dict[str, float]:
    """Return mean, variance, skewness and kurtosis of the log return of a jump diffusion after some steps.

    Parameters
    ----------
    drift, variance
        Of the continuous part, a step.
    intensity, mean, jump_sd
        Jumps a step, mean and deviation of their log size.
    steps
        At least 1.

    Examples
    --------
    >>> {name: round(value, 6) for name, value in merton_moments(0, 1e-4, 0.1, -0.02, 0.03, 1).items()}
    {'mean': -0.002, 'variance': 0.00023, 'skewness': -1.77746, 'kurtosis': 11.979206}
    """
    second = mean**2 + jump_sd**2
    third = mean**3 + 3 * mean * jump_sd**2
    fourth = mean**4 + 6 * mean**2 * jump_sd**2 + 3 * jump_sd**4
    total = steps * (variance + intensity * second)
    return {
        "mean": steps * (drift + intensity * mean),
        "variance": total,
        "skewness": steps * intensity * third / total**1.5,
        "kurtosis": 3 + steps * intensity * fourth / total**2,
    }


def garch_variance(omega: float, alpha: float, gamma: float, beta: float) -> float:
    """Return the unconditional variance of GJR-GARCH with symmetric shocks; infinite where there is none.

    Examples
    --------
    >>> round(garch_variance(1e-6, 0.08, 0.0, 0.9), 12)
    5e-05
    """
    left = 1 - alpha - gamma / 2 - beta
    return omega / left if left > 0 else math.inf


def garch_kurtosis(alpha: float, gamma: float, beta: float, shock_kurtosis: float = 3.0) -> float:
    """Return the unconditional kurtosis of GJR-GARCH with symmetric shocks; infinite where there is none.

    Parameters
    ----------
    alpha, gamma, beta
        Parameters.
    shock_kurtosis
        Of the standardised shock.

    References
    ----------
    He and Teräsvirta (1999), Properties of moments of a family of GARCH processes, theorem 1.

    Examples
    --------
    >>> round(garch_kurtosis(0.08, 0.0, 0.9), 12)
    4.432835820896
    """
    mean = alpha + gamma / 2 + beta
    square = shock_kurtosis * (alpha**2 + alpha * gamma + gamma**2 / 2) + beta * (2 * alpha + gamma + beta)
    return shock_kurtosis * (1 - mean**2) / (1 - square) if mean < 1 and square < 1 else math.inf


def variance_after(now: float, omega: float, persistence: float, steps: int) -> Floats:
    """Return the expected variance of each of the next steps, shape ``(steps,)``; the first is ``now``.

    Examples
    --------
    >>> variance_after(2.0, 0.1, 0.9, 3).round(3).tolist()
    [2.0, 1.9, 1.81]
    """
    decay = persistence ** np.arange(steps)
    gained = np.cumsum(np.append(0.0, decay[:-1])) if steps else decay
    return np.asarray(decay * now + omega * gained)


def ou_moments(kappa: float, mean: float, sd: float, start: float, years: float) -> tuple[float, float]:
    """Return mean and variance of an Ornstein-Uhlenbeck process after a time.

    Parameters
    ----------
    kappa
        Speed of return to the mean, positive.
    mean, sd, start, years
        Long-run mean, deviation of the driver, value at the origin, time.

    References
    ----------
    Uhlenbeck and Ornstein (1930), On the theory of the Brownian motion, eq. 13 and following.

    Examples
    --------
    >>> [round(value, 10) for value in ou_moments(2, 0.5, 0.3, 1, 1)]
    [0.5676676416, 0.0220878981]
    """
    decay = math.exp(-kappa * years)
    return mean + (start - mean) * decay, sd**2 / (2 * kappa) * -math.expm1(-2 * kappa * years)


def ar1_moments(phi: float, mean: float, sigma: float, start: float, steps: int) -> dict[str, float]:
    """Return mean and variance of a first-order autoregression after some steps, without bounds.

    Examples
    --------
    >>> ar1_moments(0.5, 0.0, 1.0, 8.0, 2)
    {'mean': 2.0, 'variance': 1.25}
    """
    powers = (phi**2) ** np.arange(steps)
    return {"mean": mean + phi**steps * (start - mean), "variance": sigma**2 * float(powers.sum())}


def mean_stay(stay: float) -> float:
    """Return the expected number of steps in a regime that is kept with probability ``stay``.

    Examples
    --------
    >>> round(mean_stay(0.98), 9), round(mean_stay(0.95), 9)
    (50.0, 20.0)
    """
    return 1 / (1 - stay) if stay < 1 else math.inf


def student_t_kurtosis(nu: float) -> float:
    """Return the kurtosis of Student's t, infinite for 4 degrees of freedom or fewer.

    Examples
    --------
    >>> student_t_kurtosis(5), student_t_kurtosis(4)
    (9.0, inf)
    """
    return 3 + 6 / (nu - 4) if nu > 4 else math.inf


def t_tail_dependence(nu: float, correlation: float) -> float:
    """Return the limit of the probability that one variable is extreme given that the other is, for a t copula.

    References
    ----------
    Demarta and McNeil (2005), The t copula and related copulas, eq. 17.

    Examples
    --------
    >>> round(t_tail_dependence(4, 0.5), 10)
    0.2531699951
    """
    from scipy.special import stdtr

    if correlation <= -1:
        return 0.0
    return float(2 * stdtr(nu + 1, -math.sqrt((nu + 1) * (1 - correlation) / (1 + correlation))))
