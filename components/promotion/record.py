"""Commits a ledger, and has MLflow keep its head, by which a cut-off end is noticed."""

from __future__ import annotations

from components import registry
from lineage.ledger_head import Head
from segtrail import git
from segtrail.errors import SegtrailError
from segtrail.progress import say
from segtrail.workspace import Workspace


def commit(workspace: Workspace, recipe: str, message: str) -> str:
    """Commits the ledger of a recipe when it changed; returns the commit that holds it."""
    made = git.commit(workspace.root, [path_of(workspace, recipe)], message)
    keep_head(workspace, recipe)
    return made or git.head(workspace.root)


def keep_head(workspace: Workspace, recipe: str) -> bool:
    """Has MLflow keep the ledger's head; returns whether it kept another one before.

    A ledger that does not continue the head that MLflow has leaves it there: that is what it is
    for. Without MLflow, or before a model is registered, the next promotion or recovery does it.
    """
    content = workspace.ledger(recipe).read_bytes()
    head = Head.of(content)
    try:
        known = Head.parse(registry.ledger_head(workspace, recipe))
        if head is None or head == known:
            return False
        if known is not None and (missing := known.missing(content)):
            say(f"{recipe}: of the ledger that MLflow has seen, {missing}: segtrail ledger verify")
            return False
        return registry.keep_ledger_head(workspace, recipe, str(head))
    except SegtrailError as e:
        say(f"{recipe}: MLflow does not keep the head of the ledger for now: {e.message}")
        return False


def path_of(workspace: Workspace, recipe: str) -> str:
    """Returns the ledger's path, as git has it."""
    return workspace.ledger(recipe).relative_to(workspace.root).as_posix()
