"""From silver to the data_drift rows of ``ops/drift``: a report on steps, from what was known on the day."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import false_discovery_control, ks_2samp, wasserstein_distance

from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.data_drift_days import RECENT, REFERENCE, data_drift_days, data_drift_rows
from pulse_assets.trust.evidence_tables import DRIFT
from pulse_resources.lake import Lake
from pulse_resources.lake.partitions import Partitions
from tests.assets.trust.quality.rows_of import rows_of, walk

FRIDAY, BEFORE = date(2024, 6, 28), date(2024, 5, 31)
WINDOW = REFERENCE + RECENT
FIGURES = ("statistic", "p_value", "q_value", "psi", "wasserstein")


def wilder(count: int, seed: int, times: float) -> np.ndarray:
    """Return a price whose last 90 steps are so many times as large."""
    steps = np.diff(np.log(walk(count, seed)))
    steps[-RECENT:] *= times
    return np.asarray(100 * np.exp(np.cumsum(np.append(0.0, steps))))


def scene() -> pd.DataFrame:
    """Return series of several fates."""
    rng = np.random.default_rng(0)
    calm = [rows_of(walk(600, seed), name=f"s:calm {seed}") for seed in range(6)]
    wild = rows_of(wilder(600, 20, 4.0), name="s:wild")
    short = rows_of(walk(WINDOW, 21), name="s:short")
    just = rows_of(walk(WINDOW + 1, 22), name="s:just enough")
    stopped = rows_of(wilder(600, 23, 4.0), name="s:stopped", last="2024-03-29")
    returns = rows_of(rng.normal(0, 0.01, WINDOW), kind="return", name="s:returns")
    broke = rows_of(np.where(np.arange(600) == 500, 0.0, walk(600, 24)), name="s:broke")
    halted = rows_of(np.full(600, 7.0), name="s:halted")
    young = rows_of(walk(20, 25), name="s:young", last="2024-06-27")
    monthly = [
        rows_of(np.cumsum(rng.normal(size=500) + 3 * (np.arange(500) >= 440)), "MS", "macro", f"s:monthly {seed}")
        for seed in range(2)
    ]
    return pd.concat([*calm, wild, short, just, stopped, returns, broke, halted, young, *monthly], ignore_index=True)


def fill(lake: Lake, frame: pd.DataFrame) -> Lake:
    """Write rows, each in the first weekday partition on which it was known."""
    known = frame["known_at"].dt.tz_localize(None).to_numpy("datetime64[D]")
    days = np.busday_offset(known, 0, roll="forward").astype(object)
    frame = frame.assign(as_of=days, unit="USD", source="s", flags="").sort_values("as_of", kind="stable")
    rows = SERIES.cast(pa.Table.from_pandas(frame, preserve_index=False))
    lake.overwrite(SERIES, rows, Partitions.of("as_of", sorted(set(rows["as_of"].to_pylist()))))
    return lake


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return fill(Lake(str(tmp_path_factory.mktemp("lake")), durable=False), scene())


@pytest.fixture(scope="module")
def rows(filled: Lake) -> pd.DataFrame:
    return data_drift_rows(filled.snapshot(), FRIDAY).to_pandas().set_index("unique_id")


def test_every_known_series_has_one_row_that_the_contract_accepts(filled: Lake) -> None:
    table = data_drift_rows(filled.snapshot(), FRIDAY)
    assert table.schema.names == DRIFT.schema.names
    assert not DRIFT.broken_rules(table)
    assert table["unique_id"].to_pylist() == sorted(set(scene()["unique_id"]))
    assert set(table["as_of"].to_pylist()) == {FRIDAY}
    assert set(table["drift"].to_pylist()) == {"data_drift"}
    assert set(table["model"].to_pylist()) == set(table["direction"].to_pylist()) == {""}
    for unused in ("threshold", "up", "down", "last", "phi", "reference_on", "alarm_on", "reference"):
        assert table[unused].null_count == len(table), unused


def test_what_changed_is_warned_of_and_nothing_ever_alarms(rows: pd.DataFrame) -> None:
    assert rows.loc[["s:wild", "s:monthly 0", "s:monthly 1"], "state"].tolist() == ["warn"] * 3
    assert rows.filter(like="calm", axis=0)["state"].unique().tolist() == ["none"]
    assert rows.loc[["s:just enough", "s:returns", "s:halted"], "state"].tolist() == ["none"] * 3
    assert set(rows["state"]) == {"learning", "none", "warn"}


@pytest.mark.parametrize("name", ["s:short", "s:stopped", "s:broke", "s:young"])
def test_what_cannot_be_compared_is_learning_without_figures(rows: pd.DataFrame, name: str) -> None:
    assert rows.loc[name, "state"] == "learning"
    assert rows.loc[name, list(FIGURES)].isna().all()


def test_targets_are_the_recent_steps(rows: pd.DataFrame) -> None:
    assert rows.loc["s:wild", "targets"] == RECENT
    assert rows.loc["s:young", "targets"] == 19
    assert rows.loc["s:stopped", "targets"] == 0


def test_a_series_that_never_moves_has_no_deviation_to_measure_in(rows: pd.DataFrame) -> None:
    assert rows.loc["s:halted", "statistic"] == 0
    assert np.isnan(rows.loc["s:halted", "wasserstein"])


def test_figures_are_those_of_scipy_on_log_steps(rows: pd.DataFrame) -> None:
    steps = np.diff(np.log(wilder(600, 20, 4.0)))[-WINDOW:]
    before, after = steps[:REFERENCE], steps[REFERENCE:]
    assert rows.loc["s:wild", "statistic"] == ks_2samp(before, after, method="asymp").statistic
    expected = wasserstein_distance(before, after) / before.std()
    assert rows.loc["s:wild", "wasserstein"] == pytest.approx(expected, rel=1e-9)
    assert rows.loc["s:wild", "psi"] > 0.3


def test_each_frequency_is_a_panel_of_its_own(rows: pd.DataFrame) -> None:
    for monthly in (True, False):
        panel = rows[rows.index.str.contains("monthly") == monthly].dropna(subset="p_value")
        np.testing.assert_allclose(panel["q_value"], false_discovery_control(panel["p_value"]), rtol=1e-12)


def test_returns_are_compared_as_they_are(lake: Lake) -> None:
    values = np.random.default_rng(1).normal(0, 0.01, WINDOW)
    values[REFERENCE:] += 0.03
    found = data_drift_rows(fill(lake, rows_of(values, kind="return")).snapshot(), FRIDAY).to_pylist()[0]
    assert found["state"] == "warn"
    assert found["statistic"] == ks_2samp(values[:REFERENCE], values[REFERENCE:], method="asymp").statistic


def test_a_revision_counts_from_the_day_on_which_it_was_known(lake: Lake) -> None:
    told = rows_of(walk(600, 3), name="s:told")
    retold = told.iloc[-WINDOW:].assign(
        y=lambda frame: frame["y"] ** np.where(np.arange(WINDOW) < REFERENCE, 1.0, 3.0),
        known_at=pd.Timestamp("2024-06-28 12:00", tz="UTC"),
    )
    snapshot = fill(lake, pd.concat([told, retold], ignore_index=True)).snapshot()
    thursday, friday = (data_drift_rows(snapshot, day).to_pylist()[0] for day in (date(2024, 6, 27), FRIDAY))
    assert thursday["state"] == "none"
    assert friday["state"] == "warn"
    assert friday["wasserstein"] > 3 * thursday["wasserstein"]


def test_days_of_a_range_and_days_one_by_one_are_the_same(filled: Lake) -> None:
    days = [date(2024, 4, 5), BEFORE, date(2024, 6, 21), FRIDAY]
    whole = list(data_drift_days(filled.snapshot(), days))
    assert all(one.equals(data_drift_rows(filled.snapshot(), day)) for one, day in zip(whole, days, strict=True))
    assert list(data_drift_days(filled.snapshot(), [])) == []


def test_another_future_changes_nothing(filled: Lake, tmp_path: Path) -> None:
    end = pd.Timestamp(BEFORE + timedelta(days=1), tz="UTC")
    frame = scene()
    past, future = frame[frame["known_at"] < end], frame[frame["known_at"] >= end]
    strange = future.assign(y=future["y"] * 1e4).sample(frac=0.7, random_state=1)
    retold = past.sample(frac=0.2, random_state=2).assign(y=1.0, known_at=end)
    newcomer = rows_of(walk(600), name="s:aaa").assign(known_at=end)
    other = fill(Lake(str(tmp_path / "other"), durable=False), pd.concat([newcomer, strange, retold, past]))
    ours = data_drift_rows(filled.snapshot(), BEFORE)
    assert data_drift_rows(other.snapshot(), BEFORE).equals(ours)
    ranged = next(data_drift_days(other.snapshot(), [BEFORE, FRIDAY]))
    assert ranged.equals(ours)


def test_an_empty_lake_gives_no_rows(lake: Lake) -> None:
    table = data_drift_rows(lake.snapshot(), FRIDAY)
    assert table.num_rows == 0
    assert table.schema.names == DRIFT.schema.names
