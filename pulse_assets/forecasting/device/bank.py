"""Runs the filter bank of ``bank.h`` over many series at once: on a GPU, or compiled by the C compiler of this machine.

Both say what :func:`~pulse_assets.forecasting.walk.walk` says at the end of each series for the members that are
filters, bit for bit: the kernels only add, subtract, multiply, divide and compare, and take logarithms, exponentials
and powers from here. The host's build is slow and there to be compared with; on a CPU the walk itself is the fast way.

A thread walks one filter over one series. What belongs here: the layout of arrays and the launch. Not whether a GPU is
wanted, which the caller asks :class:`~pulse_resources.compute.Compute`.
"""

import ctypes
import importlib
import math
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
from numba import njit

from pulse_assets.forecasting.autoregression import LARGEST_EXPONENT
from pulse_assets.forecasting.bank import HOLT_DAMPING, TREND_DAMPING
from pulse_assets.forecasting.device import LANES, VOICES, device_source, fields
from pulse_assets.forecasting.walk_state import OF_A_CHANNEL, Spec, State
from pulse_assets.numerics.gpu import gpu_problem

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HOST_FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-fPIC", "-shared")
DEVICE_FLAGS = ("--std=c++17", "--fmad=false")
"""Without contraction: a fused multiply-add rounds once where the walk rounds twice."""
COMPILERS = ("cc", "gcc", "clang")
THREADS_A_BLOCK = 128


class Bank(ABC):
    """The filter bank somewhere; a subclass says where arrays live and how a kernel is launched there.

    Parameters
    ----------
    arrays
        Module to build arrays with.
    bytes_at_once
        Memory for the arrays of series that are walked together; a single series may take more.
    """

    def __init__(self, arrays: ModuleType, bytes_at_once: int) -> None:
        self._arrays = arrays
        self._bytes_at_once = bytes_at_once

    @abstractmethod
    def _launch(self, kernel: str, threads: int, *arguments: Floats | Ints | int) -> None:
        """Run a kernel of the header; arguments are its arrays and whole numbers, in order."""

    @abstractmethod
    def _fetch(self, array: Floats) -> Floats:
        """Return an array of this bank as one of NumPy."""

    def run(
        self, values: Floats, offsets: Ints, may_log: npt.NDArray[np.bool_], sizes: Spec, state: State | None = None
    ) -> Floats:
        """Return what the filters of S series say at their ends.

        Parameters
        ----------
        values, offsets, may_log, sizes
            As :func:`~pulse_assets.forecasting.walk.walk` takes them; every series from its first observation. A
            series may be empty.
        state
            A new state of these series, whose :data:`~pulse_assets.forecasting.device.FIELDS` are filled; without it
            no state is copied back.

        Returns
        -------
        Floats
            Shape ``(S, horizon, len(VOICES))``; NaN where a filter has nothing to say.
        """
        made = np.empty((len(offsets) - 1, sizes.horizon, len(VOICES)))
        for places in self._batches(np.diff(offsets), sizes):
            observed, counts = _laid_out(values, offsets, may_log, places)
            voices, slots = self._walk(observed, counts, sizes)
            _hand_out(self._fetch(voices), places, made)
            if state is not None:
                fetched = self._fetch(slots)
                for name, at, shape in fields(sizes):
                    getattr(state, name)[places] = fetched[at].T.reshape(-1, *shape)
        return made

    def _batches(self, lengths: Ints, sizes: Spec) -> Iterator[Ints]:
        """Yield places of series, as many as fit at once, the longest first: neighbours are then of like length."""
        order, first = np.argsort(-lengths, kind="stable"), 0
        while first < len(order):
            numbers = _slots(sizes) + 2 * int(lengths[order[first]]) + sizes.horizon * len(VOICES)
            count = max(1, self._bytes_at_once // (8 * numbers))
            yield order[first : first + count]
            first += count

    def _walk(self, observed: Floats, counts: Ints, sizes: Spec) -> tuple[Floats, Floats]:
        """Return forecasts ``(horizon, voice, S)`` and state ``(slot, S)``, both where this bank has its arrays."""
        arrays, (_, steps, series), seasons = self._arrays, observed.shape, (sizes.season, sizes.season_2)
        there = arrays.asarray(counts)
        state = arrays.zeros((_slots(sizes), series))
        made = arrays.full((sizes.horizon, len(VOICES), series), np.nan)
        self._launch("pulse_walk", LANES * series, arrays.asarray(observed), there, series, steps, *seasons, state)
        spans = arrays.asarray(_spans(sizes.horizon))
        self._launch("pulse_emit", 3 * series, there, series, *seasons, sizes.horizon, spans, state, made)
        return made, state


class HostBank(Bank):
    """The bank as a shared library that :func:`compile_host` has built."""

    def __init__(self, library: ctypes.CDLL, bytes_at_once: int = 2**28) -> None:
        super().__init__(np, bytes_at_once)
        self.library = library

    def _launch(self, kernel: str, threads: int, *arguments: Floats | Ints | int) -> None:  # noqa: ARG002 - loops over its threads
        getattr(self.library, kernel)(
            *(ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else ctypes.c_longlong(a) for a in arguments)
        )

    def _fetch(self, array: Floats) -> Floats:
        return array


class DeviceBank(Bank):
    """The bank on the current CUDA device, compiled for it by NVRTC at the first launch.

    Parameters
    ----------
    bytes_at_once
        Memory of the device to use at a time. A series of n observations takes 8·(1,190 + 240·m + 2·n + 21·h) bytes,
        where m is the longest season and h the horizon.

    Raises
    ------
    RuntimeError
        There is no CuPy or no device.
    """

    def __init__(self, bytes_at_once: int = 2**32) -> None:
        problem = gpu_problem()
        if problem is not None:
            message = f"the device bank needs a GPU, but {problem}. Without a GPU the walk says the same on a CPU"
            raise RuntimeError(message)
        cupy = importlib.import_module("cupy")
        super().__init__(cupy, bytes_at_once)
        self._module = cupy.RawModule(code=device_source(), options=DEVICE_FLAGS, backend="nvrtc")

    def _launch(self, kernel: str, threads: int, *arguments: Floats | Ints | int) -> None:
        blocks = -(-threads // THREADS_A_BLOCK)
        passed = tuple(np.int64(a) if isinstance(a, int) else a for a in arguments)
        self._module.get_function(kernel)((blocks,), (THREADS_A_BLOCK,), passed)

    def _fetch(self, array: Floats) -> Floats:
        fetched: Floats = self._arrays.asnumpy(array)
        return fetched


def compile_host(folder: Path, also: str = "") -> HostBank:
    """Return the bank as the C compiler of this machine builds it: what a GPU must say, without one.

    Parameters
    ----------
    folder
        Where the text and the library are written.
    also
        C text to put behind the header, for example to call a step by itself.

    Raises
    ------
    RuntimeError
        There is no C compiler on PATH, or it does not take the text.
    """
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        raise RuntimeError(f"no C compiler on PATH; looked for {', '.join(COMPILERS)}")
    text, library = folder / "bank.c", folder / "bank.so"
    text.write_text(device_source() + also, encoding="utf-8")
    command = [compiler, *HOST_FLAGS, str(text), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own text
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with {done.returncode}: {done.stderr}")
    return HostBank(ctypes.CDLL(str(library)))


def _slots(sizes: Spec) -> int:
    return max(int(at.stop) for _, at, _ in fields(sizes))


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _laid_out(values: Floats, offsets: Ints, may_log: npt.NDArray[np.bool_], places: Ints) -> tuple[Floats, Ints]:
    """Return values and logarithms ``(2, steps, S)``, and how many there are of each and zeros ``(3, S)``."""
    counts, steps = np.zeros((3, len(places)), np.int64), 0
    for place in places:
        steps = max(steps, offsets[place + 1] - offsets[place])
    observed = np.zeros((2, steps, len(places)))
    for s in range(len(places)):
        first, positive = offsets[places[s]], may_log[places[s]]
        counts[0, s] = offsets[places[s] + 1] - first
        for t in range(counts[0, s]):
            x = values[first + t]
            observed[0, t, s] = x
            positive = positive and x > 0.0
            counts[2, s] += x == 0.0
            if positive:
                observed[1, t, s] = math.log(x)
                counts[1, s] += 1
    return observed, counts


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _hand_out(voices: Floats, places: Ints, made: Floats) -> None:
    """Put forecasts ``(horizon, voice, S)`` where their series belong; the second channel's come as logarithms."""
    for h in range(voices.shape[0]):
        for voice in range(voices.shape[1]):
            logs = OF_A_CHANNEL <= voice < 2 * OF_A_CHANNEL
            for s in range(len(places)):
                value = voices[h, voice, s]
                made[places[s], h, voice] = math.exp(min(value, LARGEST_EXPONENT)) if logs else value


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _spans(horizon: int) -> Floats:
    """Return how many slopes each damped trend gains by each step, shape ``(TRENDS + HOLTS, horizon)``."""
    trends = len(TREND_DAMPING)
    spans = np.empty((trends + len(HOLT_DAMPING), horizon))
    for g in range(len(spans)):
        damping = TREND_DAMPING[g] if g < trends else HOLT_DAMPING[g - trends]
        for i in range(horizon):
            h = i + 1.0
            spans[g, i] = h if damping == 1.0 else damping * (1.0 - damping**h) / (1.0 - damping)
    return spans
