"""One commit to a Delta table: the evidence it carries, conflicts retried from a fresh snapshot, bytes on disk.

delta-rs calls fsync nowhere, and accepts an empty commit file after a power cut as an empty commit; on a local
folder the files of a commit are therefore synced before it is acknowledged (about 1 ms a commit).
"""

import json
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError

from pulse_resources.errors import WriteConflictError

ATTEMPTS = 6
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Who wrote a commit, from what, with which code and settings."""

    run_id: str = ""
    asset_key: str = ""
    job: str = ""
    partitions: str = ""
    code_version: str = ""
    inputs: Mapping[str, int] = field(default_factory=dict)
    config: str = ""
    seed: int | None = None

    def as_metadata(self, rows: int) -> dict[str, str]:
        """Return the commit's custom metadata, as ``DeltaTable.history()`` shows it."""
        return {
            "dagster.run_id": self.run_id,
            "dagster.asset_key": self.asset_key,
            "dagster.job": self.job,
            "dagster.partitions": self.partitions,
            "dagster.code_version": self.code_version,
            "pulse.inputs": json.dumps(dict(sorted(self.inputs.items()))),
            "pulse.config": self.config,
            "pulse.seed": "" if self.seed is None else str(self.seed),
            "pulse.rows": str(rows),
        }

    def properties(self, rows: int, transaction: tuple[str, int] | None = None) -> CommitProperties:
        """Return delta-rs commit properties with this evidence and, if given, an application transaction."""
        transactions = [Transaction(app_id=transaction[0], version=transaction[1])] if transaction else None
        return CommitProperties(custom_metadata=self.as_metadata(rows), app_transactions=transactions)


@dataclass(frozen=True, slots=True)
class Commit:
    """What a write did: table, version after it, rows written, number of commits (0 if there was nothing to do)."""

    table: str
    version: int
    rows: int
    commits: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a write of several commits is: partitions done, of how many, rows so far, version reached."""

    partitions: int
    of: int
    rows: int
    version: int


def with_retries(name: str, open_table: Callable[[], DeltaTable], attempt: Callable[[DeltaTable], T]) -> T:
    """Run one write attempt, again on a fresh snapshot whenever a concurrent writer won.

    Raises
    ------
    WriteConflictError
        Six attempts lost; the message names the version started from and the newest one.
    """
    started: list[int] = []
    error: CommitFailedError | None = None
    for number in range(ATTEMPTS):
        if number:
            time.sleep(random.uniform(0.02, 0.08) * 2**number)  # noqa: S311 - jitter, not a secret
        table = open_table()
        started.append(table.version())
        try:
            return attempt(table)
        except CommitFailedError as conflict:
            error = conflict
    raise WriteConflictError(
        f"{name}: {ATTEMPTS} attempts lost against other writers (started from version {started[-1]}, newest is "
        f"{open_table().version()}): {error}. Run one writer a table at a time, then launch this run again."
    ) from error


def sync_to_disk(root: Path, versions: range, above: int = 0) -> None:
    """Force to disk the files of some commits of the table in ``root``, and the folders that name them.

    ``above`` is how many folders above ``root`` may be new, too.
    """
    log = root / "_delta_log"
    folders = {log, root, *root.parents[:above]}
    for version in versions:
        commit = log / f"{version:020}.json"
        checkpoint = [log / f"{version:020}.checkpoint.parquet", log / "_last_checkpoint"]
        for path in [*_added_files(root, commit), commit, *(checkpoint if checkpoint[0].exists() else [])]:
            _fsync(path)
            folders.add(path.parent)
    for folder in folders:
        _fsync(folder)


def _added_files(root: Path, commit: Path) -> list[Path]:
    actions = (json.loads(line) for line in commit.read_text(encoding="utf-8").splitlines())
    return [root / unquote(action["add"]["path"]) for action in actions if "add" in action]


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
