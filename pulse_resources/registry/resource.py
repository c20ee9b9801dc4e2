"""The model registry as a Dagster resource: register, list, load, promote, roll back."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from pulse_resources.errors import RegistryError
from pulse_resources.registry import bundles
from pulse_resources.registry.aliases import (
    CHALLENGER,
    CHAMPION,
    Aliases,
    read_aliases,
    rolled_back,
    set_aliases,
    with_alias,
)
from pulse_resources.registry.entries import PREFIX, Answers, Moved, Registered, Submission
from pulse_resources.registry.server import SQLITE, alone, asking, checked_address, client, mlflow, shown

EXPERIMENT = "pulse models"
FOLDER = "model"
DIGEST_TAG, METRICS_TAG = "pulse/bundle_sha256", "pulse/metrics"
MOST_FOUND = 1_000
AGAIN = "register the model again (job register_models), or restore the artefact from a backup"


class Registry(dg.ConfigurableResource[None]):
    """Where models are kept.

    Parameters
    ----------
    address
        ``MLFLOW_TRACKING_URI``: a server, a SQLite file or Postgres; a file in ``home`` when empty.
    home
        Folder of that file, and of artefacts where no server looks after them.
    artefact_root
        Where artefacts go instead (folder or ``s3://…``), unless there is a server, which has a place of its own.
    timeout_seconds
        How long one question may take.
    """

    address: str = ""
    home: str = ".pulse"
    artefact_root: str = ""
    timeout_seconds: int = 10

    @property
    def uri(self) -> str:
        """Return the address that is used.

        Raises
        ------
        ConfigError
            MLflow keeps no registry there.
        """
        return checked_address(self.address) if self.address else f"{SQLITE}{self._home / 'mlflow.db'}"

    @property
    def shown_uri(self) -> str:
        """Return that address without its password."""
        return shown(self.uri)

    @property
    def _home(self) -> Path:
        return Path(self.home).expanduser().absolute()

    def register(self, submission: Submission, alias: str = CHALLENGER) -> Registered:
        """Keep a model as a new version, once it was seen to answer as expected from where it is kept.

        Parameters
        ----------
        alias
            ``challenger``, ``champion`` or empty. The first version of a name that gets an alias is the champion.

        Raises
        ------
        RegistryError
            The registry does not answer, or what it kept answers otherwise; then no version is registered.
        """
        asked = self._client()
        with self._asking(f"{submission.name} was not registered"), alone(self.uri):
            run = asked.create_run(self._experiment(asked), tags=dict(submission.tags), run_name=submission.name)
            run_id, source = run.info.run_id, f"runs:/{run.info.run_id}/{FOLDER}"
            status = "FAILED"
            try:
                digest = self._kept(asked, submission, run_id, source)
                version = _new_version(asked, submission, run_id, source, digest)
                status = "FINISHED"
            finally:
                asked.set_terminated(run_id, status)
            if alias:
                before = read_aliases(asked, submission.name)
                wanted = with_alias(before, alias if CHAMPION in before else CHAMPION, version)
                set_aliases(asked, submission.name, before, wanted)
        return self.version(submission.name, version)

    def _kept(self, asked: Any, submission: Submission, run_id: str, source: str) -> str:  # noqa: ANN401
        """Log a model with its run, read it back, ask it, and return the digest of its files."""
        for name, value in submission.params.items():
            asked.log_param(run_id, name, value)
        for name, number in submission.metrics.items():
            asked.log_metric(run_id, name, number)
        with tempfile.TemporaryDirectory() as name:
            made = Path(name) / FOLDER
            bundles.make_bundle(submission, made)
            digest = bundles.digest_of(made)
            asked.log_artifacts(run_id, str(made), FOLDER)
        with self._fetched(source, submission.name, digest) as folder:
            bundles.check_answer(bundles.load_bundle(folder, submission.name), submission)
        return digest

    def names(self) -> list[str]:
        """Return the registered names of Pulse, in alphabetical order."""
        asked = self._client()
        with self._asking("the models cannot be listed"):
            found = asked.search_registered_models(f"name LIKE '{PREFIX}%'", max_results=MOST_FOUND)
        return sorted(str(model.name) for model in found)

    def versions(self, name: str) -> list[Registered]:
        """Return the versions of a model, newest first; none for a name that was never registered."""
        asked = self._client()
        with self._asking(f"the versions of {name} cannot be listed"):
            found = asked.search_model_versions(f"name = '{name}'", max_results=MOST_FOUND)
            aliases = read_aliases(asked, name) if found else {}
        made = [_registered(version, aliases) for version in found]
        return sorted(made, key=lambda one: int(one.version), reverse=True)

    def version(self, name: str, wanted: str = CHAMPION) -> Registered:
        """Return one version, by number or alias.

        Raises
        ------
        RegistryError
            There is none.
        """
        versions = self.versions(name)
        found = [one for one in versions if wanted == one.version or wanted in one.aliases]
        if not found:
            have = ", ".join(f"{one.version} ({', '.join(one.aliases) or 'no alias'})" for one in versions)
            raise RegistryError(
                f"{name} has no version or alias {wanted!r} in {self.shown_uri}; it has {have or 'no versions'}: "
                "`pulse models list` shows all, the job register_models makes them"
            )
        return found[0]

    def load(self, name: str, wanted: str = CHAMPION) -> Answers:
        """Return the model that a version or alias names, ready to be asked.

        Raises
        ------
        RegistryError
            There is none, its artefact is gone or damaged, or it cannot be read here.
        """
        with self._bundle(name, wanted) as folder:
            return bundles.load_bundle(folder, f"{name} {wanted}")

    def artefact(self, name: str, wanted: str, artefact: str) -> bytes:
        """Return the bytes of an artefact of a version or alias, without running any code.

        Raises
        ------
        RegistryError
            There is none, or it is gone or damaged.
        """
        with self._bundle(name, wanted) as folder, self._asking(f"{name} {wanted} keeps no {artefact}"):
            return bundles.artefact_in(folder, artefact)

    def promote(self, name: str, version: str = "") -> Moved:
        """Make a version, by default the challenger, the champion; the champion becomes the previous one.

        Doing it again changes nothing.

        Raises
        ------
        RegistryError
            There is no such version, or no challenger.
        """
        one = self.version(name, version or CHALLENGER)
        return self._move(name, lambda before: with_alias(before, CHAMPION, one.version))

    def rollback(self, name: str) -> Moved:
        """Make the previous version the champion again; what was the champion keeps no alias.

        Raises
        ------
        RegistryError
            The champion has replaced none.
        """
        return self._move(name, lambda before: rolled_back(name, before))

    def restore(self, name: str, aliases: Mapping[str, str]) -> Moved:
        """Give the aliases of a model to the versions that had them before; see :class:`Moved`."""
        return self._move(name, lambda _: dict(aliases))

    def _move(self, name: str, wanted: Callable[[Aliases], Aliases]) -> Moved:
        asked = self._client()
        with self._asking(f"the aliases of {name} did not all move; run this again"), alone(self.uri):
            before = read_aliases(asked, name)
            after = wanted(before)
            set_aliases(asked, name, before, after)
        return Moved(name, before, after)

    def _client(self) -> Any:  # noqa: ANN401 - mlflow ships no types
        return client(self.uri, self.timeout_seconds)

    def _asking(self, what: str) -> AbstractContextManager[None]:
        return asking(what, self.uri)

    def _experiment(self, asked: Any) -> str:  # noqa: ANN401
        """Return the experiment of all runs; where no server looks after artefacts, it says where they go."""
        found = asked.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        place = self.artefact_root or (self._home / "mlflow-artifacts").as_uri()
        return str(asked.create_experiment(EXPERIMENT, None if self.uri.startswith("http") else place))

    @contextmanager
    def _bundle(self, name: str, wanted: str) -> Iterator[Path]:
        """Fetch what is kept of a version for the length of the block."""
        one = self.version(name, wanted)
        digest = one.tags.get(DIGEST_TAG)
        if not digest:
            raise RegistryError(
                f"{name} {one.version} was registered by something else than Pulse, which runs no code that it did not "
                f"keep itself; {AGAIN}"
            )
        with self._fetched(one.source, f"{name} {one.version}", digest) as folder:
            yield folder

    @contextmanager
    def _fetched(self, source: str, name: str, digest: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as place:
            with self._asking(f"the artefact of {name} is gone or cannot be fetched: {AGAIN}"):
                folder = Path(
                    mlflow().artifacts.download_artifacts(artifact_uri=source, dst_path=place, tracking_uri=self.uri)
                )
            found = bundles.digest_of(folder)
            if found != digest:
                raise RegistryError(
                    f"the artefact of {name} in {self.shown_uri} is damaged: its files have the SHA-256 {found[:12]}… "
                    f"instead of {digest[:12]}…; {AGAIN}"
                )
            yield folder


def _new_version(asked: Any, submission: Submission, run_id: str, source: str, digest: str) -> str:  # noqa: ANN401
    errors = mlflow().exceptions.MlflowException
    try:
        asked.create_registered_model(submission.name)
    except errors as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {**submission.version_tags, DIGEST_TAG: digest, METRICS_TAG: json.dumps(dict(submission.metrics))}
    return str(asked.create_model_version(submission.name, source=source, run_id=run_id, tags=tags).version)


def _registered(version: Any, aliases: Aliases) -> Registered:  # noqa: ANN401
    number, tags = str(version.version), dict(version.tags or {})
    mine = tuple(sorted(alias for alias, named in aliases.items() if named == number))
    metrics = json.loads(tags.pop(METRICS_TAG, "{}"))
    return Registered(str(version.name), number, mine, str(version.run_id), str(version.source), tags, metrics)
