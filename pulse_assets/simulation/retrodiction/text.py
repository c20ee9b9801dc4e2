"""A retrodiction's report for people, as markdown. Pure.

What belongs here: choosing and laying out. Every number is made in ``report``.
"""

import numpy as np
import pandas as pd

from pulse_assets.simulation.retrodiction.names import ALL, PORTFOLIO
from pulse_assets.simulation.retrodiction.report import ASSETS, Report

SHOWN = (ASSETS, PORTFOLIO, ALL)


def as_text(made: Report) -> str:
    """Return the report of assets together, portfolio and vector as markdown; single assets are counted.

    Parameters
    ----------
    made
        Of at least one day; an empty one says so.
    """
    if not len(made.skill) and not len(made.calibration):
        return "No day of the range has a row yet: its origins had no world, or its truth is not known."
    parts = (
        ("Skill: 1 - mean score / that of the reference; below 0 the reference is better", _skill(made)),
        ("Probability integral transform: even if all is well, shares of ten bins in percent", _calibration(made)),
        ("Portfolio beyond its value at risk; days that do not overlap", _tails(made)),
        ("Falls: how often, and the Brier score's parts", _events(made)),
    )
    return "\n\n".join(f"**{title}**\n\n{_markdown(frame)}" for title, frame in parts if len(frame))


def _skill(made: Report) -> pd.DataFrame:
    frame: pd.DataFrame = made.skill.to_pandas()
    if frame.empty:
        return frame
    single = frame[~frame["variable"].isin(SHOWN)]
    keys = ["score", "step", "engine", "mode", "reference"]
    better = single[(single["p_adjusted"] < 0.05) & (single["statistic"] < 0)].groupby(keys).size()
    worse = single[(single["p_adjusted"] < 0.05) & (single["statistic"] > 0)].groupby(keys).size()
    shown = frame[frame["variable"].isin(SHOWN)].set_index(keys)
    is_assets = shown["variable"] == ASSETS
    shown["better"] = better.reindex(shown.index).fillna(0).where(is_assets)
    shown["worse"] = worse.reindex(shown.index).fillna(0).where(is_assets)
    shown = shown.reset_index()
    columns = ["engine", "mode", "reference", "variable", "step", "days", "mean", "skill", "p_value", "better", "worse"]
    return shown[columns].sort_values(["engine", "mode", "reference", "variable", "step"], kind="stable")


def _calibration(made: Report) -> pd.DataFrame:
    frame: pd.DataFrame = made.calibration.to_pandas()
    frame = frame[frame["variable"].isin(SHOWN)].copy()
    if frame.empty:
        return frame
    frame["bins"] = [" ".join(f"{100 * each / max(sum(row), 1):.0f}" for each in row) for row in frame["histogram"]]
    return frame[["engine", "mode", "variable", "step", "days", "independent_days", "mean", "bins", "chi2_p", "ks_p"]]


def _tails(made: Report) -> pd.DataFrame:
    frame: pd.DataFrame = made.tails.to_pandas()
    columns = ["engine", "mode", "step", "level", "rate", "independent_days", "hits", "expected", "kupiec_p"]
    columns += ["independence_p", "coverage_p", "zone", "z1", "z1_p", "z2", "z2_p"]
    return frame.loc[frame["variable"] == PORTFOLIO, columns] if len(frame) else frame


def _events(made: Report) -> pd.DataFrame:
    frame: pd.DataFrame = made.events.to_pandas()
    columns = ["engine", "mode", "step", "days", "rate", "forecast", "brier", "reliability", "resolution", "skill"]
    return frame.loc[frame["variable"] == PORTFOLIO, columns] if len(frame) else frame


def _markdown(frame: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(frame.columns) + " |", "|" + " --- |" * len(frame.columns)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if not isinstance(value, float | np.floating):
        return "" if value is None else str(value)
    number = float(value)
    if not np.isfinite(number):
        return ""
    return f"{number:.0f}" if number.is_integer() and abs(number) >= 1 else f"{number:.3g}"
