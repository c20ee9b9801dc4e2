"""Hashes of decisions: of a row, of a day, and of a chain in which every link vouches for all before it. Pure.

The text under a hash is JSON of every value, floats in hexadecimal: it depends on no version of Arrow, Python or
Delta, and tells null from the text "null", and 0.0 from -0.0.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

FIRST = "0" * 64
KEYS = ("unique_id", "model", "bucket")
HASHED = (
    *("as_of", *KEYS, "state", "tier", "serve", "reasons", "earned", "floor", "targets", "skill", "trust"),
    *("coverage_80", "coverage_80_q", "quality", "quality_flags", "forecast_flags", "drift", "model_age_days"),
    *("expires_on", "forecasts_version", "trust_version", "quality_version", "drift_version", "policy"),
)
"""Columns of ``gold/licences`` that a row's hash is of, in order."""
ROW_HASH = "row_hash"
LINK = ("number", "as_of", "licences_version", "rows", "day_hash", "policy", "run_id", "previous")
"""Columns of ``ops/licence_chain`` that a link's hash is of, in order."""
NAMED = 3
"""Changed rows that a problem names."""


def row_hashes(rows: pa.Table) -> list[str]:
    """Return the SHA-256 of each row: of the columns :data:`HASHED`.

    Raises
    ------
    ValueError
        One of these columns is missing.
    """
    lacking = [name for name in HASHED if name not in rows.column_names]
    if lacking:
        raise ValueError(f"expected all columns of gold/licences up to row_hash, {lacking} are missing; read them, too")
    columns = [_texts(rows[name]) for name in HASHED]
    return [_sha("\n".join(values)) for values in zip(*columns, strict=True)]


def day_hash(rows: pa.Table) -> str:
    """Return the SHA-256 of the row hashes of a day, in the order of the key."""
    ordered = rows.select([*KEYS, ROW_HASH]).sort_by([(name, "ascending") for name in KEYS])
    return _sha("\n".join(ordered[ROW_HASH].to_pylist()))


def links(
    chain: pa.Table, days: Mapping[date, pa.Table], version: int, policy: Mapping[str, float], run_id: str
) -> list[dict[str, object]]:
    """Return the links that vouch for days of licences which the newest link of that day does not vouch for.

    A day that has no rows gets a link only if an earlier one vouches for rows that are no longer there.

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
        if known.get(day, day_hash(days[day].slice(0, 0))) == digest:
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
    return _sha("\n".join(_text(link[name]) for name in LINK))


def verify(chain: pa.Table, licences: pa.Table, days: Iterable[date] | None = None) -> list[str]:
    """Return in words what is wrong with the chain or with licences that it vouches for; nothing where all holds.

    Parameters
    ----------
    chain
        All rows of ``ops/licence_chain``.
    licences
        All columns of ``gold/licences``.
    days
        Days that were read, so that one whose rows are all gone is noticed; None: every day of the chain was.
    """
    asked = chain["as_of"].to_pylist() if days is None else days
    return [*chain_problems(chain), *day_problems(chain, by_day(licences, asked))]


def chain_problems(chain: pa.Table) -> list[str]:
    """Return in words where the chain itself is broken; nothing where it holds."""
    problems, previous = [], FIRST
    for place, link in enumerate(chain.sort_by("number").to_pylist()):
        if link["number"] != place:
            wrong = "is there twice" if link["number"] < place else f"is missing: the next is number {link['number']}"
            problems.append(f"link {min(place, link['number'])} {wrong}")
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
    found = ((day, _of_day(day, rows, newest.get(day))) for day, rows in sorted(days.items()))
    return [problem for _, problem in found if problem]


def _of_day(day: date, rows: pa.Table, link: Mapping[str, object] | None) -> str:
    if link is None:
        return f"no link of the chain vouches for the licences of {day}" if len(rows) else ""
    again = pa.array(row_hashes(rows), pa.string())
    changed = rows.filter(pc.not_equal(rows[ROW_HASH], again)).sort_by([(name, "ascending") for name in KEYS])
    if len(changed):
        first = changed.slice(0, NAMED).to_pylist()
        named = ", ".join(" ".join(str(row[name]) for name in KEYS) for row in first)
        more = ", …" if len(changed) > NAMED else ""
        return f"{len(changed)} licences of {day} were changed after they were hashed: {named}{more}"
    if day_hash(rows) == link["day_hash"]:
        return ""
    return (
        f"the licences of {day} are not those that link {link['number']} vouches for: "
        f"it saw {link['rows']} rows, {len(rows)} are there"
    )


def by_day(licences: pa.Table, days: Iterable[date] = ()) -> dict[date, pa.Table]:
    """Return licences by their day; days that were asked for and have none are there without rows."""
    found = sorted({*pc.unique(licences["as_of"]).to_pylist(), *days})
    return {day: licences.filter(pc.equal(licences["as_of"], pa.scalar(day, pa.date32()))) for day in found}


def _texts(column: pa.ChunkedArray) -> list[str]:
    values = column.to_pylist()
    if pa.types.is_floating(column.type):
        return [_text(value) for value in values]
    known = {value: _text(value) for value in set(values)}
    return [known[value] for value in values]


def _text(value: object) -> str:
    if isinstance(value, float):
        return value.hex()
    return json.dumps(value.isoformat() if isinstance(value, date) else value)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
