"""What an audit found and of what, and its JSON, whose schema is published beside this module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import segtrail
from lineage.evidence import Evidence
from lineage.link import WARNING, Link, exit_code
from segtrail import git
from segtrail.errors import (
    EXIT_AUDIT_BROKEN,
    EXIT_AUDIT_INCOMPLETE,
    EXIT_OK,
    SegtrailError,
)

SCHEMA: Final = "urn:segtrail:audit:v1"
_CONCLUSIONS: Final = {
    EXIT_OK: "every link holds",
    EXIT_AUDIT_BROKEN: "the chain is BROKEN",
    EXIT_AUDIT_INCOMPLETE: "nothing broken was found",
}


@dataclass(frozen=True)
class Audit:
    """The links of one version's lineage; iterating over it gives them.

    Attributes:
        links: In the order of the chain.
        recipe: Which recipe.
        version: Which version; None where none is known to serve.
        target: `host:port` of the live server that was asked; None: none was.
        folder: The SavedModel outside of the store that was compared; None: none was.
        options: What else was asked for, by the name of the command's option.
        stood: The commit that was checked out when the audit began, in words.
        over_tls: Whether that server was asked over TLS.
        evidence: What the links rest on; None without a version.
        made: When, in UTC.
    """

    links: Sequence[Link]
    recipe: str
    version: int | None
    target: str | None
    folder: str | None
    options: Mapping[str, bool]
    stood: str
    over_tls: bool = False
    evidence: Evidence | None = None
    made: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __iter__(self) -> Iterator[Link]:
        return iter(self.links)

    def __len__(self) -> int:
        return len(self.links)

    @property
    def model_digest(self) -> str | None:
        """Hex SHA-256 by which the ledger names the model; None where none tells of it.

        Whether the model in the store has it is told by the link `model store`.
        """
        try:
            return self.evidence.record.model_digest if self.evidence else None
        except Exception:  # as for a link: what cannot be read tells nothing, whatever is raised
            return None

    @property
    def conclusion(self) -> str:
        """The exit code in words; and whether there are warnings."""
        warned = any(link.state == WARNING for link in self.links)
        if self.exit_code == EXIT_OK and warned:
            return "nothing is broken, with warnings"
        return _CONCLUSIONS[self.exit_code]

    @property
    def exit_code(self) -> int:
        """See `lineage.link.exit_code`."""
        return exit_code(self.links)

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values, as `schema` describes them."""
        return {
            "schema": SCHEMA,
            "recipe": self.recipe,
            "version": self.version,
            "model_digest": self.model_digest,
            "made": self.made.isoformat(timespec="seconds"),
            "segtrail": segtrail.__version__,
            "target": self.target,
            "folder": self.folder,
            "options": dict(self.options),
            "exit_code": self.exit_code,
            "conclusion": self.conclusion,
            "links": [
                {"name": link.name, "state": link.state, "says": link.says} for link in self.links
            ],
        }


def stood(root: Path) -> str:
    """Returns which commit is checked out, and whether there are changes beside it."""
    try:
        head, changed = git.head(root), len(git.dirty_paths(root))
    except (SegtrailError, ValueError) as e:  # a path need not be text
        return f"unknown: {e}"
    return head + (f", with {changed} uncommitted paths" if changed else "")


def schema() -> str:
    """Returns the JSON schema of `Audit.to_json`, draft 2020-12."""
    return (files("lineage") / "audit.schema.json").read_text(encoding="utf-8")
