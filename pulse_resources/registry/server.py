"""Reaches MLflow: in a SQLite file, in Postgres, or on a server. Its errors become ours, and no wait is unbounded.

MLflow is imported here, when it is first needed, with its telemetry off. No process-wide setting of it is touched:
every call names its server, so two registries can be used side by side.
"""

import fcntl
import os
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from pulse_resources.errors import ConfigError, RegistryError

SQLITE = "sqlite:///"
SCHEMES = ("sqlite:///", "postgresql://", "postgresql+psycopg2://", "http://", "https://")
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # without these a server that is down is asked for several minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
"""Set before MLflow is imported, where the operator has not set them."""
REMEDY = (
    "start it or mend MLFLOW_TRACKING_URI; forecasts do not need it, and the tables of the lake say what is in force"
)


@lru_cache(maxsize=1)
def mlflow() -> Any:  # noqa: ANN401 - mlflow ships no types
    """Import MLflow; later calls return the same module."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own type hints
        import mlflow
        import mlflow.artifacts
        import mlflow.models
        import mlflow.pyfunc
        import mlflow.types

        return mlflow


def checked_address(address: str) -> str:
    """Return an address that MLflow can work with.

    Raises
    ------
    ConfigError
        MLflow keeps no registry there, or not any more.

    Examples
    --------
    >>> checked_address("sqlite:////home/me/mlflow.db")
    'sqlite:////home/me/mlflow.db'
    """
    if not address.startswith(SCHEMES):
        raise ConfigError(
            f"MLFLOW_TRACKING_URI is {shown(address)!r}; expected http://HOST:PORT, sqlite:////ABSOLUTE/PATH/mlflow.db "
            "or postgresql://USER:PASSWORD@HOST/DATABASE (MLflow keeps nothing in plain folders any more), or unset it "
            "for a file in DAGSTER_HOME"
        )
    return address


def shown(address: str) -> str:
    """Return an address without its password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(address).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return address.split("@")[-1]  # a password may stand before it


def client(address: str, timeout_seconds: int) -> Any:  # noqa: ANN401 - mlflow ships no types
    """Return a client of a registry that answers.

    Raises
    ------
    RegistryError
        It does not answer within the time, or is something else.
    """
    _reach(address, timeout_seconds)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(timeout_seconds))
    with asking("the model registry did not open", address), alone(address) if _is_new(address) else nullcontext():
        return mlflow().MlflowClient(tracking_uri=address, registry_uri=address)


def _is_new(address: str) -> bool:
    """Say whether MLflow is going to create the file: two processes that do so at once spoil it."""
    path = Path(address.removeprefix(SQLITE))
    return address.startswith(SQLITE) and not (path.exists() and path.stat().st_size > 0)


def _reach(address: str, timeout_seconds: int) -> None:
    """Ask once, for a bounded time: MLflow itself would try a database for an hour."""
    if address.startswith("http"):
        _reach_server(address, timeout_seconds)
    elif address.startswith(SQLITE):
        _reach_file(Path(address.removeprefix(SQLITE)), address)
    else:
        _reach_database(address, timeout_seconds)


def _reach_server(address: str, timeout_seconds: int) -> None:
    import requests

    try:
        status = requests.get(f"{address.rstrip('/')}/health", timeout=timeout_seconds).status_code
    except requests.RequestException as error:
        raise RegistryError(
            f"the model registry at {shown(address)} did not answer within {timeout_seconds} s "
            f"({type(error).__name__}): {REMEDY}"
        ) from error
    if status >= 500:
        raise RegistryError(f"the model registry at {shown(address)} answers {status}: {REMEDY}")


def _reach_file(path: Path, address: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            with closing(sqlite3.connect(path, timeout=5)) as connection:
                connection.execute("PRAGMA schema_version").fetchone()
    except (OSError, sqlite3.DatabaseError) as error:
        raise RegistryError(
            f"the model registry {shown(address)} cannot be opened ({error}): restore the file from a backup, or move "
            "it away and register the models again (job register_models); forecasts do not need it"
        ) from error


def _reach_database(address: str, timeout_seconds: int) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(address, connect_args={"connect_timeout": timeout_seconds})
    try:
        engine.connect().close()
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise RegistryError(
            f"the model registry {shown(address)} did not answer within {timeout_seconds} s "
            f"({_first_line(error)}): {REMEDY}"
        ) from error
    finally:
        engine.dispose()


@contextmanager
def asking(what: str, address: str) -> Iterator[None]:
    """Turn what MLflow raises within the block into a :class:`RegistryError` that begins with ``what``."""
    import sqlalchemy.exc

    errors = (mlflow().exceptions.MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError)
    try:
        yield
    except errors as error:
        raise RegistryError(f"{what} ({shown(address)}: {_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


@contextmanager
def alone(address: str, wait_seconds: float = 60.0) -> Iterator[None]:
    """Let one process at a time change a registry in a file; databases and servers look after that themselves.

    Raises
    ------
    RegistryError
        Another process has kept it for too long.
    """
    if not address.startswith(SQLITE):
        yield
        return
    with Path(address.removeprefix(SQLITE) + ".lock").open("a") as lock:
        give_up = time.monotonic() + wait_seconds
        while not _taken(lock):
            if time.monotonic() > give_up:
                raise RegistryError(
                    f"another process has been changing {shown(address)} for {wait_seconds:g} s: wait for it and run "
                    f"this again; `fuser {lock.name}` names it"
                )
            time.sleep(0.05)
        yield  # closing the file gives the lock back


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
