"""Dagster definitions of the simulation: silver as of each day in, distributions, risk and rule audit out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from pulse_assets.declare import WHEN_READY, days_of, table_assets, table_spec
from pulse_assets.pictures import as_markdown
from pulse_assets.signals.tables import SERIES
from pulse_assets.simulation.tables import BLOCKS, DIVERGENCE, RULE_AUDIT, RUNS, SIMULATION_RISK, SIMULATIONS
from pulse_resources.compute import Compute
from pulse_resources.evidence import evidence_of, fingerprint
from pulse_resources.lake import TableContract
from pulse_resources.lake.io_manager import CONFIG, INPUTS, SEED
from pulse_resources.lake.resource import DeltaLake

DRAWN_SCENARIOS = 3
BASE = "base"
READ = ["unique_id", "ds", "y", "known_at", "kind", "unit", "freq"]
KEPT = table_spec(BLOCKS, group="simulation", deps=[], code_version="1")
"""Blocks that runs leave behind while they go; no run is launched for them."""
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


@table_assets(WRITTEN, name="simulate", group="simulation", deps=[SERIES], code_version="1", automation=WHEN_READY)
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
    evidence = replace(evidence_of(context, snapshot.versions), asset_key=BLOCKS.name, seed=config.seed)
    made = simulate_days(silver, days, config.model_dump(), compute, lake.lake(), context.log.info, evidence)
    data_version = snapshot.versions.get(SERIES.name, -1)
    tables = {contract.name: _stamped(contract, made.tables[contract.name], data_version) for contract in WRITTEN}
    drawn = _drawn(tables, config.scenarios) if len(days) == 1 else {}
    for contract in WRITTEN:
        metadata: dict[str, Any] = {
            INPUTS: snapshot.versions,
            CONFIG: fingerprint(config.model_dump()),
            SEED: config.seed,
            "days": len(days),
            "left_out": dg.MetadataValue.md("\n".join(f"* {remark}" for remark in made.remarks) or "nothing"),
            **drawn.get(contract.name, {}),
        }
        yield dg.Output(tables[contract.name], output_name=contract.path[-1], metadata=metadata)


def _drawn(tables: Mapping[str, pa.Table], scenarios: Sequence[str]) -> dict[str, dict[str, dg.MetadataValue]]:
    """Return pictures of the first scenarios by table; of a range every partition's event would show the same."""
    from pulse_assets.simulation.pictures import plots

    simulations, risk, audit, divergence = (
        tables[contract.name].to_pandas() for contract in (SIMULATIONS, SIMULATION_RISK, RULE_AUDIT, DIVERGENCE)
    )
    pictures: dict[str, dict[str, dg.MetadataValue]] = {contract.name: {} for contract in WRITTEN}

    def put(contract: TableContract, what: str, name: str, png: bytes) -> None:
        pictures[contract.name][f"{what} of {name}"] = dg.MetadataValue.md(as_markdown(png, f"{what} of {name}"))

    for name in dict.fromkeys(simulations["scenario"]) if len(scenarios) else ():
        if len(pictures[SIMULATIONS.name]) == DRAWN_SCENARIOS:
            break
        put(SIMULATIONS, "fan", name, plots.fan_chart(simulations, name))
        put(SIMULATION_RISK, "exposure", name, plots.exposure_distribution(simulations, risk, name))
        put(RULE_AUDIT, "rules", name, plots.rule_timeline(audit, name))
        if name != BASE and len(divergence):
            put(DIVERGENCE, "difference", name, plots.scenario_difference(divergence, simulations, name))
    return pictures


def _stamped(contract: TableContract, table: pa.Table, data_version: int) -> pa.Table:
    if not len(table):
        return contract.empty()
    if "data_version" in contract.schema.names:
        table = table.append_column("data_version", pa.array(np.full(len(table), data_version)))
    return contract.cast(table)
