"""Pictures are PNG files of a size that asset metadata bears."""

import struct
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from pulse_assets.forecasting.plots import (
    INTERVALS,
    calibration_curve,
    caught_shares,
    error_by_horizon,
    fan_charts,
    series_sheet,
    weights_over_time,
)
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS

PNG = b"\x89PNG\r\n\x1a\n"


def scene(names: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    days = pd.bdate_range("2024-01-01", periods=80, tz="UTC")
    past = pd.concat([pd.DataFrame({"unique_id": n, "ds": days, "y": np.arange(80.0)}) for n in names])
    ahead = pd.DataFrame({"h": range(1, 6), "ds": pd.bdate_range("2024-04-22", periods=5, tz="UTC")})
    ahead = ahead.assign(**{name: 80.0 + k for k, name in enumerate(QUANTILE_COLUMNS)})
    return past, pd.concat([ahead.assign(unique_id=n) for n in names])


def size_of(png: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (3, 1), (4, 2)])
def test_three_series_share_a_row(count: int, rows: int) -> None:
    names = [f"s{k}" for k in range(count)]
    png = fan_charts(*scene(names), names)
    assert png.startswith(PNG)
    assert size_of(png) == (1170, 306 * rows)
    assert len(png) < 300_000


def test_more_than_twelve_series_are_cut_to_four_rows() -> None:
    names = [f"s{k:02}" for k in range(14)]
    assert size_of(fan_charts(*scene(names), names)) == (1170, 306 * 4)


def test_the_same_forecasts_make_the_same_picture() -> None:
    assert fan_charts(*scene(["a"]), ["a"]) == fan_charts(*scene(["a"]), ["a"])


def test_forecasts_are_drawn_also_without_history() -> None:
    past, ahead = scene(["a", "b"])
    assert fan_charts(past[past["unique_id"] == "a"], ahead, ["a", "b"]).startswith(PNG)


def test_steps_without_dates_are_drawn_too() -> None:
    past, ahead = scene(["a"])
    past, ahead = past.assign(ds=range(80)), ahead.assign(ds=range(80, 85))
    assert size_of(fan_charts(past, ahead, ["a"])) == (1170, 306)


def scores(models: tuple[str, ...] = ("naive", "pulse")) -> pd.DataFrame:
    pit = np.random.default_rng(1).uniform(size=(len(models), 200))
    parts = [
        pd.DataFrame({"model": model, "h": np.arange(200) % 5 + 1, "wis": 1 + row, "pit": row})
        for model, row in zip(models, pit, strict=True)
    ]
    return pd.concat(parts)


def members(count: int, days: int = 30) -> pd.DataFrame:
    names = [f"member {k:02}" for k in range(count)]
    dates = [day.date() for day in pd.bdate_range("2024-01-01", periods=days)]
    return pd.DataFrame(
        [(day, name, 1 / count) for day in dates for name in names], columns=["as_of", "member", "weight_first"]
    )


PICTURES = {
    "calibration": (calibration_curve, scores(), (468, 396)),
    "errors": (error_by_horizon, scores(), (702, 396)),
    "many models": (error_by_horizon, scores(tuple(f"m{k:02}" for k in range(12))), (702, 396)),
    "weights": (weights_over_time, members(12), (702, 396)),
    "few members": (weights_over_time, members(2), (702, 396)),
    "one day": (weights_over_time, members(12, days=1), (702, 396)),
    "two series": (
        weights_over_time,
        pd.concat([members(3).assign(unique_id="a"), members(5, days=20).assign(unique_id="b")]),
        (702, 396),
    ),
    "unknown truths": (calibration_curve, scores().assign(pit=np.nan), (468, 396)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_each_picture_has_its_size(name: str) -> None:
    draw, rows, size = PICTURES[name]
    png = draw(rows)
    assert png.startswith(PNG)
    assert size_of(png) == size
    assert len(png) < 100_000
    assert png == draw(rows)


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: calibration_curve(scores().head(0)), "no scores yet"),
        (lambda: error_by_horizon(scores().head(0)), "no scores yet"),
        (lambda: weights_over_time(members(1).head(0)), "no members yet"),
        (lambda: fan_charts(*scene(["a"]), []), "no forecasts"),
    ],
)
def test_nothing_to_draw_gives_a_picture_that_says_so(draw: Callable[[], bytes], words: str) -> None:
    with patch.object(Axes, "text", autospec=True) as text:
        assert draw().startswith(PNG)
    assert [call.args[3] for call in text.call_args_list] == [words]


@pytest.mark.parametrize("pit", [0.5, 0.0, 1.0, 0.1, 0.9, 0.975, 0.3])
def test_a_truth_is_caught_by_the_intervals_that_reach_it(pit: float) -> None:
    low = np.round((1 - INTERVALS) / 2, 3)
    expected = (low <= pit) & (pit <= np.round(1 - low, 3))
    assert caught_shares(np.array([pit])).tolist() == expected.astype(float).tolist()


def test_a_sheet_holds_fan_calibration_errors_and_members_if_there_are_any() -> None:
    past, ahead = scene(["a"])
    whole = series_sheet(past, ahead, scores(), members(10))
    without = series_sheet(past, ahead, scores())
    nothing = series_sheet(past.head(0), ahead.head(0), scores().head(0), members(1).head(0))
    assert {size_of(png) for png in (whole, without, nothing)} == {(1170, 756)}
    assert len({whole, without, nothing}) == 3
