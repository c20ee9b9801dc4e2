"""Shrinks what few targets say to what the panel says: skill by empirical Bayes, coverage by a beta prior. Pure."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, ndtr, xlogy

from pulse_assets.numerics.comparison import benjamini_hochberg
from pulse_assets.trust.belief.sizes import NEXT

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BORROWED = 3
"""Imagined series of skill 0 and spread 5 % in every panel: a panel of one has no spread of its own."""
BORROWED_SD = 0.05
LEAST_SD = 0.01
TYPICAL_SD = 0.1
"""Spread of true gains by which noise counts as large."""
LARGEST = 2.0
"""Logarithm of a ratio of losses; what is beyond, more than seven times better or worse, is no different."""
NOMINAL = 0.8


class Posterior(NamedTuple):
    """Skill after looking at the panel, each of the shape of the skill."""

    panel_skill: Floats
    panel_sd: Floats
    skill: Floats
    probability: Floats


def posterior(skill: Floats, se: Floats, targets: Floats, panel: Ints) -> Posterior:
    """Return the posterior mean of skills and the probability that the next 30 truths show skill.

    It looks at the logarithm of the ratio of losses, where twice and half are equally far from none: a series whose
    naive losses are next to nothing has a skill of minus billions, which would drown its panel. There is no skill
    where that logarithm is 0 either.

    Parameters
    ----------
    skill, se, targets
        Shape ``(n,)``; where skill or its error is NaN all but the panel's is NaN, and nothing is learned.
    panel
        Which panel each belongs to, shape ``(n,)``, whole numbers from 0.

    References
    ----------
    Efron and Morris (1975), Data analysis using Stein's estimator and its generalizations, section 2; here with the
    noise of the next window added to what is uncertain about the mean. Moments with fixed weights: DerSimonian and
    Kacker (2007), Random-effects model for meta-analysis of clinical trials: an update, eq. 6.

    Examples
    --------
    >>> one = posterior(np.array([0.5]), np.array([0.01]), np.array([90.0]), np.array([0]))
    >>> bool(one.probability[0] > 0.99), bool(0 < one.skill[0] < 0.5)
    (True, True)
    """
    known = np.isfinite(skill) & np.isfinite(se)
    ratio = np.maximum(np.where(known, 1 - skill, np.nan), np.exp(-LARGEST))
    gain, noise = np.maximum(-np.log(ratio), -LARGEST), np.square(se / ratio)
    mean, spread = _moments(gain[known], noise[known], panel[known], int(panel.max()) + 1 if len(panel) else 0)
    prior, tau2 = mean[panel], spread[panel]
    weight = tau2 / (tau2 + noise)
    shrunk = prior + weight * (gain - prior)
    ahead = weight * noise + noise * targets / NEXT
    with np.errstate(invalid="ignore", divide="ignore"):
        chance = np.where(ahead > 0, ndtr(shrunk / np.sqrt(ahead)), np.where(shrunk > 0, 1.0, 0.0))
    chance[~known] = np.nan
    return Posterior(-np.expm1(-prior), np.exp(-prior) * np.sqrt(tau2), -np.expm1(-shrunk), chance)


def _moments(gain: Floats, noise: Floats, panel: Ints, groups: int) -> tuple[Floats, Floats]:
    """Return mean and variance of true gains in each panel, imagined series of no gain among them.

    Moments weigh series by how little noise they have: one about which nothing is known would hide all spread.
    """
    weight = 1 / (noise + TYPICAL_SD**2)
    borrowed = BORROWED / TYPICAL_SD**2
    total = np.bincount(panel, weight, groups) + borrowed
    mean = np.bincount(panel, weight * gain, groups) / total
    seen = np.bincount(panel, weight * (np.square(gain - mean[panel]) - noise), groups)
    imagined = borrowed * (np.square(mean) + BORROWED_SD**2)
    return mean, np.maximum((seen + imagined) / total, LEAST_SD**2)


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
