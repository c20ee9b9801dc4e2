"""Judges one answer: a whole body, a reason to try again, or a refusal that stands.

Status, Retry-After and size belong here. Trying again is the business of :mod:`.http_client`; what a body means is
that of the source that asked for it.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import requests
from requests.exceptions import RequestException

from pulse_resources.errors import PermanentFailure, TransientFailure
from pulse_resources.sources.http_wire import Wire

SHOWN = 300
"""Characters of what a server or library says that an error repeats."""
_CHUNK = 64 * 1024
_FINE = frozenset({200, 203, 204})
_BUSY = frozenset({429, 500, 502, 503, 504})
_ADVICE = {
    401: "check the key",
    403: "check the key and what it is allowed to read",
    404: "check the address and the names in it",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole body, decompressed.

    Parameters
    ----------
    body
        The bytes; never more than the client's ``max_bytes``.
    etag
        The server's validator, if it sent one.
    from_cache
        True when the server said that the copy in ``cache_dir`` is still right.
    content_type
        As the server declared it; servers err.
    """

    body: bytes
    etag: str | None = None
    from_cache: bool = False
    content_type: str | None = None


class TryAgainError(Exception):
    """One attempt failed in a way that another may not."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def raise_unless_fine(response: requests.Response, wire: Wire, now: datetime, max_wait_s: float) -> None:
    """Raise what the status calls for; return if the body will be what was asked for.

    Parameters
    ----------
    response
        Any answer but a redirect; of its body no more than a chunk is read.
    wire
        What the request hides: the server's words are shown without it.
    now
        The present (UTC), for a Retry-After that is a date.
    max_wait_s
        Longest pause that we grant, in seconds.

    Raises
    ------
    TryAgainError
        The server is busy and asks for no longer pause than that.
    TransientFailure
        The server is busy for longer.
    PermanentFailure
        Any other status.
    """
    status = response.status_code
    if status in _BUSY:
        wait_s = retry_after(response.headers.get("Retry-After", ""), now)
        if wait_s <= max_wait_s:
            raise TryAgainError(f"it answered {status}", wait_s)
        raise TransientFailure(
            f"{wire.address}: answered {status} and asks for a pause of {wait_s:.0f} s, longer than "
            f"`max_wait_s`={max_wait_s:g}; come back after {now + timedelta(seconds=wait_s):%Y-%m-%d %H:%M:%S} UTC"
        )
    if status not in _FINE:
        said = wire.redact(f"{status} {response.reason} {_first_words(response)!r}")[:SHOWN]
        advice = _ADVICE.get(status, "check the parameters of the request")
        raise PermanentFailure(f"{wire.address}: expected 200, came {said}; {advice}")


def read_whole(response: requests.Response, address: str, max_bytes: int) -> bytes:
    """Return the body, decompressed, and never inflate it far beyond a limit.

    Raises
    ------
    PermanentFailure
        The body has more than ``max_bytes``.
    """
    parts, size = [], 0
    for part in response.iter_content(_CHUNK):
        size += len(part)
        if size > max_bytes:
            raise PermanentFailure(
                f"{address}: the body inflates beyond `max_bytes`={max_bytes}; if such an answer is right, "
                "raise the limit, else ask for less"
            )
        parts.append(part)
    return b"".join(parts)


def retry_after(text: str, now: datetime) -> float:
    """Return how many seconds a Retry-After header asks for; zero if it says nothing that we understand.

    Examples
    --------
    >>> noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    >>> [retry_after(text, noon) for text in ("37", "Mon, 02 Mar 2026 12:00:21 GMT", "soon")]
    [37.0, 21.0, 0.0]
    """
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - now).total_seconds())


def _first_words(response: requests.Response) -> str:
    with suppress(RequestException):
        return next(response.iter_content(_CHUNK), b"").decode("utf-8", "replace")
    return ""
