"""What sources that ask a server for each name have in common.

Their options and keys, one delivery after the other, and JSON read as text belong here. How to ask is the business
of :mod:`.http_client`; what the columns of an answer mean is that of the source.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pulse_resources.errors import ConfigError, PermanentFailure, PulseError, TransientFailure
from pulse_resources.sources.http_client import HttpClient
from pulse_resources.sources.protocol import Delivery, Problem

SHOWN = 500
"""Characters of an answer that a problem keeps."""
_GIVE_UP_AFTER = 5


def client_of(name: str, http: Mapping[str, object] | None, secret_params: Iterable[str]) -> HttpClient:
    """Build the client of a source from what the user wrote.

    Raises
    ------
    ConfigError
        An option that the client does not take.
    """
    options: dict[str, Any] = dict(http or {})
    own = options.get("secret_params", ())
    options["secret_params"] = [*secret_params, *([own] if isinstance(own, str) else own)]
    try:
        return HttpClient(**options)
    except (TypeError, ConfigError) as error:
        raise ConfigError(f"source {name!r}: wrong option in `http`: {error}") from error


def key_of(name: str, variable: str) -> str:
    """Return the key that an environment variable holds.

    Raises
    ------
    ConfigError
        The variable is not set.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"source {name!r}: expected a key in the environment variable {variable}; set it")
    return key


def deliver_each(names: Sequence[str], deliver: Callable[[str], Delivery]) -> Iterator[Delivery]:
    """Yield what can be had for each name, then raise one failure for all that could not be had.

    Parameters
    ----------
    names
        Symbols or series.
    deliver
        Asks for one of them. After five transient failures in a row the rest is not asked for.

    Raises
    ------
    TransientFailure
        Some names failed, at least one of them transiently.
    PermanentFailure
        Some names failed, all of them permanently.
    """
    failed: dict[str, PulseError] = {}
    in_a_row = 0
    for name in names:
        if in_a_row == _GIVE_UP_AFTER:
            failed[name] = TransientFailure(f"not asked for after {in_a_row} failures in a row")
            continue
        try:
            delivery = deliver(name)
        except (PermanentFailure, TransientFailure) as error:
            failed[name] = error
            in_a_row = in_a_row + 1 if isinstance(error, TransientFailure) else 0
            continue
        in_a_row = 0
        yield delivery
    if failed:
        reasons = list(dict.fromkeys(map(str, failed.values())))
        transient = any(isinstance(error, TransientFailure) for error in failed.values())
        text = (
            f"{len(failed)} of {len(names)} failed ({', '.join(failed)}); the others were delivered. "
            f"Why: {' | '.join(reasons[: _GIVE_UP_AFTER + 1])}"
        )
        raise TransientFailure(text) if transient else PermanentFailure(text)


def without_secrets(delivery: Delivery, client: HttpClient) -> Delivery:
    """Return the delivery with problems that do not show a key; some servers repeat it when they refuse."""
    problems = [
        replace(problem, detail=client.redact(problem.detail), original=client.redact(problem.original)[:SHOWN])
        for problem in delivery.problems
    ]
    return replace(delivery, problems=tuple(problems))


def parse_json(body: bytes, origin: str) -> tuple[object, list[Problem]]:
    """Parse JSON, keeping numbers as the text that was sent.

    Returns
    -------
    tuple of object and list of Problem
        The value and no problem, or None and one problem.
    """
    try:
        text = body.decode("utf-8-sig")
        return json.loads(text, parse_float=str, parse_int=str, parse_constant=str), []
    except UnicodeDecodeError as error:
        detail = f"expected JSON in UTF-8, came a wrong byte at {error.start}"
        return None, [Problem("not_utf8", detail, shown(body), origin)]
    except (ValueError, RecursionError) as error:
        reason = "not_json" if body.strip() else "empty_file"
        return None, [Problem(reason, f"expected JSON: {str(error)[:SHOWN]}", shown(body), origin)]


def as_text(value: object) -> str | None:
    """Return a JSON value as text that Arrow can hold; None for null."""
    if value is None:
        return None
    try:
        text = value if isinstance(value, str) else json.dumps(value)
    except RecursionError:
        text = "too deeply nested"
    return text.encode("utf-8", "replace").decode()


def shown(body: bytes) -> str:
    """Return the beginning of a body for a problem, long enough that no key is cut before it is masked."""
    return body[: 2 * SHOWN].decode("utf-8", "backslashreplace")
