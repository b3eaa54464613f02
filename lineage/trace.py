"""Lineage both ways: from an image, a data version or a commit to the models that came of it.

Read-only, but for an index in the scratch folder: see `lineage.tracing.index`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Generic, TypeVar

from lineage.data_history import Commit
from lineage.tracing import data as of_data
from lineage.tracing import image as of_image
from lineage.tracing import index, models
from lineage.tracing.answers import CommitFacts, Data, Image
from lineage.tracing.evidence import ContradictionError
from lineage.tracing.index import Index
from lineage.tracing.models import Model
from segtrail.workspace import Workspace

_T = TypeVar("_T")


@dataclass(frozen=True)
class Answer(Generic[_T]):
    """An answer, and how far it goes.

    Attributes:
        found: What was found.
        unread: Commits whose data version is not in DVC's cache, newest first: what they hold
            could not be looked at.
    """

    found: _T
    unread: list[Commit]


def image(workspace: Workspace, word: str, dataset: str | None = None) -> Answer[list[Image]]:
    """Returns what is known of an image: see `lineage.tracing.image.trace`.

    Raises:
        LineageError: No data version has such an image, several digests begin so, or a promotion
            ledger is broken.
        DataError: The file cannot be read.
        WorkspaceError: Not a git repository.
    """
    return _ask(workspace, lambda i, m: of_image.trace(i, workspace.root, m, word, dataset))


def data(workspace: Workspace, word: str) -> Answer[list[Data]]:
    """Returns what is known of a version of the data: see `lineage.tracing.data.trace`.

    Raises:
        LineageError: Several versions begin so, it cannot be read, or a promotion ledger is broken.
        WorkspaceError: There is no such version.
    """
    return _ask(workspace, lambda i, m: of_data.trace(i, workspace.root, m, word))


def commit(workspace: Workspace, revision: str) -> Answer[CommitFacts]:
    """Returns what is known of a commit: see `lineage.tracing.data.trace_commit`.

    Raises:
        LineageError: A promotion ledger is broken.
        WorkspaceError: There is no such revision.
    """
    return _ask(workspace, lambda i, m: of_data.trace_commit(i, workspace.root, m, revision))


def to_json(found: Any) -> Any:
    """Returns an answer as JSON values; a model with its name and how it serves now."""
    if isinstance(found, Model):
        made = {field.name: getattr(found, field.name) for field in fields(found)}
        del made["training"]
        return to_json({"name": found.name, **made, "now": found.now})
    if is_dataclass(found):
        return {field.name: to_json(getattr(found, field.name)) for field in fields(found)}
    if isinstance(found, Mapping):
        return {key: to_json(value) for key, value in found.items()}
    if isinstance(found, Sequence) and not isinstance(found, str):
        return [to_json(each) for each in found]
    return found


def _ask(workspace: Workspace, question: Callable[[Index, list[Model]], _T]) -> Answer[_T]:
    """Answers by the index; once more by one made anew, if it was wrong."""
    for again in (False, True):
        found = index.open_index(workspace)
        try:
            every = models.every(workspace, found.cache, found.trainings)
            return Answer(question(found, every), found.unread())
        except ContradictionError:
            if again:
                raise
            index.remove(workspace)
    raise AssertionError("unreachable")
