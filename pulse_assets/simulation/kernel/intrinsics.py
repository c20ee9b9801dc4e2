"""The words of restricted Python: number types, arrays, and the few functions that mean the same to every compiler.

Only operations that IEEE 754 rounds in one way are here: + - * / and square root come from the language, fused
multiply-add and changes of representation from here. No libm, no vector library, no fast math.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.extending import intrinsic

from pulse_assets.simulation.kernel.compile import cached

Function = TypeVar("Function", bound=Callable[..., object])

if TYPE_CHECKING:  # a type checker sees plain numbers; what they are is checked by numba and the translator
    F32 = float
    I32 = int
    I64 = int
    U64 = int
    BOOL = bool

    class F32s(Protocol):
        """A flat array of float32."""

        def __getitem__(self, place: int, /) -> float: ...

        def __setitem__(self, place: int, value: float, /) -> None: ...

    class I64s(Protocol):
        """A flat array of int64."""

        def __getitem__(self, place: int, /) -> int: ...

        def __setitem__(self, place: int, value: int, /) -> None: ...

    U64s = I64s
else:
    F32, I32, I64, U64, BOOL = np.float32, np.int32, np.int64, np.uint64, np.bool_
    F32s = npt.NDArray[np.float32]
    I64s = npt.NDArray[np.int64]
    U64s = npt.NDArray[np.uint64]

LANES = 512
"""Paths that a block kernel carries side by side; one in C and on a GPU. No result depends on it."""

LANES_WIDE = U64(LANES)


def compiled(function: Function) -> Function:
    """Compile a kernel: without licences to reorder, so the bits are the same everywhere, and kept on disk."""
    return cached(partial(njit, nogil=True, error_model="numpy"), function)  # type: ignore[no-any-return]


if TYPE_CHECKING:

    def fma(a: F32, b: F32, c: F32) -> F32:
        """Return a * b + c, rounded once."""

    def sqrt_(x: F32) -> F32:
        """Return the square root, correctly rounded."""

    def bits_of(x: F32) -> I32:
        """Return the bits of a number as a signed word."""

    def from_bits(word: I32) -> F32:
        """Return the number that some bits mean."""

    def low_word(word: U64) -> I32:
        """Return the low 32 bits as a signed word."""

    def truncated(x: F32) -> I64:
        """Return a number within int32 without its fraction."""

    def call_rules(
        address: I64,
        work: F32s,
        floats: F32s,
        counts: I64s,
        ids: U64s,
        k0: U64,
        k1: U64,
        branch: I64,
        t: I64,
        steps: I64,
        valid: I64,
    ) -> None:
        """Call compiled rules by their address, so that the rest of a kernel is compiled once for all of them."""

else:

    @intrinsic
    def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:  # noqa: ANN401, ARG001 - numba's signature
        """Return a * b + c, rounded once."""
        if not (a == b == c and isinstance(a, types.Float)):
            return None
        return a(a, a, a), lambda context, builder, signature, arguments: builder.fma(*arguments)  # noqa: ARG005

    @intrinsic
    def sqrt_(typingctx: Any, x: Any) -> Any:  # noqa: ANN401, ARG001 - numba's signature
        """Return the square root, correctly rounded."""
        if x != types.float32:
            return None

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
            kind = arguments[0].type
            function = builder.module.declare_intrinsic("llvm.sqrt", (kind,))
            return builder.call(function, arguments)

        return x(x), emit

    def _change(source: Any, target: Any, how: str) -> Any:  # noqa: ANN401
        @intrinsic
        def change(typingctx: Any, x: Any) -> Any:  # noqa: ANN401, ARG001 - numba's signature
            if x != source:
                return None

            def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
                return getattr(builder, how)(arguments[0], context.get_value_type(target))

            return target(source), emit

        return change

    bits_of = _change(types.float32, types.int32, "bitcast")
    from_bits = _change(types.int32, types.float32, "bitcast")
    low_word = _change(types.uint64, types.int32, "trunc")
    _to_int32 = _change(types.float32, types.int32, "fptosi")

    @compiled
    def truncated(x: F32) -> I64:
        """Return a number within int32 without its fraction."""
        return I64(_to_int32(x))

    @intrinsic
    def call_rules(
        typingctx: Any,  # noqa: ANN401, ARG001 - numba's signature
        address: Any,  # noqa: ANN401
        work: Any,  # noqa: ANN401
        floats: Any,  # noqa: ANN401
        counts: Any,  # noqa: ANN401
        ids: Any,  # noqa: ANN401
        k0: Any,  # noqa: ANN401
        k1: Any,  # noqa: ANN401
        branch: Any,  # noqa: ANN401
        t: Any,  # noqa: ANN401
        steps: Any,  # noqa: ANN401
        valid: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Call compiled rules by their address, so that the rest of a kernel is compiled once for all of them."""
        taken = (address, work, floats, counts, ids, k0, k1, branch, t, steps, valid)

        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ANN401, ARG001
            kind = context.call_conv.get_function_type(types.none, taken)
            function = builder.inttoptr(values[0], kind.as_pointer())
            context.call_conv.call_function(builder, function, types.none, taken, values)
            return context.get_dummy_value()

        return types.none(*taken), emit


@compiled
def at(row: I64, lane: I64) -> U64:
    """Return where a path's number stands: unsigned, as a signed index may count from the end and blocks vectors."""
    return U64(row) * LANES_WIDE + U64(lane)


@compiled
def fabs_(x: F32) -> F32:
    """Return the absolute value."""
    return from_bits(I32(bits_of(x) & 0x7FFFFFFF))


@compiled
def min_(a: F32, b: F32) -> F32:
    """Return the smaller; b if either is NaN."""
    return a if a < b else b


@compiled
def max_(a: F32, b: F32) -> F32:
    """Return the larger; b if either is NaN."""
    return a if a > b else b


@compiled
def add_count(counts: I64s, index: I64, amount: I64) -> None:
    """Add to a counter; atomic on a GPU, and integers, so the order does not matter."""
    counts[index] += amount
