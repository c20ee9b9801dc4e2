"""Which families of models are suspected to have gone stale, from drift, trust and age. Pure.

What is done about a suspicion is decided in :mod:`.states`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DRIFTED, DISTRUSTED, STALE = "DRIFT_ALARM", "SKILL_LOST", "MODEL_STALE"
NEVER_BETTER = 0.5
"""Trust below which a model is less likely than not to beat naive."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When a family is suspected, and what may be done about it.

    Parameters
    ----------
    drift_enter, drift_leave
        Share of its series in alarm at which a suspicion begins and below which it ends. A fifth of series that each
        alarm at 1 % is where Benjamini and Hochberg's procedure within the family begins to find anything at 5 %; a
        family of up to five series is suspected when one alarms.
    trust_enter, trust_leave
        The same for the share of its rows of trust that fell below one half.
    origins
        Days in a row for which trust must be below one half.
    reference
        Weekdays back at which trust must not have been below one half already: a model that never beat naive is not
        helped by learning the same again, and the next refit comes anyway.
    memory
        Days after which a suspicion ends that lies between the two shares: nothing stays suspected, or stays unheard,
        for longer.
    model_age_days
        Age at which a model is suspected whatever it does.
    cool_down_days
        Days after a decision during which nothing is asked for.
    waiting_days
        Days after which a training that was asked for and never came is forgotten.
    requests_a_day
        Trainings that may be asked for on one day.
    """

    drift_enter: float = 0.2
    drift_leave: float = 0.05
    trust_enter: float = 0.5
    trust_leave: float = 0.25
    origins: int = 14
    reference: int = 60
    memory: int = 10
    model_age_days: int = 200
    cool_down_days: int = 30
    waiting_days: int = 14
    requests_a_day: int = 2

    def __post_init__(self) -> None:
        for name in ("drift", "trust"):
            low, high = getattr(self, f"{name}_leave"), getattr(self, f"{name}_enter")
            if not 0 <= low < high <= 1:
                raise ValueError(
                    f"a suspicion begins at a higher share than it ends, both in [0, 1]; came {name}_enter {high} and "
                    f"{name}_leave {low}"
                )


RULES = Rules()


class Suspicion(NamedTuple):
    """What speaks against a family on a day.

    Attributes
    ----------
    reasons
        Codes; none if it is not suspected.
    strength
        Largest of the shares below, 1 if the model is too old; 0 where nothing is known.
    drifted, distrusted
        Share of its series in alarm, and of its rows of trust that fell; NaN where there are none.
    age_days
        Days since its model last learned.
    """

    family: str
    reasons: tuple[str, ...]
    strength: float
    drifted: float
    distrusted: float
    age_days: int


def suspicions(
    drift: pa.Table,
    trust: pa.Table,
    families: Mapping[str, str],
    champions: Mapping[str, date],
    day: date,
    rules: Rules = RULES,
) -> list[Suspicion]:
    """Return what speaks against each family on a day, in alphabetical order.

    Parameters
    ----------
    drift
        Columns ``as_of, drift, unique_id, state, direction`` of ``ops/drift`` of one model, of the days of memory.
    trust
        Columns ``as_of, unique_id, bucket, trust`` of ``gold/trust`` of that model, of the days of memory, the origins
        before them and one day for reference. Rows later than ``day`` are not looked at.
    families
        Family of each series; rows of others are left out.
    champions
        Last day that the model of each family in force has learned from: the families that are judged.
    day
        Day of the evidence.
    """
    alarms = drift_shares(_until(drift, day), families, rules.memory)
    fallen = distrusted_shares(_until(trust, day), families, rules)
    none: Floats = np.empty(0)
    found = []
    for family in sorted(champions):
        drifts, trusts = alarms.get(family, none), fallen.get(family, none)
        age = (day - champions[family]).days
        hits = {
            DRIFTED: is_suspected(drifts, rules.drift_enter, rules.drift_leave),
            DISTRUSTED: is_suspected(trusts, rules.trust_enter, rules.trust_leave),
            STALE: age > rules.model_age_days,
        }
        now = [float(path[-1]) if len(path) else float("nan") for path in (drifts, trusts)]
        strength = 1.0 if hits[STALE] else float(np.nan_to_num(now).max())
        reasons = tuple(reason for reason, hit in hits.items() if hit)
        found.append(Suspicion(family, reasons, strength, now[0], now[1], age))
    return found


def is_suspected(shares: Floats, enter: float, leave: float) -> bool:
    """Return whether a share that was followed for some days is one to suspect now.

    Parameters
    ----------
    shares
        By day; NaN, where nothing is known, changes nothing.
    enter, leave
        A suspicion begins at the one or above and ends at the other or below.

    Examples
    --------
    >>> [is_suspected(np.array(path), 0.2, 0.05) for path in ([0.1], [0.3, 0.1], [0.3, 0.0, 0.1], [float("nan")])]
    [False, True, False, False]
    """
    suspected = False
    for share in shares.tolist():
        suspected = share >= enter or (suspected and not share <= leave)
    return suspected


def drift_shares(drift: pa.Table, families: Mapping[str, str], memory: int) -> dict[str, Floats]:
    """Return the share of each family's series in alarm on each of the newest days with rows.

    A series counts whose errors have changed, or whose losses have become larger beside those of naive. One that is
    still learned counts as one that does not alarm. q-values over all series are not asked for: a sum stops where it
    alarms, at about 1 %, so they would be small only where a fifth of all series alarm at once.
    """
    rows = _of_families(drift.select(["as_of", "drift", "unique_id", "state", "direction"]), families)
    worse = (rows["drift"] == "model_drift") | ((rows["drift"] == "prediction_drift") & (rows["direction"] == "down"))
    rows = rows.assign(alarms=worse & (rows["state"] == "alarm"))
    rows = rows[rows["drift"].isin(["model_drift", "prediction_drift"])]
    series = rows.groupby(["family", "as_of", "unique_id"], sort=True)["alarms"].any()
    shares = series.groupby(level=["family", "as_of"]).mean()
    days = sorted(rows["as_of"].unique())[-memory:]
    found: dict[str, Floats] = {}
    for family, part in shares.groupby(level="family"):
        found[str(family)] = np.asarray(part.droplevel("family").reindex(days), np.float64)
    return found


def distrusted_shares(trust: pa.Table, families: Mapping[str, str], rules: Rules = RULES) -> dict[str, Floats]:
    """Return the share of each family's rows of trust that fell below one half, on each of the newest days with rows.

    A row fell if it was below at each of so many origins in a row and not on the day for reference, the oldest of at
    least that distance. Rows without trust on a day do not count on it.
    """
    rows = _of_families(trust.select(["as_of", "unique_id", "bucket", "trust"]), families)
    days = sorted(rows["as_of"].unique())
    newest = days[-(rules.origins + rules.memory - 1) :]
    if len(newest) < rules.origins:
        return {}
    keys = ["family", "unique_id", "bucket", "as_of"]
    table = rows.set_index(keys)["trust"].unstack("as_of").reindex(columns=days)
    low = table.to_numpy(np.float64) < NEVER_BETTER
    before: Bools = low[:, 0] if _is_reference(days, newest[-1], rules) else np.zeros(len(table), bool)
    looks = range(len(days) - (len(newest) - rules.origins + 1), len(days))
    fallen = np.column_stack([low[:, at - rules.origins + 1 : at + 1].all(axis=1) & ~before for at in looks])
    known = np.column_stack([np.isfinite(table.to_numpy(np.float64)[:, at]) for at in looks])
    family = table.index.get_level_values("family").to_numpy()
    found: dict[str, Floats] = {}
    for name in sorted(set(family)):
        found[str(name)] = _share(fallen[family == name], known[family == name])
    return found


def _is_reference(days: Sequence[date], newest: date, rules: Rules) -> bool:
    return bool(np.busday_count(days[0], newest) >= rules.reference)


def _share(hits: Bools, known: Bools) -> Floats:
    """Return the share of hits by column; NaN where nothing is known."""
    counts = known.sum(axis=0)
    return np.where(counts > 0, (hits & known).sum(axis=0) / np.maximum(counts, 1), np.nan)


def _of_families(table: pa.Table, families: Mapping[str, str]) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    frame["family"] = frame["unique_id"].map(families)
    return frame[frame["family"].notna()]


def _until(table: pa.Table, day: date) -> pa.Table:
    return table.filter(pc.field("as_of") <= pa.scalar(day))
