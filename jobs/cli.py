"""The ``pulse`` command: run, backfill, look, forecast a file, open the user interface. Says what may be asked.

Each command imports what it needs when it is called, so that help and ``pulse forecast`` do not wait for Dagster.
"""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from jobs import terminal
from jobs.terminal import EXIT_CODES, FAILED, OK, REFUSED, USAGE
from pulse_resources.errors import ConfigError, PulseError

app = typer.Typer(
    help="Licensed, calibrated forecasts from market, macro and news signals, with the evidence kept.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


models = typer.Typer(
    help="Trained models in the registry: list them, promote one, roll one back.", no_args_is_help=True
)
app.add_typer(models, name="models", epilog=EXIT_CODES)
AsOf = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=["%Y-%m-%d"], help="Origins after this day take it; default: the newest day"),
]
Model = Annotated[str, typer.Argument(help="Registered name, or a family such as 'B price'")]


@models.command("list", epilog=EXIT_CODES)
def list_models() -> None:
    """Show all versions with their aliases, what they have learned from, and which one serves."""
    from jobs import commands

    commands.list_models()


@models.command("promote", epilog=EXIT_CODES)
def promote_model(
    which: Model,
    version: Annotated[str, typer.Argument(help="Version number, or an alias such as challenger")],
    as_of: AsOf = None,
) -> None:
    """Make a version the champion, in the registry and for the forecasts to come."""
    from jobs import commands

    commands.move_model(which, version, as_of.date() if as_of else None)


@models.command("rollback", epilog=EXIT_CODES)
def roll_model_back(which: Model, as_of: AsOf = None) -> None:
    """Make the previous champion the champion again."""
    from jobs import commands

    commands.move_model(which, None, as_of.date() if as_of else None)


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
    from jobs import commands

    commands.use(config)
    commands.run_day(as_of.date() if as_of else None, again=again)


@app.command(epilog=EXIT_CODES)
def backfill(
    start: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day")],
    end: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day")],
    config: Annotated[Path | None, typer.Option("--config", help="Sources (YAML)")] = None,
) -> None:
    """Evaluate a range of days as if each were today: forecasts, scores and licences, in one run."""
    from jobs import commands

    commands.use(config)
    commands.run_range(start.date(), end.date())


@app.command(epilog=EXIT_CODES)
def forecast(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet: unique_id, ds, y, or whatever its columns are called")],
    horizon: Annotated[int, typer.Option("--horizon", help="Steps ahead, 1 to 1,000")],
    freq: Annotated[
        str | None, typer.Option("--freq", help="h, D, B, W, MS, QS or YS; default: what the first series looks like")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="price, return, volatility, rate, macro, sentiment or other")
    ] = None,
    season: Annotated[int | None, typer.Option("--season", help="Steps of the season; default: by frequency")] = None,
    gap_policy: Annotated[str, typer.Option("--gap-policy", help="Missing steps: ffill, zero or none")] = "ffill",
    id_column: Annotated[str | None, typer.Option("--id", help="Column that tells series apart")] = None,
    time: Annotated[str | None, typer.Option("--time", help="Column of times")] = None,
    value: Annotated[str | None, typer.Option("--value", help="Column of values")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Write all quantiles: .csv or .parquet")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the first twelve series: .png")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows shown")] = 40,
) -> None:
    """Forecast the series of any CSV or Parquet file: no lake, no configuration, no run."""
    from jobs.forecast_file import Request, forecast_file
    from jobs.long_table import Names

    names = Names(id_column, time, value)
    request = Request(
        file, horizon, freq=freq, kind=kind, season=season, gap_policy=gap_policy, names=names, output=output, plot=plot
    )
    answer = forecast_file(request)
    terminal.console.print(f"{file.name}: {answer.taken_as}\n", markup=False)
    terminal.print_rows(answer.shown, "Forecasts", limit)
    terminal.console.print("No licence: nothing has scored these. Quantiles 2.5 %, 50 %, 97.5 %.\n", style="dim")
    terminal.print_rows(answer.recipe, f"What the forecast of {answer.first_series} is made of", len(answer.recipe))
    for line in (*answer.remarks, *answer.written):
        terminal.console.print(line, style="dim", markup=False, soft_wrap=True)
    for line in answer.refusals:
        terminal.problems.print(f"no forecast: {line}", style="yellow", markup=False, soft_wrap=True)
    raise typer.Exit(REFUSED if answer.refusals else OK)


@app.command(epilog=EXIT_CODES)
def simulate(
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            "--scenario", help="YAML file, or one that ships: base, energy_crisis, …; may be given several times"
        ),
    ] = None,
    paths: Annotated[int, typer.Option("--paths", help="Simulated futures")] = 10_000,
    steps: Annotated[int, typer.Option("--steps", help="Business days ahead")] = 20,
    seed: Annotated[int, typer.Option("--seed", help="Of the random numbers")] = 0,
    as_of: Annotated[
        datetime | None,
        typer.Option("--as-of", formats=["%Y-%m-%d"], help="Origin; default: the newest day in the data"),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], help="Backfill from --as-of to this day, in one run"),
    ] = None,
    world: Annotated[
        str, typer.Option("--world", help="YAML file, embedded, or auto: what the lake's series make")
    ] = "auto",
    rules: Annotated[str, typer.Option("--rules", help="YAML file, default, or none")] = "default",
    position: Annotated[
        list[str] | None,
        typer.Option("--position", help="NAME=USD held in an asset, negative is short; default: 1,000,000 USD, evenly"),
    ] = None,
    capital: Annotated[
        float, typer.Option("--capital", help="USD behind the positions: ruin is losing it")
    ] = 1_000_000.0,
    allow_short: Annotated[bool, typer.Option("--allow-short", help="Permit negative positions")] = False,
    policy: Annotated[str, typer.Option("--policy", help="hold or rebalance")] = "hold",
    antithetic: Annotated[bool, typer.Option("--antithetic", help="Paths in mirrored pairs")] = False,
    sobol: Annotated[bool, typer.Option("--sobol", help="Estimate risk with scrambled Sobol points, too")] = False,
    target_error: Annotated[
        float, typer.Option("--target-error", help="End early at this relative standard error of the 97.5 % shortfall")
    ] = 0.0,
    compute: Annotated[
        str | None, typer.Option("--compute", help="inline, threads, local, or a scheduler such as tcp://host:8786")
    ] = None,
    print_hash: Annotated[
        bool, typer.Option("--print-hash", help="SHA-256 of all outcomes as the last line: equal bits, equal digest")
    ] = False,
    config: Annotated[Path | None, typer.Option("--config", help="Sources (YAML)")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows shown of each table")] = 40,
) -> None:
    """Simulate scenarios from the world as of a day: distributions, risk, causal rules; kept in the lake."""
    from jobs.simulation import Wanted
    from jobs.simulation import simulate as run_simulation

    if until is not None and as_of is None:
        raise ConfigError("--to needs --as-of, the first day of the range")
    settings = {
        "scenarios": scenario or ["base"],
        "world": world,
        "rules": rules,
        "positions_usd": _positions(position or []),
        "capital_usd": capital,
        "allow_short": allow_short,
        "policy": policy,
        "paths": paths,
        "steps": steps,
        "seed": seed,
        "antithetic": antithetic,
        "sobol": sobol,
        "target_error": target_error,
    }
    days = [day.date() if day else None for day in (as_of, until)]
    run_simulation(Wanted(settings, days[0], days[1], compute, config, print_hash, limit))


def _positions(given: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in given:
        name, _, usd = text.partition("=")
        try:
            found[name.strip()] = float(usd)
        except ValueError:
            raise ConfigError(f"--position takes NAME=USD, such as SPX=250000; came {text!r}") from None
    return found


@app.command(epilog=EXIT_CODES)
def replay(
    run: Annotated[str, typer.Argument(help="Id of the run, or its first digits: `pulse simulate` prints it")],
    path: Annotated[int, typer.Argument(help="Number of the path, from 0")],
    output: Annotated[Path | None, typer.Option("--output", help="Write all steps: .csv or .parquet")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Steps shown")] = 40,
) -> None:
    """Simulate one path of an earlier run again, bit for bit, and show every step of it."""
    from jobs.simulation import replay as replay_path

    replay_path(run, path, output, limit)


@app.command(epilog=EXIT_CODES)
def status() -> None:
    """Show tables, the last run and failing checks; exit code 1 when the last run or a blocking check failed."""
    from jobs import commands

    commands.print_status()


@app.command(epilog=EXIT_CODES)
def show(
    what: Annotated[
        str,
        typer.Argument(
            help="forecasts, licences, scores, series, sources, quarantine, a table such as ops/lineage, "
            "forecast: all about one series, simulation: all about one scenario, or trust: in all series or one"
        ),
    ],
    which: Annotated[str | None, typer.Argument(help="As --series; of `show simulation` the scenario")] = None,
    as_of: Annotated[
        datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="As it was known on that day")
    ] = None,
    series: Annotated[str | None, typer.Option("--series", help="Only series whose id contains this text")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows shown")] = 40,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="Draw what `show forecast`, `show simulation` or `show trust` is about: .png"),
    ] = None,
) -> None:
    """Show forecasts with licences, decisions with reasons, scores, series, sources, simulations, or any table."""
    if which and series and which != series:
        raise ConfigError(f"two series were asked for, {which!r} and {series!r}; name one")
    from jobs import commands

    commands.print_what(what, as_of.date() if as_of else None, which or series, limit, plot)


@app.command(epilog=EXIT_CODES)
def explain(
    series: Annotated[str, typer.Argument(help="Id of a series, or a part that no other has")],
    as_of: Annotated[
        datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="Origin; default: the newest licensed day")
    ] = None,
) -> None:
    """Say why the forecasts of a series may be used or not, with the numbers behind every reason."""
    from jobs import commands

    commands.explain(series, as_of.date() if as_of else None)


@app.command(epilog=EXIT_CODES)
def sources() -> None:
    """Show which kinds of source are installed, and which are configured."""
    from jobs.settings import Settings
    from pulse_resources.sources.registry import available_sources

    for kind, place in available_sources().items():
        terminal.console.print(f"installed: {kind} ({place})")
    for source in Settings.from_environment().market().sources():
        terminal.console.print(f"configured: {source.name} ({type(source).__name__})")


@app.command(epilog=EXIT_CODES)
def ui(
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on")] = 3000,
) -> None:
    """Open Dagster's user interface and daemon with persistent history; stop with Ctrl-C."""
    import os

    from jobs.home import prepare_home, shipped
    from jobs.settings import Settings

    prepare_home(Settings.from_environment().home)
    where = ["-w", str(shipped("workspace.yaml")), "-h", host, "-p", str(port)]
    command = [sys.executable, "-m", "dagster", "dev", *where]
    terminal.console.print(f"http://{host}:{port} (about twenty seconds to start)")
    os.execv(sys.executable, command)  # noqa: S606 - replaces this process, so that signals reach Dagster


def main() -> None:
    """Run the command line; errors that Pulse raises on purpose are one line, not a traceback."""
    try:
        app()
    except PulseError as error:
        terminal.problems.print(f"{type(error).__name__}: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(USAGE if isinstance(error, ValueError) else FAILED)
