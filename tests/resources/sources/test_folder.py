"""A folder of files: which are read, as what, and when it counts as changed."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pulse_resources.errors import ConfigError
from pulse_resources.sources.folder import FolderSource
from pulse_resources.sources.protocol import Delivery, Source


def deliveries(folder: Path, **options: object) -> list[Delivery]:
    return list(FolderSource("mine", str(folder), **options).fetch({}))  # type: ignore[arg-type]


def only(folder: Path, **options: object) -> Delivery:
    (delivery,) = deliveries(folder, **options)
    return delivery


def test_it_is_a_source(tmp_path: Path) -> None:
    assert isinstance(FolderSource("mine", str(tmp_path)), Source)


def test_csv_and_parquet_files_are_read_in_order_of_their_names_below_the_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "B.CSV").write_text("date,close\n2024-06-03,1\n")
    (tmp_path / "deep" / "c.csv").write_text("date,close\n2024-06-03,1\n")
    pq.write_table(pa.table({"date": ["2024-06-03"], "close": [1.0]}), tmp_path / "a.parquet")
    (tmp_path / "notes.txt").write_text("no rows here")
    assert [delivery.origin for delivery in deliveries(tmp_path)] == ["B.CSV", "a.parquet", "deep/c.csv"]


def test_the_file_name_is_the_id_where_there_is_no_column_for_it(tmp_path: Path) -> None:
    (tmp_path / "AAA.csv").write_text("date,close\n2024-06-03,1\n")
    assert only(tmp_path).rows.to_pylist() == [{"ds": "2024-06-03", "close": "1", "symbol": "AAA"}]


@pytest.mark.parametrize(
    ("header", "table", "names"),
    [
        ("Date,Ticker,Open,High,Low,Close,Volume", "market_bars", "ds symbol open high low close volume"),
        ("timestamp,symbol,Adj Close", "market_bars", "ds symbol close"),
        ("ds,unique_id,y", "macro_vintages", "ds series_id value"),
        ("Day,Name,Value,known_at", "macro_vintages", "ds series_id value known_at"),
        ("date,id,price,y", "market_bars", "ds symbol close value"),
    ],
)
def test_usual_column_names_are_understood(tmp_path: Path, header: str, table: str, names: str) -> None:
    (tmp_path / "a.csv").write_text(header + "\n" + ",".join("1" for _ in header.split(",")) + "\n")
    delivery = only(tmp_path)
    assert delivery.table == table
    assert set(delivery.rows.column_names) == set(names.split())


def test_configured_columns_win_over_usual_ones(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("date,settle,close\n2024-06-03,5,1\n")
    assert only(tmp_path, columns={"close": "settle"}).rows["close"].to_pylist() == ["5"]


def test_a_configured_column_that_is_not_there_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("date,close\n2024-06-03,1\n")
    assert "close" not in only(tmp_path, columns={"close": "settle"}).rows.column_names


def test_a_price_is_what_bars_hold_unless_said_otherwise(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text("date,close\n2024-06-03,1\n")
    (tmp_path / "series.csv").write_text("date,value\n2024-06-03,1\n")
    assert [delivery.traits.kind for delivery in deliveries(tmp_path)] == ["price", "other"]
    assert {delivery.traits.kind for delivery in deliveries(tmp_path, kind="rate")} == {"rate"}


def test_traits_are_those_configured(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("date,close\n2024-06-03,1\n")
    traits = only(tmp_path, unit="EUR", freq="B", calendar="XETR", lag_hours=18).traits
    assert (traits.unit, traits.freq, traits.calendar, traits.lag_hours) == ("EUR", "B", "XETR", 18.0)


def test_a_frame_that_pandas_stored_with_its_index_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"close": [1.0]}, index=pd.Index([datetime(2024, 6, 3, tzinfo=UTC)], name="date"))
    frame.to_parquet(tmp_path / "AAA.parquet")
    assert set(only(tmp_path).rows.column_names) == {"ds", "close", "symbol"}


def test_a_link_within_the_folder_is_followed_and_one_out_of_it_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for place in (folder / "real.csv", tmp_path / "secret.csv"):
        place.write_text("date,close\n2024-06-03,1\n")
    (folder / "inside.csv").symlink_to("real.csv")
    (folder / "outside.csv").symlink_to("../secret.csv")
    found = {delivery.origin: delivery for delivery in deliveries(folder)}
    assert len(found["inside.csv"].rows) == 1
    assert len(found["outside.csv"].rows) == 0
    assert [problem.reason for problem in found["outside.csv"].problems] == ["link_outside_folder"]


def test_a_folder_that_is_itself_a_link_is_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("date,close\n2024-06-03,1\n")
    (tmp_path / "link").symlink_to("data")
    assert len(only(tmp_path / "link").rows) == 1


def test_a_file_name_that_is_no_utf8_can_be_stored(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).write_text("date,close\n2024-06-03,1\n")
    delivery = only(tmp_path)
    assert delivery.origin == "caf\\xe9.csv"
    assert delivery.rows["symbol"].to_pylist() == ["caf\\xe9"]
    assert FolderSource("mine", str(tmp_path)).fingerprint()


def test_the_fingerprint_tells_every_change_and_nothing_else(tmp_path: Path) -> None:
    def state(**options: object) -> str:
        return FolderSource("mine", str(tmp_path), **options).fingerprint()  # type: ignore[arg-type]

    (tmp_path / "a.csv").write_text("date,close\n2024-06-03,1\n")
    seen = [state()]
    assert state() == seen[0]
    (tmp_path / "notes.txt").write_text("not read")
    assert state() == seen[0]
    (tmp_path / "a.csv").write_text("date,close\n2024-06-03,12\n")
    seen.append(state())
    os.utime(tmp_path / "a.csv", (1, 1))
    seen.append(state())
    (tmp_path / "a.csv").rename(tmp_path / "b.csv")
    seen.append(state())
    (tmp_path / "c.csv").write_text("")
    seen.append(state())
    seen.append(state(unit="EUR"))
    seen.append(state(columns={"close": "settle"}))
    assert len(set(seen)) == len(seen)


def test_an_empty_folder_delivers_nothing(tmp_path: Path) -> None:
    assert deliveries(tmp_path) == []


def test_a_folder_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone is no folder; create it or mend `path`"):
        FolderSource("mine", str(tmp_path / "gone"))


def test_a_column_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"columns \['price'\] are none of ours; ours are \['close'"):
        FolderSource("mine", str(tmp_path), columns={"price": "settle"})
