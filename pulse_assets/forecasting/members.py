"""How a user adds a model to the pool: what a member must do, and a guard around each. See :mod:`.adapters`, too.

A member says points; quantiles come from its past errors, and weights from its past losses, elsewhere.
"""

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RAISED = "MEMBER_RAISED"
SHAPE = "MEMBER_SHAPE"
NONFINITE = "MEMBER_NONFINITE"


@runtime_checkable
class PoolMember(Protocol):
    """A model that forecasts many series at once."""

    @property
    def name(self) -> str:
        """Name of the model in the tables; no two members of a pool share one."""

    def forecast(self, histories: list[Floats], horizon: int, season: int) -> Floats:
        """Return point forecasts for the next steps of every series.

        Parameters
        ----------
        histories
            Values known at the cutoff, finite, oldest first, each of its own length and on the scale of its series.
        horizon
            Steps ahead, at least 1.
        season
            Steps in a season, 1 where there is none.

        Returns
        -------
        array
            Shape ``(len(histories), horizon)``; a row of NaN where the model has nothing to say.
        """


class MemberShapeError(ValueError):
    """A model answered with another number of steps than asked."""


def guarded_forecast(
    member: PoolMember, histories: list[Floats], horizon: int, season: int
) -> tuple[Floats, list[str]]:
    """Run a member so that what goes wrong with a series costs only that series.

    When the batch raises or answers with a wrong shape, every series is run by itself; a model trained across series
    then sees one at a time. The member gets copies, so it cannot change the histories.

    Parameters
    ----------
    member, histories, horizon, season
        As in :meth:`PoolMember.forecast`.

    Returns
    -------
    forecasts
        Shape ``(len(histories), horizon)``; a row is finite or all NaN.
    reasons
        One a series: ``MEMBER_RAISED``, ``MEMBER_SHAPE`` or ``MEMBER_NONFINITE``, and ``""`` when fine. A row of NaN
        with ``""`` is one where the member had nothing to say.

    Raises
    ------
    ValueError
        The horizon or the season is below 1.

    Examples
    --------
    >>> class Hasty:
    ...     name = "hasty"
    ...     def forecast(self, histories, horizon, season):
    ...         return np.array([[history[-1]] * horizon for history in histories])
    >>> guarded_forecast(Hasty(), [np.array([2.0]), np.array([])], horizon=2, season=1)
    (array([[ 2.,  2.],
           [nan, nan]]), ['', 'MEMBER_RAISED'])
    """
    if horizon < 1 or season < 1:
        raise ValueError(f"expected a horizon and a season of at least 1, came {horizon} and {season}: count in steps")
    made, reason = _attempt(member, histories, horizon, season)
    reasons = [reason] * len(histories)
    if reason and len(histories) > 1:
        singles = [_attempt(member, [history], horizon, season) for history in histories]
        made, reasons = np.concatenate([rows for rows, _ in singles]), [reason for _, reason in singles]
    silent = np.all(np.isnan(made), axis=1)
    broken = np.flatnonzero(~np.all(np.isfinite(made), axis=1) & ~silent)
    made[broken] = np.nan
    for row in broken:
        reasons[row] = NONFINITE
    return made, reasons


def _attempt(member: PoolMember, histories: list[Floats], horizon: int, season: int) -> tuple[Floats, str]:
    """Return a member's answer and ``""``, or rows of NaN and why."""
    nothing = np.full((len(histories), horizon), np.nan)
    if not histories:
        return nothing, ""
    try:
        return _rows(member.forecast([np.array(history) for history in histories], horizon, season), nothing.shape), ""
    except MemberShapeError:
        return nothing, SHAPE
    except Exception:  # noqa: BLE001 - the border to code that is not ours; the reason is the record
        return nothing, RAISED


def _rows(answer: npt.ArrayLike, wanted: tuple[int, ...]) -> Floats:
    """Return a member's answer as an array of its own."""
    try:
        rows = np.array(answer)
    except (TypeError, ValueError) as error:
        raise MemberShapeError(f"expected an array of shape {wanted}, came {type(answer).__name__}") from error
    if rows.shape != wanted or rows.dtype.kind not in "iuf":
        raise MemberShapeError(f"expected numbers of shape {wanted}, came {rows.dtype} of shape {rows.shape}")
    return rows.astype(np.float64)
