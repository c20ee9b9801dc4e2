"""Evidence to judge in tests: plain rows in, the gates' arrays or an audit table out."""

from collections.abc import Mapping
from datetime import date

import numpy as np
import pyarrow as pa

from pulse_assets.trust.licensing.chain import row_hashes
from pulse_assets.trust.licensing.gates import TIER_A, Evidence, decide, evidence_of
from pulse_assets.trust.licensing.policy import Policy
from pulse_assets.trust.tables import LICENCES

DAY = date(2024, 6, 3)
CLEAN = {
    "unique_id": "a",
    "model": "pulse",
    "bucket": "1",
    "targets": 90.0,
    "skill": 0.2,
    "trust": 0.99,
    "coverage_80": 0.8,
    "coverage_80_q": 0.9,
    "quality": 1.0,
    "quality_flags": "",
    "forecast_flags": "",
    "drift": "none",
    "model_age_days": 10.0,
    "traced": True,
    "floor": TIER_A,
}
NAIVE = {"model": "naive", "trust": np.nan, "skill": np.nan, "model_age_days": np.nan}
TEXTS = ("unique_id", "model", "bucket", "quality_flags", "forecast_flags", "drift")


def evidence(*rows: Mapping[str, object]) -> Evidence:
    """Return evidence that is clean but for what the rows say."""
    full = [CLEAN | dict(row) for row in rows]
    columns = {
        name: np.array([row[name] for row in full], object if name in TEXTS else bool if name == "traced" else float)
        for name in CLEAN
    }
    return Evidence(**columns | {"floor": columns["floor"].astype(np.int64)})  # type: ignore[arg-type]


def licences(*rows: Mapping[str, object], day: date = DAY, policy: Policy | None = None) -> pa.Table:
    """Return rows of ``gold/licences`` that were decided by such evidence."""
    version = {True: 3, False: -1}
    full = [
        {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in (CLEAN | row).items()}
        for row in map(dict, rows)
    ]
    fixed = {"as_of": day, "expires_on": day, "policy": "p", "state": "", "serve": False, "reasons": "", "earned": 0}
    versions = ("trust_version", "quality_version", "drift_version")
    table = LICENCES.cast(
        pa.Table.from_pylist(
            [
                {name: value for name, value in row.items() if name != "traced"}
                | fixed
                | dict.fromkeys(versions, 5)
                | {"forecasts_version": version[bool(row["traced"])], "row_hash": ""}
                for row in full
            ]
        )
    )
    made = decide(evidence_of(table), policy or Policy())
    for name in ("state", "tier", "serve", "earned", "reasons"):
        table = with_column(table, name, getattr(made, name).tolist())
    return with_column(table, "row_hash", row_hashes(table))


def with_column(rows: pa.Table, name: str, values: list[object]) -> pa.Table:
    """Return the rows with other values in one column."""
    return LICENCES.cast(rows.set_column(rows.column_names.index(name), name, pa.array(values, LICENCES.type_of(name))))
