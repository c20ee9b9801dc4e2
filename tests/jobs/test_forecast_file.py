"""``pulse forecast`` takes files as people have them; what it cannot take it refuses in one clear line."""

import contextlib
import io
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from jobs import terminal
from jobs.cli import main
from jobs.forecast_file import Request, forecast_file
from jobs.long_table import Names, long_table
from jobs.stamps import numbers, stamps
from jobs.terminal import OK, REFUSED, USAGE
from pulse_assets.forecasting.frames import REASONS
from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_resources.errors import ConfigError

DAYS = pd.date_range("2024-01-01", periods=70, freq="D")
Y = (100 + 10 * np.sin(np.arange(70) * 2 * np.pi / 7) + np.random.default_rng(3).normal(0, 1, 70)).round(2)
LONG = pd.DataFrame({"unique_id": "a", "ds": DAYS, "y": Y})


@dataclass(frozen=True)
class Said:
    """How the command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def is_one_clear_line(self) -> bool:
        """Say whether there was one message, on one line, and no traceback."""
        return "Traceback" not in self.out + self.err and self.err.count("\n") == 1 == self.err.count("Error: ")


def pulse(*words: object) -> Said:
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.object(sys, "argv", ["pulse", *map(str, words)]),
        patch.object(terminal, "console", Console(highlight=False, width=300)),
        patch.object(terminal, "problems", Console(stderr=True, highlight=False, width=80)),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            main()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


def lines(form: str, *, head: str = "ds,y", between: str = ",", days: pd.DatetimeIndex = DAYS) -> str:
    rows = [f"{day.strftime(form)}{between}{value}" for day, value in zip(days, Y, strict=False)]
    return "\n".join([head, *rows]) + "\n"


def forecast_of(path: Path, **options: object) -> pd.DataFrame:
    return forecast_file(Request(path, 3, **options)).made.rows.to_pandas()  # type: ignore[arg-type]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.csv"
    LONG.to_csv(path, index=False)
    return path


def test_a_long_csv_is_forecast_and_said_in_a_table(good: Path) -> None:
    said = pulse("forecast", good, "--freq", "D", "--horizon", 14)
    assert (said.code, said.err) == (OK, "")
    assert "series from 'unique_id', time from 'ds', values from 'y', daily, kind other" in said.out
    assert re.search(r"unique_id +h +ds +q025 +q500 +q975", said.out)
    assert re.search(r"a +14 +2024-03-24 +[\d.]+ +[\d.]+ +[\d.]+", said.out)
    assert "What the forecast of a is made of" in said.out


def test_rows_beyond_the_limit_are_counted(good: Path) -> None:
    said = pulse("forecast", good, "--horizon", 14, "--limit", 3)
    assert "… 11 more rows (--limit)" in said.out


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_the_output_holds_every_quantile_of_the_same_forecast(good: Path, name: str) -> None:
    target = good.with_name(name)
    assert pulse("forecast", good, "--horizon", 3, "--output", target).code == OK
    came = pd.read_csv(target, parse_dates=["ds"]) if name.endswith("csv") else pd.read_parquet(target)
    expected = forecast_of(good)
    assert list(came.columns) == ["unique_id", "h", "ds", "mean", *QUANTILE_COLUMNS]
    assert list(came["ds"]) == list(expected["ds"]) == list(pd.date_range("2024-03-11", periods=3))
    np.testing.assert_allclose(came["q500"], expected["q500"], rtol=1e-12)
    assert list(came["unique_id"]) == ["a"] * 3


def test_the_picture_is_a_png(good: Path) -> None:
    said = pulse("forecast", good, "--horizon", 3, "--plot", good.with_name("out.png"))
    assert f"drew 1 series to {good.with_name('out.png')}" in said.out
    assert good.with_name("out.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


READINGS: dict[str, str | Callable[[Path], None]] = {
    "no id.csv": lines("%Y-%m-%d"),
    "other names.csv": lines("%Y-%m-%d", head="Day,Close"),
    "guess.csv": lines("%Y-%m-%d", head="when,litres"),
    "german.csv": re.sub(r"\.(\d+)$", r",\1", lines("%d.%m.%Y", head="Datum;Umsatz", between=";"), flags=re.MULTILINE),
    "american.csv": lines("%m/%d/%Y"),
    "british.csv": lines("%d/%m/%Y"),
    "months in words.csv": lines("%d-%b-%Y"),
    "numbers of days.csv": lines("%Y%m%d"),
    "with times.csv": lines("%Y-%m-%d %H:%M:%S"),
    "in utc.csv": lines("%Y-%m-%dT%H:%M:%SZ"),
    "tabs.tsv": lines("%Y-%m-%d", head="ds\ty", between="\t"),
    "byte order mark.csv": "\ufeff" + lines("%Y-%m-%d"),
    "blank ends.csv": lines("%Y-%m-%d") + ",\n,\n",
    "bars.csv": re.sub(r",([\d.]+)$", r",1,2,0.5,\1,77", lines("%Y-%m-%d"), flags=re.MULTILINE).replace(
        "ds,y", "Date,Open,High,Low,Adj Close,Volume"
    ),
    "row numbers.csv": LONG[["ds", "y"]].to_csv(),
    "row ids.csv": LONG.assign(id=range(70)).drop(columns="unique_id").to_csv(index=False),
    "index.parquet": lambda path: LONG.set_index("ds")[["y"]].to_parquet(path),
    "zone.parquet": lambda path: LONG.assign(ds=DAYS.tz_localize("Europe/Berlin")).to_parquet(path),
    "decimals.parquet": lambda path: LONG.assign(y=LONG["y"].map(lambda y: f"{y:.2f}")).to_parquet(path),
}


@pytest.mark.parametrize("name", READINGS)
def test_one_daily_series_is_read_the_same_however_it_is_written(tmp_path: Path, name: str) -> None:
    path, content = tmp_path / name, READINGS[name]
    path.write_text(content, encoding="utf-8") if isinstance(content, str) else content(path)
    came, expected = forecast_of(path, kind="other"), forecast_of_long(tmp_path)
    assert list(came["ds"]) == list(expected["ds"])
    np.testing.assert_allclose(came["q500"], expected["q500"], rtol=0.01)  # the hash of the id breaks ties


def forecast_of_long(folder: Path) -> pd.DataFrame:
    LONG.to_parquet(folder / "expected.parquet")
    return forecast_of(folder / "expected.parquet")


@pytest.mark.parametrize(
    ("form", "freq", "looks", "next_stamp"),
    [
        ("%Y-%m", "MS", "monthly", "2029-11-01"),
        ("%Y-%m-%d", "W", "weekly", "2025-05-11"),
        ("%Y-%m-%d", "B", "daily on weekdays", "2024-04-08"),
        ("%Y-%m-%d %H:%M", "h", "hourly", "2024-01-03 22:00:00"),
    ],
)
def test_the_frequency_is_what_the_first_series_looks_like(
    tmp_path: Path, form: str, freq: str, looks: str, next_stamp: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(lines(form, days=pd.date_range("2024-01-01", periods=70, freq=freq)))
    said = pulse("forecast", path, "--horizon", 1)
    assert f"values from 'y', {looks}, kind other" in said.out
    assert next_stamp in said.out


def test_quarters_years_steps_and_seconds_are_times(tmp_path: Path) -> None:
    pairs = {
        "q": [f"{2000 + k // 4}Q{k % 4 + 1}" for k in range(40)],
        "year": [str(1960 + k) for k in range(40)],
        "ts": [str(1_704_067_200 + 3_600 * k) for k in range(40)],
    }
    ends = {}
    for name, texts in pairs.items():
        path = tmp_path / f"{name}.csv"
        path.write_text(f"{name},v\n" + "".join(f"{text},{y}\n" for text, y in zip(texts, Y, strict=False)))
        ends[name] = str(forecast_of(path)["ds"].iloc[0])
    assert ends == {"q": "2010-01-01 00:00:00", "year": "2000", "ts": "2024-01-02 16:00:00"}
    assert "1999" not in pulse("forecast", tmp_path / "year.csv", "--horizon", 2).out
    assert "2001" in pulse("forecast", tmp_path / "year.csv", "--horizon", 2).out


def test_steps_may_be_whole_numbers_when_the_frequency_is_named(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    path.write_text("ds,y\n" + "".join(f"{k},{y}\n" for k, y in enumerate(Y)))
    assert "name it with --freq" in pulse("forecast", path, "--horizon", 2).err
    said = pulse("forecast", path, "--horizon", 2, "--freq", "D", "--plot", tmp_path / "o.png")
    assert said.code == OK
    assert list(forecast_of(path, freq="D")["ds"]) == [70, 71, 72]


def test_a_column_of_names_tells_series_apart_where_stamps_repeat(tmp_path: Path) -> None:
    path = tmp_path / "shops.csv"
    shops = pd.concat([LONG.assign(shop=shop, note="x")[["shop", "ds", "y"]] for shop in ("north", "south")])
    shops.to_csv(path, index=False)
    assert set(forecast_of(path)["unique_id"]) == {"north", "south"}
    shops.assign(item="bread").to_csv(path, index=False)
    said = pulse("forecast", path, "--horizon", 3)
    assert (said.code, said.is_one_clear_line) == (USAGE, True)
    assert "choose their column with --id: 'shop', 'item'" in said.err
    assert pulse("forecast", path, "--horizon", 3, "--id", "shop").code == OK


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    LONG.set_axis(["who", "when", "a"], axis=1).assign(b=1.0).to_csv(path, index=False)
    assert "several columns of numbers, 'a', 'b'" in pulse("forecast", path, "--horizon", 3).err
    said = pulse("forecast", path, "--horizon", 3, "--id", "who", "--time", "when", "--value", "a")
    assert said.code == OK
    assert "series from 'who', time from 'when', values from 'a'" in said.out


def test_a_column_of_prices_is_of_kind_price_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(lines("%Y-%m-%d", head="date,close"))
    assert "kind price" in pulse("forecast", path, "--horizon", 3).out
    assert "kind other" in pulse("forecast", path, "--horizon", 3, "--kind", "other").out


def test_vintages_count_by_when_they_were_known(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    late = LONG.tail(1).assign(y=500.0, known_at="2024-06-02")
    pd.concat([late, LONG.assign(known_at="2024-06-01")]).to_csv(path, index=False)
    assert forecast_of(path)["q990"].max() > 150


def some(tmp_path: Path) -> Path:
    path = tmp_path / "some.csv"
    silent = LONG.assign(unique_id="silent", y=np.nan)
    once = LONG.head(1).assign(unique_id="once")
    pd.concat([silent, LONG, once, LONG.drop(index=9).assign(unique_id="b")]).to_csv(path, index=False)
    return path


def test_series_without_a_forecast_are_named_with_the_reason_and_by_the_exit_code(tmp_path: Path) -> None:
    said = pulse("forecast", some(tmp_path), "--horizon", 3)
    assert said.code == REFUSED == 3
    assert f"no forecast: NO_VALUES ({REASONS['NO_VALUES']}): silent" in said.err
    assert f"no forecast: TOO_SHORT ({REASONS['TOO_SHORT']}): once" in said.err
    assert f"GAPS_FILLED ({REASONS['GAPS_FILLED']}): b" in said.out


def test_a_gap_policy_can_refuse_series(tmp_path: Path) -> None:
    assert "HAS_GAPS" in pulse("forecast", some(tmp_path), "--horizon", 3, "--gap-policy", "none").err


def test_a_coarser_file_than_asked_for_is_filled_and_told(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(lines("%Y-%m-%d", days=pd.date_range("2024-01-07", periods=70, freq="W")))
    said = pulse("forecast", path, "--horizon", 3, "--freq", "D")
    assert said.code == OK
    assert "the first series looks weekly, and was taken as daily" in said.out


UGLY = {
    "empty.csv": ("", "came nothing"),
    "blank.csv": (" \n\n", "came nothing"),
    "header.csv": ("ds,y\n", "expected rows below the header"),
    "no time.csv": ("colour,y\nred,1\nred,2\n", "no column of times among 'colour', 'y'; name it with --time"),
    "no number.csv": ("ds,colour\n2024-01-01,red\n", "no column of numbers among 'ds', 'colour'"),
    "mixed zones.csv": (
        lines("%Y-%m-%dT%H:%M:%SZ") + "2024-06-01T00:00:00+02:00,1\n",
        "mixes time zones",
    ),
    "text.csv": (lines("%Y-%m-%d") + "2024-06-01,ten\n", "column 'y' must hold numbers; row 71 holds 'ten'"),
    "duplicates.csv": (lines("%Y-%m-%d") + "2024-01-03,1\n", "DUPLICATE_STAMPS (two values for one time stamp"),
    "all missing.csv": ("ds,y\n" + "".join(f"{day:%Y-%m-%d},\n" for day in DAYS), "NO_VALUES (no finite value)"),
    "no header.csv": (lines("%Y-%m-%d", head="2023-12-31,7"), "put a header above"),
    "ragged.csv": (lines("%Y-%m-%d") + "2024-06-01,1,2\n", "expected 2 fields, came 3: '2024-06-01,1,2'"),
    "no such day.csv": (lines("%Y-%m-%d") + "2024-02-31,1\n", "must hold times such as 2024-01-31"),
    "no such hour.csv": (lines("%Y-%m-%d %H:%M") + "2024-02-31 10:00,1\n", "a stamp is no ISO date or time"),
    "typo.csv": (lines("%d.%m.%Y") + "31.02.2024,1\n", "came '31.02.2024'"),
    "day or month.csv": (
        lines("%d/%m/%Y", days=pd.date_range("2020-01-01", periods=40, freq="MS")),
        "may be read as day/month or as month/day",
    ),
    "comma.csv": ('ds,y\n2024-01-01,"1,234"\n', "a decimal comma or grouped digits?"),
    "too fine.csv": (
        lines("%Y-%m-%d %H:%M", days=pd.date_range("2024-01-01", periods=70, freq="5min")),
        "finer than hourly",
    ),
    "two times.csv": ("from,to,y\n2024-01-01,2024-01-02,1\n", "several columns of times, 'from', 'to'"),
    "spread.csv": ("year,month,y\n2024,1,1\n2024,2,1\n", "join them into one, such as 2024-01"),
    "missing stamp.csv": (lines("%Y-%m-%d") + ",1\n", "ds is missing in 1 rows"),
    "missing id.csv": (
        "unique_id,ds,y\n" + "a,2024-01-01,1\na,2024-01-02,1\na,2024-01-03,1\n,2024-01-01,1\n",
        "unique_id is missing in 1 rows",
    ),
    "equal names.csv": ("ds,y,y\n2024-01-01,1,2\n", "share a name"),
    "sheet.xlsx": ("PK", "save the table as CSV or Parquet"),
    "broken.parquet": ("PAR1", "cannot be read"),
}


@pytest.mark.parametrize("name", UGLY)
def test_an_ugly_file_is_one_clear_line(tmp_path: Path, name: str) -> None:
    content, said_so = UGLY[name]
    (tmp_path / name).write_text(content)
    said = pulse("forecast", tmp_path / name, "--horizon", 3)
    assert said.code == USAGE, said
    assert said.is_one_clear_line, said.err
    assert said_so in said.err


def test_bytes_that_are_no_utf8_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"ds,y,place\n2024-01-01,1,K\xf6ln\n")
    said = pulse("forecast", tmp_path / "latin.csv", "--horizon", 3)
    assert (said.code, said.is_one_clear_line) == (USAGE, True)
    assert "save the file as UTF-8" in said.err


@pytest.mark.parametrize(
    ("table", "melt"),
    [
        (pd.DataFrame({"ds": DAYS, "a": Y, "b": Y, "c": Y}), ".melt('ds', var_name='unique_id', value_name='y')"),
        (
            pd.DataFrame({"who": ["x", "y"]} | {str(k): [1.0, 2.0] for k in range(1990, 2020)}),
            ".melt('who', var_name='ds'",
        ),
    ],
)
def test_a_wide_file_is_refused_with_the_way_to_make_it_long(tmp_path: Path, table: pd.DataFrame, melt: str) -> None:
    table.to_csv(tmp_path / "wide.csv", index=False)
    said = pulse("forecast", tmp_path / "wide.csv", "--horizon", 3)
    assert (said.code, said.is_one_clear_line) == (USAGE, True)
    assert f"it looks wide; make it long with pandas.read_csv('wide.csv'){melt}" in said.err


def test_a_wide_file_made_long_as_advised_is_forecast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"ds": DAYS, "a": Y, "b": Y}).to_csv("wide.csv", index=False)
    advice = re.search(r"pandas\.(.*)$", pulse("forecast", "wide.csv", "--horizon", 3).err)
    assert advice
    exec(f"pandas.{advice[1]}", {"pandas": pd})
    assert set(forecast_of(Path("long.csv"))["unique_id"]) == {"a", "b"}


@pytest.mark.parametrize(
    ("words", "said_so"),
    [
        (("--horizon", "0"), "the horizon must be 1 to 1,000 steps; came 0"),
        (("--horizon", "10000"), "the horizon must be 1 to 1,000 steps; came 10000"),
        (("--horizon", "3", "--freq", "fortnight"), "frequency 'fortnight' is not known"),
        (("--horizon", "3", "--freq", "MS"), "the first series is daily, --freq MS asks for monthly steps"),
        (("--horizon", "3", "--kind", "prise"), "kind 'prise' is not known; use one of price"),
        (("--horizon", "3", "--gap-policy", "guess"), "gap policy 'guess' is not known"),
        (("--horizon", "3", "--season", "-1"), "a season must have 0 to 1,000 steps"),
        (("--horizon", "3", "--id", "who"), "has no column 'who'; it has 'unique_id', 'ds', 'y'"),
        (("--horizon", "3", "--output", "x.txt"), "--output must end in .csv or .parquet"),
        (("--horizon", "3", "--output", "nowhere/x.csv"), "there is no folder"),
        (("--horizon", "3", "--output", "good.csv"), "would overwrite good.csv"),
        (("--horizon", "3", "--plot", "x.jpg"), "--plot must end in .png"),
    ],
)
def test_a_wrong_option_is_one_clear_line(
    good: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said_so: str
) -> None:
    monkeypatch.chdir(good.parent)
    before = good.read_bytes()
    said = pulse("forecast", good.name, *words)
    assert said.code == USAGE
    assert said.is_one_clear_line, said.err
    assert said_so in said.err
    assert good.read_bytes() == before


@pytest.mark.parametrize("name", ["none.csv", ""])
def test_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path, name: str) -> None:
    said = pulse("forecast", tmp_path / name, "--horizon", 3)
    assert (said.code, said.is_one_clear_line) == (USAGE, True)
    assert "is no file" in said.err


def test_a_name_that_looks_like_markup_is_shown_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "[red]x.csv"
    path.write_text(lines("%Y-%m-%d"))
    assert "[red]x.csv: one series" in pulse("forecast", path, "--horizon", 3).out


def test_the_command_needs_neither_dagster_nor_a_lake_and_leaves_no_trace(good: Path) -> None:
    code = (
        "import json, sys; from jobs.cli import main\n"
        "sys.argv = ['pulse', 'forecast', 'good.csv', '--horizon', '3']\n"
        "try: main()\n"
        "except SystemExit as leaving: code = leaving.code\n"
        "print(json.dumps([code, sorted({'dagster', 'deltalake', 'matplotlib.pyplot'} & set(sys.modules))]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=good.parent,
        env={"PATH": "/usr/bin:/bin", "HOME": str(good.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]
    assert [path.name for path in good.parent.iterdir()] == ["good.csv"]


@given(st.lists(st.integers(-(10**14), 10**14).map(lambda cents: cents / 100), min_size=1, max_size=20))
def test_numbers_are_read_with_points_commas_and_grouped_digits(values: list[float]) -> None:
    english = [f"{y:,.2f}" for y in values]
    german = [text.translate(str.maketrans(",.", ".,")) for text in english]
    plain = [text.replace(",", "") for text in english]
    for texts in (english, german, plain, [text.replace(".", ",") for text in plain]):
        assert numbers(pa.chunked_array([texts]), "y").to_pylist() == values


@given(
    st.lists(st.dates(pd.Timestamp("1800-01-01").date(), pd.Timestamp("2200-01-01").date()), min_size=1, max_size=20)
)
def test_a_day_is_read_as_itself_or_refused_never_as_another(days: list[object]) -> None:
    for form in ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d %b %Y"):
        text = pa.chunked_array([[f"{day:{form}}" for day in days]])
        with contextlib.suppress(ConfigError):
            assert stamps(text, "ds").cast(pa.date32()).to_pylist() == days


CELLS = st.one_of(st.text(max_size=8), st.text(alphabet="0123456789-./:,TZQ +eN", max_size=12))


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8))
@example([("+0", "")])
@example([("9" * 30, "1")])
def test_any_text_is_a_long_table_or_refused(cells: list[tuple[str, str]]) -> None:
    left, right = zip(*cells, strict=True)
    with contextlib.suppress(ConfigError):
        long_table(pa.table({"a": left, "b": right}), Path("x.csv"), Names(time="a", value="b"))
    with contextlib.suppress(ConfigError):
        long_table(pa.table({"a": left, "b": right}), Path("x.csv"), Names())
