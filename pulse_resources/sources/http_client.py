"""Asks a server for one body, and outlives servers that are slow, busy, broken or hostile.

When to ask, how often and where belongs here. Secrets and deadlines are kept by :mod:`.http_wire`, bodies by
:mod:`.http_cache`; which answer will do is said in :mod:`.http_answer`, and what a body means is the business of the
source that asked for it.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self
from urllib.parse import urlencode, urljoin, urlsplit

import requests
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, RequestException
from requests.utils import requote_uri
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from pulse_resources.clock import Clock, utc_now
from pulse_resources.errors import ConfigError, PermanentFailure, TransientFailure
from pulse_resources.sources.http_answer import SHOWN, Answer, TryAgainError, raise_unless_fine, read_whole
from pulse_resources.sources.http_cache import Entry, entry_path
from pulse_resources.sources.http_wire import Wire, WiredSession

logger = logging.getLogger(__name__)

_BROKEN = (requests.ConnectionError, requests.Timeout, ChunkedEncodingError, ContentDecodingError)


@dataclass
class HttpClient:
    """A polite, bounded HTTP reader for one thread; close it, or use it in a ``with``.

    Parameters
    ----------
    timeout_s
        Longest silence of the server, in seconds, while connecting and between two reads.
    deadline_s
        Longest time of one attempt from the moment the connection stands to the last byte, in seconds.
    tries
        Attempts in all, on broken connections, time-outs, 429, 500, 502, 503, 504 and bodies cut short.
    backoff_s
        First pause between attempts in seconds; it doubles, with as much jitter, up to ``max_wait_s``.
    max_wait_s
        Longest pause in seconds; if a server asks for more by Retry-After, we give up and say when to come.
    min_interval_s
        Shortest time between two requests to the same host, in seconds.
    max_bytes
        Largest body, decompressed; it is never inflated beyond this.
    max_redirects
        How many hops are followed, to http or https only.
    secret_params
        Names of query parameters whose values appear nowhere but on the request line to the first host.
    cache_dir
        Folder for bodies that came with an ETag or Last-Modified, one file an address; None keeps none.
    user_agent
        How we introduce ourselves.
    clock, sleep
        Replaced by tests.

    Notes
    -----
    Name resolution is bounded by the operating system only, the TLS handshake by ``timeout_s`` a read. A body
    that comes with neither length nor chunks cannot be told from a truncated one.
    """

    timeout_s: float = 20.0
    deadline_s: float = 120.0
    tries: int = 4
    backoff_s: float = 1.0
    max_wait_s: float = 60.0
    min_interval_s: float = 0.0
    max_bytes: int = 64 * 2**20
    max_redirects: int = 3
    secret_params: Sequence[str] = ()
    cache_dir: Path | None = None
    user_agent: str = "pulse-forecasts"
    clock: Clock = utc_now
    sleep: Callable[[float], None] = time.sleep
    _session: WiredSession = field(init=False, repr=False, default_factory=WiredSession)
    _asked: dict[str, datetime] = field(init=False, repr=False, default_factory=dict)
    _wire: Wire | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        for name in ("timeout_s", "deadline_s", "tries", "max_wait_s", "max_bytes"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above zero, got {getattr(self, name)!r}")
        self._session.headers.update({"User-Agent": self.user_agent, "Accept-Encoding": "gzip"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; a later :meth:`get` opens new ones."""
        self._session.close()

    def get(self, url: str, params: Mapping[str, str] | None = None, *, cache_key: str | None = None) -> Answer:
        """Return the body at an address.

        Parameters
        ----------
        url
            Address, http or https; it may hold a query.
        params
            More query parameters, unquoted.
        cache_key
            What the cached body is filed under, for addresses that change (with a date, say) and whose old
            bodies are of no use; by default the address without secrets.

        Raises
        ------
        TransientFailure
            No attempt succeeded, or the server asks us to come back later than ``max_wait_s``.
        PermanentFailure
            Refused (4xx), too large, redirected too often or out of http, or no valid address.

        Examples
        --------
        >>> with HttpClient(secret_params=["key"]) as client:  # doctest: +SKIP
        ...     client.get("https://example.org/bars", {"key": "…", "symbol": "SPY"}).body
        """
        if re.match(r"[^/?#]*//[^/?#]*@", url):
            raise ConfigError("expected no user or password in `url`; pass a key as one of `secret_params` instead")
        query = f"{'&' if '?' in url else '?'}{urlencode(params)}" if params else ""
        self._wire = wire = Wire(requote_uri(url + query), self.secret_params)
        path = None if self.cache_dir is None else entry_path(self.cache_dir, cache_key or wire.address)
        entry = Entry.read(path, wire.address) if path else None
        fresh = self._persist(wire, entry)
        if path is not None and fresh is not entry and fresh.validators() and not wire.is_in(fresh.body):
            fresh.write(path)
        return Answer(fresh.body, fresh.etag, fresh is entry, fresh.content_type)

    def redact(self, text: str) -> str:
        """Return a text without the secrets of the latest request, for what is kept of an answer that repeats them."""
        return text if self._wire is None else self._wire.redact(text)

    def _persist(self, wire: Wire, entry: Entry | None) -> Entry:
        attempts = Retrying(
            stop=stop_after_attempt(self.tries),
            wait=self._pause,
            sleep=self.sleep,
            retry=retry_if_exception_type(TryAgainError),
            before_sleep=lambda state: logger.info("%s: %s; trying again", wire.address, _last(state)),
            reraise=True,
        )
        try:
            return attempts(self._attempt, wire, entry)
        except TryAgainError as last:
            raise TransientFailure(
                f"{wire.address}: expected a whole answer, got none in {self.tries} tries; the last one: {last}. "
                "Run again later; if it stays so, look at the server or raise `tries` and `deadline_s`"
            ) from last

    def _attempt(self, wire: Wire, entry: Entry | None) -> Entry:
        try:
            self._pace(wire.address)
            with wire.within(self.deadline_s), self._follow(wire, entry) as response:
                fresh = self._judge(wire, response, entry)
        except (RequestException, ValueError) as error:
            said = wire.redact(f"{type(error).__name__}: {error}")[:SHOWN]
            if wire.expired or isinstance(error, _BROKEN):
                raise TryAgainError(self._late() if wire.expired else said) from error
            raise PermanentFailure(f"{wire.address}: expected a valid http address ({said}); correct `url`") from error
        if wire.expired:  # the cut looked like the end of the body
            raise TryAgainError(self._late())
        return fresh

    def _late(self) -> str:
        return f"no whole answer within `deadline_s`={self.deadline_s:g}"

    def _follow(self, wire: Wire, entry: Entry | None) -> requests.Response:
        """Return the first answer that is no redirect; its body is not read yet."""
        target, headers = wire.address, entry.validators() if entry else {}
        for _ in range(self.max_redirects + 1):
            response = self._session.get(target, headers=headers, timeout=self.timeout_s, stream=True)
            if not response.is_redirect:
                return response
            response.close()
            target = wire.redirect(urljoin(target, response.headers["Location"]))
            if not target.startswith(("http://", "https://")) or wire.repeats_secret(target):
                raise PermanentFailure(
                    f"{wire.address}: expected a redirect to http or https without our key in it, "
                    f"came {wire.redact(target)[:SHOWN]}; use the address that it should lead to"
                )
            self._pace(target)
        raise PermanentFailure(
            f"{wire.address}: redirected more than {self.max_redirects} times; use the final address"
        )

    def _judge(self, wire: Wire, response: requests.Response, entry: Entry | None) -> Entry:
        if response.status_code == requests.codes.not_modified and entry is not None:
            return entry
        raise_unless_fine(response, wire, self.clock(), self.max_wait_s)
        body, headers = read_whole(response, wire.address, self.max_bytes), response.headers
        return Entry(wire.address, headers.get("ETag"), headers.get("Last-Modified"), headers.get("Content-Type"), body)

    def _pace(self, address: str) -> None:
        host = urlsplit(address).netloc.lower()
        if host in self._asked:
            wait_s = self.min_interval_s - (self.clock() - self._asked[host]).total_seconds()
            if wait_s > 0:
                self.sleep(min(wait_s, self.min_interval_s))
        self._asked[host] = self.clock()

    def _pause(self, state: RetryCallState) -> float:
        backoff = wait_exponential(self.backoff_s) + wait_random(0, self.backoff_s)
        return max(min(backoff(state), self.max_wait_s), _last(state).wait_s)


def _last(state: RetryCallState) -> TryAgainError:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, TryAgainError) else TryAgainError("unknown")
