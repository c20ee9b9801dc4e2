"""Retrodiction through Dagster: whole rows whatever runs where, and checks that say what is wrong."""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from pulse_assets.simulation.checks import (
    above,
    exceedances,
    idle_and_constant_rules,
    retrodiction_matches_contract,
    var_exceedances_are_as_promised,
)
from pulse_assets.simulation.retrodiction.assets import retrodiction
from pulse_assets.simulation.tables import RETRODICTION, RULE_AUDIT, SIMULATION_RISK
from pulse_resources.compute import Compute
from pulse_resources.lake import Lake, TableContract
from pulse_resources.lake.io_manager import delta_io_manager
from pulse_resources.lake.partitions import Partitions, weekdays
from pulse_resources.lake.resource import DeltaLake
from tests.assets.simulation.small_lake import QUIET, SmallLake, past

FIRST, LAST = date(2020, 5, 20), date(2020, 6, 12)
SMALL = {"rules": "none", "paths": 200, "horizon": 5, "steps": [1, 5], "energy_members": 100}
CHECKS = (retrodiction_matches_contract, var_exceedances_are_as_promised)


def launch(
    store: Lake, first: date, last: date, compute: Compute | None = None, **config: object
) -> dg.ExecuteInProcessResult:
    """Retrodict a range of days as a job would."""
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [retrodiction, *CHECKS],
            instance=instance,
            resources={
                "lake": DeltaLake(root=store.root, durable=False),
                "lake_io": delta_io_manager([RETRODICTION]),
                "compute": compute or Compute(),
            },
            tags={"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)},
            run_config=QUIET | {"ops": {"gold__retrodiction": {"config": SMALL | config}}},
            raise_on_error=False,
        )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    """Return a lake with silver and a range retrodicted in one run."""
    small = SmallLake(tmp_path_factory.mktemp("prepared"))
    small.deliver(past())
    small.make_silver(LAST)
    return small


@pytest.fixture(scope="module")
def ranged(
    prepared: SmallLake, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SmallLake, dg.ExecuteInProcessResult]:
    small = prepared.twin(tmp_path_factory.mktemp("ranged") / "world")
    return small, launch(small.lake, FIRST, LAST)


@pytest.mark.slow
def test_a_range_is_one_run_with_a_report(ranged: tuple[SmallLake, dg.ExecuteInProcessResult]) -> None:
    """Every weekday has rows of all engines and both modes, and the last one the report of all."""
    small, result = ranged
    assert result.success
    rows = small.lake.read(RETRODICTION)
    assert set(rows["as_of"].to_pylist()) == set(weekdays(FIRST, LAST))
    assert set(zip(rows["engine"].to_pylist(), rows["mode"].to_pylist(), strict=True)) == {
        ("pulse", "strict"),
        *((name, "seed_then_free") for name in ("pulse", "random_walk", "historical_bootstrap", "garch_fhs")),
    }
    events = {event.partition: event for event in result.asset_materializations_for_node("gold__retrodiction")}
    assert "random_walk" in events[str(LAST)].metadata["report"].value
    assert "report" not in events[str(FIRST)].metadata
    checks = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert checks["matches_contract"].passed
    assert checks["var_exceedances_are_as_promised"].severity == dg.AssetCheckSeverity.WARN


@pytest.mark.slow
def test_rows_do_not_depend_on_where_months_run_or_how_the_range_is_cut(
    prepared: SmallLake, ranged: tuple[SmallLake, dg.ExecuteInProcessResult], tmp_path: Path
) -> None:
    small = prepared.twin(tmp_path / "world")
    middle = date(2020, 6, 3)
    assert launch(small.lake, FIRST, middle, Compute(mode="threads", workers=2)).success
    assert launch(small.lake, middle + timedelta(days=1), LAST).success
    days = list(weekdays(FIRST, LAST))
    ours, theirs = (each.rows(RETRODICTION, *days).drop_columns(["data_version"]) for each in (small, ranged[0]))
    assert ours.equals(theirs)


@pytest.mark.slow
def test_an_engine_without_any_row_fails_the_run(prepared: SmallLake, tmp_path: Path) -> None:
    """Rules that fit no day's world are a mistake, not an empty table."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "rules: [{id: r, version: 1, when: alpah > 1, rationale: r, source: s, "
        "effects: [{target: fear, multiply: 1.1}]}]\n"
    )
    small = prepared.twin(tmp_path / "world")
    result = launch(small.lake, LAST, LAST, rules=str(rules))
    assert not result.success
    failures = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    assert any("pulse seed_then_free" in str(each) and "did you mean alpha" in str(each) for each in failures)


def empty_lake(root: Path, contract: TableContract, rows: list[Mapping[str, object]]) -> Lake:
    """Return a lake with some rows of a table, what they do not say being filled in."""
    lake = Lake(str(root), durable=False)
    blanks = {pa.string(): "", pa.bool_(): False, pa.date32(): date(2020, 6, 1)}
    whole = [
        {
            c.name: None if c.nullable else [] if pa.types.is_list(c.type) else blanks.get(c.type, 0)
            for c in contract.columns
        }
        | dict(row)
        for row in rows
    ]
    table = pa.Table.from_pylist(whole, schema=contract.schema)
    days = sorted(set(table["as_of"].to_pylist()))
    lake.overwrite(contract, table, Partitions.of("as_of", days))
    return lake


def test_exceedances_are_counted_over_the_last_days(tmp_path: Path) -> None:
    """Of the portfolio's first step alone, the newest 250 days, those without a truth left out."""
    days = list(weekdays(date(2019, 1, 1), date(2020, 6, 12)))
    rows = []
    for place, day in enumerate(reversed(days)):
        common = {
            "as_of": day,
            "origin": day - timedelta(days=7),
            "engine": "pulse",
            "mode": "seed_then_free",
            "step": 1,
        }
        actual = -0.03 if place < 10 or place > 250 else None if place == 20 else 0.0
        told = {"var_95": -0.02, "es_95": -0.05, "var_99": -0.04, "es_99": -0.05}
        rows.append(common | told | {"variable": "portfolio", "actual": actual})
        rows.append(common | told | {"variable": "stock", "actual": -0.03})
    found = exceedances(empty_lake(tmp_path, RETRODICTION, rows), days[-1])
    assert found["seed_then_free var_95"] | {"p_value": 0} == {
        "days": 249,
        "exceeded": 10,
        "expected": pytest.approx(12.45),
        "p_value": 0,
    }
    assert found["seed_then_free var_99"]["exceeded"] == 0


def test_rules_that_are_idle_or_unconditional_are_named(tmp_path: Path) -> None:
    """Over all scenarios of three months; what is older or not active does not count."""
    day = date(2020, 6, 12)
    said = [
        ("never", day, "active", 0),
        ("never", date(2020, 1, 2), "active", 5),
        ("sometimes", day, "active", 3),
        ("sometimes", date(2020, 6, 11), "active", 0),
        ("always", day, "active", 100),
        ("inactive", day, "inactive", 0),
    ]
    rows = [
        {"as_of": when, "scenario": "base", "rule": rule, "state": state, "paths_fired": fired, "paths": 100}
        for rule, when, state, fired in said
    ]
    assert idle_and_constant_rules(empty_lake(tmp_path, RULE_AUDIT, rows), day) == (["never"], ["always"])


def test_what_lies_above_a_bound_is_named(tmp_path: Path) -> None:
    """Of the measure and the days asked for."""
    day = date(2020, 6, 12)
    said = [
        (day, "broken_paths", "", 2.0),
        (day, "ruin", "", 5.0),
        (day, "gravity_share", "oil", 0.3),
        (date(2020, 6, 11), "gravity_share", "gold", 0.31),
        (date(2020, 6, 10), "gravity_share", "tin", 0.9),
    ]
    rows = [
        {"as_of": when, "scenario": "base", "measure": measure, "name": name, "value": value, "unit": "share"}
        for when, measure, name, value in said
    ]
    lake = empty_lake(tmp_path, SIMULATION_RISK, rows)
    assert above(lake, [day], "broken_paths", 0) == ["2020-06-12 base : 2"]
    assert above(lake, [date(2020, 6, 11), day], "gravity_share", 0.3) == ["2020-06-11 base gold: 0.31"]
