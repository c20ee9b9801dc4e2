"""A small real lake that tests of simulation share: a folder of files, brought to silver by the real jobs.

Three assets, a volatility on a log scale and a monthly series, all random walks. Only the clock is fixed.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jobs.definitions import build_definitions
from pulse_assets.simulation.tables import DIVERGENCE, RULE_AUDIT, RUNS, SIMULATION_RISK, SIMULATIONS
from pulse_resources.compute import Compute
from pulse_resources.lake import Lake, TableContract
from pulse_resources.lake.resource import DeltaLake
from pulse_resources.market import Market

BRONZE = ("bronze/market_bars", "bronze/macro_vintages", "bronze/quarantine", "ops/ingests")
WRITTEN = (SIMULATIONS, SIMULATION_RISK, RULE_AUDIT, DIVERGENCE, RUNS)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
FIRST_PRICE, LAST_PRICE = "2017-10-02", "2020-06-30"
Files = dict[str, pd.DataFrame]

SOURCES = {
    "f": {"unit": "USD", "freq": "B"},
    "m": {"kind": "rate", "unit": "percent per year", "freq": "MS"},
    "v": {"kind": "volatility", "unit": "percent per year", "freq": "B"},
}

RULE = """
rules:
  - id: losses_go_on
    version: 1
    when: change(alpha, 1) < -0.02
    effects: [{target: alpha, shock: -0.001}]
    cooldown: 3
    rationale: a rule that fires in every run of any size
    source: this test
"""


@dataclass(frozen=True)
class SmallLake:
    """A lake and the folder that feeds it."""

    root: Path

    @property
    def lake(self) -> Lake:
        """The lake, open to look into."""
        return Lake(str(self.root / "lake"), durable=False)

    def deliver(self, files: Files) -> None:
        """Replace the files of the source and let the bronze job look at them."""
        folder = self.root / "files"
        shutil.rmtree(folder, ignore_errors=True)
        write(files, folder)
        assert self._launch("market_daily", BRONZE, None, {}, Compute()).success

    def make_silver(self, day: date) -> None:
        """Bring silver up to date for a day and all before it."""
        assert self._launch("run_range", ("silver/series",), (day, day), {}, Compute()).success

    def simulate(
        self, first: date, last: date | None = None, compute: Compute | None = None, **config: object
    ) -> dg.ExecuteInProcessResult:
        """Simulate a range of days through the job, 512 paths of 5 steps without rules unless told otherwise."""
        wanted = {"rules": "none", "paths": 512, "steps": 5, "seed": 7} | config
        days = first, last or first
        names = tuple(contract.name for contract in WRITTEN)
        configs = {"ops": {"simulate": {"config": wanted}}}
        return self._launch("simulate_daily", names, days, configs, compute or Compute())

    def rows(self, contract: TableContract, *days: date) -> pa.Table:
        """Return the rows of some days, in order of their keys."""
        rows = self.lake.read(contract, where=pc.is_in(pc.field("as_of"), pa.array(days, pa.date32())))
        return rows.sort_by([(name, "ascending") for name in contract.key])

    def runs(self, day: date) -> dict[str, dict[str, object]]:
        """Return the runs of a day by scenario."""
        return {row["scenario"]: row for row in self.rows(RUNS, day).to_pylist()}

    def twin(self, root: Path) -> "SmallLake":
        """Copy everything into another folder."""
        shutil.copytree(self.root, root)
        return SmallLake(root)

    def _launch(
        self,
        job: str,
        tables: tuple[str, ...],
        days: tuple[date, date] | None,
        config: Mapping[str, object],
        compute: Compute,
    ) -> dg.ExecuteInProcessResult:
        sources = [
            {"use": "folder", "name": name, "path": str(self.root / "files" / name)} | traits
            for name, traits in SOURCES.items()
        ]
        definitions = build_definitions(
            lake=DeltaLake(root=self.lake.root, durable=False),
            compute=compute,
            market=Market(source_entries=sources, now="2020-08-01T00:00:00+00:00"),
        )
        ends = zip(("start", "end"), days, strict=True) if days else ()
        tags = {f"dagster/asset_partition_range_{end}": str(day) for end, day in ends}
        whole = definitions.resolve_job_def(job)
        keys = {dg.AssetKey(name.split("/")) for name in tables}
        graph = whole.asset_layer.asset_graph
        checks = {check for check in graph.get_check_keys_for_assets(keys) if graph.get(check).blocking}
        part = whole.get_subset(asset_selection=keys, asset_check_selection=checks & set(graph.asset_check_keys))
        with dg.DagsterInstance.ephemeral() as instance:
            return part.execute_in_process(
                instance=instance, tags=tags, run_config=QUIET | dict(config), raise_on_error=False
            )


def write(files: Files, folder: Path) -> None:
    """Write frames as CSV files; names may have a folder."""
    for name, frame in files.items():
        path = folder / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(path, index=False)


def past() -> Files:
    """Return three prices, a volatility and a monthly rate, told until the middle of 2020."""
    rng = np.random.default_rng(11)
    days = pd.bdate_range(FIRST_PRICE, LAST_PRICE)
    months = pd.date_range("2010-01-01", LAST_PRICE, freq="MS")
    fear = np.exp(3 + _reverting(rng, len(days), 0.95, 0.08))
    rate = 4 + _reverting(rng, len(months), 0.97, 0.2)
    prices = {f"f/{name}": _bars(rng, days) for name in ("alpha", "beta", "gamma")}
    return prices | {
        "v/fear": pd.DataFrame({"ds": days.strftime("%Y-%m-%d"), "value": fear}),
        "m/rate": pd.DataFrame({"ds": months.strftime("%Y-%m-%d"), "value": rate}).assign(
            known_at=(months + pd.Timedelta(days=14, hours=13)).strftime("%Y-%m-%dT%H:%M:%SZ")
        ),
    }


def _bars(rng: np.random.Generator, days: pd.DatetimeIndex) -> pd.DataFrame:
    closes = 100 * np.exp(np.cumsum(rng.standard_t(6, len(days)) * 0.01))
    return pd.DataFrame({"ds": days.strftime("%Y-%m-%d"), "close": closes})


def _reverting(rng: np.random.Generator, count: int, phi: float, sigma: float) -> np.ndarray:
    found = np.zeros(count)
    for t in range(1, count):
        found[t] = phi * found[t - 1] + sigma * rng.normal()
    return found
