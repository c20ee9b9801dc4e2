"""Pictures of forecasts as PNG, small enough for asset metadata. Pure: arrays in, bytes out."""

import base64
import io

import numpy as np
import pandas as pd

BANDS = (("q025", "q975", 0.15, "95 %"), ("q100", "q900", 0.25, "80 %"), ("q250", "q750", 0.4, "50 %"))
HISTORY = 60


def fan_charts(history: pd.DataFrame, forecasts: pd.DataFrame, series: list[str]) -> bytes:
    """Draw recent values and forecast fans of some series, one panel each.

    Parameters
    ----------
    history
        Columns ``unique_id, ds, y``; the newest sixty of each series are drawn.
    forecasts
        Columns of ``gold/forecasts`` of one origin and one model a series.
    series
        Which to draw; the first twelve are.
    """
    from matplotlib.figure import Figure

    series = series[:12]
    rows = max(1, -(-len(series) // 3))
    figure = Figure(figsize=(13, 3.4 * rows), layout="constrained")
    for place, unique_id in enumerate(series, start=1):
        axes = figure.add_subplot(rows, 3, place)
        past = history[history["unique_id"] == unique_id].sort_values("ds").tail(HISTORY)
        ahead = forecasts[forecasts["unique_id"] == unique_id].sort_values("h")
        axes.plot(past["ds"], past["y"], color="#222222", linewidth=1)
        start = past.tail(1)
        times = np.concatenate((start["ds"].to_numpy(), ahead["ds"].to_numpy()))
        for low, high, shade, label in BANDS:
            lower, upper = (np.concatenate((start["y"], ahead[name])) for name in (low, high))
            axes.fill_between(times, lower, upper, color="#1f6fb2", alpha=shade, linewidth=0, label=label)
        axes.plot(times, np.concatenate((start["y"], ahead["q500"])), color="#1f6fb2", linewidth=1)
        axes.set_title(unique_id, fontsize=12)
        ends = pd.concat([past["ds"].head(1), ahead["ds"].tail(1)])
        axes.set_xticks(ends, [f"{moment:%Y-%m-%d}" for moment in ends])
        axes.tick_params(labelsize=10)
        axes.grid(alpha=0.2)
        if place == 1:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(BANDS), fontsize=10)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return buffer.getvalue()


def as_markdown(png: bytes, title: str) -> str:
    """Return a picture as markdown with the bytes inside, as the user interface renders it."""
    return f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})"
