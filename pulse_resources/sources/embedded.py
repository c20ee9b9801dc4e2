"""Real market data that ships inside the installed packages skfolio and arch: no network, no files of ours.

skfolio: 20 US equities and the S&P 500 (adjusted closes, 1990–2022) and five factor ETFs (2014–2022). arch: S&P 500
and NASDAQ bars (1999–2018), VIX (2014–2019), WTI (1986–2019), Brent and WTI monthly, Moody's AAA and BAA yields and
core CPI monthly. None of it says when it was published, so each set declares a publication lag.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.metadata import version

import pandas as pd
import pyarrow as pa

from pulse_resources.sources.protocol import Delivery, Traits

CLOSE_LAG_HOURS = 22.0
NEXT_DAY_LAG_HOURS = 46.0
MONTH_AND_WEEK_LAG_HOURS = 24.0 * 38
MONTH_AND_HALF_LAG_HOURS = 24.0 * 46

EQUITY = Traits("price", "USD, adjusted", "B", "XNYS", CLOSE_LAG_HOURS)
INDEX = Traits("price", "index points", "B", "XNYS", CLOSE_LAG_HOURS)
VIX = Traits("volatility", "percent per year", "B", "XNYS", CLOSE_LAG_HOURS)
OIL = Traits("price", "USD per barrel", "B", "weekday", NEXT_DAY_LAG_HOURS)
OIL_MONTHLY = Traits("price", "USD per barrel", "MS", "none", 24.0 * 30)
YIELDS = Traits("rate", "percent per year", "MS", "none", MONTH_AND_WEEK_LAG_HOURS)
CPI = Traits("macro", "index 1982-84=100", "MS", "none", MONTH_AND_HALF_LAG_HOURS)

BAR_NAMES = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume"}


class EmbeddedSource:
    """The embedded data sets as one source."""

    def __init__(self, name: str = "embedded") -> None:
        self.name = name

    def fingerprint(self) -> str:
        """Return the versions of the two packages that carry the data."""
        return f"skfolio {version('skfolio')}, arch {version('arch')}, reader 1"

    def fetch(self, since: Mapping[str, datetime]) -> Iterator[Delivery]:  # noqa: ARG002 - the data is read whole
        """Yield one delivery a data set; loading all takes about five CPU seconds."""
        yield from _skfolio()
        yield from _arch()


def _skfolio() -> Iterator[Delivery]:
    from skfolio import datasets

    for loader, traits in (
        (datasets.load_sp500_dataset, EQUITY),
        (datasets.load_factors_dataset, EQUITY),
        (datasets.load_sp500_index, INDEX),
    ):
        yield _delivery(_long(loader(), "symbol", "close"), "market_bars", traits, f"skfolio.{loader.__name__}")


def _arch() -> Iterator[Delivery]:
    from arch.data import core_cpi, crude, default, nasdaq, sp500, vix, wti

    for module, symbol in ((sp500, "GSPC"), (nasdaq, "NASDAQ")):
        bars = module.load().rename(columns=BAR_NAMES)[list(BAR_NAMES.values())]
        rows = bars.rename_axis("ds").reset_index().assign(symbol=symbol)
        yield _delivery(rows, "market_bars", INDEX, f"{module.__name__}")
    for module, traits, names in ((vix, VIX, {"vix": "VIX"}), (wti, OIL, {"DCOILWTICO": "WTI"})):
        rows = _long(module.load().rename(columns=names), "symbol", "close")
        yield _delivery(rows, "market_bars", traits, module.__name__)
    monthly = crude.load().rename(columns={"Brent": "BRENT_M", "WTI": "WTI_M"})
    yield _delivery(_long(monthly, "symbol", "close"), "market_bars", OIL_MONTHLY, crude.__name__)
    for module, traits in ((default, YIELDS), (core_cpi, CPI)):
        yield _delivery(_long(module.load(), "series_id", "value"), "macro_vintages", traits, module.__name__)


def _long(wide: pd.DataFrame, key: str, value: str) -> pd.DataFrame:
    """Turn a date × series frame into rows; a hole in the matrix is no observation."""
    rows = wide.rename_axis("ds").reset_index().melt(id_vars="ds", var_name=key, value_name=value)
    return rows.dropna(subset=[value])


def _delivery(rows: pd.DataFrame, table: str, traits: Traits, origin: str) -> Delivery:
    return Delivery(table, pa.Table.from_pandas(rows, preserve_index=False), traits, origin)  # type: ignore[arg-type]
