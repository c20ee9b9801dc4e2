"""What the scores of many days say of a simulation: skill, honesty of its probabilities, of its tails and its events.

Pure. What belongs here: rows of ``gold/retrodiction`` to four tables. Tests of tails are in ``retrodiction_tails``; words
and a picture are in ``retrodiction_text``.

Simulations of consecutive days overlap, so that their scores depend on each other. Means count all of them. Tests of
single distributions take every h-th day only, h being the steps that a score spans, and a comparison of two engines
takes the overlap into its variance.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from scipy.special import chdtrc, kolmogorov

from pulse_assets.numerics.comparison import benjamini_hochberg, diebold_mariano
from pulse_assets.numerics.reliability import brier
from pulse_assets.simulation.reference_worlds import PULSE
from pulse_assets.simulation.retrodiction_scores import ALL, PORTFOLIO
from pulse_assets.simulation.retrodiction_tails import tail_rows

Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]

ASSETS = "assets"
"""Variable of a report: the mean over the assets of a day."""
BINS = 10
"""Of a PIT histogram, and of probabilities that count as alike in the Brier score."""
WHO = ["engine", "mode"]


@dataclass(frozen=True, eq=False)
class Report:
    """Four tables; statistics are null where there are too few days for them.

    Attributes
    ----------
    skill
        ``score, variable, step, engine, mode, reference, days, mean, reference_mean, skill, statistic, p_value,
        p_adjusted``: mean scores, ``1 - mean / reference_mean``, Diebold-Mariano below 0 where the engine is better, and
        for single assets the p-value adjusted for their number (Benjamini-Hochberg).
    calibration
        ``engine, mode, variable, step, days, independent_days, mean, histogram, chi2, chi2_p, ks, ks_p`` of the
        probability integral transform.
    tails
        See :func:`pulse_assets.simulation.retrodiction_tails.tail_rows`.
    events
        ``engine, mode, variable, step, days, rate, forecast, brier, reliability, resolution, uncertainty, within, skill``
        of falls; ``skill`` is against always saying the rate of the days themselves.
    """

    skill: pa.Table
    calibration: pa.Table
    tails: pa.Table
    events: pa.Table


def report(rows: pa.Table) -> Report:
    """Return what rows say together.

    Parameters
    ----------
    rows
        Columns of ``gold/retrodiction`` but ``data_version``, in any order.

    Raises
    ------
    ValueError
        A day stands twice for one origin, engine, mode, variable and step.
    """
    frame = rows.to_pandas(date_as_object=False, categories=["engine", "mode", "variable"])
    key = ["origin", *WHO, "variable", "step"]
    if frame.duplicated(key).any():
        twice = frame.loc[frame.duplicated(key), key].iloc[0].to_dict()
        raise ValueError(f"expected one row for each {', '.join(key)}; there are more of {twice}: read each day once")
    frame = frame.sort_values("origin", kind="stable")
    spacing = spacing_of(frame["origin"].unique().astype("datetime64[D]"))
    skill = pd.DataFrame([*_skill(frame, spacing)])
    if len(skill):
        skill["p_adjusted"] = _adjusted(skill)
    single = frame[frame["variable"] != ALL]
    groups = [(key, group) for key, group in single.groupby([*WHO, "variable", "step"], observed=True, sort=True)]
    calibration = [_calibration(key, group, spacing) for key, group in groups]
    events = [_events(key, group) for key, group in groups]
    tails = [row for key, group in groups for row in tail_rows(key, group, spacing)]
    return Report(*(_table(each) for each in (skill, [*calibration, *_pooled(single)], tails, events)))


def spacing_of(origins: Days) -> int:
    """Return how many weekdays usually lie between one origin and the next, at least 1.

    Examples
    --------
    >>> spacing_of(np.array(["2018-06-01", "2018-06-08", "2018-06-15"], "datetime64[D]"))
    5
    """
    if len(origins) < 2:
        return 1
    return max(1, int(np.median(np.busday_count(origins[:-1], origins[1:]))))


def apart(origins: Days, steps: int) -> npt.NDArray[np.int64]:
    """Return places of origins at least so many weekdays apart, from the first one on: their scores do not overlap.

    Examples
    --------
    >>> apart(np.array(["2018-06-01", "2018-06-04", "2018-06-08", "2018-06-11"], "datetime64[D]"), 5).tolist()
    [0, 2]
    """
    number = np.busday_count(np.datetime64("1970-01-01"), origins)
    chosen, last = [], -steps + (number[0] if len(number) else 0)
    for place, each in enumerate(number.tolist()):
        if each - last >= steps:
            chosen.append(place)
            last = each
    return np.array(chosen, np.int64)


def _skill(frame: pd.DataFrame, spacing: int) -> Iterator[dict[str, object]]:
    """Yield the comparisons of all engines and modes with all others that may serve as reference."""
    assets = frame[~frame["variable"].isin([PORTFOLIO, ALL])]
    mean = assets.groupby(["origin", *WHO, "step"], observed=True)["crps"].mean().reset_index().assign(variable=ASSETS)
    for score, part in (("crps", pd.concat([frame[frame["variable"] != ALL], mean])), ("energy_score", frame)):
        known = part.dropna(subset=[score])
        for (variable, step), group in known.groupby(["variable", "step"], observed=True, sort=True):
            losses = group.pivot(index="origin", columns=WHO, values=score)
            overlap = ceil(step / spacing)
            for who, other in product(losses.columns, losses.columns):
                if who != other and (who[0] == PULSE or other[0] != PULSE):
                    pair = losses[[who, other]].dropna().to_numpy()
                    name = other[0] if other[0] != PULSE else f"{other[0]} {other[1]}"
                    found = {"score": score, "variable": variable, "step": step, "engine": who[0], "mode": who[1]}
                    yield found | {"reference": name} | _compared(pair, overlap)


def _compared(pair: Floats, overlap: int) -> dict[str, object]:
    mine, theirs = np.ascontiguousarray(pair[:, 0]), np.ascontiguousarray(pair[:, 1])
    test = diebold_mariano(mine, theirs, overlap)
    mean, reference = (float(each.mean()) if len(each) else np.nan for each in (mine, theirs))
    return {
        "days": len(pair),
        "mean": mean,
        "reference_mean": reference,
        "skill": 1 - mean / reference if reference else np.nan,
        "statistic": test.statistic,
        "p_value": test.p_value,
    }


def _adjusted(skill: pd.DataFrame) -> Floats:
    """Return p-values of single assets adjusted for all assets of the same comparison and step, NaN for others."""
    found = np.full(len(skill), np.nan)
    is_asset = ~skill["variable"].isin([ASSETS, PORTFOLIO, ALL]).to_numpy()
    family = skill.groupby(["score", "step", *WHO, "reference"], observed=True).ngroup().to_numpy()
    for number in np.unique(family[is_asset]):
        places = np.flatnonzero(is_asset & (family == number))
        found[places] = benjamini_hochberg(skill["p_value"].to_numpy(np.float64)[places])
    return found


def _named(key: tuple[object, ...]) -> dict[str, object]:
    return dict(zip((*WHO, "variable", "step"), key, strict=True))


def _calibration(key: tuple[object, ...], group: pd.DataFrame, spacing: int) -> dict[str, object]:
    known = group.dropna(subset=["pit"])
    pit, step = known["pit"].to_numpy(np.float64), int(str(key[-1]))
    alone = pit[apart(known["origin"].to_numpy().astype("datetime64[D]"), step)] if step > spacing else pit
    chi2, ks = uniform_tests(alone)
    found = {"days": len(pit), "independent_days": len(alone), "mean": pit.mean() if len(pit) else np.nan}
    tests = {"chi2": chi2[0], "chi2_p": chi2[1], "ks": ks[0], "ks_p": ks[1]}
    return _named(key) | found | {"histogram": histogram(pit).tolist()} | tests


def _pooled(single: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield the histogram of all assets together, which depend on each other: no test is made of it."""
    assets = single[single["variable"] != PORTFOLIO].dropna(subset=["pit"])
    for key, group in assets.groupby([*WHO, "step"], observed=True, sort=True):
        pit = group["pit"].to_numpy(np.float64)
        found = {"days": group["origin"].nunique(), "independent_days": 0, "mean": pit.mean()}
        yield _named((*key[:2], ASSETS, key[2])) | found | {"histogram": histogram(pit).tolist()}


def histogram(pit: Floats) -> npt.NDArray[np.int64]:
    """Return how many values lie in each of ten equal parts of 0 to 1, shape ``(10,)``."""
    return np.bincount(np.minimum((pit * BINS).astype(np.int64), BINS - 1), minlength=BINS)


def uniform_tests(pit: Floats) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return statistic and p-value of chi-squared in ten bins, and of Kolmogorov and Smirnov, for independent values.

    NaN for fewer than 50 values, of which chi-squared expects fewer than five a bin.

    References
    ----------
    Stephens (1970), Use of the Kolmogorov-Smirnov, Cramér-von Mises and related statistics without extensive tables
    (the correction of the second for few values).

    Examples
    --------
    >>> even = (np.arange(100) + 0.5) / 100
    >>> [round(p, 3) for _, p in uniform_tests(even)], [p < 0.001 for _, p in uniform_tests(even**2)]
    ([1.0, 1.0], [True, True])
    """
    n = len(pit)
    if n < 5 * BINS:
        return (np.nan, np.nan), (np.nan, np.nan)
    chi2 = float(((histogram(pit) - n / BINS) ** 2).sum() / (n / BINS))
    rising = np.sort(pit)
    distance = float(max((np.arange(1, n + 1) / n - rising).max(), (rising - np.arange(n) / n).max()))
    scaled = (np.sqrt(n) + 0.12 + 0.11 / np.sqrt(n)) * distance
    return (chi2, float(chdtrc(BINS - 1, chi2))), (distance, float(kolmogorov(scaled)))


def _events(key: tuple[object, ...], group: pd.DataFrame) -> dict[str, object]:
    known = group.dropna(subset=["fall_probability", "fell"])
    said, fell = known["fall_probability"].to_numpy(np.float64), known["fell"].to_numpy(bool)
    parts = brier(said, fell, BINS)
    found = {"days": len(fell), "rate": fell.mean() if len(fell) else np.nan, "forecast": said.mean() if len(said) else np.nan}
    skill = 1 - parts.score / parts.uncertainty if parts.uncertainty > 0 else np.nan
    return _named(key) | found | {"brier": parts.score} | dict(zip(parts._fields[1:], parts[1:], strict=True)) | {"skill": skill}


def _table(rows: pd.DataFrame | list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)
