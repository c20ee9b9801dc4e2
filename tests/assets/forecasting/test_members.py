"""The seam for a user's models: real libraries behind the adapters, and a guard that confines what goes wrong."""

import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.forecasting.adapters import FoundationMember, MlForecastMember, SktimeMember, StatsForecastMember
from pulse_assets.forecasting.members import PoolMember, guarded_forecast

Floats = np.ndarray


def seasonal(length: int, season: int = 12, level: float = 100.0, slope: float = 0.0, seed: int = 0) -> Floats:
    steps = np.arange(length)
    noise = np.random.default_rng(seed).normal(0, 0.5, length)
    return np.asarray(level + slope * steps + 10 * np.sin(2 * np.pi * steps / season) + noise)


@dataclass
class _Mean:
    """A forecaster of sktime's interface that shares nothing with sktime."""

    seen: list[tuple[Floats, Floats]] = field(default_factory=list)

    def fit(self, y: Floats, *, fh: Floats) -> "_Mean":
        self.seen.append((y, fh))
        self.made = np.full((len(fh), 1), y.mean())
        return self

    def predict(self) -> Floats:
        return self.made


@dataclass(frozen=True)
class _Fragile:
    """Repeats the last value; the first value of a history says which fault to show, in a batch or only there."""

    name: str = "fragile"

    def forecast(self, histories: list[Floats], horizon: int, season: int) -> Any:  # noqa: ARG002
        if any(history[0] == -1 for history in histories):
            raise RuntimeError("a series that this model cannot take")
        if any(history[0] == -2 for history in histories):
            return np.zeros((len(histories), horizon + 1))
        if any(history[0] == -5 for history in histories):
            return [[1.0] * (row + 2) for row in range(len(histories) + 1)]
        made = np.array([np.repeat(history[-1], horizon) for history in histories])
        for row, history in enumerate(histories):
            if history[0] == -3:
                made[row, -1] = np.inf
            if history[0] == -4:
                made[row] = np.nan
            history[:] = -1  # a member may do what it likes with what it got
        return made


class _OneStep:
    def fit(self, y: Floats, *, fh: Floats) -> None:
        pass

    def predict(self) -> Floats:
        return np.array([1.0])

    def forecast(self, y: Floats, h: int) -> dict[str, Floats]:  # noqa: ARG002
        return {"mean": np.array([1.0])}


def _zeros(contexts: list[Floats], horizon: int) -> Floats:
    return np.zeros((len(contexts), horizon))


REASON = {-1: "MEMBER_RAISED", -2: "MEMBER_SHAPE", -3: "MEMBER_NONFINITE", -5: "MEMBER_SHAPE"}


def test_all_are_members_with_names() -> None:
    members: list[PoolMember] = [
        StatsForecastMember(lambda _: _OneStep()),
        MlForecastMember(),
        SktimeMember(lambda _: _Mean()),
        FoundationMember(_zeros),
    ]
    assert all(isinstance(member, PoolMember) for member in members)
    assert [member.name for member in members] == ["statsforecast", "mlforecast", "sktime", "foundation"]
    assert not isinstance(_Mean(), PoolMember)


def test_importing_them_imports_no_library_of_models() -> None:
    code = (
        "import sys, pulse_assets.forecasting.members\n"
        "print([name for name in ('statsforecast', 'mlforecast', 'lightgbm', 'sklearn', 'pandas', 'torch')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_statsforecast_answers_as_the_library_does() -> None:
    from statsforecast.models import AutoETS

    model = AutoETS(season_length=12)
    histories = [seasonal(60), seasonal(48, level=20, seed=1)]
    made = StatsForecastMember(model, "ets").forecast(histories, 6, 12)
    for row, history in zip(made, histories, strict=True):
        np.testing.assert_array_equal(row, model.forecast(y=history, h=6)["mean"])


def test_statsforecast_takes_the_season_that_is_asked_for() -> None:
    from statsforecast.models import SeasonalNaive

    member = StatsForecastMember(lambda season: SeasonalNaive(season_length=season))
    assert member.forecast([np.arange(10.0)], 4, 3).tolist() == [[7, 8, 9, 7]]


def test_too_short_series_get_no_forecast() -> None:
    from statsforecast.models import Naive

    histories = [np.empty(0), np.array([3.0]), np.array([3.0, 4.0])]
    members: list[PoolMember] = [
        StatsForecastMember(Naive()),
        SktimeMember(lambda _: _Mean()),
        MlForecastMember(lags=(1,)),
        FoundationMember(_zeros),
    ]
    for member in members:
        made, reasons = guarded_forecast(member, histories, 2, 1)
        assert np.isnan(made[:2]).all(), member
        assert reasons == ["", "", ""], member


def test_mlforecast_learns_season_and_trend_across_series() -> None:
    season, horizon = 12, 12
    whole = [
        seasonal(132, season, 100, 0.5, 1),
        seasonal(144, season, 1000, -0.5, 2),
        seasonal(120, season, 5, 0, 3),
    ]
    member = MlForecastMember()
    made = member.forecast([values[:-horizon] for values in whole], horizon, season)
    truth = np.array([values[-horizon:] for values in whole])
    naive = np.array([values[-horizon - 1] for values in whole])[:, None]
    assert np.abs(made - truth).mean() < 0.3 * np.abs(naive - truth).mean()
    np.testing.assert_array_equal(made, member.forecast([values[:-horizon] for values in whole], horizon, season))


def test_mlforecast_forecasts_a_constant_as_itself() -> None:
    made = MlForecastMember(lags=(1,)).forecast([np.full(50, 7.0), seasonal(50)], 3, 1)
    assert made[0].tolist() == [7, 7, 7]


def test_mlforecast_takes_another_regressor() -> None:
    from sklearn.linear_model import LinearRegression

    made = MlForecastMember(LinearRegression, lags=(1, 2)).forecast([np.arange(30.0), 5 - np.arange(20.0)], 3, 1)
    np.testing.assert_allclose(made, [[30, 31, 32], [-15, -16, -17]], atol=1e-9)


def test_mlforecast_does_not_mind_scale() -> None:
    histories = [seasonal(80, seed=1), seasonal(70, seed=2)]
    member = MlForecastMember(lags=(1, 2))
    made = member.forecast(histories, 4, 12)
    scaled = member.forecast([histories[0] * 1024, histories[1] / 1024], 4, 12)
    np.testing.assert_allclose(scaled, made * np.array([[1024], [1 / 1024]]), rtol=1e-12)


def test_sktime_forecaster_is_made_anew_for_each_series() -> None:
    made: list[tuple[int, _Mean]] = []

    def factory(season: int) -> _Mean:
        made.append((season, _Mean()))
        return made[-1][1]

    answer = SktimeMember(factory).forecast([np.array([1.0, 3.0]), np.array([10.0, 30.0])], 3, 7)
    assert answer.tolist() == [[2, 2, 2], [20, 20, 20]]
    assert [season for season, _ in made] == [7, 7]
    assert [forecaster.seen[0][1].tolist() for _, forecaster in made] == [[1, 2, 3]] * 2


def test_foundation_model_sees_the_newest_values_in_batches() -> None:
    calls: list[list[list[float]]] = []

    def predict(contexts: list[Floats], horizon: int) -> Floats:
        calls.append([context.tolist() for context in contexts])
        return np.array([[context[-1]] * horizon for context in contexts], np.float32)

    member = FoundationMember(predict, context_length=2, batch_size=2)
    made = member.forecast([np.arange(3.0) + k for k in range(3)], 2, 1)
    assert made.tolist() == [[2, 2], [3, 3], [4, 4]]
    assert calls == [[[1, 2], [2, 3]], [[3, 4]]]


def test_median_of_a_foundation_model_is_its_point() -> None:
    answer = np.arange(12.0).reshape(1, 4, 3)
    member = FoundationMember(lambda *_: answer, levels=(0.1, 0.5, 0.9))
    assert member.forecast([np.arange(5.0)], 4, 1).tolist() == [[1, 4, 7, 10]]
    with pytest.raises(ValueError, match=r"must hold 0\.5"):
        FoundationMember(lambda *_: answer, levels=(0.1, 0.9))


def test_wrong_number_of_steps_is_a_shape_and_never_spread_over_the_row() -> None:
    one = [np.arange(5.0)]
    members: list[PoolMember] = [
        StatsForecastMember(lambda _: _OneStep()),
        SktimeMember(lambda _: _OneStep()),
        FoundationMember(lambda contexts, _: np.zeros((len(contexts), 1))),
    ]
    for member in members:
        made, reasons = guarded_forecast(member, one, 3, 1)
        assert np.isnan(made).all(), member
        assert reasons == ["MEMBER_SHAPE"], member


@given(kinds=st.lists(st.sampled_from([1, -1, -2, -3, -4, -5]), max_size=8), horizon=st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_each_series_pays_only_for_itself(kinds: list[int], horizon: int) -> None:
    histories = [np.array([kind, 10.0 + row]) for row, kind in enumerate(kinds)]
    made, reasons = guarded_forecast(_Fragile(), histories, horizon, 1)
    assert made.shape == (len(kinds), horizon)
    for row, kind in enumerate(kinds):
        expected = np.nan if kind < 0 else 10.0 + row
        np.testing.assert_array_equal(made[row], np.full(horizon, expected))
        assert reasons[row] == REASON.get(kind, "")
    assert [history[0] for history in histories] == kinds, "the member changed the caller's histories"


def test_sound_batch_is_one_call() -> None:
    calls: list[int] = []

    def predict(contexts: list[Floats], horizon: int) -> Floats:
        calls.append(len(contexts))
        return np.zeros((len(contexts), horizon))

    guarded_forecast(FoundationMember(predict), [np.arange(4.0)] * 5, 2, 1)
    assert calls == [5]


def test_series_that_statsforecast_refuses_costs_only_itself() -> None:
    from statsforecast.models import AutoETS

    member = StatsForecastMember(AutoETS(season_length=12))
    histories = [seasonal(60), np.array([1.0, 2.0]), seasonal(60, seed=2)]
    made, reasons = guarded_forecast(member, histories, 3, 12)
    assert reasons == ["", "MEMBER_RAISED", ""]
    np.testing.assert_array_equal(made[0], member.forecast(histories[:1], 3, 12)[0])
    assert np.isfinite(made[2]).all()


def test_series_that_no_regressor_can_take_costs_only_itself() -> None:
    histories = [seasonal(60), np.append(seasonal(60), np.nan), seasonal(60, seed=2)]
    made, reasons = guarded_forecast(MlForecastMember(), histories, 3, 12)
    assert reasons == ["", "MEMBER_RAISED", ""]
    assert np.isfinite(made[[0, 2]]).all()


@pytest.mark.parametrize("answer", [None, "text", [["1", "2"]], [[1 + 2j, 0]], [[None, 1.0]], np.zeros(2)])
def test_answers_that_are_no_numbers_are_shapes(answer: object) -> None:
    member = FoundationMember(_zeros)
    object.__setattr__(member, "forecast", lambda *_: answer)
    made, reasons = guarded_forecast(member, [np.arange(3.0)], 2, 1)
    assert np.isnan(made).all()
    assert reasons == ["MEMBER_SHAPE"]


def test_whole_numbers_are_numbers() -> None:
    member = FoundationMember(lambda *_: [[1, 2]])
    made, reasons = guarded_forecast(member, [np.arange(3.0)], 2, 1)
    assert made.tolist() == [[1.0, 2.0]]
    assert made.dtype == np.float64
    assert reasons == [""]


def test_interrupt_is_not_swallowed() -> None:
    def predict(contexts: list[Floats], horizon: int) -> Floats:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guarded_forecast(FoundationMember(predict), [np.arange(3.0)], 2, 1)


@pytest.mark.parametrize(("horizon", "season"), [(0, 1), (1, 0)])
def test_callers_mistake_is_not_the_members(horizon: int, season: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        guarded_forecast(_Fragile(), [np.ones(3)], horizon, season)
