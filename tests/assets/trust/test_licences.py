"""The licence gate: every reason by example, and what must hold whatever the evidence is."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from pulse_assets.trust.licences import (
    NAIVE,
    REASONS,
    REJECTING,
    Decisions,
    Evidence,
    Policy,
    decide,
    servable,
    wilson,
    window_days,
    window_sums,
)

MODELS = ("arima", "ets", "naive")
POLICY = Policy()
STATES = {None: 0, "rejected": 0, "held": 1, "fallback": 1, "licensed": 2}
TIERS = {None: 0, "C": 1, "B": 2, "A": 3}


def evidence(**changes: object) -> Evidence:
    """One series on one day: 90 truths, all models well calibrated, arima better than naive by 10 %, ets by 3 %."""
    plain = {
        "targets": [90.0, 90.0, 90.0],
        "wis": [90.0, 97.0, 100.0],
        "covered_80": [72.0, 72.0, 72.0],
        "covered_95": [85.0, 85.0, 85.0],
    } | {name: value for name, value in changes.items() if name not in ("stale", "short", "silent")}
    arrays = {name: np.array(values, float)[None, None, :] for name, values in plain.items()}
    flags = {name: np.array([[bool(changes.get(name, False))]]) for name in ("stale", "short")}
    naive = np.broadcast_to(arrays["wis"][:, :, 2:], arrays["wis"].shape)
    forecast = np.array([[[model not in changes.get("silent", ()) for model in MODELS]]])
    return Evidence(**arrays, wis_naive=naive, **flags, forecast=forecast)


def verdicts(decisions: Decisions) -> dict[str, tuple[str | None, str | None, bool, str]]:
    fields = (decisions.state, decisions.tier, decisions.serve, decisions.reasons)
    return {model: tuple(field[0, 0, m] for field in fields) for m, model in enumerate(MODELS)}  # type: ignore[misc]


def test_good_models_are_licensed_and_the_best_is_served() -> None:
    assert verdicts(decide(evidence(), MODELS, POLICY)) == {
        "arima": ("licensed", "A", True, ""),
        "ets": ("licensed", "B", False, ""),
        "naive": ("licensed", "C", False, ""),
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"stale": True}, dict.fromkeys(MODELS, ("rejected", None, False, "DQ_STALE"))),
        ({"short": True}, dict.fromkeys(MODELS, ("rejected", None, False, "DQ_SHORT"))),
        (
            {"targets": [29.0] * 3, "covered_80": [23.0] * 3},
            {
                "arima": ("held", None, False, "UNPROVEN"),
                "ets": ("held", None, False, "UNPROVEN"),
                "naive": ("fallback", None, True, "UNPROVEN"),
            },
        ),
        (
            {"covered_80": [54.0, 89.5, 72.0]},
            {
                "arima": ("held", None, False, "COV_LOW"),
                "ets": ("held", None, False, "COV_HIGH"),
                "naive": ("licensed", "C", True, ""),
            },
        ),
        (
            {"wis": [101.0, 100.0, 100.0]},
            {
                "arima": ("held", None, False, "SKILL_NEG"),
                "ets": ("licensed", "C", False, ""),
                "naive": ("licensed", "C", True, ""),
            },
        ),
        (
            {"wis": [101.0, 130.0, 100.0], "covered_80": [54.0, 54.0, 54.0]},
            {
                "arima": ("held", None, False, "COV_LOW SKILL_NEG"),
                "ets": ("held", None, False, "COV_LOW SKILL_NEG"),
                "naive": ("fallback", None, True, "COV_LOW"),
            },
        ),
        (
            {"stale": True, "targets": [0.0] * 3, "wis": [0.0] * 3, "covered_80": [0.0] * 3, "covered_95": [0.0] * 3},
            dict.fromkeys(MODELS, ("rejected", None, False, "DQ_STALE UNPROVEN")),
        ),
        (
            {"silent": ["arima"]},
            {
                "arima": (None, None, False, ""),
                "ets": ("licensed", "B", True, ""),
                "naive": ("licensed", "C", False, ""),
            },
        ),
        (
            {"silent": ["arima", "ets"], "covered_80": [72.0, 72.0, 54.0]},
            {
                "arima": (None, None, False, ""),
                "ets": (None, None, False, ""),
                "naive": ("fallback", None, True, "COV_LOW"),
            },
        ),
        ({"stale": True, "silent": MODELS}, dict.fromkeys(MODELS, ("rejected", None, False, "DQ_STALE"))),
        (
            {"short": True, "silent": ["ets", "naive"]},
            dict.fromkeys(MODELS, ("rejected", None, False, "DQ_SHORT")),
        ),
        (
            {"covered_80": [72.0, 72.0, 54.0]},
            {
                "arima": ("licensed", "A", True, ""),
                "ets": ("licensed", "B", False, ""),
                "naive": ("held", None, False, "COV_LOW"),
            },
        ),
    ],
    ids=[
        "stale",
        "short",
        "unproven",
        "coverage",
        "skill",
        "nothing_left",
        "all_hits_recorded",
        "best_is_silent",
        "only_naive_speaks",
        "stale_and_silent",
        "short_but_not_silent",
        "naive_held",
    ],
)
def test_each_reason_leads_to_its_state(changes: dict[str, object], expected: dict[str, object]) -> None:
    assert verdicts(decide(evidence(**changes), MODELS, POLICY)) == expected


@pytest.mark.parametrize("name", ["wis", "covered_80"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_evidence_that_is_no_number_is_unproven_and_never_a_pass(name: str, bad: float) -> None:
    found = verdicts(decide(evidence(**{name: [bad, bad, bad]}), MODELS, POLICY))
    for model, (state, tier, _, reasons) in found.items():
        assert state == ("fallback" if model == NAIVE else "held")
        assert tier is None
        assert "UNPROVEN" in reasons.split()


def test_the_last_digit_below_the_minimum_of_truths_is_not_enough() -> None:
    for targets, proven in ((29.0, False), (30.0, True)):
        changes = {"targets": [targets] * 3, "covered_80": [24.0] * 3, "covered_95": [28.0] * 3}
        reasons = decide(evidence(**changes), MODELS, POLICY).reasons[0, 0]
        assert all(("UNPROVEN" in text) != proven for text in reasons)


def test_a_clone_of_naive_is_never_better_than_c_and_never_served_instead() -> None:
    found = verdicts(decide(evidence(wis=[100.0, 100.0, 100.0]), MODELS, POLICY))
    assert {state[:2] for state in found.values()} == {("licensed", "C")}
    assert [model for model, state in found.items() if state[2]] == ["naive"]


def random_panel(seed: int) -> Evidence:
    """Evidence of a few series and days near all thresholds: zeros, ties, unknown numbers, bad data, silent models."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 3)), int(rng.integers(1, 5)), len(MODELS))
    targets = rng.choice([0, 5, 29, 30, 31, 60, 90, 200], shape).astype(float)
    wis = rng.choice([0.0, 1e-310, 94.0, 95.0, 98.0, 99.5, 100.0, 100.0, 130.0, 1e200, np.nan, np.inf], shape)
    shares = rng.choice([0.0, 0.6, 0.68, 0.74, 0.8, 0.86, 0.95, 1.0], shape)
    if rng.random() < 0.5:
        targets, shares = np.full(shape, 90.0), rng.uniform(0.75, 0.85, shape)
    wis = np.where(rng.random(shape) < 0.3, rng.lognormal(4.6, 0.05, shape), wis)
    flags = rng.random((2, *shape[:2])) < rng.choice([0.0, 0.3])
    naive = np.broadcast_to(wis[:, :, 2:], shape)
    forecast = rng.random(shape) >= rng.choice([0.0, 0.3])
    return Evidence(targets, wis, naive, shares * targets, shares * targets, flags[0], flags[1], forecast)


def panels() -> st.SearchStrategy[Evidence]:
    return st.integers(0, 10**6).map(random_panel)


@given(panels())
@settings(max_examples=200)
def test_what_every_decision_must_satisfy(panel: Evidence) -> None:
    made = decide(panel, MODELS, POLICY)
    state, licensed = made.state, made.state == "licensed"
    naive = np.array([model == NAIVE for model in MODELS])
    assert set(state.ravel()) <= set(STATES)
    bad = (panel.stale | panel.short)[:, :, None]
    assert (made.decided == (panel.forecast | bad)).all(), "each forecast is decided on, and each rejected series"
    assert ((state == None) == ~made.decided).all()  # noqa: E711 - elementwise
    assert (panel.forecast | ~made.serve).all(), "only a forecast that exists is served"
    assert (made.serve.sum(axis=2) <= 1).all(), "at most one row of a series and day is served"
    assert (made.serve.any(axis=2) == ((state == "licensed") | (state == "fallback")).any(axis=2)).all()
    assert set(state[made.serve]) <= {"licensed", "fallback"}
    assert not (state[:, :, ~naive] == "fallback").any(), "only naive falls back"
    assert not ((state == "fallback").any(axis=2) & licensed.any(axis=2)).any(), "only when nothing is licensed"
    assert ((made.reasons == "") == (licensed | ~made.decided)).all(), (
        "each other decision has a reason, no licence has"
    )
    assert all(set(text.split()) <= set(REASONS) for text in made.reasons.ravel())
    unproven = ~(panel.targets >= POLICY.min_targets) | ~np.isfinite(panel.wis) | np.isnan(panel.covered_80)
    assert not (unproven & licensed).any(), "missing evidence is never a pass"
    rejected = np.array(
        [[[any(r in REJECTING for r in text.split()) for text in row] for row in day] for day in made.reasons]
    )
    assert ((state == "rejected") == rejected).all()
    assert ((made.tier == None) == ~licensed).all()  # noqa: E711 - elementwise
    served = made.serve & licensed
    best = np.where(licensed, np.nan_to_num(made.skill), -np.inf).max(axis=2, keepdims=True)
    assert (np.nan_to_num(made.skill)[served] == np.broadcast_to(best, served.shape)[served]).all()


@given(panels(), st.permutations(range(len(MODELS))), st.randoms(use_true_random=False))
def test_the_order_of_models_and_series_does_not_matter(panel: Evidence, order: list[int], random: object) -> None:
    series = list(range(panel.stale.shape[1]))
    random.shuffle(series)  # type: ignore[attr-defined]
    cube = {
        name: getattr(panel, name)[:, series][:, :, order]
        for name in ("targets", "wis", "wis_naive", "covered_80", "covered_95", "forecast")
    }
    flat = {name: getattr(panel, name)[:, series] for name in ("stale", "short")}
    ours = decide(panel, MODELS, POLICY)
    theirs = decide(Evidence(**cube, **flat), tuple(MODELS[m] for m in order), POLICY)
    for name in ("decided", "state", "tier", "serve", "reasons", "skill"):
        np.testing.assert_array_equal(getattr(theirs, name), getattr(ours, name)[:, series][:, :, order], err_msg=name)


WORSE = {
    "stale": lambda e, rng: replace(e, stale=e.stale | (rng.random(e.stale.shape) < 0.5)),
    "short": lambda e, rng: replace(e, short=e.short | (rng.random(e.short.shape) < 0.5)),
    "fewer forecasts": lambda e, rng: replace(e, forecast=e.forecast & (rng.random(e.forecast.shape) < 0.5)),
    "no truths": lambda e, rng: replace(e, targets=np.where(rng.random(e.targets.shape) < 0.5, 5.0, e.targets)),
    "larger scores": lambda e, rng: replace(e, wis=e.wis * rng.uniform(1, 2, e.wis.shape) + rng.integers(0, 2) * 0.1),
    "coverage further off": lambda e, rng: replace(e, covered_80=further_off(e, rng)),
    "unknown scores": lambda e, rng: replace(e, wis=np.where(rng.random(e.wis.shape) < 0.3, np.nan, e.wis)),
}


def further_off(e: Evidence, rng: np.random.Generator) -> np.ndarray:
    end = np.where(e.covered_80 < 0.8 * e.targets, 0.0, e.targets)
    return np.asarray(e.covered_80 + rng.random(e.covered_80.shape) * (end - e.covered_80))


@pytest.mark.parametrize("what", WORSE)
@given(panel=panels(), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_worse_evidence_never_improves_state_or_tier(what: str, panel: Evidence, seed: int) -> None:
    """A held naive may become the fallback when the last licensed model falls; that ranks with held."""
    before = decide(panel, MODELS, POLICY)
    after = decide(WORSE[what](panel, np.random.default_rng(seed)), MODELS, POLICY)
    rank = np.vectorize(lambda state, tier: STATES[state] * 10 + TIERS[tier], otypes=[int])
    assert (rank(after.state, after.tier) <= rank(before.state, before.tier)).all()


@given(panels())
@settings(max_examples=60)
def test_what_a_silent_model_scored_before_changes_nothing(panel: Evidence) -> None:
    silent = ~panel.forecast & ~(panel.stale | panel.short)[:, :, None]
    other = replace(
        panel,
        targets=np.where(silent, 90.0, panel.targets),
        wis=np.where(silent, 1.0, panel.wis),
        covered_80=np.where(silent, 72.0, panel.covered_80),
    )
    ours, theirs = decide(panel, MODELS, POLICY), decide(other, MODELS, POLICY)
    for name in ("decided", "state", "tier", "serve", "reasons"):
        np.testing.assert_array_equal(getattr(theirs, name), getattr(ours, name), err_msg=name)


@given(panels())
@settings(max_examples=30)
def test_a_series_is_decided_on_its_own(panel: Evidence) -> None:
    whole = decide(panel, MODELS, POLICY)
    for s in range(panel.stale.shape[1]):
        alone = decide(Evidence(**{name: value[:, s : s + 1] for name, value in vars(panel).items()}), MODELS, POLICY)
        for name in ("state", "tier", "serve", "reasons", "skill"):
            np.testing.assert_array_equal(getattr(alone, name), getattr(whole, name)[:, s : s + 1])


def test_wilson_knows_its_textbook_answer() -> None:
    low, high = wilson(np.array([90.0]), np.array([100.0]), 0.95)
    assert (round(low.item(), 6), round(high.item(), 6)) == (0.825634, 0.944771)


@given(
    st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95, 0.99])
)
def test_wilson_is_that_of_scipy(counts: tuple[int, int], confidence: float) -> None:
    interval = binomtest(*counts).proportion_ci(confidence, method="wilson")
    low, high = wilson(np.array([counts[0]], float), np.array([counts[1]], float), confidence)
    assert low.item() == pytest.approx(interval.low, abs=1e-12)
    assert high.item() == pytest.approx(interval.high, abs=1e-12)


def test_wilson_without_trials_is_nan() -> None:
    assert np.isnan(wilson(np.array([0.0]), np.array([0.0]), 0.95)).all()


@given(st.integers(1, 12), st.integers(0, 20), st.integers(1, 3))
def test_window_sums_are_sums_of_the_newest_rows(window: int, more: int, width: int) -> None:
    daily = np.random.default_rng(window).normal(size=(window + more, width))
    sums = window_sums(daily, window)
    assert sums.shape == (more + 1, width)
    for row in range(more + 1):
        np.testing.assert_allclose(sums[row], daily[row : row + window].sum(axis=0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("first", [0, 1, 7, 40])
def test_a_window_sum_is_the_same_bits_wherever_its_rows_lie(first: int) -> None:
    daily = np.random.default_rng(0).lognormal(0, 9, size=(200, 3, 4))
    whole = window_sums(daily, 30)
    np.testing.assert_array_equal(window_sums(daily[first : first + 55], 30), whole[first : first + 26])
    np.testing.assert_array_equal(window_sums(daily[:, 1:2, 2:3], 30), whole[:, 1:2, 2:3])


@pytest.mark.parametrize(("freq", "days"), [("B", 90), ("D", 90), ("h", 90), ("W", 450), ("MS", 1958), ("YS", 23490)])
def test_a_window_of_ninety_truths_takes_longer_for_slower_series(freq: str, days: int) -> None:
    assert window_days(freq, POLICY) == pytest.approx(days, abs=1)


def test_only_served_rows_pass_the_door() -> None:
    keys = {"as_of": [1, 1, 1, 1], "unique_id": ["a", "a", "b", "b"], "model": ["m", "n", "m", "n"]}
    forecasts = pa.table({**{k: v * 2 for k, v in keys.items()}, "h": [2] * 4 + [1] * 4, "q500": range(8)})
    licences = pa.table(
        {
            **keys,
            "state": ["held", "fallback", "held", "rejected"],
            "tier": pa.array([None] * 4, pa.string()),
            "serve": [False, True, False, False],
            "reasons": ["SKILL_NEG", "UNPROVEN", "COV_LOW", "DQ_STALE"],
            "expires_on": [5] * 4,
        }
    )
    shown = servable(forecasts, licences)
    assert shown.select(["unique_id", "model", "h", "state", "q500"]).to_pylist() == [
        {"unique_id": "a", "model": "n", "h": 1, "state": "fallback", "q500": 5},
        {"unique_id": "a", "model": "n", "h": 2, "state": "fallback", "q500": 1},
    ]
