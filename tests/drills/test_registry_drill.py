"""A real MLflow server: models are kept there, and once it is killed the registry says so soon."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import requests

from pulse_resources.errors import RegistryError
from pulse_resources.registry import CHAMPION, PREVIOUS, Registry
from tests.resources.test_registry import CODE, NAME, QUESTION, submission

pytestmark = [pytest.mark.drill, pytest.mark.slow]

START_SECONDS = 180


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = ["--backend-store-uri", f"sqlite:///{tmp_path}/m.db", "--artifacts-destination", str(tmp_path / "kept")]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(
        [*command, *places],
        env=os.environ | quiet,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address)
        yield address, process
    finally:
        stop(process)


def wait_for(address: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            if requests.get(f"{address}/health", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.5)
    pytest.fail(f"no MLflow server within {START_SECONDS} s")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill the server with its workers; it may be dead already."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait(30)


def test_a_server_keeps_models_and_its_death_is_said_soon(
    server: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    address, process = server
    code = tmp_path / "times.py"
    code.write_text(CODE)
    registry = Registry(address=address, home=str(tmp_path / "home"), timeout_seconds=20)
    for factor in (1.0, 2.0):
        registry.register(submission(code, factor))
    assert registry.promote(NAME).after == {CHAMPION: "2", PREVIOUS: "1"}
    told = registry.load(NAME).predict(QUESTION, {"who": "x"})
    pd.testing.assert_frame_equal(told, QUESTION.assign(y=QUESTION["y"] * 2.0, who="x"), check_exact=True)
    assert not (tmp_path / "home").exists()
    stop(process)
    started = time.monotonic()
    for ask in (registry.names, lambda: registry.load(NAME), lambda: registry.register(submission(code))):
        with pytest.raises(RegistryError, match=r"did not answer .*forecasts do not need it"):
            ask()
    assert time.monotonic() - started < 60
