"""The Great Expectations suite of silver."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd
import pytest

if TYPE_CHECKING:
    from pulse_assets.signals.expectations import Verdict

pytestmark = [
    pytest.mark.slow,  # the library takes six CPU seconds to import
    pytest.mark.filterwarnings("ignore"),  # and warns while it does
]


def validate(frame: pd.DataFrame) -> "Verdict":
    """Validate with the suite, imported as late as the check imports it."""
    from pulse_assets.signals import expectations

    return expectations.validate(frame)


def panel(count: int = 20) -> pd.DataFrame:
    ds = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=step) for step in range(count)]
    known = [moment + timedelta(hours=22) for moment in ds]
    traits = {"unique_id": "s:A", "y": 1.5, "kind": "price", "unit": "USD", "freq": "D", "flags": ""}
    return pd.DataFrame({"ds": ds, "known_at": known}).assign(**traits)


def named(verdict: "Verdict") -> str:
    return " ".join(verdict.failed)


def test_a_good_panel_passes() -> None:
    verdict = validate(panel())
    assert verdict.success
    assert (verdict.rows, verdict.failed) == (20, ())


def test_an_empty_panel_fails() -> None:
    verdict = validate(panel().iloc[:0])
    assert not verdict.success
    assert "expect_table_row_count_to_be_between" in named(verdict)


def test_the_result_is_json() -> None:
    assert json.loads(validate(panel()).report)["success"] is True


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        ({"y": None}, "expect_column_values_to_not_be_null(y)"),
        ({"kind": "rumour"}, "expect_column_values_to_be_in_set(kind)"),
        ({"freq": "fortnight"}, "expect_column_values_to_be_in_set(freq)"),
        ({"flags": "suspected_split"}, "expect_column_values_to_not_match_regex(flags)"),
        ({"ds": datetime(2024, 1, 1, tzinfo=UTC), "known_at": datetime(2024, 1, 2, tzinfo=UTC)}, "compound_columns"),
        ({"known_at": datetime(2023, 1, 1, tzinfo=UTC)}, "expect_column_pair_values_a_to_be_greater_than_b"),
    ],
)
def test_a_broken_panel_fails_by_name(broken: dict[str, object], name: str) -> None:
    verdict = validate(panel().assign(**broken))
    assert not verdict.success
    assert name in named(verdict)
