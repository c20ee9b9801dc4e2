"""W1 as other libraries compute it, each on one thread and tuned: block sizes, generators and in-place calls.

What belongs here: one function an engine, from a number of paths to the portfolio's value at the end of each. All step
through all 252 steps with the same factor; where that saves time, the drift of all steps is added at the start. Block
sizes are the best of 256 to 16,384 paths on the machine of November 2026. A peer that is not installed is left out:
``pip install torch jax QuantLib mkl_random``.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.simulation_jobs import ASSETS, RATE, STEPS, VOLATILITY, Job

Values = npt.NDArray[np.floating]
Run = Callable[[int], Values]
SEED = 7


@dataclass(frozen=True)
class Peer:
    """An engine that is ready to run, and how many paths it runs in one measurement."""

    name: str
    run: Run
    paths: int
    note: str


def installed_peers(job: Job) -> tuple[list[Peer], dict[str, str]]:
    """Return the peers that can be measured here, and why others cannot."""
    found, missing = list[Peer](), dict[str, str]()
    for name, (make, paths, note) in PEERS.items():
        try:
            found.append(Peer(name, make(job), paths, note))
        except ImportError as error:
            missing[name] = f"left out, {error}: pip install {PACKAGES.get(name, name)}"
    return found, missing


def numpy_peer(job: Job) -> Run:
    """NumPy: SFC64 into an array that is kept, sgemm into another, added in place."""
    return _stepping(job, np.random.Generator(np.random.SFC64(SEED)).standard_normal, 1024)


def mkl_peer(job: Job, generator: str) -> Run:
    """mkl_random: inversion in float64 by MKL, cast to float32, then as NumPy."""
    drawn = importlib.import_module("mkl_random").MKLRandomState(SEED, brng=generator)

    def draw(*, out: npt.NDArray[np.float32], dtype: type[np.float32]) -> None:  # noqa: ARG001 - as NumPy's
        np.copyto(out, drawn.standard_normal(out.shape, method="ICDF"), casting="same_kind")

    return _stepping(job, draw, 1024)


def _stepping(job: Job, draw: Callable[..., object], block: int) -> Run:
    """Return a loop over steps with BLAS that adds into the state, which saves a pass over it."""
    from scipy.linalg.blas import sgemm

    factor = np.asfortranarray(job.factor, np.float32)

    def run(paths: int) -> Values:
        ends, z = [], np.empty((block, ASSETS), np.float32)
        for _ in range(paths // block):
            x = np.full((block, ASSETS), STEPS * job.drift, np.float32).T
            for _ in range(STEPS):
                draw(out=z, dtype=np.float32)
                x = sgemm(1.0, factor, z.T, 1.0, x, overwrite_c=1)
            ends.append(np.exp(x).mean(axis=0))
        return np.concatenate(ends)

    return run


def torch_peer(job: Job) -> Run:
    """Torch on the CPU: ``normal_`` and ``addmm_`` in place."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    factor, block = torch.from_numpy(np.ascontiguousarray(job.factor.T, np.float32)), 2048

    def run(paths: int) -> Values:
        ends, z = [], torch.empty(block, ASSETS)
        for _ in range(paths // block):
            x = torch.full((block, ASSETS), STEPS * job.drift)
            for _ in range(STEPS):
                x.addmm_(z.normal_(), factor)
            ends.append(x.exp_().mean(1).numpy())
        return np.concatenate(ends)

    return run


def jax_peer(job: Job) -> Run:
    """JAX on the CPU: a compiled scan over steps, threefry; compiled for the block before it is measured."""
    jax = importlib.import_module("jax")
    jnp = importlib.import_module("jax.numpy")
    jax.config.update("jax_platforms", "cpu")
    factor, block = jnp.asarray(job.factor.T, jnp.float32), 1024

    def step(x: object, key: object) -> tuple[object, None]:
        return x + jax.random.normal(key, (block, ASSETS), jnp.float32) @ factor, None

    def ends(key: object) -> object:
        start = jnp.full((block, ASSETS), STEPS * job.drift, jnp.float32)
        x, _ = jax.lax.scan(step, start, jax.random.split(key, STEPS))
        return jnp.exp(x).mean(1)

    compiled = jax.jit(ends)

    def run(paths: int) -> Values:
        keys = jax.random.split(jax.random.key(SEED), paths // block)
        return np.concatenate([np.asarray(compiled(key)) for key in keys])

    return run


def quantlib_peer(job: Job) -> Run:
    """QuantLib: its own exact process of a price in logarithms, once an asset, float64."""
    ql = importlib.import_module("QuantLib")
    today, days = ql.Date(1, 1, 2026), ql.Actual365Fixed()
    ql.Settings.instance().evaluationDate = today
    rate, none = (ql.YieldTermStructureHandle(ql.FlatForward(today, level, days)) for level in (RATE, 0.0))
    constant = ql.BlackConstantVol(today, ql.NullCalendar(), VOLATILITY, days)
    spot, volatility = ql.QuoteHandle(ql.SimpleQuote(1.0)), ql.BlackVolTermStructureHandle(constant)
    generator = _quantlib_paths(job, [ql.BlackScholesMertonProcess(spot, none, rate, volatility)] * ASSETS)
    return lambda paths: np.array([np.mean(_quantlib_ends(generator)) for _ in range(paths)])


def quantlib_ou_peer(job: Job) -> Run:
    """QuantLib: the logarithm as an Ornstein-Uhlenbeck process that never reverts; less flexible, and fastest there."""
    ql = importlib.import_module("QuantLib")
    generator = _quantlib_paths(job, [ql.OrnsteinUhlenbeckProcess(0.0, VOLATILITY, 0.0, 0.0)] * ASSETS)
    drift = STEPS * job.drift
    return lambda paths: np.array([np.exp(np.array(_quantlib_ends(generator)) + drift).mean() for _ in range(paths)])


def _quantlib_paths(job: Job, processes: list[object]) -> object:
    ql = importlib.import_module("QuantLib")
    joint = ql.StochasticProcessArray(processes, ql.Matrix(job.correlation.tolist()))
    uniform = ql.UniformRandomSequenceGenerator(ASSETS * STEPS, ql.UniformRandomGenerator(SEED))
    times = [step / STEPS for step in range(1, STEPS + 1)]
    generator: object = ql.GaussianMultiPathGenerator(joint, times, ql.GaussianRandomSequenceGenerator(uniform), False)
    return generator


def _quantlib_ends(generator: object) -> list[float]:
    path = generator.next().value()  # type: ignore[attr-defined]
    return [path[asset].back() for asset in range(ASSETS)]


PEERS: Mapping[str, tuple[Callable[[Job], Run], int, str]] = {
    "torch": (torch_peer, 4096, "normal_ and addmm_ in place, blocks of 2,048"),
    "mkl_random": (lambda job: mkl_peer(job, "SFMT19937"), 4096, "SFMT19937, inversion, sgemm into the state"),
    "mkl_random_philox": (lambda job: mkl_peer(job, "PHILOX4X32X10"), 4096, "Philox4x32-10, inversion, sgemm"),
    "numpy": (numpy_peer, 4096, "SFC64, float32, sgemm into the state, blocks of 1,024"),
    "jax": (jax_peer, 4096, "scan, threefry, jit (compiled before), blocks of 1,024"),
    "quantlib": (quantlib_peer, 100, "BlackScholesMertonProcess, float64"),
    "quantlib_ou": (quantlib_ou_peer, 200, "OrnsteinUhlenbeckProcess of speed 0 as the logarithm, float64"),
}
PACKAGES = {"quantlib": "QuantLib", "quantlib_ou": "QuantLib", "mkl_random_philox": "mkl_random"}
BEST = ("torch", "mkl_random", "mkl_random_philox")
"""The fastest other libraries."""
