"""Files that commands write: whether they can be, said before anything is computed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pulse_resources.errors import ConfigError


def check_target(option: str, path: Path | None, suffixes: tuple[str, ...], source: Path | None = None) -> None:
    """Check that a file may be written.

    Parameters
    ----------
    option
        Which option named it, for messages.
    path
        The file; None is fine.
    suffixes
        One of which it must have.
    source
        A file that it must not be.

    Raises
    ------
    ConfigError
        It has another suffix, its folder is not there, or it is the source.
    """
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        raise ConfigError(f"{option} must end in {' or '.join(suffixes)}; came {path.name!r}")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{option}: there is no folder {path.absolute().parent}; create it first")
    if path.is_dir():
        raise ConfigError(f"{option}: {path} is a folder; name a file in it")
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise ConfigError(f"{option} would overwrite {source}, the file that is read; choose another name")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system refuses while a file is written into one clear line.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error
