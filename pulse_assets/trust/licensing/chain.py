"""Hashes of decisions: of a row, of a day, and of a chain in which every link vouches for all before it. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

FIRST = "0" * 64
HASHED = "row_hash"
LINK = ("number", "as_of", "licences_version", "rows", "day_hash", "policy", "run_id", "previous")


def row_hashes(rows: pa.Table) -> list[str]:
    """Return the SHA-256 of each row: of its columns in order of name, floats as they are written exactly.

    Parameters
    ----------
    rows
        Columns of ``gold/licences`` but for ``row_hash``, which is left out if it is there.
    """
    names = sorted(name for name in rows.column_names if name not in (HASHED, "year", "month"))
    columns = [[_text(value) for value in rows[name].to_pylist()] for name in names]
    head = "\x1f".join(names)
    return [_sha("\x1e".join((head, *values))) for values in zip(*columns, strict=True)]


def day_hash(rows: pa.Table) -> str:
    """Return the SHA-256 of the row hashes of a day, in the order of the key."""
    keys = [(name, "ascending") for name in ("unique_id", "model", "bucket")]
    return _sha("\n".join(rows.sort_by(keys)[HASHED].to_pylist()))


def links(
    chain: pa.Table, days: Mapping[date, pa.Table], version: int, policy: Mapping[str, float], run_id: str
) -> list[dict[str, object]]:
    """Return the links that vouch for days of licences which the newest link of that day does not vouch for.

    Parameters
    ----------
    chain
        Columns of ``ops/licence_chain``.
    days
        Rows of ``gold/licences`` by day.
    version
        Delta version of ``gold/licences``.
    policy
        Thresholds by name.
    run_id
        Dagster run.
    """
    known, number, previous = {}, 0, FIRST
    for link in chain.sort_by("number").to_pylist():
        known[link["as_of"]] = link["day_hash"]
        number, previous = link["number"] + 1, link["chain_hash"]
    made: list[dict[str, object]] = []
    for day in sorted(days):
        digest = day_hash(days[day])
        if known.get(day) == digest or not len(days[day]):
            continue
        link = {
            "number": number,
            "as_of": day,
            "licences_version": version,
            "rows": len(days[day]),
            "day_hash": digest,
            "policy": json.dumps(dict(policy), sort_keys=True),
            "run_id": run_id,
            "previous": previous,
        }
        previous = chain_hash(link)
        made.append({**link, "chain_hash": previous})
        number += 1
    return made


def chain_hash(link: Mapping[str, object]) -> str:
    """Return the SHA-256 of a link: of all its columns before ``chain_hash``."""
    return _sha("\x1f".join(_text(link[name]) for name in LINK))


def chain_problems(chain: pa.Table) -> list[str]:
    """Return in words where the chain itself is broken; nothing where it holds."""
    problems, previous = [], FIRST
    for place, link in enumerate(chain.sort_by("number").to_pylist()):
        if link["number"] != place:
            problems.append(f"link {place} is missing: the next is number {link['number']}")
            break
        if link["previous"] != previous:
            problems.append(f"link {place} ({link['as_of']}) does not follow from the one before it")
        if chain_hash(link) != link["chain_hash"]:
            problems.append(f"link {place} ({link['as_of']}) was changed")
        previous = link["chain_hash"]
    return problems


def day_problems(chain: pa.Table, days: Mapping[date, pa.Table]) -> list[str]:
    """Return in words which days of licences are not what the newest link of that day vouches for."""
    newest = {link["as_of"]: link for link in chain.sort_by("number").to_pylist()}
    return [problem for day, rows in sorted(days.items()) for problem in _of_day(day, rows, newest.get(day))]


def _of_day(day: date, rows: pa.Table, link: Mapping[str, object] | None) -> Sequence[str]:
    if link is None:
        return [f"no link of the chain vouches for the licences of {day}"]
    changed = [pair for pair in zip(row_hashes(rows), rows[HASHED].to_pylist(), strict=True) if pair[0] != pair[1]]
    if changed:
        return [f"{len(changed)} licences of {day} were changed after they were hashed"]
    if day_hash(rows) != link["day_hash"]:
        return [f"the licences of {day} are not those that link {link['number']} vouches for: {len(rows)} rows, "
                f"it saw {link['rows']}"]  # fmt: skip
    return []


def by_day(licences: pa.Table) -> dict[date, pa.Table]:
    """Return licences by their day."""
    days = pc.unique(licences["as_of"]).to_pylist()
    return {day: licences.filter(pc.equal(licences["as_of"], pa.scalar(day))) for day in days}


def _text(value: object) -> str:
    if value is None:
        return "null"
    return value.hex() if isinstance(value, float) else str(value)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
