"""Shrinks what few targets say to what the panel says: skill by empirical Bayes, coverage by a beta prior. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, ndtr, xlogy

from pulse_assets.numerics.comparison import benjamini_hochberg

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEXT = 30
"""Truths to come over which a model is to beat naive."""
BORROWED = 3
"""Imagined series of skill 0 and spread 5 % in every panel: a panel of one has no spread of its own."""
BORROWED_SD = 0.05
LEAST_SD = 0.01
NOMINAL = 0.8


class Posterior(NamedTuple):
    """Skill after looking at the panel, each of the shape of the skill."""

    panel_skill: Floats
    panel_sd: Floats
    skill: Floats
    probability: Floats


def posterior(skill: Floats, se: Floats, targets: Floats, panel: Ints) -> Posterior:
    """Return the posterior mean of skills and the probability that the next 30 truths show skill.

    Parameters
    ----------
    skill, se, targets
        Shape ``(n,)``; NaN skill stays NaN and teaches nothing.
    panel
        Which panel each belongs to, shape ``(n,)``, whole numbers from 0.

    References
    ----------
    Efron and Morris (1975), Data analysis using Stein's estimator and its generalizations, section 2; here with the
    noise of the next window added to what is uncertain about the mean.

    Examples
    --------
    >>> one = posterior(np.array([0.5]), np.array([0.01]), np.array([90.0]), np.array([0]))
    >>> bool(one.probability[0] > 0.99), bool(0 < one.skill[0] < 0.5)
    (True, True)
    """
    known = np.isfinite(skill) & np.isfinite(se)
    groups = int(panel.max()) + 1 if len(panel) else 0
    count = np.bincount(panel[known], minlength=groups) + BORROWED
    mean = np.bincount(panel[known], skill[known], groups) / count
    spread = np.bincount(panel[known], np.square(skill[known] - mean[panel[known]]), groups)
    noise = np.bincount(panel[known], np.square(se[known]), groups)
    variance = np.maximum((spread - noise + BORROWED * BORROWED_SD**2) / count, LEAST_SD**2)
    prior, tau2, se2 = mean[panel], variance[panel], np.square(se)
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = tau2 / (tau2 + se2)
        shrunk = prior + weight * (skill - prior)
        ahead = weight * se2 + se2 * targets / NEXT
        chance = np.where(ahead > 0, ndtr(shrunk / np.sqrt(ahead)), np.where(shrunk > 0, 1.0, 0.0))
    gone = np.where(known, 0.0, np.nan)
    return Posterior(prior, np.sqrt(tau2), shrunk + gone, chance + gone)


def shrunk_coverage(coverage: Floats, targets: Floats, panel: Ints) -> Floats:
    """Return coverages of 80 % intervals drawn to the panel's mean, the more the fewer targets they rest on.

    Parameters
    ----------
    coverage, targets
        Shape ``(n,)``; targets are effective ones, NaN coverage stays NaN.
    panel
        Shape ``(n,)``.
    """
    known = np.isfinite(coverage)
    groups = int(panel.max()) + 1 if len(panel) else 0
    weight = np.bincount(panel[known], targets[known], groups)
    hits = np.bincount(panel[known], coverage[known] * targets[known], groups)
    mean = (hits + NOMINAL * 10) / (weight + 10)
    count = np.bincount(panel[known], minlength=groups)
    spread = np.bincount(panel[known], np.square(coverage[known] - mean[panel[known]]), groups)
    chance = np.bincount(panel[known], 1 / np.maximum(targets[known], 1), groups) * mean * (1 - mean)
    extra = np.maximum(spread - chance, 0) / np.maximum(count, 1)
    prior = np.clip(mean * (1 - mean) / np.maximum(extra, 1e-6) - 1, 10, 1_000)[panel]
    return np.asarray((coverage * targets + prior * mean[panel]) / (targets + prior))


def coverage_q(coverage: Floats, targets: Floats, panel: Ints) -> Floats:
    """Return q-values, over each panel, of the distances of coverages from 80 %.

    The test is the score test of a binomial rate, over effective targets.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.abs(coverage - NOMINAL) / np.sqrt(NOMINAL * (1 - NOMINAL) / targets)
    p = 2 * ndtr(-distance)
    found = np.full(len(p), np.nan)
    for group in np.unique(panel):
        found[panel == group] = benjamini_hochberg(p[panel == group])
    return found


def kupiec_p(coverage: Floats, targets: Floats) -> Floats:
    """Return the p-value of the likelihood-ratio test that 80 % intervals miss one truth in five.

    References
    ----------
    Kupiec (1995), Techniques for verifying the accuracy of risk measurement models, eq. 2.
    """
    misses = (1 - coverage) * targets
    with np.errstate(invalid="ignore", divide="ignore"):
        free = xlogy(misses, misses / targets) + xlogy(targets - misses, 1 - misses / targets)
    bound = xlogy(misses, 1 - NOMINAL) + xlogy(targets - misses, NOMINAL)
    return np.asarray(chdtrc(1, np.maximum(2 * (free - bound), 0)))


def christoffersen_p(after_hit: Floats, after_miss: Floats, misses_hit: Floats, misses_miss: Floats) -> Floats:
    """Return the p-value of the likelihood-ratio test that a miss does not depend on whether the one before was one.

    1 where no truth, or every truth, followed a miss.

    References
    ----------
    Christoffersen (1998), Evaluating interval forecasts, eq. 11.
    """
    count, misses = after_hit + after_miss, misses_hit + misses_miss
    with np.errstate(invalid="ignore", divide="ignore"):
        free = _log_likelihood(misses_hit, after_hit) + _log_likelihood(misses_miss, after_miss)
        bound = _log_likelihood(misses, count)
    return np.asarray(np.where(np.isfinite(count), chdtrc(1, np.maximum(2 * (free - bound), 0)), np.nan))


def _log_likelihood(events: Floats, trials: Floats) -> Floats:
    rate = np.divide(events, trials, out=np.zeros_like(trials), where=trials > 0)
    return np.asarray(xlogy(events, rate) + xlogy(trials - events, 1 - rate))
