"""Words of a retrodiction: engines, modes, and what rows are of. Pure; loaded with the definitions, so no imports."""

from typing import Literal

PULSE = "pulse"
RANDOM_WALK, HISTORICAL_BOOTSTRAP, GARCH_FHS = "random_walk", "historical_bootstrap", "garch_fhs"
REFERENCES = (RANDOM_WALK, HISTORICAL_BOOTSTRAP, GARCH_FHS)
ENGINES = (PULSE, *REFERENCES)
BLOCK_DAYS = 10.0
"""Mean length of the runs of days that the historical bootstrap draws: two weeks."""

Mode = Literal["seed_then_free", "strict"]
FREE: Mode = "seed_then_free"
STRICT: Mode = "strict"
MODES = (FREE, STRICT)

PORTFOLIO, ALL = "portfolio", "all"
"""Variables beside the assets: an equal amount of each asset, and all of them as a vector."""
