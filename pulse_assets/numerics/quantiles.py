"""The 23 quantile levels used everywhere, and their column names."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEVELS: Floats = np.array([0.01, 0.025, *(0.05 * k for k in range(1, 20)), 0.975, 0.99])
"""Probabilities of the forecast hubs' quantiles: 0.01, 0.025, 0.05, 0.10, …, 0.95, 0.975, 0.99."""
LEVELS = LEVELS.round(3)
MEDIAN = 11
"""Position of the median among :data:`LEVELS`."""
QUANTILE_COLUMNS: tuple[str, ...] = tuple(f"q{round(level * 1000):03d}" for level in LEVELS)
"""Column names in per mille: q010, q025, q050, …, q990."""
