"""Detectors of a change in the mean, in public: false alarms, delay and detection of ours, river's and the usual rules.

Every stream has 100 values to learn from. Stable streams are then watched for 1,000 values; others shift by one
standard deviation after 225 and are watched for 500 more; ours also where they shift after 110, while its reference
grows. Two dummies that alarm always or never show what the figures are worth by themselves.

With ``--panel FILE.parquet`` (columns ``unique_id, ds, y``) one more kind of stream is what an autoregression that was
fitted to the first 300 steps of a series leaves of the steps after them, over its spread there. Nobody knows
whether those are stable, so alarms on them are alarms, false or not.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.stats import ks_2samp

from benchmarks.report import Report
from pulse_assets.trust.detection.cusum import ALLOWANCE, REFERENCE, fresh_streams, watch
from pulse_assets.trust.detection.thresholds import ALARMS, ALLOWANCES, HORIZON, threshold

Floats = npt.NDArray[np.float64]
Alarms = npt.NDArray[np.int64]
BEFORE, EARLY, AFTER = 225, 110, 500
FITTED, ORDER = 300, 3
NEVER = 10**9
RECENT, EVERY, BINS = 90, 10, 10
KINDS = ("iid", "ar30", "ar50", "ar80", "t3", "chi2")


def streams(kind: str, count: int, steps: int, rng: np.random.Generator) -> Floats:
    """Return streams of standard deviation 1, shape ``(steps, count)``."""
    if kind == "t3":
        return np.asarray(rng.standard_t(3, (steps, count)) / np.sqrt(3))
    noise = rng.standard_normal((steps, count))
    if kind == "chi2":
        return np.asarray((noise**2 - 1) / np.sqrt(2))
    phi = float(kind[2:]) / 100 if kind.startswith("ar") else 0.0
    values = np.empty_like(noise)
    values[0] = noise[0]
    for step in range(1, steps):
        values[step] = phi * values[step - 1] + np.sqrt(1 - phi**2) * noise[step]
    return values


def residuals(path: str, count: int) -> Floats:
    """Return what an autoregression leaves of the steps of real series, shape ``(1100, up to count)``."""
    import pandas as pd

    panel = pd.read_parquet(path, columns=["unique_id", "ds", "y"]).dropna().sort_values(["unique_id", "ds"])
    found = []
    for _, rows in panel.groupby("unique_id", sort=True, observed=True):
        y = rows["y"].to_numpy(float)
        steps = np.diff(np.log(y) if (y > 0).all() else y)
        if len(steps) < FITTED + ORDER or not np.isfinite(steps).all():
            continue
        past = np.column_stack(
            [np.ones(len(steps) - ORDER), *(steps[ORDER - lag : -lag] for lag in range(1, ORDER + 1))]
        )
        fit = np.linalg.lstsq(past[:FITTED], steps[ORDER:][:FITTED], rcond=None)[0]
        left = steps[ORDER:] - past @ fit
        spread = left[:FITTED].std()
        if len(left) >= FITTED + BEFORE + AFTER and spread > 0:
            found.append(left[FITTED : FITTED + REFERENCE + HORIZON] / spread)
        if len(found) == count:
            break
    if not found:
        raise ValueError(f"{path}: no series has {FITTED + BEFORE + AFTER} steps that differ; take a longer panel")
    shortest = min(map(len, found))
    return np.column_stack([left[:shortest] for left in found])


def pulse(allowance: float) -> Callable[[Floats], Alarms]:
    """Return when Pulse's CUSUM alarms first, :data:`NEVER` where it does not."""

    def run(values: Floats) -> Alarms:
        state, rows = fresh_streams(values.shape[1]), np.arange(values.shape[1])
        first = np.full(values.shape[1], NEVER)
        for step, row in enumerate(values):
            watch(state, rows, row, allowance)
            hit = (state.watched > 0) & (state.largest >= threshold(state.phi, ALARMS, allowance)) & (first == NEVER)
            first[hit] = step
        return first

    return run


def of_river(name: str, **settings: float) -> Callable[[Floats], Alarms]:
    """Return when a detector of river alarms first after the reference."""

    def run(values: Floats) -> Alarms:
        from river import drift

        first = np.full(values.shape[1], NEVER)
        for stream in range(values.shape[1]):
            detector = getattr(drift, name)(**settings)
            for step, value in enumerate(values[:, stream].tolist()):
                detector.update(value)
                if step >= REFERENCE and detector.drift_detected:
                    first[stream] = step
                    break
        return first

    return run


def by_window(judge: Callable[[Floats, Floats], bool]) -> Callable[[Floats], Alarms]:
    """Return when a comparison of the newest 90 values with the reference alarms first, looked at every 10 values."""

    def run(values: Floats) -> Alarms:
        first = np.full(values.shape[1], NEVER)
        for stream in range(values.shape[1]):
            for step in range(REFERENCE + RECENT, len(values), EVERY):
                if judge(values[:REFERENCE, stream], values[step - RECENT : step, stream]):
                    first[stream] = step
                    break
        return first

    return run


def _psi(reference: Floats, recent: Floats) -> bool:
    edges = np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1])
    p, q = (
        (np.bincount(np.searchsorted(edges, part), minlength=BINS) + 0.5) / (len(part) + 0.5 * BINS)
        for part in (reference, recent)
    )
    return bool(((p - q) * np.log(p / q)).sum() > 0.2)


def _ks(reference: Floats, recent: Floats) -> bool:
    return bool(ks_2samp(reference, recent).pvalue < 0.05)


def _always(values: Floats) -> Alarms:
    return np.full(values.shape[1], REFERENCE)


def _never(values: Floats) -> Alarms:
    return np.full(values.shape[1], NEVER)


DETECTORS: dict[str, Callable[[Floats], Alarms]] = {
    "pulse": pulse(ALLOWANCE),
    **{f"pulse k={k:.2f}": pulse(k) for k in ALLOWANCES if k != ALLOWANCE},
    "river ADWIN": of_river("ADWIN"),
    "river PageHinkley": of_river("PageHinkley"),
    "river KSWIN": of_river("KSWIN", seed=1),
    "PSI > .2": by_window(_psi),
    "KS p < .05": by_window(_ks),
    "always": _always,
    "never": _never,
}


def add_figures(report: Report, name: str, kind: str, stable: Floats, shifted: dict[int, Floats]) -> None:
    """Report what a detector does on one kind of stream."""
    detector, ours = DETECTORS[name], name.startswith("pulse")
    label = f"{name.replace(' k=0.', '_k') if ours else 'peer'}_{{}}_{kind}"
    begun = time.process_time()
    false = float((detector(stable) < NEVER).mean())
    spent = (time.process_time() - begun) / stable.size
    note = f"{stable.shape[1]} streams of {stable.shape[0]} values"
    report.add(label.format("false_alarms"), false, "share of streams", name, note)
    report.add(label.format("us_a_value"), spent * 1e6, "CPU us", name, note)
    for begins, values in shifted.items():
        if begins == EARLY and name != "pulse":
            continue
        first = detector(values)
        found = (first >= begins) & (first < begins + AFTER)
        delay = float(np.median(first[found] - begins + 1)) if found.any() else float("nan")
        mean = float(np.mean(first[found] - begins + 1)) if found.any() else float("nan")
        early = "_early" if begins == EARLY else ""
        note = f"shift after {begins}; mean {mean:.1f}; {(first < begins).mean():.3f} alarmed before"
        report.add(label.format(f"delay_1sigma{early}"), delay, "values, median", name, note)
        report.add(label.format(f"detected{early}"), float(found.mean()), "share within 500", name, note)


def main() -> None:
    """Print a row for each figure of each detector on each kind of stream."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=60, help="of each kind; Pulse gets forty times as many")
    parser.add_argument("--panel", help="parquet of real series")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report = Report("drift_detectors")
    known = residuals(options.panel, options.streams * 40) if options.panel else np.empty((0, 0))
    for name in DETECTORS:
        many = options.streams * (40 if name.startswith("pulse") else 1)
        for number, kind in enumerate(KINDS):
            rng = np.random.default_rng([7, number])
            stable = streams(kind, many, REFERENCE + HORIZON, rng)
            add_figures(
                report, name, kind, stable, {begins: _shifted(kind, many, begins, rng) for begins in (BEFORE, EARLY)}
            )
        if options.panel:
            real = known[:, :many]
            moved = real[: BEFORE + AFTER].copy()
            moved[BEFORE:] += 1
            add_figures(report, name, "real", real, {BEFORE: moved})
    headline = {str(row["metric"]): row for row in report.rows}
    report.rows.insert(0, headline["pulse_delay_1sigma_iid"] | {"metric": "pulse_delay_1sigma"})
    report.print()


def _shifted(kind: str, count: int, begins: int, rng: np.random.Generator) -> Floats:
    values = streams(kind, count, begins + AFTER, rng)
    values[begins:] += 1
    return values


if __name__ == "__main__":
    main()
