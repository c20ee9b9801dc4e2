"""What a retrodiction is asked for. Pure.

What belongs here: the value and its checks. What is done about it is in ``retrodiction``.
"""

from dataclasses import dataclass

from pulse_assets.simulation.retrodiction.names import BLOCK_DAYS, ENGINES, FREE, MODES, Mode
from pulse_assets.simulation.rules.rule_set import RuleSet


@dataclass(frozen=True)
class Wanted:
    """What is to be simulated and scored, whatever the day.

    Attributes
    ----------
    paths, seed
        All engines and modes of a day have the same random numbers, so that scores differ by what is simulated alone.
        Each day has others: an error of the ensemble that all days share would look like a bias of the simulation.
    horizon, steps
        Business days between origin and the day that scores, and which of them are scored.
    engines
        ``pulse`` and the references that it is compared with.
    modes
        ``seed_then_free`` lets the world run from its origin; ``strict`` leads factors along what they did. References
        have no factors and run free.
    fall
        Loss of value that counts as an event, as a share.
    block_days
        Mean length of the runs of days of the historical bootstrap.
    rules
        Causal rules of ``pulse``; None for none.
    learns
        Whether ``pulse`` has the learned correction.
    energy_members
        Paths that the energy score takes at most.

    Raises
    ------
    ValueError
        A number is out of bounds, or a name is unknown or stands twice.
    """

    paths: int = 2000
    seed: int = 0
    horizon: int = 20
    steps: tuple[int, ...] = (1, 5, 10, 20)
    engines: tuple[str, ...] = ENGINES
    modes: tuple[Mode, ...] = (FREE,)
    fall: float = 0.05
    block_days: float = BLOCK_DAYS
    rules: RuleSet | None = None
    learns: bool = False
    energy_members: int = 1000

    def __post_init__(self) -> None:
        if not self.steps or sorted({*self.steps}) != [*self.steps] or not 1 <= self.steps[0] <= max(self.steps):
            raise ValueError(f"expected scored steps that rise from 1 on; came {self.steps}")
        if self.steps[-1] > self.horizon:
            raise ValueError(f"step {self.steps[-1]} is beyond the horizon of {self.horizon} steps: lengthen it")
        if self.paths < 100 or self.energy_members < 2:
            raise ValueError(
                f"expected 100 or more paths, below which a 1 % quantile says nothing, and 2 or more for the energy "
                f"score; came {self.paths} and {self.energy_members}"
            )
        if not 0 < self.fall < 1 or self.block_days < 1:
            raise ValueError(
                "expected a fall as a share of value inside (0, 1), as 0.05, and runs of 1 or more days; came "
                f"{self.fall} and {self.block_days}"
            )
        for what, given, known in (("engine", self.engines, ENGINES), ("mode", self.modes, MODES)):
            wrong = [name for name in given if name not in known or given.count(name) > 1]
            if wrong or not given:
                came = f"{wrong[0]!r}" if wrong else "none"
                raise ValueError(f"expected each {what} once, of {', '.join(known)}; came {came}")
