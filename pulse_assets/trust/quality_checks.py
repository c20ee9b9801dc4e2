"""Asset checks that warn where the newest day of forecasts, data quality or trust is not as expected."""

from pulse_assets.expectation_checks import expectation_check
from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.trust.evidence_tables import DATA_QUALITY
from pulse_assets.trust.quality.suites import (
    FORECAST_COLUMNS,
    QUALITY_COLUMNS,
    TRUST_COLUMNS,
    forecast_frame,
    forecast_suite,
    quality_suite,
    trust_frame,
    trust_suite,
)
from pulse_assets.trust.tables import CALIBRATED, TRUST

forecasts_meet_expectations = expectation_check(
    FORECASTS,
    forecast_suite,
    columns=FORECAST_COLUMNS,
    prepare=forecast_frame,
    description="Great Expectations suite over the forecasts of the newest day",
)
calibrated_meet_expectations = expectation_check(
    CALIBRATED,
    forecast_suite,
    columns=FORECAST_COLUMNS,
    prepare=forecast_frame,
    description="Great Expectations suite over the recalibrated forecasts of the newest day",
)
quality_meets_expectations = expectation_check(
    DATA_QUALITY,
    quality_suite,
    columns=QUALITY_COLUMNS,
    description="Great Expectations suite over the data quality of the newest day",
)
trust_meets_expectations = expectation_check(
    TRUST,
    trust_suite,
    columns=TRUST_COLUMNS,
    prepare=trust_frame,
    description="Great Expectations suite over the trust of the newest day",
)
