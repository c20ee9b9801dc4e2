"""Rules as files state them, and the set that ships with Pulse."""

from pathlib import Path

import pytest

from pulse_assets.simulation.rules.expressions import Past, walk
from pulse_assets.simulation.rules.gains import explosive_cycle, gains_of
from pulse_assets.simulation.rules.rule_checks import check_rules
from pulse_assets.simulation.rules.rule_set import Effect, Rule, RuleSet, load_rules, parse_rules
from pulse_assets.simulation.rules.vocabulary import LOG_RETURN, Term, Vocabulary
from tests.assets.simulation.rule_words import RATE, rule, rule_set

INF = float("inf")
KINDS_OF_RULES = {"volatility", "oil", "rates", "sentiment", "overlay"}


def a_rule(name: str = "a", **changes: object) -> Rule:
    said = {"id": name, "version": 1, "when": "vix > 30", "rationale": "r", "source": "s"}
    return Rule.model_validate({**said, "effects": [{"target": "vix", "multiply": 1.1}], **changes})


def everything(scale: str = "log", phi: float = 0.97) -> Vocabulary:
    """Return a world that has all that the default rules can use."""
    assets = ("SPX", "WTI", "XOM", "CVX", "BAC", "JPM")
    terms = [Term(name, "asset", "linear", LOG_RETURN, -INF, INF, 0.0, 0.19, 1.0, 0.012, 0.97) for name in assets]
    vix = (2.8, 0.3) if scale == "log" else (17.0, 5.0)
    terms.append(Term("vix", "macro", scale, RATE, 1.0 if scale == "log" else 3, 90.0, *vix, phi, 0.07))  # type: ignore[arg-type]
    cpi = (5.5, 0.01) if scale == "log" else (250.0, 3.0)
    terms.append(Term("core_cpi", "macro", scale, "index", -INF, INF, *cpi, 0.999, 0.001))  # type: ignore[arg-type]
    rates = ("aaa", "baa", "credit_spread", "us10y", "us2y", "policy_rate")
    moods = ("hope", "despair", "rage", "fatigue", "trust")
    terms += [Term(name, "macro", "linear", RATE, -INF, INF, 3.0, 0.8, 0.997, 0.05) for name in rates]
    terms += [Term(name, "overlay", "linear", "index", 0.0, 1.0, 0.5, 0.16, phi, 0.05) for name in moods]
    return Vocabulary({term.name: term for term in terms}, ("calm", "stressed"))


def test_the_default_set_has_about_twenty_rules_of_every_kind_each_with_a_reason_and_a_source() -> None:
    rules = load_rules()
    assert 20 <= len(rules) <= 30
    assert {tag for each in rules for tag in each.tags} >= KINDS_OF_RULES
    for each in rules:
        assert len(each.rationale) > 80, each.id
        assert any(character.isdigit() for character in each.source), each.id
        assert len(each.source) > 40, each.id


def test_the_default_set_says_which_sizes_are_judgements() -> None:
    silent = {each.id for each in load_rules() if "judgement" not in each.rationale}
    compared = {"inverted_curve_brings_stress", "oil_price_reverts", "inflation_is_answered", "losses_widen_spreads"}
    assert silent <= compared | {"despair_presses_prices"}


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("phi", [0.9, 0.97, 0.995])
def test_the_default_set_fits_a_whole_world_without_explosive_cycles(scale: str, phi: float) -> None:
    found = check_rules(load_rules(), everything(scale, phi))
    assert len(found.active) == len(load_rules())
    assert found.findings == ()
    assert explosive_cycle(gains_of(found.active, found.vocabulary), len(found.active)) is None


def test_half_of_the_default_set_works_with_stocks_oil_and_the_vix_alone() -> None:
    whole = everything()
    small = Vocabulary({name: whole.terms[name] for name in ("SPX", "WTI", "vix")}, whole.regimes)
    found = check_rules(load_rules(), small)
    assert len(found.active) >= 10
    assert len(found.active) + len(found.inactive) == len(load_rules())
    assert found.inactive["high_hope_disappoints"] == "needs hope, which this world does not have"


def test_the_default_set_is_silent_in_a_world_of_other_things() -> None:
    gold = Term("XAU", "asset", "linear", LOG_RETURN, -INF, INF, 0.0, 0.19, 1.0, 0.012)
    found = check_rules(load_rules(), Vocabulary({"XAU": gold}))
    assert found.active == ()
    assert len(found.inactive) == len(load_rules())


def test_no_default_rule_moves_a_price_by_more_than_a_per_cent_or_looks_far_back() -> None:
    for each in load_rules():
        total = 1 / (1 - each.decay)
        assert all(abs(effect.amount) * total < 0.01 for effect in each.effects if effect.kind == "shock"), each.id
        assert all(part.lag <= 63 for part in walk(each.condition) if isinstance(part, Past)), each.id


def test_rules_take_effect_by_priority_and_then_by_id() -> None:
    rules = RuleSet((a_rule("b"), a_rule("a"), a_rule("c", priority=5), a_rule("d", priority=-5)))
    assert rules.ids == ("c", "a", "b", "d")


def test_the_fingerprint_knows_every_word_but_not_the_place() -> None:
    text = rule("a", "vix > 30", "target: vix, multiply: 1.1")
    rules = rule_set(text)
    assert rules.fingerprint == parse_rules(f"\n\nrules:\n{text}\noptional: []", "elsewhere").fingerprint
    changed = [
        rule_set(rule("a", "vix > 31", "target: vix, multiply: 1.1")),
        rule_set(rule("a", "vix > 30", "target: vix, multiply: 1.2")),
        rule_set(rule("a", "vix > 30", "target: vix, multiply: 1.1", cooldown=1)),
        rule_set(rule("a", "vix > 30", "target: vix, multiply: 1.1", version=2)),
        rule_set(text, optional="hope"),
    ]
    assert len({rules.fingerprint, *(each.fingerprint for each in changed)}) == 6


def test_two_rules_of_one_name_are_refused_with_both_lines() -> None:
    twice = rule("a", "vix > 30", "target: vix, multiply: 1.1")
    with pytest.raises(ValueError, match=r"rules.yaml:4: rule 'a' stands on line 3 already: rename"):
        rule_set(twice, twice)
    with pytest.raises(ValueError, match="two rules are called 'a'"):
        RuleSet((a_rule("a"), a_rule("a", priority=3)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: 3", "r.yaml:1: rules: Input should be a valid"),
        ("rulez: []", "r.yaml:1: rulez: Extra inputs are not permitted"),
        ("[1, 2]", "r.yaml:1: the whole"),
        ("rules: []\noptional: [step]", "r.yaml:2: 'step' is a word of the rules' language"),
        ("rules: []\noptional: [9x]", "r.yaml:2: optional.0"),
        ("rules:\n  - id: a\n    when: vix > 30\n", "r.yaml:2: rules.0.version: Field required"),
        ("rules:\n  - {id: a b}", "r.yaml:2: rules.0.id"),
        ("rules: &r []\nmore: *r", "r.yaml:2: aliases (*r) are not allowed"),
        ("rules: !!python/object/apply:os.system ['true']", "r.yaml:1: "),
        ("rules:\n  - id: a\n  bad", "r.yaml:"),
    ],
)
def test_bad_files_are_refused_with_file_line_and_key(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"r\.yaml") as error:
        parse_rules(text, "r.yaml")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("when", "effect", "more", "message"),
    [
        ("vix > > 3", "target: vix, multiply: 1.1", {}, "rules.0.when: Value error, `vix > > 3`, column 7"),
        ("vix.real > 3", "target: vix, multiply: 1.1", {}, "column 4: '.' has no meaning"),
        ("vix > 3", "target: vix", {}, "exactly one of add, multiply, set, shock, here are none"),
        ("vix > 3", "target: vix, add: 1, set: 2", {}, "here are ['add', 'set']"),
        ("vix > 3", "target: vix, multiply: 1.1, unit: percent", {}, "have no unit"),
        ("vix > 3", "target: vix, add: .inf", {}, "finite number"),
        ("vix > 3", "target: vix, add: '3'", {}, "valid number"),
        ("vix > 3", "target: __import__('os'), add: 3", {}, "match pattern"),
        ("vix > 3", "target: vix, add: 3, eval: 3", {}, "Extra inputs are not permitted"),
        ("vix > 3", "target: vix, add: 3", {"probability": 0}, "greater than 0"),
        ("vix > 3", "target: vix, add: 3", {"probability": 1.5}, "less than or equal to 1"),
        ("vix > 3", "target: vix, add: 3", {"cooldown": -1}, "greater than or equal to 0"),
        ("vix > 3", "target: vix, add: 3", {"cooldown": 1.5}, "valid integer"),
        ("vix > 3", "target: vix, add: 3", {"version": "true"}, "valid integer"),
        ("vix > 3", "target: vix, add: 3", {"half_life": 0}, "greater than 0"),
        ("vix > 3", "target: vix, multiply: 1.1", {"half_life": 3}, "half_life spreads add and shock over steps"),
        ("vix > 3", "target: regime, set: calm", {"half_life": 3}, "not set"),
        ("vix > 3", "target: vix, add: 3", {"source": "''"}, "at least 1 character"),
        ("vix > 3", "target: vix, add: 3", {"colour": "red"}, "Extra inputs"),
    ],
)
def test_bad_rules_are_refused_with_their_line(when: str, effect: str, more: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=r"rules\.yaml:3: ") as error:
        rule_set(rule("a", when, effect, **more))
    assert message in str(error.value)


def test_a_file_that_grows_without_limit_is_refused() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    with pytest.raises(ValueError, match=r"bomb.yaml:2: aliases \(\*a\) are not allowed: write the value out"):
        parse_rules(f"{bomb}rules: []", "bomb.yaml")


def test_a_file_with_more_rules_than_anyone_reviews_is_refused() -> None:
    many = [rule(f"r{i}", f"vix > {i}", "target: vix, multiply: 1.1") for i in range(201)]
    with pytest.raises(ValueError, match="at most 200 items"):
        rule_set(*many)


def test_files_are_read_from_their_path_and_missing_ones_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"rules:\n{rule('a', 'vix > 30', 'target: vix, multiply: 1.1')}")
    rules = load_rules(path)
    assert rules.ids == ("a",)
    assert rules.at(rules.rules[0]) == f"{path}:2: rule 'a'"
    for missing in ("unheard_of", tmp_path / "none.yaml", "../rules"):
        with pytest.raises(ValueError, match="no such file of rules, and no set of that name ships with Pulse"):
            load_rules(missing)


def test_an_effect_knows_its_kind_and_amount() -> None:
    assert (Effect(target="vix", set=3).kind, Effect(target="vix", set=3).amount) == ("set", 3.0)
    assert Effect(target="regime", set="calm").amount != Effect(target="regime", set="calm").amount
