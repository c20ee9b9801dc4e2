"""What the command line launches: which days need work, and the runs that do it, in this process.

Every run is an ordinary Dagster run on the persistent instance, so the user interface shows it like any other.
"""

import uuid
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
import numpy as np
import pyarrow.compute as pc

from pulse_assets.declare import AS_OF, START
from pulse_assets.forecasting.tables import FORECASTS, MEMBER_WEIGHTS
from pulse_assets.signals.calendars import partition_days
from pulse_assets.signals.tables import INGESTS, MACRO_VINTAGES, MARKET_BARS, SERIES
from pulse_assets.simulation.assets import WRITTEN as SIMULATED
from pulse_assets.trust.evidence_tables import DATA_QUALITY, DRIFT, LICENCE_CHAIN
from pulse_assets.trust.tables import CALIBRATED, CALIBRATED_SCORES, LICENCE_VALUE, LICENCES, SCORES, TRUST
from pulse_resources.errors import ConfigError, PermanentFailure
from pulse_resources.lake import Lake
from pulse_resources.lake.partitions import weekdays

EVIDENCE_DAYS = 126
"""Weekdays before the newest that a first run covers: 90 truths, with holidays, horizons and hysteresis."""
GOLD = (
    FORECASTS,
    MEMBER_WEIGHTS,
    SCORES,
    CALIBRATED,
    CALIBRATED_SCORES,
    TRUST,
    DATA_QUALITY,
    DRIFT,
    LICENCES,
    LICENCE_VALUE,
)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and which blocking and warning checks failed."""

    run_id: str
    success: bool
    error: str
    failed_checks: tuple[str, ...]


def watch_nothing(instance: dg.DagsterInstance, run_id: str) -> AbstractContextManager[None]:  # noqa: ARG001
    """Follow no events."""
    return nullcontext()


def newest_partition() -> date:
    """Return the newest ``as_of`` day there is: today, or Friday at a weekend."""
    return date.fromisoformat(AS_OF.get_last_partition_key() or str(START))


def partitions_between(first: date, last: date) -> list[date]:
    """Return the ``as_of`` days of a range.

    Raises
    ------
    ConfigError
        The range has no weekday, or reaches beyond the first or the newest partition.
    """
    days = weekdays(first, last)
    if not days:
        raise ConfigError(f"no weekday between {first} and {last}; as_of partitions are Monday to Friday")
    if days[0] < START:
        raise ConfigError(f"the first partition is {START} (PULSE_START), asked for {days[0]}")
    if days[-1] > newest_partition():
        raise ConfigError(
            f"the newest partition is {newest_partition()}, asked for {days[-1]}: the future is not known yet"
        )
    return days


class Pipeline:
    """The code location, its instance and its lake, ready to launch runs in this process."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance, lake: Lake) -> None:
        self.definitions = definitions
        self.instance = instance
        self.lake = lake

    def ingest(self, watch: object = watch_nothing) -> Outcome:
        """Look at every source once."""
        tables = ["bronze/market_bars", "bronze/macro_vintages", "bronze/quarantine", INGESTS.name]
        return self._launch("market_daily", tables, None, watch)

    def backfill(self, first: date, last: date, watch: object = watch_nothing) -> Outcome:
        """Bring silver, forecasts, scores, licences and lineage up to date for all weekdays of a range, in one run."""
        days = partitions_between(first, last)
        names = [SERIES.name, *(table.name for table in GOLD), LICENCE_CHAIN.name, "ops/lineage"]
        return self._launch("run_range", names, (days[0], days[-1]), watch)

    def make_silver(self, day: date, watch: object = watch_nothing) -> Outcome:
        """Bring silver alone up to date for a day."""
        return self._launch("run_range", [SERIES.name], (day, day), watch)

    def simulate(self, first: date, last: date, config: Mapping[str, object], watch: object = watch_nothing) -> Outcome:
        """Simulate scenarios from the world as of each weekday of a range, in one run.

        Parameters
        ----------
        config
            Fields of :class:`~pulse_assets.simulation.assets.SimulationConfig`.
        """
        days = partitions_between(first, last)
        names = [table.name for table in SIMULATED]
        return self._launch("simulate_daily", names, (days[0], days[-1]), watch, {"simulate": dict(config)})

    def newest_day(self) -> date:
        """Return the partition of the newest row that any source has told.

        Raises
        ------
        PermanentFailure
            Bronze holds nothing.
        """
        newest = [
            pc.max(self.lake.read(table, columns=["known_at"])["known_at"]).as_py()
            for table in (MARKET_BARS, MACRO_VINTAGES)
        ]
        known = [moment for moment in newest if moment is not None]
        if not known:
            raise PermanentFailure(
                "no source has delivered an accepted row: see `pulse show quarantine` and `pulse show sources`"
            )
        return min(_partition(max(known).date()), newest_partition())  # Saturday's rows belong to a Monday to come

    def stale_days(self, as_of: date, *, again: bool = False) -> tuple[date, date]:
        """Return the range of days that a run for ``as_of`` must compute.

        It reaches back over the days that scores and licences need, as far as they were not computed before or rows
        have become known for them since; the day itself is always computed.
        """
        partitions_between(as_of, as_of)  # raises where there is none
        first = max(START, np.busday_offset(np.datetime64(as_of), 1 - EVIDENCE_DAYS).astype(object))
        days = weekdays(first, as_of)
        if again:
            return days[0], as_of
        done = [self.instance.get_materialized_partitions(dg.AssetKey(table.path)) for table in GOLD]
        changed = self._changed_from()
        stale = (
            day
            for day in days
            if not all(str(day) in keys for keys in done) or (changed is not None and day >= changed)
        )
        return next(stale, as_of), as_of

    def _changed_from(self) -> date | None:
        """Return the first partition for which bronze holds rows that silver does not, judged by times of receipt."""
        commits = (c for c in self.lake.history(SERIES) if c.get("dagster.asset_key") == SERIES.name)
        written = next((int(commit["timestamp"]) for commit in commits), None)
        if written is None:
            return START
        since = np.datetime64(written, "ms").astype("datetime64[us]")
        firsts = []
        for table in (MARKET_BARS, MACRO_VINTAGES):
            rows = self.lake.read(table, columns=["known_at", "received_at"])
            received = rows["received_at"].cast("int64").to_numpy().astype("datetime64[us]")
            known = rows["known_at"].cast("int64").to_numpy().astype("datetime64[us]")[received > since]
            firsts += [known.min()] if len(known) else []
        if not firsts:
            return None
        return partition_days(np.array([min(firsts)]), np.datetime64(START))[0].astype(object)  # type: ignore[no-any-return]

    def _launch(
        self,
        job: str,
        tables: Sequence[str],
        days: tuple[date, date] | None,
        watch: object,
        configs: Mapping[str, Mapping[str, object]] | None = None,
    ) -> Outcome:
        run_id = str(uuid.uuid4())
        tags = {"pulse/launched_by": "command line"}
        if days:
            tags |= {
                f"dagster/asset_partition_range_{end}": str(day)
                for end, day in zip(("start", "end"), days, strict=True)
            }
        definition = self.definitions.resolve_job_def(job)
        keys = [dg.AssetKey(name.split("/")) for name in tables]
        with warnings.catch_warnings(), watch(self.instance, run_id):  # type: ignore[operator]
            warnings.simplefilter("ignore")
            result = definition.execute_in_process(
                instance=self.instance,
                asset_selection=keys,
                tags=tags,
                run_id=run_id,
                run_config=QUIET | {"ops": {name: {"config": config} for name, config in (configs or {}).items()}},
                raise_on_error=False,
            )
        failed = tuple(
            f"{'/'.join(check.asset_key.path)}: {check.check_name} ({check.severity.value.lower()})"
            for check in result.get_asset_check_evaluations()
            if not check.passed
        )
        return Outcome(run_id, result.success, _first_error(result), failed)


def _first_error(result: dg.ExecuteInProcessResult) -> str:
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None and (error.cls_name or "").startswith("Dagster"):
                error = error.cause  # below Dagster's own comes ours; what that came from is for the log
            return f"{event.step_key}: {error.message.strip() if error else event.message}"
    return ""


def _partition(day: date) -> date:
    while day.weekday() > 4:
        day += timedelta(days=1)
    return max(day, START)
