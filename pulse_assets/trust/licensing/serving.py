"""The one door through which digests, recommendations and posts read forecasts. Pure."""

from collections.abc import Mapping
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

KEYS = ("as_of", "unique_id", "model", "bucket")


def servable(calibrated: pa.Table, licences: pa.Table, on: date | None = None) -> pa.Table:
    """Return the recalibrated forecasts that may be used, with ``state, tier, reasons, expires_on`` of their licence.

    Parameters
    ----------
    calibrated
        Columns of ``gold/calibrated``.
    licences
        Columns of ``gold/licences``.
    on
        Day of reading: what has expired by then is left out; None takes all.
    """
    rows = licences.filter(licences["serve"])
    if on is not None:
        rows = rows.filter(pc.greater_equal(rows["expires_on"], pa.scalar(on)))
    chosen = rows.select([*KEYS, "state", "tier", "trust", "reasons", "expires_on"])
    drop = [name for name in ("z", "rates") if name in calibrated.column_names]  # lists cannot be joined
    made = calibrated.drop_columns(drop).join(chosen, keys=list(KEYS), join_type="inner")
    return made.sort_by([(key, "ascending") for key in ("as_of", "unique_id", "model", "h")])


def state_on(licence: Mapping[str, object], day: date) -> str:
    """Return the state of a licence for a reader on some day: what was open expires with its last forecast.

    Examples
    --------
    >>> state_on({"state": "licensed", "expires_on": date(2024, 1, 5)}, date(2024, 1, 8))
    'expired'
    """
    state, expires = str(licence["state"]), licence["expires_on"]
    assert isinstance(expires, date)
    return "expired" if state in ("licensed", "fallback") and day > expires else state
