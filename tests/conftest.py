"""Fixtures that every test may use: small real things, never stand-ins for the lake or for Dagster."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import HealthCheck, settings

from pulse_resources.lake import Lake
from tests.closed_network import REAL_STORE, TELEMETRY, closed_network

os.environ.update(TELEMETRY)

settings.register_profile("pulse", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("pulse")

NOW = datetime(2024, 6, 28, 23, 0, tzinfo=UTC)


@pytest.fixture(scope="session", autouse=True)
def nothing_outside() -> Iterator[None]:
    """Refuse every connection to another machine, and fail the session if one was tried and the refusal swallowed."""
    if REAL_STORE in os.environ:
        yield
        return
    with closed_network() as tried:
        yield
    assert not tried, f"tests reach only this machine, but these tried another: {tried}"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake in a folder of its own; not synced to disk, which only durability tests need."""
    return Lake(str(tmp_path / "lake"), durable=False)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An in-memory Dagster instance."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral
