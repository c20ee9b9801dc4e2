"""What goes into the model registry and what comes out of it; knows nothing of MLflow."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pandas as pd

PREFIX = "pulse-"
MOST_METRICS = 50
"""More metrics of one run make its page slow; tables belong into an artefact."""


def model_name(family: str) -> str:
    """Return the registered name of a family's model.

    Examples
    --------
    >>> model_name("B price")
    'pulse-b-price'
    """
    return PREFIX + re.sub(r"[^a-z0-9]+", "-", family.lower()).strip("-")


class Answers(Protocol):
    """A loaded model."""

    def predict(self, frame: pd.DataFrame, params: Mapping[str, str] | None = None) -> pd.DataFrame:
        """Return the model's answer to a frame."""


@dataclass(frozen=True)
class Submission:
    """A model that is to be registered.

    Parameters
    ----------
    name
        Registered name; see :func:`model_name`.
    code
        File that MLflow runs to load the model ("models from code").
    artefacts
        Bytes by name; the code finds them as files under these names.
    requirements
        What must be installed where the model is loaded, as pip writes it; never empty, or MLflow would guess.
    inputs, outputs
        Types of the columns of a question and an answer: ``string``, ``datetime``, ``double`` or ``long``.
    asks
        Parameters of a question and their defaults.
    question, question_params, answer
        An example; the registered model must give this answer, or it is not registered.
    tags, params, metrics
        Of the run; metrics are finite, at most 50.
    version_tags
        Of the version.
    """

    name: str
    code: Path
    artefacts: Mapping[str, bytes]
    requirements: Sequence[str]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    asks: Mapping[str, str]
    question: pd.DataFrame
    question_params: Mapping[str, str]
    answer: pd.DataFrame
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    version_tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.requirements:
            raise ValueError(f"{self.name}: name its requirements, or MLflow spends ten seconds guessing them")
        if len(self.metrics) > MOST_METRICS:
            raise ValueError(f"{self.name}: at most {MOST_METRICS} metrics a run, came {len(self.metrics)}")


@dataclass(frozen=True)
class Registered:
    """One version of a registered model.

    Parameters
    ----------
    name, version
        Registered name, and number as text.
    aliases
        Those that name this version, in alphabetical order.
    run_id
        MLflow run that made it.
    source
        Address of what is kept of it, as MLflow writes it.
    tags
        Of the version.
    metrics
        As they were submitted.
    """

    name: str
    version: str
    aliases: tuple[str, ...]
    run_id: str
    source: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Moved:
    """What a promotion or a rollback did to the aliases of a model: alias → version, before and after."""

    name: str
    before: Mapping[str, str]
    after: Mapping[str, str]

    @property
    def changed(self) -> bool:
        """Say whether anything moved."""
        return dict(self.before) != dict(self.after)
