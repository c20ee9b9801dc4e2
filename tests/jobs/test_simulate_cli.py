"""``pulse simulate`` and ``pulse replay`` as a person meets them: the first command ever typed, digests, mistakes."""

import re
from pathlib import Path

import pandas as pd
import pytest

from jobs.terminal import FAILED, OK, USAGE
from pulse_assets.simulation.tables import BLOCKS, RULE_AUDIT, RUNS, SIMULATIONS
from tests.assets.simulation.small_lake import RULE, WRITTEN, past, write
from tests.jobs.test_cli import Said, World

pytestmark = pytest.mark.slow

SMALL = ("--paths", "512", "--steps", "5", "--rules", "none")
SOURCES = """
sources:
  - {use: folder, name: f, path: data/f, unit: USD, freq: B}
  - {use: folder, name: v, path: data/v, kind: volatility, unit: percent per year, freq: B}
  - {use: folder, name: m, path: data/m, kind: rate, unit: percent per year, freq: MS}
"""
DAY = "2020-06-30"


@pytest.fixture(scope="module")
def first_command(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Said]:
    """Return a lake after the first command that anyone typed."""
    world = World(tmp_path_factory.mktemp("world"))
    write(past(), world.root / "data")
    world.configure(SOURCES)
    return world, world.pulse("simulate", *SMALL, "--seed", "7", "--print-hash")


@pytest.fixture
def world(first_command: tuple[World, Said]) -> World:
    return first_command[0]


def last_line(said: Said) -> str:
    assert said.code == OK, said.err
    return said.out.splitlines()[-1]


def versions(world: World) -> dict[str, int]:
    """Return the versions of all tables that simulations write, to see that none moved."""
    return {
        contract.name: world.lake.open(contract).version()
        for contract in (*WRITTEN, BLOCKS)
        if world.lake.exists(contract)
    }


def test_the_first_command_ever_typed_ingests_simulates_and_prints_a_digest(first_command: tuple[World, Said]) -> None:
    _, said = first_command
    assert re.fullmatch(r"[0-9a-f]{64}", last_line(said))
    assert "Traceback" not in said.out + said.err
    assert said.out.splitlines()[0] == "ingest …"
    assert f"Risk as of {DAY}" in said.out
    assert "After 5 business days" in said.out
    assert "base: run " in said.out


def test_every_mode_prints_the_same_digest(first_command: tuple[World, Said]) -> None:
    world, said = first_command
    for mode in ("inline", "threads"):
        again = world.pulse("simulate", *SMALL, "--seed", "7", "--compute", mode, "--print-hash")
        assert last_line(again) == last_line(said)
    assert last_line(world.pulse("simulate", *SMALL, "--seed", "8", "--print-hash")) != last_line(said)


def test_several_scenarios_have_one_digest_whatever_their_order(world: World) -> None:
    names = ("--scenario", "base", "--scenario", "volatility_spike")
    words = ("simulate", *SMALL, "--print-hash")
    there, back = world.pulse(*words, *names), world.pulse(*words, *names[2:], *names[:2])
    assert last_line(there) == last_line(back) != last_line(world.pulse(*words))


def test_a_shock_that_is_left_out_is_said(world: World) -> None:
    said = world.pulse("simulate", *SMALL, "--scenario", "volatility_spike")
    assert said.code == OK
    assert "left out: shipped volatility_spike.yaml" in said.out


def test_a_range_of_days_is_one_run(world: World) -> None:
    said = world.pulse("simulate", *SMALL, "--as-of", "2020-06-01", "--to", "2020-06-03")
    assert said.code == OK
    assert "simulate 2020-06-01 to 2020-06-03 …" in said.out
    days = world.rows(RUNS.name)["as_of"].astype(str)
    assert {"2020-06-01", "2020-06-02", "2020-06-03"} <= set(days)


def test_positions_of_a_portfolio_are_those_given(world: World) -> None:
    words = ("--position", "alpha=1000", "--position", "beta=-500", "--allow-short", "--capital", "2000")
    said = world.pulse("simulate", *SMALL, *words)
    assert said.code == OK
    assert "USD" in said.out
    rows = world.rows(SIMULATIONS.name)
    exposure = rows[(rows["variable"] == "net_exposure_usd") & (rows["as_of"].astype(str) == DAY)]
    assert exposure["q500"].between(400, 600).all()


def run_of(world: World, *words: str) -> pd.Series:
    """Simulate the newest day and return its run."""
    assert world.pulse("simulate", *SMALL, *words).code == OK
    runs = world.rows(RUNS.name)
    return runs[runs["as_of"].astype(str) == DAY].iloc[0]


def test_a_replayed_path_ends_with_the_outcome_of_the_run(world: World, tmp_path: Path) -> None:
    """The mean over all paths is the mean that the run recorded."""
    run = run_of(world, "--paths", "16", "--seed", "5")
    ends = []
    for path in range(16):
        file = tmp_path / f"{path}.csv"
        assert world.pulse("replay", run["run_id"], str(path), "--output", str(file)).code == OK
        steps = pd.read_csv(file)
        assert steps["step"].tolist() == [1, 2, 3, 4, 5]
        ends.append(steps.iloc[-1])
    rows = world.rows(SIMULATIONS.name)
    rows = rows[(rows["run_id"] == run["run_id"]) & (rows["step"] == 5)].set_index("variable")
    for name in ("alpha", "beta", "gamma", "pnl_usd"):
        assert sum(end[name] for end in ends) / 16 == pytest.approx(rows.loc[name, "mean"], rel=1e-4, abs=1e-5)


def test_a_replayed_path_is_printed_by_the_first_digits_of_its_run(world: World) -> None:
    run = run_of(world)
    said = world.pulse("replay", run["run_id"][:8], "3")
    assert said.code == OK
    assert f"Path 3 of base as of {DAY}, run {run['run_id']}" in said.out
    assert len(re.findall(r"^ *[1-5] ", said.out, re.MULTILINE)) == 5


def test_every_day_of_a_range_can_be_replayed(world: World) -> None:
    assert world.pulse("simulate", *SMALL, "--as-of", "2020-05-28", "--to", "2020-06-02").code == OK
    runs = world.rows(RUNS.name)
    for day in ("2020-05-28", "2020-06-02"):
        run = runs[runs["as_of"].astype(str) == day].iloc[0]
        assert world.pulse("replay", run["run_id"], "0").code == OK


def test_rules_that_fire_are_shown_and_marked_on_the_path(world: World, tmp_path: Path) -> None:
    """All paths together show as many fires as the audit counts."""
    (tmp_path / "rule.yaml").write_text(RULE)
    said = world.pulse("simulate", "--paths", "40", "--steps", "5", "--rules", str(tmp_path / "rule.yaml"))
    assert said.code == OK
    assert "Causal rules that fired" in said.out
    run = re.search(r"base: run ([0-9a-f]{32})", said.out)
    assert run is not None
    marks = []
    for path in range(40):
        file = tmp_path / f"{path}.csv"
        assert world.pulse("replay", run[1], str(path), "--output", str(file)).code == OK
        marks += pd.read_csv(file)["fired"].dropna().tolist()
    audit = world.rows(RULE_AUDIT.name)
    assert marks == ["losses_go_on"] * int(audit.loc[audit["run_id"] == run[1], "fires"].sum()) != []


@pytest.mark.parametrize(
    ("words", "said_so"),
    [
        (("abc", "0"), "give at least 6 digits of the run's id"),
        (("ffffffff", "0"), "no run begins with 'ffffffff'"),
        (("RUN", "PATHS"), "has paths 0 to"),
        (("RUN", "-1"), "-1"),
        (("RUN", "0", "--output", "path.txt"), "--output must end in .csv or .parquet"),
    ],
)
def test_a_replay_of_nothing_is_one_clear_line(world: World, words: tuple[str, ...], said_so: str) -> None:
    run = world.rows(RUNS.name).iloc[0]
    known = {"RUN": str(run["run_id"]), "PATHS": str(run["paths"])}
    said = world.pulse("replay", *(known.get(word, word) for word in words))
    assert said.code == USAGE
    assert said_so in said.err
    assert "Traceback" not in said.err


SCENARIO = "name: mine\nshocks:\n  - {{kind: add, variable: {variable}, by: {by}}}\n"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nname: [*b, *b, *b, *b, *b, *b, *b]\n"
CIRCLE = """
rules:
  - {id: up, version: 1, when: "change(fear, 1) > 0.1 [log return]", rationale: r, source: s,
     effects: [{target: fear, multiply: 1.5}]}
  - {id: up_again, version: 1, when: "change(fear, 1) > 0.2 [log return]", rationale: r, source: s,
     effects: [{target: fear, multiply: 1.5}]}
"""


@pytest.mark.parametrize(
    ("words", "files", "said_so"),
    [
        (("--scenario", "energy_crises"), {}, "no scenario 'energy_crises'"),
        (("--scenario", "FILE/none.yaml"), {}, "none.yaml is no file"),
        (("--scenario", "base", "--scenario", "base"), {}, "scenario 'base' was asked for twice"),
        (("--scenario", "FILE/s.yaml"), {"s.yaml": BOMB}, "s.yaml:2: aliases (*a) are not allowed"),
        (("--scenario", "FILE/s.yaml"), {"s.yaml": "name: [\n"}, "s.yaml:2: this is no YAML"),
        (("--scenario", "FILE/s.yaml"), {"s.yaml": "- 1\n"}, "s.yaml:1: a scenario is a mapping"),
        (("--scenario", "FILE/s.yaml"), {"s.yaml": "name: mine\nshock: []\n"}, "s.yaml:2: shock"),
        (
            ("--scenario", "FILE/a.yaml"),
            {"a.yaml": "name: a\nparent: b.yaml\n", "b.yaml": "name: b\nparent: a.yaml\n"},
            "parent: 'a' would continue itself through",
        ),
        (("--scenario", "FILE/s.yaml"), {"s.yaml": "name: mine\ndisable_rules: [R7]\n"}, "s.yaml:2: "),
        (("--scenario", "FILE/s.yaml"), {"s.yaml": "name: mine\nportfolio: {positions: {alpha: -5}}\n"}, "s.yaml:2: "),
        (("--rules", "FILE/r.yaml"), {}, "r.yaml"),
        (("--rules", "FILE/r.yaml"), {"r.yaml": RULE.replace("version: 1", "version: 0")}, "r.yaml:4: rules.0.version"),
        (("--rules", "FILE/r.yaml"), {"r.yaml": RULE.replace("< -0.02", "<< 2")}, "r.yaml:5: "),
        (("--rules", "defalt"), {}, "defalt"),
        (("--world", "nowhere"), {}, "no world 'nowhere': give a .yaml file, or one of embedded"),
        (("--world", "FILE/w.yaml"), {}, "w.yaml"),
        (("--world", "FILE/w.yaml"), {"w.yaml": "assets: {}\n"}, "w.yaml:1: assets: "),
        (
            ("--world", "FILE/w.yaml"),
            {"w.yaml": 'assets: {a: "f:alpha"}\nwindow_days: .nan\n'},
            "w.yaml:2: window_days",
        ),
        (("--world", "FILE/w.yaml"), {"w.yaml": 'assets: {a: "f:alpha"}\nvolatility: grj\n'}, "w.yaml:2: volatility"),
        (
            ("--scenario", "FILE/s.yaml"),
            {"s.yaml": SCENARIO.format(variable="rate", by="+3 %")},
            "s.yaml:3: shocks.0.add: ",
        ),
        (("--paths", "0"), {}, "paths"),
        (("--paths", "-5"), {}, "paths"),
        (("--paths", "1000000000000"), {}, "paths, got 1,000,000,000,000"),
        (("--paths", "1000000000000000"), {}, "paths, got 1,000,000,000,000,000"),
        (("--steps", "0"), {}, "step"),
        (("--steps", "5000"), {}, "expected 1 to 2,600 steps, about ten years of days, got 5,000"),
        (("--position", "alpha"), {}, "--position takes NAME=USD, such as SPX=250000; came 'alpha'"),
        (("--position", "alpha=nan"), {}, "the position in 'alpha' must be a finite number of USD; came nan"),
        (("--position", "alpha=-5"), {}, "the position in 'alpha' is short, -5.0 USD; set allow_short to permit that"),
        (("--position", "alpha=0"), {}, "give at least one position that is not 0"),
        (("--position", "alpha=5", "--capital", "-1"), {}, "capital_usd must be a positive number of USD; came -1.0"),
        (("--capital", "-1"), {}, "capital"),
        (("--position", "alpha=5", "--policy", "gamble"), {}, "gamble"),
        (("--target-error", "-1"), {}, "target"),
        (("--compute", "dusk"), {}, "PULSE_COMPUTE is 'dusk'"),
        (("--compute", "tcp://nowhere"), {}, "tcp://nowhere"),
        (("--as-of", "2020-06-28"), {}, "no weekday between"),
        (("--as-of", "2190-01-01"), {}, "the future is not known yet"),
        (("--to", "2020-06-28"), {}, "--to needs --as-of"),
        (("--config", "FILE/none.yaml"), {}, "No such file"),
    ],
)
def test_a_mistake_is_one_clear_line_before_anything_runs(
    world: World, tmp_path: Path, words: tuple[str, ...], files: dict[str, str], said_so: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    before = versions(world)
    fixed = SMALL if "--rules" not in words else SMALL[:4]
    said = world.pulse("simulate", *fixed, *(word.replace("FILE", str(tmp_path)) for word in words))
    assert (said.code, said.out) == (USAGE, "")
    assert said.is_one_clear_line
    assert said_so in said.err
    assert "pydantic" not in said.err
    assert len(said.err.splitlines()) == 1
    assert versions(world) == before


@pytest.mark.parametrize(
    ("words", "files", "said_so"),
    [
        (
            ("--scenario", "energy_crisis"),
            {},
            "energy_crisis.yaml:11: shocks.0 (conditional): the world has no variable 'WTI'",
        ),
        (
            ("--scenario", "FILE/s.yaml"),
            {"s.yaml": SCENARIO.format(variable="alpah", by=0.1)},
            "s.yaml:3: shocks.0 (add): ",
        ),
        (("--scenario", "FILE/s.yaml"), {"s.yaml": SCENARIO.format(variable="alpha", by="+3 pp")}, "s.yaml:3: "),
        (
            ("--position", "delta=5"),
            {},
            "there is a position in 'delta', nothing in the world; its assets: alpha, beta",
        ),
        (("--position", "rate=5"), {}, "there is a position in 'rate', a factor, which has no price, in the world"),
        (
            ("--rules", "FILE/r.yaml"),
            {"r.yaml": RULE.replace("alpha", "alpah")},
            ": rule 'losses_go_on': there is no variable 'alpah' in the world",
        ),
        (("--rules", "FILE/r.yaml"), {"r.yaml": CIRCLE}, "these rules keep each other alight"),
        (("--as-of", "2018-03-01"), {}, "no series of 600 daily prices or more is known"),
        (
            ("--as-of", "2018-03-01", "--world", "FILE/w.yaml"),
            {"w.yaml": 'assets: {a: "f:alpha"}\n'},
            "world of 2018-03-01: no asset is left (a: ",
        ),
        (("--world", "FILE/w.yaml"), {"w.yaml": 'assets: {a: "f:alhpa"}\n'}, "no asset is left (a: "),
        (("--world", "embedded"), {}, "SPX"),
    ],
)
def test_what_only_the_day_can_tell_is_clear_at_one_glance(
    world: World, tmp_path: Path, words: tuple[str, ...], files: dict[str, str], said_so: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    before = versions(world)
    fixed = SMALL if "--rules" not in words else SMALL[:4]
    said = world.pulse("simulate", *fixed, *(word.replace("FILE", str(tmp_path)) for word in words))
    assert said.code == FAILED
    assert "Traceback" not in said.out + said.err
    assert said_so in said.err
    assert len(said.err.splitlines()) <= 3
    assert versions(world) == before


def test_a_failed_first_command_leaves_no_table_of_the_simulation(tmp_path: Path) -> None:
    world = World(tmp_path)
    write(past(), world.root / "data")
    world.configure(SOURCES)
    assert world.pulse("simulate", *SMALL, "--position", "delta=5").code == FAILED
    assert versions(world) == {}


def test_an_empty_folder_is_one_clear_line(tmp_path: Path) -> None:
    world = World(tmp_path)
    (tmp_path / "data").mkdir()
    world.configure("sources:\n  - {use: folder, name: f, path: data}\n")
    said = world.pulse("simulate", *SMALL)
    assert said.code == FAILED
    assert said.is_one_clear_line
    assert "no source has delivered an accepted row" in said.err
