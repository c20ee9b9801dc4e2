"""Drives the web interface once for real: server, daemon, a backfill over GraphQL, and a browser that looks at it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow.compute as pc
import pytest
import requests

from pulse_assets.forecasting.tables import FORECASTS
from pulse_resources.lake import Lake

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.ui, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("ui")]

SYMBOLS = ("north", "south", "west")
DAYS = np.busday_offset("2024-03-28", np.arange(-199, 1))
START, NEWEST = DAYS[40], DAYS[-1]
BACKFILLED = [str(day) for day in DAYS[60:70]]
"""Ten days in a row that the first run, which reaches back 120 weekdays, does not compute."""
ASSETS = ("silver/series", "gold/forecasts", "gold/scores", "gold/licences")
GROUPS = ("signals", "forecasting", "trust", "operations")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BROWSER_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PULSE = """
import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a parent that was started with & has it ignored, and so would we
from jobs.cli import main
main()
"""
LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
BACKFILL = """
query Backfill($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status numPartitions error { message } runs(limit: 50) { id status } }
    ... on PythonError { message }
  }
}
"""
T = TypeVar("T")


def until(what: str, seconds: float, probe: Callable[[], T | None]) -> T:
    """Ask again and again until the answer is not None."""
    deadline = time.monotonic() + seconds
    while (answer := probe()) is None:
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.5)
    return answer


@dataclass(frozen=True)
class World:
    """A folder with three price series, the lake made of them, and the environment that names both."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def lake(self) -> Lake:
        """The lake that runs write to."""
        return Lake(self.environment["PULSE_LAKE"], durable=False)

    def pulse(self, *arguments: str) -> None:
        """Run the ``pulse`` command and expect success."""
        done = subprocess.run(
            [sys.executable, "-c", PULSE, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return a lake that one ``pulse run`` has filled."""
    folder = tmp_path_factory.mktemp("ui")
    (folder / "prices").mkdir()
    walks = 100 * np.exp(np.cumsum(np.random.default_rng(7).normal(0, 0.01, (len(DAYS), len(SYMBOLS))), axis=0))
    for symbol, walk in zip(SYMBOLS, walks.T, strict=True):
        lines = ["date,close", *(f"{day},{price:.4f}" for day, price in zip(DAYS, walk, strict=True))]
        (folder / "prices" / f"{symbol}.csv").write_text("\n".join(lines) + "\n")
    (folder / "sources.yaml").write_text("sources:\n- use: folder\n  name: prices\n  path: prices\n")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PULSE_", "DAGSTER_"))},
        "PULSE_LAKE": str(folder / "lake"),
        "PULSE_CONFIG": str(folder / "sources.yaml"),
        "PULSE_START": str(START),
        "DAGSTER_HOME": str(folder / "home"),
    }
    world = World(folder, environment)
    world.pulse("run")
    return world


@dataclass(frozen=True)
class Server:
    """Dagster's web server and daemon."""

    address: str

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Return the only field of a GraphQL answer."""
        reply = requests.post(f"{self.address}/graphql", json={"query": query, "variables": variables}, timeout=60)
        answer = reply.json()
        assert "errors" not in answer, answer["errors"]
        (field,) = answer["data"].values()
        return field


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Server]:
    """Run ``pulse ui`` in a process group of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = world.folder / "ui.log"
    with log.open("w") as output, in_own_group("ui", "--port", str(port), world=world, output=output) as process:
        server = Server(f"http://127.0.0.1:{port}")

        def answers() -> bool | None:
            assert process.poll() is None, f"`pulse ui` ended with {process.returncode}: {log.read_text()[-3_000:]}"
            try:
                return requests.get(f"{server.address}/server_info", timeout=5).ok or None
            except requests.ConnectionError:
                return None

        until("the web server answers", 240, answers)
        yield server


@contextmanager
def in_own_group(*arguments: str, world: World, output: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``pulse`` beside us; interrupt it at the end, and kill whatever of it then is left."""
    process = subprocess.Popen(
        [sys.executable, "-c", PULSE, *arguments],
        cwd=world.folder,
        env=world.environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        process.wait(90)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def test_a_backfill_from_the_ui_is_one_run_and_fills_the_table(world: World, server: Server) -> None:
    before = world.lake.open(FORECASTS).version()
    assert forecast_days(world.lake) == []
    launched = server.ask(
        LAUNCH,
        params={"assetSelection": [{"path": name.split("/")} for name in ASSETS], "partitionNames": BACKFILLED},
    )
    assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def ended() -> dict[str, Any] | None:
        state = server.ask(BACKFILL, id=launched["backfillId"])
        return state if state["status"] not in ("REQUESTED", "CANCELING", "FAILING") else None

    state = until("the backfill ends", 300, ended)
    assert state["status"] == "COMPLETED_SUCCESS", state
    assert [run["status"] for run in state["runs"]] == ["SUCCESS"]
    assert world.lake.open(FORECASTS).version() > before
    assert forecast_days(world.lake) == BACKFILLED


def forecast_days(lake: Lake) -> list[str]:
    """Return on which of the backfilled days there are forecasts of every series."""
    first, last = (date.fromisoformat(day) for day in (BACKFILLED[0], BACKFILLED[-1]))
    inside = (pc.field("as_of") >= first) & (pc.field("as_of") <= last)
    rows = lake.read(FORECASTS, columns=["as_of", "unique_id"], where=inside)
    found = set(zip(map(str, rows["as_of"].to_pylist()), rows["unique_id"].to_pylist(), strict=True))
    return [day for day in BACKFILLED if all((day, f"prices:{symbol}") in found for symbol in SYMBOLS)]


@pytest.fixture(scope="module")
def page(server: Server) -> Iterator["Page"]:
    """Return a page of a headless Chromium; skip where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright; it comes with the extra `dev`")
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH; `apt-get install chromium` brings it")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=BROWSER_FLAGS)
        page = browser.new_page(base_url=server.address, viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(180_000)
        yield page
        browser.close()


@pytest.fixture
def keep(page: "Page", tmp_path: Path) -> Callable[[str], None]:
    """Return a function that saves what the page shows under ``PULSE_SCREENSHOTS``, or else in a folder of the test."""
    folder = Path(os.environ.get("PULSE_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: page.screenshot(path=folder / f"{name}.png") and None


def test_the_asset_graph_shows_the_groups_of_pulse(page: "Page", keep: Callable[[str], None]) -> None:
    page.goto("/asset-groups")
    for group in GROUPS:
        page.get_by_text(group, exact=True).first.wait_for()
    keep("asset_graph")


def test_the_runs_page_shows_a_green_success(page: "Page", keep: Callable[[str], None]) -> None:
    page.goto("/runs")
    success = page.get_by_text("Success", exact=True).first
    success.wait_for()
    keep("runs")
    red, green, blue = success.evaluate(
        "element => getComputedStyle(element).color.match(/\\d+/g).slice(0, 3).map(Number)"
    )
    assert green > max(red, blue)
    assert page.get_by_text("Failure", exact=True).count() == 0


def test_an_operator_sees_the_fan_of_the_newest_forecasts(page: "Page", keep: Callable[[str], None]) -> None:
    page.goto("/assets/gold/forecasts?view=events")
    page.get_by_text("[Show Markdown]").first.click()
    plot = page.locator("img[src^='data:image/png']").first
    plot.wait_for()
    assert plot.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
    keep("fan")


def test_the_licence_gate_shows_as_a_blocking_check_that_passed(page: "Page", keep: Callable[[str], None]) -> None:
    page.goto("/assets/gold/licences?view=checks")
    page.get_by_text("licence_gate", exact=True).first.click()
    page.get_by_text("This is a blocking asset check").first.wait_for()
    page.get_by_text("Passed", exact=True).first.wait_for()
    keep("licence_gate")
