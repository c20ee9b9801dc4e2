"""``pulse show simulation`` as a person meets it, on a small real lake."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pyarrow as pa
import pytest
from rich.console import Console

from jobs import commands, terminal
from jobs.one_simulation import look_up, picture, views
from pulse_assets.simulation.tables import RULE_AUDIT, SIMULATION_RISK
from pulse_resources.errors import ConfigError, TableMissingError
from pulse_resources.lake import Lake, Partitions
from tests.assets.simulation.simulated_days import DAY, LATER, PATHS, STEPS, day_tables, write_day

PNG = b"\x89PNG\r\n\x1a\n"
CRISIS = "energy_crisis"
MISSING = date(2018, 6, 5)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Return a lake with two simulated days."""
    lake = Lake(str(tmp_path_factory.mktemp("simulated") / "lake"), durable=False)
    for day in (DAY, LATER):
        write_day(lake, day)
    return lake


@contextmanager
def opened(lake: Lake) -> Iterator[SimpleNamespace]:
    """Stand in for the run history, which nothing here looks at."""
    yield SimpleNamespace(lake=lake)


def shown(lake: Lake, *, which: str | None, as_of: date | None = None, plot: Path | None = None) -> str:
    """Return what the command prints."""
    out = io.StringIO()
    console = Console(file=out, highlight=False, width=1000)
    with patch.object(commands, "opened", lambda: opened(lake)), patch.object(terminal, "console", console):
        commands.print_what("simulation", as_of, which, 100, plot)
    return out.getvalue()


def test_the_newest_simulation_of_a_scenario_is_found(simulated: Lake) -> None:
    one = look_up(simulated, None, CRISIS)
    assert (one.scenario, one.day, one.others) == (CRISIS, LATER, ("base",))
    assert set(one.risk["as_of"].to_pylist()) == {LATER}
    assert set(one.risk["scenario"].to_pylist()) == {CRISIS}
    assert set(one.simulations["scenario"].to_pylist()) == {CRISIS, "base"}


def test_a_day_may_be_asked_for(simulated: Lake) -> None:
    one = look_up(simulated, DAY, CRISIS)
    assert one.day == DAY
    assert sorted(one.risk.to_pylist(), key=str) == sorted(_stored(DAY, "gold/simulation_risk").to_pylist(), key=str)


def _stored(day: date, table: str) -> pa.Table:
    rows = day_tables(day)[table]
    return rows.filter([name == CRISIS for name in rows["scenario"].to_pylist()])


def test_without_a_name_it_is_the_base(simulated: Lake) -> None:
    assert look_up(simulated, None, None).scenario == "base"


def test_without_a_name_and_a_base_it_is_the_first_of_the_day(lake: Lake) -> None:
    rows = _stored(DAY, "gold/simulation_risk")
    lake.overwrite(SIMULATION_RISK, rows, Partitions.of("as_of", [DAY]))
    one = look_up(lake, None, None)
    assert (one.scenario, one.others, len(one.divergence)) == (CRISIS, (), 0)


def test_the_case_of_a_name_does_not_matter(simulated: Lake) -> None:
    assert look_up(simulated, None, "Energy_Crisis").scenario == CRISIS


@pytest.mark.parametrize(
    ("scenario", "as_of", "said"),
    [
        ("energy_crysis", None, r"no scenario called 'energy_crysis' was simulated; did you mean energy_crisis\?"),
        ("%%%", None, "those simulated are base, energy_crisis$"),
        (CRISIS, MISSING, "not simulated as of 2018-06-05; it was as of 2 days from 2018-06-01 to 2018-06-04"),
        (CRISIS, MISSING, "`pulse simulate --scenario energy_crisis --as-of 2018-06-05` makes one"),
        (None, MISSING, "nothing was simulated as of 2018-06-05"),
    ],
)
def test_what_was_not_simulated_is_one_clear_line(
    simulated: Lake, scenario: str | None, as_of: date | None, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        look_up(simulated, as_of, scenario)


@pytest.mark.parametrize("scenario", [None, CRISIS])
def test_an_empty_lake_says_what_fills_it(lake: Lake, scenario: str | None) -> None:
    with pytest.raises(TableMissingError, match="`pulse simulate` makes one"):
        look_up(lake, None, scenario)


def test_risk_distributions_rules_and_differences_are_shown(simulated: Lake) -> None:
    said = shown(simulated, which=CRISIS)
    run = look_up(simulated, None, CRISIS).risk["run_id"][0].as_py()
    assert f"Risk of energy_crisis as of 2018-06-04: {STEPS} business days, {PATHS} paths" in said
    assert f"Run {run}." in said
    for title in ("Distributions after 10 business days", "Causal rules", "Differences of energy_crisis from base"):
        assert title in said
    for word in ("value_at_risk", "shortfall_of", "net_exposure_usd", "spread", "Simulated on the same day: base."):
        assert word in said


def test_the_risk_of_the_portfolio_comes_before_that_of_its_parts(simulated: Lake) -> None:
    rows = views(look_up(simulated, None, CRISIS))[0].rows.to_pylist()
    assert [(row["measure"], row["level"]) for row in rows[:3]] == [
        ("mean_pnl", 0),
        ("value_at_risk", 0.95),
        ("value_at_risk", 0.975),
    ]
    parts = [row["value"] for row in rows if row["measure"] == "shortfall_of"]
    assert parts == sorted(parts, reverse=True)
    assert len(rows) == len(look_up(simulated, None, CRISIS).risk)


def test_the_base_differs_from_nothing(simulated: Lake) -> None:
    said = shown(simulated, which=None)
    assert "Risk of base as of" in said
    assert "Differences" not in said


def test_distributions_are_those_of_the_last_step(simulated: Lake) -> None:
    rows = views(look_up(simulated, None, CRISIS))[1].rows
    names = rows["variable"].to_pylist()
    assert len(names) == len(set(names)) == 4 + 4


def test_rules_that_fired_come_first_and_say_else_why_not(simulated: Lake) -> None:
    rows = views(look_up(simulated, None, CRISIS))[2].rows.to_pylist()
    assert [(row["rule"], row["state"]) for row in rows] == [
        ("fear_follows_losses", "active"),
        ("fear_is_endless", "active"),
        ("gold_shines", "inactive"),
    ]
    assert rows[0]["fires"] > rows[1]["fires"] == 0
    assert "gold" in rows[2]["reason"]


def test_a_simulation_without_rules_has_no_table_of_them(simulated: Lake, lake: Lake) -> None:
    write_day(lake, DAY)
    lake.overwrite(RULE_AUDIT, RULE_AUDIT.empty(), Partitions.of("as_of", [DAY]))
    one = look_up(lake, None, CRISIS)
    assert [view.title.split()[0] for view in views(one)] == ["Risk", "Distributions", "Differences"]
    assert picture(one).startswith(PNG)


def test_a_simulation_is_drawn(simulated: Lake, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    said = shown(simulated, which=CRISIS, plot=sheet)
    assert f"drew {sheet}" in said
    assert sheet.read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("what", "plot"), [("simulation", "x.jpg"), ("licences", "x.png"), ("gold/simulations", "x.png")]
)
def test_a_picture_that_cannot_be_is_said_before_anything_is_opened(what: str, plot: str) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.png|--plot belongs to .*`pulse show simulation SCENARIO`"):
        commands.print_what(what, None, None, 10, Path(plot))
