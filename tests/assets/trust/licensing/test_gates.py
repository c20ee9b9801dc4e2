"""The gates: every hit is recorded, missing evidence never passes, worse evidence never earns more."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.trust.licensing.gates import (
    DRIFTS,
    HELD,
    REASONS,
    REJECTING,
    TIER_A,
    TIER_C,
    decide,
    gate_hits,
    ranks,
)
from pulse_assets.trust.licensing.policy import Policy
from tests.assets.trust.licensing.evidence_rows import CLEAN, NAIVE, evidence
from tests.assets.trust.licensing.plain_gates import plain

POLICY = Policy()


def one(**changes: object):  # noqa: ANN201
    return decide(evidence(changes), POLICY)


def test_clean_evidence_is_licensed_in_tier_a_without_reasons() -> None:
    made = one()
    assert (made.state[0], made.tier[0], made.reasons[0], made.serve[0]) == ("licensed", "A", "", True)


@pytest.mark.parametrize(("trust", "tier"), [(0.9, "A"), (0.89, "B"), (0.7, "B"), (0.69, "C"), (0.5, "C")])
def test_tiers_begin_at_their_thresholds(trust: float, tier: str) -> None:
    assert one(trust=trust).tier[0] == tier


@pytest.mark.parametrize(
    ("changes", "reason", "state"),
    [
        ({"quality_flags": "DQ_EMPTY"}, "DQ_EMPTY", "rejected"),
        ({"quality_flags": "DQ_STALE DQ_GAPS"}, "DQ_STALE", "rejected"),
        ({"quality_flags": "DQ_SHORT"}, "DQ_SHORT", "rejected"),
        ({"quality_flags": "DQ_DUP"}, "DQ_DUP", "rejected"),
        ({"quality_flags": "DQ_UNIT_JUMP"}, "DQ_UNIT_JUMP", "rejected"),
        ({"forecast_flags": "QUANTILE_CROSS"}, "QUANTILE_CROSS", "rejected"),
        ({"forecast_flags": "NONFINITE"}, "NONFINITE", "rejected"),
        ({"targets": 29.0}, "UNPROVEN", "scored"),
        ({"targets": 0.0}, "UNPROVEN", "draft"),
        ({"trust": np.nan}, "UNPROVEN", "held"),
        ({"coverage_80": np.nan}, "UNPROVEN", "held"),
        ({"coverage_80_q": np.nan}, "UNPROVEN", "held"),
        ({"quality": np.nan}, "UNPROVEN", "held"),
        ({"drift": None}, "UNPROVEN", "held"),
        ({"drift": "alarm"}, "DRIFT_ALARM", "held"),
        ({"coverage_80": 0.7, "coverage_80_q": 0.01}, "COV_LOW", "held"),
        ({"coverage_80": 0.9, "coverage_80_q": 0.01}, "COV_HIGH", "held"),
        ({"trust": 0.49}, "SKILL_NEG", "held"),
        ({"quality_flags": "REVISION_HIGH"}, "REVISION_HIGH", "held"),
        ({"model_age_days": 201.0}, "MODEL_STALE", "held"),
        ({"traced": False}, "LINEAGE_MISSING", "held"),
        ({"model_age_days": np.nan}, "LINEAGE_MISSING", "held"),
        ({"model_age_days": -1.0}, "LINEAGE_MISSING", "held"),
    ],
)
def test_every_gate_has_its_reason_and_state(changes: dict[str, object], reason: str, state: str) -> None:
    made = one(**changes)
    assert reason in made.reasons[0].split()
    assert (made.state[0], made.tier[0], made.serve[0]) == (state, None, False)


def test_coverage_that_is_off_by_chance_does_not_count() -> None:
    assert one(coverage_80=0.7, coverage_80_q=0.2).state[0] == "licensed"


def test_all_hits_are_recorded_in_the_order_of_the_gates() -> None:
    reasons = one(quality_flags="DQ_UNIT_JUMP DQ_STALE", drift="alarm", trust=0.1).reasons[0]
    assert reasons == "DQ_STALE DQ_UNIT_JUMP DRIFT_ALARM SKILL_NEG"


def test_a_rank_must_have_been_earned_at_the_origins_before() -> None:
    made = one(floor=TIER_C)
    assert (made.tier[0], made.reasons[0], made.earned[0]) == ("C", "HYSTERESIS", TIER_A)
    assert one(floor=HELD).state[0] == "held"
    assert one(floor=0).state[0] == "held"


def test_down_is_immediate() -> None:
    assert one(trust=0.6, floor=TIER_A).tier[0] == "C"


def test_naive_and_a_clone_of_it_are_never_above_c() -> None:
    assert one(**NAIVE).tier[0] == "C"
    assert one(trust=0.5, skill=0.0).tier[0] == "C"
    assert one(trust=0.98, skill=0.0).tier[0] == "C", "its panel is trusted, it did not beat naive itself"


@pytest.mark.parametrize("trust", [0.5, 0.98])
def test_naive_wins_ties_with_a_clone(trust: float) -> None:
    rows = [NAIVE, {"trust": trust, "skill": 0.0}]
    served = decide(evidence(*rows), POLICY).serve.tolist()
    assert served == ([True, False] if trust == 0.5 else [False, True])


def test_models_that_learn_nothing_need_no_age() -> None:
    assert one(model="seasonal_naive", model_age_days=np.nan).state[0] == "licensed"


NONSENSE = [np.nan, np.inf, -np.inf, -0.1, 1.1, 1e300]


@pytest.mark.parametrize("name", ["trust", "coverage_80", "coverage_80_q", "quality"])
@pytest.mark.parametrize("value", NONSENSE)
def test_what_cannot_be_a_share_is_unproven_and_never_a_pass(name: str, value: float) -> None:
    made = one(**{name: value})
    assert made.state[0] == "held"
    assert "UNPROVEN" in made.reasons[0].split()


ACCIDENTS = {
    "zeros": {"skill": np.nan, "trust": np.nan, "coverage_80": 1.0, "coverage_80_q": 0.0},
    "three observations": {"targets": 2.0, "coverage_80": 1.0, "coverage_80_q": np.nan, "quality_flags": "DQ_SHORT"},
    "nothing known": dict.fromkeys(("skill", "trust", "coverage_80", "coverage_80_q", "quality"), np.nan)
    | {"drift": None, "targets": 0.0},
    "crossing": {"forecast_flags": "QUANTILE_CROSS"},
    "infinite": {"forecast_flags": "NONFINITE", "skill": -np.inf, "trust": np.inf},
    "infinite numbers": {"targets": np.inf, "skill": np.inf, "trust": np.inf, "quality": np.inf},
    "a state of drift that is not known": {"drift": "perhaps"},
}


@pytest.mark.parametrize("accident", ACCIDENTS)
@pytest.mark.parametrize("model", ["pulse", "naive", "seasonal_naive"])
def test_nothing_is_licensed_by_accident(accident: str, model: str) -> None:
    changes = CLEAN | (NAIVE if model == "naive" else {}) | ACCIDENTS[accident] | {"model": model}
    made = one(**changes)
    assert made.state[0] != "licensed"
    assert made.tier[0] is None
    assert made.reasons[0]


def test_naive_is_the_fallback_where_nothing_is_licensed_and_carries_its_reason() -> None:
    made = decide(evidence({"trust": 0.1}, {"model": "naive", "trust": np.nan, "targets": 5.0}), POLICY)
    assert made.state.tolist() == ["held", "fallback"]
    assert made.serve.tolist() == [False, True]
    assert made.reasons[1] == "UNPROVEN"


def test_a_rejected_naive_is_no_fallback() -> None:
    made = decide(evidence({"model": "naive", "trust": np.nan, "quality_flags": "DQ_STALE"}), POLICY)
    assert (made.state[0], made.serve[0]) == ("rejected", False)


def test_one_row_of_each_series_and_bucket_is_served_the_best_one() -> None:
    made = decide(
        evidence(
            {"model": "naive", "trust": np.nan},
            {"trust": 0.75},
            {"model": "other", "trust": 0.95},
            {"model": "other", "trust": 0.6, "bucket": "2-5"},
            {"unique_id": "b"},
        ),
        POLICY,
    )
    assert made.serve.tolist() == [False, False, True, True, True]


WORSE = {
    "targets": st.one_of(st.floats(0, 89), st.just(np.nan)),
    "skill": st.one_of(st.floats(-5, 0.2), st.just(np.nan), st.just(-np.inf)),
    "trust": st.one_of(st.floats(0, 0.98), st.just(np.nan)),
    "coverage_80_q": st.just(np.nan),
    "coverage_80": st.just(np.nan),
    "quality": st.just(np.nan),
    "quality_flags": st.sampled_from(["DQ_EMPTY", "DQ_STALE", "DQ_SHORT", "DQ_DUP", "DQ_UNIT_JUMP", "REVISION_HIGH"]),
    "forecast_flags": st.sampled_from(["NONFINITE", "QUANTILE_CROSS", "NONFINITE QUANTILE_CROSS"]),
    "drift": st.sampled_from(["alarm", None]),
    "model_age_days": st.floats(10, 1e4),
    "traced": st.just(False),
    "floor": st.integers(0, TIER_A),
}


@st.composite
def worsened(draw: st.DrawFn) -> tuple[dict[str, object], dict[str, object]]:
    """Some evidence, and the same with one thing worse."""
    before: dict[str, object] = {
        "targets": draw(st.floats(0, 90)),
        "trust": draw(st.floats(0, 1)),
        "skill": draw(st.floats(-1, 1)),
        "coverage_80": draw(st.floats(0.6, 1)),
        "coverage_80_q": draw(st.floats(0, 1)),
        "drift": draw(st.sampled_from(DRIFTS)),
        "model_age_days": draw(st.floats(0, 400)),
        "floor": draw(st.integers(0, TIER_A)),
        "model": draw(st.sampled_from(["pulse", "naive"])),
    }
    name = draw(st.sampled_from(sorted(WORSE)))
    value = draw(WORSE[name])
    held = before.get(name, CLEAN[name])
    if isinstance(held, float) and isinstance(value, float) and not np.isnan(value):
        value = max(held, value) if name == "model_age_days" else min(held, value)
    if name == "floor":
        value = min(int(held), int(value))  # type: ignore[call-overload]
    return before, before | {name: value}


@given(worsened())
def test_worse_evidence_never_earns_a_higher_rank(pair: tuple[dict[str, object], dict[str, object]]) -> None:
    order = ["rejected", "draft", "scored", "held", "fallback", "C", "B", "A"]
    standing = []
    for row in pair:
        made = decide(evidence(row), POLICY)
        standing.append(order.index(made.tier[0] or made.state[0]))
    licensed = [place >= order.index("C") for place in standing]
    assert licensed[1] <= licensed[0]
    if licensed[1]:
        assert standing[1] <= standing[0]


@given(st.lists(worsened().map(lambda pair: pair[1]), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: list[dict[str, object]], random) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    named = [row | {"model": f"m{number}", "unique_id": f"s{number % 3}"} for number, row in enumerate(rows)]
    shuffled = list(range(len(named)))
    random.shuffle(shuffled)
    made, other = decide(evidence(*named), POLICY), decide(evidence(*(named[place] for place in shuffled)), POLICY)
    for name in ("state", "tier", "serve", "reasons"):
        assert getattr(made, name)[shuffled].tolist() == getattr(other, name).tolist()


NUMBERS = st.sampled_from([0.0, -0.0, 0.3, 0.5, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0, np.nan, np.inf, -np.inf])
FLAGS = st.lists(st.sampled_from(["DQ_STALE", "DQ_GAPS", "DQ_UNIT_JUMP", "REVISION_HIGH"]), unique=True).map(" ".join)


@st.composite
def anything(draw: st.DrawFn) -> dict[str, object]:
    """A row that may hold what no honest table does; clean in most columns, so that it gets far."""
    drawn = {
        "model": st.sampled_from(["naive", "pulse", "seasonal_naive", "clone"]),
        "unique_id": st.sampled_from(["a", "b"]),
        "bucket": st.sampled_from(["1", "2-5"]),
        "targets": st.sampled_from([0.0, 5.0, 29.0, 30.0, 90.0, np.nan]),
        **dict.fromkeys(("skill", "trust", "coverage_80", "coverage_80_q", "quality"), NUMBERS),
        "quality_flags": FLAGS,
        "forecast_flags": st.sampled_from(["", "NONFINITE", "NONFINITE QUANTILE_CROSS"]),
        "drift": st.sampled_from([*DRIFTS, None]),
        "model_age_days": st.sampled_from([0.0, 200.0, 201.0, np.nan]),
        "traced": st.booleans(),
        "floor": st.integers(0, TIER_A),
    }
    always = {"model", "unique_id", "bucket", "trust", "skill", "floor"}
    dirty = always | set(draw(st.lists(st.sampled_from(sorted(drawn)), max_size=3)))
    return CLEAN | {name: draw(drawn[name]) for name in sorted(dirty)}


@given(st.lists(anything(), min_size=1, max_size=9))
def test_the_gates_are_those_of_the_plain_ones(rows: list[dict[str, object]]) -> None:
    distinct = list({(row["unique_id"], row["model"], row["bucket"]): row for row in rows}.values())
    made = decide(evidence(*distinct), POLICY)
    columns = (made.state, made.tier, made.earned, made.reasons, made.serve)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == plain(distinct, POLICY)


@given(st.lists(anything(), min_size=1, max_size=9))
def test_one_row_at_most_is_served_and_one_wherever_anything_is_open(rows: list[dict[str, object]]) -> None:
    distinct = list({(row["unique_id"], row["model"], row["bucket"]): row for row in rows}.values())
    made = decide(evidence(*distinct), POLICY)
    for group in {(row["unique_id"], row["bucket"]) for row in distinct}:
        own = np.array([(row["unique_id"], row["bucket"]) == group for row in distinct])
        usable = np.isin(made.state[own].astype(str), ["licensed", "fallback"])
        assert made.serve[own].sum() == usable.any()
        assert set(made.state[own][made.serve[own]]) <= {"licensed", "fallback"}
        assert (made.state[own] == "fallback").sum() <= 1
        assert not ((made.state[own] == "fallback").any() and (made.state[own] == "licensed").any())


@given(st.lists(anything(), min_size=1, max_size=6))
def test_a_series_is_decided_on_its_own(rows: list[dict[str, object]]) -> None:
    distinct = list({(row["unique_id"], row["model"], row["bucket"]): row for row in rows}.values())
    whole = decide(evidence(*distinct), POLICY)
    for name in ("a", "b"):
        places = [place for place, row in enumerate(distinct) if row["unique_id"] == name]
        alone = decide(evidence(*(distinct[place] for place in places)), POLICY)
        for column in ("state", "tier", "serve", "earned", "reasons"):
            assert getattr(alone, column).tolist() == getattr(whole, column)[places].tolist()


@given(worsened())
def test_whatever_is_not_licensed_has_a_reason(pair: tuple[dict[str, object], dict[str, object]]) -> None:
    made = decide(evidence(pair[1]), POLICY)
    assert made.state[0] == "licensed" or made.reasons[0]
    assert set(made.reasons[0].split()) <= set(REASONS)


def test_rejecting_reasons_win_over_all_others() -> None:
    of = evidence({"quality_flags": "DQ_STALE", "targets": 0.0})
    assert ranks(of, gate_hits(of, POLICY), POLICY).tolist() == [0]
    assert set(REJECTING) < set(REASONS)


def test_an_unknown_threshold_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="tier_z"):
        Policy.of({"tier_z": 1.0})
    assert replace(POLICY, tier_a=0.95) == Policy.of({"tier_a": 0.95})


@pytest.mark.parametrize(
    "thresholds",
    [
        {"tier_a": np.nan},
        {"coverage_q": np.inf},
        {"tier_c": -0.1},
        {"tier_a": 1.5},
        {"min_targets": 0.0},
        {"tier_b": 0.95},
        {"tier_c": 0.7},
    ],
)
def test_thresholds_that_would_let_anything_through_are_refused(thresholds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Policy.of(thresholds)


def test_whole_numbers_are_the_same_thresholds() -> None:
    assert repr(Policy.of({"min_targets": 30}).as_dict()) == repr(POLICY.as_dict())


def test_no_rows_give_no_decisions() -> None:
    made = decide(evidence(*[]), POLICY)
    assert len(made.state) == 0
