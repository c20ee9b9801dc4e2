"""What every asset of Pulse declares alike: partitions, backfill policy, group, owner, column notes.

Definitions only: no reading, no computing.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

import dagster as dg

from pulse_resources.errors import ConfigError, PartitionError
from pulse_resources.lake import TableContract


def _start() -> date:
    text = os.environ.get("PULSE_START", "1990-01-01")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"PULSE_START is {text!r}; expected a date such as 1990-01-01") from error


START = _start()
"""First ``as_of`` partition; whatever was known before it belongs to it."""

AS_OF = dg.TimeWindowPartitionsDefinition(
    start=datetime(START.year, START.month, START.day),  # noqa: DTZ001 - Dagster wants naive starts; they mean UTC
    cron_schedule="0 0 * * 1-5",
    fmt="%Y-%m-%d",
    end_offset=1,
)
"""Weekdays up to and including today, in UTC."""

WHEN_READY = (dg.AutomationCondition.eager() & dg.AutomationCondition.all_deps_blocking_checks_passed()).with_label(
    "upstream is new and its blocking checks passed"
)
"""The one trigger of everything behind silver."""

AssetDecorator = Callable[[Callable[..., Any]], dg.AssetsDefinition]


def table_asset(
    contract: TableContract,
    *,
    group: str,
    deps: Sequence[TableContract],
    code_version: str,
    automation: dg.AutomationCondition[Any] | None = None,
    retry: dg.RetryPolicy | None = None,
) -> AssetDecorator:
    """Return the decorator of a weekday-partitioned asset that returns the rows of a table.

    The IO manager replaces the run's partitions; a range is one run, so loop over ``context.partition_keys``.
    """
    with warnings.catch_warnings():
        # accepted with open eyes: single-run backfills are the point of Pulse, and the parameter is still called beta
        warnings.filterwarnings("ignore", message="Parameter `backfill_policy`")
        return dg.asset(
            key=contract.path,
            deps=[table.path for table in deps],
            partitions_def=AS_OF,
            backfill_policy=dg.BackfillPolicy.single_run(),
            group_name=group,
            owners=[f"team:{group}"],
            kinds={"python", "deltalake"},
            description=contract.description,
            code_version=code_version,
            io_manager_key="lake_io",
            metadata=table_metadata(contract),
            automation_condition=automation,
            retry_policy=retry,
        )


def table_assets(
    contracts: Sequence[TableContract],
    *,
    name: str,
    group: str,
    deps: Sequence[TableContract],
    code_version: str,
    automation: dg.AutomationCondition[Any] | None = None,
) -> AssetDecorator:
    """Return the decorator of one computation that makes several weekday-partitioned tables.

    It yields an output for each, named after the last part of the table's name. All else is as for :func:`table_asset`.
    """
    outs = {
        contract.path[-1]: dg.AssetOut(
            key=contract.path,
            owners=[f"team:{group}"],
            kinds={"python", "deltalake"},
            description=contract.description,
            code_version=code_version,
            io_manager_key="lake_io",
            metadata=table_metadata(contract),
            automation_condition=automation,
        )
        for contract in contracts
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Parameter `backfill_policy`")  # as in table_asset
        return dg.multi_asset(
            name=name,
            outs=outs,
            deps=[table.path for table in deps],
            partitions_def=AS_OF,
            backfill_policy=dg.BackfillPolicy.single_run(),
            group_name=group,
        )


def table_spec(
    contract: TableContract, *, group: str, deps: Sequence[TableContract], code_version: str
) -> dg.AssetSpec:
    """Return the spec of an asset that only grows and writes for itself."""
    return dg.AssetSpec(
        key=contract.path,
        deps=[table.path for table in deps],
        group_name=group,
        owners=[f"team:{group}"],
        kinds={"python", "deltalake"},
        description=contract.description,
        code_version=code_version,
        metadata=table_metadata(contract),
    )


def table_metadata(contract: TableContract) -> dict[str, Any]:
    """Return a table's columns, units and key as the user interface shows them."""
    columns = [
        dg.TableColumn(
            column.name,
            str(column.type),
            description=column.description + (f" [{column.unit}]" if column.unit else ""),
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
        )
        for column in contract.columns
    ]
    return {
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/table_name": contract.name,
        "key": ", ".join(contract.key),
        "contract": contract.fingerprint,
    }


def days_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> list[date]:
    """Return the weekdays that a run covers, oldest first.

    A check that is launched by itself, as the user interface does, names no partition: it gets the newest day that
    its asset was computed for.

    Raises
    ------
    PartitionError
        There is no such day.
    """
    alone = isinstance(context, dg.AssetCheckExecutionContext) and not context.has_partition_key_range
    if not alone or context.has_partition_key:
        return sorted(date.fromisoformat(key) for key in context.partition_keys)
    key = next(iter(context.selected_asset_check_keys)).asset_key
    computed = context.instance.get_materialized_partitions(key)
    if not computed:
        raise PartitionError(f"{'/'.join(key.path)} was not computed for any day yet; materialize a partition first")
    return [date.fromisoformat(max(computed))]
