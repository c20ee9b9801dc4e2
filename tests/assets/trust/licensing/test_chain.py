"""The chain: whoever changes a decision, or the chain, is found out."""

import hashlib
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.trust.evidence_tables import LICENCE_CHAIN
from pulse_assets.trust.licensing.chain import (
    FIRST,
    HASHED,
    LINK,
    by_day,
    chain_problems,
    day_hash,
    day_problems,
    links,
    row_hashes,
    verify,
)
from pulse_assets.trust.licensing.policy import Policy
from pulse_assets.trust.tables import LICENCES
from tests.assets.trust.licensing.evidence_rows import NAIVE, licences, with_column

ONE, TWO = date(2024, 1, 1), date(2024, 1, 2)


def rows_of(trust: float = 0.7) -> pa.Table:
    """Two days of licences: three rows, then one."""
    first = licences({"trust": trust}, {"unique_id": "b", "trust": np.nan}, NAIVE, day=ONE)
    return pa.concat_tables([first, licences({"trust": 0.1 + 0.7}, day=TWO)])


def chained(rows: pa.Table, chain: pa.Table | None = None, days: list[date] | None = None) -> pa.Table:
    chain = LICENCE_CHAIN.empty() if chain is None else chain
    made = links(chain, by_day(rows, days or []), 3, Policy().as_dict(), "run")
    return pa.concat_tables(
        [chain, LICENCE_CHAIN.cast(pa.Table.from_pylist(made, LICENCE_CHAIN.schema.remove_metadata()))]
    )


def test_the_chain_vouches_for_what_was_written() -> None:
    chain = chained(rows_of())
    assert chain["previous"].to_pylist()[0] == FIRST
    assert chain["rows"].to_pylist() == [3, 1]
    assert verify(chain, rows_of()) == []


def test_a_hash_is_of_every_column_before_it() -> None:
    names = LICENCES.schema.names
    assert list(HASHED) == names[: names.index("row_hash")]
    names = LICENCE_CHAIN.schema.names
    assert list(LINK) == names[: names.index("chain_hash")]


def test_a_row_without_one_of_them_is_refused_and_not_hashed_otherwise() -> None:
    with pytest.raises(ValueError, match=r"\['trust'\] are missing"):
        row_hashes(rows_of().drop_columns(["trust"]))


def test_hashes_do_not_depend_on_the_order_of_rows_columns_or_chunks() -> None:
    rows = rows_of()
    turned = rows.take([3, 2, 1, 0]).select(rows.column_names[::-1])
    assert row_hashes(turned)[::-1] == rows["row_hash"].to_pylist() == row_hashes(rows.combine_chunks())
    assert day_hash(rows.slice(0, 3)) == day_hash(rows.slice(0, 3).take([1, 2, 0]))


WRITTEN = (
    '"2024-01-01" "a" "pulse" "1" "held" null false "UNPROVEN" 1 4 90 0x1.999999999999ap-3 0x1.6666666666666p-1 '
    '0x1.999999999999ap-1 0x1.ccccccccccccdp-1 0x1.0000000000000p+0 "" "" null 10 "2024-01-01" 3 5 5 5 "p"'
)
"""The text under the hash of one row, with blanks for line ends: a change of it breaks every chain there is."""


def test_the_text_under_a_hash_stays_what_it_is() -> None:
    digest = hashlib.sha256(WRITTEN.replace(" ", "\n").encode()).hexdigest()
    assert row_hashes(licences({"trust": 0.7, "drift": None}, day=ONE)) == [digest]


CHANGES = {
    "state": "held",
    "tier": "C",
    "serve": False,
    "reasons": "SKILL_NEG",
    "earned": 1,
    "floor": 1,
    "targets": 91,
    "skill": 0.2 + 1e-16,
    "trust": None,
    "coverage_80": 0.5,
    "coverage_80_q": None,
    "quality": 0.0,
    "quality_flags": "DQ_FLAT",
    "forecast_flags": "NONFINITE",
    "drift": None,
    "model_age_days": None,
    "expires_on": date(2025, 1, 1),
    "forecasts_version": 4,
    "trust_version": 4,
    "quality_version": 4,
    "drift_version": 4,
    "policy": "q",
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_value_is_found_in_whatever_column(name: str) -> None:
    rows = rows_of()
    forged = with_column(rows, name, [CHANGES[name], *rows[name].to_pylist()[1:]])
    assert verify(chained(rows), forged) == ["1 licences of 2024-01-01 were changed after they were hashed: a pulse 1"]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("drift", (None, "null")),
        ("skill", (0.0, -0.0)),
        ("trust", (0.3, 0.1 + 0.2)),
        ("trust", (None, 0.0)),
    ],
)
def test_values_that_look_alike_have_hashes_of_their_own(column: str, values: tuple[object, object]) -> None:
    row = licences({})
    one, other = (with_column(row, column, [value]) for value in values)
    assert row_hashes(one) != row_hashes(other)
    both = pa.concat_tables([one, other])
    assert row_hashes(both) == [*row_hashes(one), *row_hashes(other)], "whatever stands beside it"


@given(st.text(), st.text())
def test_text_cannot_run_over_into_the_next_column(one: str, other: str) -> None:
    rows = licences({})
    pair = [
        with_column(with_column(rows, "reasons", [a]), "quality_flags", [b]) for a, b in ((one, other), (other, one))
    ]
    assert (row_hashes(pair[0]) == row_hashes(pair[1])) == (one == other)


def test_hashes_outlive_the_way_through_delta(tmp_path: Path) -> None:
    rows = licences({"skill": -0.0}, {"unique_id": "é \n", "trust": 5e-324}, {"unique_id": "c"} | NAIVE)
    write_deltalake(tmp_path / "table", rows)
    read = DeltaTable(tmp_path / "table").to_pyarrow_table()
    assert row_hashes(read) == read["row_hash"].to_pylist()
    assert sorted(row_hashes(read)) == sorted(rows["row_hash"].to_pylist())


def test_a_decision_that_was_changed_with_its_hash_is_found() -> None:
    chain, forged = chained(rows_of()), rows_of(trust=0.99)
    assert verify(chain, forged) == [
        "the licences of 2024-01-01 are not those that link 0 vouches for: it saw 3 rows, 3 are there"
    ]


@pytest.mark.parametrize("kept", [[0, 1, 3], [1, 3], [3], []])
def test_missing_decisions_are_found_even_if_nothing_of_a_day_is_left(kept: list[int]) -> None:
    rows = rows_of()
    problems = verify(chained(rows), rows.take(pa.array(kept, pa.int64())))
    assert f"it saw 3 rows, {len([place for place in kept if place < 3])} are there" in problems[0]


def test_days_that_were_not_read_are_not_missed() -> None:
    rows = rows_of()
    assert verify(chained(rows), rows.slice(3), [TWO]) == []


def test_a_decision_that_was_added_and_a_day_without_link_are_found() -> None:
    rows, chain = rows_of(), chained(rows_of())
    assert (
        "it saw 3 rows, 4 are there" in verify(chain, pa.concat_tables([rows, licences({"bucket": "2-5"}, day=ONE)]))[0]
    )
    assert verify(chain.slice(0, 1), rows) == ["no link of the chain vouches for the licences of 2024-01-02"]


def test_a_day_that_is_computed_again_gets_a_new_link_and_only_when_it_differs() -> None:
    chain = chained(rows_of())
    assert len(chained(rows_of(), chain)) == len(chain)
    again = chained(rows_of(trust=0.8), chain)
    assert len(again) == len(chain) + 1
    assert verify(again, rows_of(trust=0.8)) == []
    assert verify(again, rows_of())[0].startswith("the licences of 2024-01-01 are not those that link 2 vouches for")
    back = chained(rows_of(), again)
    assert len(back) == len(again) + 1, "only the newest link of a day counts"
    assert verify(back, rows_of()) == []


def test_a_day_that_is_computed_again_without_rows_gets_a_link_that_says_so() -> None:
    rows, none = rows_of(), rows_of().slice(0, 0)
    chain = chained(none, chained(rows), [ONE, date(2024, 1, 3)])
    assert chain["rows"].to_pylist() == [3, 1, 0]
    assert verify(chain, rows.slice(3)) == []
    assert len(chained(none, chain, [ONE])) == 3


@pytest.mark.parametrize("column", LINK)
def test_a_changed_link_is_found(column: str) -> None:
    chain = chained(rows_of())
    forged = chain.to_pylist()
    forged[0][column] = {"number": 7, "as_of": TWO, "licences_version": 9, "rows": 9}.get(column, "x")
    assert chain_problems(LICENCE_CHAIN.cast(pa.Table.from_pylist(forged)))


def test_links_that_were_taken_out_moved_or_doubled_are_found() -> None:
    chain = chained(rows_of())
    assert chain_problems(chain.slice(1)) == ["link 0 is missing: the next is number 1"]
    assert chain_problems(pa.concat_tables([chain, chain.slice(0, 1)])) == ["link 0 is there twice"]
    numbers = pa.array([1, 0], pa.int64())
    assert chain_problems(LICENCE_CHAIN.cast(chain.set_column(0, "number", numbers)))


def test_the_order_in_which_links_are_read_is_no_matter() -> None:
    chain = chained(rows_of())
    assert verify(chain.take([1, 0]), rows_of()) == []


def test_a_link_made_to_fit_breaks_the_ones_after_it() -> None:
    """Whoever forges decisions, their hashes and their link has to write all later links again, too."""
    forged_rows = rows_of(trust=0.99)
    forged = chained(forged_rows.filter(pc.equal(forged_rows["as_of"], pa.scalar(ONE))))
    chain = pa.concat_tables([forged, chained(rows_of()).slice(1)])
    assert chain_problems(chain) == ["link 1 (2024-01-02) does not follow from the one before it"]


def test_an_empty_chain_holds() -> None:
    assert verify(LICENCE_CHAIN.empty(), LICENCES.empty()) == []
    assert day_problems(LICENCE_CHAIN.empty(), {}) == []
