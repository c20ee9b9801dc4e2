"""Which version of a model is which: ``champion`` is in force, ``challenger`` wants to be, ``previous`` was before it.

Rules on plain mappings of alias to version, and how MLflow is brought to follow them.
"""

from typing import Any

from pulse_resources.errors import RegistryError

Aliases = dict[str, str]

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
ALIASES = (PREVIOUS, CHAMPION, CHALLENGER)
"""In the order in which they are moved: the old champion is kept before another takes its place."""


def with_alias(before: Aliases, alias: str, version: str) -> Aliases:
    """Return the aliases once a version got one; a new champion leaves the old one behind and is no challenger.

    Examples
    --------
    >>> with_alias({"champion": "1", "challenger": "2"}, "champion", "2")
    {'champion': '2', 'previous': '1'}
    """
    after = {**before, alias: version}
    if alias == CHAMPION and before.get(CHAMPION, version) != version:
        after[PREVIOUS] = before[CHAMPION]
    return _without_idle_challenger(after)


def rolled_back(name: str, before: Aliases) -> Aliases:
    """Return the aliases once the previous version is the champion again; the champion loses its alias.

    Raises
    ------
    RegistryError
        The champion has replaced none.

    Examples
    --------
    >>> rolled_back("m", {"champion": "2", "previous": "1", "challenger": "3"})
    {'challenger': '3', 'champion': '1'}
    """
    if PREVIOUS not in before:
        raise RegistryError(
            f"{name} has no previous version to return to: its champion replaced none, or was rolled back to already; "
            f"`pulse models promote {name} VERSION` makes any version the champion"
        )
    kept = {alias: version for alias, version in before.items() if alias == CHALLENGER}
    return _without_idle_challenger(kept | {CHAMPION: before[PREVIOUS]})


def _without_idle_challenger(aliases: Aliases) -> Aliases:
    """Leave out a challenger that is the champion."""
    is_idle = aliases.get(CHALLENGER) == aliases.get(CHAMPION)
    return {alias: version for alias, version in aliases.items() if not (is_idle and alias == CHALLENGER)}


def read_aliases(asked: Any, name: str) -> Aliases:  # noqa: ANN401 - mlflow ships no types
    """Return the aliases that a registered model has."""
    found = asked.get_registered_model(name).aliases
    return {alias: str(version) for alias, version in found.items() if alias in ALIASES}


def set_aliases(asked: Any, name: str, before: Aliases, after: Aliases) -> None:  # noqa: ANN401
    """Move aliases one by one; a stop in between leaves a champion, and doing it again ends it."""
    for alias in ALIASES:
        if alias in after and after[alias] != before.get(alias):
            asked.set_registered_model_alias(name, alias, after[alias])
    for alias in ALIASES:
        if alias in before and alias not in after:
            asked.delete_registered_model_alias(name, alias)
