"""The simulator's device code: the text that NVRTC compiles for a GPU, and a C compiler for the tests.

It is made from the same kernels as the CPU's: every thread carries one path through ``run_block``. Compile it without
contraction and without fast math; with them the bits would differ, and the text refuses the latter.

Sizes, rows and offsets of a program can be written in as literals, which changes no bit: compilers then drop what the
world does not have and keep the triangular product in registers. On a GPU small sets of parameters then stand in
constant memory.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.kernel.compile import block_kernel
from pulse_assets.simulation.kernel.philox import MOST_PATHS, draw_normal_rows, philox_words
from pulse_assets.simulation.kernel.translate import c_functions

if TYPE_CHECKING:
    from pulse_assets.simulation.program import Program

HOST_FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-fPIC", "-shared")
DEVICE_FLAGS = ("--std=c++17", "--fmad=false")
THREADS_A_BLOCK, BLOCKS_AT_ONCE = 128, 4
"""Threads of a block, and blocks a multiprocessor shall hold: that leaves 128 registers a thread on sm_80 to 100."""
CONSTANT_FLOATS = 16_000
"""Parameters that fit into the 64 KiB of constant memory, with room for what a compiler puts there."""
LARGEST_UNROLLED = 96
"""Variables up to which the triangular product is unrolled; its text grows with their square (96: 8 s of NVRTC)."""
STEP_READS = {
    "ints[place + H.BRANCH]": H.BRANCH,
    "ints[place + H.FORCED]": H.FORCED,
    "ints[place + H.PHASE]": H.PHASE,
    "ints[ints[H.AT_STEPS] + H.INTS_A_STEP * t + H.RECORD]": H.RECORD,
}
"""How kernels read the columns of the table of steps."""
HEAD = """
#if defined(__FAST_MATH__) || (defined(__CUDA_FTZ) && __CUDA_FTZ) \\
    || (defined(__CUDA_PREC_DIV) && !__CUDA_PREC_DIV)
#error "fast math changes the bits of a simulation"
#endif
#ifdef __CUDACC__
#define PULSE_DEVICE __device__ static __forceinline__
#define PULSE_UNROLL _Pragma("unroll")
#define PULSE_INFINITY __int_as_float(0x7f800000)
PULSE_DEVICE float pulse_fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
PULSE_DEVICE float pulse_sqrt_(float x) { return __fsqrt_rn(x); }
PULSE_DEVICE int pulse_bits_of(float x) { return __float_as_int(x); }
PULSE_DEVICE float pulse_from_bits(int word) { return __int_as_float(word); }
PULSE_DEVICE void pulse_add_count(long long *counts, long long index, long long amount)
{
    /* where a whole warp counts at one place, one of its threads adds for all */
    if (__activemask() == 0xffffffffU && __all_sync(0xffffffffU, __shfl_sync(0xffffffffU, index, 0) == index)) {
#pragma unroll 1
        for (int other = 16; other > 0; other >>= 1) amount += __shfl_xor_sync(0xffffffffU, amount, other);
        if ((threadIdx.x & 31U) != 0U) return;
    }
    if (amount != 0) atomicAdd((unsigned long long *)(counts + index), (unsigned long long)amount);
}
#else
#include <math.h>
#include <string.h>
#define PULSE_DEVICE static inline
#define PULSE_UNROLL
#define PULSE_INFINITY INFINITY
PULSE_DEVICE float pulse_fma(float a, float b, float c) { return fmaf(a, b, c); }
PULSE_DEVICE float pulse_sqrt_(float x) { return sqrtf(x); }
PULSE_DEVICE int pulse_bits_of(float x) { int word; memcpy(&word, &x, 4); return word; }
PULSE_DEVICE float pulse_from_bits(int word) { float x; memcpy(&x, &word, 4); return x; }
PULSE_DEVICE void pulse_add_count(long long *counts, long long index, long long amount) { counts[index] += amount; }
#endif
PULSE_DEVICE int pulse_low_word(unsigned long long word) { return (int)(unsigned int)word; }
PULSE_DEVICE long long pulse_truncated(float x) { return (long long)(int)x; }
"""
TAIL = """
PULSE_DEVICE void pulse_path(long long i, long long first, long long count, unsigned long long k0,
                             unsigned long long k1, long long steps, float *floats, long long *ints, float *outcomes,
                             long long *counts)
{
    float work[PULSE_ROWS], outcome[PULSE_OUTCOMES], sign[1], none[1];
    unsigned long long id[1];
    const unsigned long long path = (unsigned long long)(first + i);
    const int mirrored = PULSE_ANTITHETIC != 0;
    id[0] = mirrored ? path >> 1 : path;
    sign[0] = mirrored && (path & 1ULL) ? -1.0f : 1.0f;
    pulse_run_block(id, sign, 1, k0, k1, steps, floats, ints, none, none, work, outcome, counts);
    for (int j = 0; j < PULSE_OUTCOMES; ++j) outcomes[j * count + i] = outcome[j];
}

#ifdef __CUDACC__
#if PULSE_FLOATS > 0
extern "C" { __constant__ float pulse_floats[PULSE_FLOATS]; }
#define PULSE_PARAMETERS pulse_floats
#else
#define PULSE_PARAMETERS floats
#endif
extern "C" __global__ void __launch_bounds__(PULSE_THREADS, PULSE_BLOCKS)
pulse_paths(long long first, long long count, unsigned long long k0, unsigned long long k1, long long steps,
            float *__restrict__ floats, long long *__restrict__ ints, float *__restrict__ outcomes,
            long long *__restrict__ counts)
{
    const long long i = (long long)blockIdx.x * PULSE_THREADS + threadIdx.x;
    if (i < count) pulse_path(i, first, count, k0, k1, steps, PULSE_PARAMETERS, ints, outcomes, counts);
}
#else
void pulse_paths(long long first, long long count, unsigned long long k0, unsigned long long k1, long long steps,
                 float *floats, long long *ints, float *outcomes, long long *counts)
{
    for (long long i = 0; i < count; ++i)
        pulse_path(i, first, count, k0, k1, steps, floats, ints, outcomes, counts);
}
#endif
"""
PROBE_TAIL = """
#ifdef __CUDACC__
extern "C" __global__
#endif
void pulse_probe(unsigned long long *counters, unsigned long long *words, float *normals)
{
    unsigned long long id[1];
    pulse_philox_words(words, counters[0], counters[1], counters[2], counters[3], counters[4], counters[5]);
    id[0] = counters[0];
    pulse_draw_normal_rows(normals, 0, id, counters[4], counters[5], 0, 0, 1, 2);
}
"""


def device_source(rows: int, rules: str = "", constants: Mapping[str, int] | None = None, floats: int = 0) -> str:
    """Return the device code of a world.

    Parameters
    ----------
    rows
        Numbers a path carries, :attr:`~pulse_assets.simulation.program.Program.rows`.
    rules
        Restricted Python of its rules.
    constants
        What is written in as literals, see :func:`constants_of`; nothing by default.
    floats
        How many parameters a GPU keeps in constant memory, as ``pulse_floats``, in place of the argument; 0 for none.

    Examples
    --------
    >>> "pulse_run_block" in device_source(300)
    True
    """
    known = constants or {}
    sizes: dict[str, int | str] = {"ROWS": rows, "OUTCOMES": H.OUTCOMES, "FLOATS": floats}
    sizes |= {"THREADS": THREADS_A_BLOCK, "BLOCKS": BLOCKS_AT_ONCE}
    sizes["ANTITHETIC"] = known.get("ints[H.ANTITHETIC]", f"ints[{H.ANTITHETIC}]")
    defines = "\n".join(f"#define PULSE_{name} {value}" for name, value in sizes.items())
    unrolled = ("correlate",) if known.get("ints[H.SIZE]", LARGEST_UNROLLED + 1) <= LARGEST_UNROLLED else ()
    functions = c_functions(block_kernel(rules), constants=known, unrolled=unrolled)
    return f"{defines}\n{HEAD}\n{functions}\n{TAIL}"


def program_source(program: "Program") -> str:
    """Return the device code of a program with all that it knows written in; programs of one shape share it."""
    floats = len(program.floats) if len(program.floats) <= CONSTANT_FLOATS else 0
    return device_source(program.rows, program.rules, constants_of(program), floats)


def check_launch(program: "Program", first: int, paths: int) -> None:
    """Check that device code can simulate paths ``first`` to ``first + paths - 1`` of a program.

    Raises
    ------
    ValueError
        The range is empty or beyond 2^40, or the program takes given drivers or keeps traces.
    """
    if first < 0 or paths < 1 or first + paths > MOST_PATHS:
        raise ValueError(f"expected 1 or more paths within 0 … {MOST_PATHS:,}, got {paths:,} from {first:,} on")
    for place, what in ((H.GIVEN, "takes given drivers"), (H.TRACED, "keeps every step of its paths")):
        if program.ints[place]:
            message = f"device code has no place for a program that {what}; build it without, or run it on the CPU"
            raise ValueError(message)


def constants_of(program: "Program") -> dict[str, int]:
    """Return the elements of ``ints`` that are the same at every step, by the text that reads them.

    These are its head, and columns of the table of steps that never change.
    """
    names = [name for name in vars(H) if name.isupper()][: H.HEADER]
    known = {f"ints[H.{name}]": int(program.ints[getattr(H, name)]) for name in names}
    first = program.offset(H.AT_STEPS)
    table = program.ints[first : first + H.INTS_A_STEP * program.steps].reshape(-1, H.INTS_A_STEP)
    columns = {text: table[:, column] for text, column in STEP_READS.items()}
    return known | {text: int(column[0]) for text, column in columns.items() if (column == column[0]).all()}


def probe_source() -> str:
    """Return device code that draws words and normals of one counter, for a test with known answers."""
    return f"{HEAD}\n{c_functions(philox_words, draw_normal_rows)}\n{PROBE_TAIL}"
