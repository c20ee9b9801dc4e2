"""Trust in a backfilled lake: what licences were worth, coverage and loss before and after recalibration, alarms.

Backfill some years first: ``pulse backfill --from 2008-01-01 --to 2018-12-31``, ten minutes with the embedded data;
then run ``python -m benchmarks.trust_retrodiction [LAKE]``. All was decided from what was known on its day.
"""

import argparse

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.report import Report
from jobs.settings import Settings
from pulse_assets.trust.belief.history import judged_on, probe
from pulse_assets.trust.belief.probability import area_under_curve, expected_calibration_error
from pulse_assets.trust.belief.sizes import LEAST_RECENT
from pulse_assets.trust.evidence_tables import DRIFT
from pulse_assets.trust.tables import CALIBRATED_SCORES, LICENCE_VALUE, SCORES, TRUST
from pulse_assets.trust.value import summary
from pulse_resources.lake import Lake

Floats = npt.NDArray[np.float64]
MODEL = "pulse"
CELL = ["unique_id", "model", "bucket"]
ROW = ["origin", "unique_id", "h"]


def main() -> None:
    """Print the figures of a lake."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lake", nargs="?", help="folder; default: PULSE_LAKE")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    lake = Lake(asked.lake) if asked.lake else Settings.from_environment().lake().lake()
    report = Report("trust_retrodiction")
    _worth(lake, report)
    _calibration(lake, report)
    _belief(lake, report)
    _alarms(lake, report)
    report.print()


def _worth(lake: Lake, report: Report) -> None:
    for row in summary(lake.read(LICENCE_VALUE)).to_pylist():
        of = f"{row['freq']} {row['bucket']}, {row['truths']:,} truths"
        for name in ("wis_followed", "wis_always", "wis_naive", "wis_oracle"):
            report.add(name, row[name], "naive errors", note=of)


def _calibration(lake: Lake, report: Report) -> None:
    columns = [*ROW, "wis", *(f"covered_{nominal}" for nominal in (50, 80, 95))]
    frames: dict[str, pd.DataFrame] = {}
    for name, table in (("as made", SCORES), ("recalibrated", CALIBRATED_SCORES)):
        rows: pd.DataFrame = lake.read(table, columns=[*columns, "model"]).to_pandas()
        frames[name] = rows[rows["model"] == MODEL]
        for nominal in (50, 80, 95):
            covered = frames[name][f"covered_{nominal}"].astype(float) * 100 - nominal
            report.add(f"coverage_{nominal}", float(covered.mean()), "points", name, "over the panel, less nominal")
            by_series = covered.groupby(frames[name]["unique_id"]).mean().abs().mean()
            report.add(f"coverage_{nominal}_per_series", float(by_series), "points", name, "mean distance")
    both = frames["as made"].merge(frames["recalibrated"], on=ROW, suffixes=("", "_after"))
    means = both.groupby(["unique_id", "h"])[["wis", "wis_after"]].mean()
    ratios = (means["wis_after"] / means["wis"]).groupby("h").mean()
    for h, ratio in ratios.items():
        report.add("wis_recalibrated", float(ratio), "x as made", note=f"h {h}, mean over series")


def _belief(lake: Lake, report: Report) -> None:
    columns = ["as_of", *CELL, "freq", "p_raw", "trust", "recent_skill", "recent_targets"]
    rows: pd.DataFrame = lake.read(TRUST, columns=columns).to_pandas()
    looked_at = np.array([probe(day) == day for day in rows["as_of"]], bool)
    stated = rows[rows["p_raw"].notna() & looked_at].copy()
    keys = zip(stated["as_of"], stated["freq"], stated["bucket"], strict=True)
    stated["judged"] = [judged_on(day, freq, bucket) for day, freq, bucket in keys]
    later = rows[["as_of", *CELL, "recent_skill", "recent_targets"]].rename(columns={"as_of": "judged"})
    both = stated.merge(later, on=["judged", *CELL], suffixes=("", "_then"))
    both = both[(both["recent_targets_then"] >= LEAST_RECENT) & both["recent_skill_then"].notna()]
    for name, part in (("all models", both), (MODEL, both[both["model"] == MODEL])):
        happened = np.asarray(part["recent_skill_then"] > 0, np.float64)
        report.add("base_rate", float(happened.mean()), "share", name, f"{len(part):,} outcomes")
        for column in ("p_raw", "trust"):
            p = part[column].to_numpy(np.float64)
            report.add("auc", area_under_curve(p, happened), "", name, column)
            report.add("ece", expected_calibration_error(p, happened), "", name, column)


def _alarms(lake: Lake, report: Report) -> None:
    rows: pd.DataFrame = lake.read(DRIFT, columns=["as_of", "drift", "unique_id", "model", "state"]).to_pandas()
    for drift, part in rows.groupby("drift"):
        watched = part[part["state"] != "learning"]
        alarmed = watched[watched["state"] == "alarm"]
        note = f"{len(alarmed):,} of {len(watched):,} days of streams"
        report.add("alarmed", len(alarmed) / max(len(watched), 1), "share", str(drift), note)


if __name__ == "__main__":
    main()
