"""The sequential test written out slowly, one stream at a time, from its description."""

from math import isfinite
from statistics import NormalDist

import numpy as np

FIRST, LAST, STEP, GAP = 100, 200, 25, 25


def sums(scores: list[float], allowance: float) -> tuple[list[float], list[float]]:
    """Page's two sums after each score."""
    ups, downs = [0.0], [0.0]
    for score in scores:
        ups.append(max(0.0, ups[-1] + score - allowance))
        downs.append(max(0.0, downs[-1] - score - allowance))
    return ups[1:], downs[1:]


def size_of(seen: int) -> int:
    """Values of the reference when so many have come: none within 25 of the newest, in steps of 25."""
    sizes = [size for size in range(FIRST, LAST + 1, STEP) if seen >= (size if size == FIRST else size + GAP)]
    return max(sizes, default=0)


def learn(reference: list[float]) -> tuple[float, float, list[float]]:
    """Mean, corrected autocorrelation and ordered errors of a reference."""
    x = np.array(reference)
    mean = x.mean()
    away = x - mean
    square = float((away**2).sum())
    if square == 0:
        phi = 0.0
    else:
        raw = float((away[1:] * away[:-1]).sum()) / square
        phi = min(max(raw + 2 * (1 + 3 * raw) / len(x), 0.0), 0.97)
    return mean, phi, sorted((away[1:] - phi * away[:-1]).tolist())


def score_of(errors: list[float], error: float) -> float:
    """Normal score of the rank of an error among those of the reference and itself; of ties the middle."""
    size = len(errors) + 1
    low, high = sum(other < error for other in errors), sum(other <= error for other in errors)
    return sum(NormalDist().inv_cdf((rank + 0.5) / size) for rank in (low, high)) / 2


def scores(values: list[float]) -> list[float]:
    """Scores of the values after the first hundred; what is not finite never came."""
    seen: list[float] = []
    found = []
    for value in (value for value in values if isfinite(value)):
        size = size_of(len(seen))
        if size:
            mean, phi, errors = learn(seen[:size])
            found.append(score_of(errors, (value - mean) - phi * (seen[-1] - mean)))
        seen.append(value)
    return found
