"""YAML texts of worlds, rules and scenarios as plain Python values, with the line on which each of them stands.

What belongs here: reading, and refusing what is no plain value (aliases, tags, huge or deep texts, keys given twice or
that are no text). What the values mean is decided by the models that take them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

KeyPath = tuple[str | int, ...]
"""Keys and positions from the outside in: ``("rules", 0, "when")``."""

LARGEST_BYTES = 1_000_000
LARGEST_DEPTH = 50
MAP, SEQ = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"
SCALARS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp"))


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain values only; numbers such as ``1e-6`` are numbers, which YAML 1.1 takes for texts."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


@dataclass(frozen=True)
class YamlText:
    """What a text says and where.

    Attributes
    ----------
    value
        Dictionaries with texts as keys, lists, texts, numbers, booleans, dates and None.
    lines
        Line of each key or item, counted from 1; ``()`` is the whole.
    where
        Name of the file, for messages.
    """

    value: object
    lines: Mapping[KeyPath, int]
    where: str

    def line(self, path: Sequence[str | int]) -> int:
        r"""Return the line of a key path; parts that the text does not have are skipped.

        Examples
        --------
        >>> load_yaml("rules:\n  - id: a\n    when: vix > 30", "r.yaml").line(("rules", 0, "when"))
        3
        """
        known: KeyPath = ()
        for part in path:
            known = (*known, part) if (*known, part) in self.lines else known
        return self.lines[known]

    def at(self, path: Sequence[str | int] = ()) -> str:
        """Return ``file:line`` of a key path."""
        return f"{self.where}:{self.line(path)}"

    def explain(self, error: ValidationError, inside: Sequence[str | int] = ()) -> str:
        """Return what a pydantic model says against the value, a line each with file, line and key.

        Parameters
        ----------
        error
            Raised for the value, or for the part of it at ``inside``.
        inside
            Key path of that part.
        """
        said = []
        for each in error.errors(include_url=False):
            path = (*inside, *each["loc"])
            key = ".".join(str(part) for part in path) or "the whole"
            said.append(f"{self.at(path)}: {key}: {each['msg']}; came {_short(each['input'])}")
        return "\n".join(said)


def read_yaml(path: str | Path) -> YamlText:
    """Read a YAML file.

    Raises
    ------
    ValueError
        The file cannot be read, is larger than 1 MB, or is no plain YAML; the message names file and line.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise ValueError(f"{path}: a YAML file may have {LARGEST_BYTES} bytes, this one has {size}: split it")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as a UTF-8 text: {error}") from error
    return load_yaml(text, str(path))


def load_yaml(text: str, where: str) -> YamlText:
    r"""Read a YAML text.

    Parameters
    ----------
    text
        One document; an empty one is None.
    where
        Name of the file, for messages.

    Raises
    ------
    ValueError
        No YAML, longer than 1 MB, deeper than 50, with an alias (a small text could grow without limit), a tag, a key
        given twice or one that is no text. The message names file and line.

    Examples
    --------
    >>> load_yaml("sigma: 1e-6\nnames: [a, b]", "w.yaml").value
    {'sigma': 1e-06, 'names': ['a', 'b']}
    >>> load_yaml("a: &x 1\nb: *x", "w.yaml")
    Traceback (most recent call last):
    ...
    ValueError: w.yaml:2: aliases (*x) are not allowed: write the value out
    """
    if len(text) > LARGEST_BYTES:
        raise ValueError(f"{where}: a YAML text may have {LARGEST_BYTES} characters, here are {len(text)}: split it")
    try:
        _refuse_growth(text, where)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{where}:{_line_of(error)}: this is no YAML: {_problem(error)}") from error
    lines: dict[KeyPath, int] = {(): 1 if node is None else _line(node)}
    return YamlText(None if node is None else _plain(node, (), lines, where), lines, where)


def _refuse_growth(text: str, where: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise _refusal(where, event, f"aliases (*{event.anchor}) are not allowed: write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > LARGEST_DEPTH:
            raise _refusal(where, event, f"nested deeper than {LARGEST_DEPTH}: make it flatter")


def _plain(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], where: str) -> object:
    if isinstance(node, yaml.MappingNode) and node.tag == MAP:
        return _mapping(node, path, lines, where)
    if isinstance(node, yaml.SequenceNode) and node.tag == SEQ:
        lines.update({(*path, i): _line(item) for i, item in enumerate(node.value)})
        return [_plain(item, (*path, i), lines, where) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode) and node.tag in SCALARS:
        return _scalar(node, where)
    raise _refusal(where, node, f"the tag {node.tag} is not allowed: write a plain value")


def _mapping(node: yaml.MappingNode, path: KeyPath, lines: dict[KeyPath, int], where: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for key_node, value_node in node.value:
        key = _scalar(key_node, where) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            came = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a collection"
            raise _refusal(where, key_node, f"a key must be a text, {came!r} is none in YAML: quote it")
        if key in found:
            before = lines[(*path, key)]
            raise _refusal(where, key_node, f"{key!r} stands on line {before} already: keep one of them")
        lines[(*path, key)] = _line(key_node)
        found[key] = _plain(value_node, (*path, key), lines, where)
    return found


def _scalar(node: yaml.ScalarNode, where: str) -> object:
    if node.tag not in SCALARS:
        raise _refusal(where, node, f"{node.value!r} ({node.tag}) is not allowed: write a plain value")
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except (ValueError, OverflowError, yaml.YAMLError) as error:
        raise _refusal(where, node, f"{_short(node.value)} cannot be read: {error}: quote it") from error


def _refusal(where: str, part: yaml.Node | yaml.Event, why: str) -> ValueError:
    return ValueError(f"{where}:{_line(part)}: {why}")


def _line(part: yaml.Node | yaml.Event) -> int:
    return 1 if part.start_mark is None else int(part.start_mark.line) + 1


def _line_of(error: yaml.YAMLError) -> int:
    mark = getattr(error, "problem_mark", None)
    return 1 if mark is None else int(mark.line) + 1


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
