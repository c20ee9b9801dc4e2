"""States of many paths at the recorded steps, a variable's members side by side, as scores read them. Pure."""

import numpy as np
import numpy.typing as npt

from pulse_assets.simulation.engine import _Runner
from pulse_assets.simulation.kernel.intrinsics import LANES
from pulse_assets.simulation.program import Program

Singles = npt.NDArray[np.float32]


def members_at(program: Program, seed: int, paths: int, variables: int) -> Singles:
    """Return the states of the first variables on paths 0, 1, … at each recorded step.

    Parameters
    ----------
    program
        Built with traces of its recorded steps.
    seed
        Any integer, modulo 2^64.
    paths
        m of them.
    variables
        V, the first ones of the world: as many as there are assets for assets.

    Returns
    -------
    array
        Shape ``(S, V, m)``: what :func:`pulse_assets.simulation.engine.replay` gives, the other way round and without
        the copies that cost a quarter of a short simulation.
    """
    runner = _Runner(program, seed)
    steps = len(program.recorded)
    members = np.empty((steps, variables, paths), np.float32)
    for start in range(0, paths, LANES):
        valid = min(LANES, paths - start)
        runner.run(np.arange(start, start + LANES, dtype=np.uint64), valid)
        trace = runner.trace.reshape(steps, program.traced_rows, LANES)
        members[:, :, start : start + valid] = trace[:, :variables, :valid]
    return members
