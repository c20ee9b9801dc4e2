"""Brings together what speaks for and against the models of a day, and writes what follows as rows.

The border of :mod:`.retraining`: it reads through a snapshot and leaves every decision to the state machine.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.forecasting.engine import refit_end
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.evidence_tables import DRIFT, MODEL_EVENTS, MODELS, SHADOW_SCORES
from pulse_assets.trust.retraining.promotion import Verdict, decide
from pulse_assets.trust.retraining.promotions import promotions_in_force
from pulse_assets.trust.retraining.states import SHADOW, Event, Standing, Step, phase_of, standing, steps
from pulse_assets.trust.retraining.trigger import RULES, Rules, Suspicion, suspicions
from pulse_assets.trust.tables import LICENCES, TRUST
from pulse_assets.trust.traits import REMEMBERED, families_of
from pulse_resources.lake import Snapshot
from pulse_resources.lake.partitions import between

JUDGED = (DRIFT, TRUST, LICENCES, SHADOW_SCORES, MODELS)
"""Tables that the events of a day rest on, besides the record itself."""
LEARNS = "pulse"
"""The one model that is trained."""


class Findings(NamedTuple):
    """What a day is judged by, but for the record of events.

    Attributes
    ----------
    served
        Share of all rows that readers are served that are forecasts of each family.
    trained
        Newest day that a registered training of each family has learned up to.
    """

    day: date
    families: Mapping[str, str]
    drift: pa.Table
    trust: pa.Table
    served: Mapping[str, float]
    trained: Mapping[str, date]
    shadow: pa.Table


def findings(snapshot: Snapshot, day: date, rules: Rules = RULES) -> Findings:
    """Read what was known of the models by the end of a day; tables that are missing say nothing."""
    snapshot.pin(*JUDGED, SERIES)
    families = families_of(snapshot, day, day)
    first = _weekdays_back(day, rules.memory - 1)
    drift = snapshot.read(
        DRIFT,
        columns=["as_of", "drift", "unique_id", "state", "direction"],
        where=between(first, day) & (pc.field("model") == LEARNS),
    )
    return Findings(
        day, families, drift, _trust(snapshot, day, rules), _served(snapshot, day, families),
        _trained(snapshot, day), snapshot.read(SHADOW_SCORES, where=between(day - REMEMBERED, day)),
    )  # fmt: skip


def events_of_day(found: Findings, record: pa.Table, run_id: str, now: datetime, rules: Rules = RULES) -> pa.Table:
    """Return the rows to add to ``ops/model_events`` for a day: none that the record tells of already.

    Parameters
    ----------
    record
        Rows of ``ops/model_events``, also those of later days: a family with such is left as it is.
    run_id, now
        Who writes, and when.
    """
    champions = champions_on(found, record)
    events = _events(record)
    suspected = suspicions(found.drift, found.trust, found.families, champions, found.day, rules)
    verdicts = _verdicts(found, events, champions, rules)
    made = steps(found.day, suspected, champions, events, found.trained, verdicts, found.served, rules)
    rows = [_row(found.day, step, champions[step.family], run_id, now) for step in made]
    return MODEL_EVENTS.cast(pa.Table.from_pylist(rows, schema=MODEL_EVENTS.schema.remove_metadata()))


def phases(found: Findings, record: pa.Table, rules: Rules = RULES) -> dict[str, str]:
    """Return where each family stands at the end of a day: ok, suspect, retrain_requested, shadow or cooldown."""
    champions, events = champions_on(found, record), _events(record)
    suspected: dict[str, Suspicion] = {
        one.family: one for one in suspicions(found.drift, found.trust, found.families, champions, found.day, rules)
    }
    return {
        family: phase_of(standing(events, family, found.day, champion, rules), suspected.get(family))
        for family, champion in champions.items()
    }


def champions_on(found: Findings, record: pa.Table) -> dict[str, date]:
    """Return the last day that the model of each family had learned from which made the forecasts of a day."""
    return {family: champion_of(family, found.day, record) for family in sorted(set(found.families.values()))}


def champion_of(family: str, origin: date, record: pa.Table) -> date:
    """Return the last day that the model in force at an origin has learned from."""
    from pulse_assets.forecasting.families import day_before

    return day_before(refit_end(family, origin, promotions_in_force(record)))


def waiting_requests(record: pa.Table, day: date, rules: Rules = RULES) -> dict[str, date]:
    """Return the families whose training was asked for and has not come by a day, and when it was asked for."""
    events = _events(record)
    found: dict[str, Standing] = {
        family: standing(events, family, day, champion_of(family, day, record), rules)
        for family in sorted({one.family for one in events})
    }
    return {family: now.since for family, now in found.items() if now.phase == "retrain_requested" and now.since}


def _trust(snapshot: Snapshot, day: date, rules: Rules) -> pa.Table:
    first = _weekdays_back(day, rules.origins + rules.memory - 2)
    reference = _weekdays_back(day, rules.reference)
    days = between(first, day) | (pc.field("as_of") == pa.scalar(reference))
    columns = ["as_of", "unique_id", "bucket", "trust"]
    return snapshot.read(TRUST, columns=columns, where=days & (pc.field("model") == LEARNS))


def _served(snapshot: Snapshot, day: date, families: Mapping[str, str]) -> dict[str, float]:
    today = pc.field("serve") & (pc.field("as_of") == pa.scalar(day))
    rows = snapshot.read(LICENCES, columns=["unique_id", "model"], where=today)
    counts: dict[str, int] = {}
    for name, model in zip(rows["unique_id"].to_pylist(), rows["model"].to_pylist(), strict=True):
        if model == LEARNS and name in families:
            counts[families[name]] = counts.get(families[name], 0) + 1
    return {family: count / len(rows) for family, count in counts.items()}


def _trained(snapshot: Snapshot, day: date) -> dict[str, date]:
    rows = snapshot.read(MODELS, columns=["family", "trained_on"], where=pc.field("trained_on") <= pa.scalar(day))
    newest = rows.group_by("family").aggregate([("trained_on", "max")])
    return dict(zip(newest["family"].to_pylist(), newest["trained_on_max"].to_pylist(), strict=True))


def _verdicts(
    found: Findings, events: Sequence[Event], champions: Mapping[str, date], rules: Rules
) -> dict[str, Verdict]:
    verdicts = {}
    for family, champion in champions.items():
        now = standing(events, family, found.day, champion, rules)
        if now.phase != SHADOW:
            continue
        ours = (pc.field("family") == family) & (pc.field("challenger") == pa.scalar(now.challenger, pa.date32()))
        since = pc.field("as_of") > pa.scalar(now.since, pa.date32())
        verdicts[family] = decide(found.shadow.filter(ours & since))
    return verdicts


def _events(record: pa.Table) -> list[Event]:
    return [Event(**row) for row in record.select(list(Event._fields)).to_pylist()]


def _row(day: date, step: Step, champion: date, run_id: str, now: datetime) -> dict[str, object]:
    return {
        "as_of": day,
        "family": step.family,
        "event": step.event,
        "trained_on": step.trained_on,
        "replaces": champion,
        "reasons": " ".join(step.reasons),
        "evidence": json.dumps(step.evidence, sort_keys=True),
        "run_id": run_id,
        "recorded_at": now,
    }


def _weekdays_back(day: date, count: int) -> date:
    return np.busday_offset(np.datetime64(day, "D"), -count, roll="backward").astype(object)  # type: ignore[no-any-return]
