"""Sums of normal scores: as slow as written, fast in the kernel, quick to find a shift and slow to cry wolf."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_assets.trust.detection.cusum import (
    ALLOWANCE,
    KEPT,
    REFERENCE,
    fresh_streams,
    learn_again,
    reference_size,
    restart,
    watch,
)
from tests.assets.trust.detection import plain_cusum

Floats = npt.NDArray[np.float64]


def watched(values: Floats, allowance: float = ALLOWANCE) -> tuple[Floats, Floats]:
    """Both sums of one stream after each value."""
    streams, one = fresh_streams(1), np.array([0])
    found = []
    for value in values:
        watch(streams, one, np.array([value]), allowance)
        found.append((streams.up[0], streams.down[0]))
    ups, downs = zip(*found, strict=True)
    return np.array(ups), np.array(downs)


@settings(max_examples=25)
@given(
    st.integers(0, 2**32 - 1), st.integers(0, 260), st.sampled_from([0.0, 0.4, 0.9, -0.5]), st.sampled_from([9, 1, 0])
)
def test_the_kernel_agrees_with_the_slow_version(seed: int, count: int, phi: float, digits: int) -> None:
    random = np.random.default_rng(seed)
    values = random.standard_t(3, count)
    for step in range(1, count):
        values[step] += phi * values[step - 1]
    values = np.round(values, digits)  # few digits: many ties
    values[random.random(count) < 0.05] = np.nan
    ups, downs = watched(values) if count else (np.array([0.0]), np.array([0.0]))
    slow_ups, slow_downs = plain_cusum.sums(plain_cusum.scores(values.tolist()), ALLOWANCE)
    np.testing.assert_allclose(ups[-1], slow_ups[-1] if slow_ups else 0.0, atol=1e-9)
    np.testing.assert_allclose(downs[-1], slow_downs[-1] if slow_downs else 0.0, atol=1e-9)
    assert max(slow_ups, default=0.0) == pytest.approx(ups.max(), abs=1e-9)


@pytest.mark.parametrize(("allowance", "limit", "length"), [(0.5, 4, 8.38), (0.5, 5, 10.38)])
def test_a_plain_cusum_takes_as_long_as_brook_and_evans_say(allowance: float, limit: float, length: float) -> None:
    random, lengths = np.random.default_rng(7), []
    for _ in range(1_500):
        ups, downs = plain_cusum.sums((1 + random.standard_normal(120)).tolist(), allowance)
        lengths.append(1 + int(np.argmax(np.maximum(ups, downs) > limit)))
    assert np.mean(lengths) == pytest.approx(length, abs=4 * np.std(lengths) / np.sqrt(len(lengths)))


def test_the_reference_grows_behind_a_gap() -> None:
    sizes = [reference_size(held) for held in (0, 99, 100, 149, 150, 174, 175, 200, 224, 225)]
    assert sizes == [0, 0, 100, 100, 125, 125, 150, 175, 175, 200]
    assert [plain_cusum.size_of(held) for held in range(226)] == [reference_size(held) for held in range(226)]


@pytest.mark.parametrize("nothing", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_never_came(nothing: float) -> None:
    values = np.random.default_rng(1).standard_normal(160)
    with_gaps = np.insert(values, [0, 50, 130, 160], nothing)
    ups, downs = watched(values)
    ups_with, downs_with = watched(with_gaps)
    assert (ups[-1], downs[-1]) == (ups_with[-1], downs_with[-1])


def test_values_that_never_differ_give_no_sum_until_one_does() -> None:
    ups, downs = watched(np.append(np.full(200, 3.0), [3.1, 3.1]))
    assert ups[199] == downs[199] == 0
    assert ups[-1] > 3
    assert downs[-1] == 0


@given(st.floats(0.1, 1e6), st.floats(-1e3, 1e3), st.integers(0, 1_000))
@settings(max_examples=25)
def test_unit_and_origin_do_not_matter(scale: float, shift: float, seed: int) -> None:
    values = np.round(np.random.default_rng(seed).standard_normal(180), 3)
    ups, downs = watched(values)
    moved_ups, moved_downs = watched(values * scale + shift)
    mirrored_ups, _ = watched(-values)
    # a tie may be broken by rounding, and is one rank of a hundred
    assert abs(ups[-1] - moved_ups[-1]) < 1
    assert abs(downs[-1] - moved_downs[-1]) < 1
    assert abs(downs[-1] - mirrored_ups[-1]) < 1


def test_streams_do_not_know_of_each_other() -> None:
    values = np.random.default_rng(2).standard_normal((260, 5))
    together, rows = fresh_streams(5), np.arange(5)
    for day in values:
        watch(together, rows, day)
    for stream in range(5):
        ups, downs = watched(values[:, stream])
        assert (together.up[stream], together.down[stream]) == (ups[-1], downs[-1])


def test_restarted_streams_are_as_fresh_and_others_stay() -> None:
    streams, rows = fresh_streams(2), np.arange(2)
    for day in np.random.default_rng(3).standard_normal((150, 2)):
        watch(streams, rows, day)
    before = streams.up[1], streams.held[1]
    restart(streams, np.array([0]))
    for name, column, empty in zip(streams._fields, streams, fresh_streams(1), strict=True):
        np.testing.assert_array_equal(column[0], empty[0], err_msg=name)
    assert (streams.up[1], streams.held[1]) == before


@pytest.mark.parametrize("held", [0, 99, 100, 160, KEPT])
def test_what_was_learned_can_be_learned_again_from_the_values(held: int) -> None:
    streams, one = fresh_streams(1), np.array([0])
    for value in np.random.default_rng(4).standard_normal(held):
        watch(streams, one, np.array([value]))
    mean, phi, errors = streams.mean.copy(), streams.phi.copy(), streams.errors.copy()
    streams.mean[:] = streams.phi[:] = 9
    if held >= REFERENCE:
        streams.errors[:] = 9
        streams.errors[0, reference_size(held) - 1 :] = errors[0, reference_size(held) - 1 :]
        learn_again(streams, one)
        np.testing.assert_array_equal(streams.mean, mean)
        np.testing.assert_array_equal(streams.phi, phi)
        np.testing.assert_array_equal(streams.errors, errors)


def test_a_value_for_each_stream_is_asked_for() -> None:
    with pytest.raises(ValueError, match="2 streams and 1 values"):
        watch(fresh_streams(2), np.arange(2), np.zeros(1))
