"""The simulator's device code: the text that NVRTC compiles for a GPU, and a C compiler for the tests.

It is made from the same kernels as the CPU's: every thread carries one path through ``run_block``. Compile it without
contraction and without fast math; with them the bits would differ, and the text refuses the latter.
"""

from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.kernel.compile import block_kernel
from pulse_assets.simulation.kernel.translate import c_functions

HOST_FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-fPIC", "-shared")
DEVICE_FLAGS = ("--std=c++17", "--fmad=false")
HEAD = """
#ifdef __FAST_MATH__
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
PULSE_DEVICE void pulse_path(long long i, long long first, long long count, unsigned long long k0, unsigned long long k1,
                             long long steps, float *floats, long long *ints, float *outcomes, long long *counts)
{
    float work[PULSE_ROWS], outcome[PULSE_OUTCOMES], sign[1], none[1];
    unsigned long long id[1];
    const unsigned long long path = (unsigned long long)(first + i);
    const int mirrored = ints[PULSE_ANTITHETIC] != 0;
    id[0] = mirrored ? path >> 1 : path;
    sign[0] = mirrored && (path & 1ULL) ? -1.0f : 1.0f;
    pulse_run_block(id, sign, 1, k0, k1, steps, floats, ints, none, none, work, outcome, counts);
    for (int j = 0; j < PULSE_OUTCOMES; ++j) outcomes[j * count + i] = outcome[j];
}

#ifdef __CUDACC__
extern "C" __global__ void pulse_paths(long long first, long long count, unsigned long long k0, unsigned long long k1,
                                       long long steps, float *floats, long long *ints, float *outcomes,
                                       long long *counts)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) pulse_path(i, first, count, k0, k1, steps, floats, ints, outcomes, counts);
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


def device_source(rows: int, rules: str = "") -> str:
    """Return the device code of a world.

    Parameters
    ----------
    rows
        Numbers a path carries, :attr:`~pulse_assets.simulation.program.Program.rows`.
    rules
        Restricted Python of its rules.

    Examples
    --------
    >>> "pulse_run_block" in device_source(300)
    True
    """
    sizes = {"ROWS": rows, "OUTCOMES": H.OUTCOMES, "ANTITHETIC": H.ANTITHETIC}
    defines = "\n".join(f"#define PULSE_{name} {value}" for name, value in sizes.items())
    return f"{defines}\n{HEAD}\n{c_functions(block_kernel(rules))}\n{TAIL}"
