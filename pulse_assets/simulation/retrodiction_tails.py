"""Backtests of simulated tails from rows of ``gold/retrodiction``: value at risk and expected shortfall. Pure."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from pulse_assets.numerics.exceedances import basel_zone, christoffersen, kupiec
from pulse_assets.numerics.shortfall import AcerbiSzekely, acerbi_szekely
from pulse_assets.simulation.retrodiction_scores import LEVELS, PORTFOLIO

Floats = npt.NDArray[np.float64]

HISTORIES = 999
TAIL_SEED = 20180629
"""Of the histories, so that a report is the same each time."""
