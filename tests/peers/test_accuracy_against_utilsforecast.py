"""Our accuracy and comparison scores against utilsforecast and, where definitions are equal, statsmodels."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from utilsforecast import losses

from pulse_assets.numerics.accuracy import mase, mase_scale, msis, naive2, smape
from pulse_assets.numerics.comparison import benjamini_hochberg, diebold_mariano
from pulse_assets.numerics.quantiles import LEVELS, MEDIAN, QUANTILE_COLUMNS
from pulse_assets.numerics.scores import pinball, weighted_interval_score

SERIES, STEPS, SEASON = 40, 12, 4


class Panel(NamedTuple):
    """Histories and, for the steps after them, truths and quantile forecasts; as arrays and as their long tables."""

    values: np.ndarray
    offsets: np.ndarray
    y: np.ndarray  # (S, H)
    quantiles: np.ndarray  # (S, H, 23)
    train: pd.DataFrame
    test: pd.DataFrame

    @property
    def yhat(self) -> np.ndarray:
        """The medians, shape (S, H)."""
        return self.quantiles[:, :, MEDIAN]

    @property
    def scale(self) -> np.ndarray:
        """What errors are divided by, shape (S,)."""
        return mase_scale(self.values, SEASON, self.offsets)


@pytest.fixture(scope="module")
def panel() -> Panel:
    rng = np.random.default_rng(12)
    lengths = rng.integers(SEASON + 1, 90, SERIES)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    values = rng.lognormal(0, 0.3, offsets[-1]).cumsum()
    y = rng.normal(0, 5, (SERIES, STEPS))
    y[3, 4] = 0.0
    quantiles = np.sort(y[:, :, None] + rng.standard_t(3, (SERIES, STEPS, len(LEVELS))), axis=2)
    quantiles[3, 4] = 0.0  # truth and forecast are both 0: no error, whatever it is divided by
    train = pd.DataFrame({"unique_id": np.repeat(np.arange(SERIES), lengths), "y": values})
    train["ds"] = train.groupby("unique_id").cumcount()
    test = pd.DataFrame({"unique_id": np.repeat(np.arange(SERIES), STEPS), "y": y.ravel()})
    test = pd.concat([test, pd.DataFrame(quantiles.reshape(-1, len(LEVELS)), columns=list(QUANTILE_COLUMNS))], axis=1)
    return Panel(values, offsets, y, quantiles, train, test)


def in_order(scores: pd.DataFrame, column: str) -> np.ndarray:
    return scores.sort_values("unique_id")[column].to_numpy()


def test_smape_is_theirs_times_200(panel: Panel) -> None:
    theirs = in_order(losses.smape(panel.test, ["q500"]), "q500")
    np.testing.assert_allclose(smape(panel.y, panel.yhat), 200 * theirs, rtol=1e-12)


def test_mase_is_theirs(panel: Panel) -> None:
    theirs = in_order(losses.mase(panel.test, ["q500"], SEASON, panel.train), "q500")
    np.testing.assert_allclose(mase(panel.y, panel.yhat, panel.scale), theirs, rtol=1e-12)


def test_msis_is_their_winkler_score_by_the_scale(panel: Panel) -> None:
    ends = panel.test.rename(columns={"q025": "model-lo-95", "q975": "model-hi-95"})
    theirs = in_order(losses.winkler_score(ends, ["model"], 95), "model") / panel.scale
    low, high = panel.quantiles[:, :, 1], panel.quantiles[:, :, -2]
    np.testing.assert_allclose(msis(panel.y, low, high, panel.scale), theirs, rtol=1e-12)


def test_pinball_is_their_quantile_loss(panel: Panel) -> None:
    ours = pinball(panel.quantiles.reshape(-1, len(LEVELS)), panel.y.ravel()).reshape(panel.quantiles.shape)
    for k, (level, column) in enumerate(zip(LEVELS, QUANTILE_COLUMNS, strict=True)):
        theirs = in_order(losses.quantile_loss(panel.test, {"model": column}, level), "model")
        np.testing.assert_allclose(ours[:, :, k].mean(axis=1), theirs, rtol=1e-12, err_msg=column)


def test_wis_is_twice_their_multi_quantile_loss(panel: Panel) -> None:
    theirs = in_order(losses.mqloss(panel.test, {"model": list(QUANTILE_COLUMNS)}, LEVELS), "model")
    ours = weighted_interval_score(panel.quantiles.reshape(-1, len(LEVELS)), panel.y.ravel())
    np.testing.assert_allclose(ours.reshape(panel.y.shape).mean(axis=1), 2 * theirs, rtol=1e-12)


def test_wis_by_the_size_of_the_truth_is_their_scaled_crps(panel: Panel) -> None:
    theirs = in_order(losses.scaled_crps(panel.test, {"model": list(QUANTILE_COLUMNS)}, LEVELS), "model")
    ours = weighted_interval_score(panel.quantiles.reshape(-1, len(LEVELS)), panel.y.ravel()).reshape(panel.y.shape)
    np.testing.assert_allclose(ours.sum(axis=1) / np.abs(panel.y).sum(axis=1), theirs, rtol=1e-9)


@pytest.mark.parametrize("season", [4, 5, 12])
def test_naive2_is_what_their_autocorrelation_and_decomposition_make(season: int) -> None:
    """The parts are statsmodels'; only the limit of the seasonality test is written out here."""
    from statsmodels.tsa.seasonal import seasonal_decompose
    from statsmodels.tsa.stattools import acf

    rng = np.random.default_rng(season)
    adjusted = 0
    for _ in range(60):
        length = int(rng.integers(3 * season, 8 * season))
        cycle = np.resize(rng.lognormal(0, 0.3 * rng.integers(0, 2), season), length)
        history = cycle * np.linspace(50, 70, length) * rng.lognormal(0, 0.1, length)
        r = acf(history, nlags=season, fft=False)
        theirs = np.full(season, history[-1])
        if abs(r[season]) > 1.645 * np.sqrt((1 + 2 * (r[1:season] ** 2).sum()) / length):
            indices = seasonal_decompose(history, model="multiplicative", period=season).seasonal
            theirs = history[-1] / indices[-1] * indices[length - season :]
            adjusted += 1
        ours = naive2(history, np.array([0, length]), season, season)[0]
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    assert 15 < adjusted < 60


@pytest.mark.parametrize("h", [1, 3, 8])
def test_diebold_mariano_is_their_newey_west_t_of_a_constant_but_for_the_correction(h: int) -> None:
    from statsmodels.api import OLS

    rng = np.random.default_rng(h)
    a, b = np.convolve(rng.normal(size=90), np.ones(h), "valid") ** 2, rng.gamma(2, h / 2, 91 - h)
    n = len(a)
    options = {"maxlags": h - 1, "use_correction": False}
    fit = OLS(a - b, np.ones(n)).fit(cov_type="HAC", cov_kwds=options)
    correction = np.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    assert diebold_mariano(a, b, h).statistic == pytest.approx(fit.tvalues[0] * correction, rel=1e-10)


def test_benjamini_hochberg_is_their_fdr_bh() -> None:
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(0).beta(0.3, 1, 300)
    np.testing.assert_allclose(benjamini_hochberg(p), multipletests(p, method="fdr_bh")[1], rtol=1e-12)
