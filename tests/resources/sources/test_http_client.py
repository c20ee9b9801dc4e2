"""The client against a real local server that is slow, busy, broken or hostile."""

import gzip
import socket
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_resources.errors import ConfigError, PermanentFailure, TransientFailure
from pulse_resources.sources.http_answer import retry_after
from pulse_resources.sources.http_client import HttpClient

BODY = b"Date,Close\n2026-02-27,101.5\n"
GENEROUS_S = 8.0


def test_a_body_comes_back_with_what_the_server_said_about_it(
    server: Any, client_with: Callable[..., HttpClient]
) -> None:
    url = server.at("/a", server.ok(BODY, {"ETag": '"1"', "Content-Type": "text/csv"}))
    answer = client_with().get(url)
    assert (answer.body, answer.etag, answer.content_type, answer.from_cache) == (BODY, '"1"', "text/csv", False)


def test_a_compressed_body_is_inflated(server: Any, client_with: Callable[..., HttpClient]) -> None:
    url = server.at("/a", server.ok(gzip.compress(BODY), {"Content-Encoding": "gzip"}))
    assert client_with().get(url).body == BODY


def test_parameters_join_those_of_the_address(server: Any, client_with: Callable[..., HttpClient]) -> None:
    client_with().get(server.at("/a", server.ok(BODY)) + "?i=d", {"s": "^spx &?"})
    assert server.asked[0].query == {"i": "d", "s": "^spx &?"}


def test_a_client_can_be_used_again_after_close(server: Any, client_with: Callable[..., HttpClient]) -> None:
    url, client = server.at("/a", server.ok(BODY)), client_with()
    with client:
        client.get(url)
    assert client.get(url).body == BODY


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a", "no address", "http://", "http://[::1/a", "http://a:99999999/"])
def test_what_is_no_http_address_fails_for_good(client_with: Callable[..., HttpClient], url: str) -> None:
    with pytest.raises(PermanentFailure, match="correct `url`"):
        client_with().get(url)


def test_a_password_in_the_address_is_refused_and_not_repeated(client_with: Callable[..., HttpClient]) -> None:
    with pytest.raises(ConfigError, match="secret_params") as caught:
        client_with().get("http://me:hunter2@127.0.0.1/a")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("option", ["timeout_s", "deadline_s", "tries", "max_wait_s", "max_bytes"])
def test_a_limit_of_zero_is_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        HttpClient(**{option: 0})


def test_a_server_that_recovers_is_asked_until_it_does(
    server: Any, client_with: Callable[..., HttpClient], fake_time: Any
) -> None:
    url = server.at("/a", server.status(503), server.status(500), server.ok(BODY))
    assert client_with(backoff_s=1.0).get(url).body == BODY
    first, second = fake_time.slept
    assert 1 <= first <= 2 <= second <= 3


def test_pauses_are_jittered(server: Any, client_with: Callable[..., HttpClient], fake_time: Any) -> None:
    url = server.at("/a", server.status(502))
    with pytest.raises(TransientFailure):
        client_with(backoff_s=1.0, max_wait_s=1000, tries=6).get(url)
    assert all(pause % 1 for pause in fake_time.slept)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_a_bounded_number_of_times(
    server: Any, client_with: Callable[..., HttpClient], status: int
) -> None:
    with pytest.raises(TransientFailure, match=f"3 tries.*{status}"):
        client_with(tries=3).get(server.at("/a", server.status(status)))
    assert len(server.asked) == 3


def test_retry_after_in_seconds_is_waited_for(
    server: Any, client_with: Callable[..., HttpClient], fake_time: Any
) -> None:
    url = server.at("/a", server.status(429, headers={"Retry-After": "37"}), server.ok(BODY))
    assert client_with(backoff_s=0.001).get(url).body == BODY
    assert fake_time.slept == [37.0]


def test_retry_after_as_a_date_is_waited_for(
    server: Any, client_with: Callable[..., HttpClient], fake_time: Any
) -> None:
    until = format_datetime(fake_time.now + timedelta(seconds=21), usegmt=True)
    url = server.at("/a", server.status(503, headers={"Retry-After": until}), server.ok(BODY))
    assert client_with(backoff_s=0.001).get(url).body == BODY
    assert fake_time.slept == [21.0]


def test_a_longer_pause_than_we_grant_fails_and_says_when_to_come_back(
    server: Any, client_with: Callable[..., HttpClient], fake_time: Any
) -> None:
    url = server.at("/a", server.status(429, headers={"Retry-After": "3600"}))
    with pytest.raises(TransientFailure, match="come back after 2026-03-02 13:00:00 UTC"):
        client_with(max_wait_s=60).get(url)
    assert (len(server.asked), fake_time.slept) == (1, [])


@pytest.mark.parametrize("reply", ["truncated", "unfinished", "cut_gzip"])
def test_a_body_cut_short_is_asked_for_again(server: Any, client_with: Callable[..., HttpClient], reply: str) -> None:
    broken = {
        "truncated": server.truncated(BODY[:7]),
        "unfinished": server.chunked(BODY[:7], whole=False),
        "cut_gzip": server.ok(b"no gzip at all", {"Content-Encoding": "gzip"}),
    }
    url = server.at("/a", broken[reply], server.ok(BODY))
    assert client_with().get(url).body == BODY
    assert len(server.asked) == 2


def test_a_refused_connection_is_transient(client_with: Callable[..., HttpClient]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(TransientFailure, match="ConnectionError"):
        client_with(tries=2).get(f"http://127.0.0.1:{port}/a")


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "check the key"), (403, "allowed to read"), (404, "names"), (418, "parameters")]
)
def test_a_refusal_is_not_tried_again_and_says_what_to_do(
    server: Any, client_with: Callable[..., HttpClient], status: int, advice: str
) -> None:
    url = server.at("/a", server.status(status, b"because of reasons"))
    with pytest.raises(PermanentFailure, match=f"{status}.*because of reasons.*{advice}"):
        client_with().get(url)
    assert len(server.asked) == 1


@settings(deadline=None)
@given(st.text() | st.datetimes().map(lambda it: format_datetime(it)) | st.integers().map(str))
def test_no_retry_after_breaks_us(text: str) -> None:
    assert retry_after(text, datetime(2026, 3, 2, tzinfo=UTC)) >= 0


def test_a_silent_server_is_left_after_the_time_out(server: Any, client_with: Callable[..., HttpClient]) -> None:
    started = time.monotonic()
    with pytest.raises(TransientFailure, match="ReadTimeout"):
        client_with(timeout_s=0.2, tries=2).get(server.at("/a", server.silent))
    assert time.monotonic() - started < GENEROUS_S


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Drip: ", id="header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", id="body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", id="body_without_length"),
        pytest.param(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9999\r\n\r\n", id="body_of_a_refusal"),
    ],
)
def test_a_server_that_drips_bytes_is_cut_at_the_deadline(
    server: Any, client_with: Callable[..., HttpClient], head: bytes
) -> None:
    started = time.monotonic()
    with pytest.raises((TransientFailure, PermanentFailure), match=r"deadline_s|403"):
        client_with(timeout_s=5, deadline_s=0.4, tries=2).get(server.at("/a", server.drip(head)))
    assert time.monotonic() - started < GENEROUS_S


def test_a_cut_connection_does_not_spoil_the_next_request(server: Any, client_with: Callable[..., HttpClient]) -> None:
    client = client_with(deadline_s=0.4)
    url = server.at("/a", server.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"), server.ok(BODY))
    assert client.get(url).body == BODY


def test_requests_to_one_host_keep_their_distance(
    server: Any, serve: Callable[[], Any], client_with: Callable[..., HttpClient], fake_time: Any
) -> None:
    client, other = client_with(min_interval_s=2.0), serve()
    url = server.at("/a", server.ok(BODY))
    client.get(url)
    client.get(other.at("/a", other.ok(BODY)))
    assert fake_time.slept == []
    fake_time.now += timedelta(seconds=0.5)
    client.get(url)
    assert fake_time.slept == [1.5]


def test_a_clock_that_goes_back_costs_no_more_than_one_interval(
    server: Any, client_with: Callable[..., HttpClient], fake_time: Any
) -> None:
    client, url = client_with(min_interval_s=2.0), server.at("/a", server.ok(BODY))
    client.get(url)
    fake_time.now -= timedelta(days=1)
    client.get(url)
    assert fake_time.slept == [2.0]


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_gzip_bomb_is_refused_without_being_inflated(
    server: Any, client_with: Callable[..., HttpClient], bomb: bytes, framing: str
) -> None:
    reply = {"length": server.ok, "chunks": server.chunked}[framing]
    url = server.at("/a", reply(bomb, {"Content-Encoding": "gzip"}))
    with _little_memory(), pytest.raises(PermanentFailure, match="`max_bytes`=1000000"):
        client_with(max_bytes=1_000_000).get(url)


def test_a_bomb_on_a_redirect_or_an_error_is_not_inflated_either(
    server: Any, client_with: Callable[..., HttpClient], bomb: bytes
) -> None:
    packed = {"Content-Encoding": "gzip"}
    url = server.at("/a", server.redirect("/b", bomb, packed))
    server.at("/b", server.status(403, bomb, packed))
    with _little_memory(), pytest.raises(PermanentFailure, match="403"):
        client_with(max_bytes=1_000_000).get(url)


def test_a_body_of_just_the_limit_passes(server: Any, client_with: Callable[..., HttpClient]) -> None:
    url = server.at("/a", server.ok(BODY))
    assert client_with(max_bytes=len(BODY)).get(url).body == BODY
    with pytest.raises(PermanentFailure, match="max_bytes"):
        client_with(max_bytes=len(BODY) - 1).get(url)


class _little_memory:  # noqa: N801 - reads as a statement
    """Fails if more than 16 MB were held at any time."""

    def __enter__(self) -> None:
        tracemalloc.start()

    def __exit__(self, *exception: object) -> None:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 * 2**20
