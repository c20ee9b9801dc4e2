"""The Great Expectations suite of the silver series. Pure: a frame in, a verdict out.

The library takes six CPU seconds to import, so this module is imported where it is used.
"""

from dataclasses import dataclass

import great_expectations as gx  # noqa: TID253 - this module exists to hold it, and is itself imported late
import pandas as pd

from pulse_assets.signals.calendars import STEPS_A_YEAR

KINDS = ["price", "return", "volatility", "rate", "macro", "sentiment", "other"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of a suite: success, rows seen, names of failed expectations, and the whole result as JSON."""

    success: bool
    rows: int
    failed: tuple[str, ...]
    report: str


def suite() -> gx.ExpectationSuite:
    """Return a new suite: expectations cannot be shared between suites.

    The row count comes first because every other expectation is true of an empty frame.
    """
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
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    source = context.data_sources.add_pandas("silver")
    batch = source.add_dataframe_asset("series").add_batch_definition_whole_dataframe("panel")
    result = batch.get_batch({"dataframe": frame}).validate(suite())
    failed = tuple(
        f"{single.expectation_config.type}({single.expectation_config.kwargs.get('column', '')})"
        for single in result.results
        if not single.success
    )
    return Verdict(bool(result.success), len(frame), failed, str(result))
