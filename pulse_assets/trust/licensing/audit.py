"""Makes decisions again from their own rows, and says where they do not add up. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pulse_assets.trust.licensing.chain import KEYS, by_day
from pulse_assets.trust.licensing.gates import decide, evidence_of
from pulse_assets.trust.licensing.policy import Policy

DECIDED = ("state", "tier", "earned", "reasons")


@dataclass(frozen=True, slots=True)
class Decision:
    """What the evidence in one row of ``gold/licences`` leads to, see there."""

    state: str
    tier: str | None
    earned: int
    reasons: str


def recompute(row: Mapping[str, object], policy: Policy) -> Decision:
    """Make one decision again, from nothing but its audit row.

    Which row of a series and bucket was chosen depends on the other rows, and is taken from ``serve``.

    Parameters
    ----------
    row
        Columns of ``gold/licences``; null is None.
    policy
        Thresholds of its day.
    """
    alone = pa.Table.from_pylist([dict(row)])
    made = decide(evidence_of(alone), policy, np.array([row["serve"]], bool))
    return Decision(str(made.state[0]), made.tier[0], int(made.earned[0]), str(made.reasons[0]))


def decision_problems(licences: pa.Table, policy: Policy) -> list[str]:
    """Return in words which decisions do not follow from their rows, the choice of what to serve included.

    Parameters
    ----------
    licences
        All rows of some days of ``gold/licences``.
    policy
        Thresholds of these days.
    """
    return [problem for rows in by_day(licences).values() for problem in _of_day(rows, policy)]


def _of_day(rows: pa.Table, policy: Policy) -> list[str]:
    made = decide(evidence_of(rows), policy)
    problems = []
    for name in (*DECIDED, "serve"):
        written, again = rows[name].to_pylist(), getattr(made, name).tolist()
        differs = [place for place, pair in enumerate(zip(written, again, strict=True)) if pair[0] != pair[1]]
        if differs:
            first = rows.slice(differs[0], 1).to_pylist()[0]
            which = " ".join(str(first[key]) for key in KEYS)
            problems.append(
                f"{name} of {len(differs)} rows does not follow from their evidence; the first, {which}, says "
                f"{written[differs[0]]!r}, {again[differs[0]]!r} follows"
            )
    return problems
