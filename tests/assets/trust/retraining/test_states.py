"""The life of a family, told by its record alone: asked twice, answered alike; never stuck."""

from datetime import date, timedelta
from itertools import pairwise
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.trust.retraining.promotion import KEEP, PROMOTE, REJECT, SUPERSEDED, Verdict
from pulse_assets.trust.retraining.states import (
    COOLDOWN,
    OK,
    REJECTED,
    REQUESTED,
    SHADOW,
    SUSPECT,
    Event,
    Step,
    phase_of,
    standing,
    steps,
)
from pulse_assets.trust.retraining.trigger import RULES, Suspicion

FAMILY = "B price"
MONDAY, QUARTER = date(2024, 5, 6), date(2024, 3, 31)


def on(number: int) -> date:
    return MONDAY + timedelta(days=number)


def event(day: int, name: str, learned: int | None = None, family: str = FAMILY) -> Event:
    return Event(on(day), family, name, None if learned is None else on(learned))


def suspicion(*reasons: str, family: str = FAMILY, strength: float = 1.0) -> Suspicion:
    return Suspicion(family, reasons, strength, strength, nan, 40)


ALARM = suspicion("DRIFT_ALARM")


def step(
    day: int,
    *events: Event,
    suspected: tuple[Suspicion, ...] = (ALARM,),
    champion: date = QUARTER,
    trained: int | None = None,
    verdict: str | None = None,
    served: dict[str, float] | None = None,
) -> list[Step]:
    return steps(
        on(day),
        suspected,
        {one.family: champion for one in suspected},
        list(events),
        {} if trained is None else {FAMILY: on(trained)},
        {} if verdict is None else {FAMILY: Verdict(verdict, ("WHY",), {"days": 30})},
        served or {},
    )


def names(made: list[Step]) -> list[tuple[str, date | None]]:
    return [(one.event, one.trained_on) for one in made]


@pytest.mark.parametrize(
    ("events", "day", "expected"),
    [
        ((), 0, OK),
        ((event(0, REQUESTED),), 0, REQUESTED),
        ((event(0, REQUESTED),), RULES.waiting_days, REQUESTED),
        ((event(0, REQUESTED),), RULES.waiting_days + 1, OK),
        ((event(0, REQUESTED), event(0, SHADOW, 0)), 0, SHADOW),
        ((event(0, SHADOW, 0),), 300, SHADOW),
        ((event(0, SHADOW, 0), event(30, "promoted", 0)), 30, COOLDOWN),
        ((event(30, REJECTED, 0),), 59, COOLDOWN),
        ((event(30, REJECTED, 0),), 60, OK),
        ((event(0, "rolled_back", 0),), 29, COOLDOWN),
        ((event(5, REQUESTED),), 4, OK),
        ((event(0, REQUESTED, family="D price"),), 0, OK),
    ],
)
def test_the_record_says_where_a_family_stands(events: tuple[Event, ...], day: int, expected: str) -> None:
    assert standing(events, FAMILY, on(day), QUARTER).phase == expected
    assert standing(events[::-1], FAMILY, on(day), QUARTER).phase == expected


def test_a_request_is_no_longer_waited_for_once_the_refit_of_the_quarter_has_come() -> None:
    assert standing([event(0, REQUESTED)], FAMILY, on(1), on(0)).phase == OK


def test_a_suspected_family_is_asked_for_once() -> None:
    (made,) = step(0)
    assert (made.event, made.trained_on, made.reasons) == (REQUESTED, None, ("DRIFT_ALARM",))
    assert made.evidence == {"drifted": 1.0, "distrusted": None, "age_days": 40, "served": 0.0}
    assert step(0, event(0, REQUESTED)) == []
    assert step(1, event(0, REQUESTED)) == []
    assert step(0, suspected=(suspicion(),)) == []


def test_it_enters_the_shadow_when_a_training_has_come() -> None:
    asked = event(0, REQUESTED)
    assert names(step(2, asked, trained=2)) == [(SHADOW, on(2))]
    assert step(2, asked, trained=-1) == [], "an older training is not what was asked for"
    assert step(2, asked, event(2, SHADOW, 2), trained=2) == []


def test_a_challenger_is_promoted_rejected_or_kept_as_its_scores_say() -> None:
    shadow = event(0, SHADOW, 0)
    assert step(30, shadow) == []
    assert step(30, shadow, verdict=KEEP) == []
    (made,) = step(30, shadow, verdict=PROMOTE)
    assert made == Step(FAMILY, "promoted", on(0), ("WHY",), {"days": 30})
    assert names(step(30, shadow, verdict=REJECT)) == [(REJECTED, on(0))]


@pytest.mark.parametrize("verdict", [None, PROMOTE])
def test_a_challenger_that_knows_no_more_than_the_champion_is_rejected(verdict: str | None) -> None:
    """The refit of the quarter serves all families: after it there is nothing to promote."""
    (made,) = step(60, event(0, SHADOW, 0), champion=on(56), verdict=verdict)
    assert (made.event, made.reasons) == (REJECTED, (SUPERSEDED,))


def test_after_a_decision_a_family_is_left_in_peace_for_thirty_days_and_not_longer() -> None:
    decided = event(0, REJECTED, 0)
    assert step(29, decided) == []
    assert names(step(30, decided)) == [(REQUESTED, None)]


def test_the_budget_goes_to_those_whose_forecasts_are_read_most() -> None:
    families = ["B a", "B b", "B c", "B d"]
    suspected = tuple(suspicion("DRIFT_ALARM", family=family) for family in families)
    served = {"B c": 0.5, "B b": 0.3, "B a": 0.2}
    made = step(0, suspected=suspected, served=served)
    assert [one.family for one in made] == ["B b", "B c"]
    asked = [event(0, REQUESTED, family=one.family) for one in made]
    assert step(0, *asked, suspected=suspected, served=served) == [], "the same day twice asks for nothing more"
    assert [one.family for one in step(1, *asked, suspected=suspected, served=served)] == ["B a", "B d"]


def test_who_only_waits_for_the_budget_is_suspect() -> None:
    assert phase_of(standing([], FAMILY, MONDAY, QUARTER), ALARM) == SUSPECT
    assert phase_of(standing([], FAMILY, MONDAY, QUARTER), suspicion()) == OK
    assert phase_of(standing([event(0, REQUESTED)], FAMILY, MONDAY, QUARTER), ALARM) == REQUESTED
    assert phase_of(standing([], FAMILY, MONDAY, QUARTER), None) == OK


def test_a_record_that_goes_beyond_the_day_is_left_alone() -> None:
    assert step(0, event(3, REQUESTED)) == []
    assert names(step(0, event(3, REQUESTED, family="D price"))) == [(REQUESTED, None)]


LIVES = st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from([None, KEEP, PROMOTE, REJECT])), max_size=120)


@given(life=LIVES)
def test_whatever_happens_the_same_day_twice_adds_nothing_and_the_order_of_life_holds(
    life: list[tuple[bool, bool, str | None]],
) -> None:
    record: list[Event] = []
    for day, (alarms, trains, verdict) in enumerate(life):
        some = (ALARM if alarms else suspicion(),)
        trained = day if trains and record and record[-1].event == REQUESTED else None
        for _ in range(3):  # a training may begin its shadow on the day on which it was asked for
            made = step(day, *record, suspected=some, trained=trained, verdict=verdict)
            record += [Event(on(day), one.family, one.event, one.trained_on) for one in made]
        assert step(day, *record, suspected=some, trained=trained, verdict=verdict) == []
    keys = [(one.as_of, one.event) for one in record]
    assert len(set(keys)) == len(keys)
    follows = {REQUESTED: (REQUESTED, SHADOW), SHADOW: ("promoted", REJECTED), "promoted": (REQUESTED,),
               REJECTED: (REQUESTED,)}  # fmt: skip
    for before, after in pairwise(record):
        assert after.event in follows[before.event]
        if before.event in ("promoted", REJECTED):
            assert (after.as_of - before.as_of).days >= RULES.cool_down_days


@given(quiet=st.integers(0, 200))
def test_a_shift_is_answered_whenever_it_comes(quiet: int) -> None:
    """Nothing that went before can disarm the trigger for longer than a shadow or a cool-down."""
    record = [event(0, REQUESTED), event(0, SHADOW, 0), event(40, REJECTED, 0)]
    day = 40 + quiet
    asked = bool(step(day, *record))
    assert asked == (quiet >= RULES.cool_down_days)
