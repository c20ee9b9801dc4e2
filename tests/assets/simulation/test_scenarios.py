"""Scenario files: what ships, what is inherited, what is refused and where, and how forks diverge."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.simulation import program
from pulse_assets.simulation.scenarios import events as scenario_events
from pulse_assets.simulation.scenarios.files import LONGEST_CHAIN, SHIPPED, branch_of
from pulse_assets.simulation.scenarios.scenario import (
    Scenario,
    Shocks,
    combine,
    compile_events,
    compile_scenario,
    load_scenario,
    no_shock,
    parse_scenario,
    shipped_scenarios,
)
from pulse_assets.simulation.world import Variable, World
from pulse_assets.simulation.yaml_text import load_yaml
from tests.assets.simulation.scenario_worlds import small_world

ISSUE = """\
name: crisis
title: Energy crisis
shocks:
  - kind: multiply
    variable: WTI
    by: "+40 %"
    over: 10
regime: stressed
disable_rules: [R7]
"""


def scenario(text: str) -> Scenario:
    return parse_scenario(load_yaml(text, "test.yaml"))


def refused(text: str, **settings: object) -> str:
    with pytest.raises(ValueError, match=r"^test\.yaml:\d") as caught:
        compile_scenario(scenario(text), small_world(), 20, **settings)  # type: ignore[arg-type]
    return str(caught.value)


def saved(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(f"name: {name}\n{text}", encoding="utf-8")
    return folder / f"{list(texts)[-1]}.yaml"


def shipped_world(
    names: tuple[str, ...] = ("SPX", "WTI", "AAPL", "vix", "aaa", "baa", "credit_spread", "core_cpi"),
) -> World:
    """Have the variables that shipped scenarios are about."""
    assets = tuple(Variable(name, "asset", "log return") for name in names if name.isupper())
    log = {"vix", "core_cpi"}
    factors = tuple(
        Variable(name, "macro", "percent per year", "log" if name in log else "linear", 0, 1000)
        for name in names
        if not name.isupper()
    )
    a, f = np.ones(len(assets)), np.ones(len(factors))
    correlation = 0.7 * np.eye(len(names)) + 0.3
    base = small_world()
    return World(
        (*assets, *factors), 0 * a, 0 * a, 0 * a, 0 * a, a, 1e-4 * a, 3 * f, 3 * f, 0.98 * f, 0.05 * f, correlation,
        regimes=base.regimes,
    )  # fmt: skip


def test_the_scenario_of_the_issue_reads_as_it_is_written() -> None:
    shocks = compile_scenario(scenario(ISSUE), small_world(), 20, rule_ids=("R1", "R7"))
    assert shocks.add[:, 1].sum() == pytest.approx(np.log(1.4))
    assert (shocks.regime == 1).all()
    assert shocks.disabled == {"R7"}
    assert not shocks.branch.any()
    assert not shocks.remarks


def test_base_is_no_shock() -> None:
    world = small_world()
    assert compile_scenario(load_scenario("base"), world, 7).fingerprint == no_shock(world, 7).fingerprint


@pytest.mark.parametrize("name", shipped_scenarios())
def test_what_ships_compiles_and_does_something(name: str) -> None:
    world, found = shipped_world(), load_scenario(name)
    changes = np.random.default_rng(1).normal(0, 0.01, (63, len(world.names)))
    shocks = compile_scenario(found, world, 252, dict.fromkeys(found.windows, changes))
    assert (shocks.fingerprint == no_shock(world, 252).fingerprint) == (name == "base")
    assert not [remark for remark in shocks.remarks if "AMD" not in remark and "semi-definite" not in remark]
    assert found.description
    assert compile_events(found, world, 252) is not None
    text = (SHIPPED / f"{name}.yaml").read_text(encoding="utf-8")
    assert name == "base" or text.startswith("# ")


def test_a_world_without_what_is_optional_still_runs() -> None:
    world = shipped_world(("SPX", "WTI")).with_(regimes=None)
    shocks = compile_scenario(load_scenario("energy_crisis"), world, 20)
    assert len(shocks.remarks) == 2
    assert "no vix" in shocks.remarks[0]
    assert "no regime 'stressed'" in shocks.remarks[1]
    with pytest.raises(ValueError, match=r"shipped energy_crisis\.yaml:\d+: shocks\.0 .*no variable 'WTI'"):
        compile_scenario(load_scenario("energy_crisis"), shipped_world(("SPX", "vix")), 20)


def test_a_scenario_of_which_nothing_is_left_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing of scenario 'rates_up' is left"):
        compile_scenario(load_scenario("rates_up"), shipped_world(("WTI", "vix")), 20)
    with pytest.raises(ValueError, match="lengthen the run"):
        compile_scenario(scenario("name: late\nregime: {name: wild, from: 50}"), small_world(), 20)


def test_a_run_too_short_for_a_shock_says_so() -> None:
    text = 'name: long\nshocks: [{kind: multiply, variable: WTI, by: "+10 %", over: 40}]'
    shocks = compile_scenario(scenario(text), small_world(), 20)
    assert "would last until step 40" in shocks.remarks[0]
    assert shocks.add[:, 1].sum() == pytest.approx(np.log(1.1) / 2)


def test_regimes_hold_for_their_windows() -> None:
    text = "name: r\nregime:\n  - {name: wild, from: 3, until: 6}\n  - {name: quiet, from: 5, until: 5}\n"
    shocks = compile_scenario(scenario(text), small_world(), 8)
    assert shocks.regime.tolist() == [-1, -1, 1, 1, 0, 1, -1, -1]


def test_calm_and_stressed_are_understood_by_any_world_with_regimes() -> None:
    for name, number in (("calm", 0), ("stressed", 1), ("quiet", 0)):
        assert compile_scenario(scenario(f"name: r\nregime: {name}"), small_world(), 2).regime.tolist() == [number] * 2
    assert "it has quiet, wild" in refused("name: r\nregime: panic")


def test_a_missing_rule_is_named_with_its_line() -> None:
    said = refused(ISSUE, rule_ids=("R1", "R2"))
    assert said.startswith("test.yaml:9: ")
    assert "no rule 'R7', it has R1, R2" in said
    assert "it has none" in refused(ISSUE)


def test_a_child_inherits_and_goes_on(tmp_path: Path) -> None:
    first = "events: {a: SPX below -10 % at end, b: vix above 40 at any step}\ndisable_rules: [R1]\n"
    child = "parent: root.yaml\nevents: {a: SPX below -20 % at end}\ndisable_rules: [R2]\n"
    shock = "shocks: [{kind: path, variable: vix, levels: [%s]}]\n"
    path = saved(tmp_path, root=first + shock % "30, 40", child=child + shock % "50")
    found = load_scenario(path)
    assert (found.name, found.parent) == ("child", "root")
    assert found.disabled == {"R1", "R2"}
    assert found.events["a"].below == load_scenario(tmp_path / "child.yaml").chain[1].file.events["a"].below
    assert set(found.events) == {"a", "b"}
    shocks = compile_scenario(found, small_world(), 4, rule_ids=("R1", "R2"))
    np.testing.assert_allclose(np.exp(shocks.add[:2, 2]), [50, 40])


def test_a_user_may_continue_a_shipped_scenario(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        worse="parent: energy_crisis\nportfolio: {positions: {WTI: 100}, capital_usd: 50}\n"
        "shocks: [{kind: volatility, by: 2}]\n",
    )
    found = load_scenario(path)
    assert found.parent == "energy_crisis"
    assert found.portfolio == {"positions": {"WTI": 100}, "capital_usd": 50}
    assert load_scenario("energy_crisis").portfolio is None
    assert (compile_scenario(found, shipped_world(), 20).variance == 4).all()


def test_forks_draw_common_numbers_until_they_branch(tmp_path: Path) -> None:
    path = saved(
        tmp_path, trunk="", left="parent: trunk.yaml\nbranch_from: 4", leaf="parent: left.yaml\nbranch_from: 6"
    )
    shocks = compile_scenario(load_scenario(path), small_world(), 7)
    left, leaf = branch_of("left"), branch_of("leaf")
    assert shocks.branch.tolist() == [0, 0, 0, left, left, leaf, leaf]
    assert len({0, left, leaf}) == 3


@given(st.lists(st.from_regex(r"[a-z_]{1,20}", fullmatch=True), min_size=1, max_size=20))
def test_branches_fit_their_counter(names: list[str]) -> None:
    assert all(0 < branch_of(name) < 2**16 for name in names)


def test_combining_is_what_a_parent_does(tmp_path: Path) -> None:
    path = saved(tmp_path, root="regime: wild\n", child="parent: root.yaml\nregime: {name: quiet, from: 3}\n")
    joined = combine(load_scenario(tmp_path / "root.yaml"), scenario("name: child\nregime: {name: quiet, from: 3}"))
    world = small_world()
    one, other = (compile_scenario(each, world, 5) for each in (joined, load_scenario(path)))
    assert one.fingerprint == other.fingerprint
    assert joined.parent == "root"


def test_combining_three_is_associative() -> None:
    a, b, c = (scenario(f"name: {name}\nregime: {{name: wild, from: {i}}}") for i, name in enumerate("abc", start=1))
    assert combine(combine(a, b), c) == combine(a, combine(b, c))
    assert combine(a, b).fingerprint != combine(b, a).fingerprint


def test_circles_and_long_chains_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, a="parent: b.yaml", b="parent: a.yaml")
    with pytest.raises(ValueError, match=r"a\.yaml:2: parent: 'b' would continue itself through b <- a"):
        load_scenario(path)
    last = saved(tmp_path, **{f"s{i}": f"parent: s{i + 1}.yaml" for i in range(LONGEST_CHAIN + 1, -1, -1)})
    with pytest.raises(ValueError, match=f"more than {LONGEST_CHAIN} scenarios"):
        load_scenario(last)


def test_a_parent_that_is_missing_is_named_with_its_line(tmp_path: Path) -> None:
    path = saved(tmp_path, lost="title: x\nparent: nowhere.yaml")
    with pytest.raises(ValueError, match=r"lost\.yaml:3: parent: no scenario 'nowhere\.yaml': .*base, correlation_one"):
        load_scenario(path)
    with pytest.raises(ValueError, match=r"no scenario 'enery_crisis'.* energy_crisis"):
        load_scenario("enery_crisis")
    with pytest.raises(ValueError, match=r"test\.yaml:2: .*save it as a file"):
        scenario("name: a\nparent: base")


def test_a_file_may_not_take_the_name_of_a_shipped_scenario(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"base\.yaml:1: name: 'base' is a scenario that ships"):
        load_scenario(saved(tmp_path, base=""))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("- name: a", 1, "begins with 'name:'"),
        ("", 1, "begins with 'name:'"),
        ("title: a", 1, "name: Field required"),
        ("name: energy crisis", 1, "name: String should match"),
        ("name: a\ncolour: red", 2, "colour: Extra inputs"),
        ("name: a\nname: b", 2, "stands on line 1 already"),
        ("name: a\nversion: true", 2, "version"),
        ("name: a\nbranch_from: 0", 2, "branch_from"),
        ("name: a\nshocks:\n  - kind: add\n    variable: vix\n    by: much", 5, "sign first"),
        ("name: a\nshocks:\n  - kind: add\n    variable: vix", 3, "by: Field required"),
        ("name: a\nshocks:\n  - variable: vix", 3, "kind"),
        ("name: a\nregime:\n  - {name: wild, from: 4, until: 2}", 3, "before it begins at step 4"),
        ("name: a\nevents:\n  x: WTI over 40 at end", 3, "VARIABLE below|above LEVEL"),
        ("name: a\nevents:\n  x: {variable: WTI, below: 1, above: 2, when: any}", 3, "one of the two"),
        ("name: a\nevents:\n  x: {variable: WTI, when: any}", 3, "one of the two"),
        ("name: a\nevents:\n  x: {variable: WTI, below: 1, when: later}", 3, "when"),
        ("a: &a [x, x]\nname: *a", 2, "aliases"),
        ("name: !!python/object/apply:os.system [ls]", 1, "not allowed"),
        ("name: a\nshocks: " + "[" * 60 + "]" * 60, 2, "nested deeper"),
        ("name: [\n", 2, "no YAML"),
    ],
)
def test_wrong_files_are_refused_with_line_and_key(text: str, line: int, said: str) -> None:
    with pytest.raises(ValueError, match=rf"^test\.yaml:{line}: ") as caught:
        scenario(text)
    assert said in str(caught.value)


def test_a_yaml_bomb_is_refused_at_once() -> None:
    bomb = "a: &a [x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{f'*{chr(97 + i)},' * 9}]\n" for i in range(9))
    with pytest.raises(ValueError, match=r"test\.yaml:2: aliases"):
        scenario(bomb)


EVENTS = """\
name: watched
events:
  oil: WTI above +50 % at any step
  vix: {variable: vix, above: 40, when: 5}
  crash: SPX below -0.25 at end
  wide:   spread   above +150 bp at step 3
  drawn: drawdown above 0.2 at any step
"""


def test_events_are_placed_on_scales_and_steps() -> None:
    found = {each.name: each for each in compile_events(scenario(EVENTS), small_world(), 10)}
    assert list(found) == ["crash", "drawn", "oil", "vix", "wide"]
    assert found["oil"].threshold == pytest.approx(np.log(1.5))
    assert (found["oil"].is_above, found["oil"].first, found["oil"].last) == (True, 1, 10)
    assert found["vix"].threshold == pytest.approx(np.log(40))
    assert (found["vix"].first, found["vix"].last) == (5, 5)
    assert found["crash"].threshold == -0.25
    assert (found["crash"].is_above, found["crash"].first, found["crash"].last) == (False, 10, 10)
    assert found["wide"].threshold == 2.5
    assert (found["drawn"].variable, found["drawn"].threshold) == ("drawdown", 0.2)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("GOLD above 3 at end", "no variable 'GOLD'"),
        ("WTI above 90 at end", "write its change of price"),
        ("vix above 400 at end", "outside its bounds"),
        ("vix above 40 at step 11", "after the end of a run of 10 steps"),
        ("drawdown above +20 % at end", "plain number"),
    ],
)
def test_events_that_cannot_be_are_named_with_their_line(event: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^test\.yaml:3: events\.x: ") as caught:
        compile_events(scenario(f"name: a\nevents:\n  x: {event}"), small_world(), 10)
    assert said in str(caught.value)


def test_the_measures_of_events_are_those_of_the_kernel() -> None:
    assert scenario_events.MEASURES == program.MEASURE_NAMES


def test_a_scenario_keeps_its_fingerprint_whatever_its_layout() -> None:
    one, other = scenario("name: a\nregime: wild\n"), scenario("# said\nregime: [{name: wild}]\nname: a\n")
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != scenario("name: a\nregime: quiet\n").fingerprint


@pytest.mark.parametrize("part", sorted(set(Shocks.__dataclass_fields__) - {"remarks"}))
def test_every_part_of_shocks_counts_in_the_fingerprint(part: str) -> None:
    shocks = no_shock(small_world(), 3)
    changes = {"disabled": frozenset({"R1"}), "correlations": (np.eye(4),)}
    changed = replace(shocks, **{part: changes[part] if part in changes else getattr(shocks, part) + 1})  # type: ignore[arg-type]
    assert changed.fingerprint != shocks.fingerprint
    assert replace(shocks, remarks=("x",)).fingerprint == shocks.fingerprint


def manual() -> list[str]:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "write-a-scenario.md"
    return re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", [0, 1])
def test_the_scenarios_of_the_manual_compile(number: int) -> None:
    world, found = shipped_world(), scenario(manual()[number])
    changes = np.full((63, len(world.names)), 0.001)
    shocks = compile_scenario(found, world, 80, dict.fromkeys(found.windows, changes))
    assert all("GOLD" in remark or "semi-definite" in remark for remark in shocks.remarks)
    assert len(compile_events(found, world, 80)) == len(found.events)


def test_the_fork_of_the_manual_compiles(tmp_path: Path) -> None:
    path = tmp_path / "worse.yaml"
    path.write_text(manual()[2], encoding="utf-8")
    shocks = compile_scenario(load_scenario(path), shipped_world(), 20)
    assert shocks.variance.tolist() == [1.0] * 10 + [4.0] * 10
    assert len(set(shocks.branch.tolist())) == 2
