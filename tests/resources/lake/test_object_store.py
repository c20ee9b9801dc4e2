"""The lake on an object store: a local one for every run, a real one where the environment names it.

The same tests run against ``PULSE_TEST_S3_URL`` (``s3://bucket/prefix``, with the usual ``AWS_…`` variables); what they
write there lies under a prefix of its own and is removed afterwards.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import boto3
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from pulse_resources.errors import TableMissingError
from pulse_resources.lake import Column, Lake, Partitions, TableContract, writing
from pulse_resources.lake.resource import DeltaLake, default_root
from pulse_resources.lake.upkeep import compact, health

T = TypeVar("T")
REAL = os.environ.get("PULSE_TEST_S3_URL", "")
DAYS = [date(2023, 12, 28) + timedelta(days=step) for step in range(8)]
BY_DAY = TableContract(
    name="t/by_day",
    description="a value on a day",
    columns=(Column("as_of", pa.date32(), "day"), Column("y", pa.float64(), "value")),
    key=("as_of",),
    partition="as_of",
    physical="year",
)
EVENTS = TableContract(
    name="t/events",
    description="a fact",
    columns=(Column("id", pa.int64(), "number"), Column("known_at", pa.timestamp("us", "UTC"), "when known")),
    key=("id",),
)
LOCAL = {
    "AWS_ALLOW_HTTP": "true",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "x",
}


@pytest.fixture(scope="session")
def local_store() -> Iterator[dict[str, str]]:
    """Start an object store in a process of its own (delta-rs keeps the interpreter's lock while it waits)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 90
            while not answers(port):
                assert server.poll() is None, "the object store did not start"
                assert time.monotonic() < deadline, "the object store did not answer"
                time.sleep(0.05)
            yield {**LOCAL, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        finally:
            server.kill()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(params=["local", "real"])
def root(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return an empty prefix in a bucket, with its credentials in the environment."""
    if request.param == "real":
        if not REAL:
            pytest.skip("no real object store: set PULSE_TEST_S3_URL=s3://bucket/prefix and the AWS_… variables")
        with removed_afterwards(f"{REAL.rstrip('/')}/{uuid4().hex}") as prefix:
            yield prefix
        return
    for name, value in request.getfixturevalue("local_store").items():
        monkeypatch.setenv(name, value)
    bucket = f"pulse-{uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    yield f"s3://{bucket}/lake"


@contextmanager
def removed_afterwards(prefix: str) -> Iterator[str]:
    yield prefix
    bucket, _, key = prefix.removeprefix("s3://").partition("/")
    client = boto3.client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
        for item in page.get("Contents", []):
            client.delete_object(Bucket=bucket, Key=item["Key"])


@pytest.fixture
def store(root: str) -> Lake:
    return DeltaLake(root=root).lake()


def rows_for(days: list[date], y: float) -> pa.Table:
    return pa.table({"as_of": pa.array(days, pa.date32()), "y": pa.array([y] * len(days), pa.float64())})


def days_of(days: list[date]) -> Partitions:
    return Partitions.of("as_of", days)


def events(*ids: int) -> pa.Table:
    return pa.table({"id": ids, "known_at": [datetime(2024, 1, 2, tzinfo=UTC)] * len(ids)}, schema=EVENTS.schema)


def held(lake: Lake) -> list[tuple[date, float]]:
    return sorted((row["as_of"], row["y"]) for row in lake.read(BY_DAY).to_pylist())


def at_once(count: int, work: Callable[[int], T]) -> list[T]:
    """Run the work in threads that all begin at the same moment."""
    start = threading.Barrier(count)

    def begin(number: int) -> T:
        start.wait(60)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def test_a_day_run_again_is_there_once(store: Lake) -> None:
    for y in (1.0, 2.0):
        store.overwrite(BY_DAY, rows_for(DAYS[:1], y), days_of(DAYS[:1]))
    assert held(store) == [(DAYS[0], 2.0)]
    assert store.read(BY_DAY, version=1)["y"].to_pylist() == [1.0]


def test_a_range_replaces_its_days_across_folders(store: Lake) -> None:
    store.overwrite(BY_DAY, rows_for(DAYS, 1.0), days_of(DAYS))
    store.overwrite(BY_DAY, rows_for(DAYS[2:5], 2.0), days_of(DAYS[2:6]))
    left = [*DAYS[:5], *DAYS[6:]]
    assert held(store) == [(day, 2.0 if day in DAYS[2:5] else 1.0) for day in left]


def test_a_stream_is_committed_in_pieces(store: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BLOCK_ROWS", 3)
    rows = rows_for(DAYS, 1.0)
    reader = pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(max_chunksize=2))
    assert store.overwrite(BY_DAY, reader, days_of(DAYS)).commits == 4
    assert held(store) == [(day, 1.0) for day in DAYS]


def test_an_append_repeated_does_nothing_and_is_read_as_it_was_known(store: Lake) -> None:
    for _ in range(2):
        store.append(EVENTS, events(1, 2), app_id="feed", app_version=1)
        store.append_missing(EVENTS, events(2, 3), app_id="other")
    assert sorted(store.read(EVENTS, as_of=date(2024, 1, 2))["id"].to_pylist()) == [1, 2, 3]
    assert len(store.read(EVENTS, as_of=date(2024, 1, 1))) == 0
    assert store.open(EVENTS).version() == 2


def test_a_missing_table_is_empty_there_too(store: Lake) -> None:
    assert len(store.read(BY_DAY)) == 0
    with pytest.raises(TableMissingError, match=r"t/by_day does not exist under s3://"):
        store.open(BY_DAY)


def test_writers_that_create_a_table_at_once_lose_nothing(root: str) -> None:
    def write(number: int) -> None:
        DeltaLake(root=root).lake().overwrite(BY_DAY, rows_for([DAYS[number]], float(number)), days_of([DAYS[number]]))

    at_once(4, write)
    assert held(DeltaLake(root=root).lake()) == [(DAYS[number], float(number)) for number in range(4)]


RACER = """
import sys
from datetime import date
import pyarrow as pa
from pulse_resources.lake import Column, Lake, Partitions, TableContract

root, me = sys.argv[1], int(sys.argv[2])
lake = Lake(root, {"aws_conditional_put": "etag"})
table = TableContract(
    "t/by_day", "a value on a day", (Column("as_of", pa.date32(), "day"), Column("y", pa.float64(), "value")),
    ("as_of",), partition="as_of", physical="year",
)
print("ready", flush=True)
sys.stdin.readline()
for number in range(3):
    day = date(2024, 1, 1 + 3 * me + number)
    lake.overwrite(table, pa.table({"as_of": [day], "y": [float(me)]}), Partitions.of("as_of", [day]))
"""


def test_processes_that_create_a_table_at_once_lose_nothing(root: str) -> None:
    command = [sys.executable, "-c", RACER, root]
    racers = [
        subprocess.Popen(
            [*command, str(me)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for me in range(3)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate(timeout=120)[1] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 3, said
    expected = [(date(2024, 1, 1 + 3 * me + number), float(me)) for me in range(3) for number in range(3)]
    assert held(DeltaLake(root=root).lake()) == expected


def test_two_appenders_with_one_app_id_duplicate_nothing(root: str) -> None:
    def feed(_: int) -> list[int]:
        lake = DeltaLake(root=root).lake()
        return [lake.append(EVENTS, events(n), app_id="feed", app_version=n).rows for n in range(1, 4)]

    one, other = at_once(2, feed)
    assert [a + b for a, b in zip(one, other, strict=True)] == [1, 1, 1]
    assert sorted(DeltaLake(root=root).lake().read(EVENTS)["id"].to_pylist()) == [1, 2, 3]


def test_a_conditional_put_has_exactly_one_winner(root: str) -> None:
    """Commits rely on it, and some servers that speak S3 ignore the condition."""
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    client = boto3.client("s3")
    keys = [f"{prefix}/race-{number}" for number in range(12)]

    def put(key: str, writer: int) -> bool:
        try:
            client.put_object(Bucket=bucket, Key=key, Body=str(writer).encode(), IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"PreconditionFailed", "ConditionalRequestConflict"}:
                raise
            return False
        return True

    won = at_once(4, lambda writer: [key for key in keys if put(key, writer)])
    winner = {key: str(writer) for writer, taken in enumerate(won) for key in taken}
    assert Counter(key for taken in won for key in taken) == Counter(keys)
    assert {key: client.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys} == winner


def test_a_durable_lake_on_an_object_store_has_no_files_to_sync(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    lake = DeltaLake(root=root, durable=True).lake()
    lake.overwrite(BY_DAY, rows_for(DAYS[:1], 1.0), days_of(DAYS[:1]))
    lake.append(EVENTS, events(1), app_id="feed")
    compact(lake, BY_DAY)
    assert synced == []


def test_a_table_in_a_bucket_can_be_compacted(store: Lake) -> None:
    for day in DAYS[:2]:
        store.overwrite(BY_DAY, rows_for([day], 1.0), days_of([day]))
    assert compact(store, BY_DAY) == (2, 1)
    assert health(store, BY_DAY).rows == 2
    assert len(held(store)) == 2


def test_a_store_that_does_not_answer_is_an_error_and_not_an_empty_table(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for name, value in LOCAL.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        lake = DeltaLake(root="s3://pulse/lake", storage_options={"max_retries": "0"}).lake()
        with pytest.raises(OSError, match="Generic S3 error"):
            lake.read(BY_DAY)


def test_the_resource_asks_for_conditional_puts_on_s3_only(tmp_path: Path) -> None:
    assert DeltaLake(root="s3://pulse/lake").lake().storage_options == {"aws_conditional_put": "etag"}
    mine = {"aws_conditional_put": "dynamo:table", "timeout": "30s"}
    assert DeltaLake(root="s3://pulse/lake", storage_options=mine).lake().storage_options == mine
    assert DeltaLake(root=str(tmp_path)).lake() == Lake(str(tmp_path))


def test_the_root_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_LAKE", "s3://pulse/lake")
    assert default_root() == "s3://pulse/lake"
    monkeypatch.delenv("PULSE_LAKE")
    monkeypatch.chdir(tmp_path)
    assert default_root() == str(tmp_path / "lake")
