"""What other panels taught, as it ships: gate, spread and shape of errors for panels that have taught nothing yet.

``prior.json`` is written by ``python -m benchmarks.pretrain``, which also says what it was trained on and how it does
on panels that were left out. It saw data up to a day that it names: what is made as of an earlier day starts from the
plain prior, which has seen nothing.
"""

import json
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.calibrate import WIDTH
from pulse_assets.forecasting.gate import INPUTS, plain_gate
from pulse_assets.forecasting.walk_state import MEMBERS
from pulse_assets.numerics.quantiles import LEVELS

Floats = npt.NDArray[np.float64]

COLUMNS: tuple[str, ...] = (*MEMBERS, "reference", "lags")
"""Columns of the pool by name."""
CLASSES = ("market", "other")
"""Prices, returns and volatilities are one class of panels, all else the other."""


@dataclass(frozen=True)
class Prior:
    """Starting point of a panel model.

    Parameters
    ----------
    gate
        Shape ``(2, POOL, INPUTS + 1)``.
    slopes
        Of the spread, shape ``(WIDTH,)``.
    quantiles
        Of standardised errors, shape ``(23,)``.
    version
        Digest of the file; part of the engine's version.
    """

    gate: Floats
    slopes: Floats
    quantiles: Floats
    version: str


def plain_prior() -> Prior:
    """Return a prior that has learned nothing: weights by inverse power of loss, normal errors."""
    from scipy.special import ndtri

    slopes = np.zeros(WIDTH)
    return Prior(plain_gate(len(COLUMNS)), slopes, np.asarray(ndtri(LEVELS) * 1.25), "plain")


def prior_on(panel_class: str, day: date | None) -> Prior:
    """Return the prior that may be used as of a day: the plain one before the shipped one's data ended.

    Parameters
    ----------
    panel_class
        One of :data:`CLASSES`.
    day
        None where stamps are no dates; the shipped prior is used then.

    Raises
    ------
    ValueError
        There is no such class.

    Examples
    --------
    >>> prior_on("market", date(2015, 1, 1)).version
    'plain'
    """
    known_until, shipped = load_prior(panel_class)
    return shipped if day is None or day > known_until else plain_prior()


@lru_cache(maxsize=4)
def load_prior(panel_class: str) -> tuple[date, Prior]:
    """Return the prior that ships for a class of panels, and the last day of the data that it saw.

    Raises
    ------
    ValueError
        There is no such class.
    """
    if panel_class not in CLASSES:
        raise ValueError(f"no prior for panels of class {panel_class!r}; expected one of {', '.join(CLASSES)}")
    content = json.loads(files("pulse_assets.forecasting").joinpath("prior.json").read_text(encoding="utf-8"))
    stored = content["classes"][panel_class]
    gate = plain_gate(len(COLUMNS))
    for end, rows in enumerate(stored["gate"]):
        for name, row in rows.items():
            if name in COLUMNS:
                gate[end, COLUMNS.index(name), : INPUTS + 1] = row
    slopes = np.zeros(WIDTH)
    slopes[: len(stored["slopes"])] = stored["slopes"]
    prior = Prior(gate, slopes, np.array(stored["quantiles"]), str(content["version"]))
    return date.fromisoformat(stored["known_until"]), prior
