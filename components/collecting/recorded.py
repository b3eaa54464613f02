"""What git records of DVC's cache: which contents are needed, and which a stage ever made."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from components.ingestion.history import LOCK
from components.ingestion.versioning import POINTER
from lineage import dvc_files, ledger
from lineage.ledger import Entry
from segtrail import git, git_objects
from segtrail.errors import LineageError
from segtrail.workspace import Workspace


@dataclass(frozen=True)
class Recorded:
    """Contents of DVC's cache, by md5.

    Attributes:
        needed: Data of every version, and what stages made that something refers to; of folders
            the listing's md5 alone.
        trainings: The folders that trainings wrote about themselves, in every `dvc.lock`: they
            are small, and `segtrail trace` asks them which model learned from what.
        made: What stages made, in every `dvc.lock` that git knows.
    """

    needed: frozenset[str]
    trainings: frozenset[str]
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
        LineageError: A `dvc.lock` that is needed, or a ledger, is not readable.
    """
    every: set[bytes] = set()
    needed: set[bytes] = set()
    pointers: set[bytes] = set()
    entries: list[Entry] = []
    for place in places:
        tips = _tips(place.root)
        every |= _history(place.root, LOCK)
        needed |= _at(place.root, tips, LOCK) | _present(place.root, [LOCK])
        listed = git.run(place.root, "ls-files", "-co", "--exclude-standard", "-z", "--", "*.dvc")
        pointers |= _history(place.root, "*.dvc")
        pointers |= _present(place.root, [POINTER, *filter(None, listed.split("\0"))])
        entries += _entries(place, tips)
    commits = {str(e.details["git_commit"]) for e in entries if "git_commit" in e.details}
    for place in places:
        needed |= _at(place.root, sorted(commits), LOCK)
    named = {e.model_digest for e in entries if e.event != ledger.REJECTED}
    every |= needed
    trainings: set[str] = set()
    for content in every:
        told = _trainings(content, cache)
        trainings |= told.keys()
        if named & set(told.values()):
            needed.add(content)
    made = {md5 for content in every - needed for md5 in _outputs_of_old(content)}
    wanted = {md5 for content in needed for md5 in outputs(content)}
    wanted |= {md5 for content in pointers for md5 in _pointed(content)}
    return Recorded(frozenset(wanted), frozenset(trainings), frozenset(made))


def outputs(lock: bytes) -> set[str]:
    """Returns the md5 of all outputs of stages that a `dvc.lock` names.

    Raises:
        LineageError: Not what DVC writes.
    """
    stages = dvc_files.parse_stages(lock).values()
    return {str(out["md5"]) for stage in stages for out in stage.get("outs", []) if "md5" in out}


def _outputs_of_old(lock: bytes) -> set[str]:
    try:
        return outputs(lock)
    except LineageError:  # as of the middle of a merge: what it means stays
        return set()


def _trainings(lock: bytes, cache: Path) -> dict[str, str]:
    """Returns what trainings wrote about themselves, with the digest of each one's model."""
    found: dict[str, str] = {}
    try:
        recipes = dvc_files.parse_locks(lock)
    except LineageError:
        return found
    for recipe, stages in recipes.items():
        if (folder := stages.output("train", f"artifacts/{recipe}/training")) is None:
            continue
        found[folder] = ""
        with contextlib.suppress(LineageError, ValueError, LookupError, TypeError):
            run = dvc_files.read_listing(cache, folder)["run.json"]
            found[folder] = str(json.loads(dvc_files.read_object(cache, run))["model_digest"])
    return found


def _tips(root: Path) -> list[str]:
    """Returns the commits at which branches, tags, stashes and working trees stand."""
    tips = git.run(root, "rev-list", "--no-walk", "--all", "HEAD").split()
    return list(dict.fromkeys(tips + git.run(root, "stash", "list", "--format=%H").split()))


def _history(root: Path, path: str) -> set[bytes]:
    """Returns every content that files had in a commit of any branch, tag, stash or reflog."""
    listed = git.run(
        root, "rev-list", "--all", "--reflog", "HEAD", "--objects", "--full-history", "--", path
    )
    end = path.removeprefix("*")
    rows = [line.partition(" ")[::2] for line in listed.splitlines()]
    named = {digest for digest, name in rows if name.endswith(end) and Path(name).name != ".dvc"}
    return {content for content in git_objects.contents(root, sorted(named)) if content}


def _at(root: Path, commits: Iterable[str], path: str) -> set[bytes]:
    found = git_objects.contents(root, [f"{commit}:{path}" for commit in commits])
    return {content for content in found if content}


def _present(root: Path, names: Iterable[str]) -> set[bytes]:
    """Returns what files hold in the working tree, and in the index."""
    names = list(names)
    found = git_objects.contents(root, [f":{name}" for name in names])
    paths = [root / name for name in names]
    return {c for c in found if c} | {path.read_bytes() for path in paths if path.is_file()}


def _entries(place: Workspace, tips: Sequence[str]) -> list[Entry]:
    """Returns the lines of the ledgers, as they lie there and as of each tip."""
    folder = place.ledger("any").parent.name
    listed = git.run(place.root, "log", "--all", "--format=", "--name-only", "--", folder)
    names = {name for name in listed.split() if name.endswith(".jsonl")}
    contents = {content for name in names for content in _at(place.root, tips, name)}
    contents |= {place.ledger(recipe).read_bytes() for recipe in place.ledgers()}
    return [entry for content in contents for entry in ledger.parse(content)]


def _pointed(pointer: bytes) -> set[str]:
    """Returns the md5 that a file of `dvc add` names; none if it is not as DVC writes it."""
    try:
        return {str(out["md5"]) for out in yaml.safe_load(pointer)["outs"] if "md5" in out}
    except (yaml.YAMLError, LookupError, TypeError):
        return set()
