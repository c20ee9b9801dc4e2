"""From licences in a lake to links of the chain, written as the asset writes them."""

from collections.abc import Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pulse_assets.trust import chain_days as border
from pulse_assets.trust.chain_days import chain_rows
from pulse_assets.trust.evidence_tables import LICENCE_CHAIN
from pulse_assets.trust.licensing.chain import verify
from pulse_assets.trust.licensing.policy import Policy
from pulse_assets.trust.tables import LICENCES
from pulse_resources.lake import Lake
from pulse_resources.lake.partitions import Partitions
from tests.assets.trust.licensed_world import DAYS, World, licensed, put

POLICY = Policy()


def link(lake: Lake, days: Sequence[date], run_id: str = "run") -> int:
    """Add to the chain and return how many links came."""
    rows = chain_rows(lake.snapshot(), days, POLICY, run_id)
    return lake.append(LICENCE_CHAIN, lambda _: rows, app_id="chain").rows


@pytest.fixture
def licensed_lake(lake: Lake) -> Lake:
    World().write(lake)
    put(lake, LICENCES, licensed(lake, [DAYS]))
    return lake


def test_every_day_with_licences_gets_one_link_and_the_lake_keeps_them_intact(licensed_lake: Lake) -> None:
    assert link(licensed_lake, [*DAYS, date(2030, 1, 1)]) == len(DAYS)
    chain = licensed_lake.read(LICENCE_CHAIN).sort_by("number")
    assert chain["as_of"].to_pylist() == DAYS
    assert set(chain["licences_version"].to_pylist()) == {licensed_lake.open(LICENCES).version()}
    assert verify(chain, licensed_lake.read(LICENCES)) == []
    assert link(licensed_lake, DAYS) == 0


def test_days_linked_in_pieces_or_in_any_order_make_the_same_chain(
    licensed_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = chain_rows(licensed_lake.snapshot(), DAYS, POLICY, "run")
    monkeypatch.setattr(border, "DAYS_AT_ONCE", 3)
    assert chain_rows(licensed_lake.snapshot(), DAYS[::-1] * 2, POLICY, "run").equals(whole)
    link(licensed_lake, DAYS[:4])
    link(licensed_lake, DAYS)
    assert LICENCE_CHAIN.cast(licensed_lake.read(LICENCE_CHAIN)).sort_by("number").equals(whole.combine_chunks())


def test_a_day_written_again_is_vouched_for_by_a_newer_link(licensed_lake: Lake) -> None:
    link(licensed_lake, DAYS)
    put(licensed_lake, LICENCES, licensed(licensed_lake, [DAYS[-1:]], {"min_targets": 91}))
    assert len(verify(licensed_lake.read(LICENCE_CHAIN), licensed_lake.read(LICENCES))) == 1
    assert link(licensed_lake, DAYS, "later") == 1
    chain = licensed_lake.read(LICENCE_CHAIN).sort_by("number")
    assert (chain["as_of"].to_pylist()[-1], chain["run_id"].to_pylist()[-1]) == (DAYS[-1], "later")
    assert verify(chain, licensed_lake.read(LICENCES)) == []


def test_a_day_that_lost_its_licences_is_missed(licensed_lake: Lake) -> None:
    link(licensed_lake, DAYS)
    licensed_lake.overwrite(LICENCES, LICENCES.empty(), Partitions.of("as_of", [DAYS[2]]))
    left = licensed_lake.read(LICENCES, where=pc.field("as_of").isin(pa.array(DAYS[:4], pa.date32())))
    assert len(set(left["as_of"].to_pylist())) == 3
    problems = verify(licensed_lake.read(LICENCE_CHAIN), left, DAYS[:4])
    assert len(problems) == 1
    assert f"the licences of {DAYS[2]} are not those that link 2 vouches for" in problems[0]
    assert link(licensed_lake, DAYS) == 1, "once it is known that they are gone, the chain says so"
    assert verify(licensed_lake.read(LICENCE_CHAIN), licensed_lake.read(LICENCES)) == []


def test_nothing_to_vouch_for_is_no_link(lake: Lake) -> None:
    assert len(chain_rows(lake.snapshot(), [], POLICY, "run")) == 0
    assert len(chain_rows(lake.snapshot(), DAYS, POLICY, "run")) == 0
