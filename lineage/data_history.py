"""The versions of the data, as git's history of `data.dvc` and DVC's cache tell them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from pathlib import Path

from lineage import data_diff, data_snapshot, data_version, dvc_files
from lineage.data_snapshot import NOW, Snapshot
from segtrail import deliveries, git, split_ledger
from segtrail.errors import DataError, LineageError, WorkspaceError

POINTER = "data.dvc"
_FORMAT = "%H%x1f%aI%x1f%an%x1f%s"
_LONGEST_DELIVERY = 6  # digits; more are an abbreviated commit


@dataclass(frozen=True)
class Commit:
    """A commit, such as one that changed `data.dvc`; `date` is ISO 8601 with its offset."""

    revision: str
    date: str
    author: str
    subject: str


@dataclass(frozen=True)
class Version:
    """A commit at which one dataset became another.

    Attributes:
        commit: The commit.
        dataset: Its name; empty if the listing cannot be read.
        dvc_md5: Of `data/<dataset>`; of all of `data/` if the listing cannot be read.
        images: How many there are.
        splits: `{split: images}`.
        changes: Against the version before; None if that cannot be read.
        deliveries: Those that the version before did not have.
        problem: Why the rest is not known; empty if it is.
    """

    commit: Commit
    dataset: str
    dvc_md5: str
    images: int = 0
    splits: Mapping[str, int] = field(default_factory=dict)
    changes: data_diff.Changes | None = None
    deliveries: tuple[deliveries.Row, ...] = ()
    problem: str = ""


def commits(
    root: Path,
    revision: str | None = "HEAD",
    paths: Sequence[str] = (POINTER,),
    last: int | None = None,
) -> list[Commit]:
    """Returns the commits that changed `data.dvc`, or other files, newest first.

    Args:
        root: The repository's.
        revision: Up to which; None: those of all branches and tags.
        paths: The files; none: every commit.
        last: How many at most.

    Raises:
        WorkspaceError: Not a git repository, or no such revision.
    """
    which = [resolve(root, revision or "HEAD"), *([] if revision else ["--all"])]
    most = [f"--max-count={last}"] if last is not None else []
    out = git.run_bytes(root, "log", "-z", f"--format={_FORMAT}", *most, *which, "--", *paths)
    lines = out.decode(errors="replace").split("\0")
    return [Commit(*line.split("\x1f", 3)) for line in lines if line]


def versions(root: Path, dataset: str | None = None, revision: str = "HEAD") -> Iterator[Version]:
    """Yields the versions of one dataset, or of all, up to a git revision, newest first.

    A version whose listing is not in DVC's cache is yielded with what git alone says.

    Raises:
        WorkspaceError: Not a git repository, or no such revision.
        LineageError: Not a DVC repository.
    """
    read = ((commit, *_datasets(root, commit.revision)) for commit in commits(root, revision))
    for (commit, files, problem), (_, before, _) in pairwise(chain(read, [(None, {}, "")])):
        assert commit is not None  # only the last is, which stands for the time before all
        if files is None:
            yield Version(commit, dataset or "", _data_md5(root, commit), problem=problem)
            continue
        for name in [dataset] if dataset else sorted(files.keys() | (before or {}).keys()):
            mine = files.get(name, {})
            known = None if before is None else before.get(name, {})
            if mine != known and (mine or known):
                yield _version(root, commit, name, mine, known)


def resolve(root: Path, revision: str) -> str:
    """Returns the commit that a revision names.

    Raises:
        WorkspaceError: There is none.
    """
    try:
        return git.run(
            root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        )
    except WorkspaceError:
        git.run(root, "rev-parse", "--git-dir")  # says so if it is not a repository
        raise WorkspaceError(
            f"{revision!r}: expected a git revision, the number of a delivery, or {NOW}",
            "segtrail data log",
        ) from None


def find(root: Path, dataset: str, word: str) -> Snapshot:
    """Returns the state of a dataset that a person names.

    Args:
        root: The workspace's.
        dataset: Its name.
        word: A git revision; the number of a delivery, for the commit that recorded it; or
            `data/`, for the files as they lie there now.

    Returns:
        The state; without files, if the dataset was not there yet.

    Raises:
        LineageError: The state cannot be read.
        WorkspaceError: The word names nothing.
    """
    if word == NOW:
        return data_snapshot.of_folder(root / "data" / dataset)
    if word.isdecimal() and len(word) <= _LONGEST_DELIVERY:
        for snapshot in reversed(list(_states(root, dataset, "HEAD"))):
            if any(row.delivery == int(word) for row in _deliveries(snapshot)):
                return snapshot
    try:
        commit = resolve(root, word)
    except WorkspaceError as e:
        if word.isdecimal():
            raise WorkspaceError(
                f"{dataset} has no delivery {word} in the versions that can be read", e.hint
            ) from None
        raise
    return data_snapshot.of_files(root, commit, dataset, _listings(root, commit).get(dataset, {}))


def before(root: Path, after: Snapshot) -> Snapshot:
    """Returns the state that was recorded before this one; nothing, if it is the first.

    Of the files as they lie there now, that is what HEAD records.

    Raises:
        LineageError: The version before cannot be read.
    """
    if not after.commit:
        return find(root, after.dataset, "HEAD")
    for commit in commits(root, after.commit):
        files, problem = _datasets(root, commit.revision)
        if files is None:
            raise LineageError(
                f"the version before {after.label} cannot be read: {problem}",
                "dvc fetch --all-commits",
            )
        mine = files.get(after.dataset, {})
        if mine != after.files:
            if not mine:
                break
            return data_snapshot.of_files(root, commit.revision, after.dataset, mine)
    return data_snapshot.empty(after.dataset)


def datasets(root: Path, word: str) -> list[str]:
    """Returns the names of the datasets at a revision, or in `data/`.

    Raises:
        LineageError: The listing cannot be read.
    """
    if word == NOW:
        return sorted(path.name for path in (root / "data").glob("*") if path.is_dir())
    return list(_listings(root, resolve(root, word)))


def _states(root: Path, dataset: str, revision: str) -> Iterator[Snapshot]:
    """Yields the states of a dataset that can be read, newest first."""
    for commit in commits(root, revision):
        files, _ = _datasets(root, commit.revision)
        if files and dataset in files:
            yield data_snapshot.of_files(root, commit.revision, dataset, files[dataset])


def _deliveries(snapshot: Snapshot) -> list[deliveries.Row]:
    try:
        return snapshot.deliveries()
    except (DataError, LineageError):
        return []


def _datasets(root: Path, commit: str) -> tuple[dict[str, dict[str, str]] | None, str]:
    """Returns `{dataset: files}` at a commit, or None and why not."""
    try:
        return _listings(root, commit), ""
    except LineageError as e:
        return None, e.message


def _listings(root: Path, commit: str) -> dict[str, dict[str, str]]:
    md5 = data_version.data_md5_at(root, commit)
    if md5 == dvc_files.listing_md5({}):  # a fresh clone has no listing of an empty `data/`
        return {}
    listing = dvc_files.read_listing(dvc_files.cache_folder(root), md5)
    return data_snapshot.split_by_dataset(listing)


def _data_md5(root: Path, commit: Commit) -> str:
    try:
        return data_version.data_md5_at(root, commit.revision)
    except LineageError:
        return ""


def _version(
    root: Path,
    commit: Commit,
    dataset: str,
    files: Mapping[str, str],
    before: Mapping[str, str] | None,
) -> Version:
    snapshot = data_snapshot.of_files(root, commit.revision, dataset, files)
    version = Version(
        commit,
        dataset,
        snapshot.dvc_md5,
        len(snapshot.images),
        changes=None if before is None else data_diff.changes(before, files),
    )
    try:
        rows = split_ledger.present(snapshot.ledger().values())
        known = (
            {row.delivery for row in data_snapshot.of_files(root, "", dataset, before).deliveries()}
            if before
            else set()
        )
        new = [row for row in snapshot.deliveries() if row.delivery not in known]
    except (DataError, LineageError) as e:
        return replace(version, problem=e.message)
    if before is None:
        new = new[-1:]
    return replace(version, splits=dict(Counter(row.split for row in rows)), deliveries=tuple(new))
