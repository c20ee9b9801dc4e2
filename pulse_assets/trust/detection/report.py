"""Draws the columns that changed most as one page of HTML, with Evidently. Pure but for the file it writes.

Evidently takes tens of milliseconds and 70 kB a column, and dies of a column without values. So the panel is compared
by :mod:`.distributions`, and only its worst columns come here. The page needs no network to be read.
"""

import html
import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pulse_assets.trust.detection.distributions import PanelComparison, compare_panel

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

WORST = 20
"""Series on a page: about 6 MB, of which 4 are Evidently's own."""
SWITCHES = {"DO_NOT_TRACK": "true", "EVIDENTLY_DISABLE_TELEMETRY": "1"}


@dataclass(frozen=True)
class Rendered:
    """A page that was written.

    Parameters
    ----------
    size
        Bytes.
    series
        Series on the page, the worst first.
    path
        Where it is.
    left_out
        Series that could not be drawn, as they have no finite value or never vary in either sample; they are named
        at the head of the page.
    """

    size: int
    series: tuple[str, ...]
    path: Path
    left_out: tuple[str, ...]


def render(
    reference: Mapping[str, Floats], recent: Mapping[str, Floats], path: Path, *, autocorrelated: bool = True
) -> Rendered:
    """Write a page about the twenty series that changed most.

    Parameters
    ----------
    reference, recent
        Values by series, each 1-d, in order of time and of any length. What is not finite is left out.
    path
        Where the page goes; its folder must exist.
    autocorrelated
        As for :func:`.compare_panel`, whose q-values, then distances, say which series changed most.

    Raises
    ------
    ValueError
        The two are not about the same series, or none of them can be drawn.
    """
    if set(reference) != set(recent):
        only = sorted(set(reference) ^ set(recent))
        raise ValueError(f"reference and recent are of the same series; only in one of them: {only[:5]}")
    names = sorted(reference)
    drawn = [name for name in names if _varies(reference[name]) and _varies(recent[name])]
    left_out = tuple(name for name in names if name not in set(drawn))
    if not drawn:
        raise ValueError(f"a page needs a series that varies in both samples; came {len(names)}, none of which does")
    before, after = [reference[name] for name in drawn], [recent[name] for name in drawn]
    found = compare_panel(before, after, autocorrelated=autocorrelated)
    order = _worst(found)
    series = tuple(drawn[place] for place in order)
    head = _head(found, order, series, left_out)
    page = _page(_frame(series, reference), _frame(series, recent), head)
    path.write_text(page, encoding="utf-8")
    return Rendered(path.stat().st_size, series, path, left_out)


def _varies(values: Floats) -> bool:
    finite = values[np.isfinite(values)]
    return bool(len(finite) and (finite != finite[0]).any())


def _worst(found: PanelComparison) -> list[int]:
    """Return the places of the worst series: smallest q-value first, then largest distance; unknown q last."""
    unknown = np.isnan(found.q_value)
    order = np.lexsort((-found.statistic, np.where(unknown, 0.0, found.q_value), unknown))
    return [int(place) for place in order[:WORST]]


def _frame(series: tuple[str, ...], samples: Mapping[str, Floats]) -> "pd.DataFrame":
    """Return finite values by rank and name, without what Evidently would write into a script as it stands."""
    import pandas as pd

    finite = [samples[name][np.isfinite(samples[name])] for name in series]
    shown = [f"{rank:02} {name.replace('<', '(')}" for rank, name in enumerate(series, 1)]
    return pd.DataFrame({name: pd.Series(values, dtype="float64") for name, values in zip(shown, finite, strict=True)})


def _page(reference: "pd.DataFrame", recent: "pd.DataFrame", head: str) -> str:
    """Return the page as text: what Evidently draws, after our own words."""
    for name, value in SWITCHES.items():  # it looks at them as it is imported
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, numpy and scipy about what Evidently does with them
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        numbers = DataDefinition(numerical_columns=list(recent.columns))  # it takes few different values for categories
        samples = (Dataset.from_pandas(frame, data_definition=numbers) for frame in (recent, reference))
        with np.errstate(all="ignore"):
            page: str = Report([DataDriftPreset(num_method="ks")]).run(*samples).get_html_str(as_iframe=False)
    return page.replace("<body>", f"<body>{head}", 1)


def _head(found: PanelComparison, order: list[int], series: tuple[str, ...], left_out: tuple[str, ...]) -> str:
    """Return the figures that the choice rests on: Evidently's own p-values know neither panel nor autocorrelation."""
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{_number(found.q_value[place])}</td>"
        f"<td>{_number(found.statistic[place])}</td><td>{_number(found.psi[place])}</td></tr>"
        for place, name in zip(order, series, strict=True)
    )
    missing = f"<p>Without values that vary, and left out: {html.escape(', '.join(left_out))}.</p>" if left_out else ""
    return (
        '<section style="font-family: sans-serif; margin: 1em">'
        f"<h1>Series whose distribution changed most: {len(series)} of {len(found)}</h1>"
        "<p>q-value over all of them, after taking autocorrelation into account, Kolmogorov-Smirnov distance, and "
        "population stability index less its mean by chance. What follows is drawn by Evidently, whose p-values take "
        f"each series alone and its values for independent.</p>{missing}"
        f"<table><tr><th>series</th><th>q</th><th>distance</th><th>index</th></tr>{rows}</table></section>"
    )


def _number(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.3g}"
