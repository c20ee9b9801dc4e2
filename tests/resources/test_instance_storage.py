"""One ``dagster.yaml`` serves both storages: SQLite under DAGSTER_HOME, or Postgres by one variable.

:mod:`pulse_resources.instance_storage` stands on ``dagster._core``; these tests are its pin.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import psycopg2
import pytest
from click.testing import CliRunner
from dagster._cli.instance import migrate_command
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.instance import DagsterInstance, InstanceRef
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._core.workspace.load import location_origins_from_yaml_paths
from dagster._serdes import deserialize_value, serialize_value
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy.engine import make_url

from pulse_resources.errors import ConfigError
from pulse_resources.instance_storage import POSTGRES_VARIABLE, EnvStorage, psycopg2_url

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def dagster_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give Dagster a home that holds our ``dagster.yaml`` and nothing else."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.delenv(POSTGRES_VARIABLE, raising=False)
    return home


@contextmanager
def loaded_instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.get() as instance:
        yield instance


def run_tiny_job() -> str:
    """Materialize an asset on the instance of the environment; return the run's id."""

    @dg.asset
    def one() -> None: ...

    with loaded_instance() as instance:
        result = dg.materialize([one], instance=instance)
        assert result.success
        return result.run_id


def sqlite_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix == ".db"]


def query_postgres(url: str, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def assert_all_storages_remember(run_id: str) -> None:
    with loaded_instance() as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert instance.get_latest_materialization_event(dg.AssetKey("one")) is not None
        assert instance.schedule_storage is not None
        assert instance.schedule_storage.all_instigator_state() == []


def test_sqlite_lies_in_the_home_and_remembers_runs(dagster_home: Path) -> None:
    run_id = run_tiny_job()
    assert_all_storages_remember(run_id)
    files = sqlite_files(dagster_home)
    assert files
    assert all(path.is_relative_to(dagster_home / "storage") for path in files)
    with closing(sqlite3.connect(dagster_home / "storage" / "history" / "runs.db")) as runs:
        assert runs.execute("SELECT run_id FROM runs").fetchall() == [(run_id,)]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_postgres_holds_everything_once_its_address_is_set(
    scheme: str, postgres_url: str, dagster_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POSTGRES_VARIABLE, postgres_url.replace("postgresql", scheme, 1))
    run_id = run_tiny_job()
    assert_all_storages_remember(run_id)
    assert query_postgres(postgres_url, "SELECT run_id, status FROM runs") == [(run_id, "SUCCESS")]
    events = query_postgres(postgres_url, "SELECT DISTINCT dagster_event_type FROM event_logs")
    assert {("PIPELINE_SUCCESS",), ("ASSET_MATERIALIZATION",)} <= set(events)
    assert query_postgres(postgres_url, "SELECT count(*) FROM job_ticks") == [(0,)]
    assert sqlite_files(dagster_home) == []


def test_another_process_finds_the_same_sqlite_storage() -> None:
    run_id = run_tiny_job()
    with loaded_instance() as instance:
        sent = serialize_value(instance.get_ref())
    with DagsterInstance.from_ref(deserialize_value(sent, InstanceRef)) as instance:
        assert instance.get_run_by_id(run_id) is not None


def test_another_process_finds_postgres_without_being_sent_the_password(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POSTGRES_VARIABLE, postgres_url)
    run_id = run_tiny_job()
    with loaded_instance() as instance:
        sent = serialize_value(instance.get_ref())
        shown = instance.info_str()
    assert "any-password" not in sent + shown
    assert "EnvStorage" in sent
    with DagsterInstance.from_ref(deserialize_value(sent, InstanceRef)) as instance:
        assert instance.get_run_by_id(run_id) is not None


@pytest.mark.parametrize("storage", ["sqlite", "postgres"])
def test_migrate_works(storage: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if storage == "postgres":
        monkeypatch.setenv(POSTGRES_VARIABLE, request.getfixturevalue("postgres_url"))
    run_id = run_tiny_job()
    migrated = CliRunner().invoke(migrate_command, catch_exceptions=False)
    assert migrated.exit_code == 0
    assert "Storage schema state after migration" in migrated.output
    assert_all_storages_remember(run_id)


def test_one_storage_of_dagster_serves_all_three() -> None:
    with loaded_instance() as instance:
        ref = instance.get_ref()
        storage = ref.storage
        assert isinstance(storage, DagsterSqliteStorage)
        assert storage.inst_data == ref.storage_data
        assert instance.run_storage is not None
        assert type(instance.run_storage) is type(storage.run_storage)
        assert type(instance.event_log_storage) is type(storage.event_log_storage)
        assert type(instance.schedule_storage) is type(storage.schedule_storage)


def test_a_configured_folder_wins_over_the_home(tmp_path: Path) -> None:
    ref = InstanceRef.from_dir(
        str(tmp_path),
        overrides={
            "storage": {
                "custom": {
                    "module": EnvStorage.__module__,
                    "class": EnvStorage.__name__,
                    "config": {"base_dir": str(tmp_path / "elsewhere")},
                }
            }
        },
    )
    assert isinstance(ref.storage, DagsterSqliteStorage)
    assert ref.storage.base_dir == str(tmp_path / "elsewhere")


def test_without_a_home_all_processes_of_a_folder_share_one_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME")
    monkeypatch.chdir(tmp_path)
    storage = InstanceRef.from_dir(str(tmp_path / "home")).storage
    assert isinstance(storage, DagsterSqliteStorage)
    assert storage.base_dir == str(tmp_path / ".pulse" / "storage")


def test_an_empty_address_means_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POSTGRES_VARIABLE, "  ")
    with loaded_instance() as instance:
        assert isinstance(instance.get_ref().storage, DagsterSqliteStorage)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("s3cret", "it cannot be read as an address"),
        ("pulse:s3cret@db/pulse", "it cannot be read as an address"),
        ("postgresql://pulse@db:s3cret/pulse", "it cannot be read as an address"),
        ("mysql://pulse:s3cret@db/pulse", "it begins with mysql://"),
        ("postgresql+psycopg://pulse:s3cret@db/pulse", r"it begins with postgresql\+psycopg://"),
        ("postgresql://pulse:s3@cret@db/pulse", "it has more than one '@'"),
        ("postgresql://pulse:s3@s3/cret@db/pulse", "it has more than one '@'"),
        ("postgresql://pulse:s3cret@db", "it names no database"),
    ],
)
def test_a_malformed_address_is_explained_without_its_password(
    address: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POSTGRES_VARIABLE, address)
    with pytest.raises(ConfigError, match=problem) as caught:
        DagsterInstance.get()
    shown = "".join(caught.exconly())
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert POSTGRES_VARIABLE in shown
    assert "s3" not in shown
    assert "cret" not in shown


def test_an_unreachable_server_does_not_show_the_password(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dagster_postgres.utils.time", SimpleNamespace(sleep=lambda _: None))
    with pytest.raises(Exception, match="too many retries for DB connection") as caught:
        DagsterPostgresStorage(psycopg2_url("postgresql://pulse:s3cret@127.0.0.1:1/pulse"))
    assert "Connection refused" in str(caught.getrepr(chain=True))
    assert "s3cret" not in f"{caught.value}{caught.value.__cause__}{caplog.text}"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_form_means_the_driver_that_is_installed(scheme: str) -> None:
    url = make_url(psycopg2_url(f"{scheme}://pulse:p%40ss@db:6543/pulse?sslmode=require"))
    assert url.get_dialect().driver == "psycopg2"
    assert (url.username, url.password, url.host, url.port) == ("pulse", "p@ss", "db", 6543)
    assert (url.database, url.query["sslmode"]) == ("pulse", "require")


def test_dagster_takes_our_limits_as_meant() -> None:
    with loaded_instance() as instance:
        limits = instance.get_concurrency_config()
        assert limits.run_queue_config is not None
        assert limits.run_queue_config.max_concurrent_runs == 4
        assert limits.run_queue_config.tag_concurrency_limits == [{"key": "dagster/backfill", "limit": 2}]
        assert limits.pool_config.default_pool_limit == 1
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 2
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert not instance.telemetry_enabled
        assert instance.get_tick_retention_settings(InstigatorType.SENSOR)[TickStatus.SKIPPED] == 2
        assert instance.get_tick_retention_settings(InstigatorType.SCHEDULE)[TickStatus.SUCCESS] == 90
        for daemon in ("backfills", "sensors", "schedules", "auto_materialize"):
            assert instance.get_settings(daemon)["use_threads"], daemon


def test_the_workspace_names_one_location() -> None:
    (origin,) = location_origins_from_yaml_paths([str(ROOT / "workspace.yaml")])
    target = origin.loadable_target_origin
    assert (origin.location_name, target.module_name, target.attribute) == ("pulse", "jobs.definitions", "defs")
