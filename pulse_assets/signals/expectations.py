"""What Great Expectations expects of the silver series. Pure: a frame in, a verdict out."""

from typing import TYPE_CHECKING

import pandas as pd

from pulse_assets.expectations import Verdict
from pulse_assets.expectations import validate as validate_with
from pulse_assets.signals.calendars import STEPS_A_YEAR

if TYPE_CHECKING:
    import great_expectations as gx

KINDS = ["price", "return", "volatility", "rate", "macro", "sentiment", "other"]


def suite() -> "gx.ExpectationSuite":
    """Return a new suite.

    The row count comes first because every other expectation is true of an empty frame.
    """
    import great_expectations as gx

    known = gx.expectations
    return gx.ExpectationSuite(
        name="silver_series",
        expectations=[
            known.ExpectTableRowCountToBeBetween(min_value=1),
            known.ExpectCompoundColumnsToBeUnique(column_list=["unique_id", "ds", "known_at"]),
            *(
                known.ExpectColumnValuesToNotBeNull(column=name)
                for name in ("unique_id", "ds", "y", "known_at", "unit")
            ),
            known.ExpectColumnValuesToBeInSet(column="kind", value_set=KINDS),
            known.ExpectColumnValuesToBeInSet(column="freq", value_set=list(STEPS_A_YEAR)),
            known.ExpectColumnPairValuesAToBeGreaterThanB(column_A="known_at", column_B="ds", or_equal=True),
            known.ExpectColumnValuesToNotMatchRegex(column="flags", regex="suspected_split", mostly=0.999),
            known.ExpectColumnValuesToNotMatchRegex(column="flags", regex="gap", mostly=0.9),
        ],
    )


def validate(frame: pd.DataFrame) -> Verdict:
    """Run the suite over silver rows."""
    return validate_with(frame, suite)
