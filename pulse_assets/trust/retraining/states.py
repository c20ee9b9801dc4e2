"""The life of a family's models: suspected, asked for, in the shadow, promoted or rejected, left in peace. Pure.

``ok → suspect → retrain_requested → shadow → promoted | rejected → cooldown → ok``. What was recorded is the state:
there is no other memory, so what is asked twice is answered alike. A day's steps are added to the record by whoever
calls; a family whose record already goes beyond the day gets none.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from math import isnan
from typing import NamedTuple

from pulse_assets.trust.retraining.promotion import KEEP, PROMOTE, SUPERSEDED, Verdict
from pulse_assets.trust.retraining.promotions import PROMOTED, ROLLED_BACK
from pulse_assets.trust.retraining.trigger import RULES, Rules, Suspicion

REQUESTED, SHADOW, REJECTED = "retrain_requested", "shadow", "rejected"
OK, SUSPECT, COOLDOWN = "ok", "suspect", "cooldown"
LIFE = (REQUESTED, SHADOW, REJECTED, PROMOTED, ROLLED_BACK)
"""Events in the order in which they may follow each other on one day."""
TRAINED = "TRAINED"


class Event(NamedTuple):
    """One row of ``ops/model_events``, as far as it is state."""

    as_of: date
    family: str
    event: str
    trained_on: date | None


class Standing(NamedTuple):
    """Where a family stands on a day, since when, and what its challenger has learned up to, if it has one."""

    phase: str
    since: date | None
    challenger: date | None


class Step(NamedTuple):
    """An event to be recorded."""

    family: str
    event: str
    trained_on: date | None
    reasons: tuple[str, ...]
    evidence: Mapping[str, object]


def standing(events: Sequence[Event], family: str, day: date, champion: date, rules: Rules = RULES) -> Standing:
    """Return where a family stands at the end of a day, before it is asked whether it is suspected.

    Parameters
    ----------
    events
        In any order, of any family; those after the day do not count.
    champion
        Last day that the model in force has learned from. A training that was asked for before that is no longer
        waited for: the refit of the quarter has come first.

    Examples
    --------
    >>> events = [Event(date(2024, 5, 6), "B price", "retrain_requested", None)]
    >>> standing(events, "B price", date(2024, 5, 7), date(2024, 3, 31)).phase
    'retrain_requested'
    >>> standing(events, "B price", date(2024, 6, 7), date(2024, 3, 31)).phase
    'ok'
    """
    ours = [one for one in events if one.family == family and one.as_of <= day and one.event in LIFE]
    if not ours:
        return Standing(OK, None, None)
    newest = max(ours, key=lambda one: (one.as_of, LIFE.index(one.event)))
    age = (day - newest.as_of).days
    if newest.event == REQUESTED:
        waits = age <= rules.waiting_days and champion < newest.as_of
        return Standing(REQUESTED if waits else OK, newest.as_of, None)
    if newest.event == SHADOW:
        return Standing(SHADOW, newest.as_of, newest.trained_on)
    return Standing(COOLDOWN if age < rules.cool_down_days else OK, newest.as_of, None)


def steps(
    day: date,
    suspected: Sequence[Suspicion],
    champions: Mapping[str, date],
    events: Sequence[Event],
    trained: Mapping[str, date],
    verdicts: Mapping[str, Verdict],
    served: Mapping[str, float],
    rules: Rules = RULES,
) -> list[Step]:
    """Return what is to be recorded of a day; nothing that was recorded already.

    Parameters
    ----------
    day
        Day of the evidence.
    suspected
        What speaks against each family.
    champions
        Last day that the model of each family in force has learned from.
    events
        The record so far.
    trained
        Newest day that a training of each family has learned up to, not later than the day; families without are
        absent.
    verdicts
        What the shadow scores say of each family's challenger.
    served
        Share of all published rows that are forecasts of each family: what a better model would be good for.
    rules
        Budget, cool-down and patience.
    """
    beyond = {one.family for one in events if one.as_of > day}
    found, waiting = [], []
    for one in suspected:
        if one.family in beyond:
            continue
        champion = champions[one.family]
        now = standing(events, one.family, day, champion, rules)
        if now.phase == OK and one.reasons:
            waiting.append(one)
        elif now.phase == REQUESTED:
            found += _begun(one.family, now, champion, trained)
        elif now.phase == SHADOW:
            found += _decided(one.family, now, champion, verdicts)
    spent = sum(one.event == REQUESTED and one.as_of == day for one in events)
    ranked = sorted(waiting, key=lambda one: (-served.get(one.family, 0.0) * one.strength, one.family))
    found += [_asked(one, served) for one in ranked[: max(rules.requests_a_day - spent, 0)]]
    return sorted(found, key=lambda step: step.family)


def phase_of(now: Standing, suspicion: Suspicion | None) -> str:
    """Return the phase with the suspicion in it: who is suspected and only waits for the budget is ``suspect``."""
    return SUSPECT if now.phase == OK and suspicion is not None and suspicion.reasons else now.phase


def refit_is_due(now: Standing, champion: date) -> bool:
    """Return whether a challenger's time is over: the model in force has learned at least as much."""
    return now.challenger is not None and champion >= now.challenger


def _begun(family: str, now: Standing, champion: date, trained: Mapping[str, date]) -> list[Step]:
    learned = trained.get(family)
    if learned is None or now.since is None or learned < now.since or learned <= champion:
        return []
    waited = {"requested_on": str(now.since)}
    return [Step(family, SHADOW, learned, (TRAINED,), waited)]


def _decided(family: str, now: Standing, champion: date, verdicts: Mapping[str, Verdict]) -> list[Step]:
    verdict = verdicts.get(family)
    if refit_is_due(now, champion):
        return [Step(family, REJECTED, now.challenger, (SUPERSEDED,), verdict.evidence if verdict else {})]
    if verdict is None or verdict.outcome == KEEP:
        return []
    event = PROMOTED if verdict.outcome == PROMOTE else REJECTED
    return [Step(family, event, now.challenger, verdict.reasons, verdict.evidence)]


def _asked(one: Suspicion, served: Mapping[str, float]) -> Step:
    numbers: dict[str, object] = {
        "drifted": _rounded(one.drifted),
        "distrusted": _rounded(one.distrusted),
        "age_days": one.age_days,
        "served": _rounded(served.get(one.family, 0.0)),
    }
    return Step(one.family, REQUESTED, None, one.reasons, numbers)


def _rounded(value: float) -> float | None:
    return None if isnan(value) else round(value, 4)
