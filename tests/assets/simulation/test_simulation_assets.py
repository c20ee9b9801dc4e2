"""Simulations through the real Dagster job: whole tables, no look-ahead, and blocks that are simulated only once."""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import write_deltalake

from pulse_assets.signals.tables import SERIES
from pulse_assets.simulation import assets
from pulse_assets.simulation.block_store import BlockStore
from pulse_assets.simulation.tables import BLOCKS, DIVERGENCE, RULE_AUDIT, RUNS, SIMULATION_RISK, SIMULATIONS
from pulse_resources.compute import Compute
from pulse_resources.errors import PermanentFailure
from pulse_resources.lake.partitions import weekdays
from tests.assets.simulation.small_lake import RULE, WRITTEN, Files, SmallLake, past

pytestmark = pytest.mark.slow

FIRST, DAY, LATER = date(2020, 5, 28), date(2020, 6, 4), date(2020, 6, 12)
END_OF_DAY = pd.Timestamp("2020-06-05", tz="UTC")
SEVERAL_BLOCKS = 150_000
"""Paths of three blocks of this world."""
EVIDENCE = ("data_version",)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    """Return a lake with silver and without simulations, and a file of one rule."""
    small = SmallLake(tmp_path_factory.mktemp("prepared"))
    small.deliver(past())
    small.make_silver(LATER)
    return small


@pytest.fixture
def small(prepared: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallLake:
    """Return a lake to write to; pictures of a day, half a second each, are spared."""
    monkeypatch.setattr(assets, "_drawn", lambda *_: {})
    return prepared.twin(tmp_path / "world")


@pytest.fixture(scope="module")
def ranged(prepared: SmallLake, tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    """Return a lake with a range of days simulated in one run."""
    small = prepared.twin(tmp_path_factory.mktemp("ranged") / "world")
    assert small.simulate(FIRST, LATER, scenarios=["base", "volatility_spike"]).success
    return small


@pytest.fixture
def rule_file(tmp_path: Path) -> str:
    path = tmp_path / "rule.yaml"
    path.write_text(RULE)
    return str(path)


def table_bytes(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows.combine_chunks())
    return bytes(sink.getvalue().to_pybytes())


def assert_same_rows(one: SmallLake, other: SmallLake, *days: date) -> None:
    """Compare all rows of some days byte for byte, but for the version of silver that they name."""
    for contract in WRITTEN:
        ours, theirs = (
            small.rows(contract, *days).drop_columns([name for name in EVIDENCE if name in contract.schema.names])
            for small in (one, other)
        )
        if table_bytes(ours) != table_bytes(theirs):
            both = pa.concat_tables([ours, theirs]).to_pandas()
            differing = both[~both.astype(str).duplicated(keep=False)]
            pytest.fail(f"{contract.name}: {len(ours)} and {len(theirs)} rows; first differences:\n{differing.head(6)}")


def error_of(result: dg.ExecuteInProcessResult) -> tuple[str, str]:
    """Return class and message of the innermost error of a run that failed."""
    assert not result.success
    error = next(event.step_failure_data.error for event in result.all_events if event.is_step_failure)
    while error.cause is not None and error.cls_name.startswith("Dagster"):
        error = error.cause
    return error.cls_name, error.message


def materializations(result: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    events = result.get_asset_materialization_events()
    return [event.step_materialization_data.materialization for event in events]


def nothing_is_written(small: SmallLake) -> bool:
    return not any(small.lake.exists(contract) for contract in (*WRITTEN, BLOCKS))


def test_a_day_fills_every_table_as_its_contract_says(prepared: SmallLake, tmp_path: Path, rule_file: str) -> None:
    small = prepared.twin(tmp_path / "world")
    result = small.simulate(DAY, scenarios=["base", "volatility_spike"], rules=rule_file)
    assert result.success
    shown = {event.asset_key.to_user_string(): event.metadata for event in materializations(result)}
    assert "fan of base" in shown[SIMULATIONS.name]
    for contract in WRITTEN:
        rows = small.rows(contract, DAY)
        assert len(rows), f"{contract.name} has no rows"
        assert len(small.lake.read(contract)) == len(rows), f"{contract.name} has rows of other days"
        assert contract.broken_rules(rows) == {}
        assert (rows.schema.names, rows.schema.types) == (contract.schema.names, contract.schema.types)


def test_every_day_of_a_range_has_every_scenario(ranged: SmallLake) -> None:
    days = weekdays(FIRST, LATER)
    for contract in (SIMULATIONS, SIMULATION_RISK, RUNS):
        rows = ranged.rows(contract, *days)
        assert contract.broken_rules(rows) == {}
        seen = set(zip(rows["as_of"].to_pylist(), rows["scenario"].to_pylist(), strict=True))
        assert seen == {(day, scenario) for day in days for scenario in ("base", "volatility_spike")}
    differences = ranged.rows(DIVERGENCE, *days)
    assert set(differences["as_of"].to_pylist()) == set(days)
    assert set(differences["scenario"].to_pylist()) == {"volatility_spike"}
    assert len(ranged.rows(RULE_AUDIT, *days)) == 0


def test_parameters_are_those_of_the_month_and_states_those_of_the_day(ranged: SmallLake) -> None:
    runs = [ranged.runs(day)["base"] for day in weekdays(FIRST, LATER)]
    assert {run["fitted_on"] for run in runs} == {date(2020, 5, 1), date(2020, 6, 1)}
    assert len({run["world"] for run in runs}) == len(runs)
    assert len({run["sha256"] for run in runs}) == len(runs)


def test_a_run_says_what_it_was_made_from(small: SmallLake, rule_file: str) -> None:
    assert small.simulate(DAY, rules=rule_file, positions_usd={"alpha": 1000.0}).success
    run = small.runs(DAY)["base"]
    config = json.loads(str(run["config"]))
    assert config["positions_usd"] == {"alpha": 1000.0}
    assert run["data_version"] == small.lake.open(SERIES).version()
    assert run["rules"]
    commit = small.lake.history(SIMULATIONS, 1)[0]
    assert json.loads(commit["pulse.inputs"]) == {SERIES.name: run["data_version"]}
    assert commit["pulse.seed"] == "7"


def test_a_rule_that_fires_is_audited_with_what_it_did(small: SmallLake, rule_file: str) -> None:
    assert small.simulate(DAY, rules=rule_file).success
    row = small.rows(RULE_AUDIT, DAY).to_pylist()[0]
    assert (row["rule"], row["state"]) == ("losses_go_on", "active")
    assert row["fires"] == sum(row["fires_by_step"]) > 0
    assert row["paths_fired"] == sum(row["first_fires"]) <= row["paths"]
    assert row["pnl_effect_usd"] < 0


def test_without_embedded_data_the_world_is_what_the_series_make(ranged: SmallLake) -> None:
    rows = ranged.rows(SIMULATIONS, DAY)
    units = dict(zip(rows["variable"].to_pylist(), rows["unit"].to_pylist(), strict=True))
    assert {"alpha", "beta", "gamma", "fear", "rate"} <= set(units)
    assert units["alpha"] == "log return"
    assert units["fear"] == units["rate"] == "percent per year"
    origin = dict(zip(rows["variable"].to_pylist(), rows["origin_level"].to_pylist(), strict=True))
    known = ranged.lake.read(SERIES, as_of=DAY, where=pc.field("unique_id") == "f:alpha").sort_by("ds")
    assert origin["alpha"] == known["y"][-1].as_py()


@pytest.mark.parametrize("day", [FIRST, date(2020, 6, 1), DAY])
def test_a_day_alone_equals_the_same_day_of_a_range(small: SmallLake, ranged: SmallLake, day: date) -> None:
    assert small.simulate(day, scenarios=["base", "volatility_spike"]).success
    assert_same_rows(small, ranged, day)


def test_running_a_range_again_changes_no_byte(ranged: SmallLake, tmp_path: Path) -> None:
    again = ranged.twin(tmp_path / "again")
    assert again.simulate(FIRST, LATER, scenarios=["base", "volatility_spike"]).success
    assert_same_rows(again, ranged, *weekdays(FIRST, LATER))


def another_future(files: Files) -> Files:
    """Return the same past with a future of other prices, with a restated past told later, and with strangers."""
    rng = np.random.default_rng(5)
    changed = {name: _other_future(frame, rng) for name, frame in files.items()}
    alpha = files["f/alpha"].iloc[:-40:7].assign(known_at="2020-06-09T08:00:00Z")
    changed["f/alpha_restated"] = alpha.assign(close=alpha["close"] * 1.3, symbol="alpha")
    changed["f/alpha"] = changed["f/alpha"].assign(symbol="alpha")
    long_past = files["f/beta"].assign(known_at="2020-06-08T12:00:00Z", close=files["f/beta"]["close"][::-1].to_numpy())
    return {"f/aaa_stranger": long_past, **changed}


def _other_future(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    told = pd.to_datetime(frame["known_at" if "known_at" in frame else "ds"], utc=True)
    late = (told >= END_OF_DAY.floor("D")).to_numpy()
    column = "close" if "close" in frame else "value"
    after = frame[late].copy()
    after[column] *= rng.uniform(0.5, 2, len(after))
    return pd.concat([frame[~late], after[rng.random(len(after)) < 0.8]])


WORLD = """
assets: {alpha: "f:alpha", beta: "f:beta", gamma: "f:gamma"}
factors:
  - {name: fear, source: "v:fear", unit: percent per year, scale: log}
  - {name: rate, source: "m:rate", unit: percent per year, stale_days: 120}
"""


@pytest.mark.parametrize("written_down", [True, False], ids=["world file", "auto"])
def test_another_future_changes_no_byte_of_the_past(prepared: SmallLake, tmp_path: Path, *, written_down: bool) -> None:
    world = tmp_path / "world.yaml"
    world.write_text(WORLD)
    config = {"scenarios": ["base", "volatility_spike"], "world": str(world) if written_down else "auto"}
    here, there = prepared.twin(tmp_path / "here"), SmallLake(tmp_path / "there")
    assert here.simulate(FIRST, DAY, **config).success
    there.deliver(another_future(past()))
    there.make_silver(LATER)
    assert there.simulate(FIRST, LATER, **config).success
    assert_same_rows(there, here, *weekdays(FIRST, DAY))


def test_a_series_that_becomes_long_enough_joins_worlds_from_then_on_and_none_before(
    prepared: SmallLake, tmp_path: Path
) -> None:
    """It has its 600th price within the range; a day's world is the same whatever else is asked for."""
    days = pd.bdate_range(end="2020-05-29", periods=600)
    rest = pd.bdate_range("2020-06-01", "2020-06-30")
    young = pd.DataFrame({"ds": [*days, *rest], "close": 50 + np.arange(len(days) + len(rest)) % 7})
    files = past() | {"f/aaa_young": young.assign(ds=young["ds"].dt.strftime("%Y-%m-%d"))}
    small = SmallLake(tmp_path / "range")
    small.deliver(files)
    small.make_silver(LATER)
    alone = small.twin(tmp_path / "alone")
    assert small.simulate(FIRST, LATER).success
    for day in (FIRST, LATER):
        assert alone.simulate(day).success
    assert_same_rows(small, alone, FIRST, LATER)
    worlds = {day: set(small.rows(SIMULATIONS, day)["variable"].to_pylist()) for day in (FIRST, LATER)}
    assert worlds[LATER] - worlds[FIRST] == {"aaa_young"}


def test_fewer_scenarios_replace_all_rows_of_their_day_and_no_other(small: SmallLake) -> None:
    days = weekdays(DAY, LATER)[:2]
    assert small.simulate(days[0], days[1], scenarios=["base", "volatility_spike"]).success
    before = {contract: small.rows(contract, days[1]) for contract in WRITTEN}
    assert small.simulate(days[0], scenarios=["base"]).success
    for contract in (SIMULATIONS, SIMULATION_RISK, RUNS):
        assert set(small.rows(contract, days[0])["scenario"].to_pylist()) == {"base"}
    assert len(small.rows(DIVERGENCE, days[0])) == 0
    assert all(small.rows(contract, days[1]).equals(rows) for contract, rows in before.items())


def test_a_run_of_one_block_keeps_none(small: SmallLake) -> None:
    assert small.simulate(DAY).success
    assert not small.lake.exists(BLOCKS)


def blocks_of(small: SmallLake) -> pa.Table:
    rows = small.lake.read(BLOCKS)
    assert BLOCKS.broken_rules(rows) == {}
    return rows.sort_by("block")


def test_a_request_that_is_repeated_is_answered_from_the_kept_blocks(small: SmallLake) -> None:
    assert small.simulate(DAY, paths=SEVERAL_BLOCKS).success
    first = small.runs(DAY)["base"]
    assert (first["blocks_simulated"], first["blocks_kept"]) == (3, 0)
    assert blocks_of(small)["block"].to_pylist() == [0, 1, 2]
    version = small.lake.open(BLOCKS).version()
    assert small.simulate(DAY, paths=SEVERAL_BLOCKS).success
    again = small.runs(DAY)["base"]
    assert (again["blocks_simulated"], again["blocks_kept"]) == (0, 3)
    assert again["sha256"] == first["sha256"]
    assert again["run_id"] == first["run_id"]
    assert small.lake.open(BLOCKS).version() == version


def test_rows_are_the_same_whether_blocks_were_kept_or_not(small: SmallLake, tmp_path: Path) -> None:
    assert small.simulate(DAY, paths=SEVERAL_BLOCKS).success
    answered = small.twin(tmp_path / "answered")
    assert answered.simulate(DAY, paths=SEVERAL_BLOCKS).success
    for contract in (SIMULATIONS, SIMULATION_RISK):
        assert table_bytes(small.rows(contract, DAY)) == table_bytes(answered.rows(contract, DAY))


def test_another_seed_or_scenario_is_another_run(small: SmallLake) -> None:
    assert small.simulate(DAY, paths=SEVERAL_BLOCKS).success
    assert small.simulate(DAY, paths=SEVERAL_BLOCKS, seed=8, scenarios=["base", "volatility_spike"]).success
    runs = small.runs(DAY).values()
    assert [run["blocks_kept"] for run in runs] == [0, 0]
    assert len(set(blocks_of(small)["run_id"].to_pylist())) == 3


def test_a_longer_run_takes_up_where_a_shorter_one_ended(small: SmallLake, tmp_path: Path) -> None:
    longer = SEVERAL_BLOCKS + 40_000
    fresh = small.twin(tmp_path / "fresh")
    assert fresh.simulate(DAY, paths=longer).success
    assert small.simulate(DAY, paths=SEVERAL_BLOCKS).success
    assert small.simulate(DAY, paths=longer).success
    run = small.runs(DAY)["base"]
    assert (run["blocks_simulated"], run["blocks_kept"]) == (1, 2)
    assert run["sha256"] == fresh.runs(DAY)["base"]["sha256"]


@pytest.mark.parametrize("order", [(150_000, 190_000), (190_000, 150_000)], ids=["longer", "shorter"])
def test_runs_of_several_lengths_are_each_answered_from_the_table(small: SmallLake, order: tuple[int, int]) -> None:
    for paths in (*order, *order):
        assert small.simulate(DAY, paths=paths).success
    blocks_of(small)
    run = small.runs(DAY)["base"]
    assert (run["blocks_simulated"], run["blocks_kept"]) == (0, 3)


class Interrupted(Compute):
    """Computes here, and breaks after some blocks, as a killed process would."""

    blocks_left: int = 2

    def map_blocks(self, function: Callable[[object], object], blocks: Iterable[object]) -> Iterator[object]:
        """Yield some results, then none."""
        for number, result in enumerate(super().map_blocks(function, blocks)):
            if number == self.blocks_left:
                raise KeyboardInterrupt
            yield result


def test_an_interrupted_run_costs_only_what_is_missing(small: SmallLake, tmp_path: Path) -> None:
    whole = small.twin(tmp_path / "whole")
    assert whole.simulate(DAY, paths=SEVERAL_BLOCKS).success
    with suppress(KeyboardInterrupt):
        assert not small.simulate(DAY, paths=SEVERAL_BLOCKS, compute=Interrupted()).success
    assert blocks_of(small)["block"].to_pylist() == [0, 1]
    assert not any(small.lake.exists(contract) for contract in WRITTEN)
    assert small.simulate(DAY, paths=SEVERAL_BLOCKS).success
    run = small.runs(DAY)["base"]
    assert (run["blocks_simulated"], run["blocks_kept"]) == (1, 2)
    assert run["sha256"] == whole.runs(DAY)["base"]["sha256"]


def rewrite_blocks(small: SmallLake, change: Callable[[pa.Table], pa.Table]) -> None:
    """Rewrite the kept blocks behind Pulse's back."""
    write_deltalake(small.lake.uri(BLOCKS.name), change(small.lake.read(BLOCKS)), mode="overwrite")


def flipped(stored: bytes) -> bytes:
    changed = bytearray(stored)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


# A bit of the compressed text itself would not do: where all is zero, many texts mean the same.
DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "outcomes": ("outcomes", flipped),
    "counts": ("counts", lambda stored: zlib.compress(flipped(zlib.decompress(stored)))),
    "cut short": ("counts", lambda stored: stored[: len(stored) // 2]),
    "no zlib": ("counts", lambda stored: b"\0" + stored[1:]),
}


def damaged(rows: pa.Table, what: str, block: int) -> pa.Table:
    column, change = DAMAGE[what]
    values = [
        change(value) if number == block else value
        for number, value in zip(rows["block"].to_pylist(), rows[column].to_pylist(), strict=True)
    ]
    return rows.set_column(rows.column_names.index(column), column, pa.array(values, pa.large_binary()))


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_block_is_named_and_nothing_is_made_of_it(small: SmallLake, what: str) -> None:
    assert small.simulate(DAY, paths=SEVERAL_BLOCKS).success
    before = {contract: small.lake.open(contract).version() for contract in WRITTEN}
    rewrite_blocks(small, lambda rows: damaged(rows, what, 1))
    name, message = error_of(small.simulate(DAY, paths=SEVERAL_BLOCKS))
    assert name == PermanentFailure.__name__
    assert f"block 1 of run {small.runs(DAY)['base']['run_id']} in {BLOCKS.name} is not what was written" in message
    assert {contract: small.lake.open(contract).version() for contract in WRITTEN} == before


def test_a_block_whose_rows_were_deleted_is_simulated_and_kept_again(small: SmallLake) -> None:
    assert small.simulate(DAY, paths=SEVERAL_BLOCKS).success
    small.lake.open(BLOCKS).delete("block = 1")
    for simulated, kept in ((1, 2), (0, 3)):
        assert small.simulate(DAY, paths=SEVERAL_BLOCKS).success
        run = small.runs(DAY)["base"]
        assert (run["blocks_simulated"], run["blocks_kept"]) == (simulated, kept)
        assert blocks_of(small)["block"].to_pylist() == [0, 1, 2]


def test_a_kept_block_comes_back_as_it_was(small: SmallLake) -> None:
    assert small.simulate(DAY, paths=SEVERAL_BLOCKS).success
    run = small.runs(DAY)["base"]
    kept = BlockStore(small.lake, str(run["run_id"])).kept()
    assert [(number, block.first, block.outcomes.shape[1]) for number, block in sorted(kept.items())] == [
        (0, 0, 65_536),
        (1, 65_536, 65_536),
        (2, 131_072, SEVERAL_BLOCKS - 131_072),
    ]


def test_a_run_that_is_precise_enough_ends_early_and_is_answered_from_the_table(small: SmallLake) -> None:
    for simulated, kept in ((1, 0), (0, 1)):
        assert small.simulate(DAY, paths=SEVERAL_BLOCKS, target_error=0.1).success
        run = small.runs(DAY)["base"]
        assert run["paths"] == 65_536
        assert (run["blocks_simulated"], run["blocks_kept"]) == (simulated, kept)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"paths": 0}, "expected 1 to .* paths, got 0"),
        ({"paths": 10**12}, "paths, got 1,000,000,000,000"),
        ({"steps": 0}, "expected 1 to 2,600 steps, about ten years of days, got 0"),
        ({"steps": 10**6}, "expected 1 to 2,600 steps, about ten years of days, got 1,000,000"),
        ({"scenarios": []}, "no scenario was asked for"),
        ({"scenarios": ["base", "base"]}, "scenario 'base' was asked for twice"),
        ({"scenarios": ["energy_crises"]}, "no scenario 'energy_crises'"),
        ({"scenarios": ["energy_crisis"]}, "energy_crisis.yaml:\\d+: .*WTI"),
        ({"world": "nowhere"}, "no world 'nowhere'"),
        ({"positions_usd": {"delta": 1.0}}, "there is a position in 'delta', nothing in the world"),
        ({"positions_usd": {"rate": 1.0}}, "there is a position in 'rate', a factor"),
        ({"positions_usd": {"alpha": -1.0}}, "the position in 'alpha' is short"),
        ({"positions_usd": {"alpha": 1.0}, "capital_usd": -1.0}, "capital_usd must be a positive number"),
        ({"policy": "gamble", "positions_usd": {"alpha": 1.0}}, "gamble"),
        ({"policy": "stop_loss", "positions_usd": {"alpha": 1.0}}, "stop_loss"),
        ({"target_error": -1.0}, "target_error"),
        ({"ablated_paths": -1}, "ablated_paths"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_wrong_setting_is_named_and_nothing_is_written(
    prepared: SmallLake, config: dict[str, object], said: str
) -> None:
    name, message = error_of(prepared.simulate(DAY, compute=Interrupted(blocks_left=0), **config))
    assert name == "ConfigError", message
    assert pc.match_substring_regex(pa.array([message]), said)[0].as_py(), message
    assert nothing_is_written(prepared)


def test_a_mistake_of_a_later_day_leaves_no_rows_of_an_earlier_one(small: SmallLake, tmp_path: Path) -> None:
    world = tmp_path / "world.yaml"
    world.write_text('assets: {alpha: "f:alpha", old: "f:old"}\nrequired: [old]\nstale_days: 3\n')
    name, message = error_of(small.simulate(FIRST, LATER, world=str(world)))
    assert name == "ConfigError"
    assert "old is required and missing" in message
    assert nothing_is_written(small)


def test_too_few_observations_are_said_with_the_reason(prepared: SmallLake, tmp_path: Path) -> None:
    name, message = error_of(prepared.simulate(date(2018, 3, 1)))
    assert name == "ConfigError"
    assert "no series of 600 daily prices or more is known" in message
    world = tmp_path / "world.yaml"
    world.write_text('assets: {alpha: "f:alpha"}\n')
    _, message = error_of(prepared.simulate(date(2018, 3, 1), world=str(world)))
    assert "no asset is left (alpha: " in message
    assert nothing_is_written(prepared)
