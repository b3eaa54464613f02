"""A version that learned from images erased since serves by a word: `--despite-erasure`."""

from __future__ import annotations

from typing import Any

from components.promotion.plan import Plan
from lineage import erasures, origin
from segtrail import git
from segtrail.errors import LineageError, SegtrailError, StageError
from segtrail.progress import say


def details(plan: Plan, by: str | None, despite: str | None, way_out: str) -> dict[str, Any]:
    """Returns what the ledger keeps of a person's word for a version; nothing if none is needed.

    Where it cannot be told what the version learned from, that is said, and no word is needed.

    Args:
        plan: Of a version in the store.
        by: Who claims to do it; by default the git identity.
        despite: Why it may serve all the same, in somebody's words; None: nobody says so.
        way_out: The next command of whom this refuses.

    Raises:
        StageError: It learned from images that were erased since, and nobody says so; or it did
            not, and somebody says so.
    """
    which, commit = f"{plan.recipe} v{plan.version}", plan.details.get("git_commit")
    digest = plan.details["provenance_sha256"]
    dataset = origin.of_version(plan.workspace, plan.recipe, plan.version, digest).dataset
    try:
        if not dataset or not commit:
            raise LineageError("its provenance does not tell its data version")
        rows = erasures.learned_from(plan.workspace, dataset, commit)
    except SegtrailError as e:
        say(f"warning: whether {which} learned from images erased since is not known: {e.message}")
        return {}
    if rows and despite is None:
        learned = erasures.what(erasures.told(rows))
        raise StageError(f"{which} learned from {learned}; nothing was changed", way_out)
    if despite is None:
        return {}
    if not rows:
        raise StageError(
            f"{which} learned from no image that was erased; --despite-erasure has nothing to say",
            "the same command without --despite-erasure",
        )
    by = by or git.identity(plan.workspace.root)
    return {erasures.DETAIL: {**erasures.told(rows), "by": by, "reason": despite}}
