"""Random numbers: the published words, the counter's layout, and that normals and uniforms are what they are called."""

from functools import lru_cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pulse_assets.simulation.kernel.intrinsics import LANES, U64
from pulse_assets.simulation.kernel.philox import (
    CHANCE,
    DRIVERS,
    JUMPS,
    MIXING,
    MOST_BRANCHES,
    MOST_PATHS,
    POLICY,
    RULES,
    draw_normal_rows,
    draw_uniform_rows,
    key,
    philox_words,
    words,
)
from pulse_assets.simulation.kernel.steps import mirror_row, turn_row

F32s = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
U64s = npt.NDArray[np.uint64]

WORD = 2**32
ALL_ONES = WORD - 1
LANE_IDS = np.arange(LANES, dtype=np.uint64)
PURPOSES = (DRIVERS, CHANCE, JUMPS, MIXING, RULES, POLICY)
SEED, FURTHEST = 20_240_628, 4.0
STEPS, BLOCKS = 256, 8
"""Draws that statistics are made of: 512 lanes, 256 steps and 8 blocks of four variables, 4.2 million numbers."""


def slow_philox(counter: tuple[int, ...], keys: tuple[int, ...]) -> list[int]:
    """Philox4x32-10 with Python's whole numbers, as the paper's section 3.2 puts it."""
    left, right = [counter[0], counter[2]], [counter[1], counter[3]]
    for turn in range(10):
        a, b = (0xD2511F53 * left[0], 0xCD9E8D57 * left[1])
        mixed = [b // WORD ^ right[0] ^ (keys[0] + turn * 0x9E3779B9) % WORD]
        mixed.append(a // WORD ^ right[1] ^ (keys[1] + turn * 0xBB67AE85) % WORD)
        left, right = mixed, [b % WORD, a % WORD]
    return [left[0], right[0], left[1], right[1]]


def fast_philox(counter: tuple[int, ...], keys: tuple[int, ...]) -> list[int]:
    out = np.empty(4, np.uint64)
    philox_words(out, *(U64(word) for word in (*counter, *keys)))
    return [int(word) for word in out]


def rows_of(
    draw: object, ids: U64s, seed: int = SEED, *, purpose: int = 0, branch: int = 0, t: int = 0, block: int = 0
) -> F32s:
    work = np.empty(4 * LANES, np.float32)
    draw(work, 0, ids, *key(seed), purpose, branch, t, block)  # type: ignore[operator]
    return work.reshape(4, LANES)


@lru_cache(maxsize=1)
def many_normals() -> Floats:
    """Return normals by step, variable and lane."""
    z = [[rows_of(draw_normal_rows, LANE_IDS, t=t, block=block) for block in range(BLOCKS)] for t in range(STEPS)]
    return np.array(z, np.float64).reshape(STEPS, 4 * BLOCKS, LANES)


@lru_cache(maxsize=1)
def many_uniforms() -> Floats:
    u = [rows_of(draw_uniform_rows, LANE_IDS, t=t, purpose=CHANCE) for t in range(2 * STEPS)]
    return np.array(u, np.float64).reshape(2 * STEPS, 4, LANES)


# the generator


@pytest.mark.parametrize(
    ("counter", "keys", "expected"),
    [
        ((0,) * 4, (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((ALL_ONES,) * 4, (ALL_ONES, ALL_ONES), "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_words_are_the_known_answers_of_random123(
    counter: tuple[int, ...], keys: tuple[int, ...], expected: str
) -> None:
    assert " ".join(f"{word:08x}" for word in fast_philox(counter, keys)) == expected
    assert " ".join(f"{word:08x}" for word in slow_philox(counter, keys)) == expected


any_word = st.integers(0, ALL_ONES) | st.sampled_from([0, 1, 2**16, 2**31, ALL_ONES])


@settings(max_examples=300)
@given(st.tuples(any_word, any_word, any_word, any_word), st.tuples(any_word, any_word))
def test_words_equal_the_slow_generator(counter: tuple[int, ...], keys: tuple[int, ...]) -> None:
    assert fast_philox(counter, keys) == slow_philox(counter, keys)


# the layout of the counter


@settings(max_examples=100)
@given(
    seed=st.integers(-(2**70), 2**70),
    path=st.integers(0, MOST_PATHS - 1),
    purpose=st.integers(0, 255),
    branch=st.integers(0, MOST_BRANCHES - 1),
    step=any_word,
    block=any_word,
)
def test_the_counter_holds_path_purpose_branch_step_and_block(
    seed: int, path: int, purpose: int, branch: int, step: int, block: int
) -> None:
    """Version 1 of the stream: path low 32; purpose 8, branch 16, path high 8; step; block."""
    counter = (path % WORD, purpose * 2**24 + branch * 2**8 + path // WORD, step, block)
    expected = slow_philox(counter, (seed % WORD, seed // WORD % WORD))
    found = words(seed, path, purpose=purpose, branch=branch, step=step, block=block)
    assert found.dtype == np.uint32
    assert found.tolist() == expected


def test_every_part_of_the_counter_and_the_key_changes_all_words() -> None:
    places = [
        words(7, 5),
        *(words(7, 5 + 2**k) for k in range(40)),
        *(words(7, 5, purpose=2**k) for k in range(8)),
        *(words(7, 5, branch=2**k) for k in range(16)),
        *(words(7, 5, step=2**k) for k in range(32)),
        *(words(7, 5, block=2**k) for k in range(32)),
        *(words(7 ^ 2**k, 5) for k in range(64)),
    ]
    assert len({tuple(place) for place in places}) == len(places) == 193
    for place in places[1:]:
        assert (place != places[0]).all()
    flipped = np.bitwise_count(np.array(places[1:]) ^ places[0]).sum(axis=1)
    assert abs(flipped.mean() - 64) < FURTHEST * np.sqrt(32 / 192)


def test_purposes_are_all_different_and_fit_their_eight_bits() -> None:
    assert len(set(PURPOSES)) == len(PURPOSES)
    assert all(0 <= purpose < 2**8 for purpose in PURPOSES)


def test_seeds_count_modulo_two_to_the_64() -> None:
    assert words(-1, 3).tolist() == words(2**64 - 1, 3).tolist()
    assert words(2**64 + 5, 3).tolist() == words(5, 3).tolist() != words(2**32 + 5, 3).tolist()


# normals and uniforms are made of those words

PLACES = [
    {"purpose": DRIVERS},
    {"purpose": JUMPS, "branch": 3, "t": 251, "block": 15},
    {"purpose": MIXING, "branch": MOST_BRANCHES - 1, "t": 2599, "block": 255},
]
IDS = np.concatenate(
    [
        LANE_IDS[: LANES // 2],
        np.uint64(2**32 - 5) + LANE_IDS[: LANES // 4],
        np.uint64(MOST_PATHS) - np.uint64(1) - LANE_IDS[: LANES // 4],
    ]
)


def plain_words(place: dict[str, int], ids: U64s = IDS) -> U64s:
    named = {"step" if name == "t" else name: value for name, value in place.items()}
    return np.array([words(SEED, int(path), **named) for path in ids], np.uint64).T


def box_and_muller(four: U64s, kind: type[np.float32] | type[np.float64]) -> list[Floats]:
    """Return four normals in float64, from uniforms as some type holds them."""
    found = []
    for radius, angle in ((four[0], four[1]), (four[2], four[3])):
        uniform = (((radius >> np.uint64(1)).astype(kind) + kind(0.5)) / kind(2**31)).astype(np.float64)
        size, turn = np.sqrt(-2 * np.log(uniform)), 2 * np.pi * angle.astype(np.float64) / WORD
        found += [size * np.cos(turn), size * np.sin(turn)]
    return found


@pytest.mark.parametrize("place", PLACES)
def test_normals_are_box_and_muller_of_the_words(place: dict[str, int]) -> None:
    """Rounding the uniform to float32 moves the smallest radii by up to 2e-5; all else is a rounding or two."""
    four, found = plain_words(place), rows_of(draw_normal_rows, IDS, **place)
    np.testing.assert_allclose(found, box_and_muller(four, np.float32), rtol=5e-7, atol=5e-7)
    np.testing.assert_allclose(found, box_and_muller(four, np.float64), rtol=5e-7, atol=2e-5)


@pytest.mark.parametrize("place", PLACES)
def test_uniforms_are_the_middles_of_equal_parts(place: dict[str, int]) -> None:
    expected = ((plain_words(place) >> np.uint64(9)).astype(np.float64) + 0.5) / 2**23
    found = rows_of(draw_uniform_rows, IDS, **place)
    assert np.array_equal(found, expected)  # exactly: 24 bits fit float32
    assert np.array_equal(1 - found, 1 - expected)  # and so do mirrored ones


def test_a_lane_depends_on_its_path_alone() -> None:
    """Neither neighbours nor the place in the block matter."""
    mixed = np.random.default_rng(1).permutation(LANES)
    for draw in (draw_normal_rows, draw_uniform_rows):
        whole = rows_of(draw, LANE_IDS)
        assert np.array_equal(rows_of(draw, LANE_IDS[mixed]), whole[:, mixed])
        alone = rows_of(draw, np.full(LANES, 17, np.uint64))
        assert np.array_equal(alone, np.repeat(whole[:, 17:18], LANES, axis=1))


def test_uniforms_lie_inside_zero_and_one() -> None:
    u = many_uniforms()
    assert 2.0**-24 <= u.min() < u.max() <= 1 - 2.0**-24
    assert not (u.astype(np.float32) == 1).any()


def test_uniforms_fill_equal_parts_equally() -> None:
    u = many_uniforms().ravel()
    assert len(u) >= 1_000_000
    counts = np.bincount((u * 1000).astype(np.int64), minlength=1000)
    assert 1e-4 < stats.chisquare(counts).pvalue < 1 - 1e-4
    assert abs(u.mean() - 0.5) < FURTHEST * np.sqrt(1 / 12 / len(u))
    assert stats.kstest(u[::5], "uniform").pvalue > 1e-4


def test_normals_have_the_moments_of_normals() -> None:
    z = many_normals().ravel()
    assert len(z) >= 4_000_000
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10_170)):
        score = (np.mean(z**power) - mean) / np.sqrt(variance / len(z))
        assert abs(score) < FURTHEST, f"moment {power} is {score:.1f} standard errors off"


def test_normals_fill_parts_of_equal_probability_equally() -> None:
    z = many_normals().ravel()
    edges = stats.norm.ppf(np.arange(1, 1000) / 1000)
    counts = np.bincount(np.searchsorted(edges, z), minlength=1000)
    assert 1e-4 < stats.chisquare(counts).pvalue < 1 - 1e-4
    assert stats.kstest(z[::40], "norm").pvalue > 1e-4


@pytest.mark.parametrize("beyond", [2.0, 3.0, 4.0, 4.5, 5.0])
def test_normals_have_the_tails_of_normals(beyond: float) -> None:
    z = many_normals().ravel()
    for hits in ((z > beyond).sum(), (z < -beyond).sum()):
        expected = len(z) * stats.norm.sf(beyond)
        low, high = stats.poisson.ppf([3e-5, 1 - 3e-5], expected)
        assert low <= hits <= high, f"{hits} beyond {beyond}, expected {expected:.1f}"


def test_the_furthest_normal_is_that_of_the_smallest_uniform() -> None:
    assert np.abs(many_normals()).max() < np.sqrt(2 * np.log(2.0**32))


def test_neighbouring_lanes_steps_and_variables_are_independent() -> None:
    z = many_normals()
    for transform in (lambda x: x, lambda x: (x**2 - 1) / np.sqrt(2)):
        v = transform(z)
        for axis in range(3):
            for lag in (1, 2, 3, 4, 7):
                a, b = np.moveaxis(v, axis, 0)[lag:], np.moveaxis(v, axis, 0)[:-lag]
                score = (a * b).sum() / np.sqrt(a.size)
                assert abs(score) < FURTHEST, f"lag {lag} along axis {axis}: {score:.1f}"


def test_the_four_numbers_of_one_draw_are_independent_also_in_their_sizes() -> None:
    """Box and Muller's pairs share a radius: their squares are independent nonetheless."""
    z = many_normals().reshape(STEPS, BLOCKS, 4, LANES)
    parts = [z[:, :, k].ravel() for k in range(4)]
    for (i, a), (j, b) in combinations(enumerate(parts), 2):
        for left, right in ((a, b), (a**2 - 1, b**2 - 1), (np.abs(a) - np.sqrt(2 / np.pi), b)):
            score = np.mean(left * right) / np.sqrt(np.mean(left**2) * np.mean(right**2) / len(a))
            assert abs(score) < FURTHEST, f"numbers {i} and {j}: {score:.1f}"


def test_seeds_purposes_branches_and_far_paths_share_nothing() -> None:
    base = rows_of(draw_normal_rows, LANE_IDS)
    others = [
        rows_of(draw_normal_rows, LANE_IDS, SEED + 1),
        rows_of(draw_normal_rows, LANE_IDS, SEED + 2**32),
        rows_of(draw_normal_rows, LANE_IDS, purpose=JUMPS),
        rows_of(draw_normal_rows, LANE_IDS, branch=1),
        rows_of(draw_normal_rows, LANE_IDS, t=1),
        rows_of(draw_normal_rows, LANE_IDS, block=1),
        rows_of(draw_normal_rows, LANE_IDS + np.uint64(2**32)),
    ]
    for a, b in combinations([base, *others], 2):
        assert abs((a * b).sum(dtype=np.float64)) < FURTHEST * np.sqrt(a.size)
        assert (a == b).mean() < 0.01


# antithetic paths


def test_mirrored_pairs_add_up_to_nothing_and_to_one() -> None:
    signs = np.where(LANE_IDS % 2, -1.0, 1.0).astype(np.float32)
    for draw, turn, total in ((draw_normal_rows, turn_row, 0.0), (draw_uniform_rows, mirror_row, 1.0)):
        work = rows_of(draw, LANE_IDS // np.uint64(2)).ravel()
        for row in range(4):
            turn(work, row, signs)
        pairs = work.reshape(4, LANES // 2, 2)
        assert (pairs.astype(np.float64).sum(axis=-1) == total).all()
        assert (pairs > 0).any()
        assert len(np.unique(pairs)) > LANES
