"""Cost of simulating against other engines: ``python -m benchmarks.simulation_speed [--rounds R] [--without-peers]``.

Further options: ``--memory-paths N`` and ``--json``.

W1 (see ``simulation_jobs``) in Pulse and in the peers that are installed (``pip install torch jax QuantLib
mkl_random``; they are no part of Pulse), one thread each, interleaved, CPU seconds, medians of the rounds; compiling is
not measured. Every engine's mean and deviation are checked against the exact ones. Then the floor of the processor (its
formula is in ``simulation_bounds``), the full world and its rules, the memory of a million paths, and whether one
SHA-256 holds in this process, on threads, on 1, 2 and 4 Dask workers and with chunks of any size.

Libraries read their number of threads when they are loaded, so the program replaces itself with one that has those
settings; so it does with ``OPENBLAS_CORETYPE``, which some machines set for old versions and which slows NumPy.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from benchmarks.report import Report
from benchmarks.simulation_bounds import CHUNKS, MIB, MODES, SAME_PATHS, digests, draws_ns, memory, sgemm_ns
from benchmarks.simulation_jobs import ASSETS, STEPS, full, job, w1
from benchmarks.simulation_peers import BEST, Peer, installed_peers
from pulse_assets.simulation.engine import simulate

ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "NPROC": "1",  # what JAX takes for the number of cores
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}
NOT_WANTED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
PATHS = 8192
SEED = 7
LARGEST_Z = 5.0
"""Standard errors that an engine's mean and deviation may be off."""
Values = npt.NDArray[np.floating]
Times = Mapping[str, list[float]]


def on_one_thread() -> None:
    """Start this program anew unless the libraries' settings are right."""
    wanted = {name: value for name, value in os.environ.items() if name not in NOT_WANTED} | ONE_THREAD
    if wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.simulation_speed", *sys.argv[1:]], wanted)


def interleaved(jobs: Mapping[str, Callable[[], object]], rounds: int) -> Times:
    """Return CPU seconds of each job in each round; each ran once before."""
    for run in jobs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, run in jobs.items():
            started = time.process_time()
            run()
            seconds[name].append(time.process_time() - started)
    return seconds


def check(name: str, values: Values, mean: float, sd: float) -> None:
    """Refuse an engine whose mean or deviation is not that of W1.

    Raises
    ------
    AssertionError
        One of them is more than five standard errors away.
    """
    off = values.astype(np.float64) - mean
    spread = float(np.sqrt(np.mean(off**2)))
    mean_se = sd / np.sqrt(len(off))
    sd_se = np.sqrt(np.mean(off**4) - spread**4) / (2 * sd * np.sqrt(len(off)))
    for what, distance, se in (("mean", abs(off.mean()), mean_se), ("deviation", abs(spread - sd), sd_se)):
        assert distance < LARGEST_Z * se, f"{name}: {what} of W1 is {distance / se:.1f} standard errors off"


def measure_w1(report: Report, rounds: int, with_peers: bool) -> float:
    """Add W1 against its peers and the floor; return ns an asset-step of ours."""
    known, program = job(), w1()
    peers, missing = installed_peers(known) if with_peers else ([], {})
    ours = Peer("pulse", lambda paths: 1 + simulate(program, SEED, 0, paths).outcomes[0], PATHS, "float32")
    for peer in (ours, *peers):
        check(peer.name, peer.run(peer.paths), known.mean, known.sd)
    times = interleaved({peer.name: _run(peer) for peer in (ours, *peers)}, rounds)
    units = {peer.name: 1e9 / (peer.paths * ASSETS * STEPS) for peer in (ours, *peers)}
    ns = {name: statistics.median(each) * units[name] for name, each in times.items()}
    least = {name: min(each) * units[name] for name, each in times.items()}
    report.add("w1_ns", ns["pulse"], "ns an asset-step", note=f"CPU, one thread, fastest {least['pulse']:.3f}")
    best = min((name for name in ns if name in BEST), key=ns.__getitem__, default="")
    if best:
        report.add("w1_vs_best_peer", ns[best] / ns["pulse"], "ratio", best, f"the faster of {' and '.join(BEST[:2])}")
    for peer in peers:
        note = f"{ns[peer.name]:.2f} ns, fastest {least[peer.name]:.2f}; {peer.note}"
        report.add(f"w1_vs_{peer.name}", ns[peer.name] / ns["pulse"], "ratio", peer.name, note)
    for name, why in missing.items():
        report.add("w1_peer_missing", 0, "", name, why)
    measure_floor(report, rounds, ns["pulse"])
    return ns["pulse"]


def _run(peer: Peer) -> Callable[[], Values]:
    return lambda: peer.run(peer.paths)


def measure_floor(report: Report, rounds: int, w1_ns: float) -> None:
    """Add the floor and how far above it W1 is."""
    philox_ns, normal_ns = draws_ns()
    rounds_of = [(philox_ns(), normal_ns(), sgemm_ns()) for _ in range(rounds + 1)][1:]
    philox, normal, flop = (statistics.median(each) for each in zip(*rounds_of, strict=True))
    floor = normal + (ASSETS + 1) * flop
    parts = f"Philox {philox:.3f} + transform {normal - philox:.3f} + {ASSETS + 1} x sgemm {flop:.5f}"
    report.add("w1_vs_floor", w1_ns / floor, "ratio", "the processor", f"floor {floor:.3f} ns = {parts}")
    report.add("floor_ns", floor, "ns an asset-step")
    for name, value in (("philox_ns", philox), ("transform_ns", normal - philox), ("sgemm_ns_a_flop", flop)):
        report.add(name, value, "ns")


def measure_worlds(report: Report, rounds: int) -> None:
    """Add what following capital, the full world and its rules cost."""
    programs = {"w1": w1(), "w2": w1(tracked=True), "plain": full(has_rules=False), "world": full(has_rules=True)}
    rules = len(programs["world"].rule_ids)
    jobs = {name: lambda each=each: simulate(each, SEED, 0, PATHS // 2) for name, each in programs.items()}
    times = interleaved(jobs, 2 * rounds)
    ns = {name: 1e9 * statistics.median(each) / (PATHS // 2 * ASSETS * STEPS) for name, each in times.items()}
    extra = [b - a for a, b in zip(times["plain"], times["world"], strict=True)]
    rule_ns = 1e9 * statistics.median(extra) / (rules * PATHS // 2 * STEPS)
    note = f"GARCH, 2 regimes, jumps, 8 overlays, {rules} rules, drawdown; {ns['world']:.3f} ns an asset-step"
    report.add("world_vs_w1", ns["world"] / ns["w1"], "ratio", note=note)
    report.add("world_without_rules_vs_w1", ns["plain"] / ns["w1"], "ratio", note=f"{ns['plain']:.3f} ns")
    report.add("w2_vs_w1", ns["w2"] / ns["w1"], "ratio", note="value and drawdown at every step")
    report.add("rule_ns", rule_ns, "ns a rule, path and step", note="the full world with and without them")


def measure_memory(report: Report, paths: int) -> None:
    """Add what a run of many paths needs beside the library itself."""
    found = memory(paths)
    grown = found["peak_mib"] - found["warm_mib"]
    note = f"{paths:,} paths x 64 x 252, {found['cpu_s']:.0f} CPU s, resident"
    report.add("memory_mb", grown * MIB / 1e6, "MB", note=f"above the warm process: {note}")
    report.add("memory_bytes_a_path", grown * MIB / paths, "B", note="16 of them are outcomes")
    library = (found["warm_mib"] - found["bare_mib"]) * MIB / 1e6
    report.add("memory_library_mb", library, "MB", note="imports, compiler and a first block, above Python with NumPy")
    report.add("memory_process_mb", found["peak_mib"] * MIB / 1e6, "MB", note="the whole process at its peak")


def measure_bits(report: Report) -> None:
    """Add whether all ways to run have the same outcomes and counts."""
    found = {(where, chunk): digest for where, chunk, digest in digests()}
    first = next(iter(found.values()))
    apart = [f"{where} chunk {chunk}" for (where, chunk), digest in found.items() if digest != first]
    where = f"{', '.join(MODES)}; chunks of {', '.join(map(str, CHUNKS))}; {SAME_PATHS:,} paths"
    report.add(
        "one_sha256", not apart, "1 = yes", note=f"{first[:16]}; {where}" + "".join(f"; APART: {x}" for x in apart)
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--memory-paths", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    on_one_thread()
    report = Report("simulation_speed")
    measure_w1(report, options.rounds, not options.without_peers)
    measure_worlds(report, options.rounds)
    measure_memory(report, options.memory_paths)
    measure_bits(report)
    report.print()


if __name__ == "__main__":
    main()
