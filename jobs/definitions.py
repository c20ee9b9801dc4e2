"""The code location: ``build_definitions`` assembles a whole world, ``defs`` the one that the environment describes."""

from collections.abc import Sequence

import dagster as dg

from jobs.jobs import JOBS, SCHEDULES, SENSORS
from jobs.settings import Settings
from pulse_assets.catalogue import TABLES
from pulse_assets.forecasting import assets as forecasting
from pulse_assets.forecasting import checks as forecasting_checks
from pulse_assets.operations import assets as operations
from pulse_assets.signals import assets as signals
from pulse_assets.signals import checks as signals_checks
from pulse_assets.simulation import assets as simulation
from pulse_assets.simulation import checks as simulation_checks
from pulse_assets.simulation.retrodiction import assets as retrodiction
from pulse_assets.trust import assets as trust
from pulse_assets.trust import checks as trust_checks
from pulse_assets.trust import evidence_assets as trust_evidence
from pulse_assets.trust import evidence_checks as trust_evidence_checks
from pulse_assets.trust import models_assets, retraining_assets
from pulse_assets.trust import quality_checks as trust_quality_checks
from pulse_resources.compute import Compute
from pulse_resources.lake import TableContract
from pulse_resources.lake.io_manager import delta_io_manager
from pulse_resources.lake.resource import DeltaLake
from pulse_resources.market import Market
from pulse_resources.registry import Registry

DOMAINS = (
    signals,
    forecasting,
    simulation,
    retrodiction,
    trust,
    trust_evidence,
    models_assets,
    retraining_assets,
    operations,
)
CHECKS = (
    signals_checks,
    forecasting_checks,
    simulation_checks,
    trust_checks,
    trust_evidence_checks,
    trust_quality_checks,
)


def build_definitions(
    *,
    lake: DeltaLake | None = None,
    compute: Compute | None = None,
    market: Market | None = None,
    registry: Registry | None = None,
    contracts: Sequence[TableContract] = TABLES,
    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec] = (),
    checks: Sequence[dg.AssetChecksDefinition] = (),
) -> dg.Definitions:
    """Assemble assets, checks, jobs, schedules, sensors and resources.

    Parameters
    ----------
    lake, compute, market, registry
        Resources that replace the ones of the environment.
    contracts
        Tables that the IO manager knows.
    assets, checks
        Further definitions, for example those of a third party.
    """
    settings = Settings.from_environment()
    return dg.Definitions(
        assets=[*dg.load_assets_from_modules(DOMAINS), simulation.KEPT, *assets],
        asset_checks=[*dg.load_asset_checks_from_modules(CHECKS), *checks],
        jobs=list(JOBS),
        schedules=list(SCHEDULES),
        sensors=list(SENSORS),
        executor=dg.in_process_executor,
        resources={
            "lake": lake or settings.lake(),
            "lake_io": delta_io_manager(contracts),
            "compute": compute or settings.compute(),
            "market": market or settings.market(),
            "registry": registry or settings.registry(),
        },
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions that the environment describes."""
    return build_definitions()
