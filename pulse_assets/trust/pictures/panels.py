"""The panels that pictures of trust are put together from; each is drawn on axes that are handed in.

Pure. Which panels make a picture, and of which rows, is decided in ``sheets``.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pulse_assets.numerics.quantiles import LEVELS
from pulse_assets.pictures import COLOURS, FAINT, REST, colours, finish, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]

PIT_BINS = 20
Z_95 = 1.96
TIERS = ((0.9, "A"), (0.7, "B"), (0.5, "C"))
DRIFT_COLOURS = {"learning": "#eeeeee", "none": "#cfe3f1", "warn": "#e69f00", "alarm": "#d55e00"}
STATE_COLOURS = {
    "licensed": "#009e73",
    "fallback": "#56b4e9",
    "held": "#e69f00",
    "draft": "#dddddd",
    "scored": "#bbbbbb",
    "rejected": "#d55e00",
}


class Reliability(NamedTuple):
    """How often truths fell below quantiles: nominal levels, observed shares, and how many truths that rests on."""

    nominal: Floats
    observed: Floats
    truths: int


def reliability_of(pit: Floats) -> Reliability:
    """Return the observed share of truths at or below each of the 23 quantiles.

    Parameters
    ----------
    pit
        Probabilities below the truth, shape ``(n,)``; NaN does not count. Without any the observed shares are NaN.

    Examples
    --------
    >>> reliability_of(np.array([0.1, 0.6])).observed[[0, 11, 22]].tolist()
    [0.0, 0.5, 1.0]
    """
    known = np.sort(pit[np.isfinite(pit)])
    counts = np.searchsorted(known, LEVELS + 1e-9, side="right")
    observed = counts / len(known) if len(known) else np.full(len(LEVELS), np.nan)
    return Reliability(LEVELS, np.asarray(observed, np.float64), len(known))


def draw_reliability(axes: "Axes", by_name: Mapping[str, Floats]) -> None:
    """Draw observed against nominal shares, a line for each name, and the diagonal on which they should lie."""
    axes.plot([0, 1], [0, 1], color=REST, linewidth=1, zorder=1)
    for (name, pit), colour in zip(by_name.items(), colours(), strict=False):
        curve = reliability_of(pit)
        if curve.truths:
            axes.plot(curve.nominal, curve.observed, marker=".", color=colour, label=f"{name} ({curve.truths:,})")
    axes.set_xlabel("nominal")
    axes.set_ylabel("observed share of truths below")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9)
    finish(axes, "Reliability")


def draw_pit(axes: "Axes", by_name: Mapping[str, Floats]) -> None:
    """Draw histograms of the PIT; between the dashed lines 95 of 100 bars of a calibrated forecast would end."""
    longest = 0
    for (name, pit), colour in zip(by_name.items(), colours(), strict=False):
        known = pit[np.isfinite(pit)]
        if not len(known):
            continue
        longest = max(longest, len(known))
        heights, edges = np.histogram(known, bins=PIT_BINS, range=(0, 1))
        axes.stairs(heights * PIT_BINS / len(known), edges, color=colour, linewidth=1.5, label=name)
    if not longest:
        say(axes, "no truth yet")
        return
    band = Z_95 * np.sqrt((PIT_BINS - 1) / longest)
    for height in (1 - band, 1 + band):
        axes.axhline(height, color=FAINT, linestyle="--", linewidth=0.8)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("probability below the truth")
    axes.legend(fontsize=9)
    finish(axes, "PIT histogram")


def draw_trust(axes: "Axes", rows: pd.DataFrame, by: str) -> None:
    """Draw trust over days, a line for each value of a column, and where tiers begin.

    Parameters
    ----------
    rows
        Columns ``as_of, trust`` and ``by``.
    """
    known = rows.dropna(subset=["trust"])
    if known.empty:
        say(axes, "no trust yet: too few scored truths")
        return
    for (name, line), colour in zip(known.groupby(by, sort=True), colours(), strict=False):
        over_days = line.groupby("as_of")["trust"].mean()
        axes.plot(pd.to_datetime(over_days.index), over_days.to_numpy(), color=colour, label=str(name), linewidth=1.4)
    for height, tier in TIERS:
        axes.axhline(height, color=REST, linewidth=0.8, linestyle="--")
        axes.annotate(tier, (1.005, height), xycoords=("axes fraction", "data"), fontsize=9, color=FAINT)
    axes.set_ylim(0, 1)
    axes.legend(fontsize=9, loc="lower left")
    axes.tick_params(axis="x", rotation=30)
    finish(axes, "Trust: chance of beating naive next")


def draw_drift(axes: "Axes", rows: pd.DataFrame) -> None:
    """Draw the drift state of each series over days as a strip; the ones that alarmed longest are at the top.

    Parameters
    ----------
    rows
        Columns ``as_of, unique_id, state`` of ``ops/drift``; the worst state of a series and day is drawn.
    """
    from matplotlib.colors import ListedColormap

    if rows.empty:
        say(axes, "nothing watched yet")
        return
    rank = {state: place for place, state in enumerate(DRIFT_COLOURS)}
    ranks = rows.assign(rank=rows["state"].map(rank)).pivot_table(
        index="unique_id", columns="as_of", values="rank", aggfunc="max"
    )
    order = (ranks == rank["alarm"]).sum(axis=1).sort_values(ascending=False, kind="stable").index[:30]
    shown = ranks.loc[order]
    axes.imshow(
        shown.to_numpy(float), aspect="auto", interpolation="nearest", vmin=0, vmax=3,
        cmap=ListedColormap(list(DRIFT_COLOURS.values())),
    )  # fmt: skip
    places = np.unique(np.linspace(0, shown.shape[1] - 1, 6).round().astype(int))
    axes.set_xticks(places, [str(shown.columns[place])[:10] for place in places], rotation=30)
    axes.set_yticks(range(len(shown)), [str(name) for name in shown.index])
    _legend(axes, DRIFT_COLOURS)
    finish(axes, "Drift: learning, none, warn, alarm")
    axes.grid(visible=False)
    axes.tick_params(axis="y", labelsize=8)


def draw_funnel(axes: "Axes", licences: pd.DataFrame) -> None:
    """Draw how many forecasts of a day were left after each gate, and how many are licensed in the end.

    Parameters
    ----------
    licences
        Columns ``state, reasons`` of ``gold/licences``.
    """
    if licences.empty:
        say(axes, "no licences yet")
        return
    first = licences["reasons"].where(licences["state"] != "licensed", "").str.split().str[0].fillna("")
    lost = first[first != ""].value_counts(sort=True)
    left, names, heights = len(licences), ["forecasts"], [len(licences)]
    for reason, count in lost.items():
        left -= int(count)
        names.append(f"less {reason}")
        heights.append(left)
    places = np.arange(len(names))
    axes.barh(places, heights, color=[FAINT, *[COLOURS[0]] * (len(names) - 1)])
    for place, height in zip(places, heights, strict=True):
        axes.annotate(f" {height:,}", (height, place), va="center", fontsize=9)
    axes.set_yticks(places, names)
    axes.set_xlim(0, 1.1 * heights[0])
    axes.invert_yaxis()
    finish(axes, f"Licence funnel: {heights[-1]:,} of {heights[0]:,} licensed")


def draw_states(axes: "Axes", licences: pd.DataFrame) -> None:
    """Draw the share of each state over days.

    Parameters
    ----------
    licences
        Columns ``as_of, state``.
    """
    if licences.empty:
        say(axes, "no licences yet")
        return
    counts = licences.groupby(["as_of", "state"]).size().unstack(fill_value=0)
    shares = counts.div(counts.sum(axis=1), axis=0)
    states = [state for state in STATE_COLOURS if state in shares]
    axes.stackplot(
        pd.to_datetime(shares.index), *[shares[state] for state in states], colors=[STATE_COLOURS[s] for s in states]
    )
    axes.set_ylim(0, 1)
    axes.tick_params(axis="x", rotation=30)
    _legend(axes, {state: STATE_COLOURS[state] for state in states})
    finish(axes, "Decisions over time")


def _legend(axes: "Axes", named: Mapping[str, str]) -> None:
    from matplotlib.patches import Patch

    axes.legend(
        handles=[Patch(color=colour, label=name) for name, colour in named.items()], fontsize=8, loc="lower left"
    )
