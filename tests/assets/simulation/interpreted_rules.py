"""The text of rules run as plain Python on a few paths: slow, but without a compiler."""

from collections.abc import Mapping

import numpy as np

from benchmarks.compiled_rules import CompiledRules
from pulse_assets.simulation.kernel.transforms import exp_
from pulse_assets.simulation.rules.checked_rules import CheckedRules

FEW = 5
"""Paths of a block."""
F32, I32, I64, U64 = np.float32, np.int32, np.int64, np.uint64


class InterpretedRules(CompiledRules):
    """A block of few paths whose rules are interpreted, with uniforms of NumPy's."""

    lanes = FEW

    def __init__(self, checked: CheckedRules, steps: int, valid: int) -> None:
        super().__init__(checked, steps, valid, code=lambda: None)
        names = {**WORDS, "draw_uniform_rows": self._draw}
        exec(f"@compiled\n{self.source}", names)
        self.apply = names["apply_rules"]  # type: ignore[assignment]

    def step(self, t: int, branch: int = 0) -> None:
        """Apply all rules."""
        with np.errstate(all="ignore"):
            super().step(t, branch)

    def uniforms(self, t: int, branch: int = 0) -> Mapping[str, np.ndarray]:  # noqa: ARG002 - of the same shape
        """Return what each rule with a probability draws, by id."""
        chancy = [rule.id for rule in self.checked.active if rule.probability < 1]
        return {name: self._drawn(t, i // 4)[i % 4] for i, name in enumerate(chancy)}

    def _drawn(self, t: int, block: int) -> np.ndarray:
        return np.random.default_rng((t, block)).random((4, FEW), np.float32)

    def _draw(self, work: np.ndarray, row: int, *place: int) -> None:
        t, block = place[-2:]
        work[row * FEW : (row + 4) * FEW] = self._drawn(int(t), int(block)).ravel()


def _add(counts: np.ndarray, index: int, amount: int) -> None:
    counts[index] += amount


WORDS = {
    "F32": F32,
    "F32s": None,
    "I64s": None,
    "U64s": None,
    "BOOL": np.bool_,
    "I32": I32,
    "I64": I64,
    "U64": U64,
    "LANES": FEW,
    "compiled": lambda function: function,
    "at": lambda row, lane: U64(int(row) * FEW + int(lane)),
    "bits_of": lambda x: F32(x).view(I32),
    "min_": lambda a, b: a if a < b else b,
    "max_": lambda a, b: a if a > b else b,
    "fabs_": abs,
    "sqrt_": np.sqrt,
    "exp_": lambda x: F32(exp_(F32(x))),
    "add_count": _add,
}
