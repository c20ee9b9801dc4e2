"""Which panels make a picture of trust. Pure: frames with the columns of the tables in, PNG bytes out."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from pulse_assets.pictures import as_png, new_figure
from pulse_assets.trust.pictures.panels import (
    draw_drift,
    draw_funnel,
    draw_pit,
    draw_reliability,
    draw_states,
    draw_trust,
)

Floats = npt.NDArray[np.float64]
DRAWN_MODEL = "pulse"


def calibration_sheet(raw: pd.DataFrame, calibrated: pd.DataFrame) -> bytes:
    """Return reliability and PIT of a model before and after recalibration.

    Parameters
    ----------
    raw, calibrated
        Columns ``model, pit`` of ``gold/scores`` and ``gold/calibrated_scores``; may be empty.
    """
    figure = new_figure(11, 4.5)
    left, right = figure.subplots(1, 2)
    both = _before_and_after(raw, calibrated)
    draw_reliability(left, both)
    draw_pit(right, both)
    return as_png(figure)


def decisions_sheet(trust: pd.DataFrame, licences: pd.DataFrame) -> bytes:
    """Return trust over time, and the licence funnel of the newest day.

    Parameters
    ----------
    trust
        Columns ``as_of, model, bucket, trust`` of ``gold/trust``.
    licences
        Columns ``state, reasons`` of ``gold/licences``, of one day.
    """
    figure = new_figure(11, 4.5)
    left, right = figure.subplots(1, 2)
    draw_trust(left, trust[trust["model"] == DRAWN_MODEL], "bucket")
    draw_funnel(right, licences)
    return as_png(figure)


def drift_sheet(rows: pd.DataFrame) -> bytes:
    """Return the drift strip alone; columns ``as_of, unique_id, state``."""
    figure = new_figure(11, 5)
    draw_drift(figure.subplots(), rows)
    return as_png(figure)


def trust_sheet(
    raw: pd.DataFrame,
    calibrated: pd.DataFrame,
    trust: pd.DataFrame,
    drift: pd.DataFrame,
    licences: pd.DataFrame,
    *,
    title: str,
) -> bytes:
    """Return all about trust on one sheet: calibration, trust over time, drift, funnel of the newest day, decisions.

    Parameters
    ----------
    raw, calibrated
        Columns ``model, pit``.
    trust
        Columns ``as_of, unique_id, model, bucket, trust``.
    drift
        Columns ``as_of, unique_id, state``.
    licences
        Columns ``as_of, state, reasons``.
    title
        What the sheet is about, and as of when.
    """
    figure = new_figure(14, 13)
    axes = figure.subplots(3, 2)
    both = _before_and_after(raw, calibrated)
    draw_reliability(axes[0][0], both)
    draw_pit(axes[0][1], both)
    draw_trust(axes[1][0], trust[trust["model"] == DRAWN_MODEL] if len(trust) else trust, "bucket")
    draw_states(axes[1][1], licences)
    draw_drift(axes[2][0], drift)
    newest = licences[licences["as_of"] == licences["as_of"].max()] if len(licences) else licences
    draw_funnel(axes[2][1], newest)
    figure.suptitle(title, fontsize=14)
    return as_png(figure)


def _before_and_after(raw: pd.DataFrame, calibrated: pd.DataFrame) -> dict[str, Floats]:
    return {
        f"{DRAWN_MODEL}, {name}": rows.loc[rows["model"] == DRAWN_MODEL, "pit"].to_numpy(np.float64)
        for name, rows in (("as made", raw), ("recalibrated", calibrated))
        if len(rows)
    }
