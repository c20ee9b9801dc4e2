"""Randomness as a function: Philox4x32-10 of (seed; path, purpose, branch, step, block of four variables).

There is no state to hand on, so neither blocks nor threads nor workers can change a number, and any path can be made
again from its number. :data:`STREAM_VERSION` names the layout of the counter.

References
----------
Salmon, Moraes, Dror and Shaw (2011), Parallel random numbers: as easy as 1, 2, 3. The four words live in 64-bit lanes,
which lets compilers use the 32 × 32 → 64 multiplication of vector units.
"""

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.kernel.intrinsics import (
    F32,
    I32,
    I64,
    LANES,
    U64,
    F32s,
    U64s,
    at,
    bits_of,
    compiled,
    from_bits,
    low_word,
)
from pulse_assets.simulation.kernel.transforms import cosine_of_turn, minus_two_log, sine_of_turn, sqrt_

STREAM_VERSION = 1
"""Version of the counter's layout: path low 32; purpose 8, branch 16, path high 8; step; block of four variables."""
DRIVERS, CHANCE, JUMPS, MIXING, RULES, POLICY = 0, 1, 2, 3, 5, 6
"""Purposes: what a word is drawn for. CHANCE: uniforms for regime, number of jumps, whether and which day to draw."""
MOST_PATHS = 2**40
MOST_BRANCHES = 2**16

LOW = U64(0xFFFFFFFF)
WORD = U64(32)
MULTIPLIER_0, MULTIPLIER_1 = U64(0xD2511F53), U64(0xCD9E8D57)
WEYL_0, WEYL_1 = U64(0x9E3779B9), U64(0xBB67AE85)
PATH_HIGH, PURPOSE_SHIFT, BRANCH_SHIFT = U64(0xFF), U64(24), U64(8)
UPPER_23, HALF_BIT, TO_UNIT = 0x7FFFFF, F32(0.5), F32(2.0**-23)


@compiled
def philox_words(out: U64s, c0: U64, c1: U64, c2: U64, c3: U64, k0: U64, k1: U64) -> None:
    """Fill four words from a counter and a key, each a 32-bit number; the plain form that the fused ones must equal."""
    for _ in range(10):
        p0: U64 = MULTIPLIER_0 * c0
        p1: U64 = MULTIPLIER_1 * c2
        c0 = (p1 >> WORD) ^ c1 ^ k0
        c1 = p1 & LOW
        c2 = (p0 >> WORD) ^ c3 ^ k1
        c3 = p0 & LOW
        k0 = (k0 + WEYL_0) & LOW
        k1 = (k1 + WEYL_1) & LOW
    out[0] = c0
    out[1] = c1
    out[2] = c2
    out[3] = c3


@compiled
def draw_word_rows(
    work: F32s, row: I64, ids: U64s, k0: U64, k1: U64, purpose: I64, branch: I64, t: I64, block: I64
) -> None:
    """Fill four rows with random words, as bits, one column a path.

    A loop of its own, because multiplying words takes 64-bit lanes, and what follows twice as many of 32 bits.
    """
    top: U64 = (U64(purpose) << PURPOSE_SHIFT) | (U64(branch) << BRANCH_SHIFT)
    for lane in range(LANES):
        c0: U64 = ids[lane] & LOW
        c1: U64 = top | ((ids[lane] >> WORD) & PATH_HIGH)
        c2: U64 = U64(t)
        c3: U64 = U64(block)
        a: U64 = k0
        b: U64 = k1
        for _ in range(10):
            p0: U64 = MULTIPLIER_0 * c0
            p1: U64 = MULTIPLIER_1 * c2
            c0 = (p1 >> WORD) ^ c1 ^ a
            c1 = p1 & LOW
            c2 = (p0 >> WORD) ^ c3 ^ b
            c3 = p0 & LOW
            a = (a + WEYL_0) & LOW
            b = (b + WEYL_1) & LOW
        work[at(row, lane)] = from_bits(low_word(c0))
        work[at(row + 1, lane)] = from_bits(low_word(c1))
        work[at(row + 2, lane)] = from_bits(low_word(c2))
        work[at(row + 3, lane)] = from_bits(low_word(c3))


@compiled
def draw_word_rows_twice(
    work: F32s, row: I64, ids: U64s, k0: U64, k1: U64, purpose: I64, branch: I64, t: I64, block: I64
) -> None:
    """Fill eight rows with the words of two blocks; side by side, because the rounds of one wait for each other."""
    top: U64 = (U64(purpose) << PURPOSE_SHIFT) | (U64(branch) << BRANCH_SHIFT)
    for lane in range(LANES):
        low: U64 = ids[lane] & LOW
        high: U64 = top | ((ids[lane] >> WORD) & PATH_HIGH)
        p0: U64 = low
        p1: U64 = high
        p2: U64 = U64(t)
        p3: U64 = U64(block)
        q0: U64 = low
        q1: U64 = high
        q2: U64 = U64(t)
        q3: U64 = U64(block + 1)
        a: U64 = k0
        b: U64 = k1
        for _ in range(10):
            p_a: U64 = MULTIPLIER_0 * p0
            p_b: U64 = MULTIPLIER_1 * p2
            p0 = (p_b >> WORD) ^ p1 ^ a
            p1 = p_b & LOW
            p2 = (p_a >> WORD) ^ p3 ^ b
            p3 = p_a & LOW
            q_a: U64 = MULTIPLIER_0 * q0
            q_b: U64 = MULTIPLIER_1 * q2
            q0 = (q_b >> WORD) ^ q1 ^ a
            q1 = q_b & LOW
            q2 = (q_a >> WORD) ^ q3 ^ b
            q3 = q_a & LOW
            a = (a + WEYL_0) & LOW
            b = (b + WEYL_1) & LOW
        work[at(row, lane)] = from_bits(low_word(p0))
        work[at(row + 1, lane)] = from_bits(low_word(p1))
        work[at(row + 2, lane)] = from_bits(low_word(p2))
        work[at(row + 3, lane)] = from_bits(low_word(p3))
        work[at(row + 4, lane)] = from_bits(low_word(q0))
        work[at(row + 5, lane)] = from_bits(low_word(q1))
        work[at(row + 6, lane)] = from_bits(low_word(q2))
        work[at(row + 7, lane)] = from_bits(low_word(q3))


@compiled
def make_normal_rows(work: F32s, row: I64) -> None:
    """Turn four rows of words into standard normals (Box and Muller 1958)."""
    for lane in range(LANES):
        r0: F32 = sqrt_(minus_two_log(bits_of(work[at(row, lane)])))
        w1: I32 = bits_of(work[at(row + 1, lane)])
        r1: F32 = sqrt_(minus_two_log(bits_of(work[at(row + 2, lane)])))
        w3: I32 = bits_of(work[at(row + 3, lane)])
        work[at(row, lane)] = r0 * cosine_of_turn(w1)
        work[at(row + 1, lane)] = r0 * sine_of_turn(w1)
        work[at(row + 2, lane)] = r1 * cosine_of_turn(w3)
        work[at(row + 3, lane)] = r1 * sine_of_turn(w3)


@compiled
def draw_normal_rows(
    work: F32s, row: I64, ids: U64s, k0: U64, k1: U64, purpose: I64, branch: I64, t: I64, block: I64
) -> None:
    """Fill four rows with standard normals, one column a path."""
    draw_word_rows(work, row, ids, k0, k1, purpose, branch, t, block)
    make_normal_rows(work, row)


@compiled
def draw_uniform_rows(
    work: F32s, row: I64, ids: U64s, k0: U64, k1: U64, purpose: I64, branch: I64, t: I64, block: I64
) -> None:
    """Fill four rows with uniforms inside (0, 1): the middles of 2^23 equal parts, one column a path."""
    draw_word_rows(work, row, ids, k0, k1, purpose, branch, t, block)
    for place in range(4):
        for lane in range(LANES):
            word: I32 = bits_of(work[at(row + place, lane)])
            work[at(row + place, lane)] = (F32(I32((word >> 9) & UPPER_23)) + HALF_BIT) * TO_UNIT


def words(
    seed: int, path: int, *, purpose: int = DRIVERS, branch: int = 0, step: int = 0, block: int = 0
) -> npt.NDArray[np.uint32]:
    """Return the four random words of a place in the stream.

    Parameters
    ----------
    seed
        Any integer, counted modulo 2^64.
    path
        Number of the path, below 2^40.
    purpose, branch, step, block
        See :data:`STREAM_VERSION`; block b serves the variables 4b to 4b + 3.

    Returns
    -------
    array
        Shape ``(4,)``.

    Examples
    --------
    >>> [f"{word:08x}" for word in words(0, 0)]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    out = np.empty(4, np.uint64)
    top = purpose << 24 | branch << 8 | path >> 32
    k0, k1 = key(seed)
    philox_words(out, U64(path & 0xFFFFFFFF), U64(top), U64(step), U64(block), k0, k1)
    return out.astype(np.uint32)


def key(seed: int) -> tuple[U64, U64]:
    """Return the two words of the key of a seed."""
    seed %= 2**64
    return U64(seed & 0xFFFFFFFF), U64(seed >> 32)
