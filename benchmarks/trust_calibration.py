"""Whether trust means what it says: ``python -m benchmarks.trust_calibration [PANEL:FREQ:HORIZON:KIND …] [--json]``.

PANEL is a Parquet file with ``unique_id, ds`` and ``y`` or ``close``. A sample of its series is forecast from the last
K cutoffs, one step apart, and so is naive. Every 30 steps each model, series and bucket of horizons is given the
probability that it beats the better naive forecast over its next 30 truths: by its own t-statistic (``own``), after
shrinkage (``shrunk``), and mapped by what earlier such probabilities had turned out to be (``trust``), all panels
together, as in the lake. Two models are judged: ``pulse`` and the seasonal naive one. Panels share a clock that counts
steps from the end of every series. Without panels only the simulated ones are judged: 4,000 series of four kinds, whose
model smooths exponentially.

auc, ece (ten bins of equal size), brier (with the score of the base rate), coverage_error (mean distance between a
cell's 80 % coverage, trailing or shrunk, and that of its next 30 truths).
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import ndtr

from benchmarks.report import Report, measured
from pulse_assets.forecasting.api import backtest
from pulse_assets.forecasting.engine import MODELS, SEASONS
from pulse_assets.forecasting.references_kernel import advance, new_state
from pulse_assets.numerics.quantiles import LEVELS, MEDIAN, QUANTILE_COLUMNS
from pulse_assets.numerics.scores import covered, probability_integral_transform, weighted_interval_score
from pulse_assets.trust.belief.probability import area_under_curve, expected_calibration_error, fit_map
from pulse_assets.trust.belief.shrinkage import posterior, shrunk_coverage
from pulse_assets.trust.belief.sizes import NEXT, WINDOW
from pulse_assets.trust.belief.targets import MEASURES, SEASONAL, Targets, parts_of_cell, targets_of
from pulse_assets.trust.belief.windows import Reach, Said, say
from pulse_assets.trust.buckets import BUCKETS, LONGEST

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PAST = 120
"""Values before the first cutoff that a series needs."""
FOREVER = 1_000_000
WAYS = ("own", "shrunk", "trust")
PHI, KINDS = (0.0, 0.5, 0.8, 1.0), 4
SMOOTHING = 0.3
BREAKING = 0.15


@dataclass(frozen=True)
class Panel:
    """Where a panel is, and what it is."""

    path: Path
    freq: str
    horizon: int
    kind: str

    @classmethod
    def of(cls, text: str) -> "Panel":
        """Return what ``PANEL:FREQ:HORIZON:KIND`` says."""
        path, freq, horizon, kind = text.rsplit(":", 3)
        return cls(Path(path), freq, int(horizon), kind)

    def values(self, series: int, shortest: int) -> list[Floats]:
        """Return a sample of the series that are long enough; prices must be positive."""
        frame = pq.read_table(self.path).to_pandas().rename(columns={"close": "y"}).dropna(subset="y")
        frame = frame.assign(unique_id=frame["unique_id"].astype(str)).sort_values(["unique_id", "ds"], kind="stable")
        every = [part.to_numpy(np.float64) for _, part in frame.groupby("unique_id")["y"]]
        enough = [y for y in every if len(y) >= shortest and (self.kind != "price" or y.min() > 0)]
        chosen = np.random.default_rng(0).permutation(len(enough))[:series]
        return [enough[k] for k in sorted(chosen.tolist())]


def quantiles_of(panel: Panel, series: list[Floats], cutoffs: int) -> tuple[Floats, Floats]:
    """Return truths, shape ``(S, K, H)``, and quantiles of all models by name, shape ``(3, S, K, H, 23)``."""
    lengths = np.array([len(y) for y in series])
    ids = np.repeat([f"{k:06d}" for k in range(len(series))], lengths)
    table = pa.table(
        {"unique_id": ids, "ds": np.concatenate([np.arange(n) for n in lengths]), "y": np.concatenate(series)}
    )
    made = backtest(table, freq=panel.freq, horizon=panel.horizon, cutoffs=cutoffs, kind=panel.kind).rows
    shape = (len(series), cutoffs, panel.horizon)
    pooled = np.column_stack([made[name].to_numpy() for name in QUANTILE_COLUMNS]).reshape(*shape, -1)
    references = _references(panel, np.concatenate(series), lengths, cutoffs)
    return made["y"].to_numpy().reshape(shape), np.stack([references[:, :, 0], pooled, references[:, :, 1]])


def _references(panel: Panel, values: Floats, lengths: Ints, cutoffs: int) -> Floats:
    """Return quantiles of naive and seasonal naive, shape ``(S, K, 2, H, 23)``."""
    count, horizon = len(lengths), panel.horizon
    is_log = np.full(count, panel.kind == "price")
    counts = lengths[:, None] - horizon - np.arange(cutoffs - 1, -1, -1)[None, :]
    rows = count * cutoffs * 2 * horizon
    target = np.arange(0, rows, 2 * horizon).reshape(count, cutoffs)
    mean, quantiles = np.empty(rows), np.empty((rows, len(LEVELS)))
    season, horizons = np.full(count, SEASONS[panel.freq]), np.full(count, horizon)
    offsets = np.append(0, np.cumsum(lengths))
    known = np.log(values) if panel.kind == "price" else values
    advance(
        known, offsets, counts, target, season, horizons, is_log, LEVELS, new_state(count, horizon), mean, quantiles
    )
    return quantiles.reshape(count, cutoffs, 2, horizon, -1)


def targets_in(panel: Panel, series: int, cutoffs: int) -> Targets:
    """Return the targets of a panel; the day of a truth is its step, the last of every series the same."""
    sample = panel.values(series, PAST + cutoffs + panel.horizon)
    y, quantiles = quantiles_of(panel, sample, cutoffs)
    model, place, origin, step = (part.ravel() for part in np.indices(quantiles.shape[:-1]))
    flat = quantiles.reshape(-1, quantiles.shape[-1])
    truth = np.broadcast_to(y, quantiles.shape[:-1]).ravel()
    day = (origin + step + 1).astype(np.int32)
    names = [f"{k:06d}" for k in range(len(sample))]
    scores = pa.table(
        {
            "as_of": pa.array(day).cast(pa.date32()),
            "origin": pa.array(origin.astype(np.int32)).cast(pa.date32()),
            "unique_id": pa.array(np.array(names, object)[place], pa.string()),
            "model": pa.array(np.array(MODELS, object)[model], pa.string()),
            "h": pa.array((step + 1).astype(np.int16)),
            "ds": pa.array(day.astype(np.int64)).cast(pa.timestamp("us", "UTC")),
            "y": truth,
            "error": truth - flat[:, MEDIAN],
            "wis": weighted_interval_score(flat, truth),
            "pit": probability_integral_transform(flat, truth),
            **{f"covered_{100 * level:.0f}": covered(flat, truth, level) for level in (0.5, 0.8, 0.95)},
        }
    )
    return targets_of(scores, names, MODELS)


def simulated(series: int, cutoffs: int) -> Targets:
    """Return one-step targets of simulated series of four kinds; the variance of one in seven doubles on the way."""
    rng, steps = np.random.default_rng(1), PAST + cutoffs
    phi = np.repeat(PHI, series // KINDS)[:, None]
    noise = rng.normal(size=(len(phi), steps))
    breaks = np.where(rng.random(len(phi)) < BREAKING, rng.integers(PAST, steps, len(phi)), steps)
    noise[np.arange(steps) >= breaks[:, None]] *= np.sqrt(2)
    y, smooth = np.empty_like(noise), np.empty_like(noise)
    y[:, 0] = smooth[:, 0] = noise[:, 0]
    for step in range(1, steps):
        y[:, step] = phi[:, 0] * y[:, step - 1] + noise[:, step]
        smooth[:, step] = smooth[:, step - 1] + SMOOTHING * (y[:, step] - smooth[:, step - 1])
    losses = [_loss_of(y[:, 1:] - point[:, :-1])[:, -cutoffs:] for point in (y, smooth)]
    values = np.full((len(phi), cutoffs, len(MEASURES)), np.nan)
    values[:, :, 0], values[:, :, 1] = losses[1], losses[0]
    values[:, :, 3:7], values[:, :, 8] = 0.5, 1.0
    cell = (np.arange(len(phi)) * len(MODELS) + MODELS.index("pulse")) * len(BUCKETS)
    day = np.tile(np.arange(1, cutoffs + 1), len(phi))
    return Targets(np.repeat(cell, cutoffs), day, values.reshape(-1, len(MEASURES)))


def _loss_of(error: Floats) -> Floats:
    """Return the CRPS of normal forecasts whose spread is that of the errors so far: what WIS comes to."""
    count = np.arange(1, error.shape[1] + 1)
    sigma = np.sqrt(np.cumsum(error**2, axis=1) / count)
    sigma = np.column_stack([np.ones(len(error)), sigma[:, :-1]])
    z = error / sigma
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray(sigma * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi)))


def judged(name: str, targets: Targets, cutoffs: int) -> pd.DataFrame:
    """Return what was said every 30 steps of every cell, and what came of it; ``made`` counts steps before the end."""
    cells, begins = np.unique(targets.cell, return_index=True)
    _, model, bucket = parts_of_cell(cells, len(MODELS))
    longest = np.array([LONGEST[one] for one in BUCKETS])[bucket]
    made = np.arange(WINDOW, cutoffs, NEXT)
    days = np.arange(1, cutoffs + int(longest.max()) + 1)
    ahead = NEXT + longest - 1
    reach = Reach(days, FOREVER, FOREVER, days[None, :] - ahead[:, None], longest, model != MODELS.index(SEASONAL))
    offsets = np.append(begins, len(targets.cell))
    said = say(targets, offsets, reach)
    last = targets.day[offsets[1:] - 1]
    parts = [
        _outcomes(said, targets, offsets, chosen, int(day), ahead, longest).assign(panel=name, made=day - cutoffs)
        for day in made
        for one in np.unique(model[model > 0])
        for group in np.unique(bucket)
        if len(chosen := np.flatnonzero((model == one) & (bucket == group) & (day + ahead <= last)))
    ]
    return pd.concat([part.assign(model=model[part.index]) for part in parts])


def _outcomes(
    said: Said, targets: Targets, offsets: Ints, cells: Ints, day: int, ahead: Ints, longest: Ints
) -> pd.DataFrame:
    now = Said(*(column[cells, day - 1] for column in said))
    later = Said(*(column[cells, day + ahead[cells[0]] - 1] for column in said))
    panel = np.zeros(len(cells), np.int64)
    seen = posterior(now.skill, now.skill_se, now.targets, panel)
    next_coverage = [_next_coverage(targets, offsets[k], offsets[k + 1], day + int(ahead[k])) for k in cells]
    with np.errstate(divide="ignore", invalid="ignore"):
        own = ndtr(now.skill / now.skill_se)
    return pd.DataFrame(
        {
            "own": own,
            "shrunk": seen.probability,
            "happened": np.where(np.isnan(later.recent_skill), np.nan, later.recent_skill > 0),
            "known": day + ahead[cells],
            "coverage": now.coverage_80,
            "coverage_shrunk": shrunk_coverage(now.coverage_80, now.targets / longest[cells], panel),
            "coverage_next": next_coverage,
        },
        index=cells,
    )


def _next_coverage(targets: Targets, low: int, high: int, day: int) -> float:
    last = low + int(np.searchsorted(targets.day[low:high], day, side="right"))
    return float(targets.values[max(last - NEXT, low) : last, MEASURES.index("covered_80")].mean())


def mapped(rows: pd.DataFrame, cutoffs: int) -> Iterator[pd.DataFrame]:
    """Yield the rows of each step with their calibrated probability, from what was known by then."""
    for made, now in rows.groupby("made", sort=True):
        before = rows[rows["known"] - cutoffs < made]
        learned = fit_map(before["shrunk"].to_numpy(), before["happened"].to_numpy(), before["made"].nunique())
        if learned.outcomes:
            yield now.assign(trust=learned(now["shrunk"].to_numpy()))


def report_on(rows: pd.DataFrame, name: str, report: Report) -> None:
    """Add the figures of some rows."""
    happened = rows["happened"].to_numpy(np.float64)
    known = np.isfinite(happened)
    base = happened[known].mean()
    note = f"{name}: {known.sum():,} outcomes, {base:.1%} came true"
    for way in WAYS:
        p = rows[way].to_numpy()
        report.add("auc", area_under_curve(p, happened), "share", way, note)
        report.add("ece", expected_calibration_error(p, happened), "share", way, note)
        report.add("brier", float(np.nanmean((p - happened) ** 2)), "square", way, f"base rate {base * (1 - base):.4f}")
    if rows["coverage_next"].nunique() > 1:
        for way in ("coverage", "coverage_shrunk"):
            off = (rows[way] - rows["coverage_next"]).abs().mean()
            report.add("coverage_error", float(off), "share", "trailing" if way == "coverage" else "shrunk", note)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("panels", nargs="*", type=Panel.of, metavar="PANEL:FREQ:HORIZON:KIND")
    parser.add_argument("--series", type=int, default=100, help="of each panel")
    parser.add_argument("--cutoffs", type=int, default=480)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report = Report("trust_calibration")
    with measured() as cost:
        simulation = judged("simulated", simulated(4_000, options.cutoffs), options.cutoffs)
        report_on(pd.concat(mapped(simulation, options.cutoffs)), "simulated", report)
        if options.panels:
            parts = [
                judged(panel.path.stem, targets_in(panel, options.series, options.cutoffs), options.cutoffs)
                for panel in options.panels
            ]
            real = pd.concat(mapped(pd.concat(parts), options.cutoffs))
            report_on(real, "all panels", report)
            report_on(real[real["model"] == MODELS.index("pulse")], "all panels, pulse alone", report)
            for name, rows in real.groupby("panel", sort=True):
                report_on(rows, str(name), report)
    report.add("cpu", cost.cpu_s, "s")
    report.print()


if __name__ == "__main__":
    main()
