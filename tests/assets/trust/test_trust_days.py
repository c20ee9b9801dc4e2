"""From scores in a lake to trust: a range is its days one by one, and nothing later changes a day."""

import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pulse_assets.signals.tables import SERIES
from pulse_assets.trust import trust_days as border
from pulse_assets.trust.belief import history
from pulse_assets.trust.tables import CALIBRATED_SCORES, TRUST
from pulse_assets.trust.trust_days import trust_days
from pulse_resources.lake import Lake, TableContract
from pulse_resources.lake.partitions import Partitions, blocks_of, weekdays

MODELS = ("naive", "pulse", "seasonal_naive")
DAYS = weekdays(date(2023, 12, 1), date(2024, 6, 12))
RANGE = weekdays(date(2024, 5, 27), date(2024, 6, 12))
DAILY, WEEKLY, NEW = 40, "w:slow", "d:new"
VERSION = "scores_version"


def scores_of(rng: np.random.Generator, name: str, days: list[date], horizons: int, skill: float) -> pd.DataFrame:
    """Return scores of one series: a truth on each of some days, from all origins that could have seen it coming."""
    index = pd.MultiIndex.from_product([range(len(days)), MODELS, range(1, horizons + 1)], names=["at", "model", "h"])
    rows = index.to_frame(index=False)
    rows = rows[rows["at"] >= rows["h"]].reset_index(drop=True)
    count = len(rows)
    truth = rng.normal(size=len(days))
    wis = rng.lognormal(0, 0.5, count) * np.where(rows["model"] == "pulse", 1 - skill, 1.0)
    stamp = pd.to_datetime([days[k] for k in rows["at"]], utc=True)
    frame = rows.assign(
        as_of=[days[k] for k in rows["at"]],
        origin=[days[k - h] for k, h in zip(rows["at"], rows["h"], strict=True)],
        unique_id=name,
        ds=stamp,
        y=truth[rows["at"]],
        error=rng.normal(size=count),
        wis=wis,
        crps=wis,
        pit=rng.random(count),
        z=rng.normal(size=count),
        model_version="1",
    )
    return frame.drop(columns="at").assign(
        **{f"covered_{level}": rng.random(count) < level / 100 for level in (50, 80, 95)}
    )


def series_of(name: str, freq: str, first: date) -> pd.DataFrame:
    ds = pd.to_datetime([first], utc=True)
    return pd.DataFrame(
        {
            "as_of": [first], "unique_id": name, "ds": ds, "y": 1.0, "known_at": ds + pd.Timedelta(hours=22),
            "kind": "rate", "unit": "percent", "freq": freq, "calendar": "weekday", "source": "f", "flags": "",
        }
    )  # fmt: skip


def write(lake: Lake, contract: TableContract, rows: pa.Table) -> None:
    table = contract.cast(rows)
    days = pc.unique(table["as_of"]).to_pylist()
    lake.overwrite(contract, table, Partitions("as_of", tuple(sorted(days))))


@pytest.fixture(scope="module")
def scores() -> pa.Table:
    rng = np.random.default_rng(0)
    frames = [scores_of(rng, f"d:{k:02d}", DAYS, 2, rng.normal(0.1, 0.2)) for k in range(DAILY)]
    frames.append(scores_of(rng, NEW, DAYS[-12:], 2, 0.1))
    frames.append(scores_of(rng, WEEKLY, DAYS[::5], 4, 0.3))
    return CALIBRATED_SCORES.cast(pa.Table.from_pandas(pd.concat(frames), preserve_index=False))


@pytest.fixture(scope="module")
def history_before(scores: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with everything that is known before the range."""
    folder = tmp_path_factory.mktemp("trust")
    lake = Lake(str(folder), durable=False)
    names = [*(f"d:{k:02d}" for k in range(DAILY)), NEW, WEEKLY]
    silver = pd.concat([series_of(name, "W" if name == WEEKLY else "B", DAYS[0]) for name in names])
    write(lake, SERIES, pa.Table.from_pandas(silver, preserve_index=False))
    write(lake, CALIBRATED_SCORES, scores.filter(pc.less(scores["as_of"], pa.scalar(RANGE[0]))))
    before = [day for day in DAYS if day < RANGE[0]]
    write(lake, TRUST, pa.concat_tables(trust_days(lake.snapshot(), blocks_of(before, 50))))
    return folder


def copied(folder: Path, to: Path) -> Lake:
    shutil.copytree(folder, to)
    return Lake(str(to), durable=False)


def trusted(lake: Lake, blocks: list[list[date]]) -> pa.Table:
    return pa.concat_tables(trust_days(lake.snapshot(), blocks)).drop_columns([VERSION]).combine_chunks()


@pytest.fixture(scope="module")
def whole(history_before: Path, scores: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, pa.Table]:
    lake = copied(history_before, tmp_path_factory.mktemp("whole") / "lake")
    write(lake, CALIBRATED_SCORES, scores)
    return lake, trusted(lake, [RANGE])


def test_a_range_is_its_days_one_by_one(
    whole: tuple[Lake, pa.Table], history_before: Path, scores: pa.Table, tmp_path: Path
) -> None:
    """Each day is computed when nothing later is known, and written before the next."""
    lake = copied(history_before, tmp_path / "lake")
    parts = []
    for day in RANGE:
        write(lake, CALIBRATED_SCORES, scores.filter(pc.equal(scores["as_of"], pa.scalar(day))))
        rows = pa.concat_tables(trust_days(lake.snapshot(), [[day]]))
        write(lake, TRUST, rows)
        parts.append(rows.drop_columns([VERSION]))
    assert pa.concat_tables(parts).combine_chunks().equals(whole[1])


def test_how_days_are_cut_is_no_matter(whole: tuple[Lake, pa.Table], monkeypatch: pytest.MonkeyPatch) -> None:
    lake, rows = whole
    for name, value in (("ROWS_A_READ", 2_000), ("CELL_DAYS", 2_000), ("SERIES_A_PIECE", 7), ("DAYS_A_LOOK", 2)):
        monkeypatch.setattr(border, name, value)
    assert trusted(lake, blocks_of(RANGE, 5)).equals(rows)


def test_the_map_rests_on_earlier_outcomes_and_changes_with_the_month(whole: tuple[Lake, pa.Table]) -> None:
    rows = whole[1].to_pandas()
    by_month = rows.groupby(pd.to_datetime(rows["as_of"]).dt.month)["calibrated_on"].agg(["min", "max"])
    assert (by_month["min"] == by_month["max"]).all()
    assert 200 <= by_month["max"].iloc[0] < by_month["max"].iloc[1]
    known = rows.dropna(subset=["p_raw"])
    assert known["trust"].between(0.02, 0.98).all()
    for _, month in known.groupby(pd.to_datetime(known["as_of"]).dt.month):
        assert (np.diff(month.sort_values("p_raw")["trust"]) >= 0).all()


def test_every_cell_with_a_score_has_a_row_that_keeps_the_contract(whole: tuple[Lake, pa.Table]) -> None:
    rows = whole[1].to_pandas()
    today = rows[rows["as_of"] == RANGE[-1]]
    assert len(today) == (DAILY + 1 + 1) * len(MODELS) * 2
    assert not today.duplicated(["unique_id", "model", "bucket"]).any()
    assert today.loc[today["unique_id"] == WEEKLY, "freq"].eq("W").all()
    assert today.loc[today["unique_id"] == "d:00", "targets"].eq(90).all()


def test_naive_has_no_skill_and_seasonal_naive_is_measured_against_naive(whole: tuple[Lake, pa.Table]) -> None:
    rows = whole[1].to_pandas()
    assert rows.loc[rows["model"] == "naive", ["skill", "p_raw", "trust", "panel_skill"]].isna().all(axis=None)
    assert rows.loc[rows["model"] == "seasonal_naive", "reference"].eq("naive").all()
    assert set(rows.loc[rows["model"] == "pulse", "reference"]) == {"naive", "seasonal_naive"}


def test_a_new_series_is_described_but_not_trusted(whole: tuple[Lake, pa.Table]) -> None:
    rows = whole[1].to_pandas()
    new = rows[(rows["unique_id"] == NEW) & (rows["model"] == "pulse") & (rows["bucket"] == "1")]
    assert new["targets"].tolist() == list(range(1, 12))
    few = new["targets"] < 10
    assert new["skill"].notna().all()
    assert new.loc[few, ["skill_se", "trust", "coverage_80_q", "kupiec_p", "christoffersen_p"]].isna().all(axis=None)
    assert new.loc[~few, "trust"].notna().all()


def test_skill_is_the_ratio_of_sums_of_the_newest_90_truths(whole: tuple[Lake, pa.Table], scores: pa.Table) -> None:
    frame = scores.to_pandas()
    ours = frame[(frame["unique_id"] == "d:03") & (frame["h"] == 1) & (frame["as_of"] <= RANGE[4])]
    wis = ours.pivot_table(index="ds", columns="model", values="wis").iloc[-90:]
    reference = wis[["naive", "seasonal_naive"]].sum().min()
    rows = whole[1].to_pandas()
    row = rows[
        (rows["as_of"] == RANGE[4])
        & (rows["unique_id"] == "d:03")
        & (rows["model"] == "pulse")
        & (rows["bucket"] == "1")
    ].iloc[0]
    assert row["skill"] == pytest.approx(1 - wis["pulse"].sum() / reference, rel=1e-12)
    assert row["recent_targets"] == 30


def test_a_series_that_fell_silent_is_forgotten(whole: tuple[Lake, pa.Table]) -> None:
    lake, _ = whole
    later = DAYS[-1] + timedelta(days=history.span_days("B") + 5)
    later = np.busday_offset(later, 0, roll="forward").astype(object)
    rows = pa.concat_tables(list(trust_days(lake.snapshot(), [[later]])) or [TRUST.empty()])
    assert set(rows["unique_id"].to_pylist()) == {WEEKLY}


def test_no_scores_are_no_rows(lake: Lake) -> None:
    write(lake, SERIES, pa.Table.from_pandas(series_of("d:00", "B", DAYS[0]), preserve_index=False))
    assert list(trust_days(lake.snapshot(), [RANGE])) == []
