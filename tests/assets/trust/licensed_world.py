"""A small lake with all that licences rest on, made up: whatever a test wants to be true of a series is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import write_deltalake

from pulse_assets.numerics.normal_scores import KNOTS
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_assets.trust.evidence_tables import DATA_QUALITY, DRIFT
from pulse_assets.trust.licence_days import licence_days
from pulse_assets.trust.tables import CALIBRATED, LICENCES, TRUST
from pulse_resources.lake import Evidence, Lake, TableContract
from pulse_resources.lake.partitions import Partitions, add_folder, weekdays

MODELS = ("naive", "pulse", "seasonal_naive")
HORIZONS = {1: "1", 2: "2-5", 3: "2-5"}
DAYS = weekdays(date(2024, 6, 3), date(2024, 6, 14))
VERSIONS = ["forecasts_version", "trust_version", "quality_version", "drift_version", "row_hash"]


@dataclass(frozen=True)
class World:
    """What is true of each series and model on every day.

    Parameters
    ----------
    series
        Names.
    days
        Days with rows.
    forecasts, trust, drift
        By series and model (of trust, of every bucket): values that replace the usual ones, or None for no row.
    quality
        The same by series.
    """

    series: Sequence[str] = ("a", "b")
    days: Sequence[date] = tuple(DAYS)
    forecasts: Mapping[tuple[str, str], Mapping[str, object] | None] = field(default_factory=dict)
    trust: Mapping[tuple[str, str], Mapping[str, object] | None] = field(default_factory=dict)
    drift: Mapping[tuple[str, str], Mapping[str, object] | None] = field(default_factory=dict)
    quality: Mapping[str, Mapping[str, object] | None] = field(default_factory=dict)

    def tables(self, day: date) -> dict[TableContract, pa.Table]:
        """Return the rows of a day."""
        forecasts, trust, drift, quality = [], [], [], []
        for name in self.series:
            of_series = self.quality.get(name, {})
            quality += [] if of_series is None else [sound(day, name) | dict(of_series)]
            for model in MODELS:
                of = [said.get((name, model), {}) for said in (self.forecasts, self.trust, self.drift)]
                forecasts += [] if of[0] is None else [made(day, name, model, h) | dict(of[0]) for h in HORIZONS]
                trust += [] if of[1] is None else [believed(day, name, model, b) | dict(of[1]) for b in ("1", "2-5")]
                drift += [] if of[2] is None else [quiet(day, name, model) | dict(of[2])]
        rows = {CALIBRATED: forecasts, TRUST: trust, DRIFT: drift, DATA_QUALITY: quality}
        return {contract: as_table(contract, found) for contract, found in rows.items()}

    def write(self, lake: Lake, days: Sequence[date] | None = None) -> Lake:
        """Write the rows of some days, by default of all, and return the lake."""
        by_day = [self.tables(day) for day in days or self.days]
        for contract in (CALIBRATED, TRUST, DRIFT, DATA_QUALITY):
            put(lake, contract, pa.concat_tables([tables[contract] for tables in by_day]))
        return lake


def licensed(lake: Lake, blocks: list[list[date]], thresholds: Mapping[str, float] | None = None) -> pa.Table:
    """Return the licences of some blocks of days."""
    found = list(licence_days(lake.snapshot(), blocks, thresholds or {}))
    return pa.concat_tables([*found, LICENCES.empty()]).combine_chunks()


def new_lake(folder: Path) -> Lake:
    """Return an empty lake."""
    return Lake(str(folder), durable=False)


def put(lake: Lake, contract: TableContract, rows: pa.Table) -> None:
    """Write the rows of all days that they have, if any; what no writer would let through is put there behind it."""
    if contract.broken_rules(rows):
        lake.create(contract)
        stored = add_folder(contract, rows).cast(contract.stored_schema)
        write_deltalake(lake.uri(contract.name), stored, mode="append")
    elif len(rows):
        days = Partitions.of("as_of", pc.unique(rows["as_of"]).to_pylist())
        lake.overwrite(contract, rows, days, evidence=Evidence(run_id=f"run of {contract.name}"))


def as_table(contract: TableContract, rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """Return rows as a table that keeps a contract."""
    if not rows:
        return contract.empty()
    return contract.cast(pa.Table.from_pylist([dict(row) for row in rows], contract.schema.remove_metadata()))


def made(day: date, name: str, model: str, h: int) -> dict[str, object]:
    """Return a recalibrated forecast: a standard normal."""
    version = "pulse-2-abc123 B rate 2024-03-31" if model == "pulse" else "pulse-2-abc123"
    return {
        **dict(zip(QUANTILE_COLUMNS, KNOTS.tolist(), strict=True)),
        "as_of": day,
        "unique_id": name,
        "model": model,
        "h": h,
        "ds": pd.Timestamp(day, tz="UTC") + pd.offsets.BDay(h),
        "bucket": HORIZONS[h],
        "mean": 0.0,
        "targets": 90,
        "method": "aci",
        "z": [0.0] * len(KNOTS),
        "rates": [0.0] * len(KNOTS),
        "model_version": version,
        "forecasts_version": 0,
        "scores_version": 0,
    }


def believed(day: date, name: str, model: str, bucket: str) -> dict[str, object]:
    """Return the row of ``gold/trust`` of a model that is well calibrated and, but for naive, good."""
    numbers = {"pulse": (0.95, 0.2), "seasonal_naive": (0.75, 0.1), "naive": (None, None)}
    trust, skill = numbers[model]
    counts = {"targets": 90, "recent_targets": 30, "calibrated_on": 500, "scores_version": 0}
    shares = {"coverage_80": 0.81, "coverage_80_shrunk": 0.8, "coverage_80_q": 0.9, "trust": trust, "skill": skill}
    return {"as_of": day, "unique_id": name, "model": model, "bucket": bucket, "freq": "B"} | counts | shares


def quiet(day: date, name: str, model: str) -> dict[str, object]:
    """Return the row of ``ops/drift`` of a model whose errors do not change."""
    who = {"as_of": day, "drift": "model_drift", "unique_id": name, "model": model}
    return who | {"state": "none", "direction": "", "targets": 300, "p_value": 0.4, "q_value": 0.8}


def sound(day: date, name: str) -> dict[str, object]:
    """Return the row of ``ops/data_quality`` of a series without a fault."""
    row = dict.fromkeys(("late_share", "missing_share", "flat_share", "revision_rate"), 0.0)
    counts = {"observations": 500, "duplicates": 0, "flat_run": 1}
    told = {"age_days": 0.1, "jump_z": 1.0, "quality": 1.0, "flags": ""}
    return {"as_of": day, "unique_id": name, "freq": "B"} | row | counts | told
