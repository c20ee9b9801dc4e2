"""All table contracts of Pulse in the order of the flow. A new domain adds its ``TABLES`` here and nowhere else."""

from pulse_assets.forecasting import tables as forecasting
from pulse_assets.operations import tables as operations
from pulse_assets.signals import tables as signals
from pulse_assets.simulation import tables as simulation
from pulse_assets.trust import tables as trust
from pulse_resources.lake import TableContract

TABLES: tuple[TableContract, ...] = (
    *signals.TABLES,
    *forecasting.TABLES,
    *simulation.TABLES,
    *trust.TABLES,
    *operations.TABLES,
)
BY_NAME = {contract.name: contract for contract in TABLES}
