"""Trust in a backfilled lake: whether probabilities and intervals were kept, and what following licences was worth.

Backfill some years first (``pulse backfill``), then hand over the lake's folder. Every probability was made from what
was known on its day, so this is what a reader would have lived through; nothing is fitted here.
"""

import argparse
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.report import Report
from jobs.settings import Settings
from pulse_assets.trust.belief.history import judged_on
from pulse_assets.trust.belief.probability import area_under_curve, expected_calibration_error
from pulse_assets.trust.tables import CALIBRATED_SCORES, LICENCE_VALUE, SCORES, TRUST
from pulse_assets.trust.value import summary
from pulse_resources.lake import Lake

Floats = npt.NDArray[np.float64]
KEYS = ["unique_id", "model", "bucket"]
EVERY = 10
"""Days between the probabilities that are judged."""


def outcomes(lake: Lake) -> pd.DataFrame:
    """Return probabilities beside what became of them: ``p_raw, trust, calibrated_on, happened``."""
    columns = ["as_of", *KEYS, "freq", "p_raw", "trust", "skill", "skill_se", "recent_skill", "calibrated_on"]
    rows = lake.read(TRUST, columns=columns).to_pandas()
    days = sorted(rows["as_of"].unique())[::EVERY]
    made = rows[rows["as_of"].isin(days) & rows["p_raw"].notna()].copy()
    made["judged"] = [_judged(*key) for key in zip(made["as_of"], made["freq"], made["bucket"], strict=True)]
    later = rows[["as_of", *KEYS, "recent_skill"]].rename(columns={"as_of": "judged", "recent_skill": "next_skill"})
    both = made.merge(later, on=["judged", *KEYS], how="inner").dropna(subset=["next_skill"])
    judged: pd.DataFrame = both.assign(happened=(both["next_skill"] > 0).astype(float))
    return judged


def _judged(day: date, freq: str, bucket: str) -> date:
    return judged_on(day, freq, bucket)


def main() -> None:
    """Print how probabilities, intervals and licences did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lake", nargs="?", help="folder of a backfilled lake; default: PULSE_LAKE")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    lake = Lake(asked.lake) if asked.lake else Settings.from_environment().lake().lake()
    report = Report("trust_calibration")
    both = outcomes(lake)
    for name, part in (("all models", both), ("pulse", both[both["model"] == "pulse"])):
        happened = part["happened"].to_numpy(np.float64)
        report.add(
            "base_rate", float(happened.mean()), "share", name, f"{len(part):,} outcomes beat naive over 30 truths"
        )
        for column in ("p_raw", "trust"):
            p = part[column].to_numpy(np.float64)
            report.add("auc", area_under_curve(p, happened), "", name, column)
            report.add("ece", expected_calibration_error(p, happened), "", name, column)
            report.add("brier", float(np.square(p - happened).mean()), "", name, column)
    _coverage(lake, report)
    for row in summary(lake.read(LICENCE_VALUE)).to_pylist():
        of = f"{row['freq']} {row['bucket']}"
        for name in ("wis_followed", "wis_always", "wis_naive", "wis_oracle"):
            report.add(name, row[name], "naive errors", of, f"{row['truths']:,} truths")
        if row["oracle_share"] is not None:
            report.add("oracle_share", row["oracle_share"], "share", of, "of the oracle's gain over always using pulse")
    report.print()


def _coverage(lake: Lake, report: Report) -> None:
    columns = ["model", "unique_id", "wis", "covered_50", "covered_80", "covered_95"]
    frames = {name: lake.read(table, columns=columns).to_pandas() for name, table in _TABLES}
    for nominal in (50, 80, 95):
        for name, rows in frames.items():
            ours = rows[rows["model"] == "pulse"]
            covered = ours[f"covered_{nominal}"].astype(float)
            report.add(
                f"coverage_error_{nominal}", float(covered.mean() * 100 - nominal), "points", name, f"{len(ours):,}"
            )
            by_series = covered.groupby(ours["unique_id"]).mean() * 100 - nominal
            report.add(f"coverage_error_{nominal}_per_series", float(by_series.abs().mean()), "points", name)
    means = {name: rows[rows["model"] == "pulse"].groupby("unique_id")["wis"].mean() for name, rows in frames.items()}
    ratio = (means["recalibrated"] / means["as made"]).mean()
    report.add("wis_recalibrated", float(ratio), "x as made", "pulse", "mean over series")


_TABLES = (("as made", SCORES), ("recalibrated", CALIBRATED_SCORES))

if __name__ == "__main__":
    main()
