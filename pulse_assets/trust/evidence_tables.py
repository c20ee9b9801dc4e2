"""Contracts of the evidence behind licences: quality, drift, the chain of decisions, models and their retraining."""

import pyarrow as pa

from pulse_resources.lake import Column, TableContract

TIME = pa.timestamp("us", "UTC")
SERIES_ID = Column("unique_id", pa.string(), "Series, as in silver/series")
FAMILY = Column("family", pa.string(), "Panel that learns together: frequency and kind, as in `B price`")
RUN = Column("run_id", pa.string(), "Dagster run")

DATA_QUALITY = TableContract(
    name="ops/data_quality",
    description="How sound the newest observations of a series are, as known at as_of",
    columns=(
        Column("as_of", pa.date32(), "Nothing known after this day was used"),
        SERIES_ID,
        Column("freq", pa.string(), "Frequency of the series"),
        Column("observations", pa.int64(), "Event times known", "event times"),
        Column("age_days", pa.float64(), "Time since something last became known", "days"),
        Column("late_share", pa.float64(), "That age over what its frequency allows; above 1 is stale", "ratio"),
        Column("missing_share", pa.float64(), "Event times missing among those due in the window", "share"),
        Column(
            "duplicates",
            pa.int64(),
            "Event times told more than once, with different values, at one moment",
            "event times",
        ),
        Column("flat_run", pa.int64(), "Newest observations that are all equal", "observations"),
        Column("flat_share", pa.float64(), "Share of steps without a change in the window", "share"),
        Column(
            "revision_rate", pa.float64(), "Share of event times in the window that were revised after release", "share"
        ),
        Column("revision_size", pa.float64(), "Mean revision of those, over the median step", "ratio", nullable=True),
        Column(
            "jump_z", pa.float64(), "Largest shift of level in the window, as a robust z-score", "sd", nullable=True
        ),
        Column("quality", pa.float64(), "From 0, unusable, to 1; the product of what is lost to each fault", "share"),
        Column(
            "flags",
            pa.string(),
            "DQ_EMPTY DQ_STALE DQ_SHORT DQ_DUP DQ_UNIT_JUMP DQ_FLAT DQ_GAPS REVISION_HIGH, separated by blanks",
        ),
    ),
    key=("as_of", "unique_id"),
    partition="as_of",
    physical="year",
    rows_per_day=50,
)

DRIFT = TableContract(
    name="ops/drift",
    description="One detector's view of one series and model, or of one panel, as of a day",
    columns=(
        Column("as_of", pa.date32(), "Nothing known after this day was used"),
        Column(
            "drift",
            pa.string(),
            "model_drift: one-step normal scores; prediction_drift: losses beside naive; "
            "data_drift: steps of the series; panel_drift: all series of a panel at once",
        ),
        Column("unique_id", pa.string(), "Series; of panel_drift the frequency, as in `panel B`"),
        Column("model", pa.string(), "Model; empty for data_drift"),
        Column("state", pa.string(), "learning, none, warn or alarm"),
        Column(
            "statistic",
            pa.float64(),
            "Largest CUSUM since the reference, Kolmogorov-Smirnov distance, or share of series that moved",
            nullable=True,
        ),
        Column("threshold", pa.float64(), "Where it alarms", nullable=True),
        Column(
            "p_value",
            pa.float64(),
            "Probability of such a statistic at any look over the whole time of watching, if nothing changed",
            "probability",
            nullable=True,
        ),
        Column(
            "q_value", pa.float64(), "The same after Benjamini-Hochberg over the panel", "probability", nullable=True
        ),
        Column("direction", pa.string(), "up, down or empty: what moved to where"),
        Column("targets", pa.int64(), "Truths watched since the reference, or since an alarm began", "event times"),
        Column("up", pa.float64(), "CUSUM for rises", "sd", nullable=True),
        Column("down", pa.float64(), "CUSUM for falls", "sd", nullable=True),
        Column("last", pa.float64(), "Newest watched value, from which the next is predicted", nullable=True),
        Column("phi", pa.float64(), "Autocorrelation that is taken out", nullable=True),
        Column("reference_on", pa.date32(), "Day on which the reference was complete", nullable=True),
        Column("alarm_on", pa.date32(), "Day on which the current alarm began", nullable=True),
        Column(
            "reference",
            pa.list_(pa.float32()),
            "The reference itself: on days on which it grows or is complete, and on the first weekday of a month",
            nullable=True,
        ),
        Column("psi", pa.float64(), "Population stability index less its mean under no change", nullable=True),
        Column(
            "wasserstein",
            pa.float64(),
            "Wasserstein distance over the reference's standard deviation",
            "sd",
            nullable=True,
        ),
    ),
    key=("as_of", "drift", "unique_id", "model"),
    partition="as_of",
    physical="year",
    rows_per_day=250,
)

LICENCE_CHAIN = TableContract(
    name="ops/licence_chain",
    description="One writing of the licences of one day; each row vouches for all before it",
    columns=(
        Column("number", pa.int64(), "Place in the chain, from 0"),
        Column("as_of", pa.date32(), "Day whose licences were written"),
        Column("licences_version", pa.int64(), "Delta version of gold/licences"),
        Column("rows", pa.int64(), "Licences of the day", "rows"),
        Column("day_hash", pa.string(), "SHA-256 of their row hashes, in the order of the key"),
        Column("policy", pa.string(), "Thresholds as JSON"),
        RUN,
        Column("previous", pa.string(), "`chain_hash` of the row before; zeros for the first"),
        Column("chain_hash", pa.string(), "SHA-256 of all columns before this one"),
    ),
    key=("number",),
    rows_per_day=1,
)

MODELS = TableContract(
    name="ops/models",
    description="One trained panel model, and where its artefact is kept",
    columns=(
        Column("model_version", pa.string(), "As in gold/forecasts"),
        FAMILY,
        Column("trained_on", pa.date32(), "Last day whose knowledge it has learned from"),
        Column("engine_version", pa.string(), "Version of the engine"),
        Column("series", pa.int64(), "Series that it learned from", "series"),
        Column("data_version", pa.int64(), "Delta version of silver/series that it was trained on"),
        Column("code_version", pa.string(), "Digest of the engine's sources"),
        Column("digest", pa.string(), "SHA-256 of its parameters"),
        Column("registered_name", pa.string(), "Name in the MLflow registry"),
        Column("registered_version", pa.string(), "Version in the MLflow registry"),
        Column("mlflow_run_id", pa.string(), "MLflow run"),
        RUN,
        Column("registered_at", TIME, "When"),
    ),
    key=("model_version", "registered_at"),
    rows_per_day=1,
)

MODEL_EVENTS = TableContract(
    name="ops/model_events",
    description="One step of a panel model's life: asked for, trained, in the shadow, promoted, rejected, rolled back",
    columns=(
        Column("as_of", pa.date32(), "Day whose evidence led to it; it counts for origins after that day"),
        FAMILY,
        Column("event", pa.string(), "retrain_requested, shadow, promoted, rejected, rolled_back"),
        Column("trained_on", pa.date32(), "Last day that the model it is about has learned from", nullable=True),
        Column("replaces", pa.date32(), "The same of the model before it", nullable=True),
        Column("reasons", pa.string(), "Codes, separated by blanks"),
        Column("evidence", pa.string(), "The numbers behind it, as JSON"),
        RUN,
        Column("recorded_at", TIME, "When"),
    ),
    key=("family", "as_of", "event"),
    rows_per_day=1,
)

SHADOW_SCORES = TableContract(
    name="ops/shadow_scores",
    description="Challenger beside champion on the one-step truths of a day",
    columns=(
        Column("as_of", pa.date32(), "Day on which the truths became known"),
        FAMILY,
        Column("challenger", pa.date32(), "trained_on of the challenger"),
        Column("champion", pa.date32(), "trained_on of the champion"),
        Column("series", pa.int64(), "Series with a truth", "series"),
        Column(
            "difference",
            pa.float64(),
            "Mean over series of (WIS of champion - WIS of challenger) / scale",
            "naive errors",
        ),
        Column("wis_challenger", pa.float64(), "Mean WIS / scale", "naive errors"),
        Column("wis_champion", pa.float64(), "Mean WIS / scale", "naive errors"),
        Column("covered_80_challenger", pa.float64(), "Share of truths within its 80 % intervals", "share"),
        Column("covered_80_champion", pa.float64(), "Share of truths within its 80 % intervals", "share"),
        Column("segments", pa.string(), "JSON: segment → [WIS of challenger, WIS of champion], summed over scale"),
    ),
    key=("as_of", "family", "challenger"),
    partition="as_of",
    physical="year",
    rows_per_day=1,
)

TABLES = (DATA_QUALITY, DRIFT, LICENCE_CHAIN, MODELS, MODEL_EVENTS, SHADOW_SCORES)
