"""What MLflow keeps of one version: a folder with the code, the artefacts, a signature and an example.

Made here and read here; where the folder lies in between is the business of the registry. A digest of all files tells
whether it came back whole before any of its code is run.
"""

import hashlib
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pulse_resources.errors import RegistryError
from pulse_resources.registry.entries import Answers, Submission
from pulse_resources.registry.server import mlflow

OF_FOREIGN_CODE = (
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What the code of a model may raise."""
CLOSE = 1e-12
"""Relative difference up to which two answers count as one."""


def make_bundle(submission: Submission, folder: Path) -> None:
    """Write a model as MLflow reads it into a folder that does not exist yet."""
    module = mlflow()
    with tempfile.TemporaryDirectory() as name:
        files = {}
        for artefact, content in submission.artefacts.items():
            files[artefact] = str(Path(name, artefact))
            Path(name, artefact).write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow's advice on type hints, at every save
            module.pyfunc.save_model(
                str(folder),
                python_model=str(submission.code),
                artifacts=files,
                pip_requirements=list(submission.requirements),
                signature=_signature(submission),
                input_example=(submission.question, dict(submission.question_params)),
            )


def _signature(submission: Submission) -> Any:  # noqa: ANN401 - mlflow ships no types
    types = mlflow().types
    inputs, outputs = (
        types.Schema([types.ColSpec(kind, name) for name, kind in columns.items()])
        for columns in (submission.inputs, submission.outputs)
    )
    asks = types.ParamSchema([types.ParamSpec(name, "string", value) for name, value in submission.asks.items()])
    return mlflow().models.ModelSignature(inputs=inputs, outputs=outputs, params=asks)


def digest_of(folder: Path) -> str:
    """Return the SHA-256 of the names and bytes of all files under a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()


def load_bundle(folder: Path, name: str) -> Answers:
    """Return the model that a folder holds; it does not need the folder any more.

    Raises
    ------
    RegistryError
        Its code or artefact cannot be read here.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model: Answers = mlflow().pyfunc.load_model(str(folder))
        except (mlflow().exceptions.MlflowException, *OF_FOREIGN_CODE) as error:
            raise RegistryError(
                f"{name} cannot be loaded ({type(error).__name__}: {error}): is this version of Pulse installed here? "
                "If it is, register the model again (job register_models)"
            ) from error
    return model


def check_answer(model: Answers, submission: Submission) -> None:
    """Ask a loaded model the example's question.

    Raises
    ------
    RegistryError
        It answers something else than was expected.
    """
    try:
        told = model.predict(submission.question, dict(submission.question_params))
    except (mlflow().exceptions.MlflowException, *OF_FOREIGN_CODE) as error:
        raise RegistryError(
            f"{submission.name} cannot answer its example once it is kept ({type(error).__name__}: {error}); no "
            "version was registered"
        ) from error
    worst = difference(told, submission.answer)
    if not worst <= CLOSE:
        raise RegistryError(
            f"{submission.name} answers its example otherwise than before it was kept: relative difference {worst:g}, "
            f"at most {CLOSE:g} expected; no version was registered"
        )


def difference(ours: pd.DataFrame, theirs: pd.DataFrame) -> float:
    """Return the largest relative difference of two frames; infinite where they differ in anything but numbers.

    Examples
    --------
    >>> frame = pd.DataFrame({"h": [1], "mean": [2.0]})
    >>> difference(frame, frame), difference(frame, frame.rename(columns={"h": "k"}))
    (0.0, inf)
    """
    if list(ours.columns) != list(theirs.columns) or len(ours) != len(theirs):
        return np.inf
    worst = 0.0
    for name in ours.columns:
        a, b = ours[name].to_numpy(), theirs[name].to_numpy()
        if a.dtype.kind != "f" or b.dtype.kind != "f":
            worst = max(worst, 0.0 if bool((a == b).all()) else np.inf)
            continue
        away = np.abs(a - b) / np.maximum(np.maximum(np.abs(a), np.abs(b)), np.finfo(float).tiny)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        worst = max(worst, float(np.where(same, 0.0, np.where(np.isnan(away), np.inf, away)).max(initial=0.0)))
    return worst


def artefact_in(folder: Path, artefact: str) -> bytes:
    """Return the bytes of one artefact of a bundle."""
    return (folder / "artifacts" / artefact).read_bytes()
