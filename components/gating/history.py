"""What came before a verdict: how often these test images decided, and by which rules."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lineage import ledger, provenance
from segtrail import split_ledger, tombstones
from segtrail.artifacts import TEST
from segtrail.errors import LineageError
from segtrail.files import sha256_bytes
from segtrail.split_ledger import LEDGER
from segtrail.tombstones import TOMBSTONES
from segtrail.workspace import Workspace


def split_of(per_image: Any) -> dict[str, Any]:
    """Returns the digest and the number of the test images, whatever their order and names."""
    return {"digest": _digest(per_image["sha256"]), "images": len(per_image)}


def decided_before(workspace: Workspace, dataset: str, digest: str, besides: str) -> int:
    """Returns how many other models these test images have decided on, for any recipe.

    The more often, the less a pass means: of many candidates the one is promoted that suits these
    images best (Dwork et al., 2015).

    Args:
        workspace: Whose ledgers are counted.
        dataset: Whose images they are.
        digest: Of the test images, see `split_of`.
        besides: The digest of the candidate.
    """
    same = _less_erased(workspace.dataset(dataset), digest)
    models = {
        entry.model_digest
        for recipe in workspace.ledgers()
        for entry in ledger.read(workspace.ledger(recipe))
        if (entry.details.get("test_split") or {}).get("digest") in same
    }
    return len(models - {besides})


def _less_erased(folder: Path, digest: str) -> set[str]:
    """Returns the digests of a test split and of those that differ from it by erased images alone.

    Each erasure made one split of another, which the split ledger tells: the one before it and
    the one after it are the same.
    """
    rows = [row for row in split_ledger.read(folder / LEDGER).values() if row.split == TEST]
    erasures = sorted({row.delivery for row in tombstones.read(folder / TOMBSTONES)})

    def after(delivery: int) -> str:
        return _digest(
            row.sha256
            for row in rows
            if int(row.delivery or 0) <= delivery < float(row.removed or "inf")
        )

    pairs = [{after(number - 1), after(number)} for number in erasures]
    same = {digest}
    for pair in (*pairs, *reversed(pairs)):
        same |= pair if pair & same else set()
    return same


def _digest(sha256: Iterable[str]) -> str:
    return sha256_bytes("\n".join(sorted(sha256)).encode())


def changed_rules(
    workspace: Workspace, name: str, version: int, gate: Mapping[str, Any]
) -> list[str]:
    """Returns what differs from the rules by which the champion was promoted, a line each.

    Args:
        workspace: Whose model store has the champion's provenance.
        name: The recipe.
        version: The champion's.
        gate: The rules now, as JSON.
    """
    path = workspace.models / name / str(version) / provenance.IN_MODEL
    try:
        statement = provenance.load(path)
    except LineageError as e:
        return [f"by which rules v{version} was promoted cannot be told: {e.message}"]
    built = statement["predicate"]["buildDefinition"]["externalParameters"]["params"]["gate"]
    before, now = _lines(built), _lines(gate)
    return [
        *(f"new since v{version}: {line}" for line in now if line not in before),
        *(f"gone since v{version}: {line}" for line in before if line not in now),
    ]


def _lines(gate: Mapping[str, Any]) -> list[str]:
    """Returns the rules and the other options, each in a line as in `params.yaml`."""
    lines = []
    for key, value in gate.items():
        for each in value if isinstance(value, list) else [value]:
            shown = each
            if isinstance(each, dict):
                given = {k: v for k, v in each.items() if v is not None}
                shown = "{" + ", ".join(f"{k}: {v}" for k, v in sorted(given.items())) + "}"
            lines.append(f"{key}: {shown if isinstance(shown, str) else json.dumps(shown)}")
    return lines
