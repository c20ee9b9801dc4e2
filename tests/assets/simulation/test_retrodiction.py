"""Retrodiction: scores are what they are called, know nothing later, and tell a right world from a wrong one."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pulse_assets.numerics.comparison import diebold_mariano
from pulse_assets.numerics.exceedances import kupiec
from pulse_assets.simulation.calibration.known_series import KnownSeries, Vintages
from pulse_assets.simulation.calibration.world_settings import WorldSettings
from pulse_assets.simulation.calibration.worlds import calibrate_days
from pulse_assets.simulation.engine import states_at
from pulse_assets.simulation.kernel.header import RECORDED_STEPS
from pulse_assets.simulation.program import Holdings, build
from pulse_assets.simulation.retrodiction.names import ALL, ENGINES, FREE, MODES, PORTFOLIO, REFERENCES, STRICT
from pulse_assets.simulation.retrodiction.origins import months_of, retrodict, seed_of
from pulse_assets.simulation.retrodiction.overlap import apart
from pulse_assets.simulation.retrodiction.reference_worlds import settings_for
from pulse_assets.simulation.retrodiction.report import ASSETS, report
from pulse_assets.simulation.retrodiction.scores import SCHEMA, Label, score_steps
from pulse_assets.simulation.retrodiction.tails import tail_histories
from pulse_assets.simulation.retrodiction.text import as_text
from pulse_assets.simulation.retrodiction.truth import actual_returns, led_along
from pulse_assets.simulation.retrodiction.wanted import Wanted
from pulse_assets.simulation.rules.rule_set import parse_rules
from pulse_assets.simulation.tables import RETRODICTION
from pulse_assets.simulation.world import Variable

FIRST, DAYS = np.datetime64("2008-01-01"), 2600
WEEKDAYS = np.busday_offset(FIRST, np.arange(DAYS), roll="forward").astype("datetime64[D]")
LABEL = Label(date(2018, 6, 29), date(2018, 6, 1), "pulse", FREE)
FEAR = """
rules:
  - id: fear_hurts
    version: 1
    when: fear > 35 [percent]
    effects: [{target: stock, shock: -0.01}]
    rationale: so that a path of the factor shows in an asset
    source: this test
"""


def clustered(seed: int = 3) -> np.ndarray:
    """Return returns of two assets from a known GJR-GARCH with normal shocks, correlated by a half; ``(DAYS, 2)``."""
    random = np.random.default_rng(seed)
    shocks = random.normal(size=(DAYS, 2))
    shocks[:, 1] = 0.5 * shocks[:, 0] + np.sqrt(0.75) * shocks[:, 1]
    h, found = np.full(2, 1e-4), np.empty((DAYS, 2))
    for t in range(DAYS):
        found[t] = np.sqrt(h) * shocks[t]
        h = 2e-6 + (0.04 + 0.12 * (found[t] < 0)) * found[t] ** 2 + 0.88 * h
    return found


@cache
def panel() -> Mapping[str, Vintages]:
    """Return two prices, one told a day late, and a factor with a memory."""
    prices = 100 * np.exp(np.cumsum(clustered(), axis=0))
    random, state = np.random.default_rng(6), np.empty(DAYS)
    state[0] = 3.0
    for t in range(1, DAYS):
        state[t] = 3.0 + 0.95 * (state[t - 1] - 3.0) + 0.08 * random.normal()
    return {
        "x:STOCK": Vintages(WEEKDAYS, WEEKDAYS, prices[:, 0]),
        "x:OTHER": Vintages(WEEKDAYS + 1, WEEKDAYS, prices[:, 1]),
        "x:FEAR": Vintages(WEEKDAYS, WEEKDAYS, np.exp(state)),
    }


def world(**changes: object) -> WorldSettings:
    given: dict[str, object] = {
        "assets": {"stock": "x:STOCK", "other": "x:OTHER"},
        "factors": [{"name": "fear", "source": "x:FEAR", "unit": "percent", "scale": "log", "low": 1, "high": 400}],
        "innovations": "normal",
        "drift": "zero",
        "window_days": 1800,
        "history": 5,
    }
    return WorldSettings.model_validate(given | changes)


def as_dates(days: np.ndarray) -> list[date]:
    return [day.astype(object) for day in days]


def rows_of(
    days: Sequence[date], wanted: Wanted, values: Mapping[str, Vintages] | None = None, **changes: object
) -> pa.Table:
    made = retrodict(values or panel(), days, world(**changes), wanted)
    return pa.concat_tables(each.rows for each in made)


def few(**changes: object) -> Wanted:
    return Wanted(**({"paths": 200, "horizon": 5, "steps": (1, 5), "energy_members": 100} | changes))  # type: ignore[arg-type]


@cache
def long_run() -> pa.Table:
    """Return 500 days of the right world and the random walk, all prices being known on their day."""
    values = {name: panel()[name]._replace(known=WEEKDAYS) for name in ("x:STOCK", "x:OTHER")}
    wanted = few(paths=400, engines=("pulse", "random_walk"))
    return rows_of(as_dates(WEEKDAYS[-500:]), wanted, values, factors=())


def test_rows_are_those_of_the_contract() -> None:
    rows = rows_of(as_dates(WEEKDAYS[-3:]), few(modes=MODES))
    stamped = rows.append_column("data_version", pa.array(np.zeros(len(rows), np.int64)))
    assert RETRODICTION.broken_rules(RETRODICTION.cast(stamped)) == {}
    assert SCHEMA.names == [column.name for column in RETRODICTION.columns][:-1]
    assert set(zip(rows["engine"].to_pylist(), rows["mode"].to_pylist(), strict=True)) == {
        ("pulse", STRICT),
        *((engine, FREE) for engine in ENGINES),
    }
    assert len(rows) == 3 * 5 * 2 * (2 + 2)


def test_scores_are_those_of_plain_formulas() -> None:
    """Every column against loops over members, with one missing truth."""
    random = np.random.default_rng(1)
    members = random.normal(0, 0.05, (2, 3, 101)).astype(np.float32)
    actual = np.array([[0.01, np.nan, -0.06], [0.2, -0.3, 0.0]])
    rows = score_steps(members, actual, ["a", "b", "c"], [1, 5], LABEL, fall=0.05, energy_members=1000)
    found = {(row["variable"], row["step"]): row for row in rows.to_pylist()}
    assert set(found) == {(v, s) for v in ("a", "b", "c", PORTFOLIO, ALL) for s in (1, 5)} - {("b", 1)}
    for s, step in enumerate((1, 5)):
        has = [i for i in range(3) if np.isfinite(actual[s, i])]
        x = members[s].astype(np.float64)
        together = np.log(np.mean([np.exp(x[i]) for i in has], axis=0))
        truth = np.log(np.mean([np.exp(actual[s, i]) for i in has]))
        for name, values, y in [*(("abc"[i], x[i], actual[s, i]) for i in has), (PORTFOLIO, together, truth)]:
            _agrees(found[name, step], np.sort(values), float(y))
        assert found[ALL, step]["energy_score"] == pytest.approx(_energy(x[has].T, actual[s, has]), rel=1e-6)


def _agrees(row: Mapping[str, float], values: np.ndarray, y: float) -> None:
    m = len(values)
    spread = np.abs(values[:, None] - values).sum() / (m * (m - 1))
    tails = [(values[m - int(np.ceil(m * level))], m * (1 - level)) for level in (0.95, 0.99)]
    wanted = {
        "actual": y,
        "crps": np.abs(values - y).mean() - spread / 2,
        "pit": ((values < y).sum() + 0.5) / (m + 1),
        "fall_probability": (np.expm1(values) < -0.05).mean(),
        "fell": np.expm1(y) < -0.05,
    }
    for level, (quantile, share) in zip((95, 99), tails, strict=True):
        whole = int(share + 1e-9)
        wanted[f"var_{level}"] = quantile
        wanted[f"es_{level}"] = (values[:whole].sum() + (share - whole) * values[whole]) / share
    for name, value in wanted.items():
        assert row[name] == pytest.approx(value, rel=1e-5, abs=1e-7), name


def _energy(members: np.ndarray, y: np.ndarray) -> float:
    m = len(members)
    apart_ = np.linalg.norm(members[:, None] - members, axis=2).sum() / (m * (m - 1))
    return float(np.linalg.norm(members - y, axis=1).mean() - apart_ / 2)


def test_members_are_those_of_a_replay() -> None:
    """The layout differs, the bits do not."""
    from pulse_assets.simulation.engine import replay
    from pulse_assets.simulation.scenarios.scenario import no_shock

    made = next(iter(calibrate_days(panel(), WEEKDAYS[-1:], world()))).world
    program = build(
        made, Holdings(np.ones(2), 2.0), no_shock(made, 5), recorded=(1, 5), traced=RECORDED_STEPS, tracked=False
    )
    plain = replay(program, 3, np.arange(700, dtype=np.uint64))
    assert np.array_equal(states_at(program, 3, 700, 2), plain[..., :2].transpose(1, 2, 0))


def test_later_knowledge_changes_no_row() -> None:
    """Values that become known after a day, new ones and revisions of old ones, leave its rows bit for bit."""
    days = as_dates(WEEKDAYS[2000:2003])
    before = rows_of(days, few(modes=MODES))
    cut = WEEKDAYS[2003]
    changed = {}
    for name, (known, when, levels) in panel().items():
        later = known >= cut
        revised = np.flatnonzero(~later)[-300:]
        changed[name] = Vintages(
            np.concatenate([known, np.full(len(revised), cut)]),
            np.concatenate([when, when[revised]]),
            np.concatenate([np.where(later, 3 * levels, levels), 2 * levels[revised]]),
        )
    assert rows_of(days, few(modes=MODES), changed).equals(before)
    assert not rows_of(as_dates(WEEKDAYS[2004:2005]), few(), changed).equals(
        rows_of(as_dates(WEEKDAYS[2004:2005]), few())
    )


def test_rows_do_not_depend_on_how_days_are_cut() -> None:
    days = as_dates(WEEKDAYS[2000:2030])
    blocks = months_of(days, 5)
    assert len(blocks) > 1
    assert [day for block in blocks for day in block] == days
    whole = rows_of(days[::3], few(engines=("pulse", "garch_fhs")))
    parts = [rows_of([day], few(engines=("pulse", "garch_fhs"))) for day in days[::3]]
    assert pa.concat_tables(parts).equals(whole)


def test_every_day_draws_other_numbers() -> None:
    """With those of the day before, one ensemble's error would be that of all: a bias where there is none."""
    seeds = [seed_of(seed, day) for seed in (0, 1, -1) for day in WEEKDAYS]
    assert len({*(seed % 2**64 for seed in seeds)}) == 3 * DAYS


def test_strict_mode_leads_factors_along_what_they_did() -> None:
    """Factors stand where they stood on every path, and rules see it."""
    known = {name: KnownSeries(name, series) for name, series in panel().items()}
    day, origin = WEEKDAYS[2005], WEEKDAYS[2000]
    made = next(iter(calibrate_days(panel(), [origin], world()))).world
    shocks = led_along(made, world(), known, origin, day, 5)
    program = build(made, Holdings(np.ones(2), 2.0), shocks, recorded=(1, 5), traced=RECORDED_STEPS, tracked=False)
    fear = states_at(program, 0, 100, 3)[:, 2]
    truth = np.log(panel()["x:FEAR"].levels[[2001, 2005]])
    assert np.abs(fear - truth[:, None]).max() < 1e-6

    def stock(mode: str, rules: bool) -> float:
        wanted = few(engines=("pulse",), modes=(mode,), rules=parse_rules(FEAR) if rules else None)
        rows = rows_of(as_dates(WEEKDAYS[2005:2006]), wanted).to_pandas()
        return float(rows.query("variable == 'stock' and step == 5")["var_95"].iloc[0])

    raised = dict(panel())
    levels = raised["x:FEAR"].levels.copy()
    levels[2001:] = 60.0
    raised["x:FEAR"] = raised["x:FEAR"]._replace(levels=levels)
    wanted = few(engines=("pulse",), modes=MODES, rules=parse_rules(FEAR))
    rows = rows_of(as_dates(WEEKDAYS[2005:2006]), wanted, raised).to_pandas().query("variable == 'stock' and step == 5")
    free, strict = (rows[rows["mode"] == mode]["var_95"].iloc[0] for mode in MODES)
    assert strict - free == pytest.approx(-0.05, abs=0.012)  # 1 % on each of five steps
    assert stock(STRICT, rules=False) == stock(FREE, rules=False)


def test_truth_spans_as_many_days_as_steps_however_late_it_is_told() -> None:
    """A price told a day late is judged from the last one known at the origin, over exactly the steps."""
    known = {name: KnownSeries(name, series) for name, series in panel().items()}
    assets = [Variable(name, "asset", "", source=name) for name in ("x:STOCK", "x:OTHER")]
    origin, day = WEEKDAYS[2002], WEEKDAYS[2007]
    found = actual_returns(assets, known, origin, day, (1, 5))
    for a, lag in ((0, 0), (1, 1)):
        states = np.log(panel()[assets[a].name].levels)
        expected = [states[2002 + k - lag] - states[2002 - lag] for k in (1, 5)]
        assert found[:, a] == pytest.approx(expected, abs=1e-12)


def test_a_day_without_a_new_price_has_no_truth() -> None:
    """A holiday gives no row for the step on it, and a series that ended none at all."""
    known, when, levels = panel()["x:STOCK"]
    keep = np.ones(DAYS, bool)
    keep[2001] = False
    keep[2010:] = False
    series = {"s": KnownSeries("s", Vintages(known[keep], when[keep], levels[keep]))}
    asset = [Variable("s", "asset", "", source="s")]
    found = actual_returns(asset, series, WEEKDAYS[2000], WEEKDAYS[2020], (1, 5, 10, 15, 20))[:, 0]
    states = np.log(levels)
    assert np.isnan(found[[0, 3, 4]]).all()
    assert found[1:3] == pytest.approx([states[2005] - states[2000], states[2009] - states[2000]], abs=1e-12)


def test_revised_prices_are_judged_on_one_footing() -> None:
    """A split known by the day that scores rescales origin and truth alike."""
    known, when, levels = panel()["x:STOCK"]
    split = WEEKDAYS[2004]
    again = Vintages(
        np.concatenate([known, np.full(2004, split)]),
        np.concatenate([when, when[:2004]]),
        np.concatenate([np.where(when >= split, levels / 2, levels), levels[:2004] / 2]),
    )
    asset = [Variable("s", "asset", "", source="s")]
    plain, rescaled = (
        actual_returns(asset, {"s": KnownSeries("s", each)}, WEEKDAYS[2000], WEEKDAYS[2005], (1, 5))
        for each in (panel()["x:STOCK"], again)
    )
    assert rescaled == pytest.approx(plain, abs=1e-12)


def test_a_truth_that_is_not_known_yet_is_refused() -> None:
    known = {name: KnownSeries(name, series) for name, series in panel().items()}
    asset = [Variable("x:STOCK", "asset", "", source="x:STOCK")]
    with pytest.raises(ValueError, match="does not know: score it later"):
        actual_returns(asset, known, WEEKDAYS[2000], WEEKDAYS[2003], (1, 5))


def test_days_without_a_past_say_why() -> None:
    made = list(retrodict(panel(), as_dates(WEEKDAYS[100:102]), world(), few()))
    assert [len(each.rows) for each in made] == [0, 0]
    assert all("fewer than 500" in remark for each in made for remark in each.remarks)
    free_only = list(retrodict(panel(), as_dates(WEEKDAYS[2000:2001]), world(factors=()), few(modes=MODES)))
    assert any("no factor can be led" in remark for remark in free_only[0].remarks)


def test_the_right_world_is_honest_and_the_random_walk_loses() -> None:
    """On data from a known GJR-GARCH its PIT is even, its value at risk kept, and its CRPS the better one."""
    made = report(long_run())
    calibration = made.calibration.to_pandas()
    right = calibration[(calibration["engine"] == "pulse") & (calibration["variable"] != ASSETS)]
    assert (right.loc[right["step"] == 1, "ks_p"] > 0.01).all()
    assert (right.loc[right["step"] == 1, "chi2_p"] > 0.01).all()
    tails = made.tails.to_pandas().query("engine == 'pulse'")
    assert (tails["kupiec_p"] > 0.01).all()
    assert (tails.query("variable == 'portfolio'")["z2_p"] > 0.01).all()
    skill = made.skill.to_pandas().query("engine == 'pulse' and reference == 'random_walk'")
    ahead = skill[(skill["step"] == 1) & (skill["variable"].isin([ASSETS, PORTFOLIO]))]
    assert (ahead["skill"] > 0.005).all()
    assert (ahead["p_value"] < 0.05).all()


def test_a_report_says_what_its_parts_say() -> None:
    """Against the tests called by hand on the same rows."""
    rows = long_run()
    made, frame = report(rows), rows.to_pandas()
    one = frame[(frame["variable"] == "stock") & (frame["step"] == 5)].sort_values("origin")
    mine, other = (one[one["engine"] == name].reset_index(drop=True) for name in ("pulse", "random_walk"))
    skill = made.skill.to_pandas().query("variable == 'stock' and step == 5 and engine == 'pulse'").iloc[0]
    by_hand = diebold_mariano(mine["crps"].to_numpy(), other["crps"].to_numpy(), 5)
    assert skill["statistic"] == pytest.approx(by_hand.statistic, rel=1e-9)
    assert skill["skill"] == pytest.approx(1 - mine["crps"].mean() / other["crps"].mean())
    assert skill["p_adjusted"] >= skill["p_value"]
    alone = mine.iloc[apart(mine["origin"].to_numpy().astype("datetime64[D]"), 5)]
    assert len(alone) == 100
    tail = made.tails.to_pandas().query("variable == 'stock' and step == 5 and engine == 'pulse' and level == 0.95")
    hits = int((alone["actual"] < alone["var_95"]).sum())
    assert tail["hits"].iloc[0] == hits
    assert tail["kupiec_p"].iloc[0] == pytest.approx(kupiec(hits, 100, 0.05).p_value)
    shares = made.calibration.to_pandas().query("variable == 'stock' and step == 5 and engine == 'pulse'")
    assert sum(shares["histogram"].iloc[0]) == len(mine)


def test_a_report_can_be_read() -> None:
    text = as_text(report(long_run()))
    assert "| pulse | seed_then_free | random_walk | portfolio | 1 | 500 |" in text
    nothing = report(SCHEMA.empty_table())
    assert "No day of the range" in as_text(nothing)


def test_a_report_of_one_day_tests_nothing() -> None:
    rows = long_run().filter(pc.equal(long_run()["as_of"], pc.max(long_run()["as_of"])))
    made = report(rows)
    assert made.skill["statistic"].null_count == len(made.skill)
    assert made.calibration["ks_p"].null_count == len(made.calibration)
    assert as_text(made)


def test_rows_that_stand_twice_are_refused() -> None:
    rows = long_run().slice(0, 8)
    with pytest.raises(ValueError, match="expected one row for each origin"):
        report(pa.concat_tables([rows, rows]))


def test_histories_of_a_tail_have_the_mean_that_was_said() -> None:
    found = tail_histories(np.full(400, -0.02), np.full(400, -0.03), 0.05, 999)
    beyond = found[found < -0.02]
    assert len(beyond) / found.size == pytest.approx(0.05, abs=0.002)
    assert beyond.mean() == pytest.approx(-0.03, abs=2e-4)


def test_references_see_the_same_assets_and_window() -> None:
    judged = world(required=("stock", "fear"), regimes=True)
    for engine in REFERENCES:
        found = settings_for(engine, judged, 7)
        assert found.assets == judged.assets
        assert (found.window_days, found.min_observations, found.refit) == (1800, 500, "monthly")
        assert (found.factors, found.regimes, found.required) == ((), None, ("stock",))
    assert settings_for("historical_bootstrap", judged, 7).innovations.model_extra == {"block_length": 7.0}
    assert settings_for("pulse", judged) is judged
    with pytest.raises(ValueError, match="no engine 'tarot'"):
        settings_for("tarot", judged)


def test_a_random_walk_has_the_deviation_of_the_window_and_no_drift() -> None:
    chosen = settings_for("random_walk", world())
    made = next(iter(calibrate_days(panel(), WEEKDAYS[-1:], chosen))).world
    states = np.log(panel()["x:STOCK"].levels)[-1801:]
    assert made.variance[0] == pytest.approx(np.diff(states).var(), rel=0.01)
    assert made.has_constant_volatility
    assert not made.drift.any()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps": ()}, "scored steps that rise"),
        ({"steps": (5, 1)}, "scored steps that rise"),
        ({"steps": (1, 6)}, "beyond the horizon of 5"),
        ({"paths": 50}, "100 or more paths"),
        ({"fall": 1.5}, "a share of value inside"),
        ({"engines": ("pulse", "tarot")}, "of pulse, random_walk"),
        ({"modes": (FREE, FREE)}, "each mode once"),
    ],
)
def test_wrong_wishes_say_what_is_expected(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        few(**changes)


def test_an_asset_may_not_be_called_as_rows_call_all_of_them() -> None:
    settings = world(assets={"portfolio": "x:STOCK"})
    with pytest.raises(ValueError, match="'portfolio', which rows say of the assets together"):
        next(retrodict(panel(), as_dates(WEEKDAYS[2000:2001]), settings, few()))


def test_a_fall_counts_from_the_share_that_was_asked_for() -> None:
    days = as_dates(WEEKDAYS[2000:2001])
    shares = [
        pd.Series(rows_of(days, few(engines=("pulse",), fall=fall))["fall_probability"].to_pylist()).dropna().mean()
        for fall in (0.001, 0.02, 0.3)
    ]
    assert shares[0] > shares[1] > shares[2] == 0


def test_origins_are_weekdays_the_horizon_before() -> None:
    rows = rows_of(as_dates(WEEKDAYS[2000:2002]), few(engines=("pulse",)))
    pairs = set(zip(rows["as_of"].to_pylist(), rows["origin"].to_pylist(), strict=True))
    assert pairs == {(d, np.busday_offset(d, -5).astype(object)) for d in as_dates(WEEKDAYS[2000:2002])}
    assert all(day - origin == timedelta(days=7) for day, origin in pairs)
