"""Which past origins of which series a refit learns from: spread in time, since shocks are common to a panel. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.pool import (
    Batch,
)
from pulse_assets.forecasting.walk_state import Spec

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


BACKTEST_ROWS, BACKTEST_STEPS = 6_000, 120_000
"""Backtest rows at most, and steps ahead of all of them at most."""


FEWEST_ORIGINS, MOST_ORIGINS = 24, 64


PAST_USED = 0.6
"""Share of a series' past over which its backtest origins are spread: shocks are common to the series of a panel."""


def backtest_origins(count: int, sizes: Spec, wanted: int) -> Ints:
    """Return up to ``wanted`` past origins of a series of ``count`` observations, all of whose truths are known.

    Their distance is a power of two times a third of the horizon, so refits at different times share most of them.

    Examples
    --------
    >>> from pulse_assets.forecasting.walk_state import spec
    >>> backtest_origins(60, spec(12, 0, 18), 4).tolist()
    [30, 36, 42]
    """
    newest, base = count - sizes.horizon, max(1, sizes.horizon // 3)
    oldest = max(2 * sizes.season + 2 if sizes.season > 1 else 6, 6)
    if newest < oldest:
        oldest = min(oldest, max(6, newest))
    far = PAST_USED * count / max(wanted, 1) / base
    gap = base * 2 ** max(0, int(np.log2(far)) if far >= 1 else 0)
    first = max(-(-oldest // gap), newest // gap - wanted)
    return np.arange(first, newest // gap + 1, dtype=np.int64) * gap if newest >= 6 else np.empty(0, np.int64)


@dataclass(frozen=True)
class Plan:
    """Which origins of which series each refit learns from: rows are the union over refits."""

    series: Ints  # (U,) row to series of the batch
    origins: Ints  # (U,)
    rows: list[Ints]  # by refit, into the union, older origins first


def plan_of(batch: Batch, counts: Ints) -> Plan:
    """Return the plan of refits that know so many observations of each series, shape ``(S, R)``."""
    order = np.argsort(batch.code, kind="stable")
    most = min(BACKTEST_ROWS, BACKTEST_STEPS // batch.sizes.horizon)
    chosen: list[tuple[Ints, Ints]] = []
    for refit in range(counts.shape[1]):
        known = int((counts[:, refit] > 0).sum())
        fewest = FEWEST_ORIGINS if batch.relative else MOST_ORIGINS
        wanted = int(np.clip(most // max(known, 1), fewest, MOST_ORIGINS))
        series, origins, total = [], [], 0
        for s in order:
            if total >= most:
                break
            some = backtest_origins(int(counts[s, refit]), batch.sizes, wanted)
            series.append(np.full(len(some), s))
            origins.append(some)
            total += len(some)
        chosen.append((np.concatenate([*series, []]).astype(np.int64), np.concatenate([*origins, []]).astype(np.int64)))
    longest = int(np.diff(batch.offsets).max(initial=0)) + 1
    keys = [series * longest + origins for series, origins in chosen]
    union = np.unique(np.concatenate([*keys, np.empty(0, np.int64)]))
    rows = []
    for refit, key in enumerate(keys):
        ago = counts[key // longest, refit] - key % longest
        rows.append(np.searchsorted(union, key[np.lexsort((key, -ago))]))
    return Plan(union // longest, union % longest, rows)
