"""Trust as of a day, in all series or in one: numbers, decisions, drift, worth, a picture. Reads only."""

from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from jobs.one_series import meant
from jobs.report import View, newest_origin
from pulse_assets.trust.evidence_tables import DRIFT
from pulse_assets.trust.tables import CALIBRATED_SCORES, LICENCE_VALUE, LICENCES, SCORES, TRUST
from pulse_assets.trust.value import summary
from pulse_resources.lake import Lake, TableContract

SHOWN_DAYS = timedelta(days=365)
TRUST_COLUMNS = (
    "unique_id",
    "model",
    "bucket",
    "targets",
    "skill",
    "skill_shrunk",
    "p_raw",
    "trust",
    "coverage_80",
    "pit_distance",
)
DRIFT_COLUMNS = ("drift", "unique_id", "model", "state", "statistic", "threshold", "p_value", "q_value", "alarm_on")
STATES = ("state", "rows", "served")


@dataclass(frozen=True)
class Trust:
    """What was known by a day about all series, or about one: rows of the tables of the last year before it."""

    day: date
    unique_id: str | None
    scores: pa.Table
    calibrated_scores: pa.Table
    trust: pa.Table
    drift: pa.Table
    licences: pa.Table
    value: pa.Table


def look_up(lake: Lake, as_of: date | None, series: str | None) -> Trust:
    """Return what is known by a day of all series, or of the one that some text names.

    Raises
    ------
    ConfigError
        No series or more than one is meant.
    TableMissingError
        Nothing was licensed yet.
    """
    day = as_of or newest_origin(lake)
    unique_id = meant(lake, series, day) if series is not None else None

    def rows(contract: TableContract, columns: list[str]) -> pa.Table:
        recent = (pc.field("as_of") > day - SHOWN_DAYS) & (pc.field("as_of") <= day)
        ours = recent & (pc.field("unique_id") == unique_id) if unique_id is not None else recent
        return lake.read(contract, columns=columns, where=ours)

    value = lake.read(LICENCE_VALUE, where=(pc.field("as_of") > day - SHOWN_DAYS) & (pc.field("as_of") <= day))
    return Trust(
        day,
        unique_id,
        rows(SCORES, ["model", "pit"]),
        rows(CALIBRATED_SCORES, ["model", "pit"]),
        rows(TRUST, ["as_of", *TRUST_COLUMNS]),
        rows(DRIFT, ["as_of", *DRIFT_COLUMNS]),
        rows(LICENCES, ["as_of", "state", "reasons", "serve"]),
        value if unique_id is None else value.slice(0, 0),
    )


def views(trust: Trust) -> list[View]:
    """Return what is to be shown; what there is nothing of is left out."""
    of = trust.unique_id or "all series"
    shown = [
        View(
            _today(trust.trust, trust).select(list(TRUST_COLUMNS)).sort_by([("trust", "descending")]),
            f"Trust in forecasts of {of} as of {trust.day}",
            "trust: probability of beating naive over the next 30 truths; null: nothing to say, or naive itself.",
        )
    ]
    today = _today(trust.drift, trust)
    moved = today.filter(pc.is_in(today["state"], pa.array(["warn", "alarm"])))
    shown.append(
        View(
            moved.select(list(DRIFT_COLUMNS)).sort_by([("q_value", "ascending")]),
            f"Drift as of {trust.day}",
            f"{len(moved)} of {len(today)} detectors warn or alarm.",
        )
    )
    decisions = _today(trust.licences, trust)
    served = decisions.set_column(decisions.column_names.index("serve"), "serve", decisions["serve"].cast(pa.int64()))
    counts = served.group_by("state").aggregate([([], "count_all"), ("serve", "sum")])
    shown.append(View(counts.rename_columns(list(STATES)), f"Decisions as of {trust.day}"))
    if len(trust.value):
        note = (
            "WIS over a series' usual naive error, mean over a year of truths; oracle: hindsight, no one can have it."
        )
        shown.append(View(summary(trust.value), "What following the licences was worth", note))
    return shown


def picture(trust: Trust) -> bytes:
    """Return calibration, trust over time, drift, the licence funnel and decisions on one sheet."""
    from pulse_assets.trust.pictures.sheets import trust_sheet

    streams = pc.is_in(trust.drift["drift"], pa.array(["model_drift", "prediction_drift"]))
    frames = [
        rows.to_pandas()
        for rows in (trust.scores, trust.calibrated_scores, trust.trust, trust.drift.filter(streams), trust.licences)
    ]
    return trust_sheet(*frames, title=f"Trust in forecasts of {trust.unique_id or 'all series'} as of {trust.day}")


def _today(rows: pa.Table, trust: Trust) -> pa.Table:
    return rows.filter(pc.equal(rows["as_of"], trust.day))
