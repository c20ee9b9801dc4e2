"""Dagster definitions of retraining: challengers beside champions day by day, and the record of what became of them.

The record rests on trust, and forecasts on the record: so it is no dependency of what it changes, and an event counts
from the next origin on.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.declare import WHEN_READY, days_of, table_asset, table_spec
from pulse_assets.forecasting.engine import HORIZONS
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.assets import streamed
from pulse_assets.trust.evidence_tables import MODEL_EVENTS, MODELS, SHADOW_SCORES
from pulse_assets.trust.model_event_days import JUDGED, champion_of, events_of_day, findings, phases
from pulse_assets.trust.retraining.promotions import PROMOTED
from pulse_assets.trust.tables import TRUST
from pulse_resources.compute import Compute
from pulse_resources.errors import ConfigError, RegistryError
from pulse_resources.evidence import evidence_of, fingerprint
from pulse_resources.lake import Lake, TableContract
from pulse_resources.lake.io_manager import CONFIG
from pulse_resources.lake.partitions import blocks_of
from pulse_resources.lake.resource import DeltaLake
from pulse_resources.market import Market
from pulse_resources.registry import Registry

SHADOWED_DAYS = 60


class ShadowConfig(dg.Config):
    """Steps ahead for each frequency; the same as for the forecasts."""

    horizons: dict[str, int] = dict(HORIZONS)  # noqa: RUF012 - pydantic copies it


class FollowConfig(dg.Config):
    """Day whose evidence counts (ISO); by default the newest day with trust."""

    as_of: str = ""


@table_asset(SHADOW_SCORES, group="trust", deps=[SERIES], code_version="1", automation=WHEN_READY)
def shadow_scores(
    context: dg.AssetExecutionContext,
    config: ShadowConfig,
    lake: dg.ResourceParam[DeltaLake],
    compute: dg.ResourceParam[Compute],
) -> dg.Output[pa.RecordBatchReader]:
    """Score every challenger in the shadow beside its champion on the truths of each day of the range."""
    from pulse_assets.trust.shadow_days import shadow_days

    days, snapshot = days_of(context), lake.lake().snapshot()
    horizons = {**HORIZONS, **config.horizons}
    made = shadow_days(snapshot, blocks_of(days, SHADOWED_DAYS), compute.map_blocks, horizons)
    about = {CONFIG: fingerprint(config.model_dump())}
    return streamed(SHADOW_SCORES, made, snapshot, (SERIES, MODEL_EVENTS), days, about)


@dg.multi_asset(
    name="model_events",
    specs=[table_spec(MODEL_EVENTS, group="operations", deps=[SERIES, *JUDGED], code_version="1")],
    can_subset=False,
)
def model_events(
    context: dg.AssetExecutionContext,
    config: FollowConfig,
    lake: dg.ResourceParam[DeltaLake],
    market: dg.ResourceParam[Market],
    registry: dg.ResourceParam[Registry],
) -> Iterator[dg.MaterializeResult[None]]:
    """Record which models a day asks to train anew, takes into the shadow, promotes or rejects."""
    store, now = lake.lake(), market.clock()
    day = _day(store, config)
    if day is None:
        context.log.warning("%s does not exist yet, so nothing is judged", TRUST.name)
        yield dg.MaterializeResult(metadata={"events_added": 0})
        return
    snapshot = store.snapshot()
    found = findings(snapshot, day)

    def missing(read: Callable[..., pa.Table]) -> pa.Table:
        return events_of_day(found, read(), context.run.run_id, now)

    told = store.append(MODEL_EVENTS, missing, app_id="model_events", evidence=evidence_of(context, snapshot.versions))
    record = store.read(MODEL_EVENTS)
    standing = phases(found, record)
    yield dg.MaterializeResult(
        metadata={
            "as_of": str(day),
            "events_added": told.rows,
            "delta_version": told.version,
            **{phase: ", ".join(sorted(name for name in standing if standing[name] == phase)) or "none"
               for phase in ("suspect", "retrain_requested", "shadow", "cooldown")},
            "registry": _aliases_moved(context, store, registry, record, day),
        }
    )  # fmt: skip


def newest_day(store: Lake, contract: TableContract) -> date | None:
    """Return the newest day of a table that is partitioned by ``as_of``, from what its files say of themselves."""
    if not store.exists(contract):
        return None
    files = pa.table(store.open(contract).get_add_actions(flatten=True))
    stated = files["max.as_of"] if "max.as_of" in files.column_names else pa.chunked_array([], pa.date32())
    if stated.null_count or (len(files) and not len(stated)):
        stated = store.read(contract, columns=["as_of"])["as_of"]
    newest: date | None = pc.max(stated.cast(pa.date32())).as_py()
    return newest


def _day(store: Lake, config: FollowConfig) -> date | None:
    if not config.as_of:
        return newest_day(store, TRUST)
    try:
        return date.fromisoformat(config.as_of)
    except ValueError as error:
        raise ConfigError(f"as_of is {config.as_of!r}; expected a date like 2024-05-10") from error


def _aliases_moved(
    context: dg.AssetExecutionContext, store: Lake, registry: Registry, record: pa.Table, day: date
) -> str:
    """Give the registry's champion alias to every training that was promoted and serves; say what was done.

    The record is what counts: where no registry answers, the next run moves the alias.
    """
    done = []
    for row in record.filter(pc.field("event") == PROMOTED).sort_by("as_of").to_pylist():
        family, learned = row["family"], row["trained_on"]
        if champion_of(family, day + timedelta(days=1), record) != learned:
            continue
        try:
            done += _promoted(store, registry, family, learned)
        except RegistryError as error:
            context.log.warning("%s: the alias of the promoted model was not moved: %s", family, error)
            done.append(f"{family}: not moved, the registry does not answer")
    return "; ".join(done) or "nothing to move"


def _promoted(store: Lake, registry: Registry, family: str, learned: date) -> list[str]:
    ours = (pc.field("family") == family) & (pc.field("trained_on") == pa.scalar(learned))
    kept = store.read(MODELS, where=ours).sort_by("registered_at").to_pylist()
    if not kept:
        return [f"{family}: the training of {learned} is not registered"]
    name, version = str(kept[-1]["registered_name"]), str(kept[-1]["registered_version"])
    moved = registry.promote(name, version)
    return [f"{name} {version} is the champion"] if moved.changed else []
