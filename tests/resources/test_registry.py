"""The model registry keeps what it was given, says what is wrong when it cannot, and never waits for long."""

import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_resources.errors import ConfigError, RegistryError
from pulse_resources.registry import CHALLENGER, CHAMPION, PREVIOUS, Registered, Registry, Submission, model_name
from pulse_resources.registry.aliases import ALIASES, rolled_back, set_aliases, with_alias
from pulse_resources.registry.server import alone, shown
from tests.registries import FILE, fresh_registry

NAME = "pulse-b-price"
CODE = """
from pathlib import Path

import mlflow
import pandas as pd

class Times(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.factor = float(Path(context.artifacts["factor"]).read_bytes())

    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        return model_input.assign(y=model_input["y"] * self.factor, who=(params or {})["who"])

mlflow.models.set_model(Times())
"""
QUESTION = pd.DataFrame({"unique_id": ["a", "b"], "ds": pd.to_datetime(["2024-01-01", "2024-01-02"]), "y": [1.5, -0.1]})
TYPES = {"unique_id": "string", "ds": "datetime", "y": "double"}


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("code") / "times.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return fresh_registry(tmp_path / "home")


def submission(code: Path, factor: float = 3.0) -> Submission:
    return Submission(
        name=NAME,
        code=code,
        artefacts={"factor": str(factor).encode()},
        requirements=["pandas"],
        inputs=TYPES,
        outputs=TYPES | {"who": "string"},
        asks={"who": ""},
        question=QUESTION,
        question_params={"who": "me"},
        answer=QUESTION.assign(y=QUESTION["y"] * factor, who="me"),
        tags={"dagster/run_id": "r1", "delta/silver_series_version": "7"},
        params={"family": "B price"},
        metrics={"series": 2.0},
        version_tags={"pulse/digest": f"d{factor}"},
    )


def has(registry: Registry) -> dict[str, str]:
    return {alias: one.version for one in registry.versions(NAME) for alias in one.aliases}


def kept_files(registry: Registry) -> list[Path]:
    return [path for path in Path(registry.home, "mlflow-artifacts").rglob("*") if path.is_file()]


def test_a_model_is_kept_with_its_evidence_and_answers_as_before(registry: Registry, code: Path) -> None:
    one = registry.register(submission(code))
    assert (one.name, one.version, one.aliases, one.metrics) == (NAME, "1", (CHAMPION,), {"series": 2.0})
    assert one.tags["pulse/digest"] == "d3.0"
    assert registry.names() == [NAME]
    assert registry.versions(NAME) == [one]
    told = registry.load(NAME, CHAMPION).predict(QUESTION, {"who": "x"})
    pd.testing.assert_frame_equal(told, QUESTION.assign(y=QUESTION["y"] * 3.0, who="x"), check_exact=True)
    assert registry.artefact(NAME, CHAMPION, "factor") == b"3.0"
    from mlflow import MlflowClient

    run = MlflowClient(registry.uri).get_run(one.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["dagster/run_id"] == "r1"
    assert run.data.tags["delta/silver_series_version"] == "7"
    assert run.data.params == {"family": "B price"}
    assert run.data.metrics == {"series": 2.0}


@pytest.mark.slow
def test_whoever_knows_mlflow_finds_the_model_by_its_alias(registry: Registry, code: Path) -> None:
    registry.register(submission(code))
    script = f"""
import pandas as pd, mlflow
mlflow.set_tracking_uri({registry.uri!r})
model = mlflow.pyfunc.load_model("models:/{NAME}@champion")
frame = pd.DataFrame({{"unique_id": ["a"], "ds": pd.to_datetime(["2024-01-01"]), "y": [2.0]}})
print(model.predict(frame, params={{"who": "x"}})["y"][0], model.metadata.signature is not None)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True, timeout=200
    )
    assert done.stdout.split() == ["6.0", "True"]


def test_no_setting_of_the_process_is_touched(registry: Registry, code: Path) -> None:
    import mlflow

    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri(), mlflow.active_run()
    registry.register(submission(code))
    registry.load(NAME)
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri(), mlflow.active_run()) == before


def test_the_first_version_is_the_champion_and_later_ones_are_challengers(registry: Registry, code: Path) -> None:
    assert [registry.register(submission(code, factor)).aliases for factor in (1.0, 2.0, 3.0)] == [
        (CHAMPION,),
        (CHALLENGER,),
        (CHALLENGER,),
    ]
    assert registry.register(submission(code, 4.0), "").aliases == ()
    assert has(registry) == {CHAMPION: "1", CHALLENGER: "3"}
    assert [one.version for one in registry.versions(NAME)] == ["4", "3", "2", "1"]


def test_a_promotion_keeps_what_was_before_and_a_rollback_returns_to_it_once(registry: Registry, code: Path) -> None:
    for factor in (1.0, 2.0):
        registry.register(submission(code, factor))
    moved = registry.promote(NAME)
    assert moved.changed
    assert has(registry) == moved.after == {CHAMPION: "2", PREVIOUS: "1"}
    assert not registry.promote(NAME, "2").changed
    assert registry.artefact(NAME, CHAMPION, "factor") == b"2.0"
    assert registry.rollback(NAME).after == has(registry) == {CHAMPION: "1"}
    with pytest.raises(RegistryError, match=f"pulse models promote {NAME} VERSION"):
        registry.rollback(NAME)
    assert has(registry) == {CHAMPION: "1"}
    registry.restore(NAME, moved.before)
    assert has(registry) == moved.before


@given(
    moves=st.lists(st.tuples(st.sampled_from([*ALIASES[1:], "back"]), st.integers(1, 4)), max_size=12),
    stops=st.integers(0, 3),
)
def test_aliases_never_leave_a_model_without_a_champion_wherever_a_move_stops(
    moves: list[tuple[str, int]], stops: int
) -> None:
    class Store(dict[str, str]):
        left = 10

        def spend(self) -> None:
            self.left -= 1
            if self.left < 0:
                raise OSError("down")

        def set_registered_model_alias(self, _: str, alias: str, version: str) -> None:
            self.spend()
            self[alias] = version

        def delete_registered_model_alias(self, _: str, alias: str) -> None:
            self.spend()
            del self[alias]

    store = Store({CHAMPION: "1"})
    for move, number in moves:
        before = dict(store)
        if move == "back" and PREVIOUS not in before:
            continue
        after = rolled_back("m", before) if move == "back" else with_alias(before, move, str(number))
        store.left = stops
        try:
            set_aliases(store, "m", before, after)
        except OSError:
            assert store[CHAMPION] in {before[CHAMPION], after[CHAMPION]}
            store.left = 10
            set_aliases(store, "m", dict(store), after)
        assert store == after
        assert len({after[CHAMPION], after.get(CHALLENGER)}) == 2


@pytest.mark.parametrize("wanted", [CHALLENGER, "7", "nonsense"])
def test_a_version_that_is_not_there_is_named_with_those_that_are(registry: Registry, code: Path, wanted: str) -> None:
    with pytest.raises(RegistryError, match=r"has no version or alias .* it has no versions"):
        registry.load(NAME, wanted)
    registry.register(submission(code))
    for ask in (registry.load, registry.version, registry.promote):
        with pytest.raises(RegistryError, match=rf"has no version or alias '{wanted}' .* it has 1 \(champion\)"):
            ask(NAME, wanted)


def test_a_model_that_answers_otherwise_once_it_is_kept_is_not_registered(registry: Registry, code: Path) -> None:
    wrong = replace(submission(code), answer=QUESTION.assign(y=QUESTION["y"] * 3.0000001, who="me"))
    with pytest.raises(RegistryError, match=r"answers its example otherwise .* relative difference 3\.3"):
        registry.register(wrong)
    with pytest.raises(RegistryError, match="relative difference inf"):
        registry.register(replace(wrong, answer=QUESTION))
    assert registry.versions(NAME) == []


def test_a_model_whose_code_is_broken_is_not_registered(registry: Registry, code: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(CODE.replace("self.factor = float", "self.factor = missing"))
    with pytest.raises(RegistryError, match=r"cannot be loaded \(NameError: name 'missing' is not defined"):
        registry.register(replace(submission(code), code=broken))
    broken.write_text(CODE.replace('model_input["y"]', 'model_input["z"]'))
    with pytest.raises(RegistryError, match="cannot answer its example"):
        registry.register(replace(submission(code), code=broken))
    assert registry.versions(NAME) == []


@pytest.mark.parametrize("fate", ["gone", "one file gone", "changed", "cut", "added"])
def test_an_artefact_that_is_gone_or_damaged_is_named_and_no_code_of_it_is_run(
    registry: Registry, code: Path, fate: str
) -> None:
    registry.register(submission(code))
    artefact = next(path for path in kept_files(registry) if path.name == "factor")
    if fate == "gone":
        shutil.rmtree(Path(registry.home, "mlflow-artifacts"))
    elif fate == "one file gone":
        artefact.unlink()
    elif fate == "changed":
        artefact.write_bytes(b"3.1")
    elif fate == "cut":
        artefact.write_bytes(b"")
    else:
        (artefact.parent.parent / "sitecustomize.py").write_text("raise SystemExit")
    for ask in (lambda: registry.load(NAME), lambda: registry.artefact(NAME, CHAMPION, "factor")):
        with pytest.raises(RegistryError, match=r"(is gone|is damaged).*register the model again"):
            ask()
    assert registry.register(submission(code)).version == "2"


def test_a_version_of_someone_else_is_not_run(registry: Registry, code: Path) -> None:
    from mlflow import MlflowClient

    one = registry.register(submission(code))
    MlflowClient(registry.uri).create_model_version(NAME, one.source, one.run_id)
    with pytest.raises(RegistryError, match="registered by something else"):
        registry.load(NAME, "2")


@pytest.fixture
def silent() -> Iterator[str]:
    """Give the address of a server that takes calls and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("scheme", ["http://", "postgresql://u:secret@"])
@pytest.mark.parametrize("state", ["closed", "silent"])
def test_a_server_that_is_down_is_said_soon_and_without_its_password(
    silent: str, code: Path, scheme: str, state: str
) -> None:
    host = silent if state == "silent" else "127.0.0.1:9"
    registry = Registry(address=f"{scheme}{host}/m", timeout_seconds=2)
    started = time.monotonic()
    asks = (lambda: registry.register(submission(code)), registry.names, lambda: registry.load(NAME))
    for ask in asks[: 1 if state == "silent" else 3]:
        with pytest.raises(RegistryError, match=r"did not answer within 2 s .* forecasts do not need it") as caught:
            ask()
        assert "secret" not in str(caught.value)
    assert time.monotonic() - started < 60


def test_a_server_that_answers_with_errors_is_down(code: Path) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(502)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(RegistryError, match="answers 502: start it or mend MLFLOW_TRACKING_URI"):
            Registry(address=f"http://127.0.0.1:{server.server_port}").names()
        server.shutdown()


@pytest.mark.parametrize("address", ["./mlruns", "file:///tmp/mlruns", "databricks", "mysql://u:secret@h/d"])
def test_an_address_where_mlflow_keeps_nothing_is_refused_with_those_where_it_does(address: str) -> None:
    with pytest.raises(ConfigError, match=r"MLFLOW_TRACKING_URI is .*expected http://HOST:PORT, sqlite:") as caught:
        Registry(address=address).names()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to look like one" * 50, b"SQLite format 3\0x"]
)
def test_a_spoilt_file_is_said_at_once(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(RegistryError, match=r"cannot be opened .* move it away and register the models again"):
        Registry(home=str(tmp_path)).names()


def test_a_registry_is_made_where_there_is_none_and_leaves_nothing_beside_its_home(
    tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    registry = Registry(home=str(tmp_path / "deep" / "home"))
    registry.register(submission(code))
    assert list(here.iterdir()) == []
    assert {path.name for path in (tmp_path / "deep" / "home").iterdir()} == {FILE, f"{FILE}.lock", "mlflow-artifacts"}
    assert {path.name for path in tmp_path.iterdir()} == {"here", "deep"}


def test_artefacts_go_where_they_are_told_to(tmp_path: Path, code: Path) -> None:
    registry = fresh_registry(tmp_path / "home")
    elsewhere = registry.model_copy(update={"artefact_root": str(tmp_path / "elsewhere")})
    elsewhere.register(submission(code))
    assert kept_files(registry) == []
    assert any((tmp_path / "elsewhere").rglob("factor"))
    assert registry.load(NAME).predict(QUESTION, {"who": "x"})["y"].tolist() == [4.5, -0.1 * 3.0]


@pytest.mark.slow
def test_writers_that_make_the_file_at_once_get_versions_of_their_own(code: Path, tmp_path: Path) -> None:
    registry = Registry(home=str(tmp_path / "new"))
    script = f"""
import pickle, sys
from pulse_resources.registry import Registry
with open(sys.argv[1], "rb") as file:
    print(Registry(home={registry.home!r}).register(pickle.load(file)).version)
"""
    jobs = []
    for factor in (1, 2):
        (tmp_path / str(factor)).write_bytes(pickle.dumps(submission(code, factor)))
        command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / str(factor))]
        jobs.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    told = [job.communicate(timeout=200)[0].strip() for job in jobs]
    assert sorted(told) == ["1", "2"]
    assert has(registry) == {CHAMPION: "1", CHALLENGER: "2"}
    assert {one.tags["pulse/digest"] for one in registry.versions(NAME)} == {"d1", "d2"}


def test_a_writer_that_never_ends_is_named(registry: Registry) -> None:
    with alone(registry.uri), pytest.raises(RegistryError, match="another process has been changing"):  # noqa: SIM117
        with alone(registry.uri, wait_seconds=0.2):
            pass


def test_registering_opens_no_connection(registry: Registry, code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"a connection to {arguments[-1]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    registry.register(submission(code))
    assert registry.load(NAME).predict(QUESTION, {"who": "x"})["y"][0] == 4.5
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_submission_without_requirements_or_with_too_many_metrics_is_refused(code: Path) -> None:
    with pytest.raises(ValueError, match="name its requirements"):
        replace(submission(code), requirements=())
    with pytest.raises(ValueError, match="at most 50 metrics"):
        replace(submission(code), metrics={f"m{k}": 1.0 for k in range(51)})


@pytest.mark.parametrize(
    ("family", "name"), [("B price", NAME), ("MS other", "pulse-ms-other"), ("h rate", "pulse-h-rate")]
)
def test_families_have_names_that_mlflow_takes(family: str, name: str) -> None:
    assert model_name(family) == name


def test_passwords_are_not_shown() -> None:
    assert "secret" not in shown("postgresql://u:secret@h/d")
    assert "secret" not in shown("http://u:secret@h:5000")


def test_postgres_keeps_models_as_a_file_does(postgres_url: str, code: Path, tmp_path: Path) -> None:
    registry = Registry(address=postgres_url, home=str(tmp_path))
    assert registry.names() == []
    for factor in (1.0, 2.0):
        registry.register(submission(code, factor))
    assert registry.promote(NAME).after == {CHAMPION: "2", PREVIOUS: "1"}
    assert registry.load(NAME).predict(QUESTION, {"who": "x"})["y"].tolist() == [3.0, -0.2]
    assert isinstance(registry.version(NAME), Registered)
