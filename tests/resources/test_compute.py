"""Blocks come back in order and with the same bits, wherever they run and whatever dies on the way.

Functions for the Dask modes are nested, so that they travel by value: a worker cannot import this module.
"""

import itertools
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import dask
import numpy as np
import psutil
import pytest
from distributed import LocalCluster
from hypothesis import given
from hypothesis import strategies as st

from pulse_resources.compute import BLOCKS_PER_WORKER, Compute, array_namespace
from pulse_resources.errors import ConfigError, TransientFailure

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def local() -> Iterator[Compute]:
    compute = Compute(mode="local", workers=2, memory_limit="1GiB")
    yield compute
    compute.close()


@pytest.fixture(scope="module")
def scheduler_address() -> Iterator[str]:
    with started_cluster() as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def joined(scheduler_address: str) -> Iterator[Compute]:
    compute = Compute(mode="address", address=scheduler_address)
    yield compute
    compute.close()


@pytest.fixture(params=["inline", "threads", "local", "joined"])
def compute(request: pytest.FixtureRequest) -> Compute:
    """Each mode in turn."""
    if request.param in {"local", "joined"}:
        fixture: Compute = request.getfixturevalue(request.param)
        return fixture
    return Compute(mode=request.param, workers=2)


@pytest.fixture
def fake_cupy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Install a package called cupy with the given source, for this test only."""

    def install(source: str) -> None:
        (tmp_path / "cupy.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    yield install
    sys.modules.pop("cupy", None)


@pytest.fixture
def impatient() -> Iterator[None]:
    """Let Dask give up on a dead worker's address after a second; by default it tries for 30."""
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        yield


@pytest.fixture
def no_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make CuPy look as if it were not installed."""
    monkeypatch.setitem(sys.modules, "cupy", None)


def started_cluster() -> LocalCluster:
    return LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        protocol="tcp://",
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        silence_logs=logging.CRITICAL,
    )


def wait_until(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def test_results_come_in_block_order(compute: Compute) -> None:
    def later_blocks_are_faster(block: int) -> int:
        time.sleep(0.02 * (5 - block))
        return block * block

    assert list(compute.map_blocks(later_blocks_are_faster, range(6))) == [0, 1, 4, 9, 16, 25]


def test_no_blocks_give_no_results(compute: Compute) -> None:
    assert list(compute.map_blocks(abs, [])) == []


def test_a_block_arrives_as_it_was_sent(compute: Compute) -> None:
    blocks = [(len, "ab"), "text", ["a", (abs, -1)], {"key": ("a", 1)}, None, b""]
    assert list(compute.map_blocks(lambda block: block, blocks)) == blocks


def test_equal_blocks_are_computed_each(compute: Compute) -> None:
    first, second = compute.map_blocks(lambda _: os.urandom(8), [0, 0])
    assert first != second


@given(blocks=st.lists(st.integers(), max_size=30), workers=st.integers(1, 5))
def test_threads_agree_with_a_plain_loop(blocks: list[int], workers: int) -> None:
    threads = Compute(mode="threads", workers=workers)
    assert list(threads.map_blocks(lambda block: block % 7, blocks)) == [block % 7 for block in blocks]


def test_every_mode_gives_the_same_bits(compute: Compute) -> None:
    def path(seed: int) -> bytes:
        steps = np.random.Generator(np.random.Philox(key=seed)).standard_normal(1000)
        return np.exp(np.cumsum(steps) * 0.01).tobytes()

    assert list(compute.map_blocks(path, range(8))) == [path(seed) for seed in range(8)]


def test_inline_takes_a_block_only_when_its_result_is_wanted() -> None:
    blocks = itertools.count()
    results = Compute().map_blocks(lambda block: block, blocks)
    assert [next(results), next(results)] == [0, 1]
    assert next(blocks) == 2


def test_look_ahead_is_bounded_over_endless_blocks(compute: Compute) -> None:
    blocks = itertools.count()
    results = compute.map_blocks(lambda block: block, blocks)
    assert list(itertools.islice(results, 20)) == list(range(20))
    taken = next(blocks)
    assert 20 <= taken <= 20 + 2 * BLOCKS_PER_WORKER


def test_nothing_runs_before_the_first_result_is_wanted() -> None:
    blocks = itertools.count()
    Compute(mode="threads").map_blocks(abs, blocks)
    assert next(blocks) == 0


def test_a_result_that_was_handed_out_is_not_kept() -> None:
    for mode in ("inline", "threads"):
        results = Compute(mode=mode, workers=2).map_blocks(lambda size: np.zeros(size), [1, 2, 3])
        handed_out = [weakref.ref(next(results)) for _ in range(3)]
        assert wait_until(lambda refs=handed_out: all(ref() is None for ref in refs)), mode


def test_dropping_the_iterator_cancels_what_waits() -> None:
    started = []
    hold = threading.Event()

    def run(block: int) -> int:
        started.append(block)
        if block:
            hold.wait(10)
        return block

    results = Compute(mode="threads", workers=2).map_blocks(run, itertools.count())
    assert next(results) == 0
    threading.Timer(0.2, hold.set).start()
    del results
    assert max(started) < 2 * BLOCKS_PER_WORKER
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pulse-block")]


@pytest.mark.parametrize("error", [KeyError("no such series", 3), FileNotFoundError(2, "gone", "x.parquet")])
def test_an_error_of_the_function_passes_unchanged(compute: Compute, error: Exception) -> None:
    def fail_at_two(block: int) -> int:
        if block == 2:
            raise error
        return block

    results = compute.map_blocks(fail_at_two, range(5))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(type(error)) as caught:
        next(results)
    assert caught.type is type(error)
    assert str(caught.value) == str(error)
    assert caught.value.args == error.args


@pytest.mark.usefixtures("impatient")
def test_a_killed_worker_costs_no_result(local: Compute, tmp_path: Path) -> None:
    def die_once(block: int) -> int:
        died = tmp_path / "died"
        if block == 3 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return block * 10

    assert list(local.map_blocks(die_once, range(8))) == [block * 10 for block in range(8)]
    assert (tmp_path / "died").exists()


@pytest.mark.usefixtures("impatient")
def test_a_block_that_always_kills_its_worker_is_named(local: Compute) -> None:
    def die(block: int) -> int:
        if block == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return block

    results = local.map_blocks(die, range(6))
    assert list(itertools.islice(results, 5)) == [0, 1, 2, 3, 4]
    with pytest.raises(TransientFailure, match=r"block 5 \(counted from 0\) was started 4 times"):
        next(results)
    assert list(local.map_blocks(lambda block: block, [7])) == [7]


@pytest.mark.usefixtures("impatient")
def test_a_lost_scheduler_is_a_transient_failure() -> None:
    cluster = started_cluster()
    compute = Compute(mode="address", address=cluster.scheduler_address)
    results = compute.map_blocks(lambda block: block, itertools.count())
    next(results)
    cluster.close()
    with pytest.raises(TransientFailure, match="scheduler was lost"):
        list(results)
    compute.close()


@pytest.mark.usefixtures("impatient")
def test_a_scheduler_that_does_not_answer_is_a_transient_failure() -> None:
    compute = Compute(mode="address", address="tcp://127.0.0.1:1")
    with pytest.raises(TransientFailure, match=r"no Dask scheduler answered at tcp://127\.0\.0\.1:1"):
        compute.map_blocks(abs, [1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "dask"}, "mode must be one of inline, threads, local, address; it is 'dask'"),
        ({"device": "tpu"}, "device must be one of cpu, gpu, auto; it is 'tpu'"),
        ({"workers": 0}, "workers must be 1 or more, or left out; it is 0"),
        ({"chunk_seconds": 0.0}, "chunk_seconds must be above 0; it is 0.0"),
        ({"chunk_seconds": float("nan")}, "chunk_seconds must be above 0; it is nan"),
        ({"memory_limit": "lots"}, "memory_limit must be a size like 2GiB or 500MB; it is 'lots'"),
        ({"mode": "address"}, "address must be like tcp://scheduler:8786 when mode is 'address'; it is None"),
        ({"mode": "address", "address": "scheduler:8786"}, "it is 'scheduler:8786'"),
        ({"mode": "address", "address": "tcp://scheduler"}, "it is 'tcp://scheduler'"),
        ({"mode": "address", "address": "tcp://scheduler:port"}, "it is 'tcp://scheduler:port'"),
        ({"mode": "address", "address": "http://scheduler:80"}, "it is 'http://scheduler:80'"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Compute(**settings).map_blocks(abs, [1])
    assert message in str(caught.value)


@pytest.mark.usefixtures("no_cupy")
def test_auto_is_cpu_without_cupy() -> None:
    compute = Compute(device="auto")
    assert compute.device_in_use == "cpu"
    assert compute.xp is np


@pytest.mark.usefixtures("no_cupy")
def test_gpu_without_cupy_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"CuPy is not installed \(pip install 'pulse\[gpu\]'\)"):
        _ = Compute(device="gpu").device_in_use
    with pytest.raises(ConfigError, match="CuPy is not installed"):
        array_namespace("gpu")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class cuda:\n    is_available = staticmethod(lambda: False)", "CuPy finds no CUDA driver or no device"),
        ("import no_such_library", "CuPy is installed but does not import"),
    ],
)
def test_gpu_without_a_device_says_so(fake_cupy: Callable[[str], None], source: str, message: str) -> None:
    fake_cupy(source)
    assert Compute(device="auto").device_in_use == "cpu"
    with pytest.raises(ConfigError, match=message):
        _ = Compute(device="gpu").xp


def test_a_device_is_used_where_there_is_one(fake_cupy: Callable[[str], None]) -> None:
    fake_cupy("class cuda:\n    is_available = staticmethod(lambda: True)")
    assert Compute(device="cpu").device_in_use == "cpu"
    assert Compute(device="auto").device_in_use == "gpu"
    assert Compute(device="gpu").xp.__name__ == "cupy"


@pytest.mark.usefixtures("no_cupy")
def test_a_cluster_is_asked_for_its_device(scheduler_address: str) -> None:
    compute = Compute(mode="address", address=scheduler_address, device="gpu")
    with pytest.raises(ConfigError, match=f"on a worker of {scheduler_address} CuPy is not installed"):
        _ = compute.device_in_use
    compute.close()


def test_inline_starts_and_imports_nothing() -> None:
    script = """
        import os, sys, threading
        from pulse_resources.compute import Compute
        assert list(Compute().map_blocks(abs, [-1])) == [1]
        loaded = {"dask", "distributed", "cupy"} & set(sys.modules)
        print(sorted(loaded), threading.active_count())
    """
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == "[] 1"


def run_asset(compute: Compute, *, fail: bool) -> tuple[bool, list[int]]:
    """Materialize an asset that uses ``compute``; return whether it succeeded and who computed its blocks."""
    workers: list[int] = []

    @dg.asset
    def uses_blocks(compute: Compute) -> None:
        for pid in compute.map_blocks(lambda _: os.getpid(), range(4)):
            workers.append(pid)
            if fail:
                raise dg.Failure("in the middle of the blocks")

    result = dg.materialize([uses_blocks], resources={"compute": compute}, raise_on_error=False)
    return result.success, workers


@pytest.mark.parametrize("fail", [False, True])
def test_a_run_leaves_no_process_behind(fail: bool) -> None:
    success, workers = run_asset(Compute(mode="local", workers=1), fail=fail)
    assert success is not fail
    assert workers
    assert os.getpid() not in workers
    assert wait_until(lambda: not any(psutil.pid_exists(pid) for pid in workers))


def test_settings_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_MODE", "threads")
    success, workers = run_asset(Compute(mode=dg.EnvVar("TEST_MODE"), workers=2), fail=False)
    assert success
    assert set(workers) == {os.getpid()}


def test_a_wrong_setting_stops_the_run_before_the_asset() -> None:
    success, workers = run_asset(Compute(mode="dask"), fail=False)
    assert not success
    assert not workers


def test_a_closed_compute_can_start_again(scheduler_address: str) -> None:
    compute = Compute(mode="address", address=scheduler_address)
    unfinished = compute.map_blocks(abs, itertools.count())
    assert next(unfinished) == 0
    compute.close()
    del unfinished
    assert list(compute.map_blocks(abs, [-1])) == [1]
    compute.close()
