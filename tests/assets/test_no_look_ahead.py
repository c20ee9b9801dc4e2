"""No byte of a gold row may depend on what became known after its day, nor on how the days were cut into runs.

Small real lakes, filled through the real Dagster jobs from folders of files; only the clock is fixed.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jobs.definitions import build_definitions
from pulse_assets.forecasting.tables import FORECASTS, MEMBER_WEIGHTS
from pulse_assets.trust.evidence_tables import DATA_QUALITY, DRIFT
from pulse_assets.trust.tables import CALIBRATED, CALIBRATED_SCORES, LICENCE_VALUE, LICENCES, SCORES, TRUST
from pulse_resources.compute import Compute
from pulse_resources.lake import Lake, TableContract
from pulse_resources.lake.partitions import weekdays
from pulse_resources.lake.resource import DeltaLake
from pulse_resources.market import Market

pytestmark = pytest.mark.slow

BRONZE = ["bronze/market_bars", "bronze/macro_vintages", "bronze/quarantine", "ops/ingests"]
EVIDENCE = (CALIBRATED, CALIBRATED_SCORES, TRUST, DATA_QUALITY, DRIFT)
GOLD = (FORECASTS, MEMBER_WEIGHTS, SCORES, *EVIDENCE, LICENCES, LICENCE_VALUE)
SILVER_AND_GOLD = ["silver/series", *(contract.name for contract in GOLD)]
BLOCKING = ("matches_contract", "nothing_forecast_is_known", "lineage_is_complete", "licence_gate")
EVIDENCE_COLUMNS = {
    *(f"{name}_version" for name in ("data", "forecasts", "scores", "trust", "quality", "drift")),
    "row_hash",  # of versions, too
}
FIRST, AS_OF, LATER = date(2020, 3, 18), date(2020, 5, 1), date(2020, 5, 13)
END_OF_DAY = pd.Timestamp(AS_OF + timedelta(days=1), tz="UTC")
NOW = datetime(2020, 8, 1, tzinfo=UTC)
POLICY = {"thresholds": {"min_targets": 5}}
Files = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class World:
    """A lake, the folder that feeds it, and what time it is."""

    root: Path
    now: datetime = NOW

    @property
    def lake(self) -> Lake:
        """The lake, open to look into."""
        return Lake(str(self.root / "lake"), durable=False)

    def deliver(self, files: Files) -> None:
        """Replace the files of the source and let the bronze job look at them."""
        folder = self.root / "files"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, frame in files.items():
            frame.to_csv(folder / f"{name}.csv", index=False)
        self._launch("market_daily", BRONZE, {})

    def compute(self, first: date, last: date) -> None:
        """Run silver to licences over a range of days, as an operator would."""
        tags = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
        self._launch("run_range", SILVER_AND_GOLD, tags, {"ops": {"gold__licences": {"config": POLICY}}})

    def _launch(
        self, job: str, keys: list[str], tags: Mapping[str, str], config: Mapping[str, object] | None = None
    ) -> None:
        source = {"use": "folder", "name": "f", "path": str(self.root / "files"), "unit": "USD"}
        definitions = build_definitions(
            lake=DeltaLake(root=self.lake.root, durable=False),
            compute=Compute(),
            market=Market(source_entries=[source], now=self.now.isoformat()),
        )
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        with dg.DagsterInstance.ephemeral() as instance:
            whole = definitions.resolve_job_def(job)
            chosen = {dg.AssetKey(key.split("/")) for key in keys}
            checks = {
                check
                for check in whole.asset_layer.asset_graph.asset_check_keys
                if check.asset_key in chosen and check.name in BLOCKING
            }
            part = whole.get_subset(asset_selection=chosen, asset_check_selection=checks)
            result = part.execute_in_process(instance=instance, tags=tags, run_config=quiet | dict(config or {}))
        assert result.success

    def twin(self, root: Path) -> "World":
        """Copy everything into another folder."""
        shutil.copytree(self.root, root)
        return World(root, self.now)


def bars(rng: np.random.Generator, days: pd.DatetimeIndex) -> pd.DataFrame:
    closes = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(days))))
    return pd.DataFrame({"ds": days.strftime("%Y-%m-%d"), "close": closes})


def releases(ds: pd.DatetimeIndex, values: np.ndarray, known_at: pd.DatetimeIndex) -> pd.DataFrame:
    return pd.DataFrame(
        {"ds": ds.strftime("%Y-%m-%d"), "value": values, "known_at": known_at.strftime("%Y-%m-%dT%H:%M:%SZ")}
    )


def revised(rng: np.random.Generator) -> pd.DataFrame:
    """Weekdays told two days later, some told again with another value, one told when the next was known already."""
    ds = pd.bdate_range("2020-01-01", "2020-06-30")
    first = releases(ds, rng.normal(0, 1, len(ds)), ds + pd.Timedelta(days=2, hours=6))
    again = releases(ds[::9], rng.normal(0, 1, len(ds[::9])), ds[::9] + pd.Timedelta(days=12))
    first.loc[50, "known_at"] = first.loc[53, "known_at"]
    return pd.concat([first, again])


def past(seed: int = 7) -> Files:
    """Series of several frequencies and fates, known well beyond the day in question."""
    rng = np.random.default_rng(seed)
    daily = pd.bdate_range("2019-12-02", "2020-06-30")
    months = pd.date_range("2016-01-01", "2020-06-01", freq="MS")
    return {
        "alpha": bars(rng, daily),
        "beta": bars(rng, daily).assign(volume=1e6),
        "coin": bars(rng, pd.date_range("2020-01-15", "2020-06-30")),
        "flat": bars(rng, daily).assign(close=3.5),
        "stopped": bars(rng, daily[daily < "2020-04-10"]),
        "young": bars(rng, daily[daily >= "2020-03-27"]),
        "monthly": releases(months, rng.normal(5, 1, len(months)), months + pd.Timedelta(days=14, hours=13)),
        "revised": revised(rng),
        "wild": releases(daily, 1e300 * (-1.0) ** np.arange(len(daily)), daily + pd.Timedelta(hours=20)),
    }


def known_at(frame: pd.DataFrame) -> pd.Series:
    if "known_at" in frame:
        return pd.to_datetime(frame["known_at"], utc=True)
    return pd.to_datetime(frame["ds"], utc=True) + pd.Timedelta(hours=22)


def another_future(files: Files) -> Files:
    """Return the same past with a future that is changed, thinned, shuffled, extended and joined by strangers."""
    rng = np.random.default_rng(99)
    changed = {name: _changed(frame, rng) for name, frame in files.items()}
    history = pd.bdate_range("2015-11-02", periods=40)
    late = pd.DatetimeIndex([END_OF_DAY.tz_localize(None) + pd.Timedelta(hours=3)] * len(history))
    changed["monthly"] = pd.concat([changed["monthly"], releases(history, rng.normal(size=40), late)])
    again = pd.bdate_range("2020-01-01", "2020-04-24")
    at = pd.DatetimeIndex([END_OF_DAY.tz_localize(None)] * len(again))
    changed["revised"] = pd.concat([changed["revised"], releases(again, rng.normal(size=len(again)), at)])
    strange = pd.bdate_range("2020-05-04", "2020-06-30")
    return {"aaa": bars(rng, strange), "mmm": bars(rng, strange), **changed, "zzz": bars(rng, strange)}


def _changed(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    future = (known_at(frame) >= END_OF_DAY).to_numpy()
    column = "close" if "close" in frame else "value"
    after = frame[future].copy()
    after[column] = rng.permutation(after[column].to_numpy()) * rng.uniform(0.2, 9, len(after))
    kept = after[rng.random(len(after)) < 0.8]
    return pd.concat([frame[~future], kept]).sample(frac=1, random_state=3)


def assert_same_gold(world: World, other: World, last: date = AS_OF) -> None:
    """Compare all gold rows up to a day byte for byte, but for the columns that name table versions."""
    for contract in GOLD:
        ours, theirs = gold_rows(world, contract, last), gold_rows(other, contract, last)
        if as_bytes(ours) != as_bytes(theirs):
            both = pa.concat_tables([ours, theirs]).to_pandas().map(_hashable)
            differing = both[~both.duplicated(keep=False)]
            pytest.fail(f"{contract.name}: {len(ours)} and {len(theirs)} rows; first differences:\n{differing.head(6)}")


def _hashable(value: object) -> object:
    return tuple(value) if isinstance(value, np.ndarray) else value


def gold_rows(world: World, contract: TableContract, last: date = AS_OF) -> pa.Table:
    rows = world.lake.read(contract, where=pc.field("as_of") <= last)
    rows = rows.drop_columns(sorted(EVIDENCE_COLUMNS & set(rows.column_names)))
    return rows.sort_by([(name, "ascending") for name in contract.key])


def as_bytes(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows.combine_chunks())
    return bytes(sink.getvalue().to_pybytes())


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("ingested"))
    world.deliver(past())
    return world


@pytest.fixture(scope="module")
def computed(ingested: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = ingested.twin(tmp_path_factory.mktemp("computed") / "world")
    world.compute(FIRST, AS_OF)
    return world


def test_the_scene_holds_forecasts_scores_and_every_kind_of_decision(computed: World) -> None:
    made = gold_rows(computed, FORECASTS)
    assert set(made["unique_id"].to_pylist()) == {f"f:{name}" for name in past()} - {"f:wild"}
    assert len(gold_rows(computed, SCORES)) > 1_000
    decisions = gold_rows(computed, LICENCES)
    assert set(decisions["state"].to_pylist()) == {"licensed", "fallback", "held", "scored", "draft", "rejected"}
    reasons = {word for text in decisions["reasons"].to_pylist() for word in text.split()}
    assert {"DQ_STALE", "DQ_SHORT", "UNPROVEN", "SKILL_NEG"} <= reasons


def test_another_future_changes_no_byte_of_the_past(computed: World, tmp_path: Path) -> None:
    other = World(tmp_path)
    other.deliver(another_future(past()))
    other.compute(FIRST, LATER)
    assert set(other.lake.read(FORECASTS)["as_of"].to_pylist()) == set(weekdays(FIRST, LATER))
    assert_same_gold(other, computed)


def test_a_future_that_never_came_changes_no_byte_of_the_past(computed: World, tmp_path: Path) -> None:
    other = World(tmp_path)
    other.deliver({name: frame[known_at(frame) < END_OF_DAY] for name, frame in past().items()})
    other.compute(FIRST, AS_OF)
    assert_same_gold(other, computed)


def test_corrections_received_later_change_no_byte_of_the_past(computed: World, tmp_path: Path) -> None:
    evening = END_OF_DAY.to_pydatetime() - timedelta(minutes=30)
    then = World(tmp_path, now=evening)
    then.deliver({name: frame[known_at(frame) < END_OF_DAY] for name, frame in past().items()})
    now = World(tmp_path, now=NOW)
    restated = another_future(past())
    restated["alpha"] = restated["alpha"].assign(close=restated["alpha"]["close"] * 1.5)
    now.deliver(restated)
    now.compute(FIRST, LATER)
    assert_same_gold(now, computed)


def test_days_one_by_one_equal_one_range(computed: World, ingested: World, tmp_path: Path) -> None:
    other = ingested.twin(tmp_path / "world")
    days = weekdays(FIRST, AS_OF)
    other.compute(days[0], days[0])
    other.compute(days[1], days[-5])
    for day in days[-4:]:
        other.compute(day, day)
    assert_same_gold(other, computed)


def test_running_again_changes_nothing(computed: World, tmp_path: Path) -> None:
    other = computed.twin(tmp_path / "world")
    other.compute(FIRST, AS_OF)
    assert_same_gold(other, computed)


def test_runs_out_of_order_converge_to_the_same_bytes(computed: World, ingested: World, tmp_path: Path) -> None:
    other = ingested.twin(tmp_path / "world")
    days = weekdays(FIRST, AS_OF)
    other.compute(days[20], days[-1])
    other.compute(days[0], days[19])
    assert_same_gold(other, computed, days[19])
    other.compute(days[20], days[-1])
    assert_same_gold(other, computed)
