"""The promotion ledger: append-only JSON lines, each naming the digest of the one before.

A line is one JSON object with sorted keys. `previous` is the SHA-256 of the previous line's
bytes without its newline (64 zeros in the first), so that

    sed -n 3p ledger/nuclei.jsonl | tr -d '\\n' | sha256sum

gives the `previous` of line 4. The chain shows a change of any line but the last; the last
one is covered by git, where every promotion commits the file.

An append writes the whole file aside and renames it: a ledger grows by a few lines a month,
and this way a reader, or a crash, never meets half a line.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lineage import entry_signature
from lineage.keys import Trusted
from segtrail import git
from segtrail.errors import LineageError
from segtrail.files import sha256_bytes, write_bytes

FIRST = "0" * 64
INTENT, DONE, FAILED, ABANDONED, LED = "intent", "done", "failed", "abandoned", "led-again"
REJECTED, FORCED, APPROVED = "rejected", "forced", "approved"
CANARY_INTENT, CANARY, CANARY_ABORTED = "canary-intent", "canary", "canary-aborted"
RETIRED = "retired"
EVENTS = (
    INTENT, DONE, FAILED, ABANDONED, LED, REJECTED, FORCED, APPROVED, CANARY_INTENT, CANARY,
    CANARY_ABORTED, RETIRED,
)  # fmt: skip
INTENTS = (INTENT, CANARY_INTENT)
CLOSES = (DONE, FAILED, ABANDONED, LED, CANARY)  # an intent


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Attributes:
        seq: 1 for the first line.
        previous: Hex SHA-256 of the previous line, or 64 zeros.
        at: UTC time, ISO 8601, to the second.
        event: One of `EVENTS`.
        recipe: Whose ledger it is.
        version: The MLflow model version it is about; None for a candidate that was
            rejected, or forced past the gate.
        model_digest: Hex SHA-256 that names the SavedModel.
        by: Who did it: a claim, not a proof.
        details: What else belongs to the event.
        signature: Of the line without it: see `lineage.entry_signature`; None where nobody signed.
    """

    seq: int
    previous: str
    at: str
    event: str
    recipe: str
    version: int | None
    model_digest: str
    by: str
    details: dict[str, Any] = field(default_factory=dict)
    signature: dict[str, str] | None = None


_SIGNATURE = "signature"
_KINDS = {
    "seq": int, "previous": str, "at": str, "event": str, "recipe": str, "model_digest": str,
    "by": str, "details": dict,
}  # fmt: skip
_FIELDS = {item.name for item in fields(Entry)} - {_SIGNATURE}


def append(
    path: Path,
    event: str,
    *,
    version: int | None,
    model_digest: str,
    by: str | None = None,
    details: dict[str, Any] | None = None,
    at: datetime | None = None,
) -> Entry:
    """Adds one line, durably, and returns it.

    Args:
        path: `ledger/<recipe>.jsonl`; made when it is not there.
        event: One of `EVENTS`.
        version: The model version, or None.
        model_digest: Hex SHA-256 of the SavedModel.
        by: Who claims to have done it; by default the git identity.
        details: JSON values.
        at: When; by default now.

    Raises:
        LineageError: The ledger as it is does not verify; nothing is written.
        ConfigError: The key that should sign cannot be read; nothing is written.
    """
    if event not in EVENTS:
        raise ValueError(f"event is {event!r}; expected one of {', '.join(EVENTS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        old = path.read_bytes() if path.exists() else b""
        if problems := check(old):
            raise LineageError(
                f"{path}: {problems[0]}",
                f"compare with the committed one: git diff -- {path.name}",
            )
        lines = old.splitlines()
        entry = Entry(
            seq=len(lines) + 1,
            previous=sha256_bytes(lines[-1]) if lines else FIRST,
            at=(at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
            event=event,
            recipe=path.stem,
            version=version,
            model_digest=model_digest,
            by=by or git.identity(path.parent),
            details=details or {},
        )
        signature = entry_signature.sign(encode(entry), path.parent.parent)
        entry = replace(entry, signature=signature)
        write_bytes(path, old + encode(entry) + b"\n")
        for left in path.parent.glob(f".{path.name}.*.tmp"):
            left.unlink()  # by a writer that was killed: no other one is at work now
    return entry


def encode(entry: Entry) -> bytes:
    """Returns the entry's line, without the newline."""
    line = asdict(entry)
    if entry.signature is None:
        del line[_SIGNATURE]
    return json.dumps(line, sort_keys=True, allow_nan=False).encode()


def signed_by(entry: Entry, known: Mapping[str, Trusted]) -> Trusted | None:
    """Returns who signed an entry; None: nobody.

    Raises:
        LineageError: See `lineage.entry_signature.verify`; names the line.
    """
    if entry.signature is None:
        return None
    try:
        return entry_signature.verify(
            encode(replace(entry, signature=None)), entry.signature, known
        )
    except LineageError as e:
        raise LineageError(f"line {entry.seq}: {e.message}") from None


def read(path: Path) -> list[Entry]:
    """Returns the entries, oldest first; none when there is no ledger yet.

    Raises:
        LineageError: A line is not an entry.
    """
    content = path.read_bytes() if path.exists() else b""
    try:
        return parse(content)
    except LineageError as e:
        raise LineageError(f"{path}: {e.message}", "see: segtrail audit") from None


def parse(content: bytes) -> list[Entry]:
    """Returns the entries of a ledger's bytes.

    Raises:
        LineageError: A line is not an entry.
    """
    return [_entry(line, number) for number, line in enumerate(content.splitlines(), 1)]


def verify(path: Path) -> list[str]:
    """Returns what is wrong with a ledger, each naming the line and what differs."""
    return check(path.read_bytes()) if path.exists() else [f"{path}: not there"]


def check(content: bytes) -> list[str]:
    """Like `verify`, over the ledger's bytes."""
    problems = []
    lines = content.splitlines()
    if content and not content.endswith(b"\n"):
        problems.append(f"line {len(lines)}: has no newline; it was cut off or edited")
    previous = FIRST
    for number, line in enumerate(lines, 1):
        try:
            entry = _entry(line, number)
        except LineageError as e:
            problems.append(e.message)
        else:
            if entry.seq != number:
                problems.append(f"line {number}: seq is {entry.seq}, expected {number}")
            if entry.previous != previous:
                problems.append(
                    f"line {number}: names {entry.previous[:12]} as the line before it, "
                    f"which is {previous[:12]}"
                )
        previous = sha256_bytes(line)
    return problems


def champion(entries: Sequence[Entry]) -> Entry | None:
    """Returns the last `done` entry: what serves, by the ledger; None: nothing, or it retired."""
    last = _served_last(entries)
    return last if last is not None and last.event == DONE else None


def retirement(entries: Sequence[Entry]) -> Entry | None:
    """Returns the `retired` entry that no later promotion or rollback ended, or None."""
    last = _served_last(entries)
    return last if last is not None and last.event == RETIRED else None


def _served_last(entries: Sequence[Entry]) -> Entry | None:
    return next((entry for entry in reversed(entries) if entry.event in (DONE, RETIRED)), None)


def is_kept(entry: Entry) -> bool:
    """Whether it tells of a version that the store keeps: one that answered, or may have."""
    return entry.event in (DONE, CANARY) or entry.details.get("kept") is True


def open_intent(entries: Sequence[Entry]) -> Entry | None:
    """Returns the intent that nothing has closed yet: the trace of a crash."""
    for entry in reversed(entries):
        if entry.event in INTENTS:
            return entry
        if entry.event in CLOSES:
            return None
    return None


def canary(entries: Sequence[Entry]) -> Entry | None:
    """Returns the `canary` entry that neither an abort nor that version's promotion ended."""
    for entry in reversed(entries):
        if entry.event == CANARY_ABORTED:
            return None
        if entry.event == CANARY:
            promoted = any(
                later.event == DONE and later.version == entry.version
                for later in entries[entry.seq :]
            )
            return None if promoted else entry
    return None


def _entry(line: bytes, number: int) -> Entry:
    try:
        raw = json.loads(line)
    except ValueError as e:
        raise LineageError(f"line {number}: not JSON: {e}") from None
    if not isinstance(raw, dict) or set(raw) - {_SIGNATURE} != _FIELDS:
        found = ", ".join(sorted(raw)) if isinstance(raw, dict) else type(raw).__name__
        raise LineageError(
            f"line {number}: expected the fields {', '.join(sorted(_FIELDS))}; found {found}"
        )
    if not isinstance(raw.get(_SIGNATURE, {}), dict):
        raise LineageError(f"line {number}: its signature is not an object")
    entry = Entry(**raw)
    for name, kind in _KINDS.items():
        if not isinstance(raw[name], kind):
            raise LineageError(f"line {number}: {name} is {raw[name]!r}")
    try:
        same = encode(entry) == line
    except ValueError:  # NaN, which is not JSON
        same = False
    if not same:
        raise LineageError(f"line {number}: not written the way segtrail writes it")
    return entry


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds an exclusive lock on the folder itself, which leaves no lock file behind."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
