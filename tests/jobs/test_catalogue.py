"""What the code location offers: every asset says what it must, and ``catalogue.txt`` lists all of it."""

import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import get_origin

import dagster as dg
import pytest

from jobs.definitions import build_definitions
from jobs.jobs import JOBS, SCHEDULES, SENSORS
from pulse_assets.catalogue import BY_NAME, TABLES
from pulse_assets.declare import AS_OF
from pulse_resources.compute import Compute
from pulse_resources.lake.resource import DeltaLake
from pulse_resources.market import Market

SNAPSHOT = Path(__file__).with_name("catalogue.txt")
REFRESH = "PULSE_REFRESH_CATALOGUE=1 .venv/bin/pytest tests/jobs/test_catalogue.py"
RESULTS = (dg.Output, dg.MaterializeResult)

# Built once at import, because the tests below are parametrized by what it holds; nothing is read or started.
DEFINITIONS = build_definitions(lake=DeltaLake(root="/nowhere"), compute=Compute(), market=Market())
SPECS = {"/".join(spec.key.path): spec for spec in DEFINITIONS.resolve_all_asset_specs()}
REPOSITORY = DEFINITIONS.get_repository_def()
ASSETS = {"/".join(key.path): asset for key, asset in REPOSITORY.assets_defs_by_key.items()}
PARTITIONED = sorted(name for name, spec in SPECS.items() if spec.partitions_def)

each_asset = pytest.mark.parametrize("name", sorted(SPECS))
each_partitioned_asset = pytest.mark.parametrize("name", PARTITIONED)


def test_the_location_is_loadable() -> None:
    dg.Definitions.validate_loadable(DEFINITIONS)


@each_asset
def test_asset_says_who_cares_for_it_and_what_it_is(name: str) -> None:
    spec = SPECS[name]
    assert spec.group_name not in (None, "", "default")
    assert spec.owners, f"{name} has no owner"
    assert {"python", "deltalake"} <= spec.kinds
    assert spec.description
    assert spec.code_version


@each_asset
def test_asset_annotates_what_it_returns(name: str) -> None:
    """Without it, a None goes to the pickle manager and a run over a range fails."""
    if not ASSETS[name].is_executable:
        return  # a table that others fill
    function = ASSETS[name].op.compute_fn.decorated_fn  # type: ignore[union-attr]
    returned = inspect.signature(function).return_annotation
    assert returned is not inspect.Signature.empty, f"{function.__name__} does not say what it returns"
    inner = returned.__args__[0] if get_origin(returned) is get_origin(Iterator[int]) else returned
    assert inner is None or get_origin(inner) in RESULTS, f"{function.__name__} returns {returned}"


@each_asset
def test_asset_shows_the_columns_of_its_contract(name: str) -> None:
    shown = SPECS[name].metadata["dagster/column_schema"]
    assert [column.name for column in shown.columns] == BY_NAME[name].schema.names
    assert all(column.description for column in shown.columns)


@each_partitioned_asset
def test_partitioned_asset_runs_a_range_in_one_run(name: str) -> None:
    assert ASSETS[name].backfill_policy == dg.BackfillPolicy.single_run()
    assert SPECS[name].partitions_def == AS_OF


@each_partitioned_asset
def test_partitioned_asset_has_a_blocking_check_of_its_contract(name: str) -> None:
    graph = REPOSITORY.asset_graph
    keys = graph.get_check_keys_for_assets({SPECS[name].key})
    blocking = {key.name for key in keys if graph.get(key).blocking}
    assert "matches_contract" in blocking


def test_partitions_are_the_weekdays_up_to_today() -> None:
    days = AS_OF.get_partition_keys_in_range(dg.PartitionKeyRange("2022-01-03", "2022-01-17"))
    assert days == [f"2022-01-{day:02}" for day in (3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 17)]


def test_every_asset_is_a_table_and_every_table_an_asset() -> None:
    assert sorted(SPECS) == sorted(BY_NAME)
    assert len(BY_NAME) == len(TABLES), "two contracts have one name"


def test_partitioned_tables_are_partitioned_assets() -> None:
    assert sorted(table.name for table in TABLES if table.partition) == PARTITIONED


def test_no_asset_is_both_scheduled_and_automated() -> None:
    """Two triggers would run it twice."""
    scheduled = {name for schedule in SCHEDULES for name in assets_of(schedule.job_name)}
    automated = {name for name, spec in SPECS.items() if spec.automation_condition}
    assert not scheduled & automated
    assert automated


@pytest.mark.parametrize("job", [job.name for job in JOBS])
def test_job_says_what_it_is_for(job: str) -> None:
    assert DEFINITIONS.resolve_job_def(job).description


def test_the_catalogue_is_the_one_on_file() -> None:
    offered = list(catalogue())
    if os.environ.get("PULSE_REFRESH_CATALOGUE"):
        SNAPSHOT.write_text("".join(f"{line}\n" for line in offered), encoding="utf-8")
    listed = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    gone = [f"- {line}" for line in listed if line not in offered]
    new = [f"+ {line}" for line in offered if line not in listed]
    assert listed == offered, (
        f"the code location does not offer what {SNAPSHOT.name} lists, and people launch and bookmark these names.\n"
        + "\n".join([*gone, *new])
        + f"\nIf that is meant, write the list anew and commit it:\n  {REFRESH}"
    )


def catalogue() -> Iterator[str]:
    """Yield one line for each asset, check, job, schedule and sensor."""
    graph = REPOSITORY.asset_graph
    for name, spec in sorted(SPECS.items()):
        inputs = ", ".join(sorted("/".join(dep.asset_key.path) for dep in spec.deps)) or "nothing"
        cut = "by weekday" if spec.partitions_def else "whole"
        yield f"asset {name} ({spec.group_name}, {cut}) from {inputs}"
    for key in sorted(graph.asset_check_keys, key=str):
        yield f"check {'/'.join(key.asset_key.path)} {key.name} ({'blocks' if graph.get(key).blocking else 'warns'})"
    for job in sorted(JOBS, key=lambda job: job.name):
        yield f"job {job.name}: {', '.join(assets_of(job.name))}"
    for schedule in sorted(SCHEDULES, key=lambda schedule: schedule.name):
        when = f"{schedule.cron_schedule} {schedule.execution_timezone}, {schedule.default_status.value.lower()}"
        yield f"schedule {schedule.name}: {schedule.job_name} ({when})"
    for sensor in sorted(SENSORS, key=lambda sensor: sensor.name):
        yield f"sensor {sensor.name} ({sensor.sensor_type.value.lower()}, {sensor.default_status.value.lower()})"


def assets_of(job: str) -> list[str]:
    keys = DEFINITIONS.resolve_job_def(job).asset_layer.selected_asset_keys
    return sorted("/".join(key.path) for key in keys)
