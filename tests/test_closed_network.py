"""The session's sockets reach this machine and no other; so no test, and nothing that a test runs, needs the internet.

To close child processes and compiled clients in as well, run the suite in a network of its own (Linux, as root)::

    unshare --net sh -c 'ip link set lo up && exec pytest'
"""

import importlib
import os
import pkgutil
import socket
import urllib.request
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest

from pulse_assets.trust import detection
from pulse_assets.trust.detection import distributions, panel, report
from tests.closed_network import REAL_STORE, TELEMETRY, OutsideError, closed_network, is_outside

ELSEWHERE = "192.0.2.1"  # an address that is nobody's, RFC 5737


@pytest.mark.parametrize("host", [ELSEWHERE, "2001:db8::1", b"192.0.2.1", "example.org", "localhost.example.org"])
def test_other_machines_are_outside(host: object) -> None:
    assert is_outside(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "", None, "localhost", b"localhost"])
def test_this_machine_is_not(host: object) -> None:
    assert not is_outside(host)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_connecting_elsewhere_is_refused_and_remembered(kind: socket.SocketKind) -> None:
    with closed_network() as tried, socket.socket(socket.AF_INET, kind) as one:
        for attempt in (one.connect, one.connect_ex, lambda target: one.sendto(b"x", target)):
            with pytest.raises(OutsideError, match="tests reach only this machine"):
                attempt((ELSEWHERE, 9))
        assert len(tried) == 3
        assert "test_connecting_elsewhere_is_refused_and_remembered" in tried[0]


def test_names_are_not_looked_up() -> None:
    with closed_network() as tried:
        for attempt in (lambda: socket.getaddrinfo("example.org", 80), lambda: socket.gethostbyname("example.org")):
            with pytest.raises(OutsideError):
                attempt()
        with pytest.raises(URLError):
            urllib.request.urlopen("http://example.org")
        assert len(tried) == 3


def test_this_machine_can_be_spoken_to() -> None:
    with closed_network() as tried, socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(("localhost", server.getsockname()[1])) as client:
            server.accept()[0].close()
            assert client.recv(1) == b""
        assert tried == []


def test_what_was_closed_is_opened_again() -> None:
    connect, look_up = socket.socket.connect, socket.getaddrinfo
    with closed_network():
        assert socket.socket.connect is not connect
    assert socket.socket.connect is connect
    assert socket.getaddrinfo is look_up


@pytest.mark.skipif(REAL_STORE in os.environ, reason=f"{REAL_STORE} asks for a real object store")
def test_the_whole_session_is_closed() -> None:
    assert "closed_network" in socket.socket.connect.__qualname__


@pytest.mark.parametrize("name", sorted(TELEMETRY))
def test_no_library_calls_home(name: str) -> None:
    assert os.environ.get(name), f"{name} is unset"


@pytest.mark.slow
def test_drift_is_detected_and_drawn_with_the_network_closed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    before = {name: rng.normal(size=100) for name in "abc"}
    after = {name: rng.normal(2, 1, 60) for name in "abc"}
    with closed_network() as tried:
        for module in pkgutil.iter_modules(detection.__path__, f"{detection.__name__}."):
            importlib.import_module(module.name)
        distributions.compare_panel(list(before.values()), list(after.values()), autocorrelated=True)
        panel.panel_statistic(rng.normal(size=(125, 12)))
        assert report.render(before, after, tmp_path / "page.html").size > 0
        assert tried == []
