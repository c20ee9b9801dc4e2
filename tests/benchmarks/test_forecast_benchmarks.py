"""The forecast benchmarks on tiny panels: what they print and how they score; never how long anything took."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.forecast_accuracy import Scale, laid_out, last_season, read_panel, score
from benchmarks.forecast_scale import short
from benchmarks.forecast_speed import synthetic

SCORES = {"smape", "mase", "owa", "msis", "coverage_80", "coverage_95", "cpu_s", "n_series"}
RATIOS = {"owa_vs_autoets", "owa_vs_ensemble", "msis_vs_autoets", "msis_vs_ensemble"}
HORIZON = 4


def printed(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *options: str
) -> list[dict]:
    """Run a benchmark's main and return its rows; it must print one JSON object and nothing else."""
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(sys, "argv", [name, *options, "--json"])
    module.main()
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"name", "machine", "rows"}
    assert report["name"] == name
    assert all(set(row) == {"metric", "value", "unit", "peer", "note"} for row in report["rows"])
    assert all(np.isfinite(row["value"]) for row in report["rows"])
    return report["rows"]


def metrics(rows: list[dict], peer: str = "") -> set[str]:
    """Return the names of the metrics of ours or of one peer."""
    return {row["metric"] for row in rows if row["peer"] == peer}


@pytest.fixture
def values() -> np.ndarray:
    """Three short monthly series and a constant one, shape ``(4, 40)``."""
    return np.concatenate([synthetic(3, 40, 12), np.full((1, 40), 5.0)])


@pytest.fixture
def panel(tmp_path: Path, values: np.ndarray) -> Path:
    """A Parquet file of the series, rows in no order, one value missing."""
    series, length = values.shape
    ids, steps = np.repeat([f"s{k}" for k in range(series)], length), np.tile(np.arange(length), series)
    y = values.ravel().copy()
    y[3] = np.nan
    mixed = np.random.default_rng(3).permutation(len(y))
    path = tmp_path / "panel.parquet"
    pq.write_table(pa.table({"unique_id": ids[mixed], "ds": steps[mixed], "y": y[mixed]}), path)
    return path


def test_last_steps_are_the_test_and_no_history_holds_them(panel: Path, values: np.ndarray) -> None:
    read = read_panel(panel, HORIZON)
    assert read.ids == ["s0", "s1", "s2", "s3"]
    np.testing.assert_array_equal(read.truth, values[:, -HORIZON:])
    assert [len(y) for y in read.histories] == [35, 36, 36, 36]
    assert read.table.num_rows == 35 + 3 * 36


def test_split_column_says_what_is_the_test(panel: Path, values: np.ndarray) -> None:
    """A series with too few truths is left out with a note, but its history stays in the table."""
    table = pq.read_table(panel)
    named, step = table["unique_id"].to_numpy(zero_copy_only=False), table["ds"].to_numpy()
    split = np.where((step >= 30) & ((named != "s2") | (step >= 38)), "test", "train")
    pq.write_table(table.append_column("split", pa.array(split)), panel)
    read = read_panel(panel, HORIZON)
    assert read.ids == ["s0", "s1", "s3"]
    np.testing.assert_array_equal(read.truth, values[[0, 1, 3], 30:34])
    assert read.table.num_rows == 29 + 30 + 38 + 30
    assert read.left_out == (f"1 series not scored: no history or fewer than {HORIZON} truths",)


def test_sample_depends_on_ids_alone(panel: Path) -> None:
    read = read_panel(panel, HORIZON)
    few = read.sample(2)
    assert few.ids == read.take(np.array([3, 2, 1, 0])).sample(2).ids[::-1]
    assert few.table.num_rows == read.table.num_rows
    assert read.sample(None).ids == read.ids


def test_perfect_forecast_scores_zero_and_covers(panel: Path) -> None:
    read = read_panel(panel, HORIZON).take(np.arange(3))
    made = np.repeat(read.truth[:, :, None], 5, axis=2)
    scores = score(read, Scale.of(read, 12), made)
    assert scores == {"smape": 0, "mase": 0, "owa": 0, "msis": 0, "coverage_80": 1, "coverage_95": 1}


def test_rows_of_the_engine_find_their_series(panel: Path) -> None:
    """One that the engine left out is not a number; the forecast that replaces it repeats the last season."""
    read = read_panel(panel, 2).take(np.array([0, 2]))
    columns = ("q500", "q025", "q100", "q900", "q975")
    rows = pa.table({"unique_id": ["s1", "s1", "s2", "s2"]} | {name: [1.0, 2.0, 3.0, 4.0] for name in columns})
    made = laid_out(rows, read)
    assert np.isnan(made[0]).all()
    np.testing.assert_array_equal(made[1], [[3.0] * 5, [4.0] * 5])
    np.testing.assert_array_equal(last_season([np.arange(5.0)], 2, 3)[0, :, 0], [3.0, 4.0, 3.0])
    np.testing.assert_array_equal(last_season([np.array([7.0])], 12, 2)[0, :, 0], [7.0, 7.0])


def test_first_synthetic_series_stay_when_more_are_asked_for() -> None:
    np.testing.assert_array_equal(synthetic(3, 20, 4), synthetic(5_000, 20, 4)[:3])
    assert (synthetic(50, 20, 4) > 0).all()


def test_sizes_are_short_in_names() -> None:
    assert [short(size) for size in (1_000, 100_000, 1_500)] == ["1k", "100k", "1500"]


@pytest.mark.slow
def test_accuracy_prints_ours_and_every_peer(
    panel: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The constant series has nothing to be measured against and is left out with a note."""
    options = (str(panel), "--freq", "MS", "--season", "1", "--horizon", str(HORIZON), "--peers", "--sample", "2")
    rows = printed("forecast_accuracy", capsys, monkeypatch, *options)
    assert metrics(rows) == SCORES
    for peer in ("SeasonalNaive", "AutoETS", "ensemble"):
        assert metrics(rows, f"statsforecast {peer}") - RATIOS == SCORES
    assert {row["metric"] for row in rows} == SCORES | RATIOS
    assert all(row["value"] == 2 for row in rows if row["metric"] == "n_series")
    assert next(row["note"] for row in rows if row["metric"] == "n_series").startswith("1 series not scored")


@pytest.mark.slow
def test_accuracy_needs_no_peer(
    panel: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (str(panel), "--freq", "MS", "--season", "12", "--horizon", str(HORIZON), "--engine-season", "6")
    rows = printed("forecast_accuracy", capsys, monkeypatch, *options)
    assert [row["metric"] for row in rows] == list(dict.fromkeys(row["metric"] for row in rows))
    assert metrics(rows) == SCORES


@pytest.mark.slow
def test_speed_prints_ratios_of_a_panel(
    panel: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (
        "--panel",
        str(panel),
        "--freq",
        "MS",
        "--horizon",
        "2",
        "--season",
        "1",
        "--sample",
        "2",
        "--rounds",
        "1",
    )
    rows = printed("forecast_speed", capsys, monkeypatch, *options)
    ratios = {"vs_autoets", "vs_ensemble", "vs_theta", "vs_dot"}
    assert {row["metric"] for row in rows} == ratios | {"us_per_series", "cold_start_s"}
    assert {row["metric"] for row in rows if row["peer"]} == ratios


@pytest.mark.slow
def test_speed_measures_each_shape(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics without a suffix are of the shape where we gain least."""
    plans = (("yearly", "YS", 20, 3, 1, 20, 2), ("monthly", "MS", 40, 3, 4, 10, 1))
    monkeypatch.setattr("benchmarks.forecast_speed.PLANS", plans)
    monkeypatch.setattr("benchmarks.forecast_speed.cold_start", lambda rounds: float(rounds))
    rows = printed("forecast_speed", capsys, monkeypatch, "--rounds", "1")
    found = {row["metric"]: row["value"] for row in rows}
    for metric in ("vs_autoets", "vs_ensemble", "vs_theta", "vs_dot"):
        assert found[metric] == min(found[f"{metric}_yearly"], found[f"{metric}_monthly"])
    assert {"us_per_series_yearly", "us_per_series_monthly", "cold_start_s"} <= set(found)


@pytest.mark.slow
def test_backfill_prints_growth_and_cross_validation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.forecast_backfill.DAYS", 1_100)
    monkeypatch.setattr("benchmarks.forecast_backfill.PEER_SERIES", 1)
    rows = printed("forecast_backfill", capsys, monkeypatch, "--series", "3", "--rounds", "1")
    found = {row["metric"] for row in rows}
    assert {"cutoffs_10_vs_1", "cutoffs_100_vs_1", "cutoffs_1000_vs_1", "rows_per_cpu_s"} <= found
    assert {"vs_cross_validation", "vs_cross_validation_frozen", "cross_validation_ms", "update_vs_refit"} <= found


@pytest.mark.slow
def test_scale_names_metrics_after_sizes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = printed("forecast_scale", capsys, monkeypatch, "--series", "20,1000")
    sizes = {f"{metric}_{size}" for metric in ("seconds", "cpu_s", "rss_gib") for size in ("20", "1k")}
    assert {row["metric"] for row in rows} == sizes | {"linearity"}


def test_missing_panel_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        printed("forecast_speed", capsys, monkeypatch, "--panel", str(tmp_path / "nothing.parquet"), "--rounds", "1")
    assert "no panel at" in capsys.readouterr().err


def test_coverage_counts_what_past_intervals_caught(
    panel: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--freq", "MS", "--horizon", str(HORIZON), "--cutoffs", "3")
    rows = printed("forecast_coverage", capsys, monkeypatch, str(panel), *options)
    assert metrics(rows) == {"coverage_80", "coverage_95", "worst_origin_95", "hits_1", "hits_5"}
    found = {row["metric"]: row["value"] for row in rows}
    assert 0 <= found["coverage_80"] <= found["coverage_95"] <= 1
    assert found["worst_origin_95"] <= found["coverage_95"]
    assert found["hits_1"] <= found["hits_5"]
