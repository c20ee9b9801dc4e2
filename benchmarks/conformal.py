"""Recalibration: what intervals cover in calm and after shocks, and what it costs, beside simpler ways.

``python -m benchmarks.conformal [PANEL:FREQ:HORIZON:KIND …] [--series N] [--steps N] [--json]``

Simulated (``shocked``): Student's t with 5 degrees of freedom, whose spread doubles at step 500 and calms at 1,000,
as if from a forecast that knows of none of it; the same as sums of five steps whose truth comes five steps late
(``late``); ``perfect`` scores, on which every way can only lose; and ``biased`` ones, each series its own way. PANEL is
a Parquet file with ``unique_id, ds`` and ``y`` or ``close``: a sample of its series is forecast by ``naive`` and by
``pulse`` from the last ``--steps`` cutoffs, at the first step and at the last.

Figures are in points of coverage less nominal: over the panel; as mean distance by series; in the 100 steps after the
spread doubled. ``loss`` is the quantile loss over that of the forecast as it was, the mean over series. The first 100
steps count for nothing. ``aci`` is adaptive conformal inference as published, level by level on a series' own newest 60
scores, ``tracking`` quantile tracking, ``rolling`` the quantiles of the newest 60 scores, ``static`` of the first 100.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.report import Report
from benchmarks.trust_calibration import PAST, Panel, quantiles_of
from pulse_assets.numerics.normal_scores import KNOTS, normal_scores, values_at
from pulse_assets.numerics.quantiles import LEVELS
from pulse_assets.trust.conformal.learning import STEP, WINDOW, Arrived, await_truths, fresh_state, learn
from pulse_assets.trust.conformal.thresholds import issue

Floats = npt.NDArray[np.float64]
Way = Callable[[Floats, int], Floats]

STEPS, SHOCK, CALM, BURN = 1_300, 500, 1_000, 100
INTERVALS = ((6, 16, 0.5), (3, 19, 0.8), (1, 21, 0.95))
UPDATES = 2_000_000
FAR = 10**6


def pulse(z: Floats, h: int) -> Floats:
    """Return Pulse's thresholds for scores (steps, series) known h steps later, shape ``(steps, series, 23)``."""
    count = z.shape[1]
    state, rows, group = fresh_state(count), np.arange(count), np.zeros(count, np.int64)
    overlap, steps = np.full(count, h), np.full(count, STEP / np.sqrt(np.sqrt(h)))
    found = np.empty((*z.shape, len(LEVELS)))
    for step in range(len(z)):
        if step >= h:
            truths = Arrived(rows, np.full(count, step - h), np.full(count, step), z[step - h])
            learn(state, truths, steps)
        found[step] = issue(state, rows, group, overlap, np.full(count, -FAR)).thresholds
        now, kept = np.full(count, step), found[step].astype(np.float32)
        state = await_truths(state, rows, now, kept, now, now + h)
    return found


def aci(z: Floats, h: int) -> Floats:
    """Return the thresholds of plain adaptive conformal inference: infinite where a rate leaves its range."""
    rates, found = np.tile(LEVELS, (z.shape[1], 1)), np.full((*z.shape, len(LEVELS)), np.nan)
    for step in range(len(z)):
        if step >= h + 1:
            rates += STEP * (LEVELS - (z[step - h][:, None] <= found[step - h]))
        newest = np.sort(z[max(step - h + 1 - WINDOW, 0) : max(step - h + 1, 0)], axis=0).T
        edges = np.full((z.shape[1], 1), np.inf)
        place = np.ceil(rates * (newest.shape[1] + 1)).clip(0, newest.shape[1] + 1).astype(int)
        found[step] = np.take_along_axis(np.hstack((-edges, newest, edges)), place, axis=1)
    return found


def tracking(z: Floats, h: int) -> Floats:
    """Return thresholds that move by a tenth of the largest recent score times the error of each level."""
    at, found = np.tile(KNOTS, (z.shape[1], 1)), np.empty((*z.shape, len(LEVELS)))
    for step in range(len(z)):
        if step >= h:
            largest = np.abs(z[max(step - h + 1 - WINDOW, 0) : step - h + 1]).max(axis=0)[:, None]
            at = np.sort(at + 0.1 * largest * (LEVELS - (z[step - h][:, None] <= found[step - h])), axis=1)
        found[step] = at
    return found


def rolling(z: Floats, h: int) -> Floats:
    """Return the quantiles of the newest scores."""
    found = np.tile(KNOTS, (*z.shape, 1))
    for step in range(WINDOW + h, len(z)):
        newest = z[step - h + 1 - WINDOW : step - h + 1]
        found[step] = np.quantile(newest, LEVELS, axis=0, method="weibull").T
    return found


def static(z: Floats, h: int) -> Floats:  # noqa: ARG001 - a way
    """Return the quantiles of the first scores, for good."""
    return np.broadcast_to(np.quantile(z[:BURN], LEVELS, axis=0, method="weibull").T, (*z.shape, len(LEVELS)))


def raw(z: Floats, h: int) -> Floats:  # noqa: ARG001 - a way
    """Return the forecast as it is."""
    return np.broadcast_to(KNOTS, (*z.shape, len(LEVELS)))


WAYS: dict[str, Way] = {
    "pulse": pulse,
    "aci": aci,
    "tracking": tracking,
    "rolling": rolling,
    "static": static,
    "raw": raw,
}


@dataclass(frozen=True)
class Case:
    """Scores of one model at one horizon; truths and forecasts where they are real."""

    name: str
    z: Floats
    h: int = 1
    y: Floats | None = None
    quantiles: Floats | None = None

    def loss(self, found: Floats) -> Floats:
        """Return the quantile loss of each series, shape ``(S,)``; an infinite threshold counts as ten deviations."""
        finite = np.clip(found[BURN:], -10, 10)
        if self.y is None or self.quantiles is None:
            miss = self.z[BURN:, :, None] - finite
        else:
            moved = values_at(self.quantiles[BURN:].reshape(-1, len(LEVELS)), finite.reshape(-1, len(LEVELS)))
            miss = self.y[BURN:, :, None] - moved.reshape(finite.shape)
        return np.asarray(np.maximum(LEVELS * miss, (LEVELS - 1) * miss).mean(axis=(0, 2)))


def simulated(series: int) -> list[Case]:
    """Return the simulated cases."""
    rng = np.random.default_rng(0)
    shocked = rng.standard_t(5, (STEPS, series))
    shocked[SHOCK:CALM] *= 2
    sums = np.cumsum(shocked, axis=0)
    late = np.vstack((shocked[:5], (sums[5:] - sums[:-5]) / np.sqrt(5)))
    perfect = rng.standard_normal((STEPS, series))
    biased = rng.standard_normal((STEPS, series)) + 0.4 * rng.standard_normal(series)
    return [Case("shocked", shocked), Case("late", late, 5), Case("perfect", perfect), Case("biased", biased)]


def real(panel: Panel, series: int, steps: int) -> list[Case]:
    """Return forecasts of a panel, one and all steps ahead, without series whose score is no number."""
    sample = panel.values(series, PAST + steps + panel.horizon)
    y, quantiles = quantiles_of(panel, sample, steps)
    cases = []
    for model, name in enumerate(("naive", "pulse")):
        for h in sorted({1, panel.horizon}):
            truth, forecast = y[:, :, h - 1].T, quantiles[model, :, :, h - 1].transpose(1, 0, 2)
            flat = np.ascontiguousarray(forecast, np.float64).reshape(-1, len(LEVELS))
            z = normal_scores(flat, np.ascontiguousarray(truth).ravel()).reshape(truth.shape)
            fine = np.isfinite(z).all(axis=0)
            cases.append(
                Case(f"{Path(panel.path).stem} {name} h={h}", z[:, fine], h, truth[:, fine], forecast[:, fine])
            )
    return cases


def measure(case: Case, report: Report) -> None:
    """Add the figures of every way on one case."""
    before = case.loss(raw(case.z, case.h))
    for name, way in WAYS.items():
        found = way(case.z, case.h)
        for low, high, nominal in INTERVALS:
            inside = (case.z >= found[:, :, low]) & (case.z <= found[:, :, high])
            of = f"{case.name}: coverage_{100 * nominal:.0f}"
            by_series = inside[BURN:].mean(axis=0) - nominal
            report.add(of, 100 * float(by_series.mean()), "points", name)
            report.add(f"{of}_by_series", 100 * float(np.abs(by_series).mean()), "points", name)
            if case.name in {"shocked", "late"}:
                after = inside[SHOCK : SHOCK + 100].mean() - nominal
                report.add(f"{of}_after_shock", 100 * float(after), "points", name)
        report.add(f"{case.name}: loss", float(np.mean(case.loss(found) / before)), "x raw", name)
        report.add(f"{case.name}: infinite", float((~np.isfinite(found[BURN:])).mean()), "share", name)


def cost(case: Case, report: Report) -> None:
    """Add the CPU seconds of two million updates of a level: compiled before, issuing and learning."""
    for name in ("pulse", "aci", "tracking", "rolling"):
        begun = time.process_time()
        WAYS[name](case.z, 1)
        spent = (time.process_time() - begun) * UPDATES / (case.z.size * len(LEVELS))
        report.add("cpu_2m_updates", spent, "CPU s", name, f"measured on {case.z.size * len(LEVELS) / 1e6:.0f} million")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("panels", nargs="*", type=Panel.of, metavar="PANEL:FREQ:HORIZON:KIND")
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--steps", type=int, default=400, help="cutoffs of a panel")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report, cases = Report("conformal"), simulated(options.series)
    pulse(cases[0].z[:100], 1)  # compiles
    for case in cases:
        measure(case, report)
    cost(cases[0], report)
    for panel in options.panels:
        for case in real(panel, options.series, options.steps):
            measure(case, report)
    report.print()


if __name__ == "__main__":
    main()
