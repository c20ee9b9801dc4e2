"""A local web server that misbehaves on demand, and a clock that only sleep moves."""

import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pulse_resources.sources.http_client import HttpClient

Reply = Callable[["Handler"], None]


@dataclass(frozen=True)
class Asked:
    """One request as it came over the wire."""

    path: str
    query: dict[str, str]
    headers: Mapping[str, str]


class Handler(BaseHTTPRequestHandler):
    """Looks its reply up in the server; the last reply of a list stays."""

    protocol_version = "HTTP/1.1"
    timeout = 10
    disable_nagle_algorithm = True
    server: "Server"

    def do_GET(self) -> None:
        """Note the request and reply."""
        parts = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.server.asked.append(Asked(self.path, self.query, self.headers))
        replies = self.server.routes.get(parts.path, [self.server.status(404, b"no such page")])
        (replies.pop(0) if len(replies) > 1 else replies[0])(self)

    def log_message(self, *_: object) -> None:
        """Keep the test output clean."""


class Server(ThreadingHTTPServer):
    """Serves ``routes`` and keeps what was asked; each method below returns a reply."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes: dict[str, list[Reply]] = {}
        self.asked: list[Asked] = []
        self.closing = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that hang up: many of these tests are about that."""

    def at(self, path: str, *replies: Reply) -> str:
        """Set the replies of a path and return its address."""
        self.routes[path] = list(replies)
        return f"http://127.0.0.1:{self.server_port}{path}"

    @staticmethod
    def ok(body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """Send a body."""
        return Server.status(200, body, headers)

    @staticmethod
    def status(code: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """Send a status, and a body that may be shorter than its length says."""

        def reply(handler: Handler) -> None:
            sent = {"Content-Length": str(len(body))} | dict(headers or {})
            handler.send_response(code)
            for name, value in sent.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)
            if int(sent["Content-Length"]) != len(body):
                handler.close_connection = True

        return reply

    @staticmethod
    def redirect(address: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """Send elsewhere."""
        return Server.status(302, body, {"Location": address} | dict(headers or {}))

    @staticmethod
    def truncated(body: bytes) -> Reply:
        """Announce 100 bytes more than come."""
        return Server.ok(body, {"Content-Length": str(len(body) + 100)})

    @staticmethod
    def chunked(body: bytes, headers: Mapping[str, str] | None = None, *, whole: bool = True) -> Reply:
        """Send one chunk, and the last, empty one if the body is to be whole."""

        def reply(handler: Handler) -> None:
            handler.send_response(200)
            for name, value in ({"Transfer-Encoding": "chunked"} | dict(headers or {})).items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(body), body) + (b"0\r\n\r\n" if whole else b""))
            handler.close_connection = True

        return reply

    def drip(self, once: bytes, *, every_s: float = 0.05) -> Reply:
        """Send some bytes, then one more again and again, each well within any read time-out."""

        def reply(handler: Handler) -> None:
            handler.close_connection = True
            handler.wfile.write(once)
            while not self.closing.wait(every_s):
                handler.wfile.write(b"x")

        return reply

    def silent(self, handler: Handler) -> None:
        """Accept the request and say nothing."""
        handler.close_connection = True
        self.closing.wait(10)

    @staticmethod
    def with_etag(body: bytes, etag: str) -> Reply:
        """Answer 304 to a client that already holds this version."""

        def reply(handler: Handler) -> None:
            held = handler.headers.get("If-None-Match") == etag
            (Server.status(304) if held else Server.ok(body, {"ETag": etag}))(handler)

        return reply


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Server]]:
    """Start servers, each on its own free port; stop all of them at the end."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running: list[tuple[Server, threading.Thread]] = []

    def start() -> Server:
        server = Server()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(serve: Callable[[], Server]) -> Server:
    return serve()


@dataclass
class FakeTime:
    """Time that passes only in ``sleep``."""

    now: datetime = datetime(2026, 3, 2, 12, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)

    def clock(self) -> datetime:
        """Return the present."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture(scope="session")
def bomb() -> bytes:
    """Return a gzip body of a few hundred kilobytes that inflates to 300 MB."""
    press = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    zeros = bytes(2**20)
    packed = b"".join(press.compress(zeros) for _ in range(300)) + press.flush()
    assert len(packed) < 2**20
    return packed


@pytest.fixture
def client_with(fake_time: FakeTime) -> Iterator[Callable[..., HttpClient]]:
    """Build clients whose pauses cost nothing; close all of them at the end."""
    clients: list[HttpClient] = []

    def build(**options: Any) -> HttpClient:
        clients.append(HttpClient(**({"clock": fake_time.clock, "sleep": fake_time.sleep} | options)))
        return clients[-1]

    yield build
    for client in clients:
        client.close()
