"""Compiles every kernel once: ``python -m pulse_assets.forecasting.warm``. Later processes start in a second or two."""

import sys
import time
from datetime import date

import numpy as np
import pyarrow as pa


def main() -> None:
    """Forecast a handful of made-up series of every scale, so that everything is compiled and kept."""
    from pulse_assets.forecasting.api import backtest
    from pulse_assets.forecasting.engine import knows_from, origin_end
    from pulse_assets.forecasting.fitted import Fitted
    from pulse_assets.forecasting.pack import pack
    from pulse_assets.forecasting.pooled import PooledEngine

    started = time.perf_counter()
    table = _made_up()
    for kind, freq in (("other", "MS"), ("price", "B"), ("return", "D")):
        backtest(table, freq=freq, horizon=3, cutoffs=2, kind=kind)
        Fitted.fit(table, freq=freq, horizon=3, kind=kind).forecast()
    origin = date(2000, 6, 1)
    panel = pack(_silver(table), knows_from(origin), origin_end(origin))
    list(PooledEngine().forecast(panel, [origin]))
    sys.stdout.write(f"kernels compiled in {time.perf_counter() - started:.0f} s\n")


def _made_up() -> pa.Table:
    steps, series = 150, 8
    t = np.arange(steps)
    values = [20 + k + np.sin(t * (k + 1)) + 0.01 * t for k in range(series)]
    ids = np.repeat([f"series {k}" for k in range(series)], steps)
    return pa.table({"unique_id": ids, "ds": np.tile(t, series), "y": np.concatenate(values)})


def _silver(table: pa.Table) -> pa.Table:
    days = (np.datetime64("2000-01-03", "us") + table["ds"].to_numpy() * np.timedelta64(1, "D")).astype(
        "datetime64[us]"
    )
    when = pa.array(days).cast(pa.timestamp("us", "UTC"))
    traits = {"kind": "price", "freq": "D", "calendar": "none"}
    columns = {name: pa.array([value] * len(table)) for name, value in traits.items()}
    ids = table["unique_id"].cast(pa.string())
    return pa.table({"unique_id": ids, "ds": when, "y": table["y"], "known_at": when, **columns})


if __name__ == "__main__":
    main()
