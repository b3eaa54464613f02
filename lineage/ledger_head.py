"""The head of a ledger: its last line, by number and digest, as others than the ledger keep it.

The chain shows that no line was changed or taken out, not that the last ones were cut off. MLflow
keeps the head of each ledger, and git's tags the ledgers as they were at each promotion.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from segtrail.files import sha256_bytes

TAG = "segtrail.ledger_head"  # of MLflow's registered model
MESSAGE = "ledger-head: "  # begins a line of the message of git's tags
_WRITTEN = re.compile(r"(\d+) ([0-9a-f]{64})")


@dataclass(frozen=True)
class Head:
    """Number and hex SHA-256 of a ledger's last line."""

    seq: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.seq} {self.sha256}"

    @classmethod
    def of(cls, content: bytes) -> Self | None:
        """Returns the head of a ledger's bytes; None: it is empty."""
        lines = content.splitlines()
        return cls(len(lines), sha256_bytes(lines[-1])) if lines else None

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Reads what `str` gave; None: it is something else."""
        found = _WRITTEN.fullmatch((text or "").strip())
        return cls(int(found[1]), found[2]) if found else None

    @classmethod
    def of_message(cls, message: str) -> Self | None:
        """Returns the head that a tag's message names, or None."""
        said = [line for line in message.splitlines() if line.startswith(MESSAGE)]
        return cls.parse(said[-1].removeprefix(MESSAGE)) if said else None

    def missing(self, content: bytes) -> str | None:
        """Says what of a ledger with this head is not in `content`; None: it continues it."""
        lines = content.splitlines()
        if self.seq > len(lines):
            return (
                f"line {self.seq} is missing; there are {len(lines)}: the end was cut off, or this "
                "is an older copy"
            )
        if sha256_bytes(lines[self.seq - 1]) != self.sha256:
            return f"line {self.seq} is another one: it was written anew from there, or before"
        return None
