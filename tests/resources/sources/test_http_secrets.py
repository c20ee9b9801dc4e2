"""Keys go to the host that they are meant for, and nowhere else."""

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse_resources.errors import PermanentFailure, TransientFailure
from pulse_resources.sources.http_client import HttpClient
from pulse_resources.sources.http_wire import Wire

BODY = b"Date,Close\n2026-02-27,101.5\n"


KEY = "s3cr3t-0123456789"


def test_a_redirect_on_the_same_host_keeps_the_key(server: Any, client_with: Callable[..., HttpClient]) -> None:
    url = server.at("/a", server.redirect("/b?api_key=whatever"))
    server.at("/b", server.ok(BODY))
    client_with(secret_params=["api_key"]).get(url, {"api_key": KEY})
    assert [asked.query["api_key"] for asked in server.asked] == [KEY, KEY]


def test_the_key_does_not_follow_to_another_host(
    server: Any, serve: Callable[[], Any], client_with: Callable[..., HttpClient]
) -> None:
    other = serve()
    there = other.at("/b", other.ok(BODY))
    url = server.at("/a", server.redirect(f"{there}?x=1&api_key={KEY}"))
    assert client_with(secret_params=["api_key"]).get(url, {"api_key": KEY}).body == BODY
    assert KEY not in other.asked[0].path
    assert other.asked[0].query == {"x": "1"}


def test_a_disguised_name_does_not_draw_the_key_to_another_host(
    server: Any, serve: Callable[[], Any], client_with: Callable[..., HttpClient]
) -> None:
    other = serve()
    there = other.at("/b", other.ok(BODY))
    url = server.at("/a", server.redirect(f"{there}?api%5Fkey=***"))
    client_with(secret_params=["api_key"]).get(url, {"api_key": KEY})
    assert KEY not in other.asked[0].path


def test_a_host_that_passes_the_key_on_under_another_name_is_refused(
    server: Any, serve: Callable[[], Any], client_with: Callable[..., HttpClient]
) -> None:
    other = serve()
    there = other.at("/b", other.ok(BODY))
    url = server.at("/a", server.redirect(f"{there}?stolen={KEY}"))
    with pytest.raises(PermanentFailure, match="without our key") as caught:
        client_with(secret_params=["api_key"]).get(url, {"api_key": KEY})
    assert KEY not in str(caught.value)
    assert other.asked == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "javascript:alert(1)"])
def test_only_http_is_followed(server: Any, client_with: Callable[..., HttpClient], target: str) -> None:
    with pytest.raises(PermanentFailure, match="http or https"):
        client_with().get(server.at("/a", server.redirect(target)))


def test_a_circle_of_redirects_ends(server: Any, client_with: Callable[..., HttpClient]) -> None:
    with pytest.raises(PermanentFailure, match="redirected more than 3 times"):
        client_with(max_redirects=3).get(server.at("/a", server.redirect("/a")))
    assert len(server.asked) == 4


ODD_KEY = "s3cr3t/+ä&0123456789"
FORMS = (ODD_KEY, "s3cr3t", "0123456789")


@pytest.fixture
def cases(server: Any, serve: Callable[[], Any], bomb: bytes) -> dict[str, Any]:
    other = serve()
    repeated = f'"key {ODD_KEY} is wrong"'.encode()
    return {
        "fine": server.with_etag(BODY, '"v1"'),
        "busy": server.status(503),
        "later": server.status(429, headers={"Retry-After": "99999"}),
        "wrong_key": server.status(403, b"x" * 250 + repeated),
        "truncated": server.truncated(BODY),
        "silent": server.silent,
        "drip": server.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"),
        "bomb": server.ok(bomb, {"Content-Encoding": "gzip"}),
        "no_http": lambda handler: handler.wfile.write(b"hello\r\n\r\n"),
        "bad_header": server.ok(BODY, {"no colon here\r\nX": "1"}),
        "elsewhere": server.redirect(other.at("/b", other.status(403))),
        "circle": server.redirect("/a"),
        "out_of_http": server.redirect("file:///etc/passwd"),
    }


@pytest.mark.parametrize(
    "case",
    [
        *("fine", "busy", "later", "wrong_key", "truncated", "silent", "drip", "bomb", "no_http", "bad_header"),
        *("elsewhere", "circle", "out_of_http", "refused"),
    ],
)
@pytest.mark.parametrize("place", ["parameter", "address"])
def test_the_key_is_in_no_exception_log_record_or_cache_file(
    server: Any,
    client_with: Callable[..., HttpClient],
    cases: dict[str, Any],
    case: str,
    place: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    url = server.at("/a", cases.get(case, cases["busy"]))
    if case == "refused":
        url = "http://127.0.0.1:1/a"
    quoted = "s3cr3t%2F%2B%C3%A4%260123456789"
    options = {"secret_params": ["api_key"], "cache_dir": tmp_path, "tries": 2, "max_bytes": 10**6}
    client = client_with(**options, timeout_s=0.3, deadline_s=0.5)
    ask = {"parameter": (url, {"api_key": ODD_KEY, "x": "1"}), "address": (f"{url}?api_key={quoted}&x=1", None)}
    if case in ("fine", "bad_header"):
        assert client.get(*ask[place]).body == BODY
    else:
        with pytest.raises((TransientFailure, PermanentFailure)) as caught:
            client.get(*ask[place])
        _has_no_key(_all_text(caught.value))
        assert "api_key=***" in str(caught.value)
    if case != "refused":
        assert server.asked[0].query["api_key"] == ODD_KEY
    assert "urllib3" in {record.name.split(".")[0] for record in caplog.records}
    _has_no_key("".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records))
    _has_no_key("".join(f"{path} {path.read_bytes()!r}" for path in tmp_path.rglob("*")) + repr(client))


def test_control_a_parameter_that_is_not_called_secret_is_logged(
    server: Any, client_with: Callable[..., HttpClient], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client_with().get(server.at("/a", server.ok(BODY)), {"api_key": ODD_KEY})
    with pytest.raises(AssertionError):
        _has_no_key(caplog.text)


def _has_no_key(text: str) -> None:
    assert not [form for form in FORMS if form in text]


@settings(deadline=None)
@given(st.text(min_size=1), st.text(max_size=5))
def test_any_key_is_masked_and_still_arrives(key: str, other: str) -> None:
    query = urlencode({"a": other, "api_key": key, "key": key[::-1]}, errors="replace")
    wire = Wire(f"http://h/p?{query}", ["key", "api_key"])
    sent = dict(parse_qsl(urlsplit(wire.request_line(wire.address)).query, keep_blank_values=True, errors="replace"))
    assert wire.address.endswith("&api_key=***&key=***")
    assert sent["api_key"] == key.encode(errors="replace").decode()


def _all_text(error: BaseException | None) -> str:
    """Return everything that any error handler could print of an error, its causes and its contexts."""
    seen: list[BaseException] = []
    todo = [error]
    while todo:
        one = todo.pop()
        if one is not None and one not in seen:
            seen.append(one)
            todo += [one.__cause__, one.__context__, *(arg for arg in one.args if isinstance(arg, BaseException))]
    return "".join(f"{one!s} {one!r} {one.args!r} {''.join(traceback.format_exception(one))}" for one in seen)
