"""The folder of bodies: what is served from it, and what damage does to it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pulse_resources.errors import PermanentFailure
from pulse_resources.sources.http_client import HttpClient

BODY = b"Date,Close\n2026-02-27,101.5\n"


def test_an_unchanged_body_is_served_from_the_folder(
    server: Any, client_with: Callable[..., HttpClient], tmp_path: Path
) -> None:
    url = server.at("/a", server.with_etag(BODY, '"v1"'))
    first, again = client_with(cache_dir=tmp_path).get(url), client_with(cache_dir=tmp_path).get(url)
    assert (first.body, first.from_cache) == (BODY, False)
    assert (again.body, again.from_cache, again.etag) == (BODY, True, '"v1"')


def test_a_changed_body_replaces_the_old_one(
    server: Any, client_with: Callable[..., HttpClient], tmp_path: Path
) -> None:
    url, client = server.at("/a", server.with_etag(BODY, '"v1"')), client_with(cache_dir=tmp_path)
    client.get(url)
    server.at("/a", server.with_etag(b"new", '"v2"'))
    assert [client.get(url).from_cache for _ in range(2)] == [False, True]
    assert client.get(url).body == b"new"
    assert len(list(tmp_path.iterdir())) == 1


def test_last_modified_serves_as_well(server: Any, client_with: Callable[..., HttpClient], tmp_path: Path) -> None:
    stamp = "Fri, 27 Feb 2026 21:00:00 GMT"
    url = server.at("/a", server.ok(BODY, {"Last-Modified": stamp}), server.status(304))
    client = client_with(cache_dir=str(tmp_path))
    assert [client.get(url).from_cache for _ in range(2)] == [False, True]
    assert server.asked[1].headers["If-Modified-Since"] == stamp


def test_a_body_without_validator_is_not_kept(
    server: Any, client_with: Callable[..., HttpClient], tmp_path: Path
) -> None:
    client_with(cache_dir=tmp_path).get(server.at("/a", server.ok(BODY)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"{}", b"\n\n", b"\x00" * 50], ids=["empty", "one_line", "lines", "zeros"])
def test_a_damaged_entry_is_fetched_again(
    server: Any, client_with: Callable[..., HttpClient], tmp_path: Path, damage: bytes
) -> None:
    url, client = server.at("/a", server.with_etag(BODY, '"v1"')), client_with(cache_dir=tmp_path)
    client.get(url)
    next(tmp_path.iterdir()).write_bytes(damage)
    assert [client.get(url).from_cache for _ in range(2)] == [False, True]


def test_any_flipped_byte_is_noticed(server: Any, client_with: Callable[..., HttpClient], tmp_path: Path) -> None:
    url, client = server.at("/a", server.with_etag(BODY, '"v1"')), client_with(cache_dir=tmp_path)
    client.get(url)
    (entry,) = tmp_path.iterdir()
    whole = entry.read_bytes()
    for position in range(0, len(whole), 7):
        entry.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert client.get(url).body == BODY
    assert not any(asked.headers["If-None-Match"] for asked in server.asked)


def test_one_key_keeps_one_body_of_changing_addresses(
    server: Any, client_with: Callable[..., HttpClient], tmp_path: Path
) -> None:
    client = client_with(cache_dir=tmp_path)
    url = server.at("/a", server.with_etag(BODY, '"v1"'))
    for day in ("2026-03-02", "2026-03-03"):
        assert not client.get(url, {"end": day}, cache_key="spx").from_cache
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_costs_only_the_cache(
    server: Any, client_with: Callable[..., HttpClient], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    answer = client_with(cache_dir=tmp_path / "file").get(server.at("/a", server.with_etag(BODY, '"v1"')))
    assert answer.body == BODY
    assert "cannot keep" in caplog.text


def test_a_304_that_nobody_asked_for_fails_for_good(server: Any, client_with: Callable[..., HttpClient]) -> None:
    with pytest.raises(PermanentFailure, match="304"):
        client_with().get(server.at("/a", server.status(304)))


def test_cache_files_are_complete_or_absent(
    server: Any, client_with: Callable[..., HttpClient], tmp_path: Path
) -> None:
    client_with(cache_dir=tmp_path).get(server.at("/a", server.with_etag(BODY, '"v1"')))
    assert [path.suffix for path in tmp_path.iterdir()] == [".http"]


def test_a_body_that_repeats_the_key_is_not_kept(
    server: Any, client_with: Callable[..., HttpClient], tmp_path: Path
) -> None:
    url = server.at("/a", server.with_etag(b"slow down, s3cr3t-0123456789", '"v1"'))
    client_with(cache_dir=tmp_path, secret_params=["key"]).get(url, {"key": "s3cr3t-0123456789"})
    assert list(tmp_path.iterdir()) == []
