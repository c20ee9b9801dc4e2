"""Log-likelihood of GJR-GARCH(1,1) for one series, its gradient and information, as compiled code.

What belongs here: functions of a series of unit variance and parameters. The search for the best ones is in
``garch_search``, what callers see in ``garch``.
"""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHORTEST = 100
"""Fewest returns that are fitted: five parameters from less than five months of days say nothing."""
SMALLEST_SCALE, LARGEST_SCALE = 1e-100, 1e100
"""A series of a smaller deviation counts as constant; squares of a larger one would overflow."""
FITTED, TOO_SHORT, CONSTANT, NOT_FINITE, NOT_CONVERGED = range(5)
BACKCAST_LENGTH, BACKCAST_DECAY = 75, 0.94

PARAMETERS = 6
MU, OMEGA, ALPHA, GAMMA, BETA, ETA = range(PARAMETERS)
"""Positions; eta is the inverse of the degrees of freedom, 0 for the normal distribution."""
LOG_EVERY = 32
"""Factors multiplied before one logarithm: so many variances of a scaled series do not overflow in a product."""
FAST = {"reassoc", "contract", "nsz"}
"""Licences that let sums over time use SIMD lanes. A fit's last bits depend on the processor, never on neighbours."""


def _grid() -> Floats:
    """Return starting points with variance targeting, shape ``(4, G)``: omega, alpha, gamma, beta."""
    persistence, shock, skew = (
        axis.ravel()
        for axis in np.meshgrid([0.99, 0.95, 0.8, 0.5], [0.005, 0.02, 0.06, 0.18], [0.0, 0.7], indexing="ij")
    )
    return np.array([1 - persistence, shock * (1 - skew), 2 * shock * skew, persistence - shock])


GRID = _grid()
POINTS = GRID.shape[1]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)  # type: ignore[untyped-decorator]
def standardise(returns: Floats, has_mean: bool, x: Floats) -> tuple[int, float, float]:
    """Fill the returns in units of their deviation; return why not to fit them (or 0), the mean and the deviation."""
    n = len(returns)
    if n < SHORTEST:
        return TOO_SHORT, math.nan, math.nan
    mean, peak, square, moves = 0.0, 0.0, 0.0, False
    for value in returns:
        if not math.isfinite(value):
            return NOT_FINITE, math.nan, math.nan
        moves |= value != returns[0]
        mean += value / n if has_mean else 0.0
    for value in returns:
        peak = max(peak, abs(value - mean))
    if not moves or peak < SMALLEST_SCALE:
        return CONSTANT, math.nan, math.nan
    if peak > LARGEST_SCALE:
        return NOT_FINITE, math.nan, math.nan
    for t in range(n):
        x[t] = (returns[t] - mean) / peak
        square += x[t] * x[t]
    deviation = math.sqrt(square / n)
    for t in range(n):
        x[t] /= deviation
    scale = peak * deviation
    return FITTED, mean, scale


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def backcast_of(x: Floats) -> float:
    """Return the weighted mean square of the first returns, which weighs the first one most."""
    total = weights = 0.0
    weight = 1.0
    for t in range(BACKCAST_LENGTH):
        total += weight * x[t] * x[t]
        weights += weight
        weight *= BACKCAST_DECAY
    return total / weights


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)  # type: ignore[untyped-decorator]
def start_likelihoods(x: Floats, backcast: float) -> Floats:
    """Return the normal log-likelihood of each start, up to a constant, shape ``(G,)``: the grid fills the SIMD lanes.

    Four steps share one division, and 64 one logarithm.
    """
    total, quad, product, h = np.zeros(POINTS), np.zeros(POINTS), np.ones(POINTS), np.empty(POINTS)
    for g in range(POINTS):
        h[g] = GRID[0, g] + (GRID[1, g] + 0.5 * GRID[2, g] + GRID[3, g]) * backcast
    for t in range(0, len(x) - 3, 4):
        a, b, c, d = x[t] * x[t], x[t + 1] * x[t + 1], x[t + 2] * x[t + 2], x[t + 3] * x[t + 3]
        a_down, b_down = a if x[t] < 0 else 0.0, b if x[t + 1] < 0 else 0.0
        c_down, d_down = c if x[t + 2] < 0 else 0.0, d if x[t + 3] < 0 else 0.0
        for g in range(POINTS):
            omega, alpha, gamma, beta = GRID[0, g], GRID[1, g], GRID[2, g], GRID[3, g]
            h0 = h[g]
            h1 = omega + alpha * a + gamma * a_down + beta * h0
            h2 = omega + alpha * b + gamma * b_down + beta * h1
            h3 = omega + alpha * c + gamma * c_down + beta * h2
            early, late = h0 * h1, h2 * h3
            quad[g] += ((a * h1 + b * h0) * late + (c * h3 + d * h2) * early) / (early * late)
            product[g] *= early * late
            h[g] = omega + alpha * d + gamma * d_down + beta * h3
        if t % 64 == 60:
            for g in range(POINTS):
                total[g] += math.log(product[g])
                product[g] = 1.0
    for g in range(POINTS):
        total[g] += math.log(product[g])
    return -0.5 * (total + quad)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)  # type: ignore[untyped-decorator]
def _log_of_product(factors: Floats) -> float:
    """Return the sum of logarithms, shape ``(n,)``."""
    columns = len(factors) // LOG_EVERY
    products = np.ones(columns)
    for row in range(LOG_EVERY):
        part = factors[row * columns : (row + 1) * columns]
        for column in range(columns):
            products[column] *= part[column]
    total = 0.0
    for product in products:
        total += math.log(product)
    for factor in factors[LOG_EVERY * columns :]:
        total += math.log(factor)
    return total


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _digamma_step(x: float) -> float:
    """Return ψ(x + ½) − ψ(x) for positive x (Abramowitz and Stegun 6.3.5, 6.3.18)."""
    total = 0.0
    while x < 10.0:
        total += 0.5 / (x * (x + 0.5))
        x += 1.0
    for sign, at in ((1.0, x + 0.5), (-1.0, x)):
        square = 1.0 / (at * at)
        series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square / 240)))
        total += sign * (math.log(at) - 0.5 / at - series)
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)  # type: ignore[untyped-decorator]
def _log_density(r: Floats, eta: float, gradient: Floats) -> float:
    """Return the part of the log-likelihood beside ``−½ Σ log h`` from squared standardised residuals.

    Sets the gradient's entry for the inverse degrees of freedom; 0 of them means the normal distribution.
    """
    n = len(r)
    gradient[ETA] = 0.0
    if eta == 0.0:
        return float(-0.5 * (n * math.log(2 * math.pi) + np.sum(r)))
    nu, weight = 1 / eta, eta / (1 - 2 * eta)
    factors = np.empty(n)
    pull = 0.0
    for t in range(n):
        factors[t] = 1 + weight * r[t]
        pull += r[t] / factors[t]
    logs = _log_of_product(factors)
    constant = math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - 0.5 * math.log(math.pi * (nu - 2))
    slope = -0.5 * nu * nu * (_digamma_step(nu / 2) - 1 / (nu - 2))
    gradient[ETA] = n * slope + 0.5 * nu * nu * logs - 0.5 * (nu + 1) * pull / (1 - 2 * eta) ** 2
    return float(n * constant - 0.5 * (nu + 1) * logs)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)  # type: ignore[untyped-decorator]
def _accumulate(u: Floats, rate: float) -> None:
    """Turn u into y with y_t = u_t + rate·y_{t-1}, in place: of four steps only one waits."""
    square = rate * rate
    cube, fourth = square * rate, square * square
    last = 0.0
    for t in range(0, len(u) - 3, 4):
        first = u[t]
        second = u[t + 1] + rate * first
        third = u[t + 2] + rate * second
        now = u[t + 3] + rate * third + fourth * last
        u[t] = first + rate * last
        u[t + 1] = second + square * last
        u[t + 2] = third + cube * last
        u[t + 3] = last = now
    for t in range(len(u) // 4 * 4, len(u)):
        last = u[t] + rate * last
        u[t] = last


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)  # type: ignore[untyped-decorator]
def likelihood(x: Floats, backcast: float, theta: Floats, work: Floats, gradient: Floats) -> float:
    """Return the log-likelihood of one series and fill its gradient, shape ``(6,)``.

    ``work``, shape ``(>= 5, n + 1)``, is left with residuals, their negative parts and variances; column 0 is the
    moment before the sample. The gradient comes from the adjoint λ_t = ∂L/∂h_t + β λ_{t+1}, so it costs one more walk,
    whatever the number of parameters.
    """
    mu, omega, alpha, gamma, beta, eta = theta
    e, down, h, r, adjoint = work[0], work[1], work[2], work[3], work[4]
    for t in range(len(x)):
        e[t + 1] = x[t] - mu
        down[t + 1] = min(x[t] - mu, 0.0)
    h[0], h[1] = backcast, omega + (alpha + 0.5 * gamma) * backcast
    for t in range(1, len(x)):
        h[t + 1] = omega + alpha * (e[t] * e[t]) + gamma * (down[t] * down[t])
    _accumulate(h, beta)
    from_mean = 0.0
    for t in range(1, len(x) + 1):
        square = e[t] * e[t]
        spread = (1 - 2 * eta) * h[t] + eta * square
        both = 1 / (h[t] * spread)
        precision, weight = both * spread, (1 + eta) * both * h[t]
        r[t] = square * precision
        adjoint[t] = 0.5 * (weight * square - 1) * precision
        from_mean += weight * e[t]
    _accumulate(adjoint[:0:-1], beta)
    first = adjoint[1] * backcast
    g_omega, g_alpha, g_gamma, g_beta, through_mean = adjoint[1], first, 0.5 * first, first, 0.0
    for t in range(1, len(x)):
        push = adjoint[t + 1]
        g_omega += push
        g_alpha += push * (e[t] * e[t])
        g_gamma += push * (down[t] * down[t])
        g_beta += push * h[t]
        through_mean += push * (alpha * e[t] + gamma * down[t])
    gradient[MU], gradient[OMEGA], gradient[ALPHA] = from_mean - 2 * through_mean, g_omega, g_alpha
    gradient[GAMMA], gradient[BETA] = g_gamma, g_beta
    return float(_log_density(r[1:], eta, gradient) - 0.5 * _log_of_product(h[1:]))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)  # type: ignore[untyped-decorator]
def expected_information(backcast: float, theta: Floats, work: Floats) -> Floats:
    """Return the expected information, shape ``(6, 6)``, where :func:`likelihood` left residuals and variances.

    It is Σ ½ ∂h∂hᵀ/h², and Σ 1/h for the mean (Fiorentini, Calzolari and Panattoni 1996, for the normal likelihood).
    The degrees of freedom begin with a rough constant.
    """
    e, down, h, n = work[0], work[1], work[2], work.shape[1] - 1
    alpha, gamma, beta = theta[ALPHA], theta[GAMMA], theta[BETA]
    slopes = work[5:10]
    by_mu, by_omega, by_alpha, by_gamma, by_beta = 0.0, 1.0, backcast, 0.5 * backcast, backcast
    information = np.zeros((PARAMETERS, PARAMETERS))
    for t in range(1, n + 1):
        slopes[MU, t], slopes[OMEGA, t], slopes[ALPHA, t] = by_mu, by_omega, by_alpha
        slopes[GAMMA, t], slopes[BETA, t] = by_gamma, by_beta
        information[MU, MU] += 1 / h[t]
        by_mu = beta * by_mu - 2 * (alpha * e[t] + gamma * down[t])
        by_omega = beta * by_omega + 1
        by_alpha = beta * by_alpha + e[t] * e[t]
        by_gamma = beta * by_gamma + down[t] * down[t]
        by_beta = beta * by_beta + h[t]
    for i in range(ETA):
        row = slopes[i]
        for t in range(1, n + 1):
            row[t] /= h[t]
        for j in range(i + 1):
            total, other = 0.0, slopes[j]
            for t in range(1, n + 1):
                total += row[t] * other[t]
            information[i, j] += 0.5 * total
            information[j, i] = information[i, j]
    information[ETA, ETA] = 2.0 * n
    return information
