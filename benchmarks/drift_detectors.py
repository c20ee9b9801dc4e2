"""Detectors of a change in the mean, in public: false alarms, delay and detection of ours, river's and the usual rules.

Every stream has 100 values to learn from. Stable streams are then watched for 1,000 values; others shift by one
standard deviation after 200 and are watched for 500 more. Two dummies that alarm always or never show what the figures
are worth by themselves.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.stats import ks_2samp

from benchmarks.report import Report
from pulse_assets.trust.detection.cusum import REFERENCE, fresh_streams, watch
from pulse_assets.trust.detection.thresholds import HORIZON, threshold

Floats = npt.NDArray[np.float64]
Alarms = npt.NDArray[np.int64]
BEFORE, AFTER = 200, 500
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


def pulse(values: Floats) -> Alarms:
    """Return when Pulse's CUSUM alarms first, :data:`NEVER` where it does not."""
    state, rows = fresh_streams(values.shape[1]), np.arange(values.shape[1])
    first = np.full(values.shape[1], NEVER)
    for step, row in enumerate(values):
        watch(state, rows, row)
        hit = (state.watched > 0) & (state.largest > threshold(state.phi)) & (first == NEVER)
        first[hit] = step
    return first


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
    "pulse": pulse,
    "river ADWIN": of_river("ADWIN"),
    "river PageHinkley": of_river("PageHinkley"),
    "river KSWIN": of_river("KSWIN", seed=1),
    "PSI > .2": by_window(_psi),
    "KS p < .05": by_window(_ks),
    "always": _always,
    "never": _never,
}


def main() -> None:
    """Print a row for each figure of each detector on each kind of stream."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=60, help="of each kind; Pulse gets twenty times as many")
    parser.add_argument("--json", action="store_true")
    count = parser.parse_args().streams
    report = Report("drift_detectors")
    for name, detector in DETECTORS.items():
        many = count * 20 if name == "pulse" else count
        for kind in KINDS:
            rng = np.random.default_rng(7)
            begun = time.process_time()
            false = (detector(streams(kind, many, REFERENCE + HORIZON, rng)) < NEVER).mean()
            spent = (time.process_time() - begun) / many / (REFERENCE + HORIZON)
            shifted = streams(kind, many, BEFORE + AFTER, rng)
            shifted[BEFORE:] += 1
            first = detector(shifted)
            found = (first >= BEFORE) & (first < NEVER)
            delay = float(np.median(first[found] - BEFORE)) if found.any() else float("nan")
            label = f"{'pulse' if name == 'pulse' else 'peer'}_{{}}_{kind}"
            report.add(label.format("false_alarms"), float(false), "share of streams in 1,000 steps", name)
            report.add(label.format("delay_1sigma"), delay, "steps", name)
            report.add(label.format("detected"), float(found.mean()), "share in 500 steps", name)
            report.add(label.format("us_a_value"), spent * 1e6, "CPU us", name)
    report.print()


if __name__ == "__main__":
    main()
