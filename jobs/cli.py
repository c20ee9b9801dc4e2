"""The ``pulse`` command: run, backfill, look, open the user interface. Launches and shows; computes nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import dagster as dg
import typer
from rich.console import Console

from jobs.home import prepare_home, shipped
from jobs.pipeline import Outcome, Pipeline, partitions_between
from jobs.progress import RunWatcher
from jobs.settings import Settings
from pulse_resources.errors import PulseError

OK, FAILED, USAGE, REFUSED = 0, 1, 2, 3
EXIT_CODES = (
    "Exit codes: 0 done; 1 a run or a blocking check failed; 2 wrong usage or configuration; "
    "3 done, but rows were refused or a source did not answer (`pulse show quarantine`, `pulse show sources`)."
)
SHOWN_SERIES = 8

app = typer.Typer(
    help="Licensed, calibrated forecasts from market, macro and news signals, with the evidence kept.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
WIDE = 160
console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)  # a pipe has no edge to fold at
problems = Console(stderr=True, highlight=False)

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE")]


@contextmanager
def _pipeline() -> Iterator[Pipeline]:
    from jobs.definitions import build_definitions

    settings = Settings.from_environment()
    prepare_home(settings.home)
    with dg.DagsterInstance.get() as instance:
        yield Pipeline(build_definitions(), instance, settings.lake().lake())


@app.command(epilog=EXIT_CODES)
def run(
    as_of: Annotated[
        datetime | None,
        typer.Option("--as-of", formats=["%Y-%m-%d"], help="Origin; default: the newest day in the data"),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Compute all days once more, also those that are up to date")
    ] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="Sources (YAML); default: PULSE_CONFIG, else the embedded data")
    ] = None,
) -> None:
    """Ingest what is new, then forecast, score and license the newest day."""
    _use(config)
    if as_of:
        partitions_between(as_of.date(), as_of.date())
    with _pipeline() as pipeline:
        _finish(_watched("ingest", 1, pipeline.ingest), must_succeed=True)
        day = as_of.date() if as_of else pipeline.newest_day()
        first, last = pipeline.stale_days(day, again=again)
        what = f"as of {last}" if first == last else f"{first} to {last}"
        outcome = _watched(what, 11, lambda watch: pipeline.backfill(first, last, watch))
        _finish(outcome, must_succeed=True)
        _summary(pipeline, last)
        _leave(pipeline)


@app.command(epilog=EXIT_CODES)
def backfill(
    start: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day")],
    end: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day")],
    config: Annotated[Path | None, typer.Option("--config", help="Sources (YAML)")] = None,
) -> None:
    """Evaluate a range of days as if each were today: forecasts, scores and licences, in one run."""
    _use(config)
    first, last = start.date(), end.date()
    partitions_between(first, last)
    with _pipeline() as pipeline:
        _finish(_watched("ingest", 1, pipeline.ingest), must_succeed=True)
        outcome = _watched(f"{first} to {last}", 11, lambda watch: pipeline.backfill(first, last, watch))
        _finish(outcome, must_succeed=True)
        _show_view(pipeline, "scores", last, None, 40)
        _leave(pipeline)


@app.command(epilog=EXIT_CODES)
def status() -> None:
    """Show tables, the last run and failing checks; exit code 1 when the last run or a blocking check failed."""
    from jobs.report import states_table, table_states
    from jobs.state import failing_checks, last_run

    with _pipeline() as pipeline:
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


@app.command(epilog=EXIT_CODES)
def show(
    what: Annotated[
        str,
        typer.Argument(help="forecasts, licences, scores, series, sources, quarantine, or a table such as ops/lineage"),
    ],
    as_of: Annotated[
        datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="As it was known on that day")
    ] = None,
    series: Annotated[str | None, typer.Option("--series", help="Only series whose id contains this text")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows shown")] = 40,
) -> None:
    """Show forecasts with their licences, decisions with reasons, scores, series, sources, or any table."""
    with _pipeline() as pipeline:
        _show_view(pipeline, what, as_of.date() if as_of else None, series, limit)


@app.command(epilog=EXIT_CODES)
def sources() -> None:
    """Show which kinds of source are installed, and which are configured."""
    from pulse_resources.sources.registry import available_sources

    for kind, place in available_sources().items():
        console.print(f"installed: {kind} ({place})")
    for source in Settings.from_environment().market().sources():
        console.print(f"configured: {source.name} ({type(source).__name__})")


@app.command(epilog=EXIT_CODES)
def ui(
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on")] = 3000,
) -> None:
    """Open Dagster's user interface and daemon with persistent history; stop with Ctrl-C."""
    import os

    prepare_home(Settings.from_environment().home)
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-w",
        str(shipped("workspace.yaml")),
        "-h",
        host,
        "-p",
        str(port),
    ]
    console.print(f"http://{host}:{port} (about twenty seconds to start)")
    os.execv(sys.executable, command)  # noqa: S606 - replaces this process, so that signals reach Dagster


def main() -> None:
    """Run the command line; errors that Pulse raises on purpose are one line, not a traceback."""
    try:
        app()
    except PulseError as error:
        problems.print(f"{type(error).__name__}: {error}", style="red", markup=False)
        sys.exit(USAGE if isinstance(error, ValueError) else FAILED)


def _use(config: Path | None) -> None:
    """Take the configuration, and build its sources once: what is wrong in it is said before a run is launched."""
    import os

    if config is not None:
        os.environ["PULSE_CONFIG"] = str(config.absolute())
    Settings.from_environment().market().sources()


def _watched(what: str, steps: int, launch: object) -> Outcome:
    watcher = RunWatcher(console, what, steps)
    return launch(watcher.watching)  # type: ignore[operator, no-any-return]


def _finish(outcome: Outcome, *, must_succeed: bool) -> None:
    for check in outcome.failed_checks:
        problems.print(f"check failed: {check}", style="yellow", markup=False)
    if must_succeed and not outcome.success:
        problems.print(f"run {outcome.run_id} failed: {outcome.error}", style="red", markup=False)
        problems.print("`pulse ui` shows the run; what had been written before is whole, and running again is safe")
        raise typer.Exit(FAILED)


def _summary(pipeline: Pipeline, day: date) -> None:
    from jobs.report import states_table, table_states

    console.print()
    console.print(states_table(table_states(pipeline.lake)))
    console.print()
    _show_view(pipeline, "forecasts", day, None, SHOWN_SERIES * 5)
    console.print("\nWhere to look next: `make ui`, `pulse show licences`, `pulse show scores`, `pulse status`")
    console.print(f"The tables are Delta tables under {pipeline.lake.root}; the README shows how to open them.")


def _show_view(pipeline: Pipeline, what: str, as_of: date | None, series: str | None, limit: int) -> None:
    from jobs.report import as_rich
    from jobs.report import show as view_of

    view = view_of(pipeline.lake, what, as_of, series)
    console.print(as_rich(view.rows, view.title, limit))
    if len(view.rows) > limit:
        console.print(f"… {len(view.rows) - limit:,} more rows (--limit)")
    if not len(view.rows):
        console.print("no rows")
    if view.note:
        console.print(view.note, style="dim", markup=False)


def _leave(pipeline: Pipeline) -> None:
    """Exit with 3 when the last look refused rows or a source did not answer."""
    from jobs.state import refused_and_failed

    refused, failed = refused_and_failed(
        pipeline.lake, [s.name for s in Settings.from_environment().market().sources()]
    )
    if refused:
        problems.print(f"{refused:,} rows, lines or files were refused: `pulse show quarantine`", style="yellow")
    for source, error in failed.items():
        problems.print(f"source {source} failed: {error}", style="yellow", markup=False)
    raise typer.Exit(REFUSED if refused or failed else OK)
