"""One digest of a simulation, wherever its blocks run, however large they are and whoever dies on the way.

Functions for workers that are no part of Pulse are nested, so that they travel by value.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import pytest

from pulse_assets.simulation.day import even_portfolio
from pulse_assets.simulation.kernel.intrinsics import LANES
from pulse_assets.simulation.plan import Plan, Request, make_plan
from pulse_assets.simulation.rules.checked_rules import CheckedRules
from pulse_assets.simulation.rules.rule_checks import check_rules
from pulse_assets.simulation.rules.rule_set import parse_rules
from pulse_assets.simulation.runs import BlockResult, Job, carry_out, fingerprint, run_job
from pulse_assets.simulation.scenarios.shocks import no_shock
from pulse_assets.simulation.world import Regimes, Variable, World
from pulse_resources.compute import Compute

ROOT = Path(__file__).parents[2]
PATHS = 20 * LANES + 77
STEPS = 12
STARTING_S = 60.0


def small_world() -> World:
    """Two assets and two factors, with regimes, variance that moves, and heavy tails."""
    return World(
        variables=(
            Variable("stock", "asset", "log return"),
            Variable("oil", "asset", "log return"),
            Variable("vix", "macro", "percent per year", "log", 5, 150),
            Variable("spread", "overlay", "percent", "linear", 0.0, 10.0),
        ),
        drift=np.array([0.0003, 0.0]),
        omega=np.array([2e-6, 5e-6]),
        alpha=np.array([0.03, 0.05]),
        gamma=np.array([0.1, 0.0]),
        beta=np.array([0.9, 0.9]),
        variance=np.array([1e-4, 4e-4]),
        level=np.array([np.log(20.0), 1.0]),
        mean=np.array([np.log(18.0), 1.2]),
        phi=np.array([0.9, 1.0]),
        sigma=np.array([0.06, 0.02]),
        correlation=np.array([[1, 0.3, -0.7, -0.4], [0.3, 1, -0.2, -0.1], [-0.7, -0.2, 1, 0.5], [-0.4, -0.1, 0.5, 1]]),
        innovations="student_t",
        nu=6.0,
        regimes=Regimes(
            ("quiet", "wild"),
            np.array([[0.95, 0.05], [0.2, 0.8]]),
            np.array([1.0, 0.0]),
            np.array([0.8, 1.5]),
            np.array([0.0, -0.001]),
        ),
    )


def one_rule(world: World) -> CheckedRules:
    text = """
    rules:
      - id: fear_sells
        version: 1
        when: vix > 21 [percent per year]
        effects: [{target: stock, shock: -0.002}]
        cooldown: 2
        probability: 0.8
        rationale: fires often enough to show in every block
        source: this test
    """
    return check_rules(parse_rules(text, "test"), world)


@pytest.fixture(scope="module")
def plan() -> Plan:
    world = small_world()
    request = Request(world, "base", no_shock(world, STEPS), even_portfolio(world), rules=one_rule(world), seed=7)
    return in_blocks(make_plan(request, PATHS), 2 * LANES)


@pytest.fixture(scope="module")
def digest(plan: Plan) -> str:
    """The digest of one block, here."""
    outcome = carry_out(in_blocks(plan, PATHS))
    assert outcome.simulated == 1
    return fingerprint(outcome)


def in_blocks(plan: Plan, paths: int) -> Plan:
    return replace(plan, block_paths=paths)


def digest_on(compute: Compute, plan: Plan, run: Callable[[Job], BlockResult] = run_job) -> str:
    """Carry out a plan, with every block handed to ``compute``."""
    outcome = carry_out(plan, lambda _, jobs: compute.map_blocks(run, jobs))
    assert outcome.paths == PATHS
    return fingerprint(outcome)


@contextmanager
def closing(compute: Compute) -> Iterator[Compute]:
    try:
        yield compute
    finally:
        compute.close()


@pytest.mark.parametrize("paths", [1, 3, 100, LANES - 1, LANES, LANES + 1, 3 * LANES, 7000, PATHS + 1])
def test_blocks_of_any_size_give_one_digest(plan: Plan, digest: str, paths: int) -> None:
    if paths < 100:  # thousands of tiny blocks prove no more than a few
        few = replace(plan, paths=40)
        assert fingerprint(carry_out(in_blocks(few, paths))) == fingerprint(carry_out(in_blocks(few, 40)))
        return
    assert digest_on(Compute(), in_blocks(plan, paths)) == digest


def test_another_seed_gives_another_digest(plan: Plan, digest: str) -> None:
    """Or equal digests would prove nothing."""
    other = make_plan(replace(plan.request, seed=8), PATHS)
    assert fingerprint(carry_out(other)) != digest
    assert other.run_id != plan.run_id


@pytest.mark.parametrize("workers", [1, 2, 4, 7])
def test_threads_give_the_same_digest(plan: Plan, digest: str, workers: int) -> None:
    assert digest_on(Compute(mode="threads", workers=workers), plan) == digest


@pytest.mark.slow
@pytest.mark.parametrize(
    "workers", [2, pytest.param(1, marks=pytest.mark.drill), pytest.param(4, marks=pytest.mark.drill)]
)
def test_local_workers_give_the_same_digest(plan: Plan, digest: str, workers: int) -> None:
    with closing(Compute(mode="local", workers=workers, memory_limit="1GiB")) as compute:
        assert digest_on(compute, plan) == digest


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a scheduler and two workers, each a process of its own; one worker says that it has a GPU."""
    with started_scheduler() as address, ExitStack() as workers:
        workers.enter_context(started_worker(address, "plain"))
        workers.enter_context(started_worker(address, "tagged", "--resources", "GPU=1"))
        wait_for_workers(address, 2)
        yield address


@pytest.fixture(scope="module")
def joined(scheduler: str) -> Iterator[Compute]:
    with closing(Compute(mode="address", address=scheduler)) as compute:
        yield compute


@contextmanager
def started(*words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a part of Dask as users do, until the block ends."""
    command = [sys.executable, "-m", "dask", *words]
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


@contextmanager
def started_scheduler() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with started("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"):
        yield f"tcp://127.0.0.1:{port}"


@contextmanager
def started_worker(address: str, name: str, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    words = ("worker", address, "--name", name, "--no-nanny", "--nthreads", "1", "--host", "127.0.0.1", *options)
    with started(*words, "--no-dashboard", "--memory-limit", "1GiB", **environment) as process:
        yield process


def wait_for_workers(address: str, count: int) -> None:
    from distributed import Client

    deadline = time.monotonic() + STARTING_S
    while True:  # the scheduler may not listen yet
        try:
            with Client(address, set_as_default=False, timeout=2) as client:
                client.wait_for_workers(count, timeout=STARTING_S)
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.mark.slow
def test_a_cluster_at_an_address_gives_the_same_digest(plan: Plan, digest: str, joined: Compute) -> None:
    assert digest_on(joined, plan) == digest


@pytest.mark.slow
def test_both_workers_of_the_cluster_take_blocks(joined: Compute) -> None:
    def name_of_worker(_: int) -> str:
        from distributed import get_worker

        time.sleep(0.05)
        return str(get_worker().name)

    assert set(joined.map_blocks(name_of_worker, range(20))) == {"plain", "tagged"}


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_no_bit(
    plan: Plan, digest: str, scheduler: str, joined: Compute, tmp_path: Path
) -> None:
    def die_once(job: Job) -> BlockResult:
        from distributed import get_worker

        from pulse_assets.simulation.runs import run_job as run

        name = str(get_worker().name)
        (tmp_path / f"seen {name}").touch()
        done = run(job)
        if name == "doomed":
            os.kill(os.getpid(), signal.SIGKILL)  # with the block done and not handed over
        if name != "doomed" and not (tmp_path / "seen doomed").exists():
            time.sleep(0.2)  # until the doomed one has its block
        return done

    with dask.config.set({"distributed.comm.timeouts.connect": "2s"}), started_worker(scheduler, "doomed") as doomed:
        wait_for_workers(scheduler, 3)
        assert digest_on(joined, plan, die_once) == digest
        assert doomed.wait(20) == -signal.SIGKILL
    assert (tmp_path / "seen doomed").exists()


@pytest.mark.slow
@pytest.mark.drill
def test_local_workers_that_are_killed_cost_no_bit(plan: Plan, digest: str, tmp_path: Path) -> None:
    def die_twice(job: Job) -> BlockResult:
        from pulse_assets.simulation.runs import run_job as run

        number = job[2] // job[3]
        died = tmp_path / f"died {number}"
        done = run(job)
        if number in (3, 6) and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
        closing(Compute(mode="local", workers=2, memory_limit="1GiB")) as compute,
    ):
        assert digest_on(compute, plan, die_twice) == digest
    assert len(list(tmp_path.iterdir())) == 2


CUPY = """
class cuda:
    is_available = staticmethod(lambda: True)
"""


@pytest.mark.slow
def test_a_gpu_is_asked_for_and_used_only_on_workers_that_are_tagged_with_one(scheduler: str, tmp_path: Path) -> None:
    def name_of_worker(_: int) -> str:
        from distributed import get_worker

        time.sleep(0.05)
        return str(get_worker().name)

    (tmp_path / "cupy.py").write_text(CUPY)
    with (
        started_scheduler() as address,
        started_worker(address, "plain"),
        started_worker(address, "card", "--resources", "GPU=1", PYTHONPATH=str(tmp_path)),
    ):
        wait_for_workers(address, 2)
        with closing(Compute(mode="address", address=address, device="gpu")) as compute:
            assert [compute.device_in_use for _ in range(6)] == ["gpu"] * 6
            assert set(compute.map_blocks(name_of_worker, range(12))) == {"card"}
        with closing(Compute(mode="address", address=address, device="cpu")) as compute:
            assert set(compute.map_blocks(name_of_worker, range(20))) == {"plain", "card"}


def test_a_digest_is_64_hexadecimal_digits(digest: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", digest)
