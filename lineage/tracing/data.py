"""From a version of the data, or a commit, to the models that came of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lineage import data_history, data_version, dvc_files
from lineage.tracing import evidence, words
from lineage.tracing.answers import CommitFacts, Data, Moment
from lineage.tracing.index import Index
from lineage.tracing.locks import LOCK, of_lock
from lineage.tracing.models import Model
from lineage.tracing.rows import Part
from segtrail import git, git_objects
from segtrail.errors import LineageError, WorkspaceError

_MD5 = re.compile(r"[0-9a-f]{4,32}")


def trace(index: Index, root: Path, models: Sequence[Model], word: str) -> list[Data]:
    """Returns what is known of the data version that a word names; one for each dataset.

    Args:
        index: Of the workspace.
        root: The repository's.
        models: Every one that is known.
        word: The beginning of the md5 of a dataset, as `segtrail data log` shows it, or of all of
            `data/`; or a git revision, for what it holds.

    Raises:
        LineageError: Several versions begin so, or the data version of the commit is not there.
        WorkspaceError: There is no such version, and no such revision.
        ContradictionError: The index is wrong.
    """
    beginning = word.lower().removesuffix(dvc_files.DIR)
    if _MD5.fullmatch(beginning):
        parts = index.parts()
        mine = [part for part in parts if part.dvc_md5.startswith(beginning)]
        known = {(part.dataset, part.dvc_md5): part for part in mine}
        for model in models:  # one whose listing is gone is known by the models alone
            if model.data_md5.startswith(beginning):
                known.setdefault((model.dataset, model.data_md5), _unread(model))
        if len(known) > 1:
            raise LineageError(
                f"{len(known)} data versions begin with {word}: "
                + ", ".join(f"{md5.removesuffix('.dir')} ({name})" for name, md5 in known),
                "give more characters of one of them",
            )
        whole = {part.listing for part in parts if part.listing.startswith(beginning)}
        if not known and len(whole) == 1:
            known = {(p.dataset, p.dvc_md5): p for p in parts if p.listing in whole}
        if known:
            return [_data(index, root, part, models) for part in known.values()]
    try:
        commit = data_history.resolve(root, word)
    except WorkspaceError:
        raise WorkspaceError(
            f"{word}: no data version begins so, and it is no git revision", "segtrail data log"
        ) from None
    return _at(index, root, commit, models)


def trace_commit(index: Index, root: Path, models: Sequence[Model], revision: str) -> CommitFacts:
    """Returns what is known of a commit.

    Raises:
        WorkspaceError: There is no such revision.
        ContradictionError: The index is wrong.
    """
    try:
        commit = data_history.resolve(root, revision)
    except WorkspaceError:
        raise WorkspaceError(f"{revision}: expected a git revision", "git log --oneline") from None
    data, problem = list[Data](), ""
    try:
        data = _at(index, root, commit, models)
    except LineageError as e:
        problem = str(e)
    recorded = _recorded(root, commit, models)
    trained = [model for model in recorded if model.trained_at == commit]
    promoted = [model for model in models if model.promoted_from == commit]
    sentences = [
        words.of_models(trained, "was trained at it"),
        words.of_models([m for m in promoted if m not in trained], "was promoted from it"),
        words.of_models(
            [m for m in recorded if m not in (*trained, *promoted)], "is in its dvc.lock"
        ),
    ]
    own = [f":(exclude){path}" for path in git.OWN_PATHS]
    code = data_history.commits(root, commit, [".", *own], last=1)
    return CommitFacts(
        data_history.commits(root, commit, (), last=1)[0],
        "; ".join(filter(None, sentences)) or "no model was trained at it, or promoted from it",
        git.run(root, "tag", "--points-at", commit).split(),
        code[0] if code else None,
        data,
        problem,
        trained,
        recorded,
        promoted,
    )


def _at(index: Index, root: Path, commit: str, models: Sequence[Model]) -> list[Data]:
    """Returns what each dataset was at a commit."""
    listing = data_version.data_md5_at(root, commit)
    parts = [part for part in index.parts() if part.listing == listing]
    if not parts and listing != dvc_files.listing_md5({}):
        raise LineageError(
            f"data/ at {commit[:10]}: its listing {listing} is not in DVC's cache",
            "dvc fetch --all-commits",
        )
    return [_data(index, root, part, models) for part in parts]


def _data(index: Index, root: Path, part: Part, models: Sequence[Model]) -> Data:
    trained = [model for model in models if model.data_md5 == part.dvc_md5]
    evidence.locks_have(root, [model.training for model in trained if model.training])
    steps = index.steps(part.dataset)
    at = [n for n, step in enumerate(steps) if step.part.dvc_md5 == part.dvc_md5]
    before = index.deliveries(steps[at[0] - 1].part) if at and at[0] else []
    known = {row.delivery for row in before}
    return Data(
        part.dataset,
        part.dvc_md5,
        words.of_models(trained, "was trained on it") or "no model was trained on it",
        part.images if part.listing else None,
        [Moment.of(steps[n]) for n in at],
        [row for row in index.deliveries(part) if row.delivery not in known],
        trained,
    )


def _unread(model: Model) -> Part:
    return Part(0, "", model.dataset, model.data_md5, 0, "", "", "", "not in DVC's cache")


def _recorded(root: Path, commit: str, models: Sequence[Model]) -> list[Model]:
    """Returns the models that `dvc.lock` at a commit records."""
    (content,) = git_objects.contents(root, [f"{commit}:{LOCK}"])
    found = dvc_files.parse_locks(content or b"")
    there = {(recipe, *(of_lock(lock) or ())[:2]) for recipe, lock in found.items()}
    return [
        model
        for model in models
        if (made := model.training) and (made.recipe, made.model_md5, made.training_md5) in there
    ]
