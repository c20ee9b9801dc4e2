"""The model registry: artefacts, versions and aliases in MLflow, in a file or on a server.

``entries`` says what goes in and comes out, ``aliases`` which version is which, ``server`` reaches MLflow and turns its
errors into ours, ``bundles`` makes and reads what MLflow keeps of a version, ``resource`` is what callers use.

Which training serves is not decided here: the lake's tables say that, and stand when no registry answers.
"""

from pulse_resources.registry.aliases import CHALLENGER, CHAMPION, PREVIOUS
from pulse_resources.registry.entries import PREFIX, Answers, Moved, Registered, Submission, model_name
from pulse_resources.registry.resource import Registry

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PREFIX",
    "PREVIOUS",
    "Answers",
    "Moved",
    "Registered",
    "Registry",
    "Submission",
    "model_name",
]
