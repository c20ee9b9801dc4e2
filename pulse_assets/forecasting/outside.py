"""What comes from outside the pool: a user's models and exogenous series, judged in backtests and applied. Pure.

Both are fitted on what the pool, as it was before them, said at past origins; so nothing is judged in sample. Without
either of them nothing here runs. The arithmetic is in :mod:`.stacking` and :mod:`.exogenous`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.admission import TOO_FEW_ROWS
from pulse_assets.forecasting.drivers import inputs_at
from pulse_assets.forecasting.exogenous import ExogenousMap, fit_exogenous, origins_ago
from pulse_assets.forecasting.kinds import from_scale, to_scale
from pulse_assets.forecasting.members import NONFINITE, PoolMember, guarded_forecast
from pulse_assets.forecasting.past import Known, one_over_change, pool_then
from pulse_assets.forecasting.prior import COLUMNS
from pulse_assets.forecasting.speaking import Outlook
from pulse_assets.forecasting.stacking import Stack, fit_stack
from pulse_assets.forecasting.walk_state import SHORTEST
from pulse_assets.numerics.threads import one_thread

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MEMBER_SERIES = 200
"""Series on which a model from outside is judged, chosen by the hash of their ids."""
EXOGENOUS_ROWS, EXOGENOUS_CELLS = 6_000, 1_000_000
"""Backtest rows, and rows times steps ahead, that a map of exogenous series learns from."""
MISSING = "EXOGENOUS_MISSING"


@dataclass(frozen=True)
class Told:
    """What became of what came from outside.

    Parameters
    ----------
    table
        ``name, weight, reason``: of each model and exogenous column.
    failures
        Number of a series and reason code.
    names, shares
        Of the models, and their shares of the forecast of each series, shape ``(S, E)``.
    """

    table: tuple[tuple[str, float | None, str], ...] = ()
    failures: frozenset[tuple[int, str]] = frozenset()
    names: tuple[str, ...] = ()
    shares: Floats = field(default_factory=lambda: np.empty((0, 0)))


def named(members: Sequence[PoolMember]) -> tuple[str, ...]:
    """Return the names of models.

    Raises
    ------
    ValueError
        One is no :class:`~pulse_assets.forecasting.members.PoolMember`, or a name is taken.
    """
    for member in members:
        if not isinstance(member, PoolMember):
            raise ValueError(  # noqa: TRY004 - all faults of the arguments are ValueErrors here
                f"expected members with a name and forecast(histories, horizon, season); came {type(member).__name__}"
            )
    names = tuple(str(member.name) for member in members)
    taken = sorted({name for name in names if names.count(name) > 1 or name in COLUMNS})
    if taken:
        raise ValueError(f"each member needs a name of its own; {', '.join(taken)} is taken")
    return names


def learn_exogenous(known: Known, counts: Ints) -> ExogenousMap:
    """Fit the map of exogenous series on the pool's errors at past origins of a sample of series."""
    assert known.drivers is not None
    horizon, season = known.batch.sizes.horizon, known.batch.sizes.season
    rows = min(EXOGENOUS_ROWS, max(EXOGENOUS_CELLS // horizon, 1))
    ago = origins_ago(counts[counts >= SHORTEST], horizon, season, rows)
    if not len(ago):
        return ExogenousMap.refused(horizon, TOO_FEW_ROWS)
    sample = np.sort(np.argsort(known.batch.code, kind="stable")[: max(rows // len(ago), 1)])
    some = known.select(sample)
    assert some.drivers is not None
    past = pool_then(some, counts[sample], ago)
    inputs = inputs_at(some.drivers, past.series, past.origins, season, horizon)
    target = (past.truth - past.said.center) * past.scale[:, None]
    with one_thread():
        return fit_exogenous(inputs, target, past.scale > 0, past.series, past.ago)


def add_exogenous(
    known: Known, maps: Sequence[ExogenousMap], map_of: Ints, series: Ints, origins: Ints, said: Outlook
) -> tuple[Outlook, Told]:
    """Shift what the pool says by what exogenous series add.

    Parameters
    ----------
    maps, map_of
        Maps by refit, and which serves each of P origins, shape ``(P,)``.
    series, origins
        Shape ``(P,)``, rising by series.
    said
        The pool's answer at these origins.
    """
    drivers = known.drivers
    assert drivers is not None
    table = tuple((name, None, maps[-1].reason) for name in drivers.names)
    if not any(each.admitted for each in maps):
        return said, Told(table)
    inputs = inputs_at(drivers, series, origins, known.batch.sizes.season, known.batch.sizes.horizon)
    starts = np.searchsorted(series, np.arange(len(known.batch) + 1))
    scale = one_over_change(known.batch, starts, origins)
    center, sigma = said.center.copy(), said.sigma.copy()
    missing = np.zeros(len(origins), bool)
    for number, each in enumerate(maps):
        mine = map_of == number
        if not each.admitted:
            continue
        missing |= mine & ~inputs.complete
        mine &= inputs.complete & (scale > 0)
        center[mine] += each.shift(inputs.take(mine)) / scale[mine, None]
        sigma[mine] *= each.spread_ratio
    failures = frozenset((int(s), MISSING) for s in np.unique(series[missing]))
    return replace(said, center=center, sigma=sigma), Told(table, failures)


def add_members(
    known: Known, members: Sequence[PoolMember], member_origins: int, counts: Ints, said: Outlook, told: Told
) -> tuple[Outlook, Told]:
    """Stack models on what is said of each series from its newest observation.

    Parameters
    ----------
    member_origins
        Past origins at which models are judged, a horizon apart.
    counts
        Observations of each series, shape ``(S,)``.
    told
        What came of exogenous series, which the models are stacked on.
    """
    horizon = known.batch.sizes.horizon
    fit = Stack(named(members), np.zeros(len(members)), 1.0, (TOO_FEW_ROWS,) * len(members))
    asked = counts - horizon >= SHORTEST
    sample = np.argsort(known.batch.code, kind="stable")
    sample = np.sort(sample[asked[sample]][:MEMBER_SERIES])
    failures = dict.fromkeys(range(len(members)), frozenset[tuple[int, str]]())
    if len(sample):
        fit, failures = _judged(known.select(sample), members, member_origins, counts[sample])
        failures = {e: frozenset((int(sample[s]), why) for s, why in some) for e, some in failures.items()}
    every = np.arange(len(counts))
    made = np.full((len(counts), horizon, len(members)), np.nan)
    for e in np.flatnonzero(fit.weights > 0).tolist():
        made[:, :, e], failures[e] = _asked(known, members[e], every, counts)
    stacked = fit.apply(said.center, said.sigma, made)
    table = tuple(zip(fit.names, map(float, fit.weights), fit.reasons, strict=True))
    told = Told(told.table + table, told.failures.union(*failures.values()), fit.names, stacked.shares)
    return replace(said, center=stacked.center, sigma=stacked.sigma), told


def _judged(
    known: Known, members: Sequence[PoolMember], member_origins: int, counts: Ints
) -> tuple[Stack, dict[int, frozenset[tuple[int, str]]]]:
    """Return the stack by past origins, and on which series each model failed at the newest of them."""
    horizon = known.batch.sizes.horizon
    past = pool_then(known, counts, horizon * np.arange(member_origins, 0, -1))
    if known.drivers is not None:
        earlier = learn_exogenous(known, np.maximum(counts - horizon * member_origins, 0))
        first = np.zeros(len(past.series), np.int64)
        shifted, _ = add_exogenous(known, [earlier], first, past.series, past.origins, past.said)
        past = replace(past, said=shifted)
    made = np.full((*past.truth.shape, len(members)), np.nan)
    failures: dict[int, frozenset[tuple[int, str]]] = {}
    why: list[set[str]] = [set() for _ in members]
    for ago in np.unique(past.ago)[::-1]:
        rows = np.flatnonzero(past.ago == ago)
        for e, member in enumerate(members):
            made[rows, :, e], failures[e] = _asked(known, member, past.series[rows], past.origins[rows])
            why[e] |= {reason for _, reason in failures[e]}
    names = [member.name for member in members]
    with one_thread():
        fit = fit_stack(names, past.said.center, made, past.truth, past.scale, past.series, past.ago)
    spoke = np.asarray(np.isfinite(made).any(axis=(0, 1)))
    reasons = tuple(min(why[e]) if why[e] and not spoke[e] else reason for e, reason in enumerate(fit.reasons))
    return replace(fit, reasons=reasons), failures


def _asked(known: Known, member: PoolMember, series: Ints, origins: Ints) -> tuple[Floats, frozenset[tuple[int, str]]]:
    """Ask a model once, in the units of the series, and return its answer on their scale and where it failed."""
    batch, sizes = known.batch, known.batch.sizes
    histories = [
        from_scale(batch.values[batch.offsets[s] : batch.offsets[s] + n], int(known.scale[s]))
        for s, n in zip(series, origins, strict=True)
    ]
    answer, reasons = guarded_forecast(member, histories, sizes.horizon, max(sizes.season, 1))
    made = to_scale(answer.ravel(), np.repeat(known.scale[series], sizes.horizon)).reshape(answer.shape)
    off = np.asarray(np.isfinite(answer).all(axis=1) & ~np.isfinite(made).all(axis=1))
    made[off] = np.nan
    reasons = [NONFINITE if o else reason for o, reason in zip(off, reasons, strict=True)]
    return made, frozenset((int(s), reason) for s, reason in zip(series, reasons, strict=True) if reason)
