"""What git records of DVC's cache: which contents are needed, and which a stage ever made."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from components.collecting import git_state
from components.ingestion.history import LOCK
from lineage import dvc_files, ledger
from lineage.ledger import Entry
from segtrail import git, git_objects
from segtrail.errors import LineageError
from segtrail.workspace import Workspace


class UnclearError(LineageError):
    """What belongs to something that is needed cannot be told."""


@dataclass(frozen=True)
class Recorded:
    """Contents of DVC's cache, by md5; of folders the listing's md5 alone.

    Attributes:
        needed: Data of every version, and what stages made that something refers to.
        spared: What trainings wrote about themselves, in every `dvc.lock`: it is small, and
            `segtrail trace` asks it which model learned from what. And what stages made with a
            model of which nobody can tell whether the ledger names it.
        made: What stages made, in every other `dvc.lock` that git knows.
    """

    needed: frozenset[str]
    spared: frozenset[str]
    made: frozenset[str]


def read(places: Sequence[Workspace], cache: Path) -> Recorded:
    """Returns what the repositories of the workspace and of its workers record.

    Needed is what a `dvc.lock` names that is the tip of a branch, a tag or a stash, lies in a
    working tree or an index, was checked out when the ledger's entries were written, or records
    a model that the ledger names by another word than a rejection.

    Args:
        places: The workspace and the clones of its workers.
        cache: DVC's.

    Raises:
        UnclearError: The history is not whole.
        LineageError: A `dvc.lock` that is needed, or a ledger, is not readable.
    """
    every: set[bytes] = set()
    needed: dict[bytes, str] = {}
    pointers: set[bytes] = set()
    entries: list[Entry] = []
    for place in places:
        root, tips = place.root, git_state.tips(place.root)
        every |= git_state.history(root, LOCK)
        needed |= git_state.at(root, tips, LOCK) | git_state.present(root, LOCK)
        pointers |= git_state.history(root, "*.dvc") | git_state.present(root, "*.dvc").keys()
        entries += _entries(place, tips)
    commits = {str(e.details["git_commit"]) for e in entries if "git_commit" in e.details}
    _require_whole(places, commits)
    for place in places:
        needed |= git_state.at(place.root, sorted(commits), LOCK)
    named = {e.model_digest for e in entries if e.event != ledger.REJECTED}
    spared: set[str] = set()
    for content in every | needed.keys():
        trained = _trainings(content, cache)
        spared |= trained.keys()
        if named & set(trained.values()):
            needed.setdefault(content, f"{LOCK} of a model that the ledger names")
        elif None in trained.values():
            spared |= _outputs_of_old(content)
    made = {md5 for content in every - needed.keys() for md5 in _outputs_of_old(content)}
    wanted = {md5 for content, where in needed.items() for md5 in _outputs(content, where)}
    wanted |= {md5 for content in pointers for md5 in _pointed(content)}
    return Recorded(frozenset(wanted), frozenset(spared), frozenset(made))


def _require_whole(places: Sequence[Workspace], commits: Iterable[str]) -> None:
    """Raises `UnclearError` where git lacks commits: what they need is not known."""
    missing = set(commits)
    for place in places:
        if git.run(place.root, "rev-parse", "--is-shallow-repository") == "true":
            raise UnclearError(
                f"{place.root} has not its whole history, so that nobody can tell what it needs",
                f"git -C {place.root} fetch --unshallow --tags",
            )
        asked = sorted(missing)
        found = git_objects.contents(place.root, asked)
        missing -= {name for name, content in zip(asked, found, strict=True) if content}
    if missing:
        raise UnclearError(
            f"the ledger names commits that git does not have, such as {min(missing)[:12]}: "
            "nobody can tell what they need",
            "git fetch --all --tags   (or get them from whoever promoted)",
        )


def _outputs(lock: bytes, where: str) -> set[str]:
    """Returns the md5 of all outputs of stages that a `dvc.lock` names.

    Raises:
        LineageError: Not what DVC writes.
    """
    try:
        stages = dvc_files.parse_stages(lock).values()
        return {str(o["md5"]) for stage in stages for o in stage.get("outs", []) if "md5" in o}
    except (LineageError, TypeError) as e:
        raise LineageError(
            f"{where}: expected what DVC writes; found {str(e).splitlines()[0]}",
            f"settle it, such as a conflict of a merge, or: git checkout HEAD {LOCK}",
        ) from None


def _outputs_of_old(lock: bytes) -> set[str]:
    try:
        return _outputs(lock, LOCK)
    except LineageError:  # as of the middle of a merge: what it means stays
        return set()


def _trainings(lock: bytes, cache: Path) -> dict[str, str | None]:
    """Returns what trainings wrote about themselves, with the digest of each one's model.

    None where the cache lacks it, or an older segtrail wrote it.
    """
    found: dict[str, str | None] = {}
    with contextlib.suppress(LineageError, LookupError, TypeError):
        for recipe, stages in dvc_files.parse_locks(lock).items():
            if folder := stages.output("train", f"artifacts/{recipe}/training"):
                found[folder] = _model_of(folder, cache)
    return found


def _model_of(training: str, cache: Path) -> str | None:
    try:
        run = dvc_files.read_listing(cache, training)["run.json"]
        return str(json.loads(dvc_files.read_object(cache, run))["model_digest"])
    except (LineageError, ValueError, LookupError, TypeError):
        return None


def _entries(place: Workspace, tips: Sequence[str]) -> list[Entry]:
    """Returns the lines of the ledgers, as they lie there and as of each tip."""
    found: dict[bytes, str] = {}
    for name in git_state.names(place.root, place.ledger("any").parent.name):
        if name.endswith(".jsonl"):
            found |= git_state.at(place.root, tips, name)
    found |= {(path := place.ledger(r)).read_bytes(): str(path) for r in place.ledgers()}
    entries: list[Entry] = []
    for content, where in found.items():
        try:
            entries += ledger.parse(content)
        except LineageError as e:
            raise LineageError(f"{where}: {e.message}", "segtrail ledger verify") from None
    return entries


def _pointed(pointer: bytes) -> set[str]:
    """Returns the md5 that a file of `dvc add` names; none if it is not as DVC writes it."""
    try:
        return {str(out["md5"]) for out in yaml.safe_load(pointer)["outs"] if "md5" in out}
    except (yaml.YAMLError, LookupError, TypeError):
        return set()
