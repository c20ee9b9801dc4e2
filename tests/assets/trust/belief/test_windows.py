"""Targets and windows: truths count once, beside naive, and say the same whatever else is known."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.trust.belief.targets import MEASURES, Targets, targets_of
from pulse_assets.trust.belief.windows import STATED, WINDOW, pit_distance, say

IDS, MODELS = ("a", "b"), ("naive", "pulse", "seasonal_naive")


def scores(days: int = 40, seed: int = 0, ids: tuple[str, ...] = IDS, h: int = 1) -> pa.Table:
    """One-step scores of every model on every day; pulse is half as wrong as naive."""
    rng = np.random.default_rng(seed)
    rows = []
    for day in pd.date_range("2024-01-01", periods=days):
        for name in ids:
            wis = abs(rng.normal()) + 0.1
            for model, factor in (("naive", 1.0), ("pulse", 0.5), ("seasonal_naive", 2.0)):
                rows.append(
                    (day.date(), (day - pd.Timedelta(days=h)).date(), name, model, h, day, factor * wis, rng.random())
                )
    frame = pd.DataFrame(rows, columns=["as_of", "origin", "unique_id", "model", "h", "ds", "wis", "pit"])
    frame = frame.assign(y=1.0, error=frame["wis"], covered_50=False, covered_80=True, covered_95=True)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return table.set_column(table.column_names.index("ds"), "ds", table["ds"].cast(pa.timestamp("us", "UTC")))


def said(table: pa.Table, last: int = 40, overlap: int = 1, *, seasonal: bool = True):  # noqa: ANN201
    targets = targets_of(table, IDS, MODELS)
    days = np.arange("2024-01-01", np.datetime64("2024-01-01") + last, dtype="datetime64[D]").astype(np.int64)
    cells = len(targets.series)
    return targets, say(targets, days, np.full(cells, 300), np.full(cells, overlap), np.full(cells, seasonal))


def cell(targets: Targets, name: str, model: str) -> int:
    return int(np.flatnonzero((targets.series == IDS.index(name)) & (targets.model == MODELS.index(model)))[0])


def test_skill_is_a_ratio_of_sums_against_the_better_naive_model() -> None:
    targets, found = said(scores())
    row = cell(targets, "a", "pulse")
    assert found.skill[row, -1] == pytest.approx(0.5)
    assert found.seasonal[row, -1] == 0
    assert found.skill[cell(targets, "a", "naive"), -1] == pytest.approx(0)


def test_the_seasonal_model_is_the_reference_where_it_is_better() -> None:
    table = scores().to_pandas()
    table.loc[table["model"] == "seasonal_naive", "wis"] /= 8
    targets, found = said(pa.Table.from_pandas(table, preserve_index=False))
    row = cell(targets, "a", "pulse")
    assert found.seasonal[row, -1] == 1
    assert found.skill[row, -1] == pytest.approx(-1)


def test_too_few_targets_say_nothing_but_their_number() -> None:
    _, found = said(scores(days=STATED - 1))
    assert np.isnan(found.skill).all()
    assert found.targets[:, -1].tolist() == [STATED - 1] * 6


def test_forecasts_of_one_truth_from_several_origins_count_once() -> None:
    table = scores()
    twice = table.to_pandas()
    twice["origin"] = twice["origin"] - pd.Timedelta(days=1)
    both = pa.concat_tables([table, pa.Table.from_pandas(twice, schema=table.schema, preserve_index=False)])
    ones, twos = said(table)[1], said(both)[1]
    assert np.array_equal(ones.targets, twos.targets)
    assert np.allclose(ones.skill, twos.skill, equal_nan=True)


def test_a_forecast_counts_only_beside_naive() -> None:
    table = scores()
    silent = table.to_pandas()
    silent = silent[~((silent["model"] == "naive") & (silent["ds"] < pd.Timestamp("2024-01-21", tz="UTC")))]
    targets, found = said(pa.Table.from_pandas(silent, schema=table.schema, preserve_index=False))
    assert found.targets[cell(targets, "a", "pulse"), -1] == 20


def test_later_scores_change_nothing_of_earlier_days() -> None:
    whole, cut = said(scores(days=40), last=30)[1], said(scores(days=40).slice(0, 30 * 6), last=30)[1]
    assert all(np.array_equal(one, other, equal_nan=True) for one, other in zip(whole, cut, strict=True))


def test_overlapping_errors_widen_the_error_of_skill() -> None:
    rng = np.random.default_rng(1)
    steps = np.convolve(rng.normal(size=204), np.ones(5), "valid")[:200]
    values = np.zeros((200, len(MEASURES)))
    values[:, 0], values[:, 1], values[:, 2] = 1 + 0.1 * steps, 1.0, np.nan
    of = Targets(np.zeros(1, int), np.ones(1, int), np.zeros(1, int), np.array([0, 200]), np.arange(200), values)
    narrow, wide = (
        say(of, np.array([199]), np.array([999]), np.array([overlap]), np.array([True])).skill_se[0, 0]
        for overlap in (1, 5)
    )
    assert wide > 1.3 * narrow


def test_the_window_holds_the_newest_targets_only() -> None:
    _, found = said(scores(days=WINDOW + 20), last=WINDOW + 20)
    assert found.targets[:, -1].max() == WINDOW


@pytest.mark.parametrize(("pit", "distance"), [([0.5], 0.25), ([0.0, 0.0], 0.5), ([0.25, 0.75], 0.125), ([], np.nan)])
def test_distance_of_pits_to_uniform_has_its_known_answers(pit: list[float], distance: float) -> None:
    assert pit_distance(np.array(pit)) == pytest.approx(distance, nan_ok=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_distance_of_pits_is_that_of_a_fine_grid(pit: list[float]) -> None:
    grid = (np.arange(20_000) + 0.5) / 20_000
    slow = np.abs(np.searchsorted(np.sort(pit), grid, side="right") / len(pit) - grid).mean()
    assert pit_distance(np.array(pit)) == pytest.approx(slow, abs=1e-3)
