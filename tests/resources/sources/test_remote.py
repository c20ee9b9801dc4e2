"""One delivery after the other, whatever becomes of some of them."""

import pytest

from pulse_resources.errors import PermanentFailure, TransientFailure
from pulse_resources.sources.protocol import Delivery
from pulse_resources.sources.remote import deliver_each


def test_what_can_be_had_is_delivered_before_the_failure() -> None:
    def deliver(name: str) -> Delivery:
        if name in "bd":
            raise PermanentFailure(f"no {name}")
        return name  # type: ignore[return-value]

    got = deliver_each(["a", "b", "c", "d", "e"], deliver)
    assert [next(got) for _ in range(3)] == ["a", "c", "e"]
    with pytest.raises(PermanentFailure, match=r"2 of 5 failed \(b, d\).*no b \| no d"):
        next(got)


def test_one_transient_failure_makes_the_whole_transient() -> None:
    def deliver(name: str) -> Delivery:
        raise {"a": PermanentFailure, "b": TransientFailure}[name](name)

    with pytest.raises(TransientFailure, match="2 of 2"):
        list(deliver_each(["a", "b"], deliver))


def test_a_server_that_is_down_is_not_asked_for_every_name() -> None:
    asked = []

    def deliver(name: str) -> Delivery:
        asked.append(name)
        raise TransientFailure("down")

    with pytest.raises(TransientFailure, match=r"100 of 100.*not asked for after 5 failures in a row"):
        list(deliver_each([f"s{number}" for number in range(100)], deliver))
    assert len(asked) == 5
