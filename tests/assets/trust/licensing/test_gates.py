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
    Evidence,
    decide,
    gate_hits,
    ranks,
)
from pulse_assets.trust.licensing.policy import Policy

POLICY = Policy()
CLEAN = {
    "unique_id": "a",
    "model": "pulse",
    "bucket": "1",
    "targets": 90.0,
    "skill": 0.2,
    "trust": 0.99,
    "coverage_80": 0.8,
    "coverage_80_q": 0.9,
    "quality": 1.0,
    "quality_flags": "",
    "forecast_flags": "",
    "drift": "none",
    "model_age_days": 10.0,
    "traced": True,
    "floor": TIER_A,
}
TEXTS = ("unique_id", "model", "bucket", "quality_flags", "forecast_flags", "drift")


def evidence(*rows: dict[str, object]) -> Evidence:
    full = [CLEAN | row for row in rows]
    columns = {
        name: np.array([row[name] for row in full], object if name in TEXTS else bool if name == "traced" else float)
        for name in CLEAN
    }
    return Evidence(**columns | {"floor": columns["floor"].astype(np.int64)})  # type: ignore[arg-type]


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
    assert one(model="naive", trust=np.nan, skill=np.nan).tier[0] == "C"
    assert one(trust=0.5, skill=0.0).tier[0] == "C"


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
    "targets": st.floats(0, 89),
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


def test_no_rows_give_no_decisions() -> None:
    made = decide(evidence(*[]), POLICY)
    assert len(made.state) == 0
