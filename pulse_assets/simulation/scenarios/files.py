"""Scenarios as chains of files: the shipped ones, those of users, and what a fork inherits.

What belongs here: finding, reading and joining. What a scenario does to a world is compiled in ``scenarios``.
"""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from pulse_assets.simulation.scenarios.model import MEASURES, Event, ScenarioFile
from pulse_assets.simulation.scenarios.shock_model import AnyShock, Replay, Window
from pulse_assets.simulation.yaml_text import YamlText, load_yaml, read_yaml

SHIPPED = files("pulse_assets.simulation.scenarios") / "sets"
LONGEST_CHAIN = 16
BRANCHES = 2**16 - 1
"""Other branches than the common one that a random number's counter has room for."""


@dataclass(frozen=True)
class Link:
    """One file of a chain: what it says, and where each part of it stands."""

    file: ScenarioFile
    text: YamlText


@dataclass(frozen=True)
class Scenario:
    """A scenario with all that it inherits.

    Attributes
    ----------
    chain
        From the root of the fork tree to the scenario itself, at least one.
    """

    chain: tuple[Link, ...]

    @property
    def name(self) -> str:
        """What runs and tables call it."""
        return self.chain[-1].file.name

    @property
    def title(self) -> str:
        """For people; the name if there is none."""
        return self.chain[-1].file.title or self.name

    @property
    def description(self) -> str:
        """What it is and why."""
        return self.chain[-1].file.description

    @property
    def version(self) -> int:
        """Counted up by whoever edits it."""
        return self.chain[-1].file.version

    @property
    def parent(self) -> str | None:
        """Name of the scenario that it continues."""
        return self.chain[-2].file.name if len(self.chain) > 1 else None

    @property
    def events(self) -> dict[str, Event]:
        """By name; a child's take the place of its parents' of the same name."""
        return {name: event for link in self.chain for name, event in link.file.events.items()}

    @property
    def needs(self) -> frozenset[str]:
        """Variables of the world that it names and that are not optional, those of its events among them."""
        shocks = (shock for link in self.chain for shock in link.file.shocks if not shock.optional)
        named = {name for shock in shocks for name in _names_in(shock)}
        return frozenset(named | ({event.variable for event in self.events.values()} - set(MEASURES)))

    @property
    def disabled(self) -> frozenset[str]:
        """Ids of rules that do not act."""
        return frozenset(rule for link in self.chain for rule in link.file.disable_rules)

    @property
    def portfolio(self) -> Mapping[str, object] | None:
        """What replaces the portfolio of the run, from the youngest file that says so."""
        said = [link.file.portfolio for link in self.chain if link.file.portfolio is not None]
        return said[-1] if said else None

    @property
    def windows(self) -> tuple[Window, ...]:
        """Windows of the past that compiling needs, without repetition."""
        shocks = [shock for link in self.chain for shock in link.file.shocks]
        return tuple(dict.fromkeys(shock.days for shock in shocks if isinstance(shock, Replay)))

    @property
    def fingerprint(self) -> str:
        """Digest of all that the chain says, whatever its layout."""
        digest = hashlib.sha256()
        for link in self.chain:
            digest.update(f"{link.file!r}\n".encode())
        return digest.hexdigest()


def _names_in(shock: AnyShock) -> Sequence[str]:
    """Return the variables that a shock names one by one; groups such as ``assets`` are none."""
    named = getattr(shock, "variables", None)
    return named if isinstance(named, list) else []


def shipped_scenarios() -> tuple[str, ...]:
    """Return the names of the scenarios that ship, ascending.

    Examples
    --------
    >>> "energy_crisis" in shipped_scenarios()
    True
    """
    names = (entry.name for entry in SHIPPED.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def load_scenario(source: str | Path) -> Scenario:
    """Read a scenario and those that it continues.

    Parameters
    ----------
    source
        A shipped name, or a path: a parent is one of these too, a path counts from the file that names it.

    Raises
    ------
    ValueError
        There is no such file, it is no plain YAML, says something that a scenario has not, or the parents run in a
        circle. The message names file, line and key.

    Examples
    --------
    >>> load_scenario("base").chain[0].file.shocks
    []
    """
    chain: list[Link] = []
    following: str | Path | None = source
    folder = Path()
    while following is not None:
        link, folder = _read(following, folder, chain[-1] if chain else None)
        _refuse_circle(link, chain)
        chain.append(link)
        following = link.file.parent
    return Scenario(tuple(reversed(chain)))


def parse_scenario(text: YamlText) -> Scenario:
    r"""Turn a read text into a scenario without parents.

    Raises
    ------
    ValueError
        It says something that a scenario has not; the message names file, line and key, or it has a parent, which
        needs :func:`load_scenario` or :func:`combine`.

    Examples
    --------
    >>> parse_scenario(load_yaml("name: mine\nregime: stressed", "mine.yaml")).name
    'mine'
    """
    link = _parsed(text)
    if link.file.parent is not None:
        raise ValueError(f"{text.at(('parent',))}: a text has no folder to look for its parent in: save it as a file")
    return Scenario((link,))


def combine(parent: Scenario, child: Scenario) -> Scenario:
    """Return a scenario that continues another: all of the parent first, then all of the child.

    Raises
    ------
    ValueError
        One name stands twice in the chain, or it becomes longer than 16.
    """
    chain: list[Link] = []
    for link in reversed((*parent.chain, *child.chain)):
        _refuse_circle(link, chain)
        chain.append(link)
    return Scenario(tuple(reversed(chain)))


def branch_of(name: str) -> int:
    """Return the number of the random numbers that a diverging scenario draws from: 1 to 65535, from its name.

    Examples
    --------
    >>> branch_of("energy_crisis") == branch_of("energy_crisis") != 0
    True
    """
    return zlib.crc32(name.encode()) % BRANCHES + 1


def _read(source: str | Path, folder: Path, child: Link | None) -> tuple[Link, Path]:
    if str(source) in shipped_scenarios():
        name = f"{source}.yaml"
        return _parsed(load_yaml((SHIPPED / name).read_text(encoding="utf-8"), f"shipped {name}")), Path()
    path = folder / source
    if not path.is_file():
        asked = f"{child.text.at(('parent',))}: parent: " if child else ""
        raise ValueError(
            f"{asked}no scenario {str(source)!r}: {path} is no file, and those that ship are "
            f"{', '.join(shipped_scenarios())}"
        )
    link = _parsed(read_yaml(path))
    if link.file.name in shipped_scenarios():
        where = link.text.at(("name",))
        raise ValueError(f"{where}: name: {link.file.name!r} is a scenario that ships: give yours another name")
    return link, path.parent


def _parsed(text: YamlText) -> Link:
    if not isinstance(text.value, dict):
        came = repr(text.value)[:60]
        raise ValueError(  # noqa: TRY004 - a wrong text, not a wrong call
            f"{text.at()}: a scenario is a mapping that begins with 'name:'; came {came}"
        )
    try:
        return Link(ScenarioFile.model_validate(text.value), text)
    except ValidationError as error:
        raise ValueError(text.explain(error)) from error


def _refuse_circle(link: Link, younger: list[Link]) -> None:
    names = [each.file.name for each in younger]
    if link.file.name in names:
        raise ValueError(
            f"{younger[-1].text.at(('parent',))}: parent: {link.file.name!r} would continue itself through "
            f"{' <- '.join(names)}: parents must not run in a circle, and every scenario needs its own name"
        )
    if len(younger) >= LONGEST_CHAIN:
        raise ValueError(f"{link.text.at()}: more than {LONGEST_CHAIN} scenarios continue one another: merge some")
