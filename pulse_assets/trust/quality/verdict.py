"""Turns measures of data quality into one number and into codes. Pure."""

import numpy as np
import numpy.typing as npt

from pulse_assets.trust.quality.measures import FLAT, GAPS, JUMP_Z, LEAST, LONG_RUN, REVISED, Measures

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CODES = ("DQ_EMPTY", "DQ_STALE", "DQ_SHORT", "DQ_DUP", "DQ_UNIT_JUMP", "DQ_FLAT", "DQ_GAPS", "REVISION_HIGH")


def quality_of(measures: Measures, observations: Ints, late: Floats, duplicates: Ints) -> Floats:
    """Return the product of what is lost to each fault, in [0, 1]; no fault raises it.

    Parameters
    ----------
    measures
        Each of shape ``(S, O)``.
    observations, duplicates
        Shape ``(S, O)``.
    late
        Age over what the frequency allows, shape ``(S, O)``.
    """
    fresh = np.clip(1 - 0.5 * late, 0, 1) * (late <= 1)
    whole = 1 - np.nan_to_num(measures.missing_share)
    lively = 1 - 0.8 * np.nan_to_num(measures.flat_share)
    settled = 1 - 0.2 * np.nan_to_num(measures.revision_rate)
    known = np.minimum(observations / 30, 1.0)
    sound = (np.nan_to_num(measures.jump_z) <= JUMP_Z) & (duplicates == 0) & (observations >= LEAST)
    return np.asarray(fresh * whole * lively * settled * known * sound)


def flags_of(
    measures: Measures, observations: Ints, late: Floats, duplicates: Ints, all_zero: npt.NDArray[np.bool_]
) -> npt.NDArray[np.object_]:
    """Return the codes that hold, separated by blanks, shape ``(S, O)``; see :func:`quality_of`.

    Parameters
    ----------
    all_zero
        Whether every value of the window is 0: it looks alive, but says nothing.
    """
    hits = {
        "DQ_EMPTY": (observations == 0) | all_zero,
        "DQ_STALE": late > 1,
        "DQ_SHORT": observations < LEAST,
        "DQ_DUP": duplicates > 0,
        "DQ_UNIT_JUMP": measures.jump_z > JUMP_Z,
        "DQ_FLAT": (measures.flat_run >= LONG_RUN) | (measures.flat_share >= FLAT),
        "DQ_GAPS": measures.missing_share > GAPS,
        "REVISION_HIGH": measures.revision_rate >= REVISED,
    }
    code = np.zeros(observations.shape, np.int64)
    for bit, name in enumerate(CODES):
        code |= hits[name].astype(np.int64) << bit
    values, place = np.unique(code, return_inverse=True)
    words = [" ".join(name for bit, name in enumerate(CODES) if value >> bit & 1) for value in values.tolist()]
    return np.array(words, object)[place].reshape(code.shape)
