"""Pictures of forecasts and of how they did, as PNG small enough for asset metadata. Pure: frames in, bytes out.

Each picture is drawn by a function that takes axes, so that several can share one sheet. A frame without rows gives a
picture that says so.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from pulse_assets.numerics.quantiles import LEVELS
from pulse_assets.pictures import COLOURS, INK, REST, as_png, colours, finish, moment, new_figure, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BANDS = (("q025", "q975", 0.15, "95 %"), ("q100", "q900", 0.25, "80 %"), ("q250", "q750", 0.4, "50 %"))
HISTORY = 60
COLUMNS = 3
LARGEST_MEMBERS = 8
TOLERANCE = 1e-9
"""Slack when a PIT is compared with a level, both being sums of decimal fractions."""
INTERVALS = np.round(1 - 2 * LEVELS[LEVELS < 0.5], 3)
"""Nominal coverages of the central intervals between the 23 quantiles: 0.98, 0.95, 0.9, …, 0.1."""


def fan_charts(history: pd.DataFrame, forecasts: pd.DataFrame, series: list[str]) -> bytes:
    """Draw recent values and forecast fans of some series, one panel each, up to three in a row.

    Parameters
    ----------
    history
        Columns ``unique_id, ds, y``; the newest sixty of each series are drawn.
    forecasts
        Columns of ``gold/forecasts`` of one origin and one model a series; ``ds`` may be whole numbers.
    series
        Which to draw; the first twelve are.
    """
    series = series[:12]
    rows = max(1, -(-len(series) // COLUMNS))
    figure = new_figure(13, 3.4 * rows)
    for place, unique_id in enumerate(series, start=1):
        axes = figure.add_subplot(rows, min(COLUMNS, len(series)), place)
        _draw_fan(axes, history, forecasts, unique_id)
        if place == 1:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(BANDS), fontsize=10)
    if not series:
        say(figure.add_subplot(), "no forecasts")
    return as_png(figure)


def caught_shares(pit: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return which share of truths lies within each central interval of :data:`INTERVALS`.

    Parameters
    ----------
    pit
        Forecast probabilities below the truth, shape ``(N,)``, no NaN, N at least 1.

    Examples
    --------
    >>> caught_shares(np.array([0.5, 0.01])).tolist()[:3]
    [1.0, 0.5, 0.5]
    """
    inside = np.abs(2 * pit[:, None] - 1) <= INTERVALS + TOLERANCE
    return np.asarray(inside.mean(axis=0))


def calibration_curve(scores: pd.DataFrame) -> bytes:
    """Draw how many truths central intervals caught against how many they claim to, one line a model.

    Parameters
    ----------
    scores
        Columns ``model, pit`` of ``gold/scores``; a NaN is left out.
    """
    return _alone(_draw_calibration, scores, 5.2)


def error_by_horizon(scores: pd.DataFrame) -> bytes:
    """Draw the mean weighted interval score by steps ahead, one line a model.

    Parameters
    ----------
    scores
        Columns ``model, h, wis`` of ``gold/scores``, of one series or of series in one unit.
    """
    return _alone(_draw_errors, scores, 7.8)


def weights_over_time(members: pd.DataFrame) -> bytes:
    """Draw what forecasts were made of over time: the eight largest members stacked, all others in grey.

    Parameters
    ----------
    members
        Columns ``as_of, member, weight_first`` of ``gold/forecast_members``; several series of a day are averaged.
    """
    return _alone(_draw_weights, members, 7.8)


def series_sheet(
    history: pd.DataFrame, forecasts: pd.DataFrame, scores: pd.DataFrame, members: pd.DataFrame | None = None
) -> bytes:
    """Draw all about one series on one sheet: its fan, what that is made of, calibration, errors by steps ahead.

    Parameters
    ----------
    history, forecasts
        As for :func:`fan_charts`, of one series and model.
    scores
        As for :func:`calibration_curve` and :func:`error_by_horizon`.
    members
        As for :func:`weights_over_time`; None leaves that picture out.
    """
    figure = new_figure(13, 8.4)
    grid = figure.add_gridspec(2, 2)
    fan = figure.add_subplot(grid[0, :] if members is None else grid[0, 0])
    names = forecasts["unique_id"].unique()
    if len(names):
        _draw_fan(fan, history, forecasts, str(names[0]))
        fan.legend(loc="best", fontsize=9)
    else:
        say(fan, "no forecasts")
    if members is not None:
        _draw_weights(figure.add_subplot(grid[0, 1]), members)
    _draw_calibration(figure.add_subplot(grid[1, 0]), scores)
    _draw_errors(figure.add_subplot(grid[1, 1]), scores)
    return as_png(figure)


def _draw_fan(axes: "Axes", history: pd.DataFrame, forecasts: pd.DataFrame, unique_id: str) -> None:
    past = history[history["unique_id"] == unique_id].sort_values("ds").tail(HISTORY)
    ahead = forecasts[forecasts["unique_id"] == unique_id].sort_values("h")
    axes.plot(past["ds"], past["y"], color=INK, linewidth=1)
    start = past.tail(1)
    times = np.concatenate((start["ds"].to_numpy(), ahead["ds"].to_numpy()))
    for low, high, shade, label in BANDS:
        lower, upper = (np.concatenate((start["y"], ahead[name])) for name in (low, high))
        axes.fill_between(times, lower, upper, color=COLOURS[0], alpha=shade, linewidth=0, label=label)
    axes.plot(times, np.concatenate((start["y"], ahead["q500"])), color=COLOURS[0], linewidth=1)
    finish(axes, unique_id)
    ends = pd.concat([past["ds"].head(1), ahead["ds"].tail(1)])
    axes.set_xticks(ends, [moment(end) for end in ends])


def _draw_calibration(axes: "Axes", scores: pd.DataFrame) -> None:
    scores = scores.dropna(subset=["pit"])
    if not len(scores):
        say(axes, "no scores yet")
        return
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
    for colour, (model, rows) in zip(colours(), scores.groupby("model"), strict=False):
        caught = np.abs(2 * rows["pit"].to_numpy()[:, None] - 1) <= INTERVALS + TOLERANCE
        axes.plot(
            INTERVALS, caught.mean(axis=0), color=colour, marker=".", linewidth=1.2, label=f"{model} ({len(rows):,})"
        )
    axes.set(xlabel="claimed", ylabel="caught", xlim=(0, 1), ylim=(0, 1))
    _finish(axes, "Truths within central intervals")


def _draw_errors(axes: "Axes", scores: pd.DataFrame) -> None:
    from matplotlib.ticker import MaxNLocator

    if not len(scores):
        say(axes, "no scores yet")
        return
    for colour, (model, rows) in zip(colours(), scores.groupby("model"), strict=False):
        mean = rows.groupby("h")["wis"].mean()
        axes.plot(mean.index, mean, color=colour, marker=".", linewidth=1.2, label=str(model))
    axes.set(xlabel="steps ahead", ylabel="mean WIS, unit of the series")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _finish(axes, "Error by steps ahead (smaller is better)")


def _draw_weights(axes: "Axes", members: pd.DataFrame) -> None:
    if not len(members):
        say(axes, "no members yet")
        return
    series = members.groupby("as_of")["unique_id"].nunique() if "unique_id" in members else 1
    by_day = members.pivot_table(index="as_of", columns="member", values="weight_first", aggfunc="sum", fill_value=0.0)
    by_day = by_day.div(series, axis=0) if isinstance(series, pd.Series) else by_day
    by_day.index = pd.to_datetime(by_day.index)
    if len(by_day) == 1:  # an area needs a width
        by_day = pd.concat([by_day, by_day.set_axis(by_day.index + pd.Timedelta(days=1))])
    largest = by_day.mean().sort_values(ascending=False, kind="stable").index[:LARGEST_MEMBERS]
    rest = 1 - by_day[largest].sum(axis=1)
    parts = [by_day[name] for name in largest] + [rest.clip(lower=0)]
    axes.stackplot(by_day.index, *parts, labels=[*largest, "others"], colors=[*COLOURS[: len(largest)], REST])
    axes.set(ylabel="weight at the first step", ylim=(0, 1), xlim=(by_day.index[0], by_day.index[-1]))
    axes.set_xticks(by_day.index[[0, -1]], [moment(day) for day in by_day.index[[0, -1]]])
    _finish(axes, "What pooled forecasts were made of", outside=True)


def _finish(axes: "Axes", title: str, *, outside: bool = False) -> None:
    finish(axes, title)
    if outside:  # beside a stack, in its order
        axes.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5), reverse=True)
    else:
        axes.legend(fontsize=9, loc="best")


def _alone(draw: Callable[["Axes", pd.DataFrame], None], rows: pd.DataFrame, width: float) -> bytes:
    figure = new_figure(width, 4.4)
    draw(figure.add_subplot(), rows)
    return as_png(figure)
