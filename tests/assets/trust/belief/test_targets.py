"""Targets are what a slow loop finds, too, and no bystander changes a bit of them."""

from datetime import date, timedelta
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.trust.belief.targets import MEASURES, joined, parts_of_cell, targets_of
from pulse_assets.trust.buckets import BUCKETS, bucket_codes

IDS, MODELS = ("a", "b", "c"), ("m", "naive", "seasonal_naive")
START = date(2024, 1, 1)
Key = tuple[str, str, int, int]


def score_table(keys: list[Key], seed: int = 0) -> pa.Table:
    """Rows of ``(series, model, event, horizon)`` with random scores; the truth of an event is known a day later."""
    rng = np.random.default_rng(seed)
    ids, models, events, horizons = zip(*keys, strict=True) if keys else ((),) * 4
    begin = np.datetime64(START, "us")
    days = [START + timedelta(days=event + 1) for event in events]
    origins = [START + timedelta(days=event - h) for event, h in zip(events, horizons, strict=True)]
    truth = {event: rng.normal() for event in sorted(set(events))}
    return pa.table(
        {
            "as_of": pa.array(days, pa.date32()),
            "origin": pa.array(origins, pa.date32()),
            "unique_id": pa.array(ids, pa.string()),
            "model": pa.array(models, pa.string()),
            "h": pa.array(horizons, pa.int16()),
            "ds": pa.array([begin + np.timedelta64(e, "D") for e in events], pa.timestamp("us")).cast(
                pa.timestamp("us", "UTC")
            ),
            "y": pa.array([truth[event] for event in events], pa.float64()),
            "error": pa.array(rng.normal(size=len(keys))),
            "wis": pa.array(rng.lognormal(0, 6, len(keys))),
            "pit": pa.array(rng.random(len(keys))),
            **{f"covered_{level}": pa.array(rng.random(len(keys)) < level / 100, pa.bool_()) for level in (50, 80, 95)},
        }
    )


KEYS = st.lists(
    st.tuples(
        st.sampled_from([*IDS, "stranger"]),
        st.sampled_from([*MODELS, "unknown"]),
        st.integers(0, 3),
        st.sampled_from([1, 2, 3, 6, 7]),
    ),
    unique=True,
    max_size=60,
)


def slow_targets(scores: pa.Table) -> dict[tuple[str, str, str, date, object], dict[str, float]]:
    """Return the measures of each target, found by going through all rows for each."""
    rows = [row for row in scores.to_pylist() if row["unique_id"] in IDS and row["model"] in MODELS]
    by_forecast = {(r["unique_id"], r["model"], r["ds"], r["origin"], r["h"]): r for r in rows}
    groups: dict[tuple[str, str, str, date, object], list[dict[str, float]]] = {}
    for row in sorted(rows, key=lambda r: r["origin"]):
        naive, seasonal = (
            by_forecast.get((row["unique_id"], model, row["ds"], row["origin"], row["h"]))
            for model in ("naive", "seasonal_naive")
        )
        if naive is None:
            continue
        median = row["y"] - row["error"]
        of_truth = [r for r in rows if all(r[k] == row[k] for k in ("unique_id", "model", "ds"))]
        before = [r for r in of_truth if r["origin"] < row["origin"]]
        last = max(before, key=lambda r: r["origin"], default=None)
        bucket = BUCKETS[bucket_codes(np.array([row["h"]]))[0]]
        groups.setdefault((row["unique_id"], row["model"], bucket, row["as_of"], row["ds"]), []).append(
            {
                **{name: float(row[name]) for name in ("wis", "covered_50", "covered_80", "covered_95", "pit")},
                "wis_naive": naive["wis"],
                "wis_seasonal": np.nan if seasonal is None else seasonal["wis"],
                "move": np.nan if last is None else abs(median - (last["y"] - last["error"])),
                "naive_error": abs(naive["error"]),
            }
        )
    found = {}
    for key, members in groups.items():
        found[key] = {name: float(np.mean([m[name] for m in members])) for name in MEASURES}
        found[key]["pit"] = members[-1]["pit"]
        moves = [m["move"] for m in members if not np.isnan(m["move"])]
        found[key]["move"] = float(np.mean(moves)) if moves else np.nan
    return found


@given(KEYS)
@settings(max_examples=60)
def test_targets_equal_a_slow_loop(keys: list[Key]) -> None:
    scores = score_table(keys)
    expected = slow_targets(scores)
    targets = targets_of(scores, IDS, MODELS)
    series, model, bucket = parts_of_cell(targets.cell, len(MODELS))
    assert len(targets.cell) == len(expected)
    ordered = sorted(expected, key=lambda k: (k[0], MODELS.index(k[1]), BUCKETS.index(k[2]), k[3], k[4]))
    for place, key in enumerate(ordered):
        assert (IDS[series[place]], MODELS[model[place]], BUCKETS[bucket[place]]) == key[:3]
        assert START + timedelta(days=int(targets.day[place]) - (START - date(1970, 1, 1)).days) == key[3]
        np.testing.assert_allclose(targets.values[place], [expected[key][name] for name in MEASURES], rtol=1e-12)


@given(KEYS, st.randoms(use_true_random=False), st.integers(0, 5))
@settings(max_examples=40)
def test_neither_order_nor_parts_change_a_bit(keys: list[Key], random: Random, cut: int) -> None:
    scores = score_table(keys)
    order = list(range(len(scores)))
    random.shuffle(order)
    whole = targets_of(scores, IDS, MODELS)
    shuffled = scores.take(pa.array(order, pa.int64()))
    early = pa.array([day <= START + timedelta(days=cut) for day in shuffled["as_of"].to_pylist()], pa.bool_())
    late = pa.array([not one for one in early.to_pylist()], pa.bool_())
    parts = [targets_of(shuffled.filter(mask), IDS, MODELS) for mask in (early, late)]
    again = joined(parts, 0, 1_000)
    for name in ("cell", "day", "values"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))


def test_a_part_of_the_cells_is_cut_out_of_all() -> None:
    scores = score_table([(name, model, 0, 1) for name in IDS for model in MODELS])
    whole = targets_of(scores, IDS, MODELS)
    size = len(MODELS) * len(BUCKETS)
    assert joined([whole], size, 2 * size).cell.tolist() == [size, size + 4, size + 8]
    assert not len(joined([], 0, 10).cell)


def test_forecasts_of_one_truth_share_its_one_vote() -> None:
    mine: list[Key] = [("a", "m", 1, h) for h in (2, 3)]
    scores = score_table(mine + [("a", "naive", *rest) for _, _, *rest in mine])  # type: ignore[misc]
    targets = targets_of(scores, IDS, MODELS)
    wis = scores["wis"].to_numpy()
    assert targets.values[0, 0] == pytest.approx(wis[:2].mean())
    assert targets.values[0, 1] == pytest.approx(wis[2:].mean())


def test_a_model_is_compared_with_naive_only_where_both_spoke() -> None:
    naive: list[Key] = [("a", "naive", event, 1) for event in range(6)]
    targets = targets_of(score_table([*naive, ("a", "m", 4, 1), ("a", "m", 4, 2)]), IDS, MODELS)
    cell, counts = np.unique(targets.cell, return_counts=True)
    assert counts.tolist() == [1, 6]
    assert cell.tolist() == [0, len(BUCKETS)]


@pytest.mark.parametrize("keys", [[], [("stranger", "m", 0, 1)], [("a", "m", 0, 1)], [("a", "unknown", 0, 1)]])
def test_nothing_beside_naive_is_no_target(keys: list[Key]) -> None:
    targets = targets_of(score_table(keys), IDS, MODELS)
    assert targets.values.shape == (0, len(MEASURES))
