"""Closes the network to a test session: only this machine may be spoken to, and every other attempt is remembered.

What is closed is Python's socket module in this process, where an attempt has the name of the test that made it. Child
processes and compiled clients are not seen; ``unshare --net`` closes those too, see ``tests/test_closed_network.py``.
"""

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

TELEMETRY = {
    "DO_NOT_TRACK": "true",  # mlflow wants this word, evidently any
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "EVIDENTLY_DISABLE_TELEMETRY": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "NML_DISABLE_USAGE_LOGGING": "1",
}
"""What keeps each library from calling home."""
REAL_STORE = "PULSE_TEST_S3_URL"
"""Where this is set, a session was asked to use a real object store, and the network stays open."""
METHODS = ("connect", "connect_ex", "sendto")
LOOKUPS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr")
HERE = {"", "localhost", socket.gethostname().lower()}
Call = Callable[..., Any]


class OutsideError(OSError):
    """A test tried to reach another machine. Give it a fake, or something small and real on a free local port."""


def is_outside(host: object, *, names_only: bool = False) -> bool:
    """Return whether a host, as given to the socket module, is another machine; or only whether its name is."""
    name = host.decode() if isinstance(host, bytes) else host
    if not isinstance(name, str) or name.lower() in HERE or name.lower().endswith(".localhost"):
        return False
    try:
        address = ipaddress.ip_address(name.split("%")[0])
    except ValueError:
        return True
    return not names_only and not address.is_loopback and not address.is_unspecified


@contextmanager
def closed_network() -> Iterator[list[str]]:
    """Let no socket of this process reach another machine; yield what was tried, as it is tried."""
    tried: list[str] = []

    def refuse(what: str, target: object) -> None:
        tried.append(f"{what}({target!r}) in {os.environ.get('PYTEST_CURRENT_TEST', 'no test')}")
        raise OutsideError(f"{what}({target!r}): tests reach only this machine; use a fake or a local port")

    def method(name: str, real: Call) -> Call:
        def guarded(self: socket.socket, *args: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and is_outside(args[-1][0]):
                refuse(name, args[-1])
            return real(self, *args)

        return guarded

    def lookup(name: str, real: Call) -> Call:
        def guarded(host: object, *args: Any, **wish: Any) -> Any:
            if is_outside(host, names_only=True):
                refuse(name, host)
            return real(host, *args, **wish)

        return guarded

    with ExitStack() as stack:
        for name in METHODS:
            stack.enter_context(mock.patch.object(socket.socket, name, method(name, getattr(socket.socket, name))))
        for name in LOOKUPS:
            stack.enter_context(mock.patch.object(socket, name, lookup(name, getattr(socket, name))))
        yield tried
