"""Contracts of what readers of forecasts look at: scores, recalibrated forecasts, trust and licences.

The evidence behind a licence that is about series or models as such stands in :mod:`.evidence_tables`.
"""

import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_assets.trust.evidence_tables import TABLES as EVIDENCE_TABLES
from pulse_resources.lake import Column, Rule, TableContract

WHO = (
    Column("unique_id", pa.string(), "Series, as in silver/series"),
    Column("model", pa.string(), "Model that made the forecast"),
)
BUCKET = Column("bucket", pa.string(), "Horizons that are judged together, in steps: 1, 2-5, 6-20 or 21+")
PER_LEVEL = pa.list_(pa.float32())


def _served_are_open(rows: pa.Table) -> pa.ChunkedArray:
    return pc.or_(pc.invert(rows["serve"]), pc.is_in(rows["state"], pa.array(["licensed", "fallback"])))


def _scores(name: str, description: str) -> TableContract:
    return TableContract(
        name=name,
        description=description,
        columns=(
            Column("as_of", pa.date32(), "Day on which the truth, and so the score, became known"),
            Column("origin", pa.date32(), "as_of of the forecast"),
            *WHO,
            Column("h", pa.int16(), "Horizon", "steps of the series' own frequency"),
            Column("ds", pa.timestamp("us", "UTC"), "Event time that was forecast"),
            Column("y", pa.float64(), "Truth as first released", "unit of the series"),
            Column("error", pa.float64(), "Truth minus median", "unit of the series"),
            Column("wis", pa.float64(), "Weighted interval score of the 23 quantiles", "unit of the series"),
            Column("crps", pa.float64(), "CRPS integrated over the quantile levels", "unit of the series"),
            Column("pit", pa.float64(), "Forecast probability below the truth", "probability"),
            Column(
                "z",
                pa.float64(),
                "Normal score of the truth: where it would lie if the forecast were a standard normal, "
                "extended in a straight line beyond the outer quantiles",
                "standard deviations",
            ),
            Column("covered_50", pa.bool_(), "Truth within q250 and q750"),
            Column("covered_80", pa.bool_(), "Truth within q100 and q900"),
            Column("covered_95", pa.bool_(), "Truth within q025 and q975"),
            Column("model_version", pa.string(), "Version of the model that made the forecast"),
        ),
        key=("origin", "unique_id", "model", "h"),
        partition="as_of",
        physical="year",
        rows_per_day=500,
    )


SCORES = _scores(
    "gold/scores",
    "A forecast scored on the day its truth became known, against the first release of that truth",
)

CALIBRATED = TableContract(
    name="gold/calibrated",
    description="A forecast with quantiles moved to where truths have shown them to belong: what readers are served",
    columns=(
        Column("as_of", pa.date32(), "Origin: nothing known after this day was used"),
        *WHO,
        Column("h", pa.int16(), "Horizon", "steps of the series' own frequency"),
        Column("ds", pa.timestamp("us", "UTC"), "Event time that is forecast"),
        BUCKET,
        Column("mean", pa.float64(), "Mean, moved with the quantiles", "unit of the series"),
        *(
            Column(name, pa.float64(), f"Quantile at probability {int(name[1:]) / 1000:g}", "unit of the series")
            for name in QUANTILE_COLUMNS
        ),
        Column("targets", pa.int64(), "Truths of this series, model and horizon that have taught it", "event times"),
        Column(
            "method",
            pa.string(),
            "aci: adaptive conformal; pooled: with the help of other series, since its own truths are few; "
            "tracking: quantile tracking, since the adaptive level left its range; raw: not moved for want of truths",
        ),
        Column("z", PER_LEVEL, "Normal score of the raw forecast at which each of the 23 quantiles was taken", "sd"),
        Column("rates", PER_LEVEL, "Adaptive level of each quantile, the state carried to the next day", "share"),
        Column("model_version", pa.string(), "Version of the model that made the forecast"),
        Column("forecasts_version", pa.int64(), "Delta version of gold/forecasts that was moved"),
        Column("scores_version", pa.int64(), "Delta version of gold/scores that it learned from"),
    ),
    key=("as_of", "unique_id", "model", "h"),
    partition="as_of",
    physical="year",
    rows_per_day=500,
    rules=FORECASTS.rules,
)

CALIBRATED_SCORES = _scores(
    "gold/calibrated_scores",
    "A recalibrated forecast scored on the day its truth became known, against the first release of that truth",
)

SHARE, PROBABILITY = "share", "probability"

TRUST = TableContract(
    name="gold/trust",
    description="How likely a model is to beat naive on a series over the next 30 truths, and what that rests on",
    columns=(
        Column("as_of", pa.date32(), "Day up to which scores are known"),
        *WHO,
        BUCKET,
        Column("freq", pa.string(), "Frequency of the series"),
        Column("targets", pa.int64(), "Truths scored within the window", "event times"),
        Column("wis", pa.float64(), "Mean WIS over the window", "unit of the series", nullable=True),
        Column(
            "wis_naive",
            pa.float64(),
            "Mean WIS of the better naive forecast of the same truths",
            "unit of the series",
            nullable=True,
        ),
        Column("reference", pa.string(), "That naive forecast: naive or seasonal_naive", nullable=True),
        Column("skill", pa.float64(), "1 - WIS / WIS of naive, a ratio of sums", SHARE, nullable=True),
        Column("skill_se", pa.float64(), "Its standard error, allowing for overlapping horizons", SHARE, nullable=True),
        Column("recent_targets", pa.int64(), "Truths among the newest 30 of the window", "event times"),
        Column("recent_skill", pa.float64(), "Skill over the newest 30 truths", SHARE, nullable=True),
        Column("panel_skill", pa.float64(), "Mean skill of the panel that it is shrunk to", SHARE, nullable=True),
        Column("panel_sd", pa.float64(), "Spread of true skill in that panel", SHARE, nullable=True),
        Column("skill_shrunk", pa.float64(), "Posterior mean of its skill", SHARE, nullable=True),
        Column("p_raw", pa.float64(), "Probability of beating naive by that posterior", PROBABILITY, nullable=True),
        Column("trust", pa.float64(), "That probability, calibrated on earlier periods", PROBABILITY, nullable=True),
        Column("calibrated_on", pa.int64(), "Earlier outcomes that the calibration rests on; 0: none", "outcomes"),
        Column("coverage_50", pa.float64(), "Share of truths within the 50 % interval", SHARE, nullable=True),
        Column("coverage_80", pa.float64(), "Share of truths within the 80 % interval", SHARE, nullable=True),
        Column("coverage_95", pa.float64(), "Share of truths within the 95 % interval", SHARE, nullable=True),
        Column("coverage_80_low", pa.float64(), "Lower end of its 95 % Wilson interval", SHARE, nullable=True),
        Column("coverage_80_high", pa.float64(), "Upper end", SHARE, nullable=True),
        Column("coverage_80_shrunk", pa.float64(), "Coverage of 80 % shrunk to its panel's", SHARE, nullable=True),
        Column(
            "coverage_80_q",
            pa.float64(),
            "Benjamini-Hochberg q-value of its distance from 80 %",
            PROBABILITY,
            nullable=True,
        ),
        Column(
            "kupiec_p",
            pa.float64(),
            "Kupiec test of the rate of misses of the 80 % interval",
            PROBABILITY,
            nullable=True,
        ),
        Column(
            "christoffersen_p",
            pa.float64(),
            "Christoffersen test of the independence of these misses",
            PROBABILITY,
            nullable=True,
        ),
        Column("pit_distance", pa.float64(), "Wasserstein distance of PITs from uniform", PROBABILITY, nullable=True),
        Column(
            "stability",
            pa.float64(),
            "Mean move of the median of one truth between origins, over the mean error of naive",
            "ratio",
            nullable=True,
        ),
        Column("scores_version", pa.int64(), "Delta version of gold/calibrated_scores that was the evidence"),
    ),
    key=("as_of", "unique_id", "model", "bucket"),
    partition="as_of",
    physical="year",
    rows_per_day=250,
)

LICENCES = TableContract(
    name="gold/licences",
    description="Whether forecasts of one model, series and bucket made at as_of may be used, why, and until when",
    columns=(
        Column("as_of", pa.date32(), "Origin of the forecasts that are licensed"),
        *WHO,
        BUCKET,
        Column("state", pa.string(), "draft, scored, licensed, fallback, held or rejected"),
        Column("tier", pa.string(), "A, B or C when licensed", nullable=True),
        Column("serve", pa.bool_(), "The one row of series and bucket that readers should take, if any may be used"),
        Column("reasons", pa.string(), "Codes of every gate that was hit, separated by blanks; empty when none was"),
        Column("earned", pa.int8(), "Rank that the evidence of the day alone earns: 0 rejected, 1 held, 2 C, 3 B, 4 A"),
        Column("floor", pa.int8(), "Lowest rank earned at the six origins before: a rank must be earned seven times"),
        Column("targets", pa.int64(), "Truths scored within the window", "event times"),
        Column("skill", pa.float64(), "1 - WIS / WIS of naive on the same targets", SHARE, nullable=True),
        Column("trust", pa.float64(), "Calibrated probability of beating naive", PROBABILITY, nullable=True),
        Column(
            "coverage_80",
            pa.float64(),
            "Share of truths within the 80 % interval, shrunk to the panel's",
            SHARE,
            nullable=True,
        ),
        Column("coverage_80_q", pa.float64(), "q-value of its distance from 80 %", PROBABILITY, nullable=True),
        Column("quality", pa.float64(), "Data quality, from 0 to 1", SHARE, nullable=True),
        Column("quality_flags", pa.string(), "Data quality codes, separated by blanks"),
        Column(
            "forecast_flags", pa.string(), "What is wrong with the quantiles: NONFINITE, QUANTILE_CROSS; else empty"
        ),
        Column(
            "drift",
            pa.string(),
            "Worst drift state of the model on the series: none, learning, warn or alarm",
            nullable=True,
        ),
        Column("model_age_days", pa.int64(), "Days since the model last learned", "days", nullable=True),
        Column("expires_on", pa.date32(), "Last day that the licensed forecasts speak of"),
        Column("forecasts_version", pa.int64(), "Delta version of gold/calibrated that was judged"),
        Column("trust_version", pa.int64(), "Delta version of gold/trust that was the evidence"),
        Column("quality_version", pa.int64(), "Delta version of ops/data_quality that was the evidence"),
        Column("drift_version", pa.int64(), "Delta version of ops/drift that was the evidence"),
        Column("policy", pa.string(), "Fingerprint of the thresholds; their values are in ops/licence_chain"),
        Column("row_hash", pa.string(), "SHA-256 of all columns before this one"),
    ),
    key=("as_of", "unique_id", "model", "bucket"),
    partition="as_of",
    physical="year",
    rows_per_day=250,
    rules=(Rule("served_are_open", "only licensed and fallback rows to be served", _served_are_open),),
)

LICENCE_VALUE = TableContract(
    name="gold/licence_value",
    description="What following the licences was worth on the truths of one day, beside other ways to choose a model",
    columns=(
        Column("as_of", pa.date32(), "Day on which the truths became known"),
        Column("freq", pa.string(), "Frequency of the series"),
        BUCKET,
        Column("series", pa.int64(), "Series with a truth and a served forecast", "series"),
        Column("licensed_share", pa.float64(), "Share of them that were served a licensed forecast", SHARE),
        Column("wis_followed", pa.float64(), "Mean of WIS / scale of the forecasts that were served", "naive errors"),
        Column("wis_always", pa.float64(), "The same of the model pulse, always", "naive errors"),
        Column("wis_naive", pa.float64(), "The same of naive, always", "naive errors"),
        Column(
            "wis_oracle",
            pa.float64(),
            "The same of whichever model did better over its next 30 truths: no one "
            "can know that; null where they are not known yet",
            "naive errors",
            nullable=True,
        ),
    ),
    key=("as_of", "freq", "bucket"),
    partition="as_of",
    physical="year",
    rows_per_day=10,
)

TABLES = (SCORES, CALIBRATED, CALIBRATED_SCORES, TRUST, LICENCES, LICENCE_VALUE, *EVIDENCE_TABLES)
