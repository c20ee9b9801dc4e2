"""Shrinkage draws what is noisy to the panel, and the map of probabilities learns from outcomes only."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from pulse_assets.trust.belief.history import judged_on, looked_at, map_for, wanted_days
from pulse_assets.trust.belief.probability import (
    LEAST_OUTCOMES,
    area_under_curve,
    expected_calibration_error,
    fit_map,
)
from pulse_assets.trust.belief.shrinkage import christoffersen_p, coverage_q, kupiec_p, posterior, shrunk_coverage

ONE_PANEL = np.zeros(400, np.int64)


def test_noisy_skill_is_drawn_further_to_the_panel() -> None:
    skill = np.array([0.0, 0.0, 0.0, 0.3, 0.3])
    se = np.array([0.02, 0.02, 0.02, 0.01, 0.2])
    found = posterior(skill, se, np.full(5, 90.0), np.zeros(5, np.int64))
    assert 0 < found.skill[4] < found.skill[3] < 0.3
    assert 0.5 < found.probability[4] < found.probability[3] <= 1


def test_unknown_skill_stays_unknown_and_teaches_nothing() -> None:
    with_, without = (
        posterior(np.array(values), np.full(len(values), 0.05), np.full(len(values), 90.0), np.zeros(len(values), int))
        for values in ([0.1, 0.2, np.nan], [0.1, 0.2])
    )
    assert np.isnan(with_.probability[2])
    assert with_.skill[:2].tolist() == without.skill.tolist()


def test_probabilities_of_a_simulated_panel_are_calibrated_and_tell_series_apart() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 0.1, 4_000)
    noise = 0.6
    measured = truth + rng.normal(0, noise / np.sqrt(90), 4_000)
    ahead = truth + rng.normal(0, noise / np.sqrt(30), 4_000) > 0
    found = posterior(measured, np.full(4_000, noise / np.sqrt(90)), np.full(4_000, 90.0), np.zeros(4_000, np.int64))
    assert expected_calibration_error(found.probability, ahead.astype(float)) < 0.03
    assert area_under_curve(found.probability, ahead.astype(float)) > 0.7


def test_coverage_of_few_truths_is_drawn_to_the_panel() -> None:
    coverage = np.append(np.full(399, 0.8), 0.5)
    few, many = (
        shrunk_coverage(coverage, np.append(np.full(399, 90.0), count), ONE_PANEL)[-1] for count in (10.0, 900.0)
    )
    assert 0.5 < many < few < 0.8


def test_only_coverage_that_is_far_off_is_significant() -> None:
    rng = np.random.default_rng(2)
    coverage = rng.binomial(90, 0.8, 400) / 90
    coverage[:5] = 0.4
    q = coverage_q(coverage, np.full(400, 90.0), ONE_PANEL)
    assert (q[:5] < 0.001).all()
    assert (q[5:] < 0.05).sum() <= 2


def test_kupiec_has_its_known_p_value() -> None:
    found = kupiec_p(np.array([0.8, 0.9, np.nan]), np.array([100.0, 100.0, 0.0]))
    assert found[0] == pytest.approx(1)
    assert found[1] == pytest.approx(0.006751, abs=1e-6)  # 2 (10 ln 1/2 + 90 ln 9/8) = 7.338
    assert np.isnan(found[2])


def test_misses_that_follow_each_other_are_not_independent() -> None:
    clustered = christoffersen_p(np.array([79.0]), np.array([20.0]), np.array([4.0]), np.array([16.0]))
    alone = christoffersen_p(np.array([79.0]), np.array([20.0]), np.array([16.0]), np.array([4.0]))
    assert clustered[0] < 1e-6 < 0.5 < alone[0]
    assert christoffersen_p(np.array([89.0]), np.array([0.0]), np.array([0.0]), np.array([0.0]))[0] == 1


def test_the_map_pulls_overconfidence_back_and_needs_outcomes() -> None:
    rng = np.random.default_rng(1)
    said = rng.random(3_000)
    happened = (rng.random(3_000) < 0.5 + 0.4 * (said - 0.5)).astype(float)
    mapped = fit_map(said, happened)
    assert mapped.outcomes == 3_000
    assert mapped(np.array([0.95]))[0] < 0.8
    assert (np.diff(mapped(np.linspace(0, 1, 50))) >= 0).all()
    assert expected_calibration_error(mapped(said), happened) < expected_calibration_error(said, happened)
    few = fit_map(said[: LEAST_OUTCOMES - 1], happened[: LEAST_OUTCOMES - 1])
    assert few.outcomes == 0
    assert few(np.array([0.3, np.nan, 1.0])).tolist()[0] == 0.3
    assert np.isnan(few(np.array([np.nan]))[0])


def test_area_under_the_curve_has_its_known_answers() -> None:
    happened = np.array([0.0, 0.0, 1.0, 1.0])
    assert area_under_curve(np.array([0.1, 0.2, 0.3, 0.4]), happened) == 1
    assert area_under_curve(np.full(4, 0.5), happened) == 0.5
    assert np.isnan(area_under_curve(np.full(4, 0.5), np.ones(4)))


def test_only_outcomes_that_were_in_when_the_month_began_teach() -> None:
    made = looked_at(date(2024, 6, 14))[3]
    judged = judged_on(made, "B", "1")
    assert made < judged < date(2024, 6, 1)
    names = [f"s{number}" for number in range(LEAST_OUTCOMES)]
    half = LEAST_OUTCOMES // 2

    def rows(p: float | None, skill: float | None) -> pa.Table:
        return pa.table(
            {
                "unique_id": names,
                "model": ["pulse"] * len(names),
                "bucket": ["1"] * len(names),
                "freq": ["B"] * len(names),
                "p_raw": pa.array([p] * len(names), pa.float64()),
                "recent_skill": pa.array([skill] * half + [-1.0] * half, pa.float64()),
            }
        )

    table = {made: rows(0.9, None), judged: rows(None, 1.0)}
    assert map_for(date(2024, 6, 14), table).outcomes == LEAST_OUTCOMES
    assert map_for(date(2024, 6, 14), table)(np.array([0.9]))[0] == pytest.approx(0.5)
    assert map_for(judged.replace(day=1), table).outcomes == 0
    assert {made, judged} <= wanted_days(date(2024, 6, 14), date(2024, 6, 14), ["B"], ["1"])
