"""The page about the worst series: complete in itself, small, and not brought down by series without values."""

import re
import warnings
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from pulse_assets.trust.detection.report import WORST, Rendered, render
from tests.closed_network import closed_network

pytestmark = pytest.mark.slow

MOVED = 's:moved <most> & "quoted"'
SILENT = ("s:constant", "s:empty", "s:gone", "s:unbounded")
Samples = dict[str, np.ndarray]


class Outside(HTMLParser):
    """Collects what a page would load by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in what a tag would load."""
        for name, value in attrs:
            if value and (name == "src" or (tag == "link" and name == "href")) and not value.startswith("data:"):
                self.loaded.append(value)


def scene() -> tuple[Samples, Samples]:
    """Return samples of 30 series, one of which moved much, and of some that have nothing to draw."""
    rng = np.random.default_rng(0)
    reference = {f"s:{place:02}": rng.normal(size=200 + place) for place in range(29)} | {MOVED: rng.normal(size=300)}
    recent = {name: rng.normal(size=60) + 2 * (name == MOVED) for name in reference}
    recent[MOVED][::7] = np.nan
    recent[MOVED][1] = np.inf
    recent["s:03"] = np.tile([0.0, 1.0], 30)  # few different values are still numbers
    constant, empty, gone, unbounded = SILENT
    reference |= {constant: np.ones(50), empty: np.full(50, np.nan), gone: rng.normal(size=50), unbounded: np.ones(50)}
    recent |= {constant: np.ones(9), empty: rng.normal(size=9), gone: np.array([]), unbounded: np.full(9, np.inf)}
    return reference, recent


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rendered, str, list[str]]:
    path = tmp_path_factory.mktemp("report") / "page.html"
    with closed_network() as tried, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        page = render(*scene(), path)
    return page, path.read_text(encoding="utf-8"), tried + [str(one.message) for one in told]


def test_the_worst_series_are_drawn_and_only_those(rendered: tuple[Rendered, str, list[str]]) -> None:
    page = rendered[0]
    assert len(page.series) == WORST
    assert page.series[:2] == (MOVED, "s:03")
    assert page.path.is_file()
    assert page.size == page.path.stat().st_size < 8_000_000


def test_it_needs_no_network_and_leaks_no_warning(rendered: tuple[Rendered, str, list[str]]) -> None:
    _, text, leaks = rendered
    assert leaks == []
    parser = Outside()
    parser.feed(text)
    assert parser.loaded == []
    assert not re.search(r"url\(['\"]?https?:", text)


def test_series_without_values_have_a_line_of_their_own(rendered: tuple[Rendered, str, list[str]]) -> None:
    page, text, _ = rendered
    assert page.left_out == SILENT
    assert f"left out: {', '.join(SILENT)}." in text


def test_names_are_text_and_not_markup(rendered: tuple[Rendered, str, list[str]]) -> None:
    text = rendered[1]
    assert "s:moved &lt;most&gt; &amp; &quot;quoted&quot;" in text
    assert text.count("<body>") == 1
    assert text.index("<h1>Series whose distribution changed most: 20 of 30</h1>") > text.index("<body>")


def test_the_order_of_series_does_not_matter(rendered: tuple[Rendered, str, list[str]], tmp_path: Path) -> None:
    reference, recent = scene()
    backwards = {name: reference[name] for name in reversed(reference)}
    assert render(backwards, recent, tmp_path / "page.html").series == rendered[0].series


def test_a_name_cannot_end_the_script_that_it_is_written_in(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    name = "x</script><script>alert(1)</script>"
    page = render({name: rng.normal(size=40)}, {name: rng.normal(size=30)}, tmp_path / "page.html")
    assert page.series == (name,)
    assert "<script>alert(1)" not in (tmp_path / "page.html").read_text()


def test_nothing_to_draw_is_told_and_nothing_written(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    with pytest.raises(ValueError, match="a series that varies in both samples; came 1, none of which does"):
        render({"a": np.ones(5)}, {"a": np.ones(4)}, path)
    with pytest.raises(ValueError, match=r"only in one of them: \['b'\]"):
        render({"a": np.arange(5.0)}, {"a": np.arange(5.0), "b": np.arange(5.0)}, path)
    assert not path.exists()
