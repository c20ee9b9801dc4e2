"""Pictures of simulations show what the tables hold, and are PNG files of a size that asset metadata bears."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pulse_assets.numerics.quantiles import QUANTILE_COLUMNS
from pulse_assets.simulation.pictures import plots
from pulse_assets.simulation.pictures.panels import Fan, Mark, draw_pit, draw_strip, fan_of, short
from pulse_assets.simulation.pictures.plots import (
    exposure_distribution,
    fan_chart,
    pit_histogram,
    rule_timeline,
    scenario_difference,
    simulation_sheet,
)
from pulse_assets.simulation.pictures.rows import (
    fired,
    furthest_apart,
    moved_most,
    newest,
    outcomes_compared,
    risk_marks,
)
from tests.assets.simulation.simulated_days import DAY, STEPS, day_tables

PNG = b"\x89PNG\r\n\x1a\n"
CRISIS = "energy_crisis"


def frames() -> list[pd.DataFrame]:
    """Return distributions, risk, rules and differences of a real day."""
    return [rows.to_pandas() for rows in day_tables().values()]


def size_of(png: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@contextmanager
def drawn() -> Iterator[list[Figure]]:
    """Collect figures instead of making PNG of them, to look at what is on them."""
    figures: list[Figure] = []
    with patch.object(plots, "as_png", figures.append):
        yield figures


def words(figure: Figure) -> list[str]:
    """Return the words on all panels that have no axes."""
    return [text.get_text() for axes in figure.axes for text in axes.texts if not axes.axison]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def variable(name: str, scenario: str = CRISIS) -> pd.DataFrame:
    rows = frames()[0]
    return rows[(rows["variable"] == name) & (rows["scenario"] == scenario)]


def test_a_return_is_drawn_as_the_price_that_it_makes() -> None:
    rows = variable("SPX").sort_values("step")
    fan = fan_of(rows)
    assert fan.unit == "price"
    assert fan.steps.tolist() == [0, *rows["step"]]
    np.testing.assert_array_equal(fan.quantiles[0], np.full(23, 2700.0))
    np.testing.assert_allclose(fan.at("q050")[1:], 2700 * np.exp(rows["q050"]), rtol=1e-12)


def test_a_return_without_a_price_is_drawn_in_per_cent() -> None:
    rows = variable("WTI").sort_values("step")
    fan = fan_of(rows)
    assert fan.unit == "return, %"
    assert fan.at("q500")[0] == 0
    np.testing.assert_allclose(fan.at("q500")[1:], 100 * (np.exp(rows["q500"]) - 1), rtol=1e-9)


def test_a_factor_starts_at_its_level_and_the_profit_at_nothing() -> None:
    assert fan_of(variable("vix")).quantiles[0] == pytest.approx(20.0)
    assert fan_of(variable("pnl_usd")).quantiles[0] == pytest.approx(0.0)


def test_what_is_not_known_at_the_origin_starts_at_the_first_step() -> None:
    rows = variable("net_exposure_usd")
    fan = fan_of(rows)
    assert fan.steps[0] == rows["step"].min() == 1
    assert fan.quantiles.shape == (len(rows), 23)


def test_the_order_of_rows_does_not_matter() -> None:
    rows = variable("SPX")
    first, second = fan_of(rows), fan_of(rows.sample(frac=1, random_state=1))
    np.testing.assert_array_equal(first.quantiles, second.quantiles)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-0.0, "0"), (9999, "9999"), (10_000, "10k"), (-125_000, "-125k"), (2_500_000, "2.5M"), (0.05, "0.05")],
)
def test_ticks_are_short(value: float, text: str) -> None:
    assert short(value) == text


def test_losses_of_the_risk_table_are_drawn_as_negative_profits() -> None:
    _, risk, *_ = frames()
    own = newest(risk, CRISIS)
    marks = {mark.name: mark for mark in risk_marks(own)}
    assert list(marks) == ["mean", "VaR 95 %", "ES 95 %", "VaR 97.5 %", "ES 97.5 %", "VaR 99 %", "ES 99 %"]
    (row,) = own[(own["measure"] == "value_at_risk") & (own["level"] == 0.95)].itertuples()
    assert marks["VaR 95 %"] == Mark("VaR 95 %", -row.value, -row.high, -row.low)
    assert all(mark.low <= mark.value <= mark.high for mark in marks.values() if not np.isnan(mark.low))


def test_estimates_by_sobol_points_share_the_rows_of_those_by_paths() -> None:
    simulations, risk, *_ = frames()
    own = newest(risk, CRISIS)
    quasi = own[own["measure"].isin(["mean_pnl", "value_at_risk"])].assign(estimator="sobol")
    quasi = quasi.assign(value=quasi["value"] + 1)
    marks = risk_marks(pd.concat([quasi, own]))
    first, second = (mark for mark in marks if mark.name == "VaR 99 %")
    assert second.value == first.value - 1
    with drawn() as figures:
        exposure_distribution(simulations, pd.concat([quasi, own]), CRISIS)
    below = figures[0].axes[2]
    assert [label.get_text() for label in below.get_yticklabels()] == list(dict.fromkeys(mark.name for mark in marks))
    assert "green by Sobol points" in below.get_xlabel()


def test_differences_are_sorted_into_outcomes_with_the_mean_first() -> None:
    *_, divergence = frames()
    groups = outcomes_compared(newest(divergence, CRISIS), "base")
    assert list(groups) == ["pnl_usd", "worst_pnl_usd", "drawdown", "steps_under_water"]
    assert [mark.name for mark in groups["pnl_usd"]] == ["mean", "1 %", "5 %", "50 %", "95 %", "99 %"]
    assert outcomes_compared(newest(divergence, CRISIS), "stagflation") == {}


def test_differences_of_a_variable_at_several_steps_are_named_by_step_and_unknown_ones_left_out() -> None:
    steps = pd.DataFrame({"measure": "us_quota", "step": [10, 1, 5], "against": "base", "low": np.nan, "high": np.nan})
    groups = outcomes_compared(steps.assign(difference=[3.0, 1.0, np.nan]), "base")
    assert [(mark.name, mark.value) for mark in groups["us_quota"]] == [("step 1", 1.0), ("step 10", 3.0)]


def test_assets_come_by_their_part_of_the_shortfall_and_others_by_how_far_they_move() -> None:
    simulations, risk, *_ = frames()
    rows = newest(simulations, CRISIS)
    parts = pd.DataFrame({"measure": "shortfall_of", "name": ["SPX", "WTI"], "value": [9.0, -1.0]})
    assert moved_most(rows, 4, parts)[:2] == ["SPX", "WTI"]
    assert moved_most(rows, 4, parts.assign(value=[1.0, -9.0]))[:2] == ["WTI", "SPX"]
    assert moved_most(rows, 2, risk)[1] == "vix"  # the scenario moves it, the spread drifts
    assert moved_most(rows, 1)[0] == "WTI"
    assert len(moved_most(rows, 3)) == 3
    assert set(moved_most(rows, 9)) == {"SPX", "WTI", "vix", "spread"}


def test_the_variables_of_two_scenarios_come_by_distance_after_the_profit() -> None:
    simulations, *_ = frames()
    both = [newest(simulations, name) for name in (CRISIS, "base")]
    assert furthest_apart(both)[:2] == ["pnl_usd", "WTI"]
    assert furthest_apart([both[0], both[1].head(0)]) == []


def test_rules_come_by_how_often_they_fired() -> None:
    rules = frames()[2]
    twice = pd.concat([rules, rules.assign(rule="twice", fires=2 * rules["fires"])])
    shown = fired(newest(twice, CRISIS))
    assert list(shown["rule"]) == ["twice", "fear_follows_losses"]


def test_a_strip_holds_the_fires_of_each_step_a_path() -> None:
    (row,) = fired(newest(frames()[2], CRISIS)).itertuples()
    shares = np.array([row.fires_by_step]) / row.paths
    mesh = draw_strip(Figure().add_subplot(), shares, [row.rule], "")
    assert mesh.get_array().shape == (1, STEPS)
    np.testing.assert_allclose(mesh.get_array().filled(0), shares)
    assert shares.sum() * row.paths == pytest.approx(row.fires)


def test_a_single_step_is_drawn_as_wide_as_a_step() -> None:
    rows = variable("net_exposure_usd")
    with drawn() as figures:
        fan_chart(rows[rows["step"] == 1], CRISIS, ["net_exposure_usd"])
    (axes,) = figures[0].axes
    assert axes.get_xlim() == (0.5, 1.5)


def test_a_fan_is_drawn_for_each_variable_that_there_is() -> None:
    simulations, *_ = frames()
    with drawn() as figures:
        fan_chart(simulations, CRISIS, ["vix", "moon", "SPX"])
        fan_chart(simulations, CRISIS)
    assert titles(figures[0]) == ["vix", "SPX"]
    assert titles(figures[1])[0] == "profit"
    assert figures[0].get_suptitle() == f"energy_crisis as of {DAY}, 600 paths"


def test_the_newest_day_is_drawn() -> None:
    simulations, *_ = frames()
    older = simulations.assign(as_of=DAY.replace(year=2010))
    with drawn() as figures:
        fan_chart(pd.concat([simulations, older]), CRISIS, ["SPX"])
        fan_chart(older, CRISIS, ["SPX"])
    assert [str(day) in figure.get_suptitle() for day, figure in zip((DAY, "2010-06-01"), figures, strict=True)] == [
        True
    ] * 2
    assert len(figures[0].axes[0].lines[0].get_xdata()) == 1 + len(variable("SPX"))


def test_rules_of_an_older_day_are_not_drawn_beside_a_newer_one() -> None:
    simulations, risk, rules, divergence = frames()
    older = rules.assign(as_of=DAY.replace(year=2010))
    with drawn() as figures:
        simulation_sheet(simulations, risk, older, divergence, CRISIS)
    assert not any("Causal rules" in title for title in titles(figures[0]))


def test_the_title_of_the_timeline_counts_the_rules_that_are_not_on_it() -> None:
    rules = frames()[2]
    off = rules[rules["rule"] == "fear_is_endless"].assign(rule="off", state="disabled")
    with drawn() as figures:
        rule_timeline(pd.concat([rules, off]), CRISIS)
    assert titles(figures[0])[0] == "Causal rules by step: 1 fired, 1 did not, 1 disabled, 1 inactive"


def test_effects_are_left_out_where_none_was_measured() -> None:
    rules = frames()[2]
    with drawn() as figures:
        rule_timeline(rules, CRISIS)
        rule_timeline(rules.assign(pnl_effect_usd=np.nan), CRISIS)
    assert ["Profit it makes, USD" in titles(figure) for figure in figures] == [True, False]


def test_pit_bars_are_shares_and_the_band_is_the_binomial_one() -> None:
    axes = Figure().add_subplot()
    draw_pit(axes, np.linspace(0, 1, 200), "pulse")
    assert axes.patches[0].get_data().values.sum() == pytest.approx(1)
    band = axes.patches[1]
    stats = pytest.importorskip("scipy.stats")
    low, high = stats.binom.ppf([0.025, 0.975], 200, 0.1) / 200
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((low, high))


def test_pulse_comes_first_among_the_engines_and_unknown_pits_are_left_out() -> None:
    rows = pd.DataFrame({"engine": ["garch_fhs", "pulse", "random_walk", "late"], "pit": [0.1, 0.5, 0.9, np.nan]})
    with drawn() as figures:
        pit_histogram(rows)
    assert titles(figures[0]) == ["pulse (1)", "garch_fhs (1)", "random_walk (1)"]


PICTURES: dict[str, Callable[[list[pd.DataFrame]], bytes]] = {
    "fans": lambda f: fan_chart(f[0], CRISIS),
    "exposure": lambda f: exposure_distribution(f[0], f[1], CRISIS),
    "rules": lambda f: rule_timeline(f[2], CRISIS),
    "difference": lambda f: scenario_difference(f[3], f[0], CRISIS),
    "sheet": lambda f: simulation_sheet(*f, CRISIS),
}


@pytest.mark.parametrize("name", PICTURES)
def test_each_picture_is_a_png_of_a_bearable_size(name: str) -> None:
    png = PICTURES[name](frames())
    assert png.startswith(PNG)
    assert size_of(png)[0] == 1170
    assert len(png) < 350_000


def test_the_same_rows_make_the_same_picture() -> None:
    assert PICTURES["exposure"](frames()) == PICTURES["exposure"](frames())


def test_a_picture_without_rows_is_a_png_too() -> None:
    assert rule_timeline(frames()[2].head(0), CRISIS).startswith(PNG)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fans", ["nothing simulated"]),
        ("exposure", ["no profit simulated"]),
        ("rules", ["no rules were simulated"]),
        ("difference", ["nothing to compare energy_crisis and base by"]),
        ("sheet", ["nothing simulated", "no profit simulated"]),
    ],
)
def test_nothing_to_draw_gives_a_picture_that_says_so(name: str, said: list[str]) -> None:
    with drawn() as figures:
        PICTURES[name]([frame.head(0) for frame in frames()])
    assert words(figures[0]) == said


def test_rules_that_never_fired_and_engines_without_truths_say_so() -> None:
    with drawn() as figures:
        rule_timeline(frames()[2].assign(fires=0), CRISIS)
        pit_histogram(pd.DataFrame({"engine": ["pulse"], "pit": [np.nan]}))
    assert [words(figure) for figure in figures] == [["none of 3 rules fired"], ["nothing retrodicted yet"]]


def test_what_is_missing_leaves_the_rest_of_a_picture() -> None:
    simulations, risk, rules, divergence = frames()
    with drawn() as figures:
        exposure_distribution(simulations, risk.head(0), CRISIS)
        exposure_distribution(simulations[simulations["variable"] != "net_exposure_usd"], risk, CRISIS)
        scenario_difference(divergence.head(0), simulations, CRISIS)
        scenario_difference(divergence, simulations.head(0), CRISIS)
        simulation_sheet(simulations, risk, rules, divergence, "base")
    assert [len(figure.axes) for figure in figures[:4]] == [3, 4, 3, 4]
    assert words(figures[1]) == ["no exposure simulated"]
    assert len(figures[4].axes) == 4 + 4 + 4  # fans, profit and exposure, rules with their colours; no difference


def test_a_profit_that_never_varies_is_drawn() -> None:
    simulations, risk, *_ = frames()
    flat = simulations.assign(**dict.fromkeys(QUANTILE_COLUMNS, 0.0))
    assert exposure_distribution(flat, risk, CRISIS).startswith(PNG)


def test_a_fan_finds_quantiles_by_name() -> None:
    fan = Fan(np.array([1.0]), np.arange(23.0)[None], "USD")
    assert [fan.at(name)[0] for name in ("q010", "q500", "q990")] == [0, 11, 22]
