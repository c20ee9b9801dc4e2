"""Portfolios and exposure policies: what is refused, identities, and the definition of P&L."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pulse_assets.simulation.risk import exposure_policies
from pulse_assets.simulation.risk.capital import Portfolio
from pulse_assets.simulation.risk.exposure_policies import (
    Hold,
    Rebalance,
    Standing,
    VolatilityTarget,
    available_policies,
    build_policy,
    follow,
)
from pulse_assets.simulation.world import Variable, World

A, STEPS, N = 3, 12, 40
CORRELATION = np.full((A, A), 0.4) + 0.6 * np.eye(A)


def small_world() -> World:
    zeros, ones = np.zeros(2), np.ones(2)
    return World(
        (Variable("spx", "asset", "USD"), Variable("gold", "asset", "USD"), Variable("vix", "macro", "percent")),
        *(zeros, zeros, zeros, zeros, ones, ones * 1e-4),
        *(np.full(1, value) for value in (20.0, 20.0, 0.9, 1.0)),
        correlation=np.eye(3),
    )


def paths(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    variance = rng.uniform(1e-5, 4e-4, (N, STEPS, A))
    shocks = rng.standard_normal((N, STEPS, A)) @ np.linalg.cholesky(CORRELATION).T
    return np.sqrt(variance) * shocks, variance


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"positions": {"spx": 1.0, "gold": -2.0}}, r"'gold' is short, -2.0 USD; set allow_short"),
        ({"positions": {"spx": float("nan")}}, "'spx' must be a finite number of USD; came nan"),
        ({"positions": {"spx": float("inf")}, "allow_short": True}, "'spx' must be a finite"),
        ({"positions": {"spx": 0.0}}, "at least one position"),
        ({"positions": {}}, "at least one position"),
        ({"positions": {"spx": 1.0}, "capital_usd": 0.0}, "capital_usd must be a positive number"),
        ({"positions": {"spx": 1.0}, "capital_usd": float("nan")}, "capital_usd must be a positive number"),
        ({"positions": {"spx": 1.0}, "policy": "martingale"}, "unknown exposure policy 'martingale'; there are hold"),
        ({"positions": {"spx": 1.0}, "policy": "volatility_target"}, "does not take options {}"),
        ({"positions": {"spx": 1.0}, "policy_options": {"cap": 1.0}}, "'hold' does not take options"),
        (
            {"positions": {"spx": 1.0}, "policy": "volatility_target", "policy_options": {"target": -1.0}},
            "positive target; came -1.0",
        ),
        ({"positions": {"spx": 1.0}, "leverage": 2}, "leverage"),
    ],
)
def test_an_unsound_portfolio_is_refused_by_name(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Portfolio.model_validate({"capital_usd": 100.0} | settings)


def test_a_short_position_is_taken_when_it_is_allowed() -> None:
    portfolio = Portfolio(positions={"gold": -2.0}, capital_usd=1.0, allow_short=True)
    assert portfolio.vector(small_world()).tolist() == [0.0, -2.0]


@pytest.mark.parametrize(("name", "complaint"), [("spy", "'spy', nothing in the world"), ("vix", "'vix', a factor")])
def test_a_position_must_be_in_an_asset_of_the_world(name: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Portfolio(positions={name: 1.0}, capital_usd=1.0).vector(small_world())


def test_a_portfolio_survives_json() -> None:
    portfolio = Portfolio(
        positions={"spx": 5.0}, capital_usd=1.0, policy="volatility_target", policy_options={"target": 0.01}
    )
    again = Portfolio.model_validate_json(portfolio.model_dump_json())
    assert again == portfolio
    assert isinstance(again.exposure_policy, VolatilityTarget)


def test_holding_earns_the_change_of_value() -> None:
    returns, variance = paths(1)
    positions = np.array([100.0, -50.0, 20.0])
    ledger = follow(Hold(), positions, 100.0, returns, variance, CORRELATION)
    x = np.concatenate([np.zeros((N, 1, A)), returns.cumsum(axis=1)], axis=1)
    np.testing.assert_allclose(ledger.pnl_usd, np.expm1(x) @ positions, atol=1e-10)
    np.testing.assert_allclose(ledger.contributions_usd, np.expm1(x[:, -1]) * positions, atol=1e-10)


def test_rebalancing_earns_the_first_exposure_each_step() -> None:
    returns, variance = paths(2)
    positions = np.array([100.0, -50.0, 20.0])
    ledger = follow(Rebalance(), positions, 100.0, returns, variance, CORRELATION)
    np.testing.assert_allclose(ledger.pnl_usd[:, -1], (np.expm1(returns) @ positions).sum(axis=1), atol=1e-10)


@given(st.sampled_from([Hold(), Rebalance(), VolatilityTarget(0.01, 2.0)]), st.integers(0, 99))
def test_contributions_add_up_to_the_profit(policy: exposure_policies.ExposurePolicy, seed: int) -> None:
    returns, variance = paths(seed)
    ledger = follow(policy, np.array([100.0, -50.0, 20.0]), 100.0, returns, variance, CORRELATION)
    np.testing.assert_allclose(ledger.contributions_usd.sum(axis=1), ledger.pnl_usd[:, -1], atol=1e-10)


@given(st.floats(1e-3, 0.05), st.floats(0.2, 5))
def test_a_volatility_target_is_met_unless_the_cap_binds(target: float, cap: float) -> None:
    _, variance = paths(3)
    positions, capital = np.array([100.0, -50.0, 20.0]), 80.0
    standing = Standing(positions, capital, np.zeros((N, A)), variance[:, 0], CORRELATION)
    risk = VolatilityTarget(target, cap).exposure(standing) * np.sqrt(variance[:, 0])
    sd = np.sqrt(np.einsum("na,ab,nb->n", risk, CORRELATION, risk))
    factor = VolatilityTarget(target, cap).exposure(standing)[:, 0] / positions[0]
    assert (factor <= cap * (1 + 1e-12)).all()
    np.testing.assert_allclose(sd[factor < cap * 0.999], target * capital)
    assert (sd <= target * capital * (1 + 1e-9)).all()


def test_a_volatility_target_out_of_reach_is_rebalancing_at_the_cap() -> None:
    returns, variance = paths(4)
    positions = np.array([100.0, 50.0, 20.0])
    capped = follow(VolatilityTarget(1e9), positions, 100.0, returns, variance, CORRELATION)
    plain = follow(Rebalance(), positions, 100.0, returns, variance, CORRELATION)
    np.testing.assert_array_equal(capped.pnl_usd, plain.pnl_usd)


def test_without_any_variance_the_cap_holds() -> None:
    standing = Standing(np.ones(A), 1.0, np.zeros((1, A)), np.zeros((1, A)), CORRELATION)
    assert VolatilityTarget(0.01, 3.0).exposure(standing).tolist() == [[3.0] * A]


class Half:
    """A policy that somebody else installed."""

    def exposure(self, standing: Standing) -> np.ndarray:
        """Return half of the positions."""
        return np.broadcast_to(standing.positions_usd / 2, standing.x.shape)


class Point:
    """What an entry point looks like."""

    def __init__(self, name: str, kind: type) -> None:
        self.name, self.kind, self.value = name, kind, f"elsewhere:{kind.__name__}"

    def __lt__(self, other: "Point") -> bool:
        return self.name < other.name

    def load(self) -> type:
        """Return the class it stands for."""
        return self.kind


def test_installed_policies_are_found_but_do_not_replace_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [Point("half", Half), Point("hold", Half), Point("broken", dict)]
    monkeypatch.setattr(exposure_policies, "entry_points", lambda **_: points)
    assert available_policies()["half"] == "elsewhere:Half"
    assert isinstance(build_policy("half", {}), Half)
    assert isinstance(build_policy("hold", {}), Hold)
    with pytest.raises(ValueError, match="elsewhere:dict is no exposure policy"):
        build_policy("broken", {})
