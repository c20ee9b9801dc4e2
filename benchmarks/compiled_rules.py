"""Compiled rules beside plain ones: memory laid out for rules alone, filled alike, and moved a step at a time."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.simulation.kernel import intrinsics, philox, transforms
from pulse_assets.simulation.kernel.intrinsics import LANES
from pulse_assets.simulation.kernel.layout import MEMORY_A_RULE, RuleRows
from pulse_assets.simulation.rules.checked_rules import CheckedRules

F32s = npt.NDArray[np.float32]
SEED = 20_260


class CompiledRules:
    """One block of paths that has nothing but states and rules."""

    lanes = LANES

    def __init__(
        self,
        checked: CheckedRules,
        steps: int,
        valid: int = LANES,
        first_path: int = 0,
        code: Callable[..., None] | None = None,
    ) -> None:
        self.checked, self.steps, self.valid = checked, steps, valid
        self.rows, size = rows_of(checked, steps)
        self.work = np.full(
            size * self.lanes, 0, np.float32
        )  # np.zeros would leave the pages to be found while measuring
        rules = len(checked.active)
        self.floats = np.ones(rules, np.float32)
        self.counts = np.zeros(rules * (1 + 2 * steps), np.int64)
        self.ids = np.arange(first_path, first_path + self.lanes, dtype=np.uint64)
        self.key = philox.key(SEED)
        self.source = checked.source(self.rows)
        self.apply = code or compiled(self.source)

    def row(self, row: int) -> F32s:
        """Return the numbers of a row, a view."""
        return self.work[row * self.lanes : (row + 1) * self.lanes]

    def fill(self, state: Mapping[str, F32s], variance: Mapping[str, F32s], regime: F32s) -> None:
        """Set states, variances and regimes."""
        for name, values in state.items():
            self.row(self.rows.state[name])[:] = values
        for name, values in variance.items():
            self.row(self.rows.variance[name])[:] = values
        self.row(self.rows.regime)[:] = regime

    def remember(self, name: str, step: int, values: F32s) -> None:
        """Set a state of the past."""
        self.row(self.rows.ring[name] + (step + self.rows.depth) % self.rows.depth)[:] = values

    def step(self, t: int, branch: int = 0) -> None:
        """Apply all rules."""
        self.apply(self.work, self.floats, self.counts, self.ids, *self.key, branch, t, self.steps, self.valid)

    def uniforms(self, t: int, branch: int = 0) -> dict[str, F32s]:
        """Return what each rule with a probability draws, by id."""
        chancy = [rule.id for rule in self.checked.active if rule.probability < 1]
        drawn = np.zeros((-(-len(chancy) // 4) * 4, LANES), np.float32)
        for block in range(len(drawn) // 4):
            philox.draw_uniform_rows(drawn.reshape(-1), 4 * block, self.ids, *self.key, philox.RULES, branch, t, block)
        return {rule: drawn[i] for i, rule in enumerate(chancy)}

    @property
    def fires(self) -> npt.NDArray[np.int64]:
        """Fires of each rule."""
        return self.counts[: len(self.checked.active)]

    def by_step(self, first: bool = False) -> npt.NDArray[np.int64]:
        """Return fires, or first fires, of each rule at each step."""
        start = self.rows.first if first else self.rows.by_step
        rules = len(self.checked.active)
        return self.counts[start : start + rules * self.steps].reshape(rules, self.steps)


def rows_of(checked: CheckedRules, steps: int) -> tuple[RuleRows, int]:
    """Return where things stand, and how many rows there are."""
    terms, rules = checked.vocabulary.terms, len(checked.active)
    assets, lags = checked.vocabulary.assets, checked.lags
    depth = max(lags.values(), default=0) + 1
    at = np.cumsum([0, len(terms), len(assets), 1, len(lags) * depth, MEMORY_A_RULE * rules, rules, rules + 3]).tolist()
    rows = RuleRows(
        state={name: i for i, name in enumerate(terms)},
        variance={name: at[1] + i for i, name in enumerate(assets)},
        regime=at[2],
        ring={name: at[3] + i * depth for i, name in enumerate(lags)},
        depth=depth,
        memory=at[4],
        mask=at[5],
        uniforms=at[6],
        enabled=0,
        fires=0,
        first=rules,
        by_step=rules * (1 + steps),
    )
    return rows, at[7]


def compiled(source: str) -> Callable[..., None]:
    """Return ``apply_rules`` of a text, compiled."""
    names = {**vars(intrinsics), **vars(philox), **vars(transforms), "compiled": njit(nogil=True, error_model="numpy")}
    exec(compile(f"@compiled\n{source}", "<rules>", "exec"), names)
    return names["apply_rules"]  # type: ignore[no-any-return]
