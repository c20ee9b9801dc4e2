"""What ships for panels that have taught nothing: it must not tell the past of the years that it was trained on."""

from datetime import date, timedelta

import numpy as np
import pytest

from pulse_assets.forecasting.prior import CLASSES, load_prior, prior_on


@pytest.mark.parametrize("panel_class", CLASSES)
def test_before_its_data_ended_the_shipped_prior_is_not_used(panel_class: str) -> None:
    known_until, shipped = load_prior(panel_class)
    assert prior_on(panel_class, known_until).version == "plain"
    assert prior_on(panel_class, date(1990, 1, 1)).version == "plain"
    assert prior_on(panel_class, known_until + timedelta(days=1)) is shipped
    assert prior_on(panel_class, None) is shipped


@pytest.mark.parametrize("panel_class", CLASSES)
def test_the_shipped_prior_is_sound(panel_class: str) -> None:
    _, prior = load_prior(panel_class)
    assert np.isfinite(prior.gate).all()
    assert np.isfinite(prior.slopes).all()
    assert (np.diff(prior.quantiles) > 0).all()


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(ValueError, match="no prior for panels of class 'weather'"):
        prior_on("weather", None)
