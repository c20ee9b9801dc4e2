"""Device code: what restricted Python becomes, and that a C compiler and NVRTC give it the bits of numba."""

import hashlib
import os
import pickle
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from ctypes import (
    addressof,
    c_char,
    c_longlong,
    c_uint64,
    c_ulonglong,
    c_void_p,
    memmove,
)
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pulse_assets.numerics.gpu import gpu_problem
from pulse_assets.simulation.engine import BlockResult, simulate
from pulse_assets.simulation.kernel import device, gpu, nvrtc
from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.kernel.device import DEVICE_FLAGS, device_source, probe_source, program_source
from pulse_assets.simulation.kernel.gpu import gpu_simulate
from pulse_assets.simulation.kernel.host import COMPILERS, compile_host, host_simulate
from pulse_assets.simulation.kernel.intrinsics import (
    BOOL,
    F32,
    I32,
    I64,
    LANES,
    U64,
    F32s,
    I64s,
    compiled,
    fma,
    low_word,
    max_,
    min_,
)
from pulse_assets.simulation.kernel.layout import RuleRows
from pulse_assets.simulation.kernel.nvrtc import compile_cuda, find_nvrtc
from pulse_assets.simulation.kernel.philox import key
from pulse_assets.simulation.kernel.translate import c_functions
from pulse_assets.simulation.program import Event, Gravity, Holdings, Program, build
from pulse_assets.simulation.scenarios.shocks import Shocks
from pulse_assets.simulation.world import Jumps, Regimes, Variable, World
from tests.assets.simulation.ptx import c_of_ptx

ASSETS, FACTORS, STEPS, SEED, FIRST, PATHS = 5, 2, 24, 7, 1017, 700
needs_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in COMPILERS), reason=f"no C compiler on PATH ({', '.join(COMPILERS)})"
)


# a world for every part of the kernel


def small_world(assets: int = ASSETS, factors: int = FACTORS, **parts: Any) -> World:
    """Return a world with a full correlation matrix; GARCH only with ``alpha``."""
    assert {"garch"} >= set(parts) - {"regimes", "jumps", "innovations", "nu", "residuals", "block_length"}
    is_moving, count = parts.pop("garch", False), assets + factors
    mixing = np.random.default_rng(1).normal(size=(count, 5))
    covariance = mixing @ mixing.T + 5 * np.eye(count)
    sd = np.sqrt(np.diag(covariance))
    each = np.ones(assets)
    return World(
        tuple(Variable(f"a{i}", "asset", "log return") for i in range(assets))
        + tuple(Variable(f"f{i}", "overlay", "1", low=0.3, high=0.7) for i in range(factors)),
        drift=2e-4 * each,
        omega=(1e-6 if is_moving else 0.0) * each,
        alpha=(0.05 if is_moving else 0.0) * each,
        gamma=(0.05 if is_moving else 0.0) * each,
        beta=(0.9 if is_moving else 1.0) * each,
        variance=1.6e-4 * each,
        level=np.full(factors, 0.5),
        mean=np.full(factors, 0.55),
        phi=np.full(factors, 0.98),
        sigma=np.full(factors, 0.05),
        correlation=covariance / sd / sd[:, None],
        **parts,
    )


def no_shocks(world: World, steps: int = STEPS, **changes: Any) -> Shocks:
    count = len(world.variables)
    parts = {
        "keep": np.ones((steps, count)),
        "add": np.zeros((steps, count)),
        "variance": np.ones(steps),
        "regime": np.full(steps, -1),
        "phase": np.zeros(steps, int),
        "branch": np.zeros(steps, int),
        "correlations": (world.correlation,),
        "disabled": frozenset(),
    }
    return Shocks(**(parts | changes))


def some_shocks(world: World) -> Shocks:
    """Return shocks of every kind: on states, variance, regime and correlation, and a fork."""
    shocks = no_shocks(world)
    shocks.add[3, 0], shocks.keep[4, -1], shocks.variance[5:9] = -0.1, 0.5, 4.0
    shocks.regime[5:9], shocks.phase[10:], shocks.branch[12:] = 1, 1, 3
    stressed = 0.5 * world.correlation + 0.5
    np.fill_diagonal(stressed, 1.0)
    return no_shocks(
        world,
        **{name: getattr(shocks, name) for name in ("add", "keep", "variance", "regime", "phase", "branch")},
        correlations=(world.correlation, stressed),
    )


def two_regimes() -> Regimes:
    transition = np.array([[0.9, 0.1], [0.2, 0.8]])
    return Regimes(("calm", "stressed"), transition, np.array([0.7, 0.3]), np.array([0.8, 1.6]), np.array([0, -1e-4]))


def jumps() -> Jumps:
    return Jumps(np.array([0.1, 0.3]), -0.02, 0.03, np.linspace(0.5, 1.5, ASSETS))


def holdings(policy: str = "hold", assets: int = ASSETS) -> Holdings:
    positions = np.linspace(-0.2, 0.6, assets)
    positions[1] = 0.0
    return Holdings(positions, 1.0, policy, target=0.01, limit=2.0)


def recorded(world: World, *steps: int) -> dict[str, Any]:
    ranges = np.zeros((len(steps), len(world.variables) + H.MEASURES, 2))
    ranges[..., 0], ranges[..., 1] = -0.05, 1 / H.BINS
    return {"recorded": steps, "ranges": ranges}


APPLY_RULES = """
def apply_rules(work: F32s, floats: F32s, counts: I64s, ids: U64s, k0: U64, k1: U64, branch: I64, t: I64,
                steps: I64, valid: I64) -> None:
    draw_uniform_rows(work, I64({uniforms}), ids, k0, k1, I64(5), branch, t, I64(0))
    slot: I64 = (t - I64(2) + I64({depth})) % I64({depth})
    hits: I64 = I64(0)
    if floats[I64({enabled})] > F32(0.0):
        for lane in range(LANES):
            before: F32 = work[at(I64({ring}) + slot, lane)]
            fires: BOOL = (work[at(I64({state}), lane)] < before) & (work[at(I64({uniforms}), lane)] < F32(0.4))
            work[at(I64({mask}), lane)] = F32(1.0) if fires else F32(0.0)
        for lane in range(LANES):
            fired: BOOL = work[at(I64({mask}), lane)] > F32(0.0)
            x: F32 = work[at(I64({state}), lane)]
            work[at(I64({state}), lane)] = min_(x + F32(0.01), F32(0.5)) if fired else x
            h: F32 = work[at(I64({variance}), lane)]
            work[at(I64({variance}), lane)] = h * F32(1.1) if fired else h
            work[at(I64({memory}), lane)] = F32(1.0) if fired else work[at(I64({memory}), lane)]
        for lane in range(valid):
            hits += I64(work[at(I64({mask}), lane)])
    if hits > I64(0):
        add_count(counts, I64({fires}), hits)
        add_count(counts, I64({by_step}) + t, hits)
"""


def one_rule() -> Any:
    """Return a rule with a lag, a probability, effects and counters, as the compiler of rules would hand it over."""

    def source(rows: RuleRows) -> str:
        places = {name: getattr(rows, name) for name in ("uniforms", "depth", "enabled", "mask", "memory", "fires")}
        named = {"ring": rows.ring["a0"], "state": rows.state["a0"], "variance": rows.variance["a1"]}
        return APPLY_RULES.format(**places, **named, by_step=rows.by_step)

    rule = SimpleNamespace(id="rebound")
    return SimpleNamespace(active=(rule,), lags={"a0": 2}, moves_variance=True, source=source)


def program_plain() -> Program:
    world = small_world()
    return build(world, holdings(), no_shocks(world), tracked=False)


def program_everything(*, antithetic: bool = False) -> Program:
    world = small_world(garch=True, regimes=two_regimes(), jumps=jumps())
    seen = Event("deep", "drawdown", 0.02, True, 2, STEPS), Event("low", "a1", -0.01, False, 1, 9)
    return build(world, holdings(), some_shocks(world), events=seen, antithetic=antithetic, **recorded(world, 5, STEPS))


def program_scaled() -> Program:
    world = small_world(regimes=two_regimes(), jumps=jumps())
    return build(world, holdings(), no_shocks(world))


def program_student_t() -> Program:
    world = small_world(innovations="student_t", nu=5)
    return build(world, holdings(), no_shocks(world))


def program_historical() -> Program:
    residuals = np.random.default_rng(2).standard_t(4, size=(60, ASSETS))
    world = small_world(garch=True, innovations="historical", residuals=residuals, block_length=3.0)
    return build(world, holdings(), no_shocks(world))


def program_gravity() -> Program:
    world = small_world(regimes=two_regimes())
    count, rng = ASSETS + FACTORS, np.random.default_rng(3)
    cap = np.where(np.arange(count) % 2, 0.002, 0.0)
    pull = Gravity(rng.normal(size=(count, FACTORS)) / 50, rng.normal(size=(count, 2)) / 500, cap, 12.0)
    return build(world, holdings(), no_shocks(world), gravity=pull, **recorded(world, STEPS))


def program_policy(policy: str) -> Program:
    world = small_world(garch=True, regimes=two_regimes())
    return build(world, holdings(policy), no_shocks(world), **recorded(world, STEPS))


def program_rules() -> Program:
    world = small_world(garch=True)
    return build(world, holdings(), no_shocks(world), rules=one_rule(), **recorded(world, STEPS))


def program_wide() -> Program:
    """Return a program whose state does not fit into a thread's registers, and whose product is not unrolled."""
    world = small_world(device.LARGEST_UNROLLED, 3)
    return build(world, holdings(assets=device.LARGEST_UNROLLED), no_shocks(world, 3))


PROGRAMS: dict[str, Callable[[], Program]] = {
    "plain": program_plain,
    "everything": program_everything,
    "antithetic": lambda: program_everything(antithetic=True),
    "regimes and jumps": program_scaled,
    "student_t": program_student_t,
    "historical": program_historical,
    "gravity": program_gravity,
    "rebalance": lambda: program_policy("rebalance"),
    "volatility_target": lambda: program_policy("volatility_target"),
    "rules": program_rules,
    "wide": program_wide,
}


@lru_cache(maxsize=32)
def expected_of(name: str) -> tuple[Program, BlockResult]:
    program = PROGRAMS[name]()
    return program, simulate(program, SEED, FIRST, PATHS)


def assert_same_bits(left: BlockResult, right: BlockResult) -> None:
    assert np.isfinite(right.outcomes).all()
    same = left.outcomes.view(np.int32) == right.outcomes.view(np.int32)
    assert same.all(), f"{np.sum(~same)} of {same.size} outcomes differ, at first at {np.argwhere(~same)[0]}"
    assert np.array_equal(left.counts, right.counts)


# the C compiler


@needs_compiler
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("is_folded", [True, False], ids=["folded", "read"])
def test_the_c_compiler_gives_the_bits_of_numba(name: str, is_folded: bool) -> None:
    program, expected = expected_of(name)
    assert_same_bits(host_simulate(program, SEED, FIRST, PATHS, is_folded=is_folded), expected)
    assert expected.outcomes[0].std() > 0


def test_the_programs_reach_what_they_are_for() -> None:
    """A comparison of counters that are zero, or of parts that are switched off, would prove nothing."""
    everything, counted = expected_of("everything")
    first = everything.offset(H.AT_EVENT_COUNTS)
    assert (counted.counts[first : first + 2] > 0).all()
    assert counted.counts[everything.offset(H.AT_BROKEN)] == 0
    assert counted.counts[everything.offset(H.AT_HISTOGRAM) :][: H.BINS].sum() == PATHS
    gravity, counted = expected_of("gravity")
    assert (counted.counts[gravity.offset(H.AT_PULL) :][: 2 * (ASSETS + FACTORS)] > 0).sum() == 2 * 3
    rules, counted = expected_of("rules")
    assert rules.rule_rows is not None
    assert 0 < counted.counts[rules.rule_rows.fires] == counted.counts[rules.rule_rows.by_step :][:STEPS].sum()
    kinds = {name: expected_of(name)[0].offset(H.GARCH) for name in ("plain", "regimes and jumps", "everything")}
    assert list(kinds.values()) == [H.FOLDED, H.SCALED, H.RECURSIVE]
    results = {hashlib.sha256(expected_of(name)[1].outcomes.tobytes()).digest() for name in PROGRAMS}
    assert len(results) == len(PROGRAMS)


def takes(flag: str) -> bool:
    compiler = next(found for name in COMPILERS if (found := shutil.which(name)))
    command = [compiler, flag, "-E", "-x", "c", os.devnull]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@needs_compiler
@pytest.mark.parametrize(
    "flags", [("-O0",), ("-O3",), ("-O3", "-march=native"), ("-O3", "-march=x86-64-v3")], ids=" ".join
)
def test_no_level_of_optimisation_changes_a_bit(flags: tuple[str, ...]) -> None:
    if not all(takes(flag) for flag in flags):
        pytest.skip(f"the C compiler does not take {' '.join(flags)}")
    program, expected = expected_of("everything")
    assert_same_bits(host_simulate(program, SEED, FIRST, PATHS, flags), expected)


@pytest.mark.parametrize("name", ["everything", "antithetic"])
@pytest.mark.parametrize("size", [1, 7, 512, 1000])
def test_no_size_of_chunks_changes_a_bit(name: str, size: int) -> None:
    program, paths = PROGRAMS[name](), 40 if size == 1 else 1000
    whole = simulate(program, SEED, FIRST, paths)
    parts = [
        simulate(program, SEED, start, min(size, paths + FIRST - start)) for start in range(FIRST, FIRST + paths, size)
    ]
    outcomes = np.concatenate([part.outcomes for part in parts], axis=1)
    assert_same_bits(BlockResult(FIRST, outcomes, np.sum([part.counts for part in parts], axis=0)), whole)


@needs_compiler
def test_fast_math_is_refused() -> None:
    with pytest.raises(RuntimeError, match="fast math changes the bits of a simulation"):
        compile_host(device_source(300), ("-ffast-math",))


def test_without_a_compiler_the_host_says_what_it_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"no C compiler on PATH; looked for cc, gcc, clang\. Install one"):
        compile_host("no such text")


@needs_compiler
def test_text_that_does_not_compile_is_shown_with_the_command() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)-ffp-contract=off.* failed with 1: .*nonsense"):
        compile_host("nonsense")


@pytest.mark.parametrize("run", [host_simulate, gpu_simulate])
def test_what_device_code_cannot_do_is_refused(run: Callable[..., BlockResult]) -> None:
    world = small_world()
    for switch, words in (("given", "takes given drivers"), ("traced", "keeps every step of its paths")):
        program = build(world, holdings(), no_shocks(world), **{switch: True})
        with pytest.raises(ValueError, match=f"no place for a program that {words}; build it without"):
            run(program, SEED, 0, 10)
    with pytest.raises(ValueError, match="expected 1 or more paths within 0 … 1,099,511,627,776, got 0 from 5 on"):
        run(program_plain(), SEED, 5, 0)


# processors that numba compiles for

DIGEST = """
import hashlib, pickle, sys
from pulse_assets.simulation.engine import simulate
for program in pickle.load(open(sys.argv[1], "rb")):
    result = simulate(program, *map(int, sys.argv[2:]))
    print(hashlib.sha256(result.outcomes.tobytes() + result.counts.tobytes()).hexdigest())
"""


@pytest.mark.parametrize("processor", ["generic", "x86-64-v3"])
def test_no_processor_that_numba_compiles_for_changes_a_bit(processor: str, tmp_path: Path) -> None:
    if processor.startswith("x86") and platform.machine() != "x86_64":
        pytest.skip(f"this is {platform.machine()}")
    expected = [expected_of(name) for name in ("everything", "antithetic", "historical", "plain")]
    path = tmp_path / "programs.pickle"
    path.write_bytes(pickle.dumps([program for program, _ in expected]))
    numbers = [str(number) for number in (SEED, FIRST, PATHS)]
    done = subprocess.run(
        [sys.executable, "-c", DIGEST, str(path), *numbers],
        env=os.environ | {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ""},
        cwd=Path(device.__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    digests = [hashlib.sha256(each.outcomes.tobytes() + each.counts.tobytes()).hexdigest() for _, each in expected]
    assert done.stdout.split() == digests


# NVRTC


def compiled_by_nvrtc(source: str, architecture: str, options: Sequence[str] = DEVICE_FLAGS) -> str:
    """Return PTX; needs NVRTC's library but no driver."""
    if find_nvrtc() is None:
        pytest.skip("no NVRTC; the package nvidia-cuda-nvrtc-cu12 of the extra `dev` brings it on Linux x86-64")
    return compile_cuda(source, architecture, options).ptx


ROUNDED = {"add.rn", "sub.rn", "mul.rn", "div.rn", "sqrt.rn", "fma.rn", "cvt.rn"}
EXACT = {"neg", "abs", "min", "max", "mov", "selp", "setp", "ld", "st"}
"""Operations on float32 that do not round."""
EXACT_CONVERSIONS = {"cvt.rzi.s32", "cvt.rzi.s64"}


def float_operations(ptx: str) -> list[str]:
    return re.findall(r"^\s*(?:@\S+ )?([a-z]\w*(?:\.\w+)*?)\.f32\b", ptx, re.MULTILINE)


@pytest.mark.parametrize("architecture", ["compute_80", "compute_90", "compute_100"])
@pytest.mark.parametrize("name", ["everything", "student_t", "rules"])
def test_cuda_compiles_to_operations_that_round_as_a_cpu_does(name: str, architecture: str) -> None:
    """A bare add.f32 or mul.f32 could still be fused by the driver; one with .rn may not."""
    ptx = compiled_by_nvrtc(program_source(expected_of(name)[0]), architecture)
    assert re.findall(r"\.entry (\w+)", ptx) == ["pulse_paths"]
    operations = float_operations(ptx)
    assert {"fma.rn", "add.rn", "mul.rn", "sqrt.rn"} <= set(operations)
    left = {name for name in operations if name not in ROUNDED | EXACT_CONVERSIONS and name.split(".")[0] not in EXACT}
    assert left == set()
    for word in ("approx", ".ftz", "mad.", ".f64", ".sat", "call", "ex2", "lg2", "rcp"):
        assert word not in ptx, f"{word} in the PTX"


def test_a_minimum_in_ptx_has_one_operand_that_is_a_number() -> None:
    """PTX's min.f32 and our min_ differ for NaN in the second place, and for zeros of both signs; not so here."""
    for name in ("everything", "rules"):
        ptx = compiled_by_nvrtc(program_source(expected_of(name)[0]), "compute_90")
        fixed = set(re.findall(r"mov\.(?:f32|b32)\s+(%f\d+), 0f", ptx))
        for operands in re.findall(r"(?:min|max)\.f32\s+%f\d+, (\S+), (\S+);", ptx):
            assert any(operand.startswith("0f") or operand in fixed for operand in operands), operands


def test_without_the_switch_against_contraction_operations_could_be_fused() -> None:
    source = program_source(expected_of("everything")[0])
    open_to_fusion = float_operations(compiled_by_nvrtc(source, "compute_90", DEVICE_FLAGS[:1]))
    assert DEVICE_FLAGS[1] == "--fmad=false"
    assert {"add", "mul"} <= set(open_to_fusion)


@pytest.mark.parametrize("flag", ["--use_fast_math", "--ftz=true", "--prec-div=false"])
def test_nvrtc_refuses_fast_math(flag: str) -> None:
    with pytest.raises(ValueError, match="fast math changes the bits of a simulation"):
        compiled_by_nvrtc(program_source(expected_of("plain")[0]), "compute_90", (*DEVICE_FLAGS, flag))


@needs_compiler
@pytest.mark.parametrize("name", ["everything", "antithetic", "student_t", "volatility_target", "rules", "wide"])
def test_ptx_that_runs_as_c_gives_the_bits_of_numba(name: str) -> None:
    """What NVRTC made of the kernel, instruction by instruction; only the assembler's last step is not seen here."""
    program, expected = expected_of(name)
    ptx = compiled_by_nvrtc(program_source(program), "compute_90")
    library = compile_host(c_of_ptx(ptx), ("-O1", "-std=gnu99", "-fwrapv", "-fno-strict-aliasing"))
    paths = 60
    outcomes, counts = np.empty((H.OUTCOMES, paths), np.float32), np.zeros(program.counts, np.int64)
    constants = (c_char * program.floats.nbytes).in_dll(library, "pulse_floats")
    memmove(addressof(constants), program.floats.ctypes.data, program.floats.nbytes)
    arrays = [array.ctypes.data for array in (program.floats, program.ints, outcomes, counts)]
    parameters = np.array([FIRST, paths, *map(int, key(SEED)), program.steps, *arrays], np.uint64)
    for path in range(2 * device.THREADS_A_BLOCK):
        place = c_uint64(path // device.THREADS_A_BLOCK), c_uint64(path % device.THREADS_A_BLOCK)
        library.run(*place, c_void_p(parameters.ctypes.data))
    assert np.array_equal(outcomes.view(np.int32), expected.outcomes[:, :paths].view(np.int32))
    assert np.array_equal(counts, simulate(program, SEED, FIRST, paths).counts)


def test_machine_code_of_every_architecture_holds_its_state_in_registers() -> None:
    """A thread of a small world needs no memory of its own, because all places are known when it is compiled."""
    if find_nvrtc() is None:
        pytest.skip("no NVRTC; the package nvidia-cuda-nvrtc-cu12 of the extra `dev` brings it on Linux x86-64")
    for architecture in ("sm_80", "sm_90", "sm_100"):
        log = compile_cuda(program_source(program_plain()), architecture, (*DEVICE_FLAGS, "--ptxas-options=-v")).log
        assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in log


def test_without_nvrtc_the_message_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvrtc, "find_nvrtc", lambda: None)
    with pytest.raises(RuntimeError, match="no NVRTC: install nvidia-cuda-nvrtc-cu12"):
        compile_cuda("", "compute_90")


# the GPU


@pytest.mark.skipif(gpu_problem() is not None, reason=f"no GPU: {gpu_problem()}")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_gpu_has_the_bits_of_numba(name: str) -> None:
    program, expected = expected_of(name)
    assert_same_bits(gpu_simulate(program, SEED, FIRST, PATHS), expected)


@pytest.mark.skipif(gpu_problem() is None, reason="there is a GPU")
def test_without_a_gpu_the_message_says_why() -> None:
    message = f"a simulation on a GPU needs one, but {gpu_problem()}. A CPU gives the same bits: use the device `cpu`"
    with pytest.raises(RuntimeError, match=re.escape(message)):
        gpu_simulate(program_plain(), SEED, 0, 10)


class Pretended:
    """CuPy that is NumPy, whose kernels are the host's: arguments, their types and launches are as on a device."""

    def __init__(self) -> None:
        self.launches: list[tuple[str, int]] = []
        self.constants: list[int] = []
        self.compiled: list[str] = []
        self.is_broken = False

    def module(self) -> ModuleType:
        """Return what stands for CuPy."""
        cupy = ModuleType("cupy")
        cupy.__spec__ = ModuleSpec("cupy", None)
        vars(cupy).update(asarray=np.asarray, asnumpy=np.asarray, zeros=np.zeros, empty=np.empty, RawModule=self._raw)
        vars(cupy).update(cuda=SimpleNamespace(is_available=lambda: True, Device=lambda: SimpleNamespace(id=0)))
        return cupy

    def _raw(self, code: str, options: tuple[str, ...], backend: str) -> SimpleNamespace:
        assert (options, backend) == (DEVICE_FLAGS, "nvrtc")
        self.compiled.append(code)
        copy = SimpleNamespace(copy_from_device_async=lambda _, size: self.constants.append(size))
        return SimpleNamespace(get_function=lambda name: self._kernel(name, code), get_global=lambda _: copy)

    def _kernel(self, name: str, code: str) -> Callable[..., None]:
        library = compile_host(code)

        def launch(grid: tuple[int], block: tuple[int], arguments: tuple[Any, ...]) -> None:
            self.launches.append((name, grid[0] * block[0]))
            kinds = {np.int64: c_longlong, np.uint64: c_ulonglong}
            assert all(type(a) in kinds or a.flags.c_contiguous for a in arguments)
            passed = [
                c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else kinds[type(a)](int(a)) for a in arguments
            ]
            getattr(library, name)(*passed)
            if name == "pulse_probe" and self.is_broken:
                arguments[1][0] += 1

        return launch


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pretended]:
    pretended = Pretended()
    monkeypatch.setitem(sys.modules, "cupy", pretended.module())
    for cache in (gpu.check_device, gpu._compiled):
        cache.cache_clear()
    yield pretended
    for cache in (gpu.check_device, gpu._compiled):
        cache.cache_clear()
    gpu._loaded.clear()


@needs_compiler
def test_a_gpu_is_asked_for_known_answers_once_and_launched_in_pieces(
    pretended: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "PATHS_AT_ONCE", 300)
    program, expected = PROGRAMS["everything"](), expected_of("everything")[1]
    assert_same_bits(gpu_simulate(program, SEED, FIRST, PATHS), expected)
    assert pretended.launches == [("pulse_probe", 1), *[("pulse_paths", n) for n in (384, 384, 128)]]
    assert pretended.constants == [program.floats.nbytes] * 3
    gpu_simulate(PROGRAMS["everything"](), SEED + 1, FIRST, 10)
    assert pretended.compiled == [probe_source(), program_source(program)], (
        "a program of the same shape is not compiled"
    )


@needs_compiler
def test_a_gpu_that_draws_wrong_words_is_refused(pretended: Pretended) -> None:
    pretended.is_broken = True
    with pytest.raises(
        RuntimeError, match=r"device 0 draws d16cfe0a 94fdcceb .* Philox4x32-10 gives d16cfe09 .* on the CPU"
    ):
        gpu_simulate(program_plain(), SEED, 0, 10)


def test_parameters_beyond_constant_memory_stay_in_global_memory() -> None:
    world = small_world(garch=True, innovations="historical", residuals=np.ones((4000, ASSETS)))
    assert "#define PULSE_FLOATS 0\n" in program_source(build(world, holdings(), no_shocks(world)))
    plain = program_plain()
    assert f"#define PULSE_FLOATS {len(plain.floats)}\n" in program_source(plain)


def test_what_never_changes_is_written_in_and_what_does_is_read() -> None:
    folded, read = program_source(program_plain()), device_source(program_plain().rows)
    assert read.count("ints[") > 100
    assert set(re.findall(r"ints\[[^\]]*\]", folded.split("pulse_run_block")[1])) == set()
    forked = program_source(program_everything())
    assert len(re.findall(r"ints\[\(place \+ \dLL\)\]", forked)) > len(re.findall(r"ints\[\(place \+ \dLL\)\]", folded))
    kernels = [Path(device.__file__).with_name(name).read_text(encoding="utf-8") for name in ("block.py", "keeping.py")]
    for text in device.STEP_READS:
        assert any(text in kernel for kernel in kernels), text


# the language

TWO, LIMIT = F32(2.0), 3


@compiled
def every_statement(numbers: F32s, whole: I64s, count: I64) -> None:
    """A docstring leaves no trace."""
    for i in range(count):
        x: F32 = numbers[i]
        if x > TWO:
            x = x / TWO
        elif (x < F32(-1.0)) | (x == F32(0.25)):
            x -= F32(0.1)
        else:
            x = fma(x, x, -TWO) if not x < F32(0.5) else min_(x, F32(0.125))
        numbers[i] = max_(x, -TWO * F32(3.0))
    for i in range(1, count, 2):
        whole[i] += (whole[i - 1] // 3) % 5 + (whole[i] << 2) - (whole[i] >> 1)
    total: I64 = I64(0)
    for _ in range(LIMIT):
        total += whole[0] ^ I64(5)
    word: U64 = (U64(total) * U64(0x9E3779B97F4A7C15)) & ~U64(1)
    whole[0] = I64(low_word(word >> U64(7))) + I64(I32(2))
    is_large: BOOL = (total > 3) & (count != 0)
    numbers[0] = numbers[0] if is_large else F32(LANES - LANES)
    if count < 0:
        pass


def test_every_statement_becomes_one_of_c() -> None:
    assert c_functions(every_statement).rpartition("\n\n")[2] == (
        """PULSE_DEVICE void pulse_every_statement(float *numbers, long long *whole, long long count)
{
    for (long long i = 0; i < count; i += 1) {
        float x = numbers[i];
        if ((x > 0x1.0000000000000p+1f)) {
            x = (x / 0x1.0000000000000p+1f);
        }
        else {
            if (((x < ((float)((-0x1.0000000000000p+0f)))) | (x == ((float)(0x1.0000000000000p-2f))))) {
                x -= ((float)(0x1.99999a0000000p-4f));
            }
            else {
                x = ((!(x < ((float)(0x1.0000000000000p-1f)))) ? pulse_fma(x, x, (-0x1.0000000000000p+1f))"""
        """ : pulse_min_(x, ((float)(0x1.0000000000000p-3f))));
            }
        }
        numbers[i] = pulse_max_(x, ((-0x1.0000000000000p+1f) * ((float)(0x1.8000000000000p+1f))));
    }
    for (long long i = 1LL; i < count; i += 2LL) {
        whole[i] += ((((whole[(i - 1LL)] / 3LL) % 5LL) + (whole[i] << 2LL)) - (whole[i] >> 1LL));
    }
    long long total = ((long long)(0LL));
    for (long long unused = 0; unused < 3LL; unused += 1) {
        total += (whole[0LL] ^ ((long long)(5LL)));
    }
    unsigned long long word = ((((unsigned long long)(total)) * ((unsigned long long)(11400714819323198485LL)))"""
        """ & (~((unsigned long long)(1LL))));
    whole[0LL] = (((long long)(pulse_low_word((word >> ((unsigned long long)(7LL)))))) + ((long long)(((int)(2LL)))));
    int is_large = ((total > 3LL) & (count != 0LL));
    numbers[0LL] = (is_large ? numbers[0LL] : ((float)((1LL - 1LL))));
    if ((count < 0LL)) {
    }
}"""
    )


@needs_compiler
def test_every_statement_has_the_bits_of_numba() -> None:
    text = device.HEAD + c_functions(every_statement)
    text += "\nvoid run(float *a, long long *b, long long n) { pulse_every_statement(a, b, n); }"
    rng = np.random.default_rng(4)
    numbers, whole = rng.normal(size=500).astype(np.float32) * 2, rng.integers(0, 1000, 500)
    theirs = numbers.copy(), whole.copy()
    every_statement(numbers, whole, 500)
    compile_host(text).run(*(c_void_p(array.ctypes.data) for array in theirs), c_longlong(500))
    assert np.array_equal(numbers.view(np.int32), theirs[0].view(np.int32))
    assert np.array_equal(whole, theirs[1])


def uses_while(x: I64) -> None:
    while x > 0:
        x -= 1


def uses_power(x: F32) -> F32:
    return x**2


def raises_in_place(x: F32) -> None:
    x **= 2


def compares_twice(x: F32) -> BOOL:
    return 0 < x < 1


def asks_membership(x: F32, numbers: F32s) -> BOOL:
    return x in numbers


def takes_a_slice(numbers: F32s) -> None:
    numbers[0:2] = numbers[2:4]


def calls_a_method(numbers: F32s) -> None:
    numbers.fill(0)


def unpacks(x: F32, y: F32) -> None:
    x, y = y, x


def passes_by_name(x: F32) -> F32:
    return min_(a=x, b=x)


def has_no_annotation(x):  # noqa: ANN001, ANN201
    return x


def has_an_unknown_type(x: float) -> F32:
    return F32(x)


def sets_without_a_type(x: F32) -> F32:
    y = x
    return fma(y, y, y)


def hides_a_constant(x: F32) -> F32:
    TWO: F32 = x + x  # noqa: N806
    return TWO


def uses_nan(x: F32) -> F32:
    return x + NAN


def calls_unknown(x: F32) -> F32:
    return nowhere(x)  # noqa: F821


NAN = F32(np.nan)


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (uses_while, r"uses_while, line 2: restricted Python has no 'while x > 0"),
        (uses_power, r"uses_power, line 2: restricted Python has no 'x \*\* 2'"),
        (raises_in_place, r"raises_in_place, line 2: restricted Python has no 'x \*\*= 2'"),
        (compares_twice, r"compares_twice, line 2: restricted Python has no '0 < x < 1'"),
        (asks_membership, r"asks_membership, line 2: restricted Python has no 'x in numbers'"),
        (takes_a_slice, r"takes_a_slice, line 2: restricted Python has no '0:2'"),
        (calls_a_method, r"calls_a_method, line 2: restricted Python has no 'numbers.fill\(0\)'"),
        (unpacks, r"unpacks, line 2: restricted Python has no '\(x, y\)'"),
        (passes_by_name, r"passes_by_name, line 2: restricted Python has no 'min_\(a=x, b=x\)'"),
        (has_no_annotation, r"has_no_annotation, line 1: expected a type out of F32, .* got ''"),
        (has_an_unknown_type, r"has_an_unknown_type, line 1: expected a type out of F32, .* got 'float'"),
        (sets_without_a_type, r"sets_without_a_type, line 2: expected a type where y is first set, such as y: F32 = …"),
        (uses_nan, "no C literal for NaN: its bits differ between processors"),
        (calls_unknown, "calls_unknown: nowhere is not a kernel that can be called from here"),
    ],
)
def test_what_is_not_in_the_language_is_refused_with_its_place(kernel: Callable[..., object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        c_functions(kernel)


def test_a_local_hides_a_constant_of_its_name() -> None:
    assert "float TWO = (x + x);\n    return TWO;" in c_functions(hides_a_constant)
