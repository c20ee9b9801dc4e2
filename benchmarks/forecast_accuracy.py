"""Accuracy of forecasts of a panel, measured as the M4 competition does, beside statsforecast.

``python -m benchmarks.forecast_accuracy PANEL.parquet --freq F --season M --horizon H [--peers] [--sample N] [--json]``

PANEL holds ``unique_id, ds, y`` and perhaps ``split``, whose rows ``test`` are only scored; without it these are the
last H of each series. The season is that of MASE, Naive 2 and the peers (M4: Y 1, Q 4, M 12, W 1, D 1, H 24); the
engine finds its own unless told. Truths are matched by their number, not their stamp. Peers get a sample, the engine
all.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.report import Report, measured
from pulse_assets.forecasting.api import Forecast, forecast
from pulse_assets.numerics.accuracy import mase, mase_scale, msis, naive2, owa, smape

if TYPE_CHECKING:
    import polars as pl

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ENSEMBLE = ("AutoARIMA", "AutoETS", "AutoCES", "DynamicOptimizedTheta")
"""Models whose medians are the ensemble, by their names in statsforecast."""
NAIVE = "SeasonalNaive"
OURS = ("q500", "q025", "q100", "q900", "q975")
"""Columns that are scored, in the order of every array below: point, then interval ends from low to high."""
POINT, LOW_95, LOW_80, HIGH_80, HIGH_95 = range(len(OURS))
WARM_SERIES = 200
UNITS = {"smape": "per cent", "coverage_80": "share", "coverage_95": "share"}


@dataclass(frozen=True)
class Panel:
    """Series whose truth is known, sorted by id; ``table`` holds the histories of all, ``left_out`` says who is not."""

    table: pa.Table
    ids: list[str]
    histories: list[Floats]
    truth: Floats
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.ids)

    def take(self, rows: Ints) -> "Panel":
        """Return some of the series; the table stays whole."""
        chosen = [self.histories[row] for row in rows]
        return replace(self, ids=[self.ids[row] for row in rows], histories=chosen, truth=self.truth[rows])

    def sample(self, count: int | None) -> "Panel":
        """Return up to ``count`` series, chosen by the hash of their ids so that a run can be repeated."""
        order = np.argsort([crc32(name.encode()) for name in self.ids], kind="stable")
        return self.take(np.sort(order[:count]))


def read_series(path: Path) -> tuple[pa.Table, list[str], list[Ints]]:
    """Return the finite rows of a panel by series and stamp, ids in order, and the rows of each; ``close`` may be y."""
    if not path.is_file():
        sys.stderr.write(f"no panel at {path}: name a Parquet file with unique_id, ds, y\n")
        sys.exit(os.EX_NOINPUT)
    table = pq.read_table(path)
    y = table["y" if "y" in table.column_names else "close"].cast(pa.float64())
    columns = {"unique_id": table["unique_id"].cast(pa.string()), "ds": table["ds"], "y": y}
    if "split" in table.column_names:
        columns["split"] = table["split"].cast(pa.string())
    table = pa.table(columns).filter(pc.is_finite(y))
    table = table.sort_by([("unique_id", "ascending"), ("ds", "ascending")])
    names = table["unique_id"].combine_chunks().dictionary_encode()
    cuts = np.flatnonzero(np.diff(names.indices.to_numpy())) + 1
    return table, names.dictionary.to_pylist(), np.split(np.arange(len(table)), cuts)


def read_panel(path: Path, horizon: int) -> Panel:
    """Read a panel and cut the last steps, or the rows marked as test, from its histories."""
    table, ids, rows = read_series(path)
    if "split" in table.column_names:
        is_test = pc.fill_null(pc.equal(table["split"], "test"), False).to_numpy()
    else:
        is_test = np.zeros(len(table), np.bool_)
        is_test[np.concatenate([own[-horizon:] for own in rows])] = True
    y = table["y"].to_numpy()
    histories, truths = ([y[own[is_test[own] == test]] for own in rows] for test in (False, True))
    whole = [k for k, truth in enumerate(truths) if len(truth) >= horizon and len(histories[k])]
    return Panel(
        table.filter(pa.array(~is_test)).select(["unique_id", "ds", "y"]),
        [ids[k] for k in whole],
        [histories[k] for k in whole],
        np.array([truths[k][:horizon] for k in whole]).reshape(-1, horizon),
        _told(len(ids) - len(whole), f"not scored: no history or fewer than {horizon} truths"),
    )


def few_series(table: pa.Table) -> pa.Table:
    """Return some series of a sorted table, enough to import and compile all that forecasting them all will need."""
    names = pc.unique(table["unique_id"])[:WARM_SERIES]
    return table.filter(pc.is_in(table["unique_id"], pa.array(names.cast(pa.string()))))


def laid_out(rows: pa.Table, panel: Panel) -> Floats:
    """Return what the engine said of the series of a panel, shape ``(S, H, 5)``, NaN where it said nothing."""
    horizon = panel.truth.shape[1]
    said = rows["unique_id"].cast(pa.string()).to_numpy()[::horizon]
    place = {name: row for row, name in enumerate(said)}
    made = np.stack([rows[column].to_numpy().reshape(-1, horizon) for column in OURS], axis=2)
    made = np.concatenate([made, np.full((1, horizon, len(OURS)), np.nan)])
    return np.asarray(made[[place.get(name, -1) for name in panel.ids]])


def last_season(histories: Sequence[Floats], season: int, horizon: int) -> Floats:
    """Return the last season again as a point without width, shape ``(S, H, 5)``: what a failed forecast becomes."""
    steps = [np.arange(horizon) % min(season, len(y)) - min(season, len(y)) for y in histories]
    points = np.array([y[back] for y, back in zip(histories, steps, strict=True)])
    return np.repeat(points[:, :, None], len(OURS), axis=2)


def filled(made: Floats, instead: Floats) -> tuple[Floats, int]:
    """Replace series that are not finite throughout; return how many there were."""
    failed = ~np.asarray(np.isfinite(made).all(axis=(1, 2)))
    return np.where(failed[:, None, None], instead, made), int(failed.sum())


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings of a peer, which are about its own search."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def long_frame(histories: Sequence[Floats]) -> "pl.DataFrame":
    """Return series as peers take them, numbered, with steps for stamps."""
    import polars as pl

    lengths = [len(y) for y in histories]
    numbers, steps = np.repeat(np.arange(len(lengths)), lengths), np.concatenate([np.arange(n) for n in lengths])
    return pl.DataFrame({"unique_id": numbers, "ds": steps, "y": np.concatenate(histories)})


def ask_peer(name: str, histories: Sequence[Floats], season: int, horizon: int) -> tuple[Floats, float]:
    """Forecast with one model of statsforecast, table in and table out; return ``(S, H, 5)`` and CPU seconds.

    A series that the model refuses is NaN. Columns are sorted into interval ends, because statsforecast 2.1 names those
    of all series after the last one, wrongly where that fell back to another model.
    """
    with quiet():
        from statsforecast import StatsForecast, models

        table = long_frame(histories)
        model = getattr(models, name)(season_length=season)
        with measured() as cost:
            asked = StatsForecast([model], freq=1, fallback_model=models.NaNModel())
            rows = asked.forecast(df=table, h=horizon, level=[80, 95])
        values = np.asarray(rows)[:, 2:].astype(np.float64).reshape(-1, horizon, len(OURS))
    return np.concatenate([values[:, :, :1], np.sort(values[:, :, 1:], axis=2)], axis=2), cost.cpu_s


def warm_up(names: Sequence[str]) -> None:
    """Let models import and compile before anything is measured."""
    y = 10 + np.sin(np.arange(32.0)) + np.arange(32.0) % 4
    for name in names:
        ask_peer(name, [y], 4, 2)


def ensemble(made: Sequence[Floats]) -> Floats:
    """Return the median of points and of each interval end over models."""
    return np.asarray(np.median(np.stack(made), axis=0))


@dataclass(frozen=True)
class Scale:
    """What errors of a panel are measured against: in-sample seasonal differences, and Naive 2."""

    mase: Floats
    naive2: Floats

    @staticmethod
    def of(panel: Panel, season: int) -> "Scale":
        """Measure the histories."""
        values = np.concatenate([*panel.histories, np.empty(0)])
        offsets = np.cumsum([0, *map(len, panel.histories)])
        horizon = panel.truth.shape[1]
        return Scale(mase_scale(values, season, offsets), naive2(values, offsets, season, horizon))


def score(panel: Panel, scale: Scale, made: Floats) -> dict[str, float]:
    """Return the metrics of one model."""
    y, point = panel.truth, made[:, :, POINT]
    ours = smape(y, point).mean(), mase(y, point, scale.mase).mean()
    naive = smape(y, scale.naive2).mean(), mase(y, scale.naive2, scale.mase).mean()
    inside = [
        float(((made[:, :, low] <= y) & (y <= made[:, :, high])).mean())
        for low, high in ((LOW_80, HIGH_80), (LOW_95, HIGH_95))
    ]
    return {
        "smape": float(ours[0]),
        "mase": float(ours[1]),
        "owa": float(owa(*ours, *naive)),
        "msis": float(msis(y, made[:, :, LOW_95], made[:, :, HIGH_95], scale.mase).mean()),
        "coverage_80": inside[0],
        "coverage_95": inside[1],
    }


def compare(panel: Panel, season: int, report: Report, ours: dict[str, float]) -> None:
    """Add rows of the peers, and ours relative to theirs."""
    scale, horizon = Scale.of(panel, season), panel.truth.shape[1]
    warm_up((*ENSEMBLE, NAIVE))
    said = {name: ask_peer(name, panel.histories, season, horizon) for name in (NAIVE, *ENSEMBLE)}
    naive, failed = filled(said[NAIVE][0], last_season(panel.histories, season, horizon))
    _add(report, panel, score(panel, scale, naive), said[NAIVE][1], NAIVE, _told(failed, "without width: too short"))
    sound = {name: filled(said[name][0], naive) for name in ENSEMBLE}
    fallen = {name: _told(count, f"by {NAIVE}: {name} failed") for name, (_, count) in sound.items()}
    made = {"AutoETS": sound["AutoETS"][0], "ensemble": ensemble([sound[name][0] for name in ENSEMBLE])}
    cpu_s = {"AutoETS": said["AutoETS"][1], "ensemble": sum(said[name][1] for name in ENSEMBLE)}
    notes = {"AutoETS": fallen["AutoETS"], "ensemble": tuple(note for name in ENSEMBLE for note in fallen[name])}
    theirs = {name: score(panel, scale, made[name]) for name in made}
    for name, scores in theirs.items():
        _add(report, panel, scores, cpu_s[name], name, notes[name])
    for metric in ("owa", "msis"):
        for name, scores in theirs.items():
            ratio = ours[metric] / scores[metric]
            report.add(f"{metric}_vs_{name.lower()}", ratio, "ratio", f"statsforecast {name}", "smaller is better")


def ask_engine(panel: Panel, horizon: int, freq: str, season: int | tuple[int, int] | None, kind: str) -> Forecast:
    """Forecast the whole table of a panel."""
    return forecast(panel.table, freq=freq, horizon=horizon, season=season, kind=kind)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("panel", type=Path)
    parser.add_argument("--freq", required=True)
    parser.add_argument("--season", type=int, required=True, help="of MASE, Naive 2 and the peers")
    parser.add_argument("--horizon", type=int, required=True)
    parser.add_argument("--engine-season", type=int, help="instead of the seasons that the frequency suggests")
    parser.add_argument("--season-2", type=int, help="second season of the engine, beside --engine-season or --season")
    parser.add_argument("--kind", default="other")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--sample", type=int, help="score only so many series; the engine still sees all")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def engine_season(options: argparse.Namespace) -> int | tuple[int, int] | None:
    """Return the engine's season: its own choice unless one was named."""
    if options.season_2:
        return options.engine_season or options.season, options.season_2
    return None if options.engine_season is None else int(options.engine_season)


def main() -> None:
    """Measure and print."""
    options = arguments()
    horizon, season, report = options.horizon, options.season, Report("forecast_accuracy")
    panel = read_panel(options.panel, horizon)
    asked = horizon, options.freq, engine_season(options), options.kind
    ask_engine(replace(panel, table=few_series(panel.table)), *asked)
    with measured() as cost:
        rows = ask_engine(panel, *asked).rows
    steady = np.isnan(Scale.of(panel, season).mase)
    scored = panel.take(np.flatnonzero(~steady)).sample(options.sample)
    if not len(scored):
        sys.stderr.write(f"no series of {options.panel} has {horizon} truths and a history that moves\n")
        sys.exit(os.EX_DATAERR)
    made, silent = filled(laid_out(rows, scored), last_season(scored.histories, season, horizon))
    ours = score(scored, Scale.of(scored, season), made)
    notes = (
        *_told(silent, "by last season without width: the engine gave no forecast"),
        *_told(int(steady.sum()), "not scored: the history repeats itself exactly"),
        *panel.left_out,
    )
    everything = f"forecast of all {len(pc.unique(panel.table['unique_id'])):,} series"
    _add(report, scored, ours, cost.cpu_s, "", notes, everything)
    if options.peers:
        compare(scored, season, report, ours)
    report.print()


def _told(count: int, what: str) -> tuple[str, ...]:
    return (f"{count:,} series {what}",) if count else ()


def _add(
    report: Report,
    panel: Panel,
    scores: dict[str, float],
    cpu_s: float,
    peer: str,
    notes: Sequence[str],
    cost_note: str = "",
) -> None:
    """Add the rows of one model."""
    name = peer and f"statsforecast {peer}"
    for metric, value in scores.items():
        note = "relative to Naive 2" if metric == "owa" else "95 %" if metric == "msis" else ""
        report.add(metric, value, UNITS.get(metric, "ratio"), name, note)
    report.add("cpu_s", cpu_s, "CPU s", name, cost_note or f"{len(panel):,} series")
    report.add("n_series", len(panel), "series", name, "; ".join(notes))


if __name__ == "__main__":
    main()
