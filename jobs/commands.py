"""What the commands that need a lake and a run history share: opening them, and saying what became of a run."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import dagster as dg
import typer

from jobs import one_series, one_simulation, one_trust, terminal
from jobs.definitions import build_definitions
from jobs.home import prepare_home
from jobs.pipeline import Outcome, Pipeline, partitions_between
from jobs.progress import RunWatcher
from jobs.report import ONE_SERIES, ONE_SIMULATION, TRUST_IN, View, states_table, table_states
from jobs.report import show as view_of
from jobs.settings import Settings
from jobs.state import failing_checks, last_run, refused_and_failed
from jobs.targets import check_target, writing
from jobs.terminal import FAILED, OK, REFUSED
from pulse_resources.errors import ConfigError
from pulse_resources.lake import Lake

SHOWN_SERIES = 8


@contextmanager
def opened() -> Iterator[Pipeline]:
    """Open the run history and the lake for the length of the block."""
    settings = Settings.from_environment()
    prepare_home(settings.home)
    with dg.DagsterInstance.get() as instance:
        yield Pipeline(build_definitions(), instance, settings.lake().lake())


def use(config: Path | None) -> None:
    """Take the configuration, and build its sources once: what is wrong in it is said before a run is launched."""
    if config is not None:
        os.environ["PULSE_CONFIG"] = str(config.absolute())
    Settings.from_environment().market().sources()


def run_day(as_of: date | None, *, again: bool) -> None:
    """Ingest, then bring the newest day, or the one asked for, up to date."""
    if as_of:
        partitions_between(as_of, as_of)
    with opened() as pipeline:
        finish(watched("ingest", 1, pipeline.ingest))
        first, last = pipeline.stale_days(as_of or pipeline.newest_day(), again=again)
        what = f"as of {last}" if first == last else f"{first} to {last}"
        finish(watched(what, 19, lambda watch: pipeline.backfill(first, last, watch)))
        _summarise(pipeline, last)
        _leave(pipeline)


def run_range(first: date, last: date) -> None:
    """Ingest, then compute all days of a range."""
    partitions_between(first, last)
    with opened() as pipeline:
        finish(watched("ingest", 1, pipeline.ingest))
        finish(watched(f"{first} to {last}", 19, lambda watch: pipeline.backfill(first, last, watch)))
        _print_view(view_of(pipeline.lake, "scores", last, None), 40)
        _leave(pipeline)


def print_status() -> None:
    """Print tables, the last run and failing checks, and leave with 1 where something failed."""
    with opened() as pipeline:
        console = terminal.console
        console.print(f"lake {pipeline.lake.root}, run history {Settings.from_environment().home}\n")
        console.print(states_table(table_states(pipeline.lake)))
        newest = last_run(pipeline.instance)
        console.print(f"\nlast run: {newest.describe() if newest else 'none yet; `pulse run` launches one'}")
        failing = failing_checks(pipeline.definitions, pipeline.instance)
        for check in failing:
            console.print(f"failing check: {check.describe()}")
        if not failing:
            console.print("no check is failing")
        raise typer.Exit(FAILED if (newest and newest.failed) or any(c.blocking for c in failing) else OK)


def print_what(what: str, as_of: date | None, which: str | None, limit: int, plot: Path | None) -> None:
    """Print a view or a table; one series or one simulation is also drawn."""
    if plot is not None and what not in (ONE_SERIES, ONE_SIMULATION, TRUST_IN):
        raise ConfigError(
            f"--plot belongs to `pulse show {ONE_SERIES} UNIQUE_ID`, `pulse show {ONE_SIMULATION} SCENARIO` and "
            f"`pulse show {TRUST_IN}`; "
            f"{what} has no picture"
        )
    if what == ONE_SERIES and not which:
        raise ConfigError(f"which series? `pulse show {ONE_SERIES} UNIQUE_ID`, or a part of its id that no other has")
    check_target("--plot", plot, (".png",))
    with opened() as pipeline:
        shown, draw = _looked_up(pipeline.lake, what, as_of, which)
        for view in shown:
            _print_view(view, limit)
            if draw is not None:
                terminal.console.print()
        if plot is not None and draw is not None:
            with writing(plot):
                plot.write_bytes(draw())
            terminal.console.print(f"drew {plot}", markup=False)


def _looked_up(
    lake: Lake, what: str, as_of: date | None, which: str | None
) -> tuple[list[View], Callable[[], bytes] | None]:
    """Return what is to be printed, and what draws it if there is a picture of it."""
    if what == ONE_SERIES and which is not None:
        series = one_series.look_up(lake, as_of, which)
        return one_series.views(lake, series), partial(one_series.picture, series)
    if what == ONE_SIMULATION:
        simulation = one_simulation.look_up(lake, as_of, which)
        return one_simulation.views(simulation), partial(one_simulation.picture, simulation)
    if what == TRUST_IN:
        trust = one_trust.look_up(lake, as_of, which)
        return one_trust.views(trust), partial(one_trust.picture, trust)
    return [view_of(lake, what, as_of, which)], None


def explain(which: str, as_of: date | None) -> None:
    """Print why the forecasts of one series may be used or not."""
    from jobs.explain import explain as explained

    with opened() as pipeline:
        terminal.console.print(explained(pipeline.lake, which, as_of), markup=False, soft_wrap=True, highlight=False)


def list_models() -> None:
    """Print the versions of all models in the registry."""
    from jobs.models import list_models as listed

    with opened() as pipeline:
        _print_view(listed(pipeline.lake, Settings.from_environment().registry()), 1_000)


def move_model(which: str, version: str | None, as_of: date | None) -> None:
    """Promote a version of a model, or roll the model back where none is named."""
    from jobs.models import promote, rollback

    now = datetime.now(UTC)
    with opened() as pipeline:
        registry = Settings.from_environment().registry()
        if version is None:
            said = rollback(pipeline.lake, registry, which, now=now, as_of=as_of)
        else:
            said = promote(pipeline.lake, registry, which, version, now=now, as_of=as_of)
    terminal.console.print(said, markup=False, soft_wrap=True)


def watched(what: str, steps: int, launch: object) -> Outcome:
    """Launch a run and show how it goes."""
    watcher = RunWatcher(terminal.console, what, steps)
    return launch(watcher.watching)  # type: ignore[operator, no-any-return]


def finish(outcome: Outcome) -> None:
    """Say which checks failed, and leave with 1 if the run did."""
    problems = terminal.problems
    for check in outcome.failed_checks:
        problems.print(f"check failed: {check}", style="yellow", markup=False)
    if not outcome.success:
        problems.print(f"run {outcome.run_id} failed: {outcome.error}", style="red", markup=False, soft_wrap=True)
        problems.print("`pulse ui` shows the run; what had been written before is whole, and running again is safe")
        raise typer.Exit(FAILED)


def _summarise(pipeline: Pipeline, day: date) -> None:
    console = terminal.console
    console.print()
    console.print(states_table(table_states(pipeline.lake)))
    console.print()
    _print_view(view_of(pipeline.lake, "forecasts", day, None), SHOWN_SERIES * 5)
    console.print("\nWhere to look next: `make ui`, `pulse show licences`, `pulse show scores`, `pulse status`")
    console.print(f"The tables are Delta tables under {pipeline.lake.root}; the README shows how to open them.")


def _print_view(view: View, limit: int) -> None:
    terminal.print_rows(view.rows, view.title, limit)
    if view.note:
        terminal.console.print(view.note, style="dim", markup=False)


def _leave(pipeline: Pipeline) -> None:
    """Exit with 3 when the last look refused rows or a source did not answer."""
    sources = [source.name for source in Settings.from_environment().market().sources()]
    refused, failed = refused_and_failed(pipeline.lake, sources)
    if refused:
        terminal.problems.print(
            f"{refused:,} rows, lines or files were refused: `pulse show quarantine`", style="yellow"
        )
    for source, error in failed.items():
        terminal.problems.print(f"source {source} failed: {error}", style="yellow", markup=False)
    raise typer.Exit(REFUSED if refused or failed else OK)
