"""The ``pulse`` command as a person meets it: one folder of good and bad files, one lake, every command."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from rich.console import Console

from jobs import terminal
from jobs.cli import app, main
from jobs.terminal import FAILED, OK, REFUSED, USAGE
from pulse_assets.catalogue import TABLES
from pulse_assets.trust.licensing.gates import REASONS
from pulse_assets.trust.tables import LICENCES
from pulse_resources.lake import Lake
from pulse_resources.lake.partitions import Partitions
from tests.assets.signals.bad_inputs import MATRIX, Bad, shown

pytestmark = pytest.mark.slow

WIDTH = 300
COMMANDS = ("run", "backfill", "forecast", "simulate", "replay", "status", "show", "explain", "sources", "ui")
DAYS = pd.bdate_range("2024-01-02", periods=150)


@dataclass(frozen=True)
class Said:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def is_one_clear_line(self) -> bool:
        """Say whether there was one message and no traceback."""
        return "Traceback" not in self.out + self.err and len(re.findall(r"(?:Error|Failure): ", self.err)) == 1


@dataclass(frozen=True)
class World:
    """A place with a lake, a run history and a configuration."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that lead ``pulse`` here."""
        names = {"PULSE_LAKE": "lake", "PULSE_CONFIG": "pulse.yaml", "DAGSTER_HOME": "home"}
        places = {name: str(self.root / place) for name, place in names.items()}
        return places | {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "DAGSTER_DISABLE_TELEMETRY": "1"}

    @property
    def lake(self) -> Lake:
        """Return its lake."""
        return Lake(str(self.root / "lake"))

    def counts(self) -> dict[str, int]:
        """Return the rows of every table that ``run`` fills by keys."""
        logs = ("ops/ingests", "ops/lineage", "ops/licence_chain")
        return {table.name: len(self.lake.read(table)) for table in TABLES if table.name not in logs}

    def rows(self, name: str) -> pd.DataFrame:
        """Return a table."""
        return self.lake.read(next(table for table in TABLES if table.name == name)).to_pandas()

    def configure(self, text: str) -> None:
        """Write the configuration."""
        (self.root / "pulse.yaml").write_text(text)

    def pulse(self, *words: str) -> Said:
        """Run the command in this process, which spares the seconds of importing everything again."""
        out, err, code = io.StringIO(), io.StringIO(), 0
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            patch.dict(os.environ, self.environment),
            patch.object(sys, "argv", ["pulse", *words]),
            patch.object(terminal, "console", Console(highlight=False, width=WIDTH)),
            patch.object(terminal, "problems", Console(stderr=True, highlight=False, width=WIDTH)),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # as in a process of its own
            try:
                main()
            except SystemExit as leaving:
                code = int(leaving.code or 0)
        return Said(code, out.getvalue(), err.getvalue())


def write_good(folder: Path) -> None:
    """Write two random walks of 150 weekdays."""
    noise = np.random.default_rng(7).normal(0, 0.01, (2, len(DAYS)))
    for name, steps in zip(("AAA", "BBB"), noise, strict=True):
        prices = np.round(100 * np.exp(np.cumsum(steps)), 2)
        pd.DataFrame({"date": DAYS.strftime("%Y-%m-%d"), "close": prices}).to_csv(folder / f"{name}.csv", index=False)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Said]:
    """Return a lake after one run over a folder with two good files and every bad one."""
    world = World(tmp_path_factory.mktemp("world"))
    folder = world.root / "data"
    folder.mkdir()
    write_good(folder)
    for bad in MATRIX:
        bad.write(folder / bad.name)
    world.configure("sources:\n  - {use: folder, name: mine, path: data, unit: USD}\n")
    return world, world.pulse("run")


@pytest.fixture
def world(first_run: tuple[World, Said]) -> World:
    return first_run[0]


@pytest.fixture
def empty(tmp_path: Path) -> World:
    """Return a world with one small good file in which nothing was run yet."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "AAA.csv").write_text("date,close\n2024-06-03,1\n")
    world = World(tmp_path)
    world.configure("sources:\n  - {use: folder, name: mine, path: data}\n")
    return world


def test_a_run_over_bad_files_says_by_its_exit_code_that_rows_were_refused(first_run: tuple[World, Said]) -> None:
    _, said = first_run
    assert said.code == REFUSED == 3
    assert "were refused: `pulse show quarantine`" in said.err
    assert "Traceback" not in said.out + said.err


@pytest.mark.parametrize("bad", MATRIX, ids=[shown(bad.name) for bad in MATRIX])
def test_each_bad_file_is_in_the_quarantine_with_its_reason(world: World, bad: Bad) -> None:
    refused = world.rows("bronze/quarantine")
    assert set(refused.loc[refused["origin"] == shown(bad.name), "reason"]) == {bad.reason}


def test_the_rest_of_the_batch_lands(world: World) -> None:
    held = world.rows("bronze/market_bars").groupby("symbol").size().to_dict()
    expected = {Path(bad.name).stem: 1 for bad in MATRIX if bad.lands}
    assert held == expected | {"AAA": len(DAYS), "BBB": len(DAYS)}


def test_good_series_are_forecast_beside_bad_files(world: World) -> None:
    made = world.rows("gold/forecasts")
    newest = made[made["as_of"] == made["as_of"].max()]
    assert {"mine:AAA", "mine:BBB"} <= set(newest["unique_id"])


def test_progress_off_a_terminal_is_plain_lines(first_run: tuple[World, Said]) -> None:
    _, said = first_run
    lines = said.out.splitlines()
    assert lines[0] == "ingest …"
    assert any(line.endswith("s  ingest done") for line in lines)
    assert any(line.endswith("s  gold/forecasts done") for line in lines)
    assert "\x1b" not in said.out
    assert "\r" not in said.out


def test_a_run_ends_with_tables_forecasts_and_where_to_look_next(first_run: tuple[World, Said]) -> None:
    _, said = first_run
    assert "silver/series" in said.out
    assert "Forecasts as of 2024-07-29" in said.out
    assert "Where to look next" in said.out


def test_a_second_run_duplicates_nothing_and_still_says_what_was_refused(world: World) -> None:
    before = world.counts()
    said = world.pulse("run")
    assert said.code == REFUSED
    assert world.counts() == before
    assert set(world.rows("ops/ingests").sort_values("started_at")["outcome"][-1:]) == {"unchanged"}


def test_a_backfill_of_days_that_are_there_changes_no_counts_and_ends_with_scores(world: World) -> None:
    before = world.counts()
    said = world.pulse("backfill", "--from", "2024-07-25", "--to", "2024-07-28")
    assert said.code == REFUSED
    assert "2024-07-25 to 2024-07-28 …" in said.out
    assert "Mean scores known by 2024-07-28" in said.out
    assert world.counts() == before


def test_a_run_can_be_told_its_day(world: World) -> None:
    said = world.pulse("run", "--as-of", "2024-07-29")
    assert said.code == REFUSED
    assert "as of 2024-07-29 …" in said.out
    assert "Forecasts as of 2024-07-29" in said.out


def test_the_real_command_leaves_with_the_same_code(world: World) -> None:
    script = Path(sys.executable).with_name("pulse")
    done = subprocess.run(
        [script, "show", "quarantine"],
        env=os.environ | world.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (OK, "")
    assert "link_outside_folder" in done.stdout


def test_status_after_a_run_names_tables_and_the_run(world: World) -> None:
    said = world.pulse("status")
    assert said.code == OK
    assert "gold/licences" in said.out
    assert "success" in said.out


def test_status_before_any_run_says_so(empty: World) -> None:
    said = empty.pulse("status")
    assert said.code == OK
    assert "last run: none yet; `pulse run` launches one" in said.out
    assert "no tables yet" in said.out


@pytest.mark.parametrize("view", ["forecasts", "licences", "scores", "series", "sources", "quarantine"])
def test_every_view_shows_rows(world: World, view: str) -> None:
    said = world.pulse("show", view)
    assert (said.code, said.err) == (OK, "")
    assert "no rows" not in said.out


def test_every_table_can_be_shown(world: World) -> None:
    for table in TABLES:
        assert world.pulse("show", table.name, "--limit", "1").code == OK


def test_what_a_source_wrote_is_shown_as_it_is_and_not_taken_for_markup(world: World) -> None:
    assert "[/red] [bold" in world.pulse("show", "quarantine", "--limit", "1000").out


def test_a_view_can_be_narrowed_to_series(world: World) -> None:
    said = world.pulse("show", "licences", "--series", "aaa")
    assert "mine:AAA" in said.out
    assert "mine:BBB" not in said.out


@pytest.mark.parametrize("name", ["mine:AAA", "aaa", "e:A"])
def test_all_about_one_series_is_shown_by_its_id_or_a_part_that_no_other_has(world: World, name: str) -> None:
    said = world.pulse("show", "forecast", name, "--limit", "1000")
    assert (said.code, said.err) == (OK, "")
    titles = ("Newest values of mine:AAA", "Forecasts as of 2024-07-29", "Licences as of", "Mean scores known by")
    assert all(title in said.out for title in titles)
    for model in ("naive", "pulse", "seasonal_naive"):
        assert len(re.findall(rf"^{model} +\d+ +2024-0[78]-\d\d", said.out, re.MULTILINE)) == 5
    assert "BBB" not in said.out


def test_one_series_is_shown_with_the_members_of_its_forecast(world: World) -> None:
    members = world.rows("gold/forecast_members")
    here = members[(members["unique_id"] == "mine:AAA") & (members["as_of"] == members["as_of"].max())]
    said = world.pulse("show", "forecast", "AAA")
    assert "What the pooled forecast is made of" in said.out
    assert all(re.search(rf"^{name} +0\.", said.out, re.MULTILINE) for name in here["member"])


def test_one_series_is_drawn_as_it_was_known_on_a_day(world: World, tmp_path: Path) -> None:
    said = world.pulse("show", "forecast", "AAA", "--as-of", "2024-07-25", "--plot", str(tmp_path / "sheet.png"))
    assert (said.code, said.err) == (OK, "")
    assert "as known on 2024-07-25" in said.out
    assert "2024-07-26 22:00:00" not in said.out
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_a_day_that_was_not_computed_shows_the_history_and_says_so(world: World, tmp_path: Path) -> None:
    said = world.pulse("show", "forecast", "AAA", "--as-of", "2024-07-28", "--plot", str(tmp_path / "sheet.png"))
    assert said.code == OK
    assert "2024-07-26" in said.out
    assert "2024-07-28 was not computed" in said.out


@pytest.mark.parametrize(
    ("words", "said_so"),
    [
        (("forecast", "mine:"), "may be any of mine:AAA, mine:BBB"),
        (("forecast", "mine:AAB"), "did you mean mine:AAA"),
        (("forecast", "%%%"), "`pulse show series` lists them"),
        (("forecast",), "which series?"),
        (("forecast", "AAA", "--series", "BBB"), "two series were asked for"),
        (("forecast", "AAA", "--plot", "x.jpg"), "--plot must end in .png"),
        (("licences", "AAA", "--plot", "x.png"), "--plot belongs to `pulse show forecast UNIQUE_ID`"),
    ],
)
def test_a_series_that_is_not_one_is_one_clear_line(world: World, words: tuple[str, ...], said_so: str) -> None:
    said = world.pulse("show", *words)
    assert said.code == USAGE
    assert said.is_one_clear_line
    assert said_so in said.err


def test_the_second_word_narrows_any_view(world: World) -> None:
    assert world.pulse("show", "licences", "AAA") == world.pulse("show", "licences", "--series", "AAA")


def test_an_unknown_table_is_answered_with_those_there_are(world: World) -> None:
    said = world.pulse("show", "forcasts")
    assert said.code == USAGE
    assert said.is_one_clear_line
    assert "nothing is called 'forcasts'" in said.err
    assert "forecasts, licences" in said.err


def test_a_table_that_was_never_made_is_one_clear_line(empty: World) -> None:
    said = empty.pulse("show", "forecasts")
    assert said.code == FAILED
    assert said.is_one_clear_line
    assert "`pulse run` makes one" in said.err


def test_explain_says_why_and_that_it_adds_up(world: World) -> None:
    said = world.pulse("explain", "mine:AAA")
    assert said.code == OK
    assert re.search(r"^\w+, 1 steps ahead: (licensed, tier [ABC]|fallback)  <- take this one$", said.out, re.MULTILINE)
    assert any(f"  {code}: {words}" in said.out for code, words in REASONS.items())
    assert "every decision of the day adds up again from its row; the chain vouches for the day" in said.out


def test_explain_finds_out_who_changed_a_decision(first_run: tuple[World, Said], tmp_path: Path) -> None:
    forged = World(tmp_path / "world")
    shutil.copytree(first_run[0].root / "lake", forged.root / "lake")
    forged.configure((first_run[0].root / "pulse.yaml").read_text())
    lake = Lake(str(forged.root / "lake"))
    rows = lake.read(LICENCES)
    day = max(rows["as_of"].to_pylist())
    today = rows.filter(pc.equal(rows["as_of"], pa.scalar(day)))
    states = pa.array(["licensed" for _ in range(len(today))])
    lake.overwrite(
        LICENCES, today.set_column(today.column_names.index("state"), "state", states), Partitions.of("as_of", [day])
    )
    said = forged.pulse("explain", "mine:AAA")
    assert "DOES NOT ADD UP" in said.out
    assert "THE CHAIN DOES NOT HOLD" in said.out
    assert f"of {day} were changed after they were hashed" in said.out


@pytest.mark.parametrize("words", [("explain", "nobody"), ("explain", "mine:AAA", "--as-of", "1995-01-02")])
def test_explain_refuses_what_it_knows_nothing_about(world: World, words: tuple[str, ...]) -> None:
    said = world.pulse(*words)
    assert said.code == USAGE
    assert said.is_one_clear_line


def test_trust_is_shown_and_drawn_for_all_and_for_one(world: World, tmp_path: Path) -> None:
    for words in (("show", "trust"), ("show", "trust", "mine:AAA")):
        picture = tmp_path / f"{len(words)}.png"
        said = world.pulse(*words, "--plot", str(picture))
        assert said.code == OK
        assert "Trust in forecasts of" in said.out
        assert "Decisions as of" in said.out
        assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_works(empty: World, command: str) -> None:
    said = empty.pulse(command, "--help")
    assert said.code == OK
    assert "Usage: pulse" in said.out
    assert "Exit codes: 0 done; 1 a run" in " ".join(said.out.split())


def test_help_names_every_command_and_exit_code(empty: World) -> None:
    said = empty.pulse("--help")
    assert said.code == OK
    assert all(f"  {command.callback.__name__} " in said.out for command in app.registered_commands)
    assert sorted(command.callback.__name__ for command in app.registered_commands) == sorted(COMMANDS)
    told = " ".join(said.out.split())
    assert "Exit codes: 0 done; 1 a run or a blocking check failed; 2 wrong usage or configuration; 3 done, but" in told


@pytest.mark.parametrize(
    ("config", "said_so"),
    [
        ("sources: [", "is no YAML"),
        ("sources: none\n", "expected `sources:` with a list"),
        ("- 1\n", "expected `sources:` with a list"),
        ("", "expected `sources:` with a list"),
        ("sources:\n  - {use: foldr}\n", "Did you mean 'folder'?"),
        ("sources:\n  - {use: folder, path: nowhere}\n", "nowhere is no folder; create it or mend `path`"),
        ("sources:\n  - {use: folder}\n", "does not take these options"),
        ("sources:\n  - {use: folder, path: data, colour: red}\n", "does not take these options"),
        ("sources:\n  - {use: folder, path: data, lag_hours: soon}\n", "does not take these options"),
        ("sources:\n  - {use: folder, path: data, columns: {price: x}}\n", "ours are"),
        ("sources:\n  - {use: folder, path: data}\n  - {use: folder, path: data}\n", "two sources are called 'folder'"),
    ],
)
def test_a_wrong_configuration_is_one_clear_line_before_anything_runs(empty: World, config: str, said_so: str) -> None:
    empty.configure(config)
    said = empty.pulse("run")
    assert said.code == USAGE
    assert said.is_one_clear_line
    assert said_so in " ".join(said.err.split())
    assert "ingest" not in said.out


def test_a_configuration_that_is_not_there_is_one_clear_line(empty: World) -> None:
    said = empty.pulse("run", "--config", str(empty.root / "none.yaml"))
    assert said.code == USAGE
    assert said.is_one_clear_line
    assert "No such file" in said.err


@pytest.mark.parametrize(
    ("words", "said_so"),
    [
        (("backfill", "--from", "2024-06-02", "--to", "2024-06-02"), "no weekday between 2024-06-02 and 2024-06-02"),
        (("backfill", "--from", "2024-06-05", "--to", "2024-06-03"), "no weekday between"),
        (("backfill", "--from", "2024-06-03", "--to", "2190-01-01"), "the future is not known yet"),
        (("backfill", "--from", "1980-01-01", "--to", "2024-06-03"), "the first partition is"),
        (("run", "--as-of", "2190-01-01"), "the future is not known yet"),
        (("run", "--as-of", "2024-06-02"), "no weekday between"),
        (("run", "--again", "--as-of", "1980-01-01"), "the first partition is"),
    ],
)
def test_a_day_that_is_no_partition_is_wrong_usage(empty: World, words: tuple[str, ...], said_so: str) -> None:
    said = empty.pulse(*words)
    assert said.code == USAGE
    assert said.is_one_clear_line
    assert said_so in said.err
    assert not (empty.root / "lake").exists()


def test_a_date_that_is_none_is_wrong_usage(empty: World) -> None:
    assert empty.pulse("run", "--as-of", "yesterday").code == USAGE


def test_sources_are_listed_as_installed_and_configured(empty: World) -> None:
    said = empty.pulse("sources")
    assert said.code == OK
    assert "installed: folder (pulse_resources.sources.folder:FolderSource)" in said.out
    assert "configured: mine (FolderSource)" in said.out


def test_a_folder_with_nothing_good_in_it_is_one_clear_line(empty: World) -> None:
    (empty.root / "data" / "AAA.csv").write_text("date,close\n2024-06-03,ten\n")
    said = empty.pulse("run")
    assert said.code == FAILED
    assert said.is_one_clear_line
    assert "no source has delivered an accepted row: see `pulse show quarantine`" in said.err


def test_a_day_before_all_data_is_one_clear_line(world: World) -> None:
    said = world.pulse("explain", "mine:AAA", "--as-of", "1995-01-02")
    assert said.is_one_clear_line
    assert "no series was known on 1995-01-02" in said.err
