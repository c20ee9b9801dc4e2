"""What Great Expectations expects of the tables of forecasts and trust. Pure: factories of suites, frames for them.

Every suite begins with a count of rows, because all else is true of an empty frame, and asks that values are there
wherever it asks that they lie in a range, because a column of NaN lies in every range. No suite asks for quantiles of a
column: that expectation answers with a boolean of NumPy's.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.signals.calendars import STEPS_A_YEAR
from pulse_assets.trust.buckets import BUCKETS
from pulse_assets.trust.quality.flags import FLAGS, RUINING

if TYPE_CHECKING:
    import great_expectations as gx

    Expectations = list[gx.expectations.Expectation]

LARGEST = sys.float_info.max
QUANTILES = ("q025", "q100", "q500", "q900", "q975")
FORECAST_COLUMNS = ("as_of", "unique_id", "model", "h", "ds", "mean", *QUANTILES)
LONGEST_HORIZON = 400
EARLIEST_TRUTH_DAYS = -1_000
"""The truth of a yearly figure may become known two years late, so its forecast may be about the past."""
LATEST_TRUTH_DAYS = 40 * 366
QUALITY_COLUMNS = (
    "as_of",
    "unique_id",
    "freq",
    "observations",
    "age_days",
    "late_share",
    "missing_share",
    "duplicates",
    "flat_run",
    "flat_share",
    "revision_rate",
    "revision_size",
    "jump_z",
    "quality",
    "flags",
)
TRUST_COLUMNS = (
    "as_of",
    "unique_id",
    "model",
    "bucket",
    "targets",
    "wis",
    "wis_naive",
    "skill",
    "skill_se",
    "trust",
    "p_raw",
    "coverage_80",
    "coverage_80_low",
    "coverage_80_high",
    "coverage_80_q",
    "calibrated_on",
)
SHARES = ("missing_share", "flat_share", "revision_rate", "quality")
PROBABILITIES = ("trust", "p_raw", "coverage_80", "coverage_80_low", "coverage_80_high", "coverage_80_q")
USABLE_SHARE, SPOTLESS_SHARE = 0.8, 0.5
"""Shares of series that must be usable, and that must be without any flag."""


def forecast_suite() -> "gx.ExpectationSuite":
    """Return what is expected of :func:`forecast_frame`: finite values, quantiles in order, horizons from 1."""
    import great_expectations as gx

    known = gx.expectations
    pairs = zip(QUANTILES[1:], QUANTILES[:-1], strict=True)
    return _suite(
        "forecasts",
        ("as_of", "unique_id", "model", "h"),
        [
            *_present(("ds", "mean", *QUANTILES)),
            *_within(("mean", *QUANTILES), -LARGEST, LARGEST),
            *(
                known.ExpectColumnPairValuesAToBeGreaterThanB(column_A=higher, column_B=lower, or_equal=True)
                for higher, lower in pairs
            ),
            *_within(("h",), 1, LONGEST_HORIZON),
            *_within(("days_ahead",), EARLIEST_TRUTH_DAYS, LATEST_TRUTH_DAYS),
        ],
    )


def quality_suite() -> "gx.ExpectationSuite":
    """Return what is expected of a day of ``ops/data_quality``: shares within 0 and 1, few series with flags."""
    import great_expectations as gx

    known = gx.expectations
    words = "|".join(FLAGS)
    return _suite(
        "data_quality",
        ("as_of", "unique_id"),
        [
            *_present(("freq", "observations", "age_days", "late_share", "duplicates", "flat_run", *SHARES, "flags")),
            *_within(SHARES, 0, 1),
            *_within(("observations", "age_days", "late_share", "duplicates", "flat_run"), 0, LARGEST),
            *_within(("revision_size", "jump_z"), 0, LARGEST),
            known.ExpectColumnValuesToBeInSet(column="freq", value_set=list(STEPS_A_YEAR)),
            known.ExpectColumnValuesToMatchRegex(column="flags", regex=rf"^(({words})( ({words}))*)?$"),
            known.ExpectColumnValuesToNotMatchRegex(column="flags", regex="|".join(RUINING), mostly=USABLE_SHARE),
            known.ExpectColumnValuesToMatchRegex(column="flags", regex="^$", mostly=SPOTLESS_SHARE),
        ],
    )


def trust_suite() -> "gx.ExpectationSuite":
    """Return what is expected of :func:`trust_frame`: probabilities within 0 and 1, and numbers where there are truths.

    A row without truths may lack every number, which is how missing evidence is told.
    """
    import great_expectations as gx

    known = gx.expectations
    return _suite(
        "trust",
        ("as_of", "unique_id", "model", "bucket"),
        [
            *_present(("targets", "calibrated_on")),
            *_within(("targets", "calibrated_on", "wis", "wis_naive", "skill_se"), 0, LARGEST),
            *_within(PROBABILITIES, 0, 1),
            *_within(("skill",), -LARGEST, 1),
            known.ExpectColumnValuesToBeInSet(column="bucket", value_set=list(BUCKETS)),
            known.ExpectColumnValuesToBeInSet(column="unexplained", value_set=[False]),
            known.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A="coverage_80",
                column_B="coverage_80_low",
                or_equal=True,
                ignore_row_if="either_value_is_missing",
            ),
            known.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A="coverage_80_high",
                column_B="coverage_80",
                or_equal=True,
                ignore_row_if="either_value_is_missing",
            ),
        ],
    )


def forecast_frame(rows: pa.Table) -> pd.DataFrame:
    """Return forecasts with ``days_ahead``: how many days after its origin the event lies."""
    days = pc.days_between(rows["as_of"], rows["ds"].cast(pa.date32()))
    frame: pd.DataFrame = rows.append_column("days_ahead", days).to_pandas()
    return frame


def trust_frame(rows: pa.Table) -> pd.DataFrame:
    """Return trust with ``unexplained``: whether scores are missing though truths were scored."""
    scores = pc.or_(pc.is_null(rows["wis"], nan_is_null=True), pc.is_null(rows["coverage_80"], nan_is_null=True))
    frame: pd.DataFrame = rows.append_column("unexplained", pc.and_(pc.greater(rows["targets"], 0), scores)).to_pandas()
    return frame


def _suite(name: str, key: Sequence[str], expectations: "Expectations") -> "gx.ExpectationSuite":
    """Return a suite that begins with a count of rows and a key that is whole and unique."""
    import great_expectations as gx

    known = gx.expectations
    first = [
        known.ExpectTableRowCountToBeBetween(min_value=1),
        known.ExpectCompoundColumnsToBeUnique(column_list=list(key)),
        *_present(key),
    ]
    return gx.ExpectationSuite(name=name, expectations=[*first, *expectations])


def _present(columns: Sequence[str]) -> "Expectations":
    import great_expectations as gx

    return [gx.expectations.ExpectColumnValuesToNotBeNull(column=name) for name in columns]


def _within(columns: Sequence[str], low: float, high: float) -> "Expectations":
    import great_expectations as gx

    return [
        gx.expectations.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high) for name in columns
    ]
