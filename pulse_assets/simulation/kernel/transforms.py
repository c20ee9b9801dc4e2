"""Exponential, logarithm, sine and cosine from own polynomials: the same bits wherever IEEE 754 holds.

The coefficients are minimax approximations found by the exchange algorithm of Remez (1934) in double precision and
rounded to float32; ``python -m benchmarks.minimax`` derives them anew and prints their errors.
"""

from pulse_assets.simulation.kernel.intrinsics import (
    F32,
    I32,
    bits_of,
    compiled,
    fma,
    from_bits,
    sqrt_,
)

__all__ = ["cosine_of_turn", "exp_", "log_", "minus_two_log", "sine_of_turn", "sqrt_"]

EXP_2, EXP_3, EXP_4 = F32(0.4999999403953552), F32(0.1666652113199234), F32(0.04166838899254799)
EXP_5, EXP_6 = F32(0.008368710055947304), F32(0.001381461275741458)
LOG_3, LOG_4, LOG_5 = F32(0.3333390951156616), F32(-0.2500133812427521), F32(0.19963063299655914)
LOG_6, LOG_7, LOG_8 = F32(-0.1657758504152298), F32(0.14914767444133759), F32(-0.14267487823963165)
LOG_9 = F32(0.08700437843799591)
SIN_3, SIN_5, SIN_7 = F32(-0.16666655), F32(0.008332178), F32(-0.000195173)
COS_4, COS_6, COS_8 = F32(0.041666646), F32(-0.0013887368), F32(2.4438452e-05)

ONE, HALF, MINUS_HALF, MINUS_TWO = F32(1.0), F32(0.5), F32(-0.5), F32(-2.0)
LOG2_E, LN2, LN2_HIGH, LN2_LOW = F32(1.442695), F32(0.6931472), F32(0.693145751953125), F32(1.428606820309417e-06)
ROUNDER = F32(12582912.0)
"""3 · 2^22: adding and taking it away rounds to a whole number."""
SMALLEST_POWER, LARGEST_POWER = F32(-86.0), F32(88.0)
ROOT_HALF_BITS, ONE_BITS, FRACTION = 0x3F3504F3, 0x3F800000, 0x007FFFFF
TO_UNIT_31 = F32(2.0**-31)
EIGHTH, QUADRANTS, UPPER_BITS = 0x20000000, -0x40000000, 0x7FFFFFFF
TO_RADIANS = F32(1.4629180792671596e-09)
"""π / 2 / 2^30: from 2^-32 turns to radians."""


@compiled
def exp_(x: F32) -> F32:
    """Return the exponential; arguments are clamped to [-86, 88], and NaN to the lower end."""
    y: F32 = x if x > SMALLEST_POWER else SMALLEST_POWER
    y = y if y < LARGEST_POWER else LARGEST_POWER
    shifted: F32 = fma(y, LOG2_E, ROUNDER)
    whole: F32 = shifted - ROUNDER
    r: F32 = fma(-whole, LN2_HIGH, y)
    r = fma(-whole, LN2_LOW, r)
    p: F32 = fma(r, EXP_6, EXP_5)
    p = fma(p, r, EXP_4)
    p = fma(p, r, EXP_3)
    p = fma(p, r, EXP_2)
    p = fma(p, r * r, r)
    power: I32 = I32((bits_of(shifted) + 127) << 23)
    return (p + ONE) * from_bits(power)


@compiled
def log_(x: F32) -> F32:
    """Return the natural logarithm of a normal positive number."""
    moved: I32 = I32(bits_of(x) + (ONE_BITS - ROOT_HALF_BITS))
    whole: F32 = F32(I32((moved >> 23) - 127))
    f: F32 = from_bits(I32((moved & FRACTION) + ROOT_HALF_BITS)) - ONE
    p: F32 = fma(f, LOG_9, LOG_8)
    p = fma(p, f, LOG_7)
    p = fma(p, f, LOG_6)
    p = fma(p, f, LOG_5)
    p = fma(p, f, LOG_4)
    p = fma(p, f, LOG_3)
    square: F32 = f * f
    p = fma(p * f, square, fma(MINUS_HALF, square, f))
    return fma(whole, LN2, p)


@compiled
def minus_two_log(word: I32) -> F32:
    """Return -2 ln u of the uniform that the upper 31 bits of a word stand for, never below 0."""
    u: F32 = (F32(I32((word >> 1) & UPPER_BITS)) + HALF) * TO_UNIT_31
    return MINUS_TWO * log_(u)


@compiled
def _cosine_part(angle: F32) -> F32:
    square: F32 = angle * angle
    p: F32 = fma(square, COS_8, COS_6)
    p = fma(p, square, COS_4)
    return fma(p, square * square, fma(MINUS_HALF, square, ONE))


@compiled
def _sine_part(angle: F32) -> F32:
    square: F32 = angle * angle
    p: F32 = fma(square, SIN_7, SIN_5)
    p = fma(p, square, SIN_3)
    return fma(p * square, angle, angle)


@compiled
def cosine_of_turn(word: I32) -> F32:
    """Return the cosine of word / 2^32 turns."""
    moved: I32 = I32(word + EIGHTH)
    quadrant: I32 = I32((moved >> 30) & 3)
    angle: F32 = F32(I32(word - (moved & QUADRANTS))) * TO_RADIANS
    size: F32 = _sine_part(angle) if (quadrant & 1) == 1 else _cosine_part(angle)
    sign: I32 = I32(((quadrant + 1) & 2) << 30)
    return from_bits(I32(bits_of(size) ^ sign))


@compiled
def sine_of_turn(word: I32) -> F32:
    """Return the sine of word / 2^32 turns."""
    moved: I32 = I32(word + EIGHTH)
    quadrant: I32 = I32((moved >> 30) & 3)
    angle: F32 = F32(I32(word - (moved & QUADRANTS))) * TO_RADIANS
    size: F32 = _cosine_part(angle) if (quadrant & 1) == 1 else _sine_part(angle)
    sign: I32 = I32((quadrant & 2) << 30)
    return from_bits(I32(bits_of(size) ^ sign))
