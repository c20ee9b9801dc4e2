"""Cost of ten years of retrodiction: ``python -m benchmarks.retrodiction [PANEL.parquet] [--days D] [--rounds R]``.

64 assets, 10,000 paths, 20 steps, daily origins, the world that ``auto`` would choose: GJR, Student's t, two regimes. D
origins are measured and scaled to 2,520; ``--json`` prints one object. PANEL holds daily bars (``unique_id, ds,
close``), of which the 64 longest names are taken; without it the closes of 20 equities, more than once and shifted by
months. Peer: arch, GJR series by series in the same run. What scores cost against scoringrules is in
``benchmarks.ensemble_scores``. Compiling is not measured.
"""

import argparse
import statistics
import warnings
from collections.abc import Callable
from datetime import date
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.calibration_speed import SeriesByName, assets
from benchmarks.report import Report, measured
from pulse_assets.forecasting.garch import fit_gjr
from pulse_assets.simulation.calibration.known_series import Vintages
from pulse_assets.simulation.calibration.world_settings import WorldSettings
from pulse_assets.simulation.calibration.worlds import calibrate_days
from pulse_assets.simulation.engine import F32s as Singles
from pulse_assets.simulation.engine import states_at
from pulse_assets.simulation.kernel.header import RECORDED_STEPS
from pulse_assets.simulation.program import Holdings, build
from pulse_assets.simulation.retrodiction.names import ENGINES, PULSE
from pulse_assets.simulation.retrodiction.origins import Values, months_of, retrodict, seed_of
from pulse_assets.simulation.retrodiction.reference_worlds import settings_for
from pulse_assets.simulation.retrodiction.scores import Label, score_steps
from pulse_assets.simulation.retrodiction.truth import origin_of
from pulse_assets.simulation.retrodiction.wanted import Wanted
from pulse_assets.simulation.scenarios.scenario import no_shock
from pulse_assets.simulation.world import Floats, World

ASSETS, PATHS, HORIZON, TEN_YEARS = 64, 10_000, 20, 2520
STEPS = (1, 5, 10, 20)
REPEATS = 20
"""Our fits in one measurement: a single one is no longer than the clock is fine."""
LABEL = Label(date(2018, 1, 1), date(2018, 1, 1), PULSE, "seed_then_free")


def panel_assets(panel: Path) -> SeriesByName:
    """Return days and closes of the 64 longest names of a panel, by name where they are equally long."""
    frame = pq.read_table(panel, columns=["unique_id", "ds", "close"]).to_pandas().dropna()
    sizes = frame.groupby("unique_id", observed=True).size().reset_index(name="size")
    chosen = sizes.sort_values(["size", "unique_id"], ascending=[False, True])["unique_id"].head(ASSETS)
    found = {}
    for name in chosen:
        rows = frame[frame["unique_id"] == name].sort_values("ds")
        found[f"s_{name}"] = (rows["ds"].to_numpy().astype("datetime64[D]"), rows["close"].to_numpy(np.float64))
    return found


def settings_of(values: SeriesByName) -> WorldSettings:
    """Return the settings of a world of all assets."""
    return WorldSettings.model_validate({"assets": {name: name for name in values}, "regimes": True, "history": 0})


def world_seconds(values: Values, days: list[date], settings: WorldSettings) -> tuple[float, list[World]]:
    """Return CPU seconds of the worlds of all origins, monthly refits included, and the worlds."""
    origins = np.array([origin_of(np.datetime64(day, "D"), HORIZON) for day in days])
    with measured() as cost:
        worlds = [made.world for made in calibrate_days(values, origins, settings)]
    return cost.cpu_s, worlds


def simulation_seconds(worlds: list[World], paths: int) -> tuple[float, Singles]:
    """Return CPU seconds of simulating each world, and the last members."""
    with measured() as cost:
        for place, world in enumerate(worlds):
            members = _members(world, place, paths)
    return cost.cpu_s, members


def _simulation_seconds(worlds: list[World]) -> float:
    return simulation_seconds(worlds, PATHS)[0]


def _members(world: World, place: int, paths: int) -> Singles:
    count = len(world.assets)
    program = build(
        world,
        Holdings(np.full(count, 1 / count), 1.0),
        no_shock(world, HORIZON),
        recorded=STEPS,
        traced=RECORDED_STEPS,
        tracked=False,
        counted=False,
    )
    return states_at(program, seed_of(0, np.datetime64(place, "D")), paths, count)


def score_seconds(members: Singles, times: int) -> float:
    """Return CPU seconds of scoring one origin's members at all steps."""
    actual = np.zeros(members.shape[:2])
    names = [str(a) for a in range(members.shape[1])]
    with measured() as cost:
        for _ in range(times):
            score_steps(members, actual, names, STEPS, LABEL, fall=0.05, energy_members=1000)
    return cost.cpu_s / times


def whole_seconds(values: Values, days: list[date], settings: WorldSettings, engines: tuple[str, ...]) -> float:
    """Return CPU seconds of everything: worlds, simulations, truth, scores, rows."""
    wanted = Wanted(paths=PATHS, horizon=HORIZON, steps=STEPS, engines=engines)
    with measured() as cost:
        months = (retrodict(values, block, settings, wanted) for block in months_of(days, HORIZON))
        rows = sum(len(each.rows) for each in chain.from_iterable(months))
    assert rows, "no origin has a world"
    return cost.cpu_s


def fit_seconds(returns: list[Floats]) -> tuple[float, float, float]:
    """Return CPU seconds of our GJR fits of all assets and of arch's, and how far the worst log-likelihood is apart."""
    from arch import arch_model

    offsets = np.concatenate([[0], np.cumsum([len(each) for each in returns])])
    with measured() as ours:
        for _ in range(REPEATS):
            fit = fit_gjr(np.concatenate(returns), offsets)
    theirs = []
    with measured() as cost:
        for each in returns:
            model = arch_model(100 * each, mean="Constant", vol="GARCH", p=1, o=1, q=1, rescale=False)
            theirs.append(model.fit(disp="off", show_warning=False).loglikelihood + len(each) * np.log(100))
    return ours.cpu_s / REPEATS, cost.cpu_s, float(np.max(np.array(theirs) - fit.loglik))


def _median(run: Callable[[], float], rounds: int) -> float:
    run()
    return statistics.median(run() for _ in range(rounds))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("panel", type=Path, nargs="?")
    parser.add_argument("--days", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # arch's about its own searches
    series = assets() if options.panel is None else panel_assets(options.panel)
    values = {name: Vintages(days, days, levels) for name, (days, levels) in series.items()}
    newest = min(days[-1] for days, _ in series.values())
    days = [each.astype(object) for each in np.busday_offset(newest, np.arange(1 - options.days, 1), roll="backward")]
    settings, report = settings_of(series), Report("retrodiction")
    measure(report, values, days, settings, options.rounds)
    report.print()


def measure(report: Report, values: Values, days: list[date], settings: WorldSettings, rounds: int) -> None:
    """Add the parts of a day, the whole of it, and the fits against arch."""
    worlds = world_seconds(values, days, settings)[1]
    _, members = simulation_seconds(worlds, PATHS)
    scale, note = TEN_YEARS / len(days), f"{len(days)} origins x {TEN_YEARS / len(days):.1f}; CPU, one thread"
    simulation = _median(partial(_simulation_seconds, worlds), rounds)
    report.add("simulation_s", scale * simulation, "s in 10 years", note=f"{note}; members at steps {STEPS} included")
    unit = 1e9 / (len(days) * PATHS * HORIZON * len(worlds[0].assets))
    report.add("simulation_ns", unit * simulation, "ns an asset-step")
    worlds_s = _median(lambda: world_seconds(values, days, settings)[0], rounds)
    report.add("calibration_s", scale * worlds_s, "s in 10 years", note=f"{note}; monthly refits")
    score = _median(lambda: score_seconds(members, REPEATS), rounds)
    report.add("scores_s", TEN_YEARS * score, "s in 10 years", note="CRPS, energy, PIT, tails, event at four steps")
    for engine in ENGINES[1:]:
        try:
            made = world_seconds(values, days, settings_for(engine, settings))[1]
        except ValueError as why:  # a day without this world is left out of a retrodiction, too
            report.add(f"simulation_s_{engine}", float("nan"), "s in 10 years", note=str(why))
        else:
            cost = _median(partial(_simulation_seconds, made), 1)
            report.add(f"simulation_s_{engine}", scale * cost, "s in 10 years", note=note)
    for name, engines in (("pulse", (PULSE,)), ("all", ENGINES)):
        cost = _median(partial(whole_seconds, values, days, settings, engines), 1)
        report.add(f"whole_s_{name}", scale * cost, "s in 10 years", note=f"{note}; everything, {len(engines)} engines")
    last = [values[source].levels[-settings.window_days :] for source in settings.assets.values()]
    returns = [np.diff(np.log(levels)) for levels in last]
    fits = [fit_seconds(returns) for _ in range(rounds + 1)][1:]
    ours, theirs = (statistics.median(each[i] for each in fits) for i in (0, 1))
    note = f"{len(returns)} GJR fits of {len(returns[0])} returns"
    report.add("gjr_vs_arch", theirs / ours, "ratio", "arch", note)
    report.add("loglik_gap", max(each[2] for each in fits), "nats", "arch", "most that arch's likelihood is above ours")
    report.add("gjr_s", ours, "s", note=note)


if __name__ == "__main__":
    main()
