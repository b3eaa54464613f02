"""What an audit rests on, each thing read once: ledger entry, statement, commit, lock, data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from lineage import data_version, dvc_files, ledger, provenance, signature
from lineage.ledger import Entry
from lineage.link import NotChecked
from segtrail import git, git_objects, saved_model
from segtrail.errors import LineageError, SegtrailError, WorkspaceError
from segtrail.files import root_digest, sha256_bytes
from segtrail.workspace import Workspace

T = TypeVar("T")


@dataclass
class Evidence:
    """The evidence about one version of one recipe. Reading it writes nothing.

    A property raises `LineageError` when its own link is broken; `rest_on` turns that into
    `NotChecked` for the links that only rest on it.
    """

    workspace: Workspace
    recipe: str
    version: int
    _: KW_ONLY
    quick: bool = False  # leave out what takes long: re-hashing the data
    fetched: bool = False  # what the cache lacked was asked of the remote: what is missing is lost
    way_to_fetch: str = ": segtrail audit --fetch"  # said of what the cache lacks
    signed: bool = False  # what is not signed is broken, whatever the recipe says

    @property
    def root(self) -> Path:
        return self.workspace.root

    @property
    def folder(self) -> Path:
        """The version's folder in the store."""
        return self.workspace.models / self.recipe / str(self.version)

    @property
    def has_no_store(self) -> bool:
        """Whether nothing of a model store is here, as in a fresh clone."""
        return not self.workspace.models_config.exists() and not self.workspace.models.exists()

    @property
    def tag(self) -> str:
        return f"{self.recipe}/v{self.version}"

    @cached_property
    def record(self) -> Entry:
        """The ledger's `done` of this version: as git holds it, or else as the file says.

        Of one that was a canary and never more: its `canary`. Of one that never got so far, but may
        have answered: its `failed` or `abandoned`.
        """
        sources = (self._tagged_ledger, self._ledger_file)
        for source in sources:
            try:
                entries = source()
            except SegtrailError:
                continue
            mine = [e for e in entries if e.version == self.version]
            for event in (ledger.DONE, ledger.CANARY, ledger.FAILED, ledger.ABANDONED):
                if found := [e for e in mine if e.event == event and ledger.is_kept(e)]:
                    return found[-1]
        raise LineageError(f"no ledger says that {self.recipe} v{self.version} was promoted")

    @cached_property
    def proof(self) -> bytes:
        """The bytes of the provenance, whose SHA-256 the ledger names."""
        path = self.folder / provenance.IN_MODEL
        if not path.exists():
            raise LineageError(f"{path}: not there")
        content = path.read_bytes()
        expected = rest_on(lambda: self.record).details["provenance_sha256"]
        if (found := sha256_bytes(content)) != expected:
            raise LineageError(
                f"{path}: its SHA-256 is {found[:12]}; the ledger names {expected[:12]}"
            )
        return content

    @cached_property
    def statement(self) -> dict[str, Any]:
        """What the provenance says."""
        return provenance.parse(self.proof)

    @cached_property
    def commit(self) -> str:
        """The git commit that was promoted, by the ledger; it exists."""
        commit = str(rest_on(lambda: self.record).details["git_commit"])
        try:
            git.run(self.root, "cat-file", "-e", f"{commit}^{{commit}}")
        except WorkspaceError:
            if git.run(self.root, "rev-parse", "--is-shallow-repository") == "true":
                raise NotChecked(
                    f"this clone has not the history with {commit[:12]}: git fetch --unshallow"
                ) from None
            raise
        return commit

    @cached_property
    def files(self) -> dict[str, bytes]:
        """Every file of the commit, by path, each object of git's checked."""
        return dict(git_objects.files(self.root, rest_on(lambda: self.commit)))

    @cached_property
    def lock(self) -> dvc_files.Lock:
        """`dvc.lock` at the commit."""
        return dvc_files.lock_at(self.root, rest_on(lambda: self.commit), self.recipe)

    @cached_property
    def cache(self) -> Path:
        """DVC's cache."""
        return dvc_files.cache_folder(self.root)

    @cached_property
    def dataset(self) -> str:
        """The recipe's dataset."""
        return str(self.params["dataset"])

    @property
    def params(self) -> Mapping[str, Any]:
        """The recipe as the statement gives it, every default resolved."""
        build = rest_on(lambda: self.statement)["predicate"]["buildDefinition"]
        found: Mapping[str, Any] = build["externalParameters"]["params"]
        return found

    @property
    def demands_signatures(self) -> bool:
        """Whether what is not signed is broken: by the auditor's word, or the recipe's."""
        try:
            return self.signed or signature.is_demanded(self.params)
        except NotChecked:  # as in a clone without a store, where other links say so
            return False

    @cached_property
    def tree(self) -> dict[str, str]:
        """`{path: md5}` of the data set at the commit."""
        commit = rest_on(lambda: self.commit)
        return self._if_there(lambda: data_version.tree(self.root, commit, self.dataset))

    @cached_property
    def stored_files(self) -> dict[str, str]:
        """`{path: hex SHA-256}` of the stored model; they give the digest it was promoted by."""
        if not self.folder.is_dir():
            raise LineageError(f"{self.folder}: the store does not hold this version")
        found = saved_model.file_digests(self.folder)
        expected = rest_on(lambda: self.record).model_digest
        if root_digest(found) == expected:
            return found
        raise LineageError(f"{self.folder}: {self._what_differs(found)}")

    def dependency(self, name: str) -> dict[str, Any]:
        """Returns what the statement says about one thing that the model was made from."""
        return _named(provenance.dependencies(rest_on(lambda: self.statement)), name)

    def byproduct(self, name: str) -> dict[str, Any]:
        """Returns what the statement says about one thing that was made along."""
        return _named(provenance.byproducts(rest_on(lambda: self.statement)), name)

    def output(self, path: str) -> bytes:
        """Returns a file that a stage made, as recorded at the commit."""
        lock = rest_on(lambda: self.lock)
        return self._if_there(
            lambda: dvc_files.output_at(self.root, self.commit, lock, self.cache, path)
        )

    def output_md5(self, path: str) -> str:
        """Returns the md5 of a file in a folder that a stage made, as recorded at the commit."""
        folder, md5 = rest_on(lambda: self.lock).find_output(path) or ("", "")
        listing = self._if_there(lambda: dvc_files.read_listing(self.cache, md5))
        if (name := path.removeprefix(f"{folder}/")) not in listing:
            raise LineageError(f"dvc.lock: the output {folder} has no {name}")
        return listing[name]

    def data_file(self, name: str) -> bytes:
        """Returns one file of the dataset at the commit."""
        files = rest_on(lambda: self.tree)
        return self._if_there(lambda: data_version.read_file(self.root, files, name))

    def _if_there(self, read: Callable[[], T]) -> T:
        """Reads of DVC's cache; what it never had cannot be checked, unless the remote lacks it."""
        try:
            return read()
        except dvc_files.MissingError as e:
            if self.fetched:
                raise
            raise NotChecked(f"{e.message.split(';')[0]}{self.way_to_fetch}") from None

    def _what_differs(self, found: Mapping[str, str]) -> str:
        try:
            expected = provenance.subjects(self.statement)
        except Exception:
            return f"its files are not those of the model {self.record.model_digest[:12]}"
        del expected[provenance.ROOT]
        changed = [name for name in found if name in expected and found[name] != expected[name]]
        said = [f"{name} was changed" for name in changed]
        said += [f"{name} is missing" for name in expected if name not in found]
        said += [f"{name} was added" for name in found if name not in expected]
        return "; ".join(said)

    def _tagged_ledger(self) -> list[Entry]:
        path = self.workspace.ledger(self.recipe).relative_to(self.root).as_posix()
        return ledger.parse(git_objects.show(self.root, f"refs/tags/{self.tag}", path))

    def _ledger_file(self) -> list[Entry]:
        return ledger.read(self.workspace.ledger(self.recipe))


def rest_on(read: Callable[[], T]) -> T:
    """Returns evidence that another link is about.

    Raises:
        NotChecked: That link is broken.
    """
    try:
        return read()
    except NotChecked:
        raise
    except Exception as e:
        why = e.message if isinstance(e, SegtrailError) else str(e)
        raise NotChecked(f"it rests on a link that is broken: {why}") from None


def same(what: str, found: object, expected: object, said_by: str = "the provenance") -> None:
    """Raises `LineageError` unless two values are equal, naming both."""
    if found != expected:
        raise LineageError(f"{what} is {found}; {said_by} says {expected}")


def _named(found: Mapping[str, dict[str, Any]], name: str) -> dict[str, Any]:
    if name not in found:
        raise LineageError(f"the provenance does not name {name}")
    return found[name]
