"""YAML texts: plain values with lines, and refusals that name them."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from pulse_assets.simulation.yaml_text import LARGEST_BYTES, load_yaml, read_yaml

TEXT = """\
name: mine
items:
  - {id: a, size: 1e-6}
  - id: b
    size: 2
"""


class Item(BaseModel):
    """Part of a model."""

    model_config = ConfigDict(extra="forbid")
    id: str
    size: float


class Model(BaseModel):
    """A model."""

    model_config = ConfigDict(extra="forbid")
    name: str
    items: list[Item]


def test_values_and_lines() -> None:
    text = load_yaml(TEXT, "m.yaml")
    assert text.value == {"name": "mine", "items": [{"id": "a", "size": 1e-6}, {"id": "b", "size": 2}]}
    assert [text.line(path) for path in [(), ("items",), ("items", 0, "size"), ("items", 1), ("items", 1, "size")]] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert text.at(("items", 1, "missing")) == "m.yaml:4"


def test_what_a_model_says_names_file_line_and_key() -> None:
    text = load_yaml(TEXT.replace("size: 2", "weight: 2"), "m.yaml")
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(text.value)
    said = text.explain(caught.value).splitlines()
    assert said[0].startswith("m.yaml:4: items.1.size: Field required")
    assert said[1].startswith("m.yaml:5: items.1.weight: Extra inputs are not permitted; came 2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2", "w.yaml:2: this is no YAML"),
        ("a: 1\nb: 2\na: 3", "w.yaml:3: 'a' stands on line 1 already"),
        ("a: 1\non: 3", "w.yaml:2: a key must be a text, 'on' is none in YAML: quote it"),
        ("a: &x [1]\nb: *x", r"w.yaml:2: aliases \(\*x\) are not allowed"),
        ("a: !!python/object/apply:os.system [ls]", "w.yaml:1: the tag .* is not allowed"),
        ("a: !!set {x, y}", "w.yaml:1: the tag .* is not allowed"),
        ("<<: {a: 1}", "w.yaml:1: '<<' .* is not allowed"),
        ("a:\n  b: 2020-13-45", "w.yaml:2: '2020-13-45' cannot be read"),
        ("x: " + "9" * 5000, "w.yaml:1: .* cannot be read"),
        ("[" * 60, "w.yaml:1: nested deeper than 50"),
        ("a: b\n---\nc: d", "w.yaml:2: this is no YAML"),
        ("a: " + "b" * LARGEST_BYTES, "w.yaml: a YAML text may have 1000000 characters"),
    ],
)
def test_what_is_no_plain_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_yaml(text, "w.yaml")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    large, binary = tmp_path / "large.yaml", tmp_path / "binary.yaml"
    large.write_text("a" * (LARGEST_BYTES + 1))
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"large\.yaml: a YAML file may have 1000000 bytes"):
        read_yaml(large)
    for path in (binary, tmp_path / "missing.yaml"):
        with pytest.raises(ValueError, match=f"{path.name}: cannot be read"):
            read_yaml(path)
