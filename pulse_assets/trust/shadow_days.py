"""Scores challengers beside the champions that they want to replace, day by day. The border of :mod:`.retraining`.

Both are asked for one step ahead from the last weekday before a truth, by the engine itself: a challenger is the engine
with its training promoted from the day on which it entered the shadow. Recalibration is left out on both sides.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.forecasting.engine import HORIZONS, MapBlocks, Promotion, knows_from, origin_end, refit_end
from pulse_assets.forecasting.pack import Panel, pack
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_assets.numerics.scores import covered, weighted_interval_score
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.evidence_tables import MODEL_EVENTS, SHADOW_SCORES
from pulse_assets.trust.retraining.promotions import PROMOTED, promotions_in_force
from pulse_assets.trust.retraining.states import REJECTED, SHADOW
from pulse_assets.trust.scoring import first_releases
from pulse_resources.lake import Snapshot

if TYPE_CHECKING:
    from pulse_assets.forecasting.pooled import PooledEngine

Floats = npt.NDArray[np.float64]

PULSE = "pulse"
PACKED = ["unique_id", "ds", "y", "known_at", "kind", "freq", "calendar"]
READ = [*PACKED, "as_of", "flags"]
SCALE_STEPS, RECENT_STEPS = 250, 20
"""Newest steps known at an origin whose mean size is the scale, and those that say whether a series is calm or wild."""
CALM, WILD = 0.75, 1.25
"""Shares of its usual step below and above which a series is."""
COVERED = 0.8


class Shadow(NamedTuple):
    """A challenger: it is scored on truths after ``entered``, up to and with the day on which it was decided about."""

    family: str
    entered: date
    trained_on: date
    decided: date


def shadow_days(
    snapshot: Snapshot,
    blocks: list[list[date]],
    map_blocks: MapBlocks,
    horizons: Mapping[str, int] = HORIZONS,
) -> Iterator[pa.Table]:
    """Yield the rows of ``ops/shadow_scores`` of each day on which there are some.

    Parameters
    ----------
    snapshot
        Where silver and the record of what became of trainings are read. What was recorded on a day counts after it.
    blocks
        Days, ascending.
    map_blocks
        Where panels are fitted.
    horizons
        Steps ahead for each frequency, those of ``gold/forecasts``: members are tuned over all of them.
    """
    snapshot.pin(SERIES, MODEL_EVENTS)
    events = snapshot.read(MODEL_EVENTS)
    shadows, promotions = shadows_of(events), promotions_in_force(events)
    last = blocks[-1][-1]
    going = [one for one in shadows if one.entered < last and one.decided >= blocks[0][0]]
    if not going:
        return
    silver = _silver(snapshot, last, {one.family for one in going})
    for days in blocks:
        yield from _block(silver, days, going, promotions, horizons, map_blocks)


def shadows_of(events: pa.Table) -> list[Shadow]:
    """Return every challenger that ever was in the shadow, in order of entering.

    A later one of the family ends the time of the one before.
    """
    order = [("family", "ascending"), ("as_of", "ascending"), ("recorded_at", "ascending")]
    rows = events.select(["family", "as_of", "recorded_at", "event", "trained_on"]).sort_by(order).to_pylist()
    found: list[Shadow] = []
    for row in rows:
        ends = row["event"] in (SHADOW, PROMOTED, REJECTED)
        if ends and found and found[-1].family == row["family"] and found[-1].decided == date.max:
            found[-1] = found[-1]._replace(decided=row["as_of"])
        if row["event"] == SHADOW:
            found.append(Shadow(row["family"], row["as_of"], row["trained_on"], date.max))
    return sorted(found, key=lambda one: (one.entered, one.family))


def origin_before(day: date) -> date:
    """Return the last weekday before a day: the newest origin from which its truths were forecast."""
    return np.busday_offset(np.datetime64(day, "D"), -1, roll="forward").astype(object)  # type: ignore[no-any-return]


def _silver(snapshot: Snapshot, last: date, families: set[str]) -> pa.Table:
    """Return all rows of the series that have any of these families: what a series is, its first row says."""
    freqs, kinds = (sorted({family.split(" ", 1)[part] for family in families}) for part in (0, 1))
    maybe = pc.field("freq").isin(freqs) & pc.field("kind").isin(kinds)
    ids = pc.unique(snapshot.read(SERIES, as_of=last, columns=["unique_id"], where=maybe)["unique_id"])
    return snapshot.read(SERIES, as_of=last, columns=READ, where=pc.field("unique_id").isin(ids))


def _block(
    silver: pa.Table,
    days: list[date],
    shadows: Sequence[Shadow],
    promotions: Sequence[Promotion],
    horizons: Mapping[str, int],
    map_blocks: MapBlocks,
) -> Iterator[pa.Table]:
    from pulse_assets.forecasting.families import families, segments_by_family

    wanted = {day: _in_shadow(day, shadows, promotions) for day in days}
    origins = sorted({origin_before(day) for day, some in wanted.items() if some})
    if not origins:
        return
    wanted_families = {one.family for some in wanted.values() for one in some}
    panel = pack(silver.select(PACKED), knows_from(origins[0]), origin_end(origins[-1]))
    segments = [places for family, places in segments_by_family(panel).items() if family in wanted_families]
    panel = panel.select(np.sort(np.concatenate([np.empty(0, np.int64), *segments])))
    if not len(panel):
        return
    challengers = [Promotion(one.family, one.entered, one.trained_on) for some in wanted.values() for one in some]
    champion, challenger = (
        _one_step(panel, origins, _engine(horizons, some), map_blocks)
        for some in (promotions, sorted(set(challengers)))
    )
    truths = first_releases(silver.filter(pc.field("as_of").isin(pa.array(days, pa.date32())))).to_pandas()
    labels = families(panel)
    for day in days:
        today = truths[truths["as_of"] == day]
        scored = _scored(today, champion, challenger, panel, origin_before(day))
        rows = [
            _row(day, one, scored[scored["unique_id"].map(labels) == one.family], promotions) for one in wanted[day]
        ]
        rows = [row for row in rows if row["series"]]
        if rows:
            yield SHADOW_SCORES.cast(pa.Table.from_pylist(rows, schema=SHADOW_SCORES.schema.remove_metadata()))


def _in_shadow(day: date, shadows: Sequence[Shadow], promotions: Sequence[Promotion]) -> list[Shadow]:
    """Return the challengers that spoke from the origin before a day, and that had learned more than the champion."""
    origin = origin_before(day)
    return [
        one
        for one in shadows
        if one.entered < origin and day <= one.decided and one.trained_on > _champion(one.family, origin, promotions)
    ]


def _champion(family: str, origin: date, promotions: Sequence[Promotion]) -> date:
    """Return the last day that the model in force at an origin has learned from."""
    from pulse_assets.forecasting.families import day_before

    return day_before(refit_end(family, origin, promotions))


def _engine(horizons: Mapping[str, int], promotions: Sequence[Promotion]) -> "PooledEngine":
    from pulse_assets.forecasting.pooled import PooledEngine

    return PooledEngine(dict(horizons), tuple(promotions))


def _one_step(panel: Panel, origins: list[date], engine: "PooledEngine", map_blocks: MapBlocks) -> pd.DataFrame:
    """Return what an engine says one step ahead, with the columns of the quantiles."""
    ours = (pc.field("model") == PULSE) & (pc.field("h") == 1)
    columns = ["as_of", "unique_id", "ds", *QUANTILE_COLUMNS]
    parts = [table.filter(ours).select(columns) for table in engine.forecast(panel, origins, map_blocks)]
    said: pd.DataFrame = pa.concat_tables(parts).to_pandas()
    return said.rename(columns={"as_of": "origin"})


def _scored(
    truths: pd.DataFrame, champion: pd.DataFrame, challenger: pd.DataFrame, panel: Panel, origin: date
) -> pd.DataFrame:
    """Return each truth of a day that both had forecast, with its scale, its segments and how both did."""
    keys = ["unique_id", "ds"]
    known = truths.drop(columns="as_of")
    parts = [said[said["origin"] == origin].drop(columns="origin") for said in (champion, challenger)]
    both: pd.DataFrame = known.merge(parts[0], on=keys).merge(parts[1], on=keys, suffixes=("_champion", "_challenger"))
    both = both.merge(_steps(panel, origin), on="unique_id")
    both = both[(both["scale"] > 0) & np.isfinite(both["scale"])].sort_values(keys, ignore_index=True)
    y = both["y"].to_numpy(np.float64)
    for who in ("champion", "challenger"):
        quantiles = both[[f"{name}_{who}" for name in QUANTILE_COLUMNS]].to_numpy(np.float64)
        both[f"wis_{who}"] = weighted_interval_score(quantiles, y) / both["scale"]
        both[f"covered_{who}"] = covered(quantiles, y, COVERED)
    return both


def _steps(panel: Panel, origin: date) -> pd.DataFrame:
    """Return the mean size of each series' newest steps known at an origin, and how its last ones compare with it."""
    counts = panel.known_counts(np.array([origin_end(origin)]))[:, 0]
    told = np.flatnonzero(counts >= 2)
    ends = panel.offsets[:-1][told] + counts[told]
    back = np.arange(SCALE_STEPS)[None, :]
    held = back < (counts[told] - 1)[:, None]
    newest = np.where(held, ends[:, None] - 1 - back, panel.offsets[:-1][told][:, None] + 1)
    sizes = np.where(held, np.abs(panel.values[newest] - panel.values[newest - 1]), 0.0)
    usual, recent = (
        sizes[:, :steps].sum(axis=1) / held[:, :steps].sum(axis=1) for steps in (SCALE_STEPS, RECENT_STEPS)
    )
    return pd.DataFrame(
        {
            "unique_id": panel.ids[told],
            "calendar": panel.calendar[told],
            "scale": usual,
            "mood": np.select([recent < CALM * usual, recent > WILD * usual], ["calm", "wild"], "usual"),
        }
    )


def _row(day: date, one: Shadow, scored: pd.DataFrame, promotions: Sequence[Promotion]) -> dict[str, object]:
    challenger, champion = (scored[f"wis_{who}"] for who in ("challenger", "champion"))
    return {
        "as_of": day,
        "family": one.family,
        "challenger": one.trained_on,
        "champion": _champion(one.family, origin_before(day), promotions),
        "series": scored["unique_id"].nunique(),
        "difference": (champion - challenger).mean(),
        "wis_challenger": challenger.mean(),
        "wis_champion": champion.mean(),
        "covered_80_challenger": scored["covered_challenger"].mean(),
        "covered_80_champion": scored["covered_champion"].mean(),
        "segments": json.dumps(_segments(scored), sort_keys=True),
    }


def _segments(scored: pd.DataFrame) -> dict[str, list[float]]:
    """Return the losses of both by calendar, and by whether a series moves less or more than it usually does."""
    return {
        f"{name} {value}": part[["wis_challenger", "wis_champion"]].sum().tolist()
        for name in ("calendar", "mood")
        for value, part in scored.groupby(name, sort=True)
    }
