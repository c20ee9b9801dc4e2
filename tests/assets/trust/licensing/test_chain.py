"""The chain: whoever changes a decision, or the chain, is found out."""

from datetime import date

import pyarrow as pa
import pytest

from pulse_assets.trust.evidence_tables import LICENCE_CHAIN
from pulse_assets.trust.licensing.chain import FIRST, by_day, chain_problems, day_hash, day_problems, links, row_hashes
from pulse_assets.trust.licensing.policy import Policy

ONE, TWO = date(2024, 1, 1), date(2024, 1, 2)


def licences(trust: float = 0.7) -> pa.Table:
    rows = pa.table(
        {
            "as_of": [ONE, ONE, TWO],
            "unique_id": ["a", "b", "a"],
            "model": ["pulse"] * 3,
            "bucket": ["1"] * 3,
            "trust": [trust, None, 0.1 + 0.2],
            "state": ["licensed", "held", "licensed"],
        }
    )
    return rows.append_column("row_hash", pa.array(row_hashes(rows)))


def chained(rows: pa.Table, chain: pa.Table | None = None) -> pa.Table:
    chain = LICENCE_CHAIN.empty() if chain is None else chain
    made = links(chain, by_day(rows), 3, Policy().as_dict(), "run")
    return pa.concat_tables(
        [chain, LICENCE_CHAIN.cast(pa.Table.from_pylist(made, LICENCE_CHAIN.schema.remove_metadata()))]
    )


def test_the_chain_vouches_for_what_was_written() -> None:
    chain = chained(licences())
    assert chain["previous"].to_pylist()[0] == FIRST
    assert chain_problems(chain) == []
    assert day_problems(chain, by_day(licences())) == []


def test_hashes_do_not_depend_on_the_order_of_rows_or_columns() -> None:
    rows = licences()
    turned = rows.take([2, 1, 0]).select(rows.column_names[::-1])
    assert row_hashes(turned)[::-1] == rows["row_hash"].to_pylist()
    assert day_hash(rows.slice(0, 2)) == day_hash(rows.slice(0, 2).take([1, 0]))


def test_a_changed_decision_is_found() -> None:
    rows = licences()
    forged = rows.set_column(5, "state", pa.array(["licensed", "licensed", "licensed"]))
    assert "1 licences of 2024-01-01 were changed" in day_problems(chained(rows), by_day(forged))[0]


def test_a_decision_that_was_changed_with_its_hash_is_found() -> None:
    chain, forged = chained(licences()), licences(trust=0.99)
    assert "are not those that link 0 vouches for" in day_problems(chain, by_day(forged))[0]


def test_a_missing_decision_and_a_day_without_link_are_found() -> None:
    chain = chained(licences())
    assert day_problems(chain, {ONE: licences().slice(0, 1)})
    assert "no link" in day_problems(chain.slice(0, 1), {TWO: licences().slice(2, 1)})[0]


def test_a_day_that_is_computed_again_gets_a_new_link_and_only_when_it_differs() -> None:
    chain = chained(licences())
    assert len(chained(licences(), chain)) == len(chain)
    again = chained(licences(trust=0.8), chain)
    assert len(again) == len(chain) + 1
    assert chain_problems(again) == []
    assert day_problems(again, by_day(licences(trust=0.8))) == []


@pytest.mark.parametrize("column", ["day_hash", "policy", "run_id", "previous"])
def test_a_changed_link_is_found(column: str) -> None:
    chain = chained(licences())
    at = chain.column_names.index(column)
    forged = chain.set_column(at, column, pa.array(["x", *chain[column].to_pylist()[1:]]))
    assert chain_problems(LICENCE_CHAIN.cast(forged))


def test_a_link_that_was_taken_out_or_moved_is_found() -> None:
    chain = chained(licences())
    assert chain_problems(chain.slice(1))
    numbers = pa.array([1, 0], pa.int64())
    assert chain_problems(LICENCE_CHAIN.cast(chain.set_column(0, "number", numbers)))
