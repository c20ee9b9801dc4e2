"""Suites of Great Expectations, and the traps of the library that they must avoid."""

import json
import socket
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pulse_assets.expectations import Verdict, suite_digest, validate
from pulse_assets.trust.quality import suites
from pulse_assets.trust.tables import CALIBRATED, TRUST

pytestmark = [
    pytest.mark.slow,  # the library takes six CPU seconds to import
    pytest.mark.filterwarnings("ignore"),  # and warns while it does
]

DAY = date(2024, 6, 28)
SUITES = (suites.forecast_suite, suites.quality_suite, suites.trust_suite)
each_suite = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.__name__)


def forecasts(**changed: object) -> pd.DataFrame:
    """Return a day of two series, two models and five steps."""
    rows = [(name, model, h) for name in ("s:A", "s:B") for model in ("naive", "pulse") for h in range(1, 6)]
    frame = pd.DataFrame(rows, columns=["unique_id", "model", "h"]).astype({"h": "int16"})
    frame["as_of"] = DAY
    frame["ds"] = [datetime(2024, 6, 28, tzinfo=UTC) + timedelta(days=int(h)) for h in frame["h"]]
    frame["mean"] = 100.0
    for place, name in enumerate(suites.QUANTILES):
        frame[name] = 90.0 + 5 * place
    columns = [CALIBRATED.schema.field(name).with_nullable(True) for name in suites.FORECAST_COLUMNS]
    frame = frame.assign(**changed)[list(suites.FORECAST_COLUMNS)]
    return suites.forecast_frame(pa.Table.from_pandas(frame, pa.schema(columns), preserve_index=False))


def qualities(**changed: object) -> pd.DataFrame:
    """Return a day of ten sound series."""
    frame = pd.DataFrame({"unique_id": [f"s:{n}" for n in range(10)]}).assign(as_of=DAY, freq="B", flags="")
    frame = frame.assign(observations=500, duplicates=0, flat_run=1, age_days=0.1, late_share=0.01, quality=1.0)
    frame = frame.assign(missing_share=0.0, flat_share=0.01, revision_rate=0.0, revision_size=np.nan, jump_z=1.5)
    return frame.assign(**changed)[list(suites.QUALITY_COLUMNS)]


def trusts(**changed: object) -> pd.DataFrame:
    """Return a day of two series, proven and unproven."""
    proven = {"wis": 0.9, "wis_naive": 1.0, "skill": 0.1, "skill_se": 0.02, "trust": 0.9, "p_raw": 0.95}
    proven |= {"coverage_80": 0.8, "coverage_80_low": 0.7, "coverage_80_high": 0.9, "coverage_80_q": 0.9}
    key = {"as_of": DAY, "model": "pulse", "bucket": "2-5", "calibrated_on": 0}
    frame = pd.DataFrame(
        [{"unique_id": "s:A", "targets": 60, **key, **proven}, {"unique_id": "s:B", "targets": 0, **key}]
    )
    schema = pa.schema([TRUST.schema.field(name).with_nullable(True) for name in suites.TRUST_COLUMNS])
    frame = frame.assign(**changed)[list(suites.TRUST_COLUMNS)]
    return suites.trust_frame(pa.Table.from_pandas(frame, schema, preserve_index=False))


FRAMES: dict[Callable[[], Any], Callable[..., pd.DataFrame]] = {
    suites.forecast_suite: forecasts,
    suites.quality_suite: qualities,
    suites.trust_suite: trusts,
}


def judged(suite: Callable[[], Any], **changed: object) -> Verdict:
    return validate(FRAMES[suite](**changed), suite)


@each_suite
def test_a_good_day_passes(suite: Callable[[], Any]) -> None:
    verdict = judged(suite)
    assert verdict.failed == ()
    assert verdict.success
    assert verdict.rows > 1


@each_suite
def test_an_empty_day_fails_though_all_else_is_true_of_it(suite: Callable[[], Any]) -> None:
    verdict = validate(FRAMES[suite]().iloc[:0], suite)
    assert not verdict.success
    assert verdict.failed == ("expect_table_row_count_to_be_between()",)


@pytest.mark.parametrize(
    ("suite", "changed", "name"),
    [
        (suites.forecast_suite, {"h": 0}, "to_be_between(h)"),
        (suites.forecast_suite, {"mean": np.nan}, "not_be_null(mean)"),
        (suites.forecast_suite, {"q500": np.nan}, "not_be_null(q500)"),
        (suites.forecast_suite, {"q975": np.inf}, "to_be_between(q975)"),
        (suites.forecast_suite, {"q100": 99.0, "q500": 98.0}, "greater_than_b(q500, q100)"),
        (suites.forecast_suite, {"h": 1}, "to_be_unique(as_of, unique_id, model, h)"),
        (suites.forecast_suite, {"ds": datetime(1970, 1, 1, tzinfo=UTC)}, "to_be_between(days_ahead)"),
        (suites.quality_suite, {"quality": 1.2}, "to_be_between(quality)"),
        (suites.quality_suite, {"quality": np.nan}, "not_be_null(quality)"),
        (suites.quality_suite, {"missing_share": -0.1}, "to_be_between(missing_share)"),
        (suites.quality_suite, {"freq": "fortnight"}, "to_be_in_set(freq)"),
        (suites.quality_suite, {"flags": "DQ_ODD"}, "to_match_regex(flags)"),
        (suites.quality_suite, {"flags": ["DQ_STALE DQ_GAPS"] * 3 + [""] * 7}, "to_not_match_regex(flags)"),
        (suites.quality_suite, {"flags": ["DQ_GAPS"] * 6 + [""] * 4}, "to_match_regex(flags)"),
        (suites.trust_suite, {"trust": 1.2}, "to_be_between(trust)"),
        (suites.trust_suite, {"bucket": "7"}, "to_be_in_set(bucket)"),
        (suites.trust_suite, {"coverage_80_low": 0.85}, "greater_than_b(coverage_80, coverage_80_low)"),
        (suites.trust_suite, {"wis": np.nan}, "to_be_in_set(unexplained)"),
        (suites.trust_suite, {"targets": 9}, "to_be_in_set(unexplained)"),
        (suites.trust_suite, {"unique_id": "s:A"}, "to_be_unique(as_of, unique_id, model, bucket)"),
    ],
)
def test_a_broken_day_fails_by_name(suite: Callable[[], Any], changed: dict[str, object], name: str) -> None:
    verdict = judged(suite, **changed)
    assert not verdict.success
    assert name in " ".join(verdict.failed)


def test_a_few_flagged_series_are_no_fault_of_the_panel() -> None:
    assert judged(suites.quality_suite, flags=["DQ_STALE DQ_GAPS", "DQ_FLAT"] + [""] * 8).success


@each_suite
def test_a_column_that_is_gone_fails(suite: Callable[[], Any]) -> None:
    frame = FRAMES[suite]()
    assert not validate(frame.drop(columns=frame.columns[-1]), suite).success


@each_suite
def test_every_suite_asks_for_presence_before_it_asks_for_range(suite: Callable[[], Any]) -> None:
    """A column of NaN lies in every range; columns that may be empty have a reason."""
    may_be_empty = {*suites.PROBABILITIES, "wis", "wis_naive", "skill", "skill_se", "revision_size", "jump_z"}
    made = suite().expectations
    asked = {
        kind: {one.configuration.kwargs["column"] for one in made if one.expectation_type == kind}
        for kind in ("expect_column_values_to_not_be_null", "expect_column_values_to_be_between")
    }
    present, ranged = asked.values()
    assert ranged - present - {"h", "days_ahead"} <= may_be_empty
    assert not any("quantile" in one.expectation_type for one in made)


def test_the_library_still_calls_a_column_of_nan_in_range_and_an_empty_frame_whole() -> None:
    """If one of these starts to fail, the suites may become simpler."""
    import great_expectations as gx

    def alone() -> Any:
        known = gx.expectations
        count = known.ExpectTableRowCountToBeBetween(min_value=0)
        ranged = known.ExpectColumnValuesToBeBetween(column="y", min_value=0, max_value=1)
        return gx.ExpectationSuite(
            name="alone",
            expectations=[count, ranged, known.ExpectCompoundColumnsToBeUnique(column_list=["x", "y"])],
        )

    assert validate(pd.DataFrame({"x": [1.0, 2.0], "y": [np.nan, np.nan]}), alone).success
    assert validate(pd.DataFrame({"x": pd.Series(dtype=float), "y": pd.Series(dtype=float)}), alone).success


def test_a_verdict_is_json_even_where_the_library_answers_with_booleans_of_numpy() -> None:
    import great_expectations as gx

    def quantiles() -> Any:
        ranges = {"quantiles": [0.5], "value_ranges": [[0, 1]]}
        return gx.ExpectationSuite(
            name="quantiles",
            expectations=[
                gx.expectations.ExpectTableRowCountToBeBetween(min_value=1),
                gx.expectations.ExpectColumnQuantileValuesToBeBetween(column="y", quantile_ranges=ranges),
                gx.expectations.ExpectColumnMeanToBeBetween(column="y", min_value=0),
            ],
        )

    def refuse(text: str) -> float:
        raise AssertionError(f"{text} is not JSON")

    for y, success in (([0.2, 0.4, 0.6], True), ([2.0, 3.0, np.inf], False)):
        verdict = validate(pd.DataFrame({"y": y}), quantiles)
        assert verdict.success is success
        found = json.loads(verdict.report, parse_constant=refuse)["results"][1]["success"]
        assert found is success


def test_a_suite_without_a_count_of_rows_in_front_is_refused() -> None:
    import great_expectations as gx

    present = gx.expectations.ExpectColumnValuesToNotBeNull
    with pytest.raises(ValueError, match="let it begin with a count of rows"):
        validate(qualities(), lambda: gx.ExpectationSuite(name="s", expectations=[present(column="quality")]))


@each_suite
def test_a_digest_says_what_is_expected_and_nothing_else(suite: Callable[[], Any]) -> None:
    assert suite_digest(suite()) == suite_digest(suite()) == judged(suite).digest
    assert len({suite_digest(other()) for other in SUITES}) == len(SUITES)


def test_validation_prints_nothing_and_calls_no_one(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*address: object) -> None:
        raise AssertionError(f"a suite called {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert judged(suites.quality_suite).success
    assert capfd.readouterr() == ("", "")
