"""Contracts of scores and licences."""

import pyarrow as pa

from pulse_resources.lake import Column, TableContract

WHO = (
    Column("unique_id", pa.string(), "Series, as in silver/series"),
    Column("model", pa.string(), "Model that made the forecast"),
)

SCORES = TableContract(
    name="gold/scores",
    description="A forecast scored on the day its truth became known, against the first release of that truth",
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
        Column("covered_50", pa.bool_(), "Truth within q250 and q750"),
        Column("covered_80", pa.bool_(), "Truth within q100 and q900"),
        Column("covered_95", pa.bool_(), "Truth within q025 and q975"),
        Column("model_version", pa.string(), "Version of the engine that made the forecast"),
    ),
    key=("origin", "unique_id", "model", "h"),
    partition="as_of",
    physical="year",
    rows_per_day=500,
)

LICENCES = TableContract(
    name="gold/licences",
    description="Whether one model's forecasts of one series made at as_of may be used, why, and until when",
    columns=(
        Column("as_of", pa.date32(), "Origin of the forecasts that are licensed"),
        *WHO,
        Column("state", pa.string(), "licensed, fallback, held or rejected"),
        Column("tier", pa.string(), "A, B or C when licensed", nullable=True),
        Column("serve", pa.bool_(), "The one row of the series that readers should take, if any may be used"),
        Column("reasons", pa.string(), "Codes of every gate that was hit, separated by blanks; empty when none was"),
        Column("targets", pa.int64(), "Truths scored within the window", "event times"),
        Column("skill", pa.float64(), "1 - WIS / WIS of naive on the same targets", "share", nullable=True),
        Column("coverage_80", pa.float64(), "Share of truths within the 80 % interval", "share", nullable=True),
        Column("coverage_95", pa.float64(), "Share of truths within the 95 % interval", "share", nullable=True),
        Column("expires_on", pa.date32(), "Last day that the licensed forecasts speak of"),
        Column("forecasts_version", pa.int64(), "Delta version of gold/forecasts that was judged"),
        Column("scores_version", pa.int64(), "Delta version of gold/scores that was the evidence"),
        Column("policy", pa.string(), "Fingerprint of the thresholds"),
    ),
    key=("as_of", "unique_id", "model"),
    partition="as_of",
    physical="year",
    rows_per_day=150,
)

TABLES = (SCORES, LICENCES)
