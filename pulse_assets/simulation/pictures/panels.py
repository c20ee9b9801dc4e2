"""The panels that pictures of simulations are put together from; each is drawn on axes that are handed in.

Pure. Which panels make a picture, and of which rows, is decided in ``plots``.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import bdtrik

from pulse_assets.numerics.quantiles import LEVELS, MEDIAN, QUANTILE_COLUMNS
from pulse_assets.pictures import COLOURS, FAINT, REST, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

Floats = npt.NDArray[np.float64]

BANDS = (("q010", "q990", 0.15, "98 %"), ("q050", "q950", 0.25, "90 %"), ("q250", "q750", 0.4, "50 %"))
"""Their lower edges are the 1 %, 5 % and 25 % quantiles."""
WIDE = (("q050", "q950", 0.2, "90 %"),)
"""The one band that is drawn where two fans lie over each other."""
STARTS = {"pnl_usd": 0.0, "drawdown": 0.0}
"""What is known of measures at the origin."""
NORMAL_95 = 1.96
PIT_BINS = 10
FIRES = ("#cfe3f1", "#0072b2", "#001e33")


class Fan(NamedTuple):
    """Quantiles of one variable over steps, as they are drawn.

    Attributes
    ----------
    steps
        Steps after the origin, rising, shape ``(S,)``; the first is 0 where the level at the origin is known.
    quantiles
        At the 23 levels, shape ``(S, 23)``.
    unit
        Of the quantiles.
    """

    steps: Floats
    quantiles: Floats
    unit: str

    def at(self, column: str) -> Floats:
        """Return one quantile by the name of its column, shape ``(S,)``."""
        return self.quantiles[:, QUANTILE_COLUMNS.index(column)]


class Mark(NamedTuple):
    """An estimate with its 95 % interval; NaN ends where there is none."""

    name: str
    value: float
    low: float
    high: float


def fan_of(rows: pd.DataFrame) -> Fan:
    """Return the rows of one variable as levels: log returns become prices, or per cent where no price is known.

    Parameters
    ----------
    rows
        Columns ``variable, step, unit, origin_level`` and the quantiles of ``gold/simulations``, of one day, scenario
        and variable; at least one row.

    Examples
    --------
    >>> row = {"variable": "SPX", "step": 5, "unit": "log return", "origin_level": 100.0}
    >>> fan = fan_of(pd.DataFrame([row | dict.fromkeys(QUANTILE_COLUMNS, np.log(1.1))]))
    >>> fan.steps.tolist(), fan.at("q500").round(6).tolist(), fan.unit
    ([0.0, 5.0], [100.0, 110.0], 'price')
    """
    rows = rows.sort_values("step")
    variable, unit, start = (rows[name].iloc[0] for name in ("variable", "unit", "origin_level"))
    start = STARTS.get(variable, np.nan) if pd.isna(start) else float(start)
    quantiles = rows[list(QUANTILE_COLUMNS)].to_numpy(np.float64)
    if unit == "log return":
        unit = "return, %" if np.isnan(start) else "price"
        quantiles = 100 * np.expm1(quantiles) if np.isnan(start) else start * np.exp(quantiles)
        start = 0.0 if np.isnan(start) else start
    steps = rows["step"].to_numpy(np.float64)
    if not np.isnan(start):
        steps = np.concatenate(([0.0], steps))
        quantiles = np.concatenate((np.full((1, quantiles.shape[1]), start), quantiles))
    return Fan(steps, quantiles, "" if unit == "1" else str(unit))


def draw_fan(
    axes: "Axes",
    rows: pd.DataFrame,
    title: str,
    colour: str = COLOURS[0],
    bands: Sequence[tuple[str, str, float, str]] = BANDS,
) -> Fan:
    """Draw bands and median of one variable over steps; may be called twice on the same axes."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    fan = fan_of(rows)
    drawn = fan if len(fan.steps) > 1 else _widened(fan)
    for low, high, shade, label in bands:
        axes.fill_between(
            drawn.steps, drawn.at(low), drawn.at(high), color=colour, alpha=shade, linewidth=0, label=label
        )
    axes.plot(drawn.steps, drawn.quantiles[:, MEDIAN], color=colour, linewidth=1.4, label="median")
    axes.set_xlabel("step", fontsize=10)
    axes.set_ylabel(fan.unit, fontsize=10)
    axes.set_xlim(drawn.steps[0], drawn.steps[-1])
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    finish(axes, title)
    return fan


def _widened(fan: Fan) -> Fan:
    """Return a fan of one step as wide as a step, for a band needs a width."""
    return Fan(fan.steps[0] + np.array([-0.5, 0.5]), np.repeat(fan.quantiles, 2, axis=0), fan.unit)


def short(value: float) -> str:
    """Return a number as a tick label.

    Examples
    --------
    >>> short(-1_250_000.0), short(40_000.0), short(2700.0), short(0.25), short(-0.0)
    ('-1.25M', '40k', '2700', '0.25', '0')
    """
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if abs(value) >= 1e4 else f"{value + 0.0:g}"


def draw_density(axes: "Axes", quantiles: Floats, title: str) -> None:
    """Draw how 23 quantiles of profit, shape ``(23,)``, USD, lie: as much area as probability between each two."""
    widths = np.diff(quantiles)
    is_wide = widths > 0
    density = np.divide(np.diff(LEVELS), widths, out=np.zeros_like(widths), where=is_wide)
    axes.stairs(density, quantiles, fill=True, color=COLOURS[0], alpha=0.4, linewidth=0)
    axes.axvline(0, color=FAINT, linewidth=0.8)
    axes.axvline(quantiles[MEDIAN], color=COLOURS[0], linewidth=1.4)
    finish(axes, title)
    axes.set_yticks([])


def draw_marks(axes: "Axes", marks: Sequence[Mark], unit: str) -> None:
    """Draw estimates with their intervals, one a row from above; the second of a name in another colour."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    names = list(dict.fromkeys(mark.name for mark in marks))
    apart = 0.22 if len(names) < len(marks) else 0.0
    axes.axvline(0, color=FAINT, linewidth=0.8)
    drawn: set[str] = set()
    for name, value, low, high in marks:
        is_second = name in drawn
        drawn.add(name)
        place = names.index(name) + (apart if is_second else -apart)
        colour = COLOURS[2 if is_second else 1]
        width = 3 if apart else 6
        axes.plot([low, high], [place, place], color=colour, linewidth=width, alpha=0.4, solid_capstyle="butt")
        axes.plot([value], [place], marker="|", markersize=1.5 * width, markeredgewidth=1.6, color=colour)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(unit, fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    finish(axes, "")


def draw_strip(axes: "Axes", shares: Floats, names: Sequence[str], title: str) -> "QuadMesh":
    """Draw when rules fired: a row a rule, a cell a step, dark for often and white for never.

    Parameters
    ----------
    axes
        Where to.
    shares
        Fires a path, shape ``(R, T)``, at least one positive.
    names
        Of the R rules.
    title
        Above it.
    """
    from matplotlib.colors import LinearSegmentedColormap, LogNorm
    from matplotlib.ticker import MaxNLocator

    least, most = shares[shares > 0].min(), shares.max()
    shown = np.ma.masked_less_equal(shares, 0)
    mesh = axes.pcolormesh(
        np.arange(shares.shape[1] + 1) + 0.5,
        np.arange(len(names) + 1) - 0.5,
        shown,
        cmap=LinearSegmentedColormap.from_list("fires", FIRES),
        norm=LogNorm(least, max(most, 1.001 * least)),
    )
    finish(axes, title)
    axes.grid(visible=False)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel("step", fontsize=10)
    return mesh


def draw_rates(axes: "Axes", rates: Floats) -> None:
    """Draw fires a path of rules, shape ``(R,)``, all positive, on a log scale; rows as in :func:`draw_strip`."""
    places = np.arange(len(rates))
    axes.set_xscale("log")
    axes.set_xlim(rates.min() / 3, rates.max() * 30)
    axes.plot(rates, places, linestyle="", marker="o", markersize=4.5, color=COLOURS[0])
    for place, rate in zip(places, rates, strict=True):
        axes.annotate(f"{rate:.2g}", (rate, place), (6, 0), textcoords="offset points", va="center", fontsize=9)
    finish(axes, "Fires a path")


def draw_effects(axes: "Axes", effects: Floats, errors: Floats) -> None:
    """Draw the mean profit that rules make, shape ``(R,)``, USD, with 95 % intervals; NaN leaves a row empty."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    places = np.arange(len(effects))
    axes.axvline(0, color=FAINT, linewidth=0.8)
    half = NORMAL_95 * errors
    axes.hlines(places, effects - half, effects + half, color=COLOURS[1], linewidth=6, alpha=0.4)
    axes.plot(effects, places, linestyle="", marker="|", markersize=9, markeredgewidth=1.6, color=COLOURS[1])
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    finish(axes, "Profit it makes, USD")


def draw_pit(axes: "Axes", pit: Floats, title: str) -> None:
    """Draw a histogram of probabilities, shape ``(N,)``, N at least 1, and what a calibrated simulation gives.

    The grey band holds each bar with 95 % if the N values are independent; those of overlapping horizons are not, and
    stray further.
    """
    n, share = len(pit), 1 / PIT_BINS
    low, high = (np.ceil(bdtrik(p, n, share)) / n for p in (0.025, 0.975))
    counts, edges = np.histogram(pit, bins=PIT_BINS, range=(0, 1))
    axes.stairs(counts / n, edges, fill=True, color=COLOURS[5])
    axes.axhspan(low, high, facecolor=REST, alpha=0.3, edgecolor="none", zorder=0)
    axes.hlines([low, share, high], 0, 1, color=FAINT, linewidth=0.8, linestyles=["dotted", "dashed", "dotted"])
    axes.set(xlim=(0, 1), xlabel="share of paths below what happened", ylabel="share of origins")
    axes.set_ylim(bottom=0)
    finish(axes, title)
