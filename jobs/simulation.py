"""What ``pulse simulate`` and ``pulse replay`` do: launch a run and show it, and make one path again step by step."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import typer

from jobs import terminal
from jobs.commands import finish, opened, use, watched
from jobs.pipeline import Pipeline, partitions_between
from jobs.settings import Settings
from jobs.targets import check_target, writing
from jobs.terminal import OK
from pulse_assets.signals.tables import SERIES
from pulse_assets.simulation.assets import READ, SimulationConfig
from pulse_assets.simulation.calibration.world_choice import AUTO, choose_world, newest_day_with
from pulse_assets.simulation.scenarios.scenario import load_scenario
from pulse_assets.simulation.simulate import mistakes_of_users, plans_of, wish_of
from pulse_assets.simulation.tables import RULE_AUDIT, RUNS, SIMULATION_RISK, SIMULATIONS
from pulse_resources.errors import ConfigError, PermanentFailure, TableMissingError
from pulse_resources.lake import Lake

if TYPE_CHECKING:
    from pulse_assets.simulation.plan import Plan

RISK_COLUMNS = ("scenario", "measure", "name", "level", "value", "low", "high", "unit", "estimator")
FAN_COLUMNS = ("scenario", "variable", "unit", "origin_level", "mean", "q010", "q050", "q500", "q950", "q990")
RULE_COLUMNS = ("scenario", "rule", "state", "fires", "paths_fired", "pnl_effect_usd", "pnl_effect_se")
SHORTEST_ID = 6
SHOWN_VARIABLES = 9
ALWAYS_SHOWN = ("vix", "pnl_usd", "drawdown", "regime", "fired")


@dataclass(frozen=True)
class Wanted:
    """What the command line asks to be simulated; ``config`` has the fields of ``SimulationConfig``."""

    config: Mapping[str, object]
    as_of: date | None = None
    until: date | None = None
    compute: str | None = None
    sources: Path | None = None
    prints_hash: bool = False
    limit: int = 40


def simulate(wanted: Wanted) -> None:
    """Simulate the day asked for, or the newest, and print what came out; the digest is the last line."""
    if wanted.compute is not None:
        os.environ["PULSE_COMPUTE"] = wanted.compute
    refuse_mistakes(wanted)
    use(wanted.sources)
    with opened() as pipeline:
        first, last = _days(pipeline, wanted)
        what = f"simulate as of {first}" if first == last else f"simulate {first} to {last}"
        finish(watched(what, 1, lambda watch: pipeline.simulate(first, last, wanted.config, watch)))
        _print_day(pipeline.lake, last, wanted)
    raise typer.Exit(OK)


def refuse_mistakes(wanted: Wanted) -> None:
    """Read all files and check all settings before anything is ingested or launched.

    What only the world of the day can tell, such as a variable that it lacks, is left to the run.

    Raises
    ------
    ConfigError
        The message names file and line, or the setting.
    """
    Settings.from_environment().compute().setup_for_execution(dg.build_init_resource_context())
    if wanted.as_of is not None:
        partitions_between(wanted.as_of, wanted.until or wanted.as_of)
    with mistakes_of_users():
        wish_of(SimulationConfig(**wanted.config).model_dump())  # type: ignore[arg-type]
        if wanted.config["world"] != AUTO:
            choose_world(str(wanted.config["world"]), SERIES.empty())


def _days(pipeline: Pipeline, wanted: Wanted) -> tuple[date, date]:
    """Return the range asked for, or the newest day, with silver up to it: this may be the first command typed."""
    if pc.max(pipeline.lake.read(SERIES, columns=["as_of"])["as_of"]).as_py() is None:
        finish(watched("ingest", 1, pipeline.ingest))
    first = wanted.as_of or pipeline.newest_day()
    last = wanted.until or first
    newest = pc.max(pipeline.lake.read(SERIES, columns=["as_of"])["as_of"]).as_py()
    if newest is None or newest < last:
        finish(watched(f"silver as of {last}", 1, lambda watch: pipeline.make_silver(last, watch)))
    return (first, last) if wanted.as_of else (_day_with_all(pipeline.lake, wanted, first),) * 2


def _day_with_all(lake: Lake, wanted: Wanted, newest: date) -> date:
    """Return the newest day on which the world has all that is named, and say so if it is not the newest there is."""
    scenarios, positions = wanted.config["scenarios"], wanted.config["positions_usd"]
    assert isinstance(scenarios, list)
    assert isinstance(positions, dict)
    names = {name for scenario in scenarios for name in load_scenario(scenario).needs} | positions.keys()
    silver = lake.read(SERIES, as_of=newest, columns=READ)
    with mistakes_of_users():
        settings = choose_world(str(wanted.config["world"]), silver, newest)
        day = newest_day_with(settings, silver, names, newest)
    if day < newest:
        terminal.console.print(
            f"as of {day}, the newest day with a fresh {', '.join(sorted(names))}; --as-of asks for another",
            markup=False,
        )
    return day


def _print_day(lake: Lake, day: date, wanted: Wanted) -> None:
    today = pc.field("as_of") == day
    console = terminal.console
    risk = lake.read(SIMULATION_RISK, where=today)
    terminal.print_rows(
        risk.select(list(RISK_COLUMNS)), f"Risk as of {day}, USD of profit; losses positive", wanted.limit
    )
    rows = lake.read(SIMULATIONS, where=today)
    last = rows.filter(pc.equal(rows["step"], pc.max(rows["step"])))
    terminal.print_rows(
        last.select(list(FAN_COLUMNS)), f"After {pc.max(rows['step']).as_py()} business days", wanted.limit
    )
    audit = lake.read(RULE_AUDIT, where=today & (pc.field("fires") > 0)).sort_by([("fires", "descending")])
    if len(audit):
        terminal.print_rows(audit.select(list(RULE_COLUMNS)), "Causal rules that fired", wanted.limit)
    runs = lake.read(RUNS, where=today).sort_by("scenario").to_pylist()
    for run in runs:
        console.print(
            f"{run['scenario']}: run {run['run_id']}, {run['paths']:,} paths, "
            f"{run['blocks_simulated']} blocks simulated, {run['blocks_kept']} taken from the lake",
            markup=False,
        )
    for remark in _in_short(sorted({line for run in runs for line in run["left_out"].splitlines()})):
        console.print(f"left out: {remark}", style="dim", markup=False, soft_wrap=True)
    console.print("One path again: `pulse replay RUN PATH`. Pictures: `pulse show simulation --plot FILE.png`.")
    if wanted.prints_hash:
        console.print(_digest(runs), markup=False)


def _in_short(remarks: list[str]) -> list[str]:
    """Return remarks with those of inactive rules as one: a world without moods leaves out a dozen."""
    rules = [remark.split()[1] for remark in remarks if remark.startswith("rule ")]
    others = [remark for remark in remarks if not remark.startswith("rule ")]
    told = f"{len(rules)} rules whose variables this world lacks, see {RULE_AUDIT.name}: {', '.join(rules)}"
    return [*others, *([told] if rules else [])]


def _digest(runs: list[dict[str, object]]) -> str:
    """Return the digest of one run, or of the digests of several in order of their scenarios."""
    import hashlib

    if len(runs) == 1:
        return str(runs[0]["sha256"])
    return hashlib.sha256("\n".join(str(run["sha256"]) for run in runs).encode()).hexdigest()


def replay(run: str, path: int, output: Path | None, limit: int) -> None:
    """Simulate one path of an earlier run again and print every step of it."""
    check_target("--output", output, (".csv", ".parquet"))
    with opened() as pipeline:
        found = _run_named(pipeline.lake, run)
        paths = int(str(found["paths"]))
        if not 0 <= path < paths:
            raise ConfigError(f"run {found['run_id']} has paths 0 to {paths - 1:,}; came {path:,}")
        rows = path_rows(pipeline.lake, found, path)
    title = f"Path {path:,} of {found['scenario']} as of {found['as_of']}, run {found['run_id']}"
    if output is None:
        narrow = [name for name in rows.column_names if not name.startswith("volatility_")]
        shown = [*narrow[:SHOWN_VARIABLES], *(name for name in narrow[SHOWN_VARIABLES:] if name in ALWAYS_SHOWN)]
        terminal.print_rows(rows.select(shown), title, limit)
        terminal.console.print(f"{len(shown)} of {rows.num_columns} columns; --output FILE.csv has all", style="dim")
        return
    with writing(output):
        frame = rows.to_pandas()
        frame.to_csv(output, index=False) if output.suffix == ".csv" else frame.to_parquet(output, index=False)
    terminal.console.print(f"{title}: wrote {len(rows)} steps to {output}", markup=False)


def _run_named(lake: Lake, run: str) -> dict[str, object]:
    if len(run) < SHORTEST_ID:
        raise ConfigError(f"give at least {SHORTEST_ID} digits of the run's id; came {run!r}")
    rows = lake.read(RUNS, where=pc.starts_with(pc.field("run_id"), run)).to_pylist()
    ids = sorted({row["run_id"] for row in rows})
    if len(ids) != 1:
        what = f"{len(ids)} runs begin" if ids else "no run begins"
        raise ConfigError(f"{what} with {run!r}; `pulse show {RUNS.name}` lists them")
    return rows[-1]  # type: ignore[no-any-return]


def path_rows(lake: Lake, run: Mapping[str, object], path: int) -> pa.Table:
    """Return every step of one path of a run: levels, profit, regime, variances, and the rules that fired.

    Raises
    ------
    PermanentFailure
        What is known of the day no longer gives that run: data, files or code are not those that it was made with.
    """
    from pulse_assets.simulation.engine import replay as replayed
    from pulse_assets.simulation.plan import traced

    day = run["as_of"]
    assert isinstance(day, date)
    version = int(str(run["data_version"]))
    try:
        silver = lake.read(SERIES, as_of=day, columns=READ, version=version)
    except TableMissingError as error:
        raise PermanentFailure(
            f"{SERIES.name} has no version {version} any more, so run {run['run_id']} is gone"
        ) from error
    plans = plans_of(silver, day, json.loads(str(run["config"])))
    plan = next((plan for plan in plans if plan.run_id == run["run_id"]), None)
    if plan is None:
        raise PermanentFailure(
            f"scenario {run['scenario']!r} as of {day} is no longer run {run['run_id']}: a file of its scenario, rules "
            "or world, or the code, has changed since; simulate it again"
        )
    states = replayed(traced(plan), plan.request.seed, np.array([path], np.uint64))[0]
    return _named_rows(plan, states.astype(np.float64))


def _named_rows(plan: "Plan", states: "npt.NDArray[np.float64]") -> pa.Table:
    from pulse_assets.simulation.world import level_of

    world, names = plan.request.world, plan.program.names
    columns: dict[str, object] = {"step": np.arange(1, len(states) + 1)}
    for place, name in enumerate(names):
        is_factor = len(world.assets) <= place < len(world.variables)
        columns[name] = level_of(world.variables[place], states[:, place]) if is_factor else states[:, place]
    regime = states[:, len(names)].astype(int)
    columns["regime"] = [world.regimes.names[k] if world.regimes else "" for k in regime]
    first = len(names) + 1
    for place, asset in enumerate(world.assets):
        columns[f"volatility_{asset.name}"] = np.sqrt(states[:, first + place])
    masks = states[:, first + len(world.assets) :]
    columns["fired"] = [" ".join(np.array(plan.program.rule_ids, object)[row > 0]) for row in masks]
    return pa.table(columns)
