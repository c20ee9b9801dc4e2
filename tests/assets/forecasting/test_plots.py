"""Pictures are PNG files of a size that asset metadata bears."""

import base64
import struct

import numpy as np
import pandas as pd
import pytest

from pulse_assets.forecasting.plots import as_markdown, fan_charts
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


def test_markdown_carries_the_bytes_themselves() -> None:
    text = as_markdown(PNG, "forecasts of naive")
    assert text.startswith("![forecasts of naive](data:image/png;base64,")
    assert base64.b64decode(text.split("base64,")[1].rstrip(")")) == PNG
