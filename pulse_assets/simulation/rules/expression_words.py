"""The words of a condition: numbers, names, units and signs. Pure.

What belongs here: cutting a text up. What the words mean together is decided by ``expression_parser``.
"""

import re
from dataclasses import dataclass

from pulse_assets.simulation.rules.expressions import MOST_PARTS

TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<unit>\[[^\[\]]*\])"
    r"|(?P<sign><=|>=|==|!=|[-+*/<>(),]))",
    re.ASCII,
)
"""Nothing but these; a dot, a quote or a bracket elsewhere is refused before any parsing."""


@dataclass(frozen=True)
class Word:
    """A word, what kind it is (number, name, unit, sign or end), and its column, counted from 1."""

    kind: str
    text: str
    column: int


def words_of(text: str) -> list[Word]:
    """Return the words of a text and, last, its end.

    Raises
    ------
    ValueError
        Something in it is no word, or there are too many.

    Examples
    --------
    >>> [word.text for word in words_of("vix>3e1 [percent]")]
    ['vix', '>', '3e1', '[percent]', '']
    """
    found, place, end = [], 0, len(text.rstrip())
    while place < end:
        match = TOKEN.match(text, place)
        if match is None:
            place += len(text[place:]) - len(text[place:].lstrip())
            raise ValueError(
                f"`{text}`, column {place + 1}: {text[place]!r} has no meaning in a condition:"
                " use names, numbers, + - * /, comparisons"
            )
        kind = str(match.lastgroup)
        found.append(Word(kind, match.group(kind), match.start(kind) + 1))
        place = match.end()
    if len(found) > MOST_PARTS:
        raise ValueError(f"`{text}` has {len(found)} parts, {MOST_PARTS} are allowed: make several rules of it")
    return [*found, Word("end", "", len(text) + 1)]
