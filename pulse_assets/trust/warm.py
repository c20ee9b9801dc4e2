"""Compiles every kernel of trust once: ``python -m pulse_assets.trust.warm``. Later processes start sooner."""

import sys
import time

import numpy as np

from pulse_assets.numerics.normal_scores import KNOTS, normal_scores, values_at
from pulse_assets.trust.belief.targets import MEASURES, Targets
from pulse_assets.trust.belief.windows import Reach, say
from pulse_assets.trust.conformal.learning import Arrived, await_truths, fresh_state, learn
from pulse_assets.trust.conformal.thresholds import issue
from pulse_assets.trust.detection.cusum import REFERENCE, fresh_streams, watch


def main() -> None:
    """Run each kernel on next to nothing, so that everything is compiled and kept."""
    started = time.perf_counter()
    one, forecast = np.zeros(1, np.int64), KNOTS[None, :].copy()
    values_at(forecast, normal_scores(forecast, np.zeros(1))[:, None])
    state = await_truths(fresh_state(1), one, one, forecast.astype(np.float32), one, one + 1)
    learn(state, Arrived(one, one, one + 1, np.zeros(1)), np.zeros(1))
    issue(state, one, one, one + 1, one)
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
