"""Named points at which a drill may kill the process; they do nothing unless a drill sets the hook."""

from collections.abc import Callable

hook: Callable[[str], None] | None = None


def crash_point(name: str) -> None:
    """Mark a moment at which a crash must lose and duplicate nothing."""
    if hook is not None:
        hook(name)
