"""Where Dagster keeps runs, events and schedules: SQLite in its home, or Postgres once an address is set.

``dagster.yaml`` cannot say "this variable, or else a file": with an unset ``{env: …}`` the instance does not
load. So it names :class:`EnvStorage`, which reads ``PULSE_POSTGRES_URL`` when the instance loads. The address,
and the password in it, stay in the environment: they never become part of the instance's configuration, which
Dagster shows in its UI and hands to the processes that it starts.

The interfaces come from ``dagster._core``, which may change in any release of Dagster;
``tests/resources/test_instance_storage.py`` runs both branches.
"""

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from dagster import Field, StringSource
from dagster._config import UserConfigSchema
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from pulse_resources.errors import ConfigError

POSTGRES_VARIABLE = "PULSE_POSTGRES_URL"
POSTGRES_SCHEMES = ("postgres", "postgresql", "postgresql+psycopg2")
HOME_VARIABLE = "DAGSTER_HOME"
HOMELESS = Path(".pulse")
"""Stands in for an unset ``DAGSTER_HOME``, where Dagster itself would keep nothing after it stops."""


class EnvStorage(DagsterStorage, ConfigurableClass):
    """Name for ``dagster.yaml`` that becomes Dagster's own SQLite or Postgres storage; it has no instances.

    One storage serves runs, events and schedules, and ``dagster instance migrate`` works as with either.
    """

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Return what ``config:`` may hold: ``base_dir``, a folder for SQLite instead of the one in the home."""
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(  # type: ignore[override]  # the base promises an instance of its own class
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, str]
    ) -> DagsterStorage:
        """Build the storage that the environment asks for.

        Parameters
        ----------
        inst_data
            Where Dagster found this class, so that another process can ask its own environment.
        config_value
            Validated ``config:`` of ``dagster.yaml``.

        Raises
        ------
        ConfigError
            ``PULSE_POSTGRES_URL`` is no address of a Postgres database; its password is not repeated.
        """
        address = os.environ.get(POSTGRES_VARIABLE, "").strip()
        if not address:
            sync_at_checkpoints_only()
            return DagsterSqliteStorage.from_local(sqlite_folder(config_value), inst_data)
        from dagster_postgres import DagsterPostgresStorage

        storage: DagsterStorage = DagsterPostgresStorage(psycopg2_url(address), inst_data=inst_data)
        return storage


def sqlite_folder(config: Mapping[str, str]) -> str:
    """Return the folder of the SQLite files: ``base_dir`` if given, else ``storage`` in Dagster's home."""
    home = Path(os.environ.get(HOME_VARIABLE) or HOMELESS).expanduser()
    return config.get("base_dir") or str(home.absolute() / "storage")


def sync_at_checkpoints_only() -> None:
    """Let SQLite connections of this process sync when the write-ahead log is folded in, not at every event.

    A run over a range writes two events a partition and asset; syncing each took longer than all computing. After a
    power cut the newest events may be missing, the files stay whole, and the lake's own commits are synced anyway.
    """
    if not event.contains(Engine, "connect", _relax):
        event.listen(Engine, "connect", _relax)


def _relax(connection: object, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=NORMAL")


def psycopg2_url(address: str) -> str:
    """Return a Postgres address as SQLAlchemy reads it for psycopg2, the driver that Dagster ships.

    Parameters
    ----------
    address
        Begins with ``postgres://``, ``postgresql://`` or ``postgresql+psycopg2://``. The plain forms would mean
        psycopg 3 from SQLAlchemy 2.1 on.

    Raises
    ------
    ConfigError
        Not the address of a Postgres database. The message holds no part of a password.

    Examples
    --------
    >>> psycopg2_url("postgres://pulse:p%40ss@db.example/pulse?sslmode=require")
    'postgresql+psycopg2://pulse:p%40ss@db.example/pulse?sslmode=require'
    """
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        # "from None": the cause may quote what stands where a port was expected, which can be a password.
        raise _malformed("it cannot be read as an address") from None
    if url.drivername not in POSTGRES_SCHEMES:
        raise _malformed(f"it begins with {url.drivername}://")
    if "@" in f"{url.host}{url.database}":
        raise _malformed("it has more than one '@'")
    if not url.database:
        raise _malformed("it names no database")
    return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def _malformed(problem: str) -> ConfigError:
    return ConfigError(
        f"{POSTGRES_VARIABLE} must be like postgresql://USER:PASSWORD@HOST:5432/DATABASE, but {problem}. Write "
        "special characters of the password percent-encoded ('@' as %40), or unset the variable to use SQLite"
    )
