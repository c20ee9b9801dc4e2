"""Rows of ``silver/series`` for tests of engines: observations one step apart, and who knew what when."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pulse_assets.forecasting.engine import LOG_KINDS
from pulse_assets.signals.calendars import add_steps

TIME = pa.timestamp("us", "UTC")
START = np.datetime64("1995-01-02", "us")


def series(
    name: str, y: np.ndarray, freq: str = "B", kind: str = "other", lag_hours: float = 22, start: np.datetime64 = START
) -> pa.Table:
    """Observations one step apart, each known ``lag_hours`` after its event time."""
    ds = start + np.zeros(len(y), "timedelta64[us]")
    ds[1:] = add_steps(ds[1:], np.arange(1, max(len(y), 1)), freq, "weekday")
    return told(name, ds, y, ds + np.timedelta64(int(lag_hours * 3600), "s"), freq, kind)


def told(name: str, ds: np.ndarray, y: np.ndarray, known: np.ndarray, freq: str = "B", kind: str = "other") -> pa.Table:
    """Observations and when each was known."""
    return pa.table(
        {
            "unique_id": pa.array([name] * len(y), pa.string()),
            "ds": pa.array(ds.astype("datetime64[us]").astype(np.int64), pa.int64())
            .cast(pa.timestamp("us"))
            .cast(TIME),
            "y": pa.array(np.asarray(y, float)),
            "known_at": pa.array(known.astype("datetime64[us]").astype(np.int64)).cast(pa.timestamp("us")).cast(TIME),
            "kind": pa.array([kind] * len(y), pa.string()),
            "freq": pa.array([freq] * len(y), pa.string()),
            "calendar": pa.array(["weekday"] * len(y), pa.string()),
        }
    )


def values(rng: np.random.Generator, kind: str, count: int) -> np.ndarray:
    """A random walk that suits a kind, in some unit, with more or fewer decimals."""
    walk = np.cumsum(rng.standard_t(4, count)) * 0.02
    if kind in LOG_KINDS:
        return np.exp(walk + rng.normal(0, 3))
    return np.asarray(np.round(walk, int(rng.integers(1, 9))) * 10.0 ** rng.integers(-3, 6))


def revised_and_late(rng: np.random.Generator) -> pa.Table:
    """A price of which some values came late and some were told again, and a rate to whom nothing happened."""
    plain = series("revised", values(rng, "price", 90), kind="price")
    ds, known = (plain[name].cast(pa.int64()).to_numpy().astype("datetime64[us]") for name in ("ds", "known_at"))
    late = known.copy()
    late[[20, 47]] += np.timedelta64(9, "D")
    again = rng.choice(80, 12, replace=False)
    revision = told(
        "revised",
        ds[again],
        plain["y"].to_numpy()[again] * 1.01,
        known[again] + rng.integers(1, 20, 12) * np.timedelta64(1, "D"),
    )
    steady = series("steady", values(rng, "rate", 90), kind="rate")
    return pa.concat_tables([told("revised", ds, plain["y"].to_numpy(), late, kind="price"), revision, steady])


def as_bytes(table: pa.Table) -> bytes:
    """All bits of a table, however it is chunked."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(
            pa.Table.from_arrays([pa.concat_arrays(c.chunks) for c in table.columns], table.column_names)
        )
    return bytes(sink.getvalue().to_pybytes())


def day_of(time: object) -> date:
    """The date of a moment."""
    return np.datetime64(time, "D").astype(object)  # type: ignore[no-any-return,call-overload]


def last_known_day(rows: pa.Table) -> date:
    """The day on which the newest row became known."""
    return day_of(pc.max(rows["known_at"]).as_py().replace(tzinfo=None))
