"""Who vouches for a version: signatures, keys, and what the ledger's lines say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lineage import erasures, keys, ledger_check, signature
from lineage.evidence import Evidence
from lineage.keys import Trusted
from lineage.ledger import Entry
from lineage.link import HELD, Link
from segtrail import git
from segtrail.errors import LineageError

_REASONS = ("reason", "rollback", "why")


@dataclass(frozen=True)
class Key:
    """A public key.

    Attributes:
        name: Whose.
        id: Its id.
        since: When a commit first trusted it, and which.
    """

    name: str
    id: str
    since: str


@dataclass(frozen=True)
class Line:
    """A line of the ledger.

    Attributes:
        number: Of the line.
        at: UTC.
        event: What happened.
        who: By whom: claimed, or signed.
        key: The key that signed it; None: nobody did.
        reason: In that person's words, or the machine's; may be empty.
    """

    number: int
    at: str
    event: str
    who: str
    key: Key | None
    reason: str


def signer(e: Evidence, link: Link) -> Key:
    """Returns whose signature of the provenance holds.

    Args:
        e: The evidence.
        link: What the audit found of the signature.

    Raises:
        LineageError: Nobody's does, by the audit.
    """
    if link.state != HELD:
        raise LineageError(link.says)
    return _key(signature.of_stored(e.folder, e.proof, e.root, e.commit), _since(e.root))


def trusted(root: Path) -> list[Key]:
    """Returns the keys that the present commit trusts."""
    since = _since(root)
    return [_key(each, since) for each in keys.trusted(root, strict=False).values()]


def lines(e: Evidence) -> list[Line]:
    """Returns what the ledger says of the version, and of its model before it had a number.

    Raises:
        LineageError: The ledger does not hold.
    """
    found = ledger_check.check(e.workspace, e.recipe)
    since = _since(e.root)
    digest = e.record.model_digest
    return [
        Line(
            entry.seq,
            utc(entry.at),
            entry.event,
            found.who(entry),
            _key(found.signers[entry.seq], since) if entry.seq in found.signers else None,
            _reason(entry.details),
        )
        for entry in found.entries
        if _is_about(entry, e.version, digest)
    ]


def utc(at: str) -> str:
    """Returns a time of the ledger, in UTC, for people."""
    return f"{at[:19].replace('T', ' ')} UTC" if at.endswith("+00:00") else at


def _is_about(entry: Entry, version: int, digest: str) -> bool:
    return entry.version == version or (entry.version is None and entry.model_digest == digest)


def _reason(details: Mapping[str, Any]) -> str:
    said = [str(details[key]) for key in _REASONS if key in details]
    for key in ("forced", "again"):
        if isinstance(word := details.get(key), Mapping):
            said.append(f"{key} by {word.get('by')} (claimed): {word.get('reason')}")
    if isinstance(word := details.get(erasures.DETAIL), Mapping):
        said.append(erasures.says(word))
    return "; ".join(said)


def _key(found: Trusted, since: Mapping[str, str]) -> Key:
    return Key(found.name, found.key.keyid, since.get(found.key.keyid, "unknown"))


def _since(root: Path) -> dict[str, str]:
    """Returns when each key was first under `trust/`, by key id."""
    history = git.run(
        root, "log", "--reverse", "--full-history", "--format=%H %cI", "--", f"{keys.FOLDER}/"
    )
    found: dict[str, str] = {}
    for line in history.splitlines():
        commit, _, at = line.partition(" ")
        for key_id in keys.trusted(root, commit, strict=False):
            found.setdefault(key_id, f"{at[:10]}, commit {commit[:12]}")
    return found
