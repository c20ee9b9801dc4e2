"""What ``pulse models`` does: list the trained models, and promote or roll one back by hand.

The registry's aliases say which version is the champion; the rows of ``ops/model_events`` say which training the engine
takes. Both are changed together: first all is checked, then the aliases are moved, then the row is written, and where
that fails the aliases are moved back. Doing the same again ends what was interrupted and changes nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from jobs.report import View
from pulse_assets.forecasting.engine import Promotion, refit_end
from pulse_assets.forecasting.tables import FORECASTS
from pulse_assets.trust.evidence_tables import MODEL_EVENTS, MODELS
from pulse_assets.trust.retraining.promotions import PROMOTED, ROLLED_BACK, promotions_in_force
from pulse_resources.errors import ConfigError, RegistryError
from pulse_resources.lake import Evidence, Lake
from pulse_resources.registry import CHAMPION, PREFIX, PREVIOUS, Moved, Registered, Registry, model_name

BY_HAND = "BY_HAND"
ARTEFACT = "panel"
SHOWN_DIGITS = 12
SHOWN_METRICS = ("series", "backtest_rows", "pull")


@dataclass(frozen=True)
class Training:
    """One version of the registry and what ``ops/models`` tells of it."""

    registered: Registered
    family: str
    trained_on: date
    digest: str


def list_models(lake: Lake, registry: Registry) -> View:
    """Return all versions in the registry, newest first, and which training serves the next origin.

    Raises
    ------
    RegistryError
        The registry does not answer.
    """
    versions = [one for name in registry.names() for one in registry.versions(name)]
    told, day, promotions = _told(lake), _newest_day(lake), _promotions(lake)
    rows = []
    for one in versions:
        row = told.get((one.name, one.version))
        serving = _serving(promotions, str(row["family"]), day) if row and day else None
        rows.append(_line(one, row, serving))
    columns = ("model", "version", "aliases", "trained_on", "serves", "digest", *SHOWN_METRICS)
    table = pa.table({name: pa.array([row.get(name) for row in rows]) for name in columns})
    note = (
        "serves: the engine takes this training at its next origin. Where no version does, it takes a newer refit, "
        "which it makes from the lake itself."
    )
    return View(table, f"Models in {registry.shown_uri}", note)


def _line(one: Registered, row: Mapping[str, object] | None, serving: date | None) -> dict[str, object]:
    shown: dict[str, object] = {"model": one.name, "version": one.version, "aliases": ", ".join(one.aliases)}
    shown |= {name: one.metrics[name] for name in SHOWN_METRICS if name in one.metrics}
    if row is None:
        return shown | {"serves": f"not in {MODELS.name}"}
    digest = str(row["digest"])[:SHOWN_DIGITS]
    return shown | {
        "trained_on": row["trained_on"],
        "serves": "yes" if row["trained_on"] == serving else "",
        "digest": digest,
    }


def promote(
    lake: Lake, registry: Registry, which: str, version: str, *, now: datetime, as_of: date | None = None
) -> str:
    """Make a version the champion, and let the engine take its training from the next origin on.

    Parameters
    ----------
    which
        Registered name or family.
    version
        Number or alias.
    now
        Moment that is written down.
    as_of
        Origins after this day take it; by default the newest day with forecasts, or the model's last day if later.

    Returns
    -------
    str
        What was done, in a sentence for the person who asked.

    Raises
    ------
    RegistryError
        The registry does not answer, has no such version, or keeps damaged bytes; nothing was changed.
    ConfigError
        The version is not in ``ops/models``, or the family was already promoted on that day; nothing was changed.
    """
    name = _name(which)
    training = _training(lake, registry, registry.version(name, version))
    day, promotions = _day(lake, training, as_of), _promotions(lake)
    before = _serving(promotions, training.family, day)
    row = None
    if _in_force(promotions, training.family) != training.trained_on:
        row = _event(PROMOTED, training, day, before, {}, now)
        _refuse_second(lake, row)
    moved = registry.promote(name, training.registered.version)
    done = f"{name} {training.registered.version} is the champion"
    if row is None:
        return f"{done}{'' if moved.changed else ' already'}; the engine had taken its training before"
    _write(lake, registry, moved, row)
    return _outcome(lake, done, training.family, day, before)


def rollback(lake: Lake, registry: Registry, which: str, *, now: datetime, as_of: date | None = None) -> str:
    """Make the previous version the champion again, and take the champion's training from the engine.

    Parameters and errors are those of :func:`promote`.
    """
    name = _name(which)
    versions = {alias: one for one in registry.versions(name) for alias in one.aliases}
    if PREVIOUS not in versions:
        registry.version(name, CHAMPION)  # says so where there is no such model
        registry.rollback(name)  # says why it cannot be
    champion, previous = (_training(lake, registry, versions[alias]) for alias in (CHAMPION, PREVIOUS))
    day = max(_day(lake, champion, as_of), _promoted_on(lake, champion))
    before = _serving(_promotions(lake), champion.family, day)
    row = _event(ROLLED_BACK, champion, day, previous.trained_on, {"back_to": previous.registered.version}, now)
    _refuse_second(lake, row)
    _write(lake, registry, registry.rollback(name), row)
    done = f"{name} {previous.registered.version} is the champion again"
    return _outcome(lake, done, champion.family, day, before)


def _name(which: str) -> str:
    return which if which.startswith(PREFIX) else model_name(which)


def _promotions(lake: Lake) -> tuple[Promotion, ...]:
    return promotions_in_force(lake.read(MODEL_EVENTS))


def _serving(promotions: tuple[Promotion, ...], family: str, day: date) -> date:
    """Return what the training has learned up to that serves a family at the first origin after a day."""
    from pulse_assets.forecasting.families import day_before

    return day_before(refit_end(family, day + timedelta(days=1), promotions))


def _in_force(promotions: tuple[Promotion, ...], family: str) -> date | None:
    return next((one.trained_on for one in reversed(promotions) if one.family == family), None)


def _newest_day(lake: Lake) -> date | None:
    """Return the newest day with forecasts."""
    newest: date | None = pc.max(lake.read(FORECASTS, columns=["as_of"])["as_of"]).as_py()
    return newest


def _told(lake: Lake) -> dict[tuple[str, str], Mapping[str, object]]:
    rows = lake.read(MODELS).sort_by("registered_at").to_pylist()
    return {(row["registered_name"], row["registered_version"]): row for row in rows}


def _training(lake: Lake, registry: Registry, one: Registered) -> Training:
    """Return a version with what the lake tells of it, once its bytes were seen to be those that were trained."""
    from pulse_assets.forecasting.training import TrainedPanel

    row = _told(lake).get((one.name, one.version))
    if row is None:
        raise ConfigError(
            f"{one.name} {one.version} is not in {MODELS.name} of {lake.root}, so nobody can tell what it has learned "
            "from; register it from this lake (job register_models). Nothing was changed"
        )
    try:
        trained = TrainedPanel.from_bytes(registry.artefact(one.name, one.version, ARTEFACT))
    except ValueError as error:
        raise RegistryError(f"{one.name} {one.version}: {error}. Nothing was changed") from error
    if trained.digest != row["digest"] or trained.model_version != row["model_version"]:
        raise RegistryError(
            f"{one.name} {one.version} holds {trained.model_version} with digest {trained.digest[:SHOWN_DIGITS]}…, "
            f"{MODELS.name} tells of {row['model_version']} with {str(row['digest'])[:SHOWN_DIGITS]}…: register it "
            "again (job register_models). Nothing was changed"
        )
    return Training(one, trained.family, trained.trained_on, trained.digest)


def _day(lake: Lake, training: Training, as_of: date | None) -> date:
    """Return the day after which an event counts: no origin is served by what was learned from its own future."""
    if as_of is not None and as_of < training.trained_on:
        raise ConfigError(
            f"the model has learned up to {training.trained_on}, so it cannot serve origins after {as_of}: take "
            f"--as-of {training.trained_on} or later. Nothing was changed"
        )
    return as_of or max(_newest_day(lake) or training.trained_on, training.trained_on)


def _promoted_on(lake: Lake, champion: Training) -> date:
    """Return when a training was last promoted; the first day of all if it never was."""
    mine = (pc.field("family") == champion.family) & (pc.field("event") == PROMOTED)
    rows = lake.read(MODEL_EVENTS, where=mine & (pc.field("trained_on") == pa.scalar(champion.trained_on)))
    return pc.max(rows["as_of"]).as_py() or date.min


def _event(
    event: str, training: Training, day: date, replaces: date, more: Mapping[str, object], now: datetime
) -> pa.Table:
    one = training.registered
    evidence = {"registered_name": one.name, "registered_version": one.version, "digest": training.digest, **more}
    row = {
        "as_of": day,
        "family": training.family,
        "event": event,
        "trained_on": training.trained_on,
        "replaces": replaces,
        "reasons": BY_HAND,
        "evidence": json.dumps(evidence, sort_keys=True),
        "run_id": "",
        "recorded_at": now,
    }
    return MODEL_EVENTS.cast(pa.Table.from_pylist([row], schema=MODEL_EVENTS.schema.remove_metadata()))


def _refuse_second(lake: Lake, row: pa.Table) -> None:
    """Refuse a second event of one family, kind and day, which by the table's key would be the same row."""
    ours = row.to_pylist()[0]
    same = (pc.field("family") == ours["family"]) & (pc.field("event") == ours["event"])
    held = lake.read(MODEL_EVENTS, where=same & (pc.field("as_of") == pa.scalar(ours["as_of"])))
    if len(held):
        raise ConfigError(
            f"{ours['family']} was already {ours['event'].replace('_', ' ')} on {ours['as_of']} (the model that has "
            f"learned up to {held['trained_on'][0]}), and one such event counts a day: wait for the next forecasts, or "
            "take --as-of a later day. Nothing was changed"
        )


def _write(lake: Lake, registry: Registry, moved: Moved, row: pa.Table) -> None:
    """Write the event; where that fails, give the aliases back to the versions that had them."""
    try:
        lake.append_missing(MODEL_EVENTS, row, app_id="models by hand", evidence=Evidence(asset_key=MODEL_EVENTS.name))
    except BaseException:
        registry.restore(moved.name, moved.before)
        raise


def _outcome(lake: Lake, done: str, family: str, day: date, before: date) -> str:
    after = _serving(_promotions(lake), family, day)
    if before == after:
        return f"{done}; at origins after {day} the engine goes on with what {family} had learned up to {after}"
    return f"{done}; at origins after {day} the engine takes what {family} had learned up to {after}, not {before}"
