"""Shows a run while it goes: a bar on a terminal, plain lines elsewhere. Listens to Dagster's events."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

WRITING = re.compile(r"^(?P<table>\S+): (?P<done>\d+) of (?P<all>\d+) partitions, (?P<rows>[\d,]+) rows")


class RunWatcher:
    """Turns the events of one run into progress."""

    def __init__(self, console: Console, what: str, steps: int) -> None:
        self.console = console
        self.what = what
        self.steps = steps
        self.done = 0
        self.started = time.monotonic()
        self.bar: Progress | None = None
        self.task: TaskID | None = None

    @contextmanager
    def watching(self, instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
        """Follow the events of a run for the length of the block."""
        instance.add_event_listener(run_id, self._event)
        if not self.console.is_terminal:
            self.console.print(f"{self.what} …")
            yield
            return
        columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as self.bar:
            self.task = self.bar.add_task(self.what, total=self.steps)
            yield
        self.console.print(f"{self.what}: done in {time.monotonic() - self.started:.0f} s")

    def _event(self, entry: dg.EventLogEntry) -> None:
        writing = WRITING.match(entry.user_message or "")
        event = entry.dagster_event
        if writing:
            self._say(f"{writing['table']} {writing['done']}/{writing['all']} days, {writing['rows']} rows")
        elif event is not None and event.is_step_success:
            self.done += 1
            self._say(f"{(event.step_key or '').replace('__', '/')} done")
        elif event is not None and event.is_step_failure:
            self._say(f"{(event.step_key or '').replace('__', '/')} FAILED")

    def _say(self, text: str) -> None:
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=min(self.done, self.steps), description=text)
        else:
            self.console.print(f"  {time.monotonic() - self.started:5.1f} s  {text}")
