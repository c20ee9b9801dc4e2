"""Lays out what is believed on one day as rows of ``gold/trust``, all but the calibrated probability. Pure."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pulse_assets.numerics.reliability import wilson
from pulse_assets.trust.belief import shrinkage
from pulse_assets.trust.belief.sizes import STATED
from pulse_assets.trust.belief.targets import NAIVE, SEASONAL
from pulse_assets.trust.belief.windows import Said
from pulse_assets.trust.buckets import BUCKETS, LONGEST

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]

MEANS = ("wis", "wis_naive", "coverage_50", "coverage_80", "coverage_95", "pit_distance", "stability")


@dataclass(frozen=True)
class Panel:
    """What the scores of some days say.

    Parameters
    ----------
    ids, models
        Names, sorted.
    freqs
        Of each series.
    series, model, bucket
        Of each cell, places among the names, shape ``(K,)``.
    said
        Of each cell and day.
    """

    ids: Texts
    models: Texts
    freqs: Texts
    series: Ints
    model: Ints
    bucket: Ints
    said: Said


def rows_of(panel: Panel, place: int, day: date) -> pa.Table:
    """Return the columns of ``gold/trust`` of one of the days, up to ``p_raw`` and calibration."""
    at = np.flatnonzero(panel.said.targets[:, place] > 0)
    at = at[np.lexsort((panel.bucket[at], panel.model[at], panel.series[at]))]
    said = Said(*(column[at, place] for column in panel.said))
    freq, model, bucket = panel.freqs[panel.series[at]], panel.model[at], panel.bucket[at]
    columns: dict[str, object] = {
        "as_of": np.full(len(at), np.datetime64(day, "D")),
        "unique_id": pa.array(panel.ids[panel.series[at]], pa.string()),
        "model": pa.array(panel.models[model], pa.string()),
        "bucket": pa.array(np.array(BUCKETS, object)[bucket], pa.string()),
        "freq": pa.array(freq, pa.string()),
        "targets": said.targets.astype(np.int64),
        "recent_targets": said.recent_targets.astype(np.int64),
        "reference": pa.array(_references(said), pa.string()),
    }
    shares = _shares(said, _numbers(freq, model, bucket), bucket, panel.models[model] == NAIVE)
    floats = {name: pa.array(values, pa.float64(), from_pandas=True) for name, values in shares.items()}
    return pa.table({**columns, **floats})


def _shares(said: Said, panel: Ints, bucket: Ints, is_naive: npt.NDArray[np.bool_]) -> dict[str, Floats]:
    """Return skill and calibration; naive has no skill, which would be none, but proves nothing."""
    skill, error, recent = (
        np.where(is_naive, np.nan, part) for part in (said.skill, said.skill_se, said.recent_skill)
    )  # fmt: skip
    seen = shrinkage.posterior(skill, error, said.targets, panel)
    no_panel = np.where(np.isnan(seen.probability), np.nan, 0.0)
    effective = np.maximum(said.targets / np.array([LONGEST[name] for name in BUCKETS])[bucket], 1.0)
    low, high = wilson(said.coverage_80 * effective, effective, 0.95)
    tested = np.where(said.targets >= STATED, said.coverage_80, np.nan)
    counts = said.after_hit, said.after_miss, said.misses_after_hit, said.misses_after_miss
    return {
        **{name: getattr(said, name) for name in MEANS},
        "skill": skill,
        "skill_se": error,
        "recent_skill": recent,
        "panel_skill": seen.panel_skill + no_panel,
        "panel_sd": seen.panel_sd + no_panel,
        "skill_shrunk": seen.skill,
        "p_raw": seen.probability,
        "coverage_80_low": low,
        "coverage_80_high": high,
        "coverage_80_shrunk": shrinkage.shrunk_coverage(said.coverage_80, effective, panel),
        "coverage_80_q": shrinkage.coverage_q(tested, effective, panel),
        "kupiec_p": shrinkage.kupiec_p(tested, effective),
        "christoffersen_p": shrinkage.christoffersen_p(*counts),
    }


def _references(said: Said) -> list[str | None]:
    return [None if np.isnan(seasonal) else SEASONAL if seasonal else NAIVE for seasonal in said.seasonal.tolist()]


def _numbers(freq: Texts, model: Ints, bucket: Ints) -> Ints:
    """Return a number for each frequency, model and bucket: the panels."""
    of_freq = np.unique(freq.astype(str), return_inverse=True)[1]
    return np.asarray(np.unique((of_freq * 1_024 + model) * len(BUCKETS) + bucket, return_inverse=True)[1])
