"""How often models are trained for nothing, and promoted for nothing: ``python -m benchmarks.retraining [--json]``.

Retraining: families of one series each whose normal scores are watched every day by the detector of ``ops/drift``; what
follows goes through the state machine of ``ops/model_events``, from the alarm over a shadow that is rejected after 45
days to the cool-down. A year has 252 days. Stationary series tell what is needless; others rise by one standard
deviation after 300 days, and are found when a training is asked for within 500 days. Beside it: the usual population
stability index, a trigger that must fall below a low mark before it may fire again, and one that always or never fires.

Promotion: mean differences between champion and challenger, one a day, looked at every day from the twentieth to the
180th, or as many as a quarter has.
"""

import argparse
from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from benchmarks.report import Report, measured
from pulse_assets.numerics.sequential import confidence_sequence
from pulse_assets.trust.detection.watcher import NEVER, Watcher
from pulse_assets.trust.retraining.promotion import BAR, REJECT, Verdict
from pulse_assets.trust.retraining.states import REQUESTED, SHADOW, Event, steps
from pulse_assets.trust.retraining.trigger import DRIFTED, RULES, Suspicion, is_suspected

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

YEAR, REFERENCE = 252, 100
STABLE, SHIFT_AT, AFTER = 1_000, 300, 500
SHADOW_DAYS = 45
LINKS = (0.0, 0.3, 0.5)
PSI_WINDOW, PSI_BINS, PSI_HIGH, PSI_LOW, STRIKES = 60, 10, 0.2, 0.1, 3
LOOKS, QUARTER_LOOKS = 180, 64
START, NEVER_TRAINED = date(2000, 1, 1), date(1999, 1, 1)


class Asked(NamedTuple):
    """Days on which trainings were asked for, by series."""

    days: list[list[int]]

    def per_year(self, first: int, last: int) -> float:
        """Return how many a series and year were asked for between two days."""
        count = sum(first <= day < last for days in self.days for day in days)
        return count / len(self.days) / (last - first) * YEAR

    def found(self, first: int) -> tuple[float, float]:
        """Return the share of series asked for within 500 days, and the median delay of those."""
        delays = [next((day - first for day in days if first <= day < first + AFTER), None) for days in self.days]
        known = [delay for delay in delays if delay is not None]
        return len(known) / len(delays), float(np.median(known)) if known else float("nan")


def streams(count: int, days: int, link: float, shift_at: int, seed: int) -> Floats:
    """Return autoregressive series of standard deviation 1, shape ``(days, count)``, that rise by 1 from a day on."""
    random = np.random.default_rng(seed)
    value, made = random.standard_normal(count), np.empty((days, count))
    for day in range(days):
        value = link * value + np.sqrt(1 - link**2) * random.standard_normal(count)
        made[day] = value + (day >= shift_at)
    return made


def alarms(values: Floats) -> Bools:
    """Return where the detector of ``ops/drift`` alarms."""
    watcher, rows, found = Watcher(values.shape[1]), np.arange(values.shape[1]), np.zeros(values.shape, bool)
    for day, today in enumerate(values):
        watcher.take(rows, today, day)
        found[day] = watcher.alarm_on != NEVER
    return found


def psi_values(values: Floats) -> Floats:
    """Return the population stability index of the last 60 values against the first 100, bins by its deciles."""
    found = np.zeros(values.shape)
    for series, path in enumerate(values.T):
        edges = np.quantile(path[:REFERENCE], np.arange(1, PSI_BINS) / PSI_BINS)
        hits = np.eye(PSI_BINS)[np.searchsorted(edges, path)]
        counts = np.cumsum(np.vstack((np.zeros(PSI_BINS), hits)), axis=0)
        usual = np.maximum(hits[:REFERENCE].mean(axis=0), 1e-4)
        recent = np.maximum((counts[PSI_WINDOW:] - counts[:-PSI_WINDOW]) / PSI_WINDOW, 1e-4)
        found[PSI_WINDOW - 1 :, series] = ((recent - usual) * np.log(recent / usual)).sum(axis=1)
    found[: REFERENCE + PSI_WINDOW] = 0.0
    return found


def lives(fires: Bools) -> Asked:
    """Return what the state machine asks for, family by family, where each is one series."""
    return Asked([list(_life(path)) for path in fires.T])


def _life(fires: Bools) -> Iterator[int]:
    record: list[Event] = []
    for day in range(len(fires)):
        newest = record[-1] if record else None
        in_shadow = newest is not None and newest.event == SHADOW
        if not fires[max(day - RULES.memory + 1, 0) : day + 1].any() and not in_shadow:
            continue
        today, path = START + timedelta(days=day), fires[max(day - RULES.memory + 1, 0) : day + 1].astype(np.float64)
        reasons = (DRIFTED,) if is_suspected(path, RULES.drift_enter, RULES.drift_leave) else ()
        suspicion = Suspicion("B price", reasons, float(path[-1]), float(path[-1]), float("nan"), 0)
        over = newest is not None and (today - newest.as_of).days >= SHADOW_DAYS
        verdicts = {"B price": Verdict(REJECT, (), {})} if in_shadow and over else {}
        for _ in range(2):  # a training that is asked for is there on the same day
            for step in steps(today, [suspicion], {"B price": NEVER_TRAINED}, record, {"B price": today}, verdicts, {}):
                record.append(Event(today, step.family, step.event, step.trained_on))
                if step.event == REQUESTED:
                    yield day


def every_day(fires: Bools) -> Asked:
    """Return what a trigger without any machine asks for."""
    return Asked([np.flatnonzero(path).tolist() for path in fires.T])


def rearmed_when_low(values: Floats) -> Asked:
    """Return what a trigger asks for that needs three days above and one below the low mark to fire again."""
    asked = []
    for path in values.T.tolist():
        armed, strikes, days = True, 0, []
        for day, value in enumerate(path):
            strikes = strikes + 1 if value > PSI_HIGH else 0
            if armed and strikes >= STRIKES:
                days.append(day)
                armed = False
            armed = armed or (value < PSI_LOW and day > REFERENCE + PSI_WINDOW)
        asked.append(days)
    return Asked(asked)


def measure_retraining(report: Report, count: int, seed: int) -> None:
    """Measure needless trainings and shifts found."""
    for link in LINKS:
        quiet = streams(count, STABLE, link, STABLE, seed)
        shifted = streams(count, SHIFT_AT + AFTER, link, SHIFT_AT, seed + 1)
        _add(report, f"_link_{link:g}", "", lives(alarms(quiet)), lives(alarms(shifted)))
    quiet = streams(count, STABLE, 0.0, STABLE, seed)
    shifted = streams(count, SHIFT_AT + AFTER, 0.0, SHIFT_AT, seed + 1)
    psi_quiet, psi_shifted = psi_values(quiet), psi_values(shifted)
    _add(report, "_psi_daily", "PSI > .2", every_day(psi_quiet > PSI_HIGH), every_day(psi_shifted > PSI_HIGH))
    _add(report, "_psi_machine", "PSI > .2, our machine", lives(psi_quiet > PSI_HIGH), lives(psi_shifted > PSI_HIGH))
    _add(report, "_psi_hysteresis", "PSI, 3 days > .2, again after < .1", rearmed_when_low(psi_quiet),
         rearmed_when_low(psi_shifted))  # fmt: skip
    for name, value in (("always", True), ("never", False)):
        _add(report, f"_{name}", f"fires {name}", *(lives(np.full(some.shape, value)) for some in (quiet, shifted)))


def _add(report: Report, name: str, peer: str, quiet: Asked, shifted: Asked) -> None:
    share, delay = shifted.found(SHIFT_AT)
    needless = quiet.per_year(REFERENCE, STABLE)
    report.add(f"needless{name}", needless, "a series-year", peer, f"{len(quiet.days)} stationary series of {STABLE}")
    report.add(f"shifts_found{name}", share, "share", peer, f"one sd, within {AFTER} days; median after {delay:.0f}")


def differences(count: int, days: int, effect: float, link: float, degrees: float, seed: int) -> Floats:
    """Return daily mean differences in standard deviations, shape ``(count, days)``."""
    random, burn = np.random.default_rng(seed), 30 if link else 0
    shocks = (
        random.standard_t(degrees, (days + burn, count)) if degrees else random.standard_normal((days + burn, count))
    )
    value, made = np.zeros(count), np.empty((days + burn, count))
    for day, shock in enumerate(shocks):
        value = link * value + shock
        made[day] = value
    spread = np.sqrt((degrees / (degrees - 2) if degrees else 1.0) / (1 - link**2))
    return np.asarray(made[burn:].T / spread + effect)


def sequence_promotes(values: Floats, *, linked: bool = True) -> tuple[float, float]:
    """Return the share that is ever promoted, and the median day over all; infinite when most never are."""
    above = confidence_sequence(values, BAR.level, linked=linked).lower > 0
    return _first(above)


def daily_test_promotes(values: Floats) -> tuple[float, float]:
    """Return the same for daily one-sided looks at the test of Diebold and Mariano, which is Student's at one step."""
    number = np.arange(1, values.shape[1] + 1, dtype=np.float64)
    mean = np.cumsum(values, axis=1) / number
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = (np.cumsum(values**2, axis=1) - number * mean**2) / (number - 1)
        return _first(mean / np.sqrt(variance / number) > stdtrit(np.maximum(number - 1, 1), 1 - BAR.level))


def _first(above: Bools) -> tuple[float, float]:
    looked = above[:, BAR.least_days - 1 :]
    days = np.where(looked.any(axis=1), looked.argmax(axis=1) + BAR.least_days, np.inf)
    return float(looked.any(axis=1).mean()), float(np.median(days))


def measure_promotion(report: Report, count: int, seed: int) -> None:
    """Measure false promotions and power."""
    cases = (("normal", 0.0, 0.0), ("t5", 0.0, 5.0), ("link_0.3", 0.3, 0.0), ("link_0.5", 0.5, 0.0))
    for name, link, degrees in cases:
        values = differences(count, LOOKS, 0.0, link, degrees, seed)
        for peer, (share, _) in (
            ("", sequence_promotes(values)),
            ("sequence that takes days for free", sequence_promotes(values, linked=False)),
            ("DM every day", daily_test_promotes(values)),
            ("DM once", _once(values)),
        ):
            label = f"false_promotions_{name}{'_' + peer.replace(' ', '_') if peer else ''}"
            report.add(label, share, "share", peer, f"{count} challengers that are no better, {LOOKS} days")
    for effect, days in ((0.3, LOOKS), (0.3, QUARTER_LOOKS), (0.5, QUARTER_LOOKS), (1.0, QUARTER_LOOKS)):
        for name, degrees in (("normal", 0.0), ("t5", 5.0)):
            share, median = sequence_promotes(differences(count, days, effect, 0.0, degrees, seed + 1))
            label = f"power_{effect:g}_sd_{days}_days_{name}"
            report.add(label, share, "share", note=f"{count} challengers; median promoted on day {median:.0f}")


def _once(values: Floats) -> tuple[float, float]:
    mean, spread = values.mean(axis=1), values.std(axis=1, ddof=1)
    limit = stdtrit(values.shape[1] - 1, 1 - BAR.level)
    return float((mean / spread * np.sqrt(values.shape[1]) > limit).mean()), float(values.shape[1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1_000)
    parser.add_argument("--challengers", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report = Report("retraining")
    with measured() as cost:
        measure_retraining(report, options.series, options.seed)
        measure_promotion(report, options.challengers, options.seed)
    report.add("cost", cost.cpu_s, "CPU s", note=f"all of this, peak {cost.peak_mib:.0f} MiB")
    report.print()


if __name__ == "__main__":
    main()
