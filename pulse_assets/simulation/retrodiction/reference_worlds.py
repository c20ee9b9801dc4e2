"""Simple worlds on the same past, which a simulation has to beat. Pure.

What belongs here: how their settings follow from those of the world that is judged, so that they see the same assets
and the same window. They are simulated by the same kernel on the same random numbers.
"""

from pulse_assets.simulation.calibration.world_settings import Choice, WorldSettings
from pulse_assets.simulation.retrodiction.names import (
    BLOCK_DAYS,
    ENGINES,
    GARCH_FHS,
    HISTORICAL_BOOTSTRAP,
    PULSE,
    RANDOM_WALK,
)

CONSTANT, GJR = Choice(use="constant"), Choice(use="gjr")


def settings_for(engine: str, settings: WorldSettings, block_days: float = BLOCK_DAYS) -> WorldSettings:
    """Return the settings of an engine's world.

    random_walk
        Normal, with the constant variance of the window and no drift (Bachelier 1900).
    historical_bootstrap
        Returns of the window as they were, in runs of days (Politis and Romano 1994).
    garch_fhs
        GJR-GARCH with past residuals drawn day by day, and the mean of the window (Barone-Adesi, Giannopoulos and
        Vosper 1999).

    Parameters
    ----------
    engine
        One of ``ENGINES``; ``pulse`` gets the settings as they are.
    settings
        Of the world that is judged.
    block_days
        Mean length of the bootstrap's runs, at least 1.

    Returns
    -------
    WorldSettings
        References have assets only: no factors, regimes or jumps.

    Raises
    ------
    ValueError
        There is no such engine.

    Examples
    --------
    >>> settings_for("garch_fhs", WorldSettings(assets={"stock": "mine:STOCK"}, regimes=True)).innovations.use
    'historical'
    """
    if engine == PULSE:
        return settings
    if engine == RANDOM_WALK:
        own: dict[str, object] = {"volatility": CONSTANT, "innovations": Choice(use="normal"), "drift": "zero"}
    elif engine == HISTORICAL_BOOTSTRAP:
        own = {"volatility": CONSTANT, "innovations": _past_days(block_days), "drift": "mean"}
    elif engine == GARCH_FHS:
        own = {"volatility": GJR, "innovations": _past_days(1.0), "drift": "mean"}
    else:
        raise ValueError(f"no engine {engine!r}: choose among {', '.join(ENGINES)}")
    required = tuple(name for name in settings.required if name in settings.assets)
    own |= {"factors": (), "regimes": None, "jumps": None, "required": required, "history": 0}
    return settings.model_copy(update=own)


def _past_days(block_days: float) -> Choice:
    return Choice.model_validate({"use": "historical", "block_length": block_days})
