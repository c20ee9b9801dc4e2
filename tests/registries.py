"""A model registry for a test: a file that MLflow has set up once and that is copied, since that takes seconds."""

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from pulse_resources.registry import Registry

FILE = "mlflow.db"


@lru_cache(maxsize=1)
def _set_up() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pulse-registry-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    assert Registry(home=str(folder)).names() == []
    return folder / FILE


def fresh_registry(folder: Path) -> Registry:
    """Return an empty registry in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_set_up(), folder / FILE)
    return Registry(home=str(folder))
