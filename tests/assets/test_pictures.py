"""What pictures share."""

import base64

import pandas as pd
import pytest

from pulse_assets.pictures import COLOURS, REST, as_markdown, as_png, colours, moment, new_figure, say

PNG = b"\x89PNG\r\n\x1a\n"


def test_markdown_carries_the_bytes_themselves() -> None:
    text = as_markdown(PNG, "forecasts of naive")
    assert text.startswith("![forecasts of naive](data:image/png;base64,")
    assert base64.b64decode(text.split("base64,")[1].rstrip(")")) == PNG


def test_an_empty_picture_says_why() -> None:
    figure = new_figure(4, 3)
    axes = figure.add_subplot()
    say(axes, "nothing yet")
    assert [text.get_text() for text in axes.texts] == ["nothing yet"]
    assert as_png(figure).startswith(PNG)


def test_the_ninth_line_is_grey() -> None:
    assert colours()[:9] == [*COLOURS, REST]


@pytest.mark.parametrize(
    ("when", "words"),
    [(pd.Timestamp("2024-01-02"), "2024-01-02"), (pd.Timestamp("2024-01-02 16:30"), "2024-01-02 16:30"), (7, "7")],
)
def test_a_time_is_said_without_an_hour_that_says_nothing(when: pd.Timestamp | int, words: str) -> None:
    assert moment(when) == words
