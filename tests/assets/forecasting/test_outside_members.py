"""Models from outside through the table API: who gains is stacked on the pool, who does not leaves no trace."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest

from pulse_assets.forecasting.adapters import MlForecastMember, StatsForecastMember
from pulse_assets.forecasting.api import Forecast, forecast
from pulse_assets.forecasting.members import PoolMember

Floats = np.ndarray
SERIES, LENGTH, HORIZON = 30, 90, 4


def panel(kind: str = "other", series: int = SERIES) -> tuple[pa.Table, Floats]:
    """Random walks with jumps on days that only someone outside knows, and what comes after the table."""
    rng = np.random.default_rng(11)
    steps = LENGTH + HORIZON
    driver = 3 * (rng.uniform(size=(series, steps)) < 0.25)
    values = 40 + np.arange(series)[:, None] + np.cumsum(rng.normal(0, 0.3, (series, steps)), axis=1) + driver
    values = np.exp(values / 50) if kind == "price" else values
    table = pa.table(
        {
            "unique_id": np.repeat([f"s{k:02d}" for k in range(series)], LENGTH),
            "ds": np.tile(np.arange(LENGTH), series),
            "y": values[:, :LENGTH].ravel(),
        }
    )
    return table, values


@dataclass
class Oracle:
    """Knows the truth but for some noise; finds its series by their first value."""

    values: Floats
    noise: float = 0.1
    broken: Callable[[int], bool] = lambda _: False
    name: str = "oracle"
    calls: list[int] = field(default_factory=list)

    def forecast(self, histories: list[Floats], horizon: int, season: int) -> Floats:  # noqa: ARG002, D102
        self.calls.append(len(histories))
        return np.array([self._one(history, horizon) for history in histories])

    def _one(self, history: Floats, horizon: int) -> Floats:
        row = int(np.abs(self.values[:, 0] - history[0]).argmin())
        if self.broken(row):
            raise RuntimeError("not this one")
        made = self.values[row, len(history) : len(history) + horizon]
        return made + np.random.default_rng(row + len(history)).normal(0, self.noise, horizon)


@dataclass(frozen=True)
class Constant:
    """Says one number of everything."""

    value: float
    name: str = "constant"

    def forecast(self, histories: list[Floats], horizon: int, season: int) -> Floats:  # noqa: ARG002, D102
        return np.full((len(histories), horizon), self.value)


def made_with(table: pa.Table, *members: PoolMember, kind: str = "other", origins: int = 3) -> Forecast:
    return forecast(table, freq="D", horizon=HORIZON, kind=kind, members=members, member_origins=origins)


def error(made: Forecast, values: Floats) -> float:
    middle = made.rows["q500"].to_numpy().reshape(-1, HORIZON)
    return float(np.abs(middle - values[:, LENGTH:]).mean())


@pytest.mark.parametrize("kind", ["other", "price", "return"])
def test_a_member_that_knows_is_admitted_and_lowers_the_error(kind: str) -> None:
    table, values = panel(kind)
    member = Oracle(values, 0.1 if kind != "price" else 0.005)
    alone, helped = made_with(table, kind=kind), made_with(table, member, kind=kind)
    assert helped.outside.to_pylist()[0]["reason"] == "ADMITTED"
    assert error(helped, values) < 0.6 * error(alone, values)
    width = [made.rows["q900"].to_numpy() - made.rows["q100"].to_numpy() for made in (alone, helped)]
    assert width[1].mean() < width[0].mean()
    assert member.calls == [SERIES] * 4


def test_weights_of_all_members_add_up() -> None:
    table, values = panel()
    made = made_with(table, Oracle(values))
    shown = made.members.filter(pa.compute.equal(made.members["unique_id"], "s03"))
    for column in ("weight_first", "weight_last"):
        assert sum(shown[column].to_pylist()) == pytest.approx(1, abs=0.02)
    oracle = [row for row in made.members.to_pylist() if row["member"] == "oracle"]
    assert len(oracle) == SERIES
    assert oracle[0]["weight_first"] == pytest.approx(made.outside["weight"][0].as_py())


@pytest.mark.parametrize("member", [Constant(0.0), Constant(1e200), Constant(np.nan), Constant(np.inf)])
def test_useless_and_harmful_members_change_not_one_bit(member: PoolMember) -> None:
    table, _ = panel()
    alone, beside = made_with(table), made_with(table, member)
    assert beside.rows.equals(alone.rows)
    assert beside.members.equals(alone.members)
    assert beside.outside["weight"].to_pylist() == [0]


def test_a_useless_member_costs_a_useful_one_nothing() -> None:
    table, values = panel()
    made = made_with(table, Constant(3.0), Oracle(values))
    assert made.outside["reason"].to_pylist() == ["NO_GAIN", "ADMITTED"]
    assert made.rows.equals(made_with(table, Oracle(values)).rows)


def test_a_member_that_raises_for_one_series_costs_the_others_nothing() -> None:
    table, values = panel()
    sound = made_with(table, Oracle(values))
    fails = made_with(table, Oracle(values, broken=lambda row: row == 7))
    assert fails.reasons.to_pylist() == [{"unique_id": "s07", "reason": "MEMBER_RAISED"}]
    assert not [row for row in fails.members.to_pylist() if row["member"] == "oracle" and row["unique_id"] == "s07"]
    own = pa.compute.equal(fails.rows["unique_id"].cast(pa.string()), "s07")
    assert fails.rows.filter(own).equals(made_with(table).rows.filter(own))
    others = [made.rows.filter(pa.compute.invert(own)) for made in (sound, fails)]
    np.testing.assert_allclose(others[0]["q500"].to_numpy(), others[1]["q500"].to_numpy(), rtol=0.01)


def test_a_member_that_always_raises_is_told_and_changes_nothing() -> None:
    table, values = panel()
    made = made_with(table, Oracle(values, broken=lambda _: True))
    assert made.outside.to_pylist() == [{"name": "oracle", "weight": 0, "reason": "MEMBER_RAISED"}]
    assert made.reasons["reason"].to_pylist() == ["MEMBER_RAISED"] * SERIES
    assert made.rows.equals(made_with(table).rows)


def test_order_of_rows_does_not_matter() -> None:
    table, values = panel()
    order = np.random.default_rng(0).permutation(len(table))
    ours, theirs = made_with(table, Oracle(values)), made_with(table.take(order), Oracle(values))
    assert ours.rows.equals(theirs.rows)
    assert ours.members.equals(theirs.members)


@pytest.mark.slow
def test_a_member_is_asked_about_few_series_until_it_is_admitted() -> None:
    table, values = panel(series=230)
    member = Oracle(-values)
    made_with(table, member, origins=2)
    assert member.calls == [200, 200]


def test_one_series_alone_needs_more_origins() -> None:
    table, values = panel(series=1)
    assert made_with(table, Oracle(values)).outside["reason"].to_pylist() == ["TOO_FEW_ROWS"]
    long = pa.table({"unique_id": ["a"] * 400, "ds": np.arange(400), "y": np.random.default_rng(0).normal(5, 1, 400)})
    made = made_with(long, Oracle(np.append(long["y"].to_numpy(), [5] * HORIZON)[None]), origins=30)
    assert made.outside["reason"].to_pylist() == ["ADMITTED"]


def test_series_too_short_to_judge_are_forecast_all_the_same() -> None:
    table = pa.table({"unique_id": ["a"] * 6, "ds": np.arange(6), "y": np.arange(6.0)})
    made = made_with(table, Constant(1.0))
    assert made.rows.equals(made_with(table).rows)
    assert made.outside["reason"].to_pylist() == ["TOO_FEW_ROWS"]


def test_a_forecast_outside_the_scale_of_a_price_is_silence() -> None:
    table, _ = panel("price")
    made = made_with(table, Constant(-1.0), kind="price")
    assert set(made.reasons["reason"].to_pylist()) == {"MEMBER_NONFINITE"}
    assert made.rows.equals(made_with(table, kind="price").rows)


def test_wrong_members_are_refused() -> None:
    table, values = panel()
    with pytest.raises(ValueError, match="came int"):
        made_with(table, 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="oracle is taken"):
        made_with(table, Oracle(values), Oracle(values))
    with pytest.raises(ValueError, match="lags is taken"):
        made_with(table, Constant(1.0, "lags"))
    with pytest.raises(ValueError, match="member_origins"):
        made_with(table, Constant(1.0), origins=0)


@pytest.mark.slow
def test_real_libraries_run_behind_their_adapters() -> None:
    from statsforecast.models import AutoETS

    table, values = panel(series=12)
    members = [StatsForecastMember(lambda season: AutoETS(season_length=season), "ets"), MlForecastMember()]
    made = made_with(table, *members)
    assert made.outside["name"].to_pylist() == ["ets", "mlforecast"]
    assert set(made.outside["reason"].to_pylist()) <= {"ADMITTED", "NO_GAIN"}
    assert not len(made.reasons)
    assert error(made, values) < 1.1 * error(made_with(table), values)
