"""The real data that ships inside skfolio and arch."""

import pandas as pd
import pytest

from pulse_resources.sources.embedded import EmbeddedSource
from pulse_resources.sources.protocol import BAR_COLUMNS, VINTAGE_COLUMNS, Delivery, Source

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def deliveries() -> list[Delivery]:
    return list(EmbeddedSource().fetch({}))


def test_it_is_a_source_that_knows_its_state_without_loading() -> None:
    source = EmbeddedSource()
    assert isinstance(source, Source)
    assert source.fingerprint() == source.fingerprint()
    assert "skfolio" in source.fingerprint()


def test_columns_are_those_of_the_protocol(deliveries: list[Delivery]) -> None:
    for delivery in deliveries:
        allowed = BAR_COLUMNS if delivery.table == "market_bars" else VINTAGE_COLUMNS
        assert set(delivery.rows.column_names) <= set(allowed)
        assert delivery.problems == ()


def test_names_are_unique_over_all_data_sets(deliveries: list[Delivery]) -> None:
    names = [
        name
        for delivery in deliveries
        for name in delivery.rows["symbol" if delivery.table == "market_bars" else "series_id"].unique().to_pylist()
    ]
    assert len(names) == len(set(names)) > 30
    assert {"GSPC", "NASDAQ", "VIX", "WTI", "BRENT_M"} <= set(names)


def test_event_times_are_unique_for_each_name_and_values_are_there(deliveries: list[Delivery]) -> None:
    for delivery in deliveries:
        name, value = ("symbol", "close") if delivery.table == "market_bars" else ("series_id", "value")
        frame = delivery.rows.to_pandas()
        assert not frame.duplicated([name, "ds"]).any()
        assert frame[value].notna().all()
        assert pd.api.types.is_datetime64_any_dtype(frame["ds"])


def test_every_data_set_states_its_frequency_and_a_publication_lag(deliveries: list[Delivery]) -> None:
    lags = {delivery.traits.freq: delivery.traits.lag_hours for delivery in deliveries}
    assert set(lags) == {"B", "MS"}
    assert lags["MS"] > 24 * 28
    assert all(delivery.traits.lag_hours >= 22 for delivery in deliveries)
