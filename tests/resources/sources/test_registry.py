"""Sources are found by entry point and built from what the user wrote."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from pulse_resources.errors import ConfigError
from pulse_resources.market import Market, read_sources
from pulse_resources.sources import registry
from pulse_resources.sources.registry import GROUP, available_sources, build_source, build_sources


class NoSource:
    """Something that takes a name and is no source."""

    def __init__(self, name: str) -> None:
        self.name = name


def test_the_shipped_sources_are_installed() -> None:
    assert {"embedded", "folder"} <= set(available_sources())
    assert list(available_sources()) == sorted(available_sources())


def test_a_source_is_called_like_its_kind_unless_it_has_a_name(tmp_path: Path) -> None:
    assert build_source({"use": "folder", "path": str(tmp_path)}).name == "folder"
    assert build_source({"use": "folder", "path": str(tmp_path), "name": "mine"}).name == "mine"


def test_a_name_that_yaml_reads_as_a_number_is_a_name(tmp_path: Path) -> None:
    assert build_source({"use": "folder", "path": str(tmp_path), "name": 2024}).name == "2024"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"use": "foldr"}, r"unknown source 'foldr'; installed are .*folder.*Did you mean 'folder'\?"),
        ({"use": "quandl"}, r"unknown source 'quandl'; installed are .*\.$"),
        ({}, "unknown source ''"),
        ({"use": "folder"}, "does not take these options: .*path"),
        ({"use": "folder", "path": 7}, "does not take these options"),
        ({"use": "folder", "path": ".", "colour": "red"}, "does not take these options: .*colour"),
        ({"use": "folder", "path": ".", "lag_hours": "soon"}, "does not take these options: .*soon"),
        ({"use": "folder", "path": ".", "columns": ["ds"]}, "expected `columns` as ours: theirs"),
        ({"use": "embedded", "path": "."}, "does not take these options: .*path"),
    ],
)
def test_a_wrong_entry_says_what_is_wrong(entry: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_source(entry)


def test_two_sources_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two sources are called 'embedded'; give one of them another `name`"):
        build_sources([{"use": "embedded"}, {"use": "embedded"}])
    assert [s.name for s in build_sources([{"use": "embedded"}, {"use": "embedded", "name": "b"}])] == ["embedded", "b"]


def test_an_installed_class_that_is_no_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("odd", f"{__name__}:NoSource", GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda _: NoSource)
    monkeypatch.setattr(registry, "entry_points", lambda **_: [point])
    with pytest.raises(ConfigError, match=r"NoSource is no Source: it needs name, fingerprint\(\) and fetch\(since\)"):
        build_source({"use": "odd"})


def test_without_a_configuration_the_embedded_data_is_used() -> None:
    assert [source.name for source in Market(source_entries=read_sources(None)).sources()] == ["embedded"]


def test_a_path_in_a_configuration_is_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    config = tmp_path / "pulse.yaml"
    config.write_text("sources:\n  - {use: folder, path: data}\n")
    assert read_sources(config) == [{"use": "folder", "path": str(tmp_path / "data")}]


def test_a_configuration_that_is_no_text_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "pulse.yaml"
    config.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is no YAML"):
        read_sources(config)
    with pytest.raises(ConfigError, match="Is a directory; mend PULSE_CONFIG"):
        read_sources(tmp_path)


def test_the_clock_stands_still_where_a_moment_is_given() -> None:
    clock = Market(now="2024-06-28T23:00:00+00:00").clock
    assert clock() == clock()
