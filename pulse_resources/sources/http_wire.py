"""Puts a request on the wire: what is said there, to whom, and until when.

The keeping of secrets, the deadline of one attempt, and the hooks into requests and urllib3 that both need belong
here. When to ask again is the business of :mod:`.http_client`; whether an answer will do, of :mod:`.http_answer`.
"""

import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import Timer
from urllib.parse import quote, unquote_plus, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool

MASK = "***"
_SECRET_LENGTH = 8  # shorter ones ("demo") occur in addresses by chance


class Wire:
    """What one request hides and holds: its secrets, and the socket that its deadline cuts.

    Secrets leave the address before requests and urllib3 see it, and return on the request line only. So
    neither their logs, nor their exceptions, nor the cache can repeat them.

    Parameters
    ----------
    address
        Where the request goes, quoted, with its secrets; :attr:`address` is the same with the secrets masked.
    secret_params
        Names of the query parameters that are secret, in any case.

    Examples
    --------
    >>> wire = Wire("https://h/p?key=s3cr3t&x=1", ["key"])
    >>> wire.address, wire.request_line("/p?key=***&x=1")
    ('https://h/p?key=***&x=1', '/p?key=s3cr3t&x=1')
    """

    def __init__(self, address: str, secret_params: Sequence[str]) -> None:
        either = "|".join(map(re.escape, secret_params)) or "(?!)"
        self._parameter = re.compile(rf"(?<=[?&])((?:{either})=)([^&#]*)", re.IGNORECASE)
        self._values = {name.lower(): unquote_plus(value) for name, value in self._parameter.findall(address)}
        self._sock: socket.socket | None = None
        self._trusted = True
        self.expired = False
        self.address = self._mask(address)

    def _mask(self, address: str) -> str:
        return self._parameter.sub(rf"\1{MASK}", address)

    def redirect(self, target: str) -> str:
        """Return where a redirect leads, without secrets; from now on they go there only if it is the first host."""
        self._trusted = _origin(target) == _origin(self.address)
        return self._mask(target) if self._trusted else self._parameter.sub("", target)

    def request_line(self, target: str) -> str:
        """Return what goes over the wire: the true values, but only for the host that the caller named."""
        if not self._trusted:
            return target
        return self._parameter.sub(lambda m: m[1] + quote(self._values.get(m[1].lower(), MASK), safe=""), target)

    def redact(self, text: str) -> str:
        """Return a server's or library's text without any secret that it repeats."""
        for value in filter(None, self._values.values()):
            text = text.replace(value, MASK).replace(quote(value, safe=""), MASK)
        return text

    def repeats_secret(self, address: str) -> bool:
        """Say whether an address carries a secret under another name."""
        said = unquote_plus(address)
        return any(value in said for value in self._values.values() if len(value) >= _SECRET_LENGTH)

    def is_in(self, body: bytes) -> bool:
        """Say whether a body repeats a secret."""
        return any(value and value.encode() in body for value in self._values.values())

    def hold(self, sock: object) -> None:
        """Remember the connection in use; cut it if the deadline has already passed."""
        self._sock = sock if isinstance(sock, socket.socket) else None
        if self.expired:
            self.cut()

    def cut(self) -> None:
        """End the connection; a reader that waits on it goes on at once."""
        self.expired = True
        if self._sock is not None:
            with suppress(OSError):
                # the plain method: SSLSocket's own would let the reader go on in clear text
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Cut the connection after so many seconds: no read time-out ends a server that drips bytes."""
        self._sock, self._trusted, self.expired = None, True, False
        timer = Timer(seconds, self.cut)
        timer.daemon = True
        token = _WIRE.set(self)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            _WIRE.reset(token)


_WIRE: ContextVar[Wire] = ContextVar("_WIRE")


class _WiredConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _WIRE.get().hold(self.sock)

    def putrequest(self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False) -> None:
        _WIRE.get().hold(self.sock)
        super().putrequest(method, _WIRE.get().request_line(url), skip_host, skip_accept_encoding)


class _WiredAdapter(HTTPAdapter):
    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,
        proxies: Mapping[str, str] | None = None,
        cert: tuple[str, str] | str | None = None,
    ) -> ConnectionPool:
        pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
        if isinstance(pool, HTTPConnectionPool) and not issubclass(pool.ConnectionCls, _WiredConnection):
            pool.ConnectionCls = type("_Wired", (_WiredConnection, pool.ConnectionCls), {})
        return pool

    def close(self) -> None:
        """Close idle connections now; urllib3 2 leaves that to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - this container refuses to be iterated
                manager.pools[key].close()
        super().close()


class WiredSession(requests.Session):
    """A session whose connections ask the :class:`Wire` of the request, and which follows no redirect."""

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _WiredAdapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Follow nothing: requests would inflate the whole body of a redirect, however large."""


def _origin(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc.lower()
