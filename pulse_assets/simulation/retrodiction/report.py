"""What the scores of many days say of a simulation: skill, honesty of its probabilities, of its tails and its events.

Pure. What belongs here: rows of ``gold/retrodiction`` to four tables. Tests of tails are in ``tails``,
words in ``text``.

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
from pulse_assets.simulation.retrodiction.names import ALL, PORTFOLIO, PULSE
from pulse_assets.simulation.retrodiction.overlap import apart, spacing_of
from pulse_assets.simulation.retrodiction.tails import tail_rows

Floats = npt.NDArray[np.float64]

ASSETS = "assets"
"""Variable of a report: the mean over the assets of a day."""
BINS = 10
"""Of a PIT histogram, and of probabilities that count as alike in the Brier score."""
WHO = ["engine", "mode"]
Key = tuple[str, str, str, int]
"""Engine, mode, variable and step."""


@dataclass(frozen=True, eq=False)
class Report:
    """Four tables; statistics are null where there are too few days for them.

    Attributes
    ----------
    skill
        ``score, variable, step, engine, mode, reference, days, mean, reference_mean, skill, statistic, p_value,
        p_adjusted``: mean scores, ``1 - mean / reference_mean``, Diebold-Mariano below 0 where the engine is better,
        and for single assets the p-value adjusted for their number (Benjamini-Hochberg).
    calibration
        ``engine, mode, variable, step, days, independent_days, mean, histogram, chi2, chi2_p, ks, ks_p`` of the
        probability integral transform.
    tails
        See :func:`pulse_assets.simulation.retrodiction.tails.tail_rows`.
    events
        ``engine, mode, variable, step, days, rate, forecast, brier, reliability, resolution, uncertainty, within,
        skill`` of falls; ``skill`` is against always saying the rate of the days themselves.
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
    spacing = spacing_of(np.unique(frame["origin"].to_numpy().astype("datetime64[D]")))
    skill = pd.DataFrame([*_skill(frame, spacing)])
    if len(skill):
        skill["p_adjusted"] = _adjusted(skill)
    single = frame[frame["variable"] != ALL]
    groups = [(_key(key), group) for key, group in single.groupby([*WHO, "variable", "step"], observed=True, sort=True)]
    calibration = [_calibration(key, group) for key, group in groups]
    events = [_events(key, group) for key, group in groups]
    tails = [_named(key) | row for key, group in groups for row in tail_rows(group, *key[2:])]
    return Report(*(_table(each) for each in (skill, [*calibration, *_pooled(single)], tails, events)))


def _skill(frame: pd.DataFrame, spacing: int) -> Iterator[dict[str, object]]:
    """Yield the comparisons of all engines and modes with all others that may serve as reference."""
    assets = frame[~frame["variable"].isin([PORTFOLIO, ALL])]
    mean = assets.groupby(["origin", *WHO, "step"], observed=True)["crps"].mean().reset_index().assign(variable=ASSETS)
    for score, part in (("crps", pd.concat([frame[frame["variable"] != ALL], mean])), ("energy_score", frame)):
        known = part.dropna(subset=[score])
        for (variable, step), group in known.groupby(["variable", "step"], observed=True, sort=True):
            losses = group.pivot(index="origin", columns=WHO, values=score)
            overlap = ceil(int(str(step)) / spacing)
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


def _key(key: tuple[object, ...]) -> Key:
    engine, mode, variable, step = key
    return str(engine), str(mode), str(variable), int(str(step))


def _named(key: Key) -> dict[str, object]:
    return dict(zip((*WHO, "variable", "step"), key, strict=True))


def _calibration(key: Key, group: pd.DataFrame) -> dict[str, object]:
    known = group.dropna(subset=["pit"])
    pit = known["pit"].to_numpy(np.float64)
    alone = pit[apart(known["origin"].to_numpy().astype("datetime64[D]"), key[3])]
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
        yield _named(_key((*key[:2], ASSETS, key[2]))) | found | {"histogram": histogram(pit).tolist()}


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


def _events(key: Key, group: pd.DataFrame) -> dict[str, object]:
    known = group.dropna(subset=["fall_probability", "fell"])
    said, fell = known["fall_probability"].to_numpy(np.float64), known["fell"].to_numpy(bool)
    parts = brier(said, fell, BINS)
    found = {
        "days": len(fell),
        "rate": fell.mean() if len(fell) else np.nan,
        "forecast": said.mean() if len(said) else np.nan,
    }
    skill = 1 - parts.score / parts.uncertainty if parts.uncertainty > 0 else np.nan
    return (
        _named(key)
        | found
        | {"brier": parts.score}
        | dict(zip(parts._fields[1:], parts[1:], strict=True))
        | {"skill": skill}
    )


def _table(rows: pd.DataFrame | list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)
