"""Cost and verdicts of the panel comparison beside Evidently, NannyML and a plain scipy loop.

``python -m benchmarks.drift_speed [--columns C] [--rows R] [--sample K] [--full METHOD ...] [--nannyml-python PYTHON]
[--json]``. Two samples of R rows a column, three of ten columns shifted by 0.02 to 0.2 deviations. Ours makes the three
statistics in one call. Evidently makes one a preset: each is measured on K columns and told for all in proportion,
which flatters it, as its cost a column grows; ``--full default`` measures that preset on all columns (minutes). NannyML
needs another pandas than ours and runs in an interpreter of its own. Compiling and imports are not measured.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.report import Report, measured
from pulse_assets.trust.detection.distributions import PanelComparison, compare_panel
from pulse_assets.trust.detection.report import SWITCHES

Floats = npt.NDArray[np.float64]

LEVEL, NORMED_LIMIT = 0.05, 0.1
METHODS = {"default": "Wasserstein", "ks": "Kolmogorov-Smirnov", "psi": "stability index"}
NANNYML = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np, pandas as pd, nannyml
before, after = (np.load(path) for path in sys.argv[1:3])
names = [f"c{place}" for place in range(len(before))]
before, after = (pd.DataFrame(rows.T, columns=names) for rows in (before, after))
methods = ["wasserstein", "kolmogorov_smirnov", "jensen_shannon"]
def run(columns):
    calculator = nannyml.UnivariateDriftCalculator(columns, continuous_methods=methods, chunk_number=1)
    start = time.process_time()
    found = calculator.fit(before[columns]).calculate(after[columns])
    return time.process_time() - start, found.filter(period="analysis").to_df()
run(names[:2])
seconds, found = run(names)
values = {m: [float(found[(n, m, "value")].iloc[0]) for n in names] for m in methods[:2]}
print(json.dumps({"seconds": seconds, "version": nannyml.__version__, **values}))
"""


def is_shifted(columns: int) -> npt.NDArray[np.bool_]:
    """Return which columns are."""
    return np.asarray(np.arange(columns) % 10 < 3)


def panel(columns: int, rows: int) -> tuple[Floats, Floats]:
    """Return two samples of every column, of which some are shifted in the second."""
    rng = np.random.default_rng(5)
    before, after = rng.normal(size=(columns, rows)), rng.normal(size=(columns, rows))
    after += (rng.uniform(0.02, 0.2, columns) * is_shifted(columns))[:, None]
    return before, after


def ours(before: Floats, after: Floats, rounds: int) -> tuple[float, PanelComparison]:
    """Return CPU seconds and what was found."""
    found = compare_panel(before, after)
    costs = []
    for _ in range(rounds):
        with measured() as cost:
            found = compare_panel(before, after)
        costs.append(cost.cpu_s)
    return statistics.median(costs), found


def scipy_loop(before: Floats, after: Floats) -> tuple[float, Floats, Floats]:
    """Return CPU seconds, p-values and distances of a loop over columns."""
    from scipy.stats import ks_2samp, wasserstein_distance

    with measured() as cost:
        p = [ks_2samp(x, y, method="asymp").pvalue for x, y in zip(before, after, strict=True)]
        distance = [wasserstein_distance(x, y) for x, y in zip(before, after, strict=True)]
        for x, y in zip(before, after, strict=True):
            edges = np.quantile(x, np.linspace(0, 1, 11)[1:-1])
            shares = [np.bincount(np.searchsorted(edges, sample), minlength=10) / len(sample) for sample in (x, y)]
            float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
    return cost.cpu_s, np.array(p), np.array(distance)


def evidently(before: Floats, after: Floats, method: str) -> tuple[float, Floats]:
    """Return CPU seconds of one drift preset, without its HTML, and its scores by column."""
    import pandas as pd
    from evidently import Report as Drawn
    from evidently.presets import DataDriftPreset

    names = [f"c{place}" for place in range(len(before))]
    frames = [pd.DataFrame(rows.T, columns=names) for rows in (after, before)]
    preset = DataDriftPreset() if method == "default" else DataDriftPreset(num_method=method)
    with measured() as cost:
        drawn = Drawn([preset]).run(*frames)
    scores = {metric["config"].get("column"): metric["value"] for metric in drawn.dict()["metrics"]}
    return cost.cpu_s, np.array([float(scores[name]) for name in names])


def nannyml(before: Floats, after: Floats, python: str) -> dict[str, object]:
    """Return what NannyML needs and finds, in another interpreter."""
    environment = os.environ | SWITCHES | {"NML_DISABLE_USAGE_LOGGING": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "before.npy", Path(folder) / "after.npy"]
        for path, rows in zip(paths, (before, after), strict=True):
            np.save(path, rows)
        command = [python, "-c", NANNYML, *map(str, paths)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"absent": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def tell_evidently(
    report: Report, found: PanelComparison, seconds: float, samples: tuple[Floats, Floats], asked: argparse.Namespace
) -> None:
    """Add its three presets, in proportion or in full, and whether it says the same."""
    before, after = samples
    evidently(before[:2], after[:2], "ks")
    total = 0.0
    for method, name in METHODS.items():
        columns = len(before) if method in asked.full else min(asked.sample, len(before))
        cost, scores = evidently(before[:columns], after[:columns], method)
        whole = cost * len(before) / columns
        total += whole
        told = "measured on all" if columns == len(before) else f"from {columns} columns, in proportion"
        report.add(
            f"evidently_{method}_s", whole, "CPU s", "Evidently", f"{name}, {told}: {1e3 * cost / columns:.0f} ms each"
        )
        report.add(f"vs_evidently_{method}", whole / seconds, "ratio", "Evidently", f"its {name} alone, our three")
        if method != "psi":  # whose bins and mean are others
            same, note = agreement(method, scores, found, samples)
            report.add(f"same_verdicts_evidently_{method}", same, "share", "Evidently", note)
    report.add("vs_evidently", total / seconds, "ratio", "Evidently", f"the three, {total:.0f} s")


def agreement(method: str, scores: Floats, found: PanelComparison, samples: tuple[Floats, Floats]) -> tuple[float, str]:
    """Return the share of columns of which both say the same by its limit, and a note."""
    count = len(scores)
    if method == "ks":
        its, mine = scores < LEVEL, found.p_value[:count] < LEVEL
        differ = np.flatnonzero(its != mine)
        far = max(
            np.abs(np.append(found.p_value[differ], LEVEL) - LEVEL).max(),
            np.abs(np.append(scores[differ], LEVEL) - LEVEL).max(),
        )
        note = f"; it takes the exact two-sample p, where verdicts differ both are within {far:.1e} of {LEVEL}"
    else:
        its = scores >= NORMED_LIMIT
        mine = found.wasserstein[:count] / samples[0][:count].std(axis=1) >= NORMED_LIMIT
        note = ""
    return float((its == mine).mean()), f"{count} columns, {its.sum()} of them drifted by its limit{note}"


def tell_nannyml(
    report: Report, found: PanelComparison, seconds: float, samples: tuple[Floats, Floats], python: str
) -> None:
    """Add NannyML's cost, and how far its distances are from ours."""
    its = nannyml(*samples, python)
    if "absent" in its:
        report.add("vs_nannyml", float("nan"), "ratio", "NannyML", f"absent from {python}: {its['absent']}"[:110])
        return
    note = f"{its['version']}, Wasserstein, KS, Jensen-Shannon, one chunk"
    report.add("nannyml_s", float(str(its["seconds"])), "CPU s", "NannyML", note)
    report.add("vs_nannyml", float(str(its["seconds"])) / seconds, "ratio", "NannyML", "three statistics each")
    for name, mine in (("kolmogorov_smirnov", found.statistic), ("wasserstein", found.wasserstein)):
        apart = float(np.abs(np.array(its[name], np.float64) - mine).max())
        report.add(f"nannyml_{name}_difference", apart, "largest", "NannyML", f"{apart:.1e}")


def tell_scipy(report: Report, found: PanelComparison, seconds: float, samples: tuple[Floats, Floats]) -> None:
    """Add the plain loop, and what both say of the shifted and the other columns."""
    cost, p, distance = scipy_loop(*samples)
    report.add("scipy_loop_s", cost, "CPU s", "scipy", "KS and Wasserstein by scipy, index by numpy, column by column")
    report.add("vs_scipy_loop", cost / seconds, "ratio", "scipy")
    report.add("same_ks_verdicts", float(((p < LEVEL) == (found.p_value < LEVEL)).mean()), "share", "scipy", "p < 0.05")
    apart = float(np.abs(found.wasserstein / distance - 1).max())
    report.add("wasserstein_difference", apart, "largest, relative", "scipy", f"{apart:.1e}")
    shifted = is_shifted(len(p))
    for name, verdict in (("ours", found.q_value <= LEVEL), ("scipy", p < LEVEL)):
        note = f"of {shifted.sum()}; {(verdict & ~shifted).sum()} false"
        report.add(f"shifted_found_{name}", float((verdict & shifted).sum()), "columns", note=note)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--sample", type=int, default=40)
    parser.add_argument("--full", nargs="*", default=[], choices=METHODS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nannyml-python", default=sys.executable)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")  # Evidently's, about its own use of pandas
    os.environ.update(SWITCHES)
    report, samples = Report("drift_speed"), panel(asked.columns, asked.rows)
    seconds, found = ours(*samples, asked.rounds)
    note = f"KS, Wasserstein, stability index, q-values; {asked.columns} columns of {asked.rows} rows, twice"
    report.add("ours_s", seconds, "CPU s", note=f"{note}; median of {asked.rounds}")
    tell_scipy(report, found, seconds, samples)
    tell_nannyml(report, found, seconds, samples, asked.nannyml_python)
    tell_evidently(report, found, seconds, samples, asked)
    many = panel(5000, 365)
    seconds, _ = ours(many[0], many[1][:, :60], asked.rounds)
    report.add("many_series_s", seconds, "CPU s", note="5,000 series, 365 steps beside 60")
    report.print()


if __name__ == "__main__":
    main()
