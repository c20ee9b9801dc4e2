"""What drives a step: independent normals, drawn or given, and their correlation; restricted Python.

The triangular product is our own, in a fixed order of sums: a library chooses its kernel by the processor.
"""

from pulse_assets.simulation.kernel.intrinsics import F32, I64, LANES, U64, F32s, U64s, at, compiled, fma
from pulse_assets.simulation.kernel.philox import DRIVERS, draw_normal_rows, draw_word_rows_twice, make_normal_rows

ZERO = F32(0.0)


@compiled
def draw_drivers(work: F32s, z: I64, size: I64, ids: U64s, k0: U64, k1: U64, branch: I64, t: I64) -> None:
    """Fill the rows of independent drivers, ``size`` of them, a multiple of four."""
    blocks: I64 = size // 4
    for block in range(0, blocks - 1, 2):
        draw_word_rows_twice(work, z + 4 * block, ids, k0, k1, DRIVERS, branch, t, block)
        make_normal_rows(work, z + 4 * block)
        make_normal_rows(work, z + 4 * block + 4)
    if blocks % 2 == 1:
        draw_normal_rows(work, z + size - 4, ids, k0, k1, DRIVERS, branch, t, blocks - 1)


@compiled
def take_drivers(work: F32s, z: I64, size: I64, given: F32s, t: I64) -> None:
    """Fill the rows of independent drivers from numbers that the caller made."""
    for row in range(size):
        for lane in range(LANES):
            work[at(z + row, lane)] = given[at(t * size + row, lane)]


@compiled
def correlate(work: F32s, z: I64, e: I64, floats: F32s, chol: I64, size: I64) -> None:
    """Fill rows e with the lower triangular product of rows z, four rows and four columns at a time.

    Above the diagonal of a tile the factor holds zeros, which add nothing.
    """
    for i in range(0, size, 4):
        set_tile(work, z, e + i, floats, U64(chol + i * size), U64(size))
        for k in range(4, i + 4, 4):
            add_tile(work, z + k, e + i, floats, U64(chol + i * size + k), U64(size))


@compiled
def set_tile(work: F32s, z: I64, e: I64, floats: F32s, first: U64, size: U64) -> None:
    """Set four rows to the product of a 4 × 4 tile with the first four; else as :func:`add_tile`."""
    second: U64 = first + size
    third: U64 = second + size
    last: U64 = third + size
    a00: F32 = floats[first]
    a01: F32 = floats[first + U64(1)]
    a02: F32 = floats[first + U64(2)]
    a03: F32 = floats[first + U64(3)]
    a10: F32 = floats[second]
    a11: F32 = floats[second + U64(1)]
    a12: F32 = floats[second + U64(2)]
    a13: F32 = floats[second + U64(3)]
    a20: F32 = floats[third]
    a21: F32 = floats[third + U64(1)]
    a22: F32 = floats[third + U64(2)]
    a23: F32 = floats[third + U64(3)]
    a30: F32 = floats[last]
    a31: F32 = floats[last + U64(1)]
    a32: F32 = floats[last + U64(2)]
    a33: F32 = floats[last + U64(3)]
    for lane in range(LANES):
        z0: F32 = work[at(z, lane)]
        z1: F32 = work[at(z + 1, lane)]
        z2: F32 = work[at(z + 2, lane)]
        z3: F32 = work[at(z + 3, lane)]
        work[at(e, lane)] = fma(a03, z3, fma(a02, z2, fma(a01, z1, fma(a00, z0, ZERO))))
        work[at(e + 1, lane)] = fma(a13, z3, fma(a12, z2, fma(a11, z1, fma(a10, z0, ZERO))))
        work[at(e + 2, lane)] = fma(a23, z3, fma(a22, z2, fma(a21, z1, fma(a20, z0, ZERO))))
        work[at(e + 3, lane)] = fma(a33, z3, fma(a32, z2, fma(a31, z1, fma(a30, z0, ZERO))))


@compiled
def add_tile(work: F32s, z: I64, e: I64, floats: F32s, first: U64, size: U64) -> None:
    """Add the product of a 4 × 4 tile with four rows.

    Whole rows, so that compilers see that rows cannot overlap; unsigned places, as those of ``at``.
    """
    second: U64 = first + size
    third: U64 = second + size
    last: U64 = third + size
    a00: F32 = floats[first]
    a01: F32 = floats[first + U64(1)]
    a02: F32 = floats[first + U64(2)]
    a03: F32 = floats[first + U64(3)]
    a10: F32 = floats[second]
    a11: F32 = floats[second + U64(1)]
    a12: F32 = floats[second + U64(2)]
    a13: F32 = floats[second + U64(3)]
    a20: F32 = floats[third]
    a21: F32 = floats[third + U64(1)]
    a22: F32 = floats[third + U64(2)]
    a23: F32 = floats[third + U64(3)]
    a30: F32 = floats[last]
    a31: F32 = floats[last + U64(1)]
    a32: F32 = floats[last + U64(2)]
    a33: F32 = floats[last + U64(3)]
    for lane in range(LANES):
        z0: F32 = work[at(z, lane)]
        z1: F32 = work[at(z + 1, lane)]
        z2: F32 = work[at(z + 2, lane)]
        z3: F32 = work[at(z + 3, lane)]
        e0: F32 = work[at(e, lane)]
        e1: F32 = work[at(e + 1, lane)]
        e2: F32 = work[at(e + 2, lane)]
        e3: F32 = work[at(e + 3, lane)]
        work[at(e, lane)] = fma(a03, z3, fma(a02, z2, fma(a01, z1, fma(a00, z0, e0))))
        work[at(e + 1, lane)] = fma(a13, z3, fma(a12, z2, fma(a11, z1, fma(a10, z0, e1))))
        work[at(e + 2, lane)] = fma(a23, z3, fma(a22, z2, fma(a21, z1, fma(a20, z0, e2))))
        work[at(e + 3, lane)] = fma(a33, z3, fma(a32, z2, fma(a31, z1, fma(a30, z0, e3))))
