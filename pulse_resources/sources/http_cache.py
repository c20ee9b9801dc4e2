"""Keeps bodies with their validators in a folder, so that an unchanged one is not sent again.

Files, their names and their damage belong here; what may be kept, and when to ask the server, is the business of
:mod:`.http_client`.
"""

import hashlib
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """A cached body with its validators, in one file so that no crash can pair a body with another's.

    Parameters
    ----------
    address
        Where the body came from, with its secrets masked.
    etag, modified, content_type
        ETag, Last-Modified and Content-Type as the server sent them.
    body
        The bytes, decompressed.
    """

    address: str
    etag: str | None
    modified: str | None
    content_type: str | None
    body: bytes = field(repr=False)

    @classmethod
    def read(cls, path: Path, address: str) -> Self | None:
        """Return the entry; None if there is none, it is damaged, or it belongs to another address."""
        try:
            digest, head, body = path.read_bytes().split(b"\n", 2)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            digest = head = body = b""
        if digest.decode("latin-1") != hashlib.sha256(head + body).hexdigest():
            logger.warning("cache entry %s is damaged; asking for the whole body again", path)
            return None
        entry = cls(body=body, **json.loads(head))
        return entry if entry.address == address else None

    def write(self, path: Path) -> None:
        """Put the entry in place at once; a folder that cannot be written costs the cache only."""
        names = ("address", "etag", "modified", "content_type")
        head = json.dumps({name: getattr(self, name) for name in names}).encode()
        digest = hashlib.sha256(head + self.body).hexdigest().encode()
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(b"\n".join((digest, head, self.body)))
            part.replace(path)
        except OSError as error:
            logger.warning("cannot keep %s: %s; the next run asks for the whole body again", path, error)

    def validators(self) -> dict[str, str]:
        """Return the headers that ask the server whether this body is still right; empty if it gave none."""
        sent = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in sent.items() if value}


def entry_path(folder: Path, key: str) -> Path:
    """Return the file of a cached body; keys may hold any character and be of any length."""
    return Path(folder) / f"{hashlib.sha256(key.encode()).hexdigest()}.http"
