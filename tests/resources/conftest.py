"""A real Postgres for the tests that need one: a server a session, an empty database a test."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest

SUPERUSER = "pulse"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # Nothing here has to survive a power cut.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


@dataclass(frozen=True)
class PostgresServer:
    """A running server that trusts everybody on this machine."""

    port: int

    def url(self, database: str) -> str:
        """Return the address of a database."""
        return f"postgresql://{SUPERUSER}:any-password@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Run one statement outside of any transaction."""
        connection = psycopg2.connect(self.url("postgres"))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Start a Postgres on a free port; skip where there is none to start."""
    binaries = newest_binaries()
    if binaries is None:
        pytest.skip("no Postgres to start: found no initdb in /usr/lib/postgresql/*/bin or on PATH")
    if os.geteuid() == 0 and not user_exists("postgres"):
        pytest.skip("Postgres refuses to run as root, and there is no user `postgres` to run it as")
    with started_postgres(binaries) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Return the address of an empty database, ``postgresql://…``, dropped after the test."""
    database = f"test_{uuid4().hex}"
    postgres_server.execute(f"CREATE DATABASE {database}")
    yield postgres_server.url(database)
    postgres_server.execute(f"DROP DATABASE {database} WITH (FORCE)")


@contextmanager
def started_postgres(binaries: Path) -> Iterator[PostgresServer]:
    """Run a server in a folder of its own; a pytest folder would be closed to the user that root drops to."""
    with tempfile.TemporaryDirectory(prefix="pulse-postgres-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        run(folder, binaries / "initdb", "-D", "cluster", "-A", "trust", "-U", SUPERUSER, "--no-sync")
        server = PostgresServer(free_port())
        options = " ".join(f"-c {setting}='{value}'" for setting, value in SETTINGS.items())
        control = (binaries / "pg_ctl", "-D", "cluster", "-w", "-s")
        run(folder, *control, "-l", "log", "-o", f"-p {server.port} {options}", "start")
        try:
            yield server
        finally:
            run(folder, *control, "-m", "immediate", "stop")


def run(folder: Path, *command: str | Path) -> None:
    """Run one of the Postgres programs in ``folder``, as a user that Postgres accepts."""
    dropped = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    finished = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **dropped
    )
    if finished.returncode:
        log = folder / "log"
        written = log.read_text() if log.exists() else ""
        pytest.fail(f"{Path(command[0]).name} failed: {finished.stdout}{written}")


def user_exists(name: str) -> bool:
    return name in {entry.pw_name for entry in pwd.getpwall()}


def newest_binaries() -> Path | None:
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    found = [*packaged, *([Path(on_path)] if on_path else [])]
    return found[-1].parent if found else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
