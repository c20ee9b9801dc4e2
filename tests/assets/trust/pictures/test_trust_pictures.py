"""Pictures of trust say what the rows say, and draw something of nothing."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from pulse_assets.numerics.quantiles import LEVELS
from pulse_assets.pictures import new_figure
from pulse_assets.trust.pictures.panels import draw_drift, draw_funnel, draw_pit, draw_trust, reliability_of
from pulse_assets.trust.pictures.sheets import calibration_sheet, trust_sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PNG = b"\x89PNG\r\n\x1a\n"
DAY = date(2024, 1, 2)
NOTHING = {
    "scores": pd.DataFrame(columns=["model", "pit"]),
    "trust": pd.DataFrame(columns=["as_of", "unique_id", "model", "bucket", "trust"]),
    "drift": pd.DataFrame(columns=["as_of", "unique_id", "state"]),
    "licences": pd.DataFrame(columns=["as_of", "state", "reasons"]),
}


def _licences() -> pd.DataFrame:
    states = ["licensed", "held", "held", "rejected", "fallback"]
    reasons = ["", "UNPROVEN SKILL_NEG", "SKILL_NEG", "DQ_STALE", "SKILL_NEG"]
    return pd.DataFrame({"as_of": DAY, "state": states, "reasons": reasons})


def test_uniform_pits_lie_on_the_diagonal() -> None:
    pit = (np.arange(10_000) + 0.5) / 10_000
    curve = reliability_of(pit)
    assert np.abs(curve.observed - LEVELS).max() < 1e-3
    assert curve.truths == 10_000


def test_unknown_pits_do_not_count_and_none_give_no_curve() -> None:
    assert reliability_of(np.array([np.nan, 0.5])).truths == 1
    assert np.isnan(reliability_of(np.array([np.nan])).observed).all()


def test_the_funnel_loses_every_forecast_to_its_first_reason() -> None:
    axes = new_figure(5, 4).add_subplot()
    draw_funnel(axes, _licences())
    names = [text.get_text() for text in axes.get_yticklabels()]
    widths = [bar.get_width() for bar in axes.patches]
    assert names[:2] == ["forecasts", "less SKILL_NEG"]
    assert (widths[0], widths[-1]) == (5, 1)
    assert "1 of 5" in axes.get_title()


def test_the_drift_strip_shows_the_worst_state_and_alarms_first() -> None:
    days = [DAY + timedelta(days=step) for step in range(3)]
    rows = [
        {"as_of": day, "unique_id": name, "state": state}
        for day in days
        for name, state in (("calm", "none"), ("loud", "alarm"), ("loud", "none"))
    ]
    axes = new_figure(5, 4).add_subplot()
    draw_drift(axes, pd.DataFrame(rows))
    assert [text.get_text() for text in axes.get_yticklabels()] == ["loud", "calm"]
    assert np.asarray(axes.images[0].get_array()).tolist() == [[3.0] * 3, [1.0] * 3]


@pytest.mark.parametrize(("draw", "rows"), [(draw_drift, "drift"), (draw_funnel, "licences")])
def test_nothing_is_said_in_words(draw: Callable[["Axes", pd.DataFrame], None], rows: str) -> None:
    axes = new_figure(4, 3).add_subplot()
    draw(axes, NOTHING[rows])
    assert len(axes.texts) == 1


def test_trust_that_is_all_unknown_is_said_in_words() -> None:
    axes = new_figure(4, 3).add_subplot()
    draw_trust(axes, pd.DataFrame({"as_of": [DAY], "bucket": ["1"], "trust": [np.nan]}), "bucket")
    assert "too few" in axes.texts[0].get_text()


def test_histograms_are_drawn_for_each_name() -> None:
    axes = new_figure(4, 3).add_subplot()
    draw_pit(axes, {"raw": np.array([0.1, 0.2, np.nan]), "recalibrated": np.array([0.5])})
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["raw", "recalibrated"]


def test_sheets_are_pictures_of_something_and_of_nothing() -> None:
    scores = pd.DataFrame({"model": "pulse", "pit": np.linspace(0, 1, 50)})
    trust = pd.DataFrame(
        {"as_of": [DAY, DAY], "unique_id": "x", "model": "pulse", "bucket": ["1", "2-5"], "trust": [0.6, 0.4]}
    )
    drift = pd.DataFrame({"as_of": [DAY], "unique_id": ["x"], "state": ["warn"]})
    full = trust_sheet(scores, scores, trust, drift, _licences(), title="all")
    empty = trust_sheet(
        NOTHING["scores"], NOTHING["scores"], NOTHING["trust"], NOTHING["drift"], NOTHING["licences"], title="none"
    )
    assert [full[:8], empty[:8]] == [PNG, PNG]
    assert len(full) > len(empty)
    assert calibration_sheet(scores, scores).startswith(PNG)
