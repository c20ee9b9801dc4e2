"""Calibration: worlds say what the data say, know nothing of later days, and bad input is named."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting.garch import filter_variance, fit_gjr
from pulse_assets.simulation.calibration.guards import persistence
from pulse_assets.simulation.calibration.known_series import KnownSeries, Values, Vintages
from pulse_assets.simulation.calibration.world_settings import WorldSettings, load_world_settings
from pulse_assets.simulation.calibration.worlds import (
    LARGEST_PERSISTENCE,
    Calibration,
    calibrate,
    calibrate_days,
    refit_day,
)
from pulse_assets.simulation.world import World

FIRST, LAST = np.datetime64("2010-01-01"), np.datetime64("2014-03-20")
FACTORS = [
    {"name": "vix", "source": "x:VIX", "unit": "percent", "scale": "log", "low": 1, "high": 500},
    {
        "name": "spread",
        "source": "x:BAA",
        "minus": "x:AAA",
        "unit": "percent",
        "stale_days": 90,
        "min_observations": 24,
    },
    {
        "name": "inflation",
        "source": "x:CPI",
        "transform": "yoy",
        "unit": "percent",
        "stale_days": 90,
        "min_observations": 24,
    },
]
COMMON: dict[str, object] = {
    "assets": {"index": "x:INDEX", "stock": "x:STOCK", "oil": "x:OIL"},
    "factors": FACTORS,
    "window_days": 700,
    "min_observations": 300,
    "history": 5,
}
KINDS: dict[str, dict[str, object]] = {
    "student": {"regimes": {"use": "hamilton", "index": "index"}},
    "historical": {"innovations": "historical", "regimes": True, "jumps": {"use": "merton_jumps", "threshold": 2.2}},
    "constant": {"volatility": "constant", "innovations": {"use": "historical", "block_length": 8}, "regimes": False},
    "quarterly": {"innovations": "normal", "refit": "quarterly", "drift": "mean"},
}


def weekdays(first: np.datetime64, last: np.datetime64) -> np.ndarray:
    days = np.arange(first, last + 1)
    return np.asarray(days[np.is_busday(days)])


def clustered(random: np.random.Generator, days: int) -> np.ndarray:
    """Return log returns of a market in two regimes, with clusters of volatility."""
    level = np.where(np.arange(days) // 120 % 2, 2.0, 1.0)
    h, found = 1.0, np.empty(days)
    for t in range(days):
        found[t] = np.sqrt(h) * random.normal()
        h = 0.05 + 0.1 * found[t] ** 2 + 0.85 * h
    return 0.008 * level * found


def panel(seed: int = 1) -> dict[str, Vintages]:
    """Return series with their days of knowledge: holidays, a lag, monthly values, revisions."""
    random, days = np.random.default_rng(seed), weekdays(FIRST, LAST)
    market = clustered(random, len(days))
    found = {}
    for name, load, lag, missing in (("INDEX", 1.0, 0, 0), ("STOCK", 1.2, 0, 40), ("OIL", 0.5, 1, 60)):
        price = 50 * np.exp(np.cumsum(load * market + 0.006 * random.standard_t(5, size=len(days))))
        kept = np.sort(random.choice(len(days), len(days) - missing, replace=False))
        found[f"x:{name}"] = Vintages(days[kept] + lag, days[kept], price[kept])
    vix = 18 * np.exp(np.cumsum(-4 * market)) ** 0.1 * np.exp(0.1 * random.normal(size=len(days)))
    found["x:VIX"] = Vintages(days, days, vix)
    months = np.arange("2008-01", "2014-03", dtype="datetime64[M]").astype("datetime64[D]")
    for name, start in (("AAA", 4.0), ("BAA", 5.0), ("CPI", 200.0)):
        levels = start + np.cumsum(random.normal(0.02, 0.05, size=len(months)))
        found[f"x:{name}"] = Vintages(months + 40, months, levels)
    cpi = found["x:CPI"]
    revised = slice(10, len(months), 7)
    found["x:CPI"] = Vintages(
        np.concatenate([cpi.known, cpi.known[revised] + 60]),
        np.concatenate([cpi.days, cpi.days[revised]]),
        np.concatenate([cpi.levels, cpi.levels[revised] + 0.1]),
    )
    stock = found["x:STOCK"]
    found["x:STOCK"] = Vintages(  # one price is corrected four days later
        np.append(stock.known, stock.known[-20] + 4),
        np.append(stock.days, stock.days[-20]),
        np.append(stock.levels, stock.levels[-20] * 1.01),
    )
    return found


def as_known(vintages: Mapping[str, Vintages], day: np.datetime64) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {name: tuple(KnownSeries(name, series).by(day)) for name, series in vintages.items()}  # type: ignore[misc]


def world_settings(kind: str, **changes: object) -> WorldSettings:
    return WorldSettings.model_validate(COMMON | KINDS[kind] | changes)


def one(kind: str, day: np.datetime64 = LAST, **changes: object) -> Calibration:
    return calibrate(as_known(panel(), day), day, world_settings(kind, **changes))


def fingerprints(vintages: Mapping[str, Vintages], days: np.ndarray, kind: str) -> dict[np.datetime64, str]:
    made = calibrate_days(vintages, days, world_settings(kind))
    return {each.report.as_of: each.world.fingerprint for each in made}


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_in_the_world(kind: str) -> None:
    made = one(kind)
    world = made.world
    assert world.names == ("index", "stock", "oil", "vix", "spread", "inflation")
    assert made.report.left_out == {}
    assert world.history.shape == (5, 6)
    assert world.level[0] == pytest.approx(np.log(panel()["x:VIX"].levels[-1]))
    assert (world.regimes is not None) == (kind in ("student", "historical"))
    assert (world.jumps is not None) == (kind == "historical")
    assert world.innovations == {"student": "student_t", "quarterly": "normal"}.get(kind, "historical")
    if world.innovations == "historical":
        np.testing.assert_allclose(world.residuals.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose((world.residuals**2).mean(axis=0), 1)


def test_parameters_and_variance_are_those_of_the_fit() -> None:
    """On its own days, within the window, as the GJR module itself gives them."""
    values = as_known(panel(), LAST)
    days, levels = values["x:OIL"]
    start = np.busday_offset(LAST, -700, roll="backward")
    near = np.diff(days) <= np.timedelta64(10, "D")
    returns = np.diff(np.log(levels))[near & (days[1:] > start)]
    fit = fit_gjr(returns, np.array([0, len(returns)]))
    world = one("quarterly").world
    found = [getattr(world, name)[2] for name in ("omega", "alpha", "gamma", "beta")]
    np.testing.assert_allclose(
        found, [getattr(fit, name)[0] for name in ("omega", "alpha", "gamma", "beta")], rtol=1e-6
    )
    assert world.variance[2] == pytest.approx(
        filter_variance(fit, returns, np.array([0, len(returns)]))[1][0], rel=1e-6
    )


def test_total_variance_is_that_of_the_sample() -> None:
    """Constant volatility with regimes and jumps: what they add is taken from the rest."""
    made = one("constant", regimes=True, jumps={"use": "merton_jumps", "threshold": 2.2}, innovations="normal")
    world = made.world
    assert world.regimes is not None
    assert world.jumps is not None
    values = as_known(panel(), LAST)
    start = np.busday_offset(LAST, -700, roll="backward")
    stationary = np.linalg.matrix_power(world.regimes.transition, 10_000)[0]
    scale = stationary @ world.regimes.volatility**2
    sizes = world.jumps.mean**2 + world.jumps.sd**2
    total = world.variance * scale + stationary @ world.jumps.intensity * sizes * world.jumps.load**2
    for place, name in enumerate(("x:INDEX", "x:STOCK", "x:OIL")):
        days, levels = values[name]
        sample = np.diff(np.log(levels))[days[1:] > start].var()
        assert total[place] == pytest.approx(sample, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 100), cut=st.integers(5, 55))
def test_no_later_value_changes_a_bit(kind: str, seed: int, cut: int) -> None:
    """What becomes known after a day is shuffled, replaced by nonsense, or never comes."""
    vintages, random = panel(), np.random.default_rng(seed)
    days = weekdays(np.datetime64("2014-01-02"), LAST)
    before = fingerprints(vintages, days[: cut + 1], kind)
    day = days[cut]
    changed, shortened = {}, {}
    for name, (known, when, levels) in vintages.items():
        later = known > day
        levels = levels.copy()
        levels[later] = (
            random.choice([-3.0, 0.0, 1e6], size=later.sum()) if seed % 2 else random.permutation(levels[later])
        )
        changed[name] = Vintages(known, when, levels)
        shortened[name] = Vintages(known[~later], when[~later], levels[~later])
    assert fingerprints(changed, days[: cut + 1], kind) == before
    assert fingerprints(shortened, days[: cut + 1], kind) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_day_does_not_depend_on_the_days_asked_with_it(kind: str) -> None:
    vintages, days = panel(), weekdays(np.datetime64("2014-01-02"), LAST)
    whole = fingerprints(vintages, days, kind)
    some = days[[0, 7, 8, 30, 44]]
    assert fingerprints(vintages, some, kind) == {day: whole[day] for day in some}
    assert fingerprints(vintages, some[3:4], kind) == {some[3]: whole[some[3]]}
    assert len(set(whole.values())) == len(days)


@pytest.mark.parametrize("kind", KINDS)
def test_daily_refits_are_single_calibrations(kind: str) -> None:
    vintages, days = panel(), weekdays(np.datetime64("2014-03-10"), np.datetime64("2014-03-13"))
    for made in calibrate_days(vintages, days, world_settings(kind, refit="daily")):
        alone = calibrate(as_known(vintages, made.report.as_of), made.report.as_of, world_settings(kind))
        assert made.report.fitted_on == made.report.as_of
        np.testing.assert_allclose(made.world.variance, alone.world.variance, rtol=1e-12)
        assert made.world.fingerprint == alone.world.fingerprint


def test_parameters_stand_between_refits_and_state_moves() -> None:
    days = weekdays(np.datetime64("2014-02-03"), np.datetime64("2014-02-28"))
    made = list(calibrate_days(panel(), days, world_settings("student")))
    assert {str(each.report.fitted_on) for each in made} == {"2014-02-03"}
    assert len({each.world.beta.tobytes() for each in made}) == 1
    assert len({each.world.variance.tobytes() for each in made}) == len(days)
    assert len({each.world.regimes.now.tobytes() for each in made if each.world.regimes}) == len(days)


@given(offset=st.integers(0, 4000), cadence=st.sampled_from(["daily", "monthly", "quarterly"]))
def test_refit_days_come_first_and_are_weekdays(offset: int, cadence: str) -> None:
    day = np.datetime64("2010-01-01") + offset
    refit = refit_day(day, cadence)
    assert refit <= day
    assert refit == refit_day(refit, cadence)
    assert cadence == "daily" or np.is_busday(refit)
    assert (day - refit).astype(int) <= {"daily": 0, "monthly": 33, "quarterly": 95}[cadence]


def test_history_is_relative_to_the_origin_and_forward_filled() -> None:
    made, values = one("quarterly"), as_known(panel(), LAST)
    days, levels = values["x:INDEX"]
    for row, lag in enumerate(range(5, 0, -1)):
        day = np.busday_offset(LAST, -lag)
        level = levels[np.searchsorted(days, day, side="right") - 1]
        assert made.world.history[row, 0] == pytest.approx(np.log(level / levels[-1]), abs=1e-12)
    assert made.world.history[-1, 4] == made.world.level[1]


def test_stale_short_and_unknown_series_are_left_out_with_reasons() -> None:
    vintages = panel()
    known, days, levels = vintages["x:OIL"]
    old = days < np.datetime64("2014-01-01")
    vintages["x:OIL"] = Vintages(known[old], days[old], levels[old])
    vintages["x:STOCK"] = Vintages(*(each[-60:] for each in vintages["x:STOCK"]))  # type: ignore[arg-type]
    del vintages["x:AAA"]
    vintages["x:VIX"] = vintages["x:VIX"]._replace(levels=np.full(len(vintages["x:VIX"].days), 20.0))
    made = calibrate(as_known(vintages, LAST), LAST, world_settings("quarterly"))
    assert made.world.names == ("index", "inflation")
    reasons = made.report.left_out
    assert "its last value is of 2013-12-31, 79 days old, more than 10" in reasons["oil"]
    assert "fewer than 300" in reasons["stock"]
    assert reasons["spread"] == "there is no series 'x:AAA'"
    assert reasons["vix"] == "it does not move"
    with pytest.raises(ValueError, match=r"world of 2014-03-20: oil is required and missing \(oil: its last value"):
        calibrate(as_known(vintages, LAST), LAST, world_settings("quarterly", required=["index", "oil"]))
    with pytest.raises(ValueError, match=r"no asset is left .*index: there is no series 'x:INDEX'"):
        calibrate({}, LAST, world_settings("quarterly"))


@pytest.mark.parametrize("kind", ["student", "historical"])
def test_a_series_that_ends_between_refits_leaves_the_world(kind: str) -> None:
    vintages, days = panel(), weekdays(np.datetime64("2014-03-03"), LAST)
    known, when, levels = vintages["x:INDEX"]
    there = known <= np.datetime64("2014-03-05")
    vintages["x:INDEX"] = Vintages(known[there], when[there], levels[there])
    made = list(calibrate_days(vintages, days, world_settings(kind)))
    assert made[0].world.names[0] == "index"
    last = made[-1]
    assert last.world.names[0] == "stock"
    assert "15 days old" in last.report.left_out["index"]
    assert last.world.regimes is not None
    if kind == "student":  # the index of the regimes is gone: nothing is known of "now"
        regimes = last.world.regimes
        np.testing.assert_allclose(regimes.now @ regimes.transition, regimes.now, atol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_level_that_is_no_number_is_named(bad: float) -> None:
    values = as_known(panel(), LAST)
    days, levels = values["x:STOCK"]
    levels = levels.copy()
    levels[17] = bad
    values["x:STOCK"] = days, levels
    with pytest.raises(ValueError, match=f"x:STOCK: expected finite levels, got {bad} on {days[17]}: take the row out"):
        calibrate(values, LAST, world_settings("student"))


def test_days_that_do_not_rise_are_refused() -> None:
    values = as_known(panel(), LAST)
    values["x:OIL"] = values["x:OIL"][0][::-1], values["x:OIL"][1]
    with pytest.raises(ValueError, match="x:OIL: expected days that rise strictly"):
        calibrate(values, LAST, world_settings("student"))
    with pytest.raises(ValueError, match="expected days that rise strictly"):
        list(calibrate_days(panel(), [LAST, LAST], world_settings("student")))


def test_values_of_later_days_are_refused() -> None:
    with pytest.raises(ValueError, match="x:INDEX: expected values up to 2014-03-19, got one of 2014-03-20"):
        calibrate(as_known(panel(), LAST), LAST - 1, world_settings("student"))


def test_a_price_below_zero_leaves_the_asset_out() -> None:
    values = as_known(panel(), LAST)
    values["x:OIL"][1][-30] = -37.0
    made = calibrate(values, LAST, world_settings("quarterly"))
    assert "oil: expected prices above 0, got -37.0" in made.report.left_out["oil"]


def test_persistence_is_limited_and_said() -> None:
    """Variance that grows without end: the fit is at its bound."""
    random, days = np.random.default_rng(2), weekdays(FIRST, LAST)
    h, returns = 1e-6, []
    for _ in days:
        returns.append(np.sqrt(h) * random.normal())
        h = min(0.09 * returns[-1] ** 2 + 0.93 * h + 1e-9, 0.01)
    price = 100 * np.exp(np.cumsum(returns))
    settings = WorldSettings.model_validate({"assets": {"wild": "x:W"}, "innovations": "historical"})
    made = calibrate({"x:W": (days, price)}, LAST, settings)
    assert made.report.notes == ("wild: persistence lowered to 0.999",)
    assert persistence(made.world)[0] == pytest.approx(LARGEST_PERSISTENCE)


def test_drift_is_zero_the_mean_or_between() -> None:
    drifts = {how: one("quarterly", drift=how).world.drift for how in ("zero", "mean", "shrunk")}
    assert (drifts["zero"] == 0).all()
    assert (np.abs(drifts["shrunk"]) <= np.abs(drifts["mean"])).all()
    assert (drifts["shrunk"] * drifts["mean"] >= 0).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("assets: {a: x:A}\nvolatility: gjrr", r"w.yaml:2: volatility: .*unknown volatility 'gjrr'"),
        ("assets: {a: x:A}\ninnovations:\n  use: student_t\n  nu: 99", r"w.yaml:2: innovations: .*'nu' as 99"),
        ("assets: {a: x:A}\nspeed: 3", r"w.yaml:2: speed: Extra inputs"),
        ("assets: {}", r"w.yaml:1: assets: .*at least 1"),
        ("assets: {2a: x:A}", r"w.yaml:1: .*variable '2a': expected letters"),
        ("assets: {a: x:A}\nrequired: [b]", r"w.yaml:1: .*'required' names 'b'"),
        ("assets: {a: x:A}\nregimes: {use: hamilton, index: spx}", r"'index' of the regimes is 'spx'"),
        (
            "assets: {a: x:A}\nfactors:\n  - {name: vix, source: x:V}",
            r"w.yaml:3: factors.0.unit: Field required",
        ),
        ("assets: {a: x:A}\nwindow_days: 300", "min_observations 500 exceeds window_days 300"),
        ("assets: &a {a: x:A}\nfactors: *a", "w.yaml:2: aliases"),
    ],
)
def test_bad_settings_name_file_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_world_settings(path)


def test_settings_read_switches_and_shipped_worlds(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("assets: {a: x:A}\nregimes: on\njumps: off")
    found = load_world_settings(path)
    assert (found.regimes and found.regimes.use, found.jumps) == ("hamilton", None)
    shipped = load_world_settings("embedded")
    assert len(shipped.assets) == 22
    assert "embedded:CPILFESL" in shipped.sources
    with pytest.raises(ValueError, match=r"no world 'embeded': give a \.yaml file, or one of embedded"):
        load_world_settings("embeded")


def test_known_series_tell_revised_values_from_first_ones() -> None:
    days = np.array(["2020-01-01", "2020-01-02", "2020-01-01", "2020-01-03"], "datetime64[D]")
    known = np.array(["2020-01-02", "2020-01-02", "2020-01-05", "2020-01-04"], "datetime64[D]")
    series = KnownSeries("s", Vintages(known, days, np.array([1.0, 2.0, 9.0, 3.0])))
    asked = {day: series.by(np.datetime64(day)).levels.tolist() for day in ("2020-01-01", "2020-01-04", "2020-01-05")}
    assert asked == {"2020-01-01": [], "2020-01-04": [1.0, 2.0, 3.0], "2020-01-05": [9.0, 2.0, 3.0]}
    assert isinstance(series.by(np.datetime64("2020-01-05")), Values)


def test_a_calibrated_world_is_a_value() -> None:
    assert isinstance(one("student").world, World)
    assert one("student").world.fingerprint == one("student").world.fingerprint
