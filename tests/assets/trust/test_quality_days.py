"""From silver to ``ops/data_quality``: every known series each day, and nothing of what came later."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pulse_assets.signals.tables import SERIES
from pulse_assets.trust.evidence_tables import DATA_QUALITY
from pulse_assets.trust.quality_days import quality_days
from pulse_resources.lake import Lake
from pulse_resources.lake.partitions import Partitions, blocks_of, weekdays
from tests.assets.trust.quality.rows_of import rows_of, walk

FIRST, LAST = date(2024, 6, 3), date(2024, 6, 28)
DAYS = weekdays(FIRST, LAST)


def silver(frame: pd.DataFrame) -> pa.Table:
    """Return rows of the table, each in the first weekday partition on which it was known."""
    known = frame["known_at"].dt.tz_localize(None).to_numpy("datetime64[D]")
    days = np.busday_offset(known, 0, roll="forward").astype(object)
    frame = frame.assign(as_of=days, unit="USD", source="s", flags="").sort_values("as_of", kind="stable")
    return SERIES.cast(pa.Table.from_pandas(frame, preserve_index=False))


def scene() -> pd.DataFrame:
    """Return series of several fates, and one whose past is told again."""
    sound = rows_of(walk(300), name="s:sound")
    stopped = rows_of(walk(300, 1), name="s:stopped", last="2024-06-05")
    young = rows_of(walk(10, 2), name="s:young")
    jumping = rows_of(np.append(walk(100, 3), 100 * walk(10, 4)), name="s:jumping")
    monthly = rows_of(walk(100, 5), "MS", "macro", "s:monthly")
    again = monthly.iloc[-12:-2].assign(y=lambda f: f["y"] * 1.1, known_at=pd.Timestamp("2024-06-17 12:00", tz="UTC"))
    return pd.concat([sound, stopped, young, jumping, monthly, again], ignore_index=True)


@pytest.fixture
def filled(lake: Lake) -> Lake:
    return fill(lake, scene())


def fill(lake: Lake, frame: pd.DataFrame) -> Lake:
    rows = silver(frame)
    lake.overwrite(SERIES, rows, Partitions.of("as_of", sorted(set(rows["as_of"].to_pylist()))))
    return lake


def measured(lake: Lake, blocks: list[list[date]]) -> pa.Table:
    return pa.concat_tables(quality_days(lake.snapshot(), blocks))


def as_bytes(rows: pa.Table) -> bytes:
    """Return all bits of a table, however it is chunked."""
    whole = pa.Table.from_pylist(rows.to_pylist(), rows.schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, whole.schema) as stream:
        stream.write_table(whole)
    return bytes(sink.getvalue().to_pybytes())


def test_every_series_has_one_row_from_the_day_on_which_it_is_known(filled: Lake) -> None:
    rows = DATA_QUALITY.cast(measured(filled, [DAYS]))
    assert not DATA_QUALITY.broken_rules(rows)
    frame = rows.to_pandas()
    since = {"s:young": date(2024, 6, 17)}
    expected = {(day, name) for day in DAYS for name in set(scene()["unique_id"]) if day >= since.get(name, FIRST)}
    assert set(zip(frame["as_of"], frame["unique_id"], strict=True)) == expected
    assert len(frame) == len(expected)
    assert frame[["as_of", "unique_id"]].equals(frame[["as_of", "unique_id"]].sort_values(["as_of", "unique_id"]))


def test_fates_show_as_flags_and_numbers(filled: Lake) -> None:
    frame = measured(filled, [DAYS]).to_pandas().set_index(["unique_id", "as_of"])
    assert frame.loc["s:sound", "flags"].unique().tolist() == [""]
    assert frame.loc["s:sound", "quality"].unique().tolist() == [1.0]
    newest = frame.xs(LAST, level="as_of")["flags"]
    assert newest["s:stopped"] == "DQ_STALE DQ_GAPS"
    assert newest["s:jumping"] == "DQ_UNIT_JUMP"
    assert frame.loc[("s:young", date(2024, 6, 19)), "flags"] == "DQ_SHORT"
    rates = frame.loc["s:monthly", "revision_rate"]
    assert rates.loc[: date(2024, 6, 14)].max() == 0
    assert rates.loc[date(2024, 6, 17) :].min() == pytest.approx(10 / 24)


def test_missing_numbers_are_null(filled: Lake) -> None:
    rows = measured(filled, [DAYS])
    young = rows.filter(pc.equal(rows["unique_id"], "s:young"))
    assert young["jump_z"].slice(0, 3).null_count == 3
    assert young["revision_size"].null_count == len(young)
    assert rows["quality"].null_count == 0


def test_blocks_and_days_one_by_one_give_the_same_bytes(filled: Lake) -> None:
    whole = as_bytes(measured(filled, [DAYS]))
    assert as_bytes(measured(filled, blocks_of(DAYS, 3))) == whole
    assert as_bytes(pa.concat_tables(measured(filled, [[day]]) for day in DAYS)) == whole


def test_another_future_changes_no_byte(filled: Lake, tmp_path: object) -> None:
    day = date(2024, 6, 14)
    end = pd.Timestamp(day + timedelta(days=1), tz="UTC")
    frame = scene()
    past, future = frame[frame["known_at"] < end], frame[frame["known_at"] >= end]
    strange = future.assign(y=future["y"] * 1e4).sample(frac=0.7, random_state=1)
    retold = past.sample(frac=0.2, random_state=2).assign(y=-1.0, known_at=end)
    newcomer = rows_of(walk(9), name="s:aaa", last="2024-06-27")
    other = fill(Lake(f"{tmp_path}/other", durable=False), pd.concat([newcomer, strange, retold, past]))
    before = [one for one in DAYS if one <= day]
    ours = measured(filled, [before])
    assert as_bytes(measured(other, [before])) == as_bytes(ours)
    later = measured(other, [DAYS])
    assert as_bytes(later.filter(pc.less_equal(later["as_of"], pa.scalar(day)))) == as_bytes(ours)


def test_an_empty_lake_gives_no_rows(lake: Lake) -> None:
    assert measured(lake, [DAYS]).num_rows == 0


def test_silver_is_read_once(filled: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    read = Lake.read
    monkeypatch.setattr(Lake, "read", lambda self, contract, **wish: looks.append(wish) or read(self, contract, **wish))
    measured(filled, blocks_of(DAYS, 5))
    assert len(looks) == 1
