"""Codes of faults of a series, in words. Pure; nothing else is imported, so that anything may import it."""

FLAGS = {
    "DQ_EMPTY": "no finite value is known",
    "DQ_STALE": "nothing became known for longer than its frequency allows",
    "DQ_SHORT": "fewer than eight observations",
    "DQ_DUP": "one event time was told with different values at one moment",
    "DQ_UNIT_JUMP": "its level shifted for good within one step, by more than any market moves",
    "DQ_FLAT": "it stands still for longer than its own past makes plausible",
    "DQ_GAPS": "more than one in ten of the event times due lately are missing",
    "REVISION_HIGH": "what is told first is later revised by more than half a usual step on average",
}
"""In the order in which they are written."""
RUINING = ("DQ_EMPTY", "DQ_STALE", "DQ_DUP", "DQ_UNIT_JUMP")
"""Those that leave nothing of the quality."""
