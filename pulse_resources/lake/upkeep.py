"""Keeps tables healthy: compaction, log checkpoints and vacuum, never below the retention that time travel promises."""

from dataclasses import dataclass

from pulse_resources.errors import ConfigError
from pulse_resources.lake.contract import TableContract
from pulse_resources.lake.lake import Lake

RETENTION_FLOOR_HOURS = 7 * 24
SMALL_FILE_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Health:
    """State of a table: version, rows, files, bytes, files under 16 MiB in folders that hold several of them."""

    table: str
    version: int
    rows: int
    files: int
    bytes: int
    small_files: int


def health(lake: Lake, contract: TableContract) -> Health:
    """Return the state of a table from its log alone.

    Raises
    ------
    TableMissingError
        The table was never written.
    """
    table = lake.open(contract)
    actions = table.get_add_actions(flatten=True)
    sizes = actions.column("size_bytes").to_pylist()
    column = f"partition.{contract.physical}"
    folders = actions.column(column).to_pylist() if contract.physical and sizes else [None] * len(sizes)
    small = [folder for size, folder in zip(sizes, folders, strict=True) if size < SMALL_FILE_BYTES]
    mergeable = sum(1 for folder in small if small.count(folder) > 1)
    rows = sum(actions.column("num_records").to_pylist())
    return Health(contract.name, table.version(), rows, len(sizes), sum(sizes), mergeable)


def compact(lake: Lake, contract: TableContract) -> tuple[int, int]:
    """Merge small files within each folder; returns files removed and added."""
    table = lake.open(contract)
    metrics = table.optimize.compact()
    table.create_checkpoint()
    lake.make_durable(contract, table.version() - 1)
    return int(metrics["numFilesRemoved"]), int(metrics["numFilesAdded"])


def vacuum(lake: Lake, contract: TableContract, retention_hours: int) -> int:
    """Delete files that no version within the retention refers to; returns how many.

    Raises
    ------
    ConfigError
        A retention under seven days: running writers and time travel would lose their files.
    """
    if retention_hours < RETENTION_FLOOR_HOURS:
        raise ConfigError(
            f"vacuum of {contract.name} keeps at least {RETENTION_FLOOR_HOURS} hours of history, asked for "
            f"{retention_hours}; a shorter retention deletes files under running writers"
        )
    return len(lake.open(contract).vacuum(retention_hours=retention_hours, dry_run=False))
