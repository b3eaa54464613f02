"""What a promotion sets out to do, fixed before its first step and written in its intent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lineage import ledger, provenance
from lineage.ledger import Entry
from segtrail import saved_model
from segtrail.files import sha256_file
from segtrail.workspace import Workspace

# in the details of an intent to lead a server that missed the version to it: where it stayed
LED_FROM = "led_from"


@dataclass
class Plan:
    """One walk of a version to service, as the champion or as a canary.

    Attributes:
        workspace: Where.
        recipe: Of which recipe.
        version: MLflow's model version.
        model_digest: Hex SHA-256 of the SavedModel.
        by: Who claims to do it; None for the git identity.
        details: What the ledger's `intent` and `done` both say: the SHA-256 of the provenance,
            the git commit it names, the version that served before.
        source: The SavedModel to store; None when it is in the store already.
        extra: Files that go with it into the store.
        notes: What the steps found, for the ledger's `done`.
        canary: Whether it goes out as a canary rather than to replace what serves.
    """

    workspace: Workspace
    recipe: str
    version: int
    model_digest: str
    by: str | None
    details: Mapping[str, Any]
    source: Path | None = None
    extra: Mapping[str, bytes] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    canary: bool = False

    @classmethod
    def of_intent(cls, workspace: Workspace, intent: Entry) -> Plan:
        """Returns the plan that an intent in the ledger wrote down."""
        if intent.version is None:
            raise ValueError(f"ledger entry {intent.seq} names no version")
        return cls(
            workspace,
            intent.recipe,
            intent.version,
            intent.model_digest,
            intent.by,
            intent.details,
            canary=intent.event == ledger.CANARY_INTENT,
        )

    @property
    def previous(self) -> int | None:
        """The version that served before, and does again if this fails."""
        if LED_FROM in self.details:
            return self.version
        found: int | None = self.details["previous"]
        return found

    @property
    def ledger(self) -> Path:
        return self.workspace.ledger(self.recipe)

    @property
    def folder(self) -> Path:
        """The version's folder in the store."""
        return self.workspace.models / self.recipe / str(self.version)

    @property
    def tag(self) -> str:
        return f"{self.recipe}/v{self.version}"

    @property
    def not_done(self) -> str:
        """The words for a plan that was not carried out."""
        what = "rolled back to" if "rollback" in self.details else "promoted"
        return f"{self.recipe} v{self.version} is not {'out as a canary' if self.canary else what}"

    def entries(self) -> list[Entry]:
        return ledger.read(self.ledger)

    def kept_before(self) -> bool:
        """Whether the ledger names this version as one that answered, or may have."""
        return any(ledger.is_kept(e) and e.version == self.version for e in self.entries())

    def is_stored(self) -> bool:
        """Whether the store holds this version whole, with the provenance of this plan."""
        proof = self.folder / provenance.IN_MODEL
        return (
            proof.is_file()
            and sha256_file(proof) == self.details["provenance_sha256"]
            and saved_model.digest(self.folder) == self.model_digest
        )
