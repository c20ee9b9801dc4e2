"""What the instance and the log of ingests say about the present state. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from pulse_assets.signals.tables import INGESTS
from pulse_resources.lake import Lake


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest run of the instance."""

    run_id: str
    job: str
    state: str
    started: str
    failed: bool

    def describe(self) -> str:
        """Return one line."""
        return f"{self.job} {self.run_id[:8]}, {self.state}, started {self.started}"


@dataclass(frozen=True, slots=True)
class FailingCheck:
    """A check whose newest evaluation failed."""

    name: str
    blocking: bool
    when: str

    def describe(self) -> str:
        """Return one line."""
        return f"{self.name} ({'blocking' if self.blocking else 'warning'}), {self.when}"


def last_run(instance: dg.DagsterInstance) -> LastRun | None:
    """Return the newest run, if there was any."""
    records = instance.get_run_records(limit=1)
    if not records:
        return None
    run = records[0].dagster_run
    started = records[0].start_time
    when = _moment(started) if started else "not yet"
    return LastRun(run.run_id, run.job_name, run.status.value.lower(), when, run.status is dg.DagsterRunStatus.FAILURE)


def failing_checks(definitions: dg.Definitions, instance: dg.DagsterInstance) -> list[FailingCheck]:
    """Return the checks whose newest evaluation failed."""
    failing = []
    for key in sorted(definitions.resolve_asset_graph().asset_check_keys, key=str):
        record = instance.get_latest_asset_check_evaluation_record(key)
        evaluation = record.evaluation if record else None
        if record and evaluation and not evaluation.passed:
            name = f"{'/'.join(key.asset_key.path)}: {key.name}"
            failing.append(FailingCheck(name, evaluation.blocking or False, _moment(record.create_timestamp)))
    return failing


def refused_and_failed(lake: Lake, sources: Sequence[str]) -> tuple[int, dict[str, str]]:
    """Return how many rows the newest looks refused, and the errors of sources that failed."""
    looks = lake.read(INGESTS).sort_by([("started_at", "ascending")]).to_pylist()
    newest = {look["source"]: look for look in looks if look["source"] in sources}
    failed = {name: str(look["error"]) for name, look in newest.items() if look["outcome"] == "failed"}
    return sum(look["rows_quarantined"] for look in newest.values()), failed


def _moment(timestamp: float | datetime) -> str:
    moment = timestamp if isinstance(timestamp, datetime) else datetime.fromtimestamp(timestamp, UTC)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
