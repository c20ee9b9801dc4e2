"""The newest day on which a world has all that a scenario names."""

from datetime import UTC, date, datetime

import pyarrow as pa

from pulse_assets.simulation.calibration.world_choice import newest_day_with
from pulse_assets.simulation.calibration.world_settings import FactorSettings, WorldSettings
from pulse_assets.simulation.scenarios.scenario import load_scenario

SETTINGS = WorldSettings(
    assets={"spx": "a:SPX", "oil": "a:OIL"}, factors=(FactorSettings(name="vix", source="a:VIX", unit="percent"),)
)
FRIDAY, SATURDAY, MONDAY = date(2024, 6, 7), date(2024, 6, 8), date(2024, 6, 10)
TODAY = date(2024, 6, 28)


def silver(**known: date) -> pa.Table:
    days = [datetime(day.year, day.month, day.day, 21, tzinfo=UTC) for day in known.values()]
    ids = [f"a:{name}" for name in known]
    return pa.table({"unique_id": ids, "known_at": pa.array(days, pa.timestamp("us", "UTC"))})


def test_a_series_that_ended_moves_the_day_back() -> None:
    rows = silver(SPX=TODAY, OIL=FRIDAY, VIX=TODAY)
    assert newest_day_with(SETTINGS, rows, ["spx", "oil"], TODAY) == FRIDAY
    assert newest_day_with(SETTINGS, rows, ["spx", "vix"], TODAY) == TODAY


def test_what_became_known_on_a_weekend_belongs_to_monday() -> None:
    assert newest_day_with(SETTINGS, silver(SPX=TODAY, OIL=SATURDAY), ["oil"], TODAY) == MONDAY


def test_the_newest_of_several_values_counts() -> None:
    rows = pa.concat_tables([silver(OIL=FRIDAY), silver(OIL=MONDAY)])
    assert newest_day_with(SETTINGS, rows, ["oil"], TODAY) == MONDAY


def test_what_the_world_or_silver_lacks_does_not_count() -> None:
    assert newest_day_with(SETTINGS, silver(SPX=TODAY), ["gold", "oil"], TODAY) == TODAY
    assert newest_day_with(SETTINGS, silver(SPX=TODAY), [], TODAY) == TODAY


def test_no_day_after_the_newest_is_chosen() -> None:
    assert newest_day_with(SETTINGS, silver(OIL=TODAY), ["oil"], FRIDAY) == FRIDAY


def test_a_scenario_needs_what_it_names_unless_that_is_optional() -> None:
    assert load_scenario("energy_crisis").needs == {"WTI"}
    assert load_scenario("base").needs == frozenset()
    assert load_scenario("correlation_one").needs == frozenset()
