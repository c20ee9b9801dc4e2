"""Where run history lives, and the files that Dagster expects there."""

import os
import shutil
from pathlib import Path

from pulse_resources.errors import ConfigError

HERE = Path(__file__).parent


def shipped(name: str) -> Path:
    """Return a file that ships with Pulse: beside the packages in a checkout, inside ``jobs`` in a wheel.

    Raises
    ------
    ConfigError
        The installation is damaged.
    """
    found = next((path for path in (HERE.parent / name, HERE / name) if path.is_file()), None)
    if found is None:
        raise ConfigError(f"{name} is neither in {HERE.parent} nor in {HERE}; install Pulse again")
    return found


def prepare_home(home: Path) -> None:
    """Make ``home`` the Dagster home of this process, with Pulse's ``dagster.yaml`` unless it has one of its own."""
    home.mkdir(parents=True, exist_ok=True)
    target = home / "dagster.yaml"
    if not target.exists():
        shutil.copyfile(shipped("dagster.yaml"), target)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
