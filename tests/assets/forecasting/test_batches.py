"""The one way from values to a batch: hashes, scales, and where a series leaves its scale."""

import numpy as np
import pytest

from pulse_assets.forecasting.batches import Scaled, scaled_batch
from pulse_assets.forecasting.kinds import EXPONENTIAL, SAME
from pulse_assets.forecasting.pool import NEWEST, ZERO

VALUES = {"0": np.array([1.0, 2.0, 3.0]), "a": np.array([4.0, 0.0, 5.0]), "z": np.array([0.5, 0.25])}


def batch(names: list[str], kind: str = "other") -> Scaled:
    offsets = np.cumsum([0, *(len(VALUES[name]) for name in names)])
    values = np.concatenate([VALUES[name] for name in names])
    return scaled_batch(np.array(names, object), values, offsets, kind=kind, seasons=(7, 0), horizon=3)


def test_an_id_has_the_same_hash_in_any_company() -> None:
    together, alone = batch(["0", "a", "z"]).batch, batch(["a"]).batch
    assert together.code[1] == alone.code[0]
    assert together.code.tolist() == batch(["z", "0", "a"]).batch.code[[1, 2, 0]].tolist()


def test_a_price_is_walked_on_logarithms_until_one_has_none() -> None:
    made = batch(["0", "a"], "price")
    assert made.scale.tolist() == [EXPONENTIAL, EXPONENTIAL]
    assert made.sound.tolist() == [3, 1]
    np.testing.assert_allclose(made.batch.values[:3], np.log(VALUES["0"]), rtol=1e-15)
    assert np.isnan(made.batch.values[4])


@pytest.mark.parametrize(
    ("kind", "logs", "relative", "anchor"), [("other", True, True, NEWEST), ("return", False, False, ZERO)]
)
def test_markets_have_no_second_channel_and_returns_are_pulled_to_zero(
    kind: str, logs: bool, relative: bool, anchor: int
) -> None:
    made = batch(["0"], kind)
    assert made.scale.tolist() == [SAME]
    assert made.batch.may_log.tolist() == [logs]
    assert (made.batch.relative, made.batch.anchor) == (relative, anchor)
