"""``pulse explain`` says why, with the numbers, and finds out what does not follow from what."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from jobs.explain import explain
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.chain_days import chain_rows
from pulse_assets.trust.evidence_tables import LICENCE_CHAIN
from pulse_assets.trust.licensing.gates import REASONS
from pulse_assets.trust.licensing.policy import Policy
from pulse_assets.trust.licensing.words import change, numbers
from pulse_assets.trust.tables import LICENCES
from pulse_resources.errors import ConfigError, TableMissingError
from pulse_resources.lake import Lake
from tests.assets.trust.licensed_world import DAYS, World, licensed, new_lake, put
from tests.assets.trust.licensing.evidence_rows import licences, with_column

LAST = DAYS[-1]
WORLD = World(
    series=("t:aaa", "t:bbb"),
    trust={
        ("t:aaa", "pulse"): {"trust": 0.41, "skill": -0.03, "targets": 88},
        ("t:bbb", "seasonal_naive"): {"targets": 12, "coverage_80_q": None},
    },
    drift={("t:bbb", "pulse"): {"state": "alarm", "alarm_on": DAYS[4], "p_value": 0.001, "q_value": 0.002}},
    quality={"t:bbb": {"flags": "DQ_GAPS", "quality": 0.62, "missing_share": 0.31}},
)


def known(name: str) -> pa.Table:
    """Return one value of a series."""
    ds = pd.to_datetime(DAYS[:1], utc=True)
    frame = pd.DataFrame({"as_of": DAYS[:1], "unique_id": name, "ds": ds, "y": 1.0, "known_at": ds})
    texts = {"kind": "rate", "unit": "percent", "freq": "B", "calendar": "weekday", "source": "t", "flags": ""}
    return SERIES.cast(pa.Table.from_pandas(frame.assign(**texts), preserve_index=False))


def decide(lake: Lake, thresholds: Mapping[str, float] | None = None, vouched: Policy | None = None) -> Lake:
    """Write licences and their links."""
    put(lake, LICENCES, licensed(lake, [DAYS], thresholds))
    rows = chain_rows(lake.snapshot(), DAYS, vouched or Policy.of(thresholds or {}), "run of the chain")
    lake.append(LICENCE_CHAIN, rows, app_id="chain", app_version=1)
    return lake


def new_world(folder: Path) -> Lake:
    lake = WORLD.write(new_lake(folder))
    put(lake, SERIES, pa.concat_tables([known(name) for name in WORLD.series]))
    return lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return decide(new_world(tmp_path_factory.mktemp("explained")))


def test_it_says_why_with_the_numbers_and_what_would_have_to_change(lake: Lake) -> None:
    said = explain(lake, "aaa", None)
    assert said.startswith(f"t:aaa as of {LAST}\n")
    assert "seasonal_naive, 1 steps ahead: licensed, tier B  <- take this one\n" in said
    assert "naive, 2-5 steps ahead: licensed, tier C\n" in said
    assert (
        "pulse, 1 steps ahead: held\n"
        f"  SKILL_NEG: {REASONS['SKILL_NEG']}: the chance that it beats naive over its next 30 truths is 0.41; "
        "skill -0.03 over 88 truths; calibrated on 500 earlier outcomes\n"
        "    needs a chance of 0.5 for C, 0.7 for B, 0.9 for A\n"
    ) in said


def test_it_names_what_is_unknown_and_what_is_lacking(lake: Lake) -> None:
    said = explain(lake, "bbb", LAST)
    assert f"UNPROVEN: {REASONS['UNPROVEN']}: 12 scored truths; unknown: coverage_80_q\n" in said
    assert "    needs 18 more scored truths and a known coverage_80_q\n" in said
    assert f"  pulse, model_drift: alarm since {DAYS[4]} over 300 truths, p 0.001, q 0.00\n" in said
    assert "Data quality 0.62: DQ_GAPS\n" in said
    assert "31% missing" in said


def test_it_says_how_sure_each_row_is_and_by_which_method(lake: Lake) -> None:
    said = explain(lake, "aaa", LAST)
    assert "  pulse, h 1: -1.28155 to 1.28155 around 0 (aci, 90 truths; pulse-2-abc123 B rate 2024-03-31)\n" in said


def test_it_names_versions_runs_and_models(lake: Lake) -> None:
    said = explain(lake, "aaa", LAST)
    for name in ("gold/calibrated", "gold/trust", "ops/data_quality", "ops/drift"):
        assert f"  {name} version 1, written by run run of {name}\n" in said
    assert "  gold/licences version 1, written by run run of gold/licences\n" in said
    assert "  gold/forecasts version 0, no longer in its log\n" in said
    assert "  pulse: model version pulse-2-abc123 B rate 2024-03-31, last learned 75 days before\n" in said


def test_it_makes_the_decisions_again_and_asks_the_chain(lake: Lake) -> None:
    assert explain(lake, "aaa", LAST).endswith(
        "Audit: every decision of the day adds up again from its row; the chain vouches for the day "
        f"(link {len(DAYS) - 1} of {len(DAYS)}, run run of the chain)."
    )


@pytest.mark.parametrize(("day", "so_far"), [(DAYS[0], 1), (DAYS[3], 4), (DAYS[5], 6)])
def test_it_counts_origins_at_which_a_rank_was_earned(lake: Lake, day: object, so_far: int) -> None:
    said = explain(lake, "aaa", day)  # type: ignore[arg-type]
    assert f"    must earn more at seven origins in a row, {so_far} so far\n" in said
    assert "HYSTERESIS: it earned this rank, but not at seven origins in a row yet: tier B today, at worst held" in said


def test_it_finds_out_who_changed_a_decision(tmp_path: Path) -> None:
    lake = decide(new_world(tmp_path))
    rows = lake.read(LICENCES)
    put(lake, LICENCES, with_column(rows, "reasons", [""] * len(rows)))
    said = explain(lake, "aaa", LAST)
    assert "DOES NOT ADD UP: reasons of " in said
    assert "THE CHAIN DOES NOT HOLD: " in said
    assert f"licences of {LAST} were changed after they were hashed: " in said


def test_it_finds_a_chain_that_names_other_thresholds(tmp_path: Path) -> None:
    said = explain(decide(new_world(tmp_path), {"tier_a": 0.94}, Policy()), "aaa", LAST)
    assert f"decided by other thresholds than those in link {len(DAYS) - 1}" in said
    assert "the chain vouches for the day" in said


def test_it_goes_by_the_thresholds_in_the_chain(tmp_path: Path) -> None:
    said = explain(decide(new_world(tmp_path), {"min_targets": 89}), "aaa", LAST)
    assert (
        "UNPROVEN: there is too little evidence to judge it: 88 scored truths\n    needs 1 more scored truths\n" in said
    )
    assert "every decision of the day adds up again" in said


def test_without_a_chain_it_says_that_nothing_vouches(tmp_path: Path) -> None:
    lake = new_world(tmp_path)
    put(lake, LICENCES, licensed(lake, [DAYS]))
    assert explain(lake, "aaa", LAST).endswith(
        "every decision of the day adds up again from its row; "
        f"THE CHAIN DOES NOT HOLD: no link of the chain vouches for the licences of {LAST}."
    )


def test_what_it_knows_nothing_about_is_refused(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="t:aaa, t:bbb"):
        explain(lake, "t:", LAST)
    with pytest.raises(ConfigError, match="the day was not computed"):
        explain(lake, "aaa", DAYS[0].replace(day=29))
    with pytest.raises(TableMissingError):
        explain(new_lake(tmp_path), "aaa", None)


@pytest.mark.parametrize("code", REASONS)
def test_every_reason_has_numbers_and_a_way_out(code: str) -> None:
    gone = dict.fromkeys(("trust", "coverage_80", "coverage_80_q", "quality"), float("nan"))
    for row in licences({}, {**gone, "targets": 1.0, "traced": False, "drift": None}).to_pylist():
        assert isinstance(numbers(code, row, None, Policy()), str)
        assert len(change(code, row, 1, Policy())) > 10
