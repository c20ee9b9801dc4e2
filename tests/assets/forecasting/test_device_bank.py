"""The twin of the filter bank: bit for bit the CPU's where a C compiler builds it, and text that CUDA takes."""

import ctypes
import importlib.util
import re
import shutil
import sys
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pulse_assets.forecasting import bank as cpu
from pulse_assets.forecasting.device import FIELDS, LANES, VOICES, device_source
from pulse_assets.forecasting.device.bank import (
    COMPILERS,
    DEVICE_FLAGS,
    THREADS_A_BLOCK,
    DeviceBank,
    HostBank,
    compile_host,
)
from pulse_assets.forecasting.walk import walk
from pulse_assets.forecasting.walk_state import COUNT, MEMBERS, Spec, State, anchors_of, new_state, spec
from pulse_resources.compute import gpu_problem

Floats = np.ndarray
EXACT = {"abs", "neg", "mov", "selp", "setp", "ld", "st"}
ROUNDED = {"add.rn", "sub.rn", "mul.rn", "div.rn", "rcp.rn", "cvt.rn"}
"""Operations on doubles that IEEE 754 leaves no freedom: without rounding, or rounded to the nearest."""
needs_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in COMPILERS), reason=f"no C compiler on PATH ({', '.join(COMPILERS)})"
)
EACH_STEP = """
void each_level(double x, long long t, double slope, double *level, double *loss, double *lag)
{
    for (int g = 0; g < PULSE_LEVELS; ++g) {
        double own[PULSE_SHARES];
        for (int k = 0; k < PULSE_SHARES; ++k) own[k] = loss[k * PULSE_LEVELS + g];
        pulse_step_level(x, t, g, slope, level + g, own, lag + g);
        for (int k = 0; k < PULSE_SHARES; ++k) loss[k * PULSE_LEVELS + g] = own[k];
    }
}
void each_trend(double x, long long t, double *level, double *slope, double *loss)
{
    for (int g = 0; g < PULSE_TRENDS; ++g) pulse_step_trend(x, t, g, level + g, slope + g, loss + g);
}
void each_season(double x, double first, double slope, double *level, double *season, double *loss, double *lag)
{
    for (int g = 0; g < PULSE_SEASONS; ++g) {
        double own[2] = {loss[g], loss[PULSE_SEASONS + g]};
        pulse_step_season_level(x, g, first, slope, level + g, season + g, own, lag + g);
        loss[g] = own[0], loss[PULSE_SEASONS + g] = own[1];
    }
}
void each_holt(double x, double first, double *level, double *slope, double *season, double *loss)
{
    for (int g = 0; g < PULSE_HOLTS; ++g) pulse_step_holt(x, g, first, level + g, slope + g, season + g, loss + g);
}
void each_demand(double x, long long t, double *size, double *chance, double *loss)
{
    for (int g = 0; g < PULSE_DEMANDS; ++g) pulse_step_demand(x, t, g, size + g, chance + g, loss + g);
}
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> HostBank:
    """The header as the C compiler of this machine builds it."""
    return compile_host(tmp_path_factory.mktemp("bank"), EACH_STEP)


def assert_same_bits(left: Floats, right: Floats, what: str = "") -> None:
    """Compare doubles bit by bit; any NaN equals any other."""
    assert left.shape == right.shape
    same = (np.ascontiguousarray(left).view(np.int64) == np.ascontiguousarray(right).view(np.int64)) | (
        np.isnan(left) & np.isnan(right)
    )
    assert same.all(), f"{what}: {np.sum(~same)} of {same.size} numbers differ, at first at {np.argwhere(~same)[0]}"


def packed(series: list[Floats]) -> tuple[Floats, Floats]:
    return np.concatenate([np.zeros(0), *series]), np.cumsum([0, *(len(y) for y in series)])


def walked(values: Floats, offsets: Floats, may_log: Floats, sizes: Spec) -> tuple[Floats, State]:
    """Return what the CPU's walk says at the end of each series, the filters' part, and its state."""
    count, anchors = len(offsets) - 1, anchors_of(sizes.horizon)
    state, made = new_state(count, sizes), np.full((count, sizes.horizon, COUNT + 1), np.nan)
    others = (
        np.zeros((count, COUNT)),
        np.zeros((count, len(anchors))),
        np.zeros((count, 7)),
        np.zeros((count, sizes.horizon)),
    )
    walk(values, offsets, may_log, np.arange(count + 1), np.diff(offsets), state, sizes, anchors, made, *others)
    return np.asarray(made[:, :, [MEMBERS.index(voice) for voice in VOICES]]), state


def series_of(kind: str, rng: np.random.Generator, length: int) -> Floats:
    t = np.arange(length)
    if kind == "seasonal":
        return np.asarray(50 + 0.1 * t + 10 * np.sin(t * np.pi / 6) + rng.normal(0, 1, length))
    if kind == "two seasons":
        return np.exp(3 + 0.3 * np.sin(t * 2 * np.pi / 7) + 0.2 * np.cos(t * np.pi / 15) + rng.normal(0, 0.1, length))
    if kind == "negative":
        return rng.normal(-3, 1, length).cumsum()
    if kind == "late zero":  # has logarithms until then
        return np.where(t == length - 3, 0.0, rng.uniform(1, 2, length))
    if kind == "a tenth zero":
        return np.where(t % 10 == 4, 0.0, rng.uniform(1, 2, length))
    if kind == "zeros":
        return np.asarray(rng.poisson(0.3, length), float)
    return np.full(length, {"constant": 7.3, "all zero": 0.0, "tiny": 1e-310, "huge": 1e305}[kind])


KINDS = (
    "seasonal",
    "two seasons",
    "negative",
    "late zero",
    "a tenth zero",
    "zeros",
    "constant",
    "all zero",
    "tiny",
    "huge",
)
SIZES = (spec(12, 0, 18), spec(7, 30, 14), spec(1, 0, 6), spec(24, 168, 48), spec(0, 5, 3))


def panel(seed: int) -> tuple[Floats, Floats, Floats]:
    """Return series of every kind and of lengths on both sides of every threshold, and which may use logarithms."""
    rng = np.random.default_rng(seed)
    lengths = [*range(1, 9), 13, 14, 15, 16, 23, 24, 25, 26, 59, 60, 61, 62, 340, 700]
    series = [series_of(kind, rng, length) for kind in KINDS for length in lengths]
    return *packed(series), rng.random(len(series)) < 0.8


@needs_compiler
@pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: f"{sizes.season}-{sizes.season_2}-{sizes.horizon}")
def test_forecasts_and_states_have_the_bits_of_the_walk(host: HostBank, sizes: Spec) -> None:
    values, offsets, may_log = panel(1)
    expected, expected_state = walked(values, offsets, may_log, sizes)
    state = new_state(len(offsets) - 1, sizes)
    assert_same_bits(host.run(values, offsets, may_log, sizes, state), expected, "forecasts")
    for name in FIELDS:
        assert_same_bits(getattr(state, name), getattr(expected_state, name), name)
    logs = slice(len(VOICES) // 2, -1)
    assert np.isfinite(expected[:, :, :4]).any()
    assert np.isfinite(expected[:, :, logs]).any()


@needs_compiler
def test_batches_do_not_change_a_bit(host: HostBank) -> None:
    values, offsets, may_log = panel(2)
    small = HostBank(host.library, bytes_at_once=300_000)
    assert_same_bits(small.run(values, offsets, may_log, SIZES[1]), host.run(values, offsets, may_log, SIZES[1]))


@needs_compiler
def test_an_empty_series_and_an_empty_panel_say_nothing(host: HostBank) -> None:
    values, offsets = packed([np.zeros(0), np.arange(30.0), np.zeros(0)])
    made = host.run(values, offsets, np.ones(3, bool), SIZES[0])
    assert np.isnan(made[[0, 2]]).all()
    assert_same_bits(made[1:2], walked(values, np.array([0, 30]), np.ones(1, bool), SIZES[0])[0])
    assert host.run(np.zeros(0), np.zeros(1, np.int64), np.ones(0, bool), SIZES[0]).shape == (0, 18, len(VOICES))


numbers = st.floats(-1e120, 1e120)


@needs_compiler
@given(data=st.data(), x=numbers | st.just(0.0), slope=numbers, t=st.integers(0, 10**6))
@settings(max_examples=100)
def test_every_step_has_the_bits_of_the_numba_kernel(
    host: HostBank, data: st.DataObject, x: float, slope: float, t: int
) -> None:
    first = 1.0 / (t + 3.0)

    def agree(step: Callable[..., None], twin: str, before: tuple[float, ...], *shapes: tuple[int, ...]) -> None:
        """Run a numba step, given its arguments, and its twin on equal arrays."""
        mine = [data.draw(arrays(float, shape, elements=numbers)) for shape in shapes]
        theirs = [array.copy() for array in mine]
        step(*mine)
        passed = [ctypes.c_longlong(a) if isinstance(a, int) else ctypes.c_double(a) for a in before]
        getattr(host.library, twin)(*passed, *(ctypes.c_void_p(array.ctypes.data) for array in theirs))
        for a, b in zip(mine, theirs, strict=True):
            assert_same_bits(a, b, twin)

    level, share, trend, season, holt = cpu.LEVELS, cpu.SHARES, cpu.TRENDS, cpu.SEASONS, cpu.HOLTS
    agree(
        lambda *a: cpu.step_levels(x, t, 0, *a, slope),
        "each_level",
        (x, t, slope),
        (1, level),
        (1, share, level),
        (1, level),
    )
    agree(lambda *a: cpu.step_trends(x, t, 0, *a), "each_trend", (x, t), (1, trend), (1, trend), (1, trend))
    agree(
        lambda *a: cpu.step_season_levels(x, 0, 0, 0, first, *a, slope),
        "each_season",
        (x, first, slope),
        *((1, 1, season), (1, 1, 1, season), (1, 1, 2, season), (1, 1, season)),
    )
    agree(
        lambda *a: cpu.step_holts(x, 0, 0, 0, first, *a),
        "each_holt",
        (x, first),
        *((1, 1, holt), (1, 1, holt), (1, 1, 1, holt), (1, 1, holt)),
    )
    agree(lambda *a: cpu.step_demand(x, t, *a), "each_demand", (x, t), *((cpu.DEMANDS,),) * 3)


def compiled_by_nvrtc(source: str, *options: str) -> str:
    """Return PTX; needs NVRTC's library but no driver."""
    package = importlib.util.find_spec("nvidia") and importlib.util.find_spec("nvidia.cuda_nvrtc")
    folders = [Path(folder) for folder in (package.submodule_search_locations or ())] if package else []
    found = [path for folder in folders for path in folder.glob("lib/libnvrtc.so.*") if "alt" not in path.name]
    if not found:
        pytest.skip("no NVRTC; the package nvidia-cuda-nvrtc-cu12 of the extra `dev` brings it on Linux x86-64")
    nvrtc, program, size = ctypes.CDLL(str(found[0])), ctypes.c_void_p(), ctypes.c_size_t()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"bank.cu", 0, None, None) == 0
    passed = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    failed = nvrtc.nvrtcCompileProgram(program, len(options), passed)
    what = "ProgramLog" if failed else "PTX"
    assert getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)) == 0
    text = ctypes.create_string_buffer(size.value)
    assert getattr(nvrtc, f"nvrtcGet{what}")(program, text) == 0
    assert nvrtc.nvrtcDestroyProgram(ctypes.byref(program)) == 0
    assert not failed, text.value.decode()
    return text.value.decode()


@pytest.mark.parametrize("architecture", ["compute_80", "compute_90"])
def test_cuda_compiles_the_header_to_operations_that_round_as_a_cpu_does(architecture: str) -> None:
    """A bare add.f64 or mul.f64 could still be fused by the driver; one with .rn may not."""
    ptx = compiled_by_nvrtc(device_source(), f"--gpu-architecture={architecture}", *DEVICE_FLAGS)
    assert set(re.findall(r"\.entry (\w+)", ptx)) == {"pulse_walk", "pulse_emit"}
    operations = set(re.findall(r"^\s*(?:@\S+ )?(\w[\w.]*)\.f64\b", ptx, re.MULTILINE))
    assert {"add.rn", "mul.rn", "div.rn"} <= operations
    assert {name for name in operations - ROUNDED if name.split(".")[0] not in EXACT} == set()
    assert "call" not in ptx
    grids = re.findall(r"\.const \.align 8 \.b8 (\w+)\[\d+\] = \{([\d, ]+)\}", ptx)
    assert len(grids) == len(re.findall(r"PULSE_GRID \w+\[\] =", device_source())) == 14
    for name, grid in grids:
        assert_same_bits(np.frombuffer(bytes(map(int, grid.split(","))), float), getattr(cpu, name), name)


@pytest.mark.skipif(gpu_problem() is not None, reason=f"no GPU: {gpu_problem()}")
@pytest.mark.parametrize("sizes", SIZES[:2], ids=["one season", "two seasons"])
def test_a_gpu_has_the_bits_of_the_walk(sizes: Spec) -> None:
    values, offsets, may_log = panel(3)
    expected, expected_state = walked(values, offsets, may_log, sizes)
    state = new_state(len(offsets) - 1, sizes)
    assert_same_bits(DeviceBank().run(values, offsets, may_log, sizes, state), expected, "forecasts")
    for name in FIELDS:
        assert_same_bits(getattr(state, name), getattr(expected_state, name), name)


@needs_compiler
def test_the_device_bank_launches_a_thread_for_every_filter(host: HostBank, monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy is NumPy here, and its kernels are the host's: arguments, their types and the launch are as on a device."""
    launched: dict[str, int] = {}

    def kernel(name: str, grid: tuple[int], block: tuple[int], arguments: tuple[Any, ...]) -> None:
        launched[name] = grid[0] * block[0]
        assert all(isinstance(a, np.int64) or (a.flags.c_contiguous and a.itemsize == 8) for a in arguments)
        host._launch(name, 0, *(int(a) if isinstance(a, np.int64) else a for a in arguments))

    def raw_module(code: str, options: tuple[str, ...], backend: str) -> SimpleNamespace:
        assert (code, options, backend) == (device_source(), DEVICE_FLAGS, "nvrtc")
        return SimpleNamespace(get_function=lambda name: partial(kernel, name))

    cupy = ModuleType("cupy")
    cupy.__spec__ = ModuleSpec("cupy", None)
    vars(cupy).update(asarray=np.asarray, asnumpy=np.asarray, zeros=np.zeros, full=np.full, RawModule=raw_module)
    vars(cupy).update(cuda=SimpleNamespace(is_available=lambda: True))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    values, offsets, may_log = panel(4)
    series = len(offsets) - 1
    expected, _ = walked(values, offsets, may_log, SIZES[0])
    assert_same_bits(DeviceBank().run(values, offsets, may_log, SIZES[0]), expected)
    assert LANES * series <= launched["pulse_walk"] < LANES * series + THREADS_A_BLOCK
    assert 3 * series <= launched["pulse_emit"] < 3 * series + THREADS_A_BLOCK


@pytest.mark.skipif(gpu_problem() is None, reason="there is a GPU")
def test_without_a_gpu_the_device_bank_says_why_in_the_words_of_compute() -> None:
    with pytest.raises(RuntimeError, match=re.escape(f"needs a GPU, but {gpu_problem()}. Without a GPU the walk")):
        DeviceBank()


def test_without_a_compiler_the_host_bank_says_what_it_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="no C compiler on PATH; looked for cc, gcc, clang"):
        compile_host(tmp_path)


@needs_compiler
def test_text_that_does_not_compile_is_shown_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)-ffp-contract=off.* failed with 1: .*nonsense"):
        compile_host(tmp_path, "nonsense")
