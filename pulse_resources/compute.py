"""Where blocks of work run: in this process, on threads, on local Dask workers or on a Dask cluster.

The function and the blocks decide the answer, :class:`Compute` only where and when they run, so every mode
gives the same bits. That promise ends where a function itself depends on its surroundings: Dask workers run
with one BLAS thread, and a BLAS sum over another number of threads may round differently.

What a block is, how large it should be and where its result is kept belongs to the asset, not here.
"""

import importlib
import importlib.util
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar
from urllib.parse import urlsplit

import dagster as dg
from pydantic import Field, PrivateAttr

from pulse_resources.errors import ConfigError, TransientFailure

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

Block = TypeVar("Block")
Result = TypeVar("Result")
ResultOut = TypeVar("ResultOut", covariant=True)
Device = Literal["cpu", "gpu"]

MODES = ("inline", "threads", "local", "address")
DEVICES = ("cpu", "gpu", "auto")
SCHEDULER_SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")
GPU_TAG = "GPU"
"""Dask resource by which workers say that they have a device: ``dask worker --resources "GPU=1"``."""
BLOCKS_PER_WORKER = 2
"""Blocks in flight for each worker: one that runs and one that waits for it."""
KILLS_FORGIVEN = 3
"""How often a block may lose its `local` worker and start again; a cluster at an address has its own limit."""
WORKER_RETURN_S = 20.0
"""How long closing waits for killed workers to come back."""


def gpu_problem() -> str | None:
    """Return why this process cannot compute on a GPU, or None if it can."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed (pip install 'pulse[gpu]')"
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        return f"CuPy is installed but does not import ({error})"
    return None if cupy.cuda.is_available() else "CuPy finds no CUDA driver or no device (see nvidia-smi)"


def array_namespace(device: Device) -> ModuleType:
    """Return the module to build arrays with; a block calls this where it runs.

    Parameters
    ----------
    device
        What :attr:`Compute.device_in_use` says.

    Returns
    -------
    ModuleType
        ``cupy`` for ``gpu``, ``numpy`` for ``cpu``.

    Raises
    ------
    ConfigError
        ``gpu``, but this process has no CuPy or no device.

    Examples
    --------
    >>> array_namespace("cpu").__name__
    'numpy'
    """
    if device == "cpu":
        return importlib.import_module("numpy")
    problem = gpu_problem()
    if problem is not None:
        raise _no_gpu(problem)
    return importlib.import_module("cupy")


class Compute(dg.ConfigurableResource["Compute"]):
    """Runs a function over blocks and hands the results back in block order.

    Settings are checked when the resource is set up or first used, because a setting may come from an
    environment variable that Dagster reads only then.
    """

    mode: str = Field(
        default="inline",
        description="Where blocks run: `inline` here, one after the other; `threads` in this process; `local` "
        "on Dask processes of this machine, started at first use; `address` on a running Dask cluster.",
    )
    device: str = Field(
        default="cpu",
        description="`cpu`, `gpu` (needs CuPy and a device) or `auto` (`gpu` where there is one).",
    )
    workers: int | None = Field(
        default=None,
        description="Blocks that run at the same time; by default one a core, or one a thread of the cluster.",
    )
    memory_limit: str | None = Field(
        default=None,
        description="Memory of one `local` worker, for example `2GiB`; by default an equal share of all.",
    )
    chunk_seconds: float = Field(
        default=2.0,
        description="How long one block should take; who cuts the work into blocks aims at this.",
    )
    address: str | None = Field(
        default=None,
        description="Scheduler of the mode `address`, for example `tcp://scheduler:8786`.",
    )

    _cluster: "LocalCluster | None" = PrivateAttr(default=None)
    _client: "Client | None" = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - Dagster's signature
        """Check the settings; nothing is started before the first block asks for it."""
        self._check_settings()

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - as above
        """Close what :meth:`map_blocks` started, also after a failure."""
        self.close()

    def map_blocks(self, function: Callable[[Block], Result], blocks: Iterable[Block]) -> Iterator[Result]:
        """Run ``function`` on every block.

        Parameters
        ----------
        function
            Called with each block; it has no side effects, because a block whose worker dies runs again. In the
            Dask modes it is pickled together with its closure.
        blocks
            Any iterable, also a lazy and endless one. In the Dask modes a block is pickled and sent with its
            task, so it should describe the work (a range, a path) rather than carry it.

        Returns
        -------
        Iterator
            Results in block order; empty for no blocks. At most :data:`BLOCKS_PER_WORKER` blocks a worker are in
            flight, and a result that was handed out is not kept. Dropping the iterator cancels the rest.

        Raises
        ------
        ConfigError
            A setting is wrong.
        TransientFailure
            A block kept losing its worker, or the scheduler could not be reached.
        Exception
            Whatever ``function`` raised, in the place of the block it was raised for.

        Examples
        --------
        >>> list(Compute().map_blocks(abs, [-2, 1]))
        [2, 1]
        """
        self._check_settings()
        if self.mode == "inline":
            return _inline(function, blocks)
        if self.mode == "threads":
            return _on_threads(function, blocks, self.workers or _core_count())
        return _on_dask(function, blocks, self._connected(), self.workers, self._tags())

    @property
    def device_in_use(self) -> Device:
        """The device that blocks compute on; in the mode `address` a worker of the cluster is asked.

        Where workers are tagged with the resource ``GPU``, one of those is asked, and blocks run on them alone.

        Raises
        ------
        ConfigError
            ``device`` is ``gpu`` and there is none.
        """
        self._check_settings()
        if self.device == "cpu":
            return "cpu"
        problem = self._gpu_problem_of_workers()
        if problem is None:
            return "gpu"
        if self.device == "auto":
            return "cpu"
        raise _no_gpu(problem)

    @property
    def xp(self) -> ModuleType:
        """Array module of :attr:`device_in_use` for this process; a block uses :func:`array_namespace`."""
        return array_namespace(self.device_in_use)

    def close(self) -> None:
        """Close the client and the local cluster, if any; a later :meth:`map_blocks` starts afresh."""
        client, self._client = self._client, None
        cluster, self._cluster = self._cluster, None
        if client is not None:
            if cluster is not None:
                _await_killed_workers(client, cluster)
            client.close()
        if cluster is not None:
            cluster.close()

    def _check_settings(self) -> None:
        _check_choice("mode", self.mode, MODES)
        _check_choice("device", self.device, DEVICES)
        if self.workers is not None and self.workers < 1:
            raise _wrong("workers", "1 or more, or left out", self.workers)
        if not self.chunk_seconds > 0:
            raise _wrong("chunk_seconds", "above 0", self.chunk_seconds)
        if self.memory_limit is not None:
            _check_bytes(self.memory_limit)
        if self.mode == "address" and not _is_scheduler_address(self.address or ""):
            raise _wrong("address", "like tcp://scheduler:8786 when mode is 'address'", self.address)

    def _connected(self) -> "Client":
        if self._client is None:
            if self.mode == "local":
                self._cluster = _start_cluster(self.workers, self.memory_limit)
                self._client = _join(self._cluster)
            else:
                self._client = _join(str(self.address))
        return self._client

    def _tags(self) -> dict[str, int] | None:
        """Return what a block asks of its worker: where some are tagged, blocks for a GPU run on those alone."""
        if self.mode != "address" or self.device == "cpu":
            return None
        workers = self._connected().scheduler_info(n_workers=-1)["workers"].values()
        return {GPU_TAG: 1} if any(GPU_TAG in worker["resources"] for worker in workers) else None

    def _gpu_problem_of_workers(self) -> str | None:
        if self.mode != "address":
            return gpu_problem()
        problem: str | None = self._connected().submit(gpu_problem, pure=False, resources=self._tags()).result()
        return None if problem is None else f"on a worker of {self.address} {problem}"


class _Pending(Protocol[ResultOut]):
    """A block in flight; the futures of the standard library are such."""

    def result(self) -> ResultOut: ...

    def cancel(self) -> object: ...


@dataclass(frozen=True, slots=True)
class _DaskBlock(Generic[ResultOut]):
    """A block in flight on Dask; says which block it was when its worker or the scheduler is gone."""

    number: int
    future: "Future"
    client: "Client"

    def result(self) -> ResultOut:
        from distributed import KilledWorker

        try:
            value: ResultOut = self.future.result()
        except KilledWorker as error:
            raise self._killed(error.allowed_failures + 1) from error
        except (CancelledError, OSError) as error:
            if self.future.status == "error":
                raise  # the function's own
            raise _disconnected(f"block {self.number} (counted from 0) was in flight") from error
        return value

    def cancel(self) -> None:
        # An iterator that a traceback keeps alive is dropped after the client was closed.
        if self.client.status == "running":
            self.future.cancel()

    def _killed(self, times: int) -> TransientFailure:
        return TransientFailure(
            f"block {self.number} (counted from 0) was started {times} times and its worker was killed every "
            "time, most often for want of memory: make the blocks smaller, raise Compute.memory_limit or use "
            "fewer workers, then run again"
        )


def _inline(function: Callable[[Block], Result], blocks: Iterable[Block]) -> Iterator[Result]:
    for block in blocks:
        yield function(block)


def _on_threads(function: Callable[[Block], Result], blocks: Iterable[Block], threads: int) -> Iterator[Result]:
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="pulse-block") as executor:
        in_flight = (executor.submit(function, block) for block in blocks)
        yield from _in_order(in_flight, lambda: BLOCKS_PER_WORKER * threads)


def _on_dask(
    function: Callable[[Block], Result],
    blocks: Iterable[Block],
    client: "Client",
    workers: int | None,
    tags: Mapping[str, int] | None,
) -> Iterator[Result]:
    in_flight: Iterator[_DaskBlock[Result]] = (
        _DaskBlock(number, client.submit(function, block, pure=False, resources=tags), client)
        for number, block in enumerate(blocks)
    )
    return _in_order(in_flight, lambda: BLOCKS_PER_WORKER * (workers or _cluster_threads(client)))


def _in_order(in_flight: Iterable[_Pending[Result]], limit: Callable[[], int]) -> Iterator[Result]:
    pending: deque[_Pending[Result]] = deque()
    try:
        for future in in_flight:
            pending.append(future)
            del future  # or the last result would live as long as the iterator
            while len(pending) >= limit():
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def _cluster_threads(client: "Client") -> int:
    # Asked before every block: an adaptive cluster grows while we wait, and starts with no worker at all.
    try:
        threads: Mapping[str, int] = client.nthreads()
    except OSError as error:
        raise _disconnected("blocks were in flight") from error
    return max(1, sum(threads.values()))


def _start_cluster(workers: int | None, memory_limit: str | None) -> "LocalCluster":
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers or _core_count(),
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        memory_limit=memory_limit or "auto",
        # Even without a dashboard the scheduler listens for HTTP, and two runs would collide on its port 8787.
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False, "allowed_failures": KILLS_FORGIVEN},
        silence_logs=logging.CRITICAL,
    )


def _join(scheduler: "str | LocalCluster") -> "Client":
    from distributed import Client

    try:
        return Client(scheduler, set_as_default=False)
    except OSError as error:
        message = f"no Dask scheduler answered at {scheduler}: check that it runs and can be reached from here"
        raise TransientFailure(message) from error


def _await_killed_workers(client: "Client", cluster: "LocalCluster") -> None:
    # distributed 2026.8: closing a cluster that is just restarting a killed worker fails with "can only join a
    # started process" (2 of 12 tries) and leaves that worker behind for a while. After waiting: 0 of 24.
    with suppress(TimeoutError):
        client.wait_for_workers(len(cluster.workers), timeout=WORKER_RETURN_S)


def _core_count() -> int:
    from dask.system import CPU_COUNT  # heeds CPU affinity and the container's quota

    return int(CPU_COUNT)


def _check_choice(setting: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise _wrong(setting, f"one of {', '.join(choices)}", value)


def _is_scheduler_address(text: str) -> bool:
    # Checked here because a Dask client that stumbles over its address is never closed.
    try:
        address = urlsplit(text)
        return address.scheme in SCHEDULER_SCHEMES and bool(address.hostname and address.port)
    except ValueError:
        return False


def _check_bytes(text: str) -> None:
    from dask.utils import parse_bytes

    try:
        parse_bytes(text)
    except ValueError as error:
        raise _wrong("memory_limit", "a size like 2GiB or 500MB", text) from error


def _wrong(setting: str, expected: str, came: object) -> ConfigError:
    return ConfigError(f"Compute.{setting} must be {expected}; it is {came!r}")


def _no_gpu(problem: str) -> ConfigError:
    return ConfigError(f"Compute.device is 'gpu', but {problem}. Without a GPU set it to 'cpu' or 'auto'")


def _disconnected(when: str) -> TransientFailure:
    return TransientFailure(f"the Dask scheduler was lost while {when}; run again once it is back")
