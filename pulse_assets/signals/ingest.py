"""One look at one source: fetch, gate, append to bronze, keep refusals, log what happened.

The border of this domain: it talks to a source and to the lake, and leaves every decision to the pure modules.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.signals.gate import SHAPES, Gated, Receipt, Shape, gate, refusals
from pulse_assets.signals.tables import INGESTS, MACRO_VINTAGES, MARKET_BARS, QUARANTINE
from pulse_assets.signals.vintages import fresh_rows, keep_settled
from pulse_resources.clock import Clock
from pulse_resources.errors import PermanentFailure, TransientFailure
from pulse_resources.lake import Evidence, Lake
from pulse_resources.lake.lake import Reader
from pulse_resources.sources.protocol import Delivery, Source

BRONZE = {"market_bars": MARKET_BARS, "macro_vintages": MACRO_VINTAGES}
VERSIONS = (("bars_version", MARKET_BARS), ("vintages_version", MACRO_VINTAGES))


@dataclass
class Ingest:
    """What one look at one source did; one row of ``ops/ingests``."""

    source: str
    started_at: datetime
    outcome: str = "ok"
    rows_delivered: int = 0
    rows_new: int = 0
    rows_corrected: int = 0
    rows_quarantined: int = 0
    fingerprint: str | None = None
    error: str | None = None
    reasons: dict[str, int] = field(default_factory=dict)


def ingest(lake: Lake, source: Source, clock: Clock, evidence: Evidence | None = None) -> Ingest:
    """Take in whatever a source has that bronze does not hold yet.

    A source that says it has not changed since the last complete look is not read. One that fails is logged as failed
    after what it delivered before has landed; other sources are not affected, so this never raises for a source.
    """
    report = Ingest(source.name, clock())
    try:
        report.fingerprint = source.fingerprint()
        last = _last_complete(lake, source.name)
        if last and report.fingerprint and _nothing_changed(lake, last, report.fingerprint):
            report.outcome = "unchanged"
            report.rows_quarantined = int(str(last["rows_quarantined"]))
        else:
            for delivery in source.fetch(_newest(lake, source.name)):
                _take(lake, source.name, delivery, clock(), report, evidence)
    except (TransientFailure, PermanentFailure) as error:
        report.outcome, report.error = "failed", f"{type(error).__name__}: {error}"
    _log(lake, report, evidence)
    return report


def _take(
    lake: Lake, source: str, delivery: Delivery, now: datetime, report: Ingest, evidence: Evidence | None
) -> None:
    shape = SHAPES[delivery.table]
    traits = delivery.traits
    receipt = Receipt(traits.kind, traits.unit, traits.freq, traits.calendar, traits.lag_hours, now)
    problems = refusals([(p.reason, p.detail, p.original) for p in delivery.problems], delivery.origin)
    nothing = Gated(pa.table({}), refusals([], delivery.origin))
    gated = gate(delivery.rows, shape, receipt, delivery.origin) if delivery.rows.column_names else nothing
    refused = pa.concat_tables([problems, gated.refused])
    report.rows_delivered += len(delivery.rows) + len(delivery.problems)
    if len(gated.accepted):
        new, corrected = _append(lake, source, shape, gated.accepted, evidence, inferred=traits.freq is None)
        report.rows_new += new
        report.rows_corrected += corrected
    if len(refused):
        rows = _constant(refused, source=source, table=BRONZE[delivery.table].name, origin=delivery.origin)
        rows = rows.append_column("received_at", pa.array([now] * len(rows), QUARANTINE.type_of("received_at")))
        lake.append_missing(QUARANTINE, _once(rows), app_id=f"quarantine/{source}", evidence=evidence)
        report.rows_quarantined += len(refused)
        for reason in refused["reason"].to_pylist():
            report.reasons[reason] = report.reasons.get(reason, 0) + 1


def _append(
    lake: Lake,
    source: str,
    shape: Shape,
    accepted: pa.Table,
    evidence: Evidence | None,
    *,
    inferred: bool,
) -> tuple[int, int]:
    """Append what is new; the comparison and the commit see the same snapshot. Returns rows and corrections.

    ``inferred`` says that the rows' frequency was inferred, so that one held already wins.
    """
    corrected = 0

    def missing(read: Reader) -> pa.Table:
        nonlocal corrected
        ours = (pc.field("source") == source) & pc.field(shape.identity).isin(pc.unique(accepted[shape.identity]))
        held = read(columns=[shape.identity, "ds", "known_at", "known_at_basis", "freq", *shape.numbers], where=ours)
        fresh = fresh_rows(accepted, held, shape.identity, shape.numbers)
        corrected = fresh.corrected
        rows = keep_settled(fresh.rows, held, shape.identity) if inferred else fresh.rows
        return _constant(rows, source=source)

    commit = lake.append(BRONZE[shape.table], missing, app_id=f"ingest/{source}", evidence=evidence)
    return commit.rows, corrected if commit.rows else 0


def _newest(lake: Lake, source: str) -> dict[str, datetime]:
    """Return the newest event time held for each symbol and series of a source."""
    newest: dict[str, datetime] = {}
    for contract, shape in zip(BRONZE.values(), SHAPES.values(), strict=True):
        held = lake.read(contract, columns=[shape.identity, "ds"], where=pc.field("source") == source)
        latest = held.group_by(shape.identity).aggregate([("ds", "max")])
        newest |= dict(zip(latest[shape.identity].to_pylist(), latest["ds_max"].to_pylist(), strict=True))
    return newest


def _last_complete(lake: Lake, source: str) -> dict[str, object] | None:
    where = (pc.field("source") == source) & (pc.field("outcome") != "failed")
    looks = lake.read(INGESTS, where=where).sort_by([("started_at", "descending")])
    return looks.slice(0, 1).to_pylist()[0] if len(looks) else None


def _versions(lake: Lake) -> dict[str, int]:
    return {name: lake.open(table).version() if lake.exists(table) else -1 for name, table in VERSIONS}


def _nothing_changed(lake: Lake, last: dict[str, object], fingerprint: str) -> bool:
    """Return whether the source is as it was, and bronze was not removed or restored since."""
    seen = {name: int(str(last[name])) for name, _ in VERSIONS}
    if last["fingerprint"] != fingerprint or any(now < seen[name] for name, now in _versions(lake).items()):
        return False
    since = (commit for name, table in VERSIONS for commit in lake.history(table) if commit["version"] > seen[name])
    return not any(commit["operation"] == "RESTORE" for commit in since)


def _log(lake: Lake, report: Ingest, evidence: Evidence | None) -> None:
    row = {name: [value] for name, value in vars(report).items() if name != "reasons"}
    versions = {name: [version] for name, version in _versions(lake).items()}
    rows = INGESTS.cast(pa.table({name: pa.array(v, INGESTS.type_of(name)) for name, v in (row | versions).items()}))
    lake.append_missing(INGESTS, rows, app_id=f"ingests/{report.source}", evidence=evidence)


def _constant(rows: pa.Table, **columns: str) -> pa.Table:
    for name, value in columns.items():
        rows = rows.append_column(name, pa.array([value] * len(rows), pa.string()))
    return rows


def _once(rows: pa.Table) -> pa.Table:
    """Keep the first of rows with equal hashes: the same line refused twice is one refusal."""
    seen: set[str] = set()
    keep = [value not in seen and not seen.add(value) for value in rows["hash"].to_pylist()]  # type: ignore[func-returns-value]
    return rows.filter(pa.array(keep))


def describe(reports: list[Ingest]) -> Iterator[str]:
    """Yield one sentence a source for people."""
    for report in reports:
        counts = (
            f"{report.rows_new:,} new, {report.rows_corrected:,} corrected, {report.rows_quarantined:,} quarantined"
        )
        tail = f": {report.error}" if report.error else ""
        yield f"{report.source}: {report.outcome}, {counts}{tail}"
