"""Which trainings serve out of turn, read off the record of what became of them. Pure.

Why a training was promoted, and when one should be, does not belong here.
"""

from datetime import date

import pyarrow as pa

from pulse_assets.forecasting.engine import Promotion

PROMOTED, ROLLED_BACK = "promoted", "rolled_back"
NOTHING = date.min
"""``trained_on`` where nothing serves out of turn any more: no refit is older."""


def promotions_in_force(events: pa.Table) -> tuple[Promotion, ...]:
    """Return the promotions that the engine takes, in order of their days.

    A rollback takes the promotion away that has learned up to its ``trained_on``, for origins after the rollback's own
    day: what was promoted before that serves again, or else the refit of the quarter. A rollback of something that is
    not in force changes nothing, nor does a promotion of what is.

    Parameters
    ----------
    events
        Columns ``as_of, family, event, trained_on, recorded_at`` of ``ops/model_events``; any order, other events too.

    Raises
    ------
    ValueError
        A promotion does not say what it has learned from.

    Examples
    --------
    >>> rows = [("promoted", 3), ("rolled_back", 9)]
    >>> events = pa.table({
    ...     "as_of": [date(2024, 5, day) for _, day in rows], "family": ["B price"] * 2,
    ...     "event": [event for event, _ in rows], "trained_on": [date(2024, 5, 2)] * 2, "recorded_at": [1, 2]})
    >>> [(str(after), str(trained_on)) for _, after, trained_on in promotions_in_force(events)]
    [('2024-05-03', '2024-05-02'), ('2024-05-09', '0001-01-01')]
    """
    order = [(name, "ascending") for name in ("as_of", "recorded_at")]
    names = ["as_of", "family", "event", "trained_on", "recorded_at"]
    serving: dict[str, list[date]] = {}
    found = []
    for row in events.select(names).sort_by(order).to_pylist():
        family, after, trained_on = row["family"], row["as_of"], row["trained_on"]
        stack = serving.setdefault(family, [])
        if row["event"] == PROMOTED:
            if trained_on is None:
                raise ValueError(
                    f"the promotion of {family} on {after} does not say what it has learned from; expected a date in "
                    "trained_on of ops/model_events; restore the version of the table before it"
                )
            if stack[-1:] == [trained_on]:  # told twice
                continue
            stack.append(trained_on)
        elif row["event"] == ROLLED_BACK and trained_on in stack:
            del stack[len(stack) - 1 - stack[::-1].index(trained_on)]
        else:
            continue
        found.append(Promotion(family, after, stack[-1] if stack else NOTHING))
    return tuple(found)
