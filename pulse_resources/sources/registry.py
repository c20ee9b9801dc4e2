"""Finds installed sources by entry point and builds the ones that the user configured."""

import difflib
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points

from pulse_resources.errors import ConfigError
from pulse_resources.sources.protocol import Source

GROUP = "pulse.sources"


def available_sources() -> dict[str, str]:
    """Return installed source kinds: name → ``module:class``."""
    return {point.name: point.value for point in sorted(entry_points(group=GROUP))}


def build_source(options: Mapping[str, object]) -> Source:
    """Build one source from its configuration entry.

    Parameters
    ----------
    options
        ``{"use": KIND, "name": NAME, …}``; ``name`` defaults to the kind, the rest goes to the source's class.

    Raises
    ------
    ConfigError
        Unknown kind, or options that the source does not take.
    """
    settings = dict(options)
    kind = str(settings.pop("use", ""))
    settings["name"] = str(settings.get("name", kind))
    points = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in points:
        near = difflib.get_close_matches(kind, points, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"unknown source {kind!r}; installed are {', '.join(sorted(points))}.{hint}")
    try:
        source = points[kind].load()(**settings)
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"source {kind!r} does not take these options: {error}") from error
    if not isinstance(source, Source):
        raise ConfigError(f"{points[kind].value} is no Source: it needs name, fingerprint() and fetch(since)")
    return source


def build_sources(entries: Sequence[Mapping[str, object]]) -> list[Source]:
    """Build all configured sources; their names must differ.

    Raises
    ------
    ConfigError
        Two entries share a name, or one of them is wrong.
    """
    sources = [build_source(entry) for entry in entries]
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two sources are called {twice[0]!r}; give one of them another `name`")
    return sources
