"""Slow and obvious measures of one series at one moment, to hold the compiled ones against."""

import math

import numpy as np
import pandas as pd

from pulse_assets.signals.calendars import steps_between
from pulse_assets.trust.quality.jumps import smallest_factor
from pulse_assets.trust.quality.ledger import HALF_STEP
from pulse_assets.trust.quality.measures import WINDOW_STEPS

REFERENCE = 128


def plain_measures(rows: pd.DataFrame, end: pd.Timestamp) -> dict[str, float] | None:
    """Measure one series from its silver rows; None where nothing of it is known."""
    known = rows[rows["known_at"] < end].sort_values(["known_at", "ds", "y"], kind="stable")
    if known.empty:
        return None
    told = known[np.isfinite(known["y"])]
    asked = told if len(told) else known
    out: dict[str, float] = {"age_days": (end - asked["known_at"].max()) / pd.Timedelta(days=1)}
    if told.empty:
        nothing = {"observations": 0, "duplicates": 0, "flat_run": 0, "flat_share": 0.0, "missing_share": 1.0}
        return out | nothing | {"revision_rate": 0.0, "revision_size": math.nan, "jump_z": math.nan}
    now = told.groupby("ds")["y"].last()
    first = told.groupby("ds").first()
    out["observations"] = len(now)
    out["duplicates"] = told.groupby(["ds", "known_at"])["y"].nunique().gt(1).groupby("ds").any().sum()
    freq, calendar, kind = (known.iloc[0][name] for name in ("freq", "calendar", "kind"))
    shift = HALF_STEP.get(freq, np.timedelta64(0, "us"))
    start = np.array([known.iloc[0]["ds"].tz_localize(None)], "datetime64[us]")
    step = steps_between(start, now.index.tz_localize(None).to_numpy("datetime64[us]") + shift, freq, calendar)
    inside = int((step > step[-1] - WINDOW_STEPS[freq]).sum())
    recent = now.to_numpy()[-inside - REFERENCE :]
    steps = step[-inside - REFERENCE :]
    due = min(steps[-1] - steps[0] + 1, WINDOW_STEPS[freq])
    lag = (first["known_at"] - first.index).iloc[-inside:].max()
    newest = np.array([now.index[-1].tz_localize(None)], "datetime64[us]")
    by_now = np.array([(end - lag).tz_localize(None) - pd.Timedelta(microseconds=1)], "datetime64[us]")
    overdue = int(steps_between(newest, np.maximum(by_now, newest), freq, calendar)[0])
    out["missing_share"] = (due - len(set(step[-inside:])) + overdue) / (due + overdue)
    out["flat_run"] = next((n for n, value in enumerate(now.to_numpy()[::-1]) if value != now.iloc[-1]), len(now))
    flat = np.diff(recent) == 0
    out["flat_share"] = flat[-inside:].mean() if len(flat) else 0.0
    moved = np.abs(now - first["y"]).to_numpy()[-inside:]
    out["revision_rate"] = (moved > 0).mean()
    usual = np.median(np.abs(np.diff(recent))) if len(recent) > 1 else 0.0
    out["revision_size"] = moved[moved > 0].mean() / usual if (moved > 0).any() and usual > 0 else math.nan
    out["jump_z"] = plain_jump(recent, len(recent) - inside, smallest_factor(kind, freq))
    return out


def plain_jump(values: np.ndarray, first: int, log_factor: float) -> float:
    """Return the z-score of the largest lasting shift of level of values that are all of one sign."""
    if len(values) < 8:
        return math.nan
    if not (values > 0).all() and not (values < 0).all():
        raise ValueError("the plain statistic is for values of one sign")
    logs = np.log(np.abs(values))
    found = [0.0]
    for at in range(max(first, 4), len(logs)):
        after, before = logs[at : at + 10], logs[max(at - 20, 0) : at]
        step, shift = logs[at] - logs[at - 1], np.median(after) - np.median(before)
        floor = log_factor / 8 * (1 + 3 / len(after) ** 2)
        noise = max(floor, plain_sd(np.diff(logs)), plain_sd(before))
        found.append(min(abs(step), abs(shift)) / noise if step * shift > 0 else 0.0)
    return max(found)


def plain_sd(values: np.ndarray) -> float:
    """Return the robust standard deviation."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))
