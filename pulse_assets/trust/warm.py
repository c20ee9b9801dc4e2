"""Compiles every kernel of trust once: ``python -m pulse_assets.trust.warm``. Later processes start sooner."""

import sys
import time

import numpy as np

from pulse_assets.numerics.normal_scores import KNOTS, normal_scores, values_at
from pulse_assets.trust.belief.targets import MEASURES, Targets
from pulse_assets.trust.belief.windows import Reach, say
from pulse_assets.trust.conformal.adaptive import fresh_state, learn, thresholds
from pulse_assets.trust.detection.cusum import REFERENCE, fresh_streams, watch


def main() -> None:
    """Run each kernel on next to nothing, so that everything is compiled and kept."""
    started = time.perf_counter()
    one, forecast = np.zeros(1, np.int64), KNOTS[None, :].copy()
    values_at(forecast, normal_scores(forecast, np.zeros(1))[:, None])
    state = fresh_state(1)
    learn(state, one, np.zeros(1), forecast, one + 1, 0)
    thresholds(state, one, forecast, one + 1, 0)
    streams = fresh_streams(1)
    for value in range(REFERENCE + 2):
        watch(streams, one, np.array([float(value % 7)]))
    values = np.ones((20, len(MEASURES)))
    targets = Targets(np.zeros(20, np.int64), np.arange(20), values)
    say(
        targets, np.array([0, 20]), Reach(np.array([19]), 99, 99, np.zeros((1, 1), np.int64), one + 1, np.ones(1, bool))
    )
    sys.stdout.write(f"kernels compiled in {time.perf_counter() - started:.0f} s\n")


if __name__ == "__main__":
    main()
