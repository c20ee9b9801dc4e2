"""Decisions are made again from what was written down, and from nothing else."""

import pyarrow as pa
import pytest

from pulse_assets.trust.licensing.audit import Decision, decision_problems, recompute
from pulse_assets.trust.licensing.gates import HELD
from pulse_assets.trust.licensing.policy import Policy
from pulse_assets.trust.tables import LICENCES
from tests.assets.trust.licensing.evidence_rows import DAY, NAIVE, licences, with_column

POLICY = Policy()
WORLD = (
    {},
    NAIVE,
    {"model": "seasonal_naive", "trust": 0.4},
    {"bucket": "2-5", "trust": 0.1},
    {"bucket": "2-5"} | NAIVE,
    {"unique_id": "b", "quality_flags": "DQ_STALE"},
    {"unique_id": "b", "quality_flags": "DQ_STALE"} | NAIVE,
    {"unique_id": "c", "floor": HELD},
    {"unique_id": "c", "targets": 0.0} | NAIVE,
    {"unique_id": "d", "traced": False, "drift": None, "quality": float("nan")},
    {"unique_id": "d", "targets": 12.0} | NAIVE,
    {"unique_id": "d", "model": "seasonal_naive"},
)


def test_every_decision_can_be_made_again_from_its_row_alone() -> None:
    rows = licences(*WORLD).to_pylist()
    assert {row["state"] for row in rows} == {"licensed", "held", "fallback", "rejected", "scored"}
    for row in rows:
        assert recompute(row, POLICY) == Decision(row["state"], row["tier"], row["earned"], row["reasons"])


def test_a_day_adds_up_whatever_the_order_of_its_rows() -> None:
    rows = licences(*WORLD)
    assert decision_problems(rows, POLICY) == []
    assert decision_problems(rows.take(list(range(len(rows)))[::-1]), POLICY) == []
    assert decision_problems(LICENCES.empty(), POLICY) == []


def test_days_are_judged_apart() -> None:
    other = licences(*WORLD, day=DAY.replace(day=4))
    assert decision_problems(pa.concat_tables([licences(*WORLD), other]), POLICY) == []


@pytest.mark.parametrize(
    ("name", "value"), [("state", "licensed"), ("tier", "A"), ("earned", 4), ("reasons", ""), ("serve", True)]
)
def test_a_decision_that_does_not_follow_is_named(name: str, value: object) -> None:
    rows = licences(*WORLD)
    forged = with_column(rows, name, [value if place == 3 else one for place, one in enumerate(rows[name].to_pylist())])
    problems = decision_problems(forged, POLICY)
    assert problems[0].startswith(f"{name} of 1 rows does not follow from their evidence; the first, a pulse 2-5, says")


def test_other_thresholds_lead_to_other_decisions() -> None:
    assert decision_problems(licences(*WORLD), Policy.of({"min_targets": 91}))


def test_two_rows_of_a_series_that_are_both_served_do_not_add_up() -> None:
    rows = licences({}, NAIVE)
    forged = with_column(rows, "serve", [True, True])
    assert decision_problems(forged, POLICY)[0].startswith("serve of 1 rows")
