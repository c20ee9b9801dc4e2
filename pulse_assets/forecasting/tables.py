"""Contract of the forecast table."""

from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_resources.lake import Column, Rule, TableContract


def _quantiles_finite(rows: pa.Table) -> pa.ChunkedArray:
    ends = pc.and_(pc.is_finite(rows[QUANTILE_COLUMNS[0]]), pc.is_finite(rows[QUANTILE_COLUMNS[-1]]))
    return pc.and_(pc.is_finite(rows["mean"]), ends)


def _do_not_cross(rows: pa.Table) -> pa.ChunkedArray:
    holds = pa.chunked_array([pa.array([True] * len(rows))]) if len(rows) else rows["mean"].cast(pa.bool_())
    for low, high in pairwise(QUANTILE_COLUMNS):
        holds = pc.and_(holds, pc.less_equal(rows[low], rows[high]))
    return holds


FORECASTS = TableContract(
    name="gold/forecasts",
    description="One quantile forecast of one series by one model, made from what was known at as_of",
    columns=(
        Column("as_of", pa.date32(), "Origin: nothing known after this day was used"),
        Column("unique_id", pa.string(), "Series, as in silver/series"),
        Column("model", pa.string(), "Model that made it"),
        Column("h", pa.int16(), "Horizon", "steps of the series' own frequency"),
        Column("ds", pa.timestamp("us", "UTC"), "Event time that is forecast"),
        Column("mean", pa.float64(), "Mean of the forecast distribution", "unit of the series"),
        *(
            Column(name, pa.float64(), f"Quantile at probability {int(name[1:]) / 1000:g}", "unit of the series")
            for name in QUANTILE_COLUMNS
        ),
        Column(
            "model_version", pa.string(), "Engine; of pulse also its panel, and the last day that it has learned from"
        ),
        Column("data_version", pa.int64(), "Delta version of silver/series that it was made from"),
    ),
    key=("as_of", "unique_id", "model", "h"),
    partition="as_of",
    physical="year",
    rows_per_day=500,
    rules=(
        Rule("quantiles_finite", "finite quantiles", _quantiles_finite),
        Rule("quantiles_do_not_cross", "quantiles that rise with their level", _do_not_cross),
    ),
)

MEMBER_WEIGHTS = TableContract(
    name="gold/forecast_members",
    description="What the pooled forecast of a series is made of: members of 2 % or more and their losses by then",
    columns=(
        Column("as_of", pa.date32(), "Origin of the forecast"),
        Column("unique_id", pa.string(), "Series, as in silver/series"),
        Column("member", pa.string(), "Member of the pool"),
        Column("weight_first", pa.float64(), "Weight at the first step ahead", "share"),
        Column("weight_last", pa.float64(), "Weight at the last step ahead; in between it changes evenly", "share"),
        Column(
            "loss",
            pa.float64(),
            "Its mean absolute error by then, later ones weighing more",
            "scale of the walk: the series' unit, its logarithm for prices and volatilities, its logit if bounded",
            nullable=True,
        ),
        Column("model_version", pa.string(), "Engine, panel, and the last day that it has learned from"),
        Column("data_version", pa.int64(), "Delta version of silver/series that it was made from"),
    ),
    key=("as_of", "unique_id", "member"),
    partition="as_of",
    physical="year",
    rows_per_day=400,
)

TABLES = (FORECASTS, MEMBER_WEIGHTS)
