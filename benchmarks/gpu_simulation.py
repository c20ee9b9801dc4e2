"""Simulation on a GPU: the CPU's bits, speed, peers: ``python -m benchmarks.gpu_simulation [--paths N] [--json]``.

Needs a checkout, NumPy, Numba and CuPy, and a CUDA device; PyTorch and JAX join as peers where they are installed. W1
is 64 assets with a full correlation matrix over 252 steps, whose portfolio is valued at the end; the full world adds
GARCH, two regimes, jumps, eight overlays, drawdowns and twelve recorded histograms. Outcomes and counts of a sample of
paths are compared with the CPU's bit by bit, and the script fails where one differs. Seconds are wall time of whole
calls, to outcomes in the memory of the host. Peers do W1 on the same card in the same run.

Without a card it says so. ``--compile-only`` compiles for sm_80, sm_90 and sm_100 with NVRTC, which needs no card, and
prints registers and spills.
"""

import argparse
import importlib
import importlib.util
import json
import re
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from pulse_assets.numerics.gpu import gpu_problem
from pulse_assets.simulation.engine import simulate
from pulse_assets.simulation.kernel import header as H  # noqa: N812 - a namespace of constants
from pulse_assets.simulation.kernel.device import DEVICE_FLAGS, program_source
from pulse_assets.simulation.kernel.gpu import gpu_simulate
from pulse_assets.simulation.kernel.nvrtc import compile_cuda, find_nvrtc
from pulse_assets.simulation.program import Holdings, Program, build
from pulse_assets.simulation.scenarios.shocks import Shocks
from pulse_assets.simulation.world import Floats, Jumps, Regimes, Variable, World

ASSETS, OVERLAYS, STEPS, SEED = 64, 8, 252, 20_240_628
VOLATILITY, DRIFT = 0.2, 0.02
SAMPLE = 1536
"""Paths that are compared with the CPU."""
PEER_PATHS = 2**17
"""Paths of a peer at once, which keeps 32 MiB a variable of state."""
LANES_A_PROCESSOR = 128
"""Four schedulers of a multiprocessor issue an instruction for 32 threads each clock, on sm_70 and later."""
INSTRUCTIONS = {"w1": 139.0, "world": 199.0}
"""Instructions an asset-step (the world's: a variable and step), counted on 2026-11-25 by running the PTX that NVRTC
12.9 makes for compute_90; machine code of sm_90 has as many within 3 %."""
ARCHITECTURES = ("sm_80", "sm_90", "sm_100")


class Rows(Protocol):
    """What :class:`benchmarks.report.Report` is, which needs packages that a bare machine may lack."""

    rows: list[dict[str, object]]

    def add(self, metric: str, value: float, unit: str, peer: str = "", note: str = "") -> None:
        """Add one figure."""

    def print(self) -> None:
        """Print all."""


class PlainRows:
    """Rows without anything installed: one JSON object with ``--json``, else lines."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[dict[str, object]] = []

    def add(self, metric: str, value: float, unit: str, peer: str = "", note: str = "") -> None:
        """Add one figure."""
        self.rows.append({"metric": metric, "value": round(value, 4), "unit": unit, "peer": peer, "note": note})

    def print(self) -> None:
        """Print all."""
        if "--json" in sys.argv:
            sys.stdout.write(json.dumps({"name": self.name, "rows": self.rows}) + "\n")
        else:
            sys.stdout.writelines("  ".join(str(value) for value in row.values()) + "\n" for row in self.rows)


def new_rows(name: str) -> Rows:
    """Return the report of the other benchmarks, or a plain one where its packages are missing."""
    if all(importlib.util.find_spec(package) for package in ("psutil", "rich")):
        return importlib.import_module("benchmarks.report").Report(name)  # type: ignore[no-any-return]
    return PlainRows(name)


def correlation(count: int) -> Floats:
    """Return a full correlation matrix."""
    mixing = np.random.default_rng(1).normal(size=(count, 5))
    covariance = mixing @ mixing.T + 5 * np.eye(count)
    sd = np.sqrt(np.diag(covariance))
    return np.asarray(covariance / sd / sd[:, None])


def world_of(*, is_full: bool) -> World:
    """Return W1's world, or the full one."""
    factors, each = OVERLAYS if is_full else 0, np.ones(ASSETS)
    variance = VOLATILITY**2 / STEPS
    transition = np.array([[0.98, 0.02], [0.05, 0.95]])
    both = Regimes(("calm", "stressed"), transition, np.array([0.7, 0.3]), np.array([0.8, 1.6]), np.array([0.0, -1e-4]))
    return World(
        tuple(Variable(f"a{i}", "asset", "log return") for i in range(ASSETS))
        + tuple(Variable(f"f{i}", "overlay", "1", low=0.0, high=1.0) for i in range(factors)),
        drift=(DRIFT / STEPS - variance / 2) * each,
        omega=(1e-6 if is_full else 0.0) * each,
        alpha=(0.05 if is_full else 0.0) * each,
        gamma=(0.05 if is_full else 0.0) * each,
        beta=(0.9 if is_full else 1.0) * each,
        variance=variance * each,
        level=np.full(factors, 0.5),
        mean=np.full(factors, 0.5),
        phi=np.full(factors, 0.98),
        sigma=np.full(factors, 0.02),
        correlation=correlation(ASSETS + factors),
        regimes=both if is_full else None,
        jumps=Jumps(np.full(2, 0.01), -0.02, 0.03, each) if is_full else None,
    )


def program_of(*, is_full: bool) -> Program:
    """Return the program of W1, or of the full world."""
    world, months = world_of(is_full=is_full), tuple(range(21, STEPS + 1, 21)) if is_full else ()
    count = len(world.variables)
    still = Shocks(
        keep=np.ones((STEPS, count)),
        add=np.zeros((STEPS, count)),
        variance=np.ones(STEPS),
        regime=np.full(STEPS, -1),
        phase=np.zeros(STEPS, np.int64),
        correlations=(world.correlation,),
        branch=np.zeros(STEPS, np.int64),
    )
    ranges = np.zeros((len(months), count + H.MEASURES, 2))
    ranges[..., 0], ranges[..., 1] = -1.0, 2.0 / H.BINS
    holdings = Holdings(np.full(ASSETS, 1 / ASSETS), 1.0)
    return build(world, holdings, still, recorded=months, ranges=ranges, tracked=is_full)


def equal_paths(program: Program) -> int:
    """Return how many sampled paths have the CPU's bits; fail if one has not, or a counter differs."""
    expected = simulate(program, SEED, 0, SAMPLE)
    made = gpu_simulate(program, SEED, 0, SAMPLE)
    same = np.all(made.outcomes.view(np.int32) == expected.outcomes.view(np.int32), axis=0)
    if not same.all():
        raise SystemExit(
            f"{int(np.sum(~same))} of {SAMPLE} paths differ from the CPU's, at first {int(np.argmin(same))}"
        )
    if not np.array_equal(made.counts, expected.counts):
        raise SystemExit(f"{int(np.sum(made.counts != expected.counts))} counters differ from the CPU's")
    return int(same.sum())


def seconds(run: Callable[[], object], rounds: int) -> float:
    """Return the median wall time of a call, after one that compiles and warms up."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def issue_bound(cupy: Any, instructions: float) -> float:  # noqa: ANN401 - CuPy has no types
    """Return the asset-steps a second at which every scheduler of the card issues at every clock."""
    attributes = cupy.cuda.Device().attributes
    clock_hz = 1e3 * attributes["ClockRate"]
    return float(attributes["MultiProcessorCount"] * LANES_A_PROCESSOR * clock_hz / instructions)


def cupy_peer(chol: Floats, shift: float, paths: int) -> Callable[[], Floats]:
    """Return W1 in CuPy with a kernel for each operation: normals, sgemm, sum."""
    cupy = importlib.import_module("cupy")
    factor, generator = cupy.asarray(chol.T, np.float32), cupy.random.Generator(cupy.random.Philox4x3210(SEED))

    def run() -> Floats:
        values = []
        for start in range(0, paths, PEER_PATHS):
            x = cupy.zeros((min(PEER_PATHS, paths - start), ASSETS), np.float32)
            for _ in range(STEPS):
                x += generator.standard_normal(x.shape, np.float32) @ factor
                x += np.float32(shift)
            values.append(cupy.asnumpy(cupy.exp(x).mean(axis=1)))
        return np.concatenate(values)

    return run


def torch_peer(chol: Floats, shift: float, paths: int) -> Callable[[], Floats]:
    """Return W1 in PyTorch, in place."""
    torch: Any = importlib.import_module("torch")
    if not torch.cuda.is_available():
        raise ImportError("PyTorch sees no CUDA device")
    factor = torch.tensor(np.ascontiguousarray(chol.T), dtype=torch.float32, device="cuda")
    torch.backends.cuda.matmul.allow_tf32 = False

    def run() -> Floats:
        values = []
        for start in range(0, paths, PEER_PATHS):
            x = torch.zeros((min(PEER_PATHS, paths - start), ASSETS), device="cuda")
            z = torch.empty_like(x)
            for _ in range(STEPS):
                x.addmm_(z.normal_(), factor).add_(shift)
            values.append(torch.exp(x).mean(dim=1).cpu().numpy())
        return np.concatenate(values)

    return run


def jax_peer(chol: Floats, shift: float, paths: int) -> Callable[[], Floats]:
    """Return W1 in JAX: a compiled scan over steps."""
    jax: Any = importlib.import_module("jax")
    if jax.default_backend() != "gpu":
        raise ImportError("JAX sees no CUDA device")
    factor, many = jax.numpy.asarray(chol.T, jax.numpy.float32), min(PEER_PATHS, paths)

    @jax.jit  # type: ignore[untyped-decorator]
    def part(key: Any) -> Any:  # noqa: ANN401 - JAX is not a dependency
        def step(x: Any, step_key: Any) -> tuple[Any, None]:  # noqa: ANN401
            z = jax.random.normal(step_key, (many, ASSETS), jax.numpy.float32)
            return x + jax.numpy.matmul(z, factor, precision="highest") + shift, None

        start = jax.numpy.zeros((many, ASSETS), jax.numpy.float32)
        return jax.numpy.exp(jax.lax.scan(step, start, jax.random.split(key, STEPS))[0]).mean(axis=1)

    def run() -> Floats:
        keys = jax.random.split(jax.random.PRNGKey(SEED), -(-paths // many))
        return np.concatenate([np.asarray(part(key)) for key in keys])[:paths]

    return run


PEERS = {"CuPy, a kernel an operation": cupy_peer, "PyTorch": torch_peer, "JAX": jax_peer}


def add_peers(report: Rows, ours_s: float, paths: int, rounds: int) -> None:
    """Measure W1 in other libraries; one that is not installed is named."""
    world, best = world_of(is_full=False), np.inf
    chol = np.asarray(np.linalg.cholesky(world.correlation) * np.sqrt(world.variance)[:, None], np.float64)
    for name, peer in PEERS.items():
        metric = f"w1_vs_{name.split(',')[0].lower()}"
        try:
            run = peer(chol, float(world.drift[0]), paths)
        except ImportError as error:
            sys.stderr.write(f"{name} is not among the peers: {error}\n")
            continue
        mean, taken = float(run().mean()), seconds(run, rounds)
        best = min(best, taken)
        note = f"{taken:.3f} s, {paths * ASSETS * STEPS / taken:.2e} asset-steps/s, mean value {mean:.4f}"
        report.add(metric, taken / ours_s, "ratio", name, note)
    report.add("w1_vs_best_peer", best / ours_s, "ratio", note="wall time of the fastest peer over ours")


def measure(report: Rows, paths: int, rounds: int) -> None:
    """Compare with the CPU, then measure W1, the full world and peers."""
    cupy: Any = importlib.import_module("cupy")
    card = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
    rates = {}
    for name, is_full in (("w1", False), ("world", True)):
        program = program_of(is_full=is_full)
        note = f"{card}, {time.strftime('%Y-%m-%d')}, outcomes and {program.counts:,} counters equal the CPU's"
        report.add(f"{name}_equal_paths", equal_paths(program), "paths", note=note)
        taken = seconds(lambda program=program: gpu_simulate(program, SEED, 0, paths), rounds)  # type: ignore[misc]
        variables = ASSETS + (OVERLAYS if is_full else 0)
        rates[name] = paths * variables * STEPS / taken
        unit = "variable-steps/s" if is_full else "asset-steps/s"
        note = f"{card}, {paths:,} paths of {variables} by {STEPS} in {taken:.3f} s, median of {rounds}"
        report.add(f"{name}_per_second", rates[name], unit, note=note)
        bound = issue_bound(cupy, INSTRUCTIONS[name])
        note = f"bound {bound:.2e} at {INSTRUCTIONS[name]:.0f} instructions, {LANES_A_PROCESSOR} lanes a multiprocessor"
        report.add(f"{name}_of_issue_bound", rates[name] / bound, "share", note=note)
    report.add("world_vs_w1", rates["w1"] / rates["world"], "ratio", note="cost of a variable-step")
    add_peers(report, paths * ASSETS * STEPS / rates["w1"], paths, rounds)


def compile_only(report: Rows) -> None:
    """Compile for each architecture and report what the assembler says."""
    for name, is_full in (("w1", False), ("world", True)):
        source = program_source(program_of(is_full=is_full))
        for architecture in ARCHITECTURES:
            start = time.process_time()
            made = compile_cuda(source, architecture, (*DEVICE_FLAGS, "--ptxas-options=-v"))
            cost = f"{time.process_time() - start:.1f} CPU s of NVRTC"
            found = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", made.log)
            registers = re.search(r"Used (\d+) registers", made.log)
            if found is None or registers is None:
                raise SystemExit(f"the assembler reports neither registers nor spills: {made.log}")
            note = f"stack {found[1]} B, spill stores {found[2]} B, spill loads {found[3]} B, {cost}"
            report.add(f"{name}_{architecture}_registers", float(registers[1]), "registers a thread", note=note)
            fused = made.ptx.count("fma.rn.f32")
            report.add(
                f"{name}_{architecture}_approximations", made.ptx.count("approx"), "in PTX", note=f"{fused} fma.rn"
            )


def main() -> None:
    """Measure and print, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paths", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile-only", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report, problem = new_rows("gpu_simulation"), gpu_problem()
    if options.compile_only:
        if find_nvrtc() is None:
            raise SystemExit("--compile-only needs NVRTC: install nvidia-cuda-nvrtc-cu12, or the CUDA toolkit")
        compile_only(report)
    elif problem is None:
        measure(report, options.paths, options.rounds)
    else:
        sys.stderr.write(
            f"No GPU: {problem}. Nothing was measured; run this where there is a card, or --compile-only.\n"
        )
        return
    report.print()


if __name__ == "__main__":
    main()
