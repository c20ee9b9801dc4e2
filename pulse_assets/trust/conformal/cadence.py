"""How fast truths come by frequency: what is remembered, how long one is waited for, how far errors overlap. Pure."""

from typing import NamedTuple


class Cadence(NamedTuple):
    """What a frequency means for recalibration.

    Attributes
    ----------
    memory
        Days after which a score is forgotten; 60 truths, the length of a window, where so many come within decades.
    patience
        Days for which a truth is waited for, after its event time or its origin, whichever is later.
    apart
        Steps between the truths that one horizon is judged by: 24 where a series of hours is forecast once a day.
    """

    memory: int
    patience: int
    apart: int = 1


DAILY = Cadence(100, 7)
CADENCES = {
    "h": Cadence(100, 7, apart=24),
    "D": DAILY,
    "B": DAILY,
    "W": Cadence(450, 30),
    "MS": Cadence(1_900, 100),
    "QS": Cadence(3_700, 220),
    "YS": Cadence(7_500, 500),
}


def cadence_of(freq: str) -> Cadence:
    """Return the cadence of a frequency, that of daily series where it is unknown."""
    return CADENCES.get(freq, DAILY)


def overlap(freq: str, h: int) -> int:
    """Return how many neighbouring errors of a horizon share a step.

    Examples
    --------
    >>> overlap("B", 5), overlap("h", 24), overlap("h", 25)
    (5, 1, 2)
    """
    return -(-h // cadence_of(freq).apart)
