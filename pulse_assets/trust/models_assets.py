"""Dagster definition of the trained panel models: every family as of a day, kept in the registry, with its evidence.

The rows of ``ops/models`` say where each model is kept. Which of them serves is told by ``ops/model_events``; forecasts
need neither these rows nor the registry.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

import pulse_assets.forecasting
from pulse_assets.declare import table_spec
from pulse_assets.forecasting.engine import HORIZONS, origin_end, refit_day
from pulse_assets.forecasting.pack import Panel, pack
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.evidence_tables import MODELS
from pulse_resources.compute import Compute
from pulse_resources.errors import ConfigError, PermanentFailure
from pulse_resources.evidence import evidence_of, fingerprint
from pulse_resources.lake import Commit, Lake, Snapshot
from pulse_resources.lake.resource import DeltaLake
from pulse_resources.market import Market
from pulse_resources.registry import CHALLENGER, CHAMPION, Registered, Registry, Submission, model_name

if TYPE_CHECKING:
    from pulse_assets.forecasting.training import TrainedPanel

Rows = list[dict[str, object]]

PACKED = ["unique_id", "ds", "y", "known_at", "kind", "freq", "calendar"]
ARTEFACT = "panel"
NEEDED = ("mlflow", "numba", "numpy", "pandas", "pyarrow", "scipy", "threadpoolctl")
"""What must be installed, in the versions of here, where a model is loaded; and Pulse itself, from its wheel."""
EXAMPLE_SERIES, EXAMPLE_ROWS = 3, 150
A_WEEKEND = timedelta(days=3)
"""What becomes known on a Saturday is in Monday's partition."""


class RegisterConfig(dg.Config):
    """Which models to train and register.

    Parameters
    ----------
    trained_on
        Last day whose knowledge counts (ISO); by default what the newest refit has learned from: the last day of the
        quarter before the newest row of silver.
    alias
        ``challenger``, ``champion`` or empty. The first version of a name that gets an alias is the champion.
    families
        Families, as in ``B price``; all by default.
    horizons
        Steps ahead for each frequency.
    """

    trained_on: str = ""
    alias: str = CHALLENGER
    families: list[str] = []  # noqa: RUF012 - pydantic copies it
    horizons: dict[str, int] = dict(HORIZONS)  # noqa: RUF012 - pydantic copies it


@dg.multi_asset(
    name="models", specs=[table_spec(MODELS, group="operations", deps=[SERIES], code_version="1")], can_subset=False
)
def models(
    context: dg.AssetExecutionContext,
    config: RegisterConfig,
    lake: dg.ResourceParam[DeltaLake],
    compute: dg.ResourceParam[Compute],
    market: dg.ResourceParam[Market],
    registry: dg.ResourceParam[Registry],
) -> Iterator[dg.MaterializeResult[None]]:
    """Train every family as of one day, and register what is not registered yet."""
    from pulse_assets.forecasting.training import train

    _check(config)
    store, now = lake.lake(), market.clock()
    snapshot = store.snapshot()
    day, silver, panel = _known(snapshot, config)
    about = {
        "dagster/run_id": context.run.run_id,
        "dagster/asset_key": MODELS.name,
        "delta/silver_series_version": str(snapshot.versions.get(SERIES.name, -1)),
        "pulse/code_digest": code_digest(),
        "pulse/config": fingerprint(config.model_dump()),
    }
    rows: Rows = []
    try:
        for family in _wanted(panel, config, day):
            horizons = {**HORIZONS, **config.horizons}
            trained = train(panel, family, day, horizons=horizons, map_blocks=compute.map_blocks)
            if not len(trained.ids):
                context.log.warning("%s has no series that can be forecast; it is not registered", family)
                continue
            found = _registered(registry, trained) or registry.register(
                submission_of(trained, silver, about), config.alias
            )
            if config.alias == CHAMPION:
                registry.promote(found.name, found.version)
            rows.append(_row(trained, found, now))
            context.log.info("%s is version %s of %s", trained.model_version, found.version, found.name)
    finally:  # what is in the registry is told also when a later family fails
        told = _append(store, rows, context, snapshot.versions)
    yield dg.MaterializeResult(
        metadata={
            "trained_on": str(day),
            "models": len(rows),
            "models_added": told.rows,
            "delta_version": told.version,
            "registry": registry.shown_uri,
        }
    )


def _check(config: RegisterConfig) -> None:
    if config.alias not in (CHALLENGER, CHAMPION, ""):
        raise ConfigError(f"alias is {config.alias!r}; expected {CHALLENGER}, {CHAMPION}, or nothing")


def _known(snapshot: Snapshot, config: RegisterConfig) -> tuple[date, pa.Table, Panel]:
    """Return the day that is learned up to, and silver as it was known then."""
    if config.trained_on:
        try:
            day = date.fromisoformat(config.trained_on)
        except ValueError as error:
            raise ConfigError(f"trained_on is {config.trained_on!r}; expected a date like 2024-03-31") from error
    else:
        newest = pc.max(snapshot.read(SERIES, columns=["as_of"])["as_of"]).as_py()
        if newest is None:
            raise PermanentFailure(f"{SERIES.name} is empty, so there is nothing to learn; `pulse run` fills it")
        day = refit_day(newest) - timedelta(days=1)
    end = origin_end(day)
    silver = snapshot.read(SERIES, as_of=day + A_WEEKEND, columns=PACKED)
    silver = silver.filter(pc.less(silver["known_at"].cast(pa.int64()), end))
    return day, silver, pack(silver, end, end)


def _wanted(panel: Panel, config: RegisterConfig, day: date) -> list[str]:
    from pulse_assets.forecasting.families import segments_by_family

    known = list(segments_by_family(panel))
    unknown = sorted(set(config.families) - set(known))
    if unknown or not known:
        raise ConfigError(
            f"no series of {', '.join(unknown) or 'any family'} was known by {day}; known were "
            f"{', '.join(known) or 'none'}: take a later trained_on, or other families"
        )
    return [family for family in known if family in config.families or not config.families]


def submission_of(trained: "TrainedPanel", silver: pa.Table, about: Mapping[str, str]) -> Submission:
    """Return a trained panel as the registry takes it, with an example of its answers.

    Parameters
    ----------
    silver
        What it has learned from: columns of ``silver/series``.
    about
        Tags of the run: who trained it, on what.
    """
    from pulse_assets.forecasting import serving

    origin = str(trained.trained_on)
    fresh = trained.forecast(silver, trained.trained_on)["unique_id"].unique().sort()
    shown = fresh[:EXAMPLE_SERIES] if len(fresh) else pa.array(trained.ids[:EXAMPLE_SERIES].tolist(), pa.string())
    rows = silver.filter(pc.field("unique_id").isin(shown)).sort_by([("known_at", "ascending"), ("ds", "ascending")])
    question = serving.question(rows).groupby("unique_id").tail(EXAMPLE_ROWS).reset_index(drop=True)
    identity = {
        "pulse/model_version": trained.model_version,
        "pulse/family": trained.family,
        "pulse/trained_on": origin,
        "pulse/digest": trained.digest,
    }
    return Submission(
        name=model_name(trained.family),
        code=Path(pulse_assets.forecasting.__file__).with_name("mlflow_model.py"),
        artefacts={ARTEFACT: trained.to_bytes()},
        requirements=[f"{name}=={version(name)}" for name in NEEDED],
        inputs=serving.ASKED,
        outputs=serving.ANSWERED,
        asks={serving.ORIGIN: ""},
        question=question,
        question_params={serving.ORIGIN: origin},
        answer=serving.answer(trained, question, origin),
        tags={**about, **identity},
        params={"family": trained.family, "trained_on": origin, "horizon": str(trained.horizon)},
        metrics=trained.metrics(),
        version_tags={**about, **identity},
    )


def code_digest() -> str:
    """Return a SHA-256 of the sources that a training depends on, twelve digits of it."""
    digest, here = hashlib.sha256(), Path(pulse_assets.forecasting.__file__).parent
    for source in sorted([*here.glob("*.py"), here / "prior.json"]):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:12]


def _registered(registry: Registry, trained: "TrainedPanel") -> Registered | None:
    """Return the version that holds exactly this training already."""
    same = (
        one
        for one in registry.versions(model_name(trained.family))
        if one.tags.get("pulse/digest") == trained.digest
        and one.tags.get("pulse/model_version") == trained.model_version
    )
    return next(same, None)


def _row(trained: "TrainedPanel", found: Registered, now: datetime) -> dict[str, object]:
    """Return what is told of a version; data, code and run are those that made it, which may be an earlier run."""
    return {
        "model_version": trained.model_version,
        "family": trained.family,
        "trained_on": trained.trained_on,
        "engine_version": trained.engine_version,
        "series": len(trained.ids),
        "data_version": int(found.tags["delta/silver_series_version"]),
        "code_version": found.tags["pulse/code_digest"],
        "digest": trained.digest,
        "registered_name": found.name,
        "registered_version": found.version,
        "mlflow_run_id": found.run_id,
        "run_id": found.tags["dagster/run_id"],
        "registered_at": now,
    }


def _append(store: Lake, rows: Rows, context: dg.AssetExecutionContext, versions: Mapping[str, int]) -> Commit:
    """Append the rows whose run in MLflow the table does not tell of yet."""
    table, told = MODELS.cast(pa.Table.from_pylist(rows, schema=MODELS.schema.remove_metadata())), ["mlflow_run_id"]

    def missing(read: Callable[..., pa.Table]) -> pa.Table:
        return table.join(read(columns=told), keys=told, join_type="left anti").select(table.column_names)

    return store.append(MODELS, missing, app_id="models", evidence=evidence_of(context, versions))
