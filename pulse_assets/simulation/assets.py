"""Dagster definitions of the simulation: silver as of each day in, scenarios' distributions, risk and rule audit out."""

from collections.abc import Iterator
from datetime import date
from functools import partial

import dagster as dg
import numpy as np
import pyarrow as pa

from pulse_assets.declare import WHEN_READY, days_of, table_assets
from pulse_assets.signals.tables import SERIES
from pulse_assets.simulation.tables import DIVERGENCE, RULE_AUDIT, RUNS, SIMULATION_RISK, SIMULATIONS
from pulse_resources.compute import Compute
from pulse_resources.evidence import fingerprint
from pulse_resources.lake import TableContract
from pulse_resources.lake.io_manager import CONFIG, INPUTS, SEED
from pulse_resources.lake.resource import DeltaLake

READ = ["unique_id", "ds", "y", "known_at", "kind", "unit", "freq"]
WRITTEN = (SIMULATIONS, SIMULATION_RISK, RULE_AUDIT, DIVERGENCE, RUNS)


class SimulationConfig(dg.Config):
    """What is simulated each day."""

    scenarios: list[str] = ["base"]  # noqa: RUF012 - pydantic copies it
    world: str = "auto"
    rules: str = "default"
    positions_usd: dict[str, float] = {}  # noqa: RUF012 - as above
    capital_usd: float = 1_000_000.0
    allow_short: bool = False
    policy: str = "hold"
    policy_options: dict[str, float] = {}  # noqa: RUF012 - as above
    paths: int = 10_000
    steps: int = 20
    seed: int = 0
    antithetic: bool = False
    learned_correction: bool = False
    ablated_paths: int = 4096
    sobol: bool = False
    target_error: float = 0.0


@table_assets(
    WRITTEN, name="simulate", group="simulation", deps=[SERIES], code_version="1", automation=WHEN_READY
)
def simulate(
    context: dg.AssetExecutionContext,
    config: SimulationConfig,
    lake: dg.ResourceParam[DeltaLake],
    compute: dg.ResourceParam[Compute],
) -> Iterator[dg.Output[pa.Table]]:
    """Calibrate a world as of every day of the range and simulate the scenarios on it."""
    from pulse_assets.simulation.simulate import simulate_days

    days, snapshot = days_of(context), lake.lake().snapshot()
    silver = snapshot.read(SERIES, as_of=days[-1], columns=READ)
    made = simulate_days(silver, days, config.model_dump(), compute, lake.lake(), context.log.info)
    data_version = snapshot.versions.get(SERIES.name, -1)
    for contract in WRITTEN:
        table = _stamped(contract, made.tables[contract.name], data_version)
        metadata = {
            INPUTS: snapshot.versions,
            CONFIG: fingerprint(config.model_dump()),
            SEED: config.seed,
            "days": len(days),
            "left_out": dg.MetadataValue.md("\n".join(f"* {remark}" for remark in made.remarks) or "nothing"),
        }
        yield dg.Output(table, output_name=contract.path[-1], metadata=metadata)


def _stamped(contract: TableContract, table: pa.Table, data_version: int) -> pa.Table:
    if not len(table):
        return contract.empty()
    if "data_version" in contract.schema.names:
        table = table.append_column("data_version", pa.array(np.full(len(table), data_version)))
    return contract.cast(table)
