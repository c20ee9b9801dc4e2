"""Runs a suite of Great Expectations over a frame: in memory, silently, without network. Pure.

Which expectations a table has stands in its own domain. The library takes six CPU seconds to import, so it is imported
in the functions that use it.
"""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import great_expectations as gx

Suite = Callable[[], "gx.ExpectationSuite"]
"""Makes a suite afresh: expectations cannot be shared between suites."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of a suite.

    Parameters
    ----------
    success
        Whether every expectation was met.
    rows
        Rows seen.
    failed
        Failed expectations, each with its columns.
    report
        The whole result as JSON.
    suite, digest
        Name of the suite, and the first digits of the SHA-256 of what it expects.
    """

    success: bool
    rows: int
    failed: tuple[str, ...]
    report: str
    suite: str
    digest: str


def validate(frame: pd.DataFrame, suite: Suite) -> Verdict:
    """Run a suite over a frame.

    Parameters
    ----------
    frame
        Rows; an empty frame fails, provided that the suite begins with a count of rows.
    suite
        Factory of the suite.

    Raises
    ------
    ValueError
        The suite does not begin with a count of rows: all else it may expect is true of a frame without rows.
    """
    import great_expectations as gx

    expected = suite()
    first = expected.expectations[0].expectation_type if expected.expectations else "nothing"
    if first != "expect_table_row_count_to_be_between":
        raise ValueError(f"suite {expected.name!r} begins with {first}; let it begin with a count of rows")
    digest = suite_digest(expected)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    asset = context.data_sources.add_pandas("memory").add_dataframe_asset(expected.name)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    result = batch.validate(expected)
    failed = tuple(_named(single.expectation_config) for single in result.results if not single.success)
    report = json.dumps(_plain(result.to_json_dict()), default=str)
    return Verdict(bool(result.success), len(frame), failed, report, str(expected.name), digest)


def suite_digest(suite: "gx.ExpectationSuite") -> str:
    """Return twelve digits that change with what a suite expects, and with nothing else."""
    wanted = [{"type": one.expectation_type, "kwargs": one.configuration.kwargs} for one in suite.expectations]
    return hashlib.sha256(json.dumps(_plain(wanted), sort_keys=True, default=str).encode()).hexdigest()[:12]


def _named(config: "gx.ExpectationConfiguration") -> str:
    """Return an expectation with its columns, as in ``expect_column_values_to_not_be_null(y)``."""
    wanted = config.kwargs
    columns = wanted.get("column_list") or [
        wanted[name] for name in ("column", "column_A", "column_B") if name in wanted
    ]
    return f"{config.type}({', '.join(columns)})"


def _plain(value: object) -> object:
    """Return a value that JSON has: some expectations answer with NumPy's booleans, others with NaN."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
