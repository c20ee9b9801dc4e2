"""Blocking checks: what stands behind a gate materializes if the gate opens, and only then."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import write_deltalake

from jobs.definitions import build_definitions
from pulse_assets.declare import AS_OF
from pulse_assets.forecasting.engine import MODELS
from pulse_assets.forecasting.tables import FORECASTS, MEMBER_WEIGHTS
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.checks import STATES, gate_counts
from pulse_assets.trust.evidence_tables import DATA_QUALITY, DRIFT
from pulse_assets.trust.tables import CALIBRATED, CALIBRATED_SCORES, LICENCES, SCORES, TRUST
from pulse_resources.compute import Compute
from pulse_resources.lake import Lake, TableContract
from pulse_resources.lake.partitions import Partitions, add_folder
from pulse_resources.lake.resource import DeltaLake
from pulse_resources.market import Market

pytestmark = pytest.mark.slow

FIRST, LAST = date(2020, 3, 2), date(2020, 3, 13)
LONG_AFTER = date(2020, 6, 1)
BRONZE = ["bronze/market_bars", "bronze/macro_vintages", "bronze/quarantine", "ops/ingests"]
EVIDENCE = (CALIBRATED, CALIBRATED_SCORES, TRUST, DATA_QUALITY, DRIFT)
TABLES = (SERIES, FORECASTS, MEMBER_WEIGHTS, SCORES, *EVIDENCE, LICENCES)
GOLD = [contract.name for contract in TABLES]
DIGEST = "test/digest"
GATES = ("matches_contract", "nothing_forecast_is_known", "lineage_is_complete", "licence_gate")
BUCKETS = 2
"""Of horizons that weekday series have: the next step, and the four after it."""


@dg.asset(
    key=DIGEST.split("/"),
    deps=[dg.AssetKey(LICENCES.path)],
    partitions_def=AS_OF,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def digest() -> None:
    """Stand for everything that may only read licensed forecasts."""


@dataclass(frozen=True)
class World:
    """A lake and the folder that feeds it."""

    root: Path

    @property
    def lake(self) -> Lake:
        """The lake, open to look into."""
        return Lake(str(self.root / "lake"), durable=False)

    def run(
        self, keys: list[str], first: date | None = None, last: date | None = None, also_check: tuple[str, ...] = ()
    ) -> dg.ExecuteInProcessResult:
        """Launch some assets with their blocking checks, and the checks of other tables asked for."""
        source = {"use": "folder", "name": "f", "path": str(self.root / "files"), "freq": "B"}
        definitions = build_definitions(
            lake=DeltaLake(root=self.lake.root, durable=False),
            compute=Compute(),
            market=Market(source_entries=[source], now="2020-08-01T00:00:00+00:00"),
            assets=[digest],
        )
        whole = definitions.resolve_implicit_global_asset_job_def()
        checks = {
            check
            for check in whole.asset_layer.asset_graph.asset_check_keys
            if check.name in GATES and "/".join(check.asset_key.path) in {*keys, *also_check}
        }
        part = whole.get_subset(
            asset_selection={dg.AssetKey(key.split("/")) for key in keys}, asset_check_selection=checks
        )
        tags = {} if first is None else range_tags(first, last or first)
        with dg.DagsterInstance.ephemeral() as instance:
            return part.execute_in_process(
                instance=instance,
                tags=tags,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )

    def damage(self, contract: TableContract, change: Callable[[pa.Table], pa.Table]) -> None:
        """Rewrite a whole table behind Pulse's back."""
        rows = change(self.lake.read(contract))
        write_deltalake(
            self.lake.uri(contract.name),
            add_folder(contract, rows).cast(contract.stored_schema) if "as_of" in rows.column_names else rows,
            mode="overwrite",
        )

    def twin(self, root: Path) -> "World":
        """Copy everything into another folder."""
        shutil.copytree(self.root, root)
        return World(root)


def range_tags(first: date, last: date) -> dict[str, str]:
    return {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}


def failed_checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dict[str, object]]:
    return {
        (evaluation.asset_key.to_user_string(), evaluation.check_name): {
            k: v.value for k, v in evaluation.metadata.items()
        }
        for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed
    }


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("world"))
    rng = np.random.default_rng(1)
    days = pd.bdate_range("2019-12-02", "2020-03-13")
    (world.root / "files").mkdir()
    for name in ("a", "b", "c"):
        closes = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, len(days))))
        pd.DataFrame({"ds": days.strftime("%Y-%m-%d"), "close": closes}).to_csv(
            world.root / "files" / f"{name}.csv", index=False
        )
    assert world.run(BRONZE).success
    result = world.run([*GOLD, DIGEST], FIRST, LAST)
    assert result.success
    assert not failed_checks(result)
    assert materialized(result) == {*GOLD, DIGEST}
    return world


@pytest.fixture
def world(computed: World, tmp_path: Path) -> World:
    return computed.twin(tmp_path / "world")


def test_an_open_gate_lets_the_digest_through(world: World) -> None:
    result = world.run([DIGEST], LAST, also_check=("gold/licences",))
    assert result.success
    assert materialized(result) == {DIGEST}


def test_nothing_fresh_means_no_digest(world: World) -> None:
    result = world.run([*GOLD, DIGEST], LONG_AFTER)
    assert not result.success
    found = failed_checks(result)
    assert list(found) == [("gold/licences", "licence_gate")]
    assert found["gold/licences", "licence_gate"]["served"] == 0
    assert found["gold/licences", "licence_gate"]["rejected"] == 3 * len(MODELS)
    assert DIGEST not in materialized(result)
    assert "gold/licences" in materialized(result)


def set_columns(rows: pa.Table, **values: object) -> pa.Table:
    for name, value in values.items():
        place = rows.schema.get_field_index(name)
        column = (
            pa.array([value] * len(rows), rows.schema.field(name).type)
            if not isinstance(value, pa.ChunkedArray)
            else value
        )
        rows = rows.set_column(place, rows.schema.field(name), column)
    return rows


LICENCE_DAMAGE = {
    "unlicensed": lambda rows: rows.filter(pc.field("model") != "seasonal_naive"),
    "without_reason": lambda rows: set_columns(rows, state="held", reasons=""),
    "served_twice": lambda rows: set_columns(rows, serve=True),
    "served": lambda rows: set_columns(rows, serve=False),
}


@pytest.mark.parametrize("what", LICENCE_DAMAGE)
def test_incomplete_or_unreasoned_licences_close_the_gate(world: World, what: str) -> None:
    world.damage(LICENCES, LICENCE_DAMAGE[what])
    result = world.run([DIGEST], LAST, also_check=("gold/licences",))
    found = failed_checks(result)
    assert {name for name, _ in found} == {"gold/licences"}
    counts = found["gold/licences", "licence_gate"]
    assert counts["served"] == 0 if what == "served" else int(str(counts[what])) > 0
    assert not result.success
    assert materialized(result) == set()


def test_licences_of_another_day_do_not_open_the_gate(world: World) -> None:
    world.damage(LICENCES, lambda rows: rows.filter(pc.field("as_of") != LAST))
    result = world.run([DIGEST], LAST, also_check=("gold/licences",))
    assert not result.success
    assert materialized(result) == set()


def test_sound_forecasts_let_the_scores_through(world: World) -> None:
    result = world.run(["gold/scores"], LAST, also_check=("gold/forecasts",))
    assert result.success
    assert materialized(result) == {"gold/scores"}


def swap(rows: pa.Table) -> pa.Table:
    low, high = QUANTILE_COLUMNS[4], QUANTILE_COLUMNS[5]
    return set_columns(rows, **{low: pc.add(rows[high], 1.0)})


FORECAST_DAMAGE = {
    "crossing": (swap, "matches_contract", "quantiles_do_not_cross"),
    "not_finite": (lambda rows: set_columns(rows, mean=float("nan")), "matches_contract", "quantiles_finite"),
    "twice": (lambda rows: pa.concat_tables([rows, rows]), "matches_contract", "key_is_unique"),
    "known": (
        lambda rows: set_columns(rows, ds=pc.subtract(rows["ds"], pa.scalar(14 * 86_400_000_000, pa.duration("us")))),
        "nothing_forecast_is_known",
        "already_known",
    ),
}


@pytest.mark.parametrize("what", FORECAST_DAMAGE)
def test_forecasts_damaged_behind_our_back_stop_what_follows(world: World, what: str) -> None:
    change, check, word = FORECAST_DAMAGE[what]
    world.damage(FORECASTS, change)
    result = world.run(["gold/scores"], LAST, also_check=("gold/forecasts",))
    found = failed_checks(result)
    assert list(found) == [("gold/forecasts", check)]
    assert word in str(found["gold/forecasts", check])
    assert not result.success
    assert materialized(result) == set()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.drop_columns(["tier"]), {"tier": "missing"}),
        (
            lambda rows: rows.set_column(rows.column_names.index("skill"), "skill", rows["skill"].cast(pa.float32())),
            {"skill": "float"},
        ),
    ],
    ids=["missing", "type"],
)
def test_a_table_with_other_columns_than_its_contract_stops_what_follows(
    world: World, change: Callable[[pa.Table], pa.Table], said: dict[str, str]
) -> None:
    rows = change(world.lake.read(LICENCES))
    write_deltalake(world.lake.uri(LICENCES.name), add_folder_column(rows), mode="overwrite", schema_mode="overwrite")
    result = world.run([DIGEST], LAST, also_check=("gold/licences",))
    assert failed_checks(result)["gold/licences", "matches_contract"]["wrong_columns"] == said
    assert materialized(result) == set()


def add_folder_column(rows: pa.Table) -> pa.Table:
    return rows.append_column("year", pc.cast(pc.year(rows["as_of"]), pa.int32()))


@pytest.mark.parametrize("contract", TABLES, ids=lambda c: c.name)
def test_tables_as_pulse_wrote_them_match_their_contracts(computed: World, contract: TableContract) -> None:
    rows = computed.lake.read(contract, where=pc.field("as_of") >= pa.scalar(FIRST))
    assert len(rows) > 0
    assert contract.broken_rules(rows) == {}


def test_the_gate_counts_what_it_looks_at(computed: World, lake: Lake) -> None:
    counts = gate_counts(computed.lake, LAST)
    assert counts["served"] == 3 * BUCKETS
    assert sum(counts[state] for state in STATES) == 3 * len(MODELS) * BUCKETS
    assert (counts["unlicensed"], counts["without_reason"], counts["served_twice"]) == (0, 0, 0)
    assert set(gate_counts(lake, LAST).values()) == {0}
    day = Partitions.of("as_of", [LAST])
    lake.overwrite(CALIBRATED, computed.lake.read(CALIBRATED, where=day.expression()), day)
    assert gate_counts(lake, LAST)["unlicensed"] == 3 * len(MODELS) * BUCKETS
