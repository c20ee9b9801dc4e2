"""The configured sources and the clock as a Dagster resource."""

from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from pydantic import Field

from pulse_resources.clock import Clock, utc_now
from pulse_resources.errors import ConfigError
from pulse_resources.sources.protocol import Source
from pulse_resources.sources.registry import build_sources

DEFAULT_SOURCES: list[dict[str, Any]] = [{"use": "embedded"}]


class Market(dg.ConfigurableResource[None]):
    """Where rows come from, and what time it is.

    Parameters
    ----------
    source_entries
        One entry a source, see ``docs/how-to/sources.md``.
    now
        A fixed moment (ISO 8601) for tests and replays; the wall clock when empty.
    """

    source_entries: list[dict[str, Any]] = Field(default_factory=lambda: [dict(entry) for entry in DEFAULT_SOURCES])
    now: str = ""

    def sources(self) -> list[Source]:
        """Return the configured sources."""
        return build_sources(self.source_entries)

    @property
    def clock(self) -> Clock:
        """Return the clock."""
        if not self.now:
            return utc_now
        moment = datetime.fromisoformat(self.now)
        return lambda: moment


def read_sources(path: Path | None) -> list[dict[str, Any]]:
    """Return the source entries of a configuration file (``sources:`` in YAML), or the embedded source without one.

    Raises
    ------
    ConfigError
        The file is missing, is no YAML, or has no list of sources that each say what to ``use``.
    """
    if path is None:
        return [dict(entry) for entry in DEFAULT_SOURCES]
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}; mend PULSE_CONFIG") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no YAML: {error}") from error
    entries = content.get("sources") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "use" in entry for entry in entries):
        raise ConfigError(
            f"{path}: expected `sources:` with a list of entries that each have `use:`, came {str(content)[:200]}"
        )
    return [_resolved(entry, path.parent) for entry in entries]


def _resolved(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Take a relative ``path`` as relative to the configuration file."""
    if "path" not in entry:
        return entry
    return entry | {"path": str((folder / Path(str(entry["path"])).expanduser()).resolve())}
