"""Links about the model itself: what serves, the store, its provenance, MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lineage import (
    golden,
    golden_answers,
    ledger,
    mlflow_record,
    provenance,
    run_digests,
    signature,
)
from lineage.evidence import Evidence, rest_on, same
from lineage.link import NotChecked, Warn
from segtrail import saved_model
from segtrail.errors import LineageError
from segtrail.files import root_digest, sha256_file, tree_digests
from segtrail.saved_model import PROOF_FOLDER
from segtrail.settings.serving import canary_of
from segtrail.words import shortened
from serving import config, store

if TYPE_CHECKING:
    from segtrail.workspace import Workspace
    from serving.endpoint import Endpoint


def served_version(endpoint: Endpoint, recipe: str) -> int:
    """Returns the version that requests without a version reach at a live server.

    Raises:
        ServingError: It does not answer.
        LineageError: TLS is the cause.
    """
    from serving.failures import TlsError

    try:
        with endpoint.client() as client:
            return client.served_version(recipe)
    except TlsError as e:  # a link has no hint
        raise LineageError(f"{e.message}: {e.hint}") from None


def live(e: Evidence, endpoint: Endpoint) -> str:
    """A live server answers as the evaluated model did."""
    target, tls = endpoint
    serves = served_version(endpoint, e.recipe)
    same(f"the version that {target} serves", serves, e.version, "what is audited")
    rest_on(lambda: e.stored_files)
    goldens = golden.read(e.folder / golden.FOLDER)
    answered = golden_answers.ask(target, e.recipe, e.version, goldens, tls)
    return f"{target} serves v{e.version}; {golden_answers.summary(answered, target)}"


def elsewhere(
    workspace: Workspace, recipe: str, folder: Path, version: int | None
) -> tuple[int, str]:
    """A SavedModel outside of the store is a version that the ledger names, to the last byte.

    Returns:
        Which version, and what was found.

    Raises:
        LineageError: It is none, or another one than asked for; the ledger cannot be read; or
            there is no such folder.
        ValueError: It has symbolic links.
    """
    if not folder.is_dir():
        raise LineageError(f"{folder}: is no folder")
    files = saved_model.file_digests(folder)
    digest = root_digest(files)
    entries = ledger.read(workspace.ledger(recipe))
    mine = [e.version for e in entries if ledger.is_kept(e) and e.model_digest == digest]
    if not mine or (found := mine[-1]) is None:
        raise LineageError(
            f"{folder}: its digest is {digest[:12]}, which no line of the ledger has"
            f"{_nearest(workspace, recipe, files)}"
        )
    same(f"the version in {folder}", found, version or found, "what is audited")
    proof = folder / provenance.IN_MODEL
    if proof.exists():
        stored = workspace.models / recipe / str(found) / provenance.IN_MODEL
        if stored.exists():
            same("its provenance", sha256_file(proof), sha256_file(stored), "the store")
    return found, f"{folder.name} is v{found}, to the last byte"


def _nearest(workspace: Workspace, recipe: str, given: dict[str, str]) -> str:
    """Says in what a folder differs from the stored version that it has most files of."""
    best = ("", 0, 0)
    for version in store.versions(workspace.models, recipe):
        stored = saved_model.file_digests(workspace.models / recipe / str(version))
        equal = sum(stored.get(name) == digest for name, digest in given.items())
        differ = [n for n in sorted(stored | given) if stored.get(n) != given.get(n)]
        best = max(best, (f"v{version}: {shortened(differ)}", equal, version), key=lambda x: x[1:])
    return f"; it differs from {best[0]}" if best[1] else ""


def configured(e: Evidence) -> str:
    """The serving configuration names the version, from this store."""
    path = e.workspace.models_config
    _require_store(e)
    model = config.read(path).get(e.recipe)
    if model is None and (over := ledger.retirement(ledger.read(e.workspace.ledger(e.recipe)))):
        because = f"by {over.by} because {over.details.get('reason')}"
        return f"nothing serves: {e.recipe} was taken out of service on {over.at[:10]} {because}"
    if model is None:
        raise LineageError(f"{path}: does not name {e.recipe}: nothing serves")
    serves = config.champion(path, e.recipe)
    if model.base_path != e.folder.parent:  # as in a workspace that was copied or moved
        raise LineageError(
            f"base_path is {model.base_path}; the workspace says {e.folder.parent}: it was copied "
            f"or moved (segtrail promote --recipe {e.recipe} --recover), or somebody changed it"
        )
    if differs := config.unlike(path, e.recipe, e.folder.parent):
        raise LineageError(f"{path}: {differs}")
    if config.canary(path, e.recipe) == e.version != serves:
        return f"v{serves} serves; v{e.version} is its canary, served as {canary_of(e.recipe)}"
    if serves != e.version:
        return f"v{serves} serves; v{e.version} is kept in the store"
    return f"{path.name} names v{e.version}"


def _require_store(e: Evidence) -> None:
    if e.has_no_store:
        raise NotChecked(
            "this clone has neither model store nor serving configuration: docs/serving.md, "
            '"Back up and move"'
        )


def stored(e: Evidence) -> str:
    """Every file in the store has the digest it was promoted by."""
    _require_store(e)
    return f"{len(e.stored_files)} files have the digest {e.record.model_digest[:12]}"


def proved(e: Evidence) -> str:
    """The provenance is the one that the ledger names, and is about this model."""
    _require_store(e)
    statement = e.statement
    subjects = provenance.subjects(statement)
    root = subjects.pop(provenance.ROOT, None)
    same("the subject", root, e.record.model_digest, "the ledger")
    same("the root of the subjects", root_digest(subjects), root)
    build = statement["predicate"]["buildDefinition"]
    same("the recipe", build["externalParameters"]["recipe"], e.recipe, "the audit")
    proof = tree_digests(e.folder / PROOF_FOLDER)
    del proof[provenance.FILE]
    proof.pop(provenance.ENVELOPE, None)  # another link
    named = {
        name: item["digest"]["sha256"]
        for name, item in provenance.byproducts(statement).items()
        if name.startswith("golden/")
    }
    for name in sorted(proof.keys() | named.keys()):
        if name not in named:
            raise LineageError(f"{PROOF_FOLDER}/{name} was added")
        same(f"the SHA-256 of {name}", proof.get(name), named.get(name))
    return f"names {len(subjects)} files; the ledger names its SHA-256"


def signed(e: Evidence) -> str:
    """A key that git trusted at the commit, and still trusts, signed the provenance."""
    content, said = rest_on(lambda: e.proof), rest_on(lambda: e.record).details
    there = (e.folder / provenance.SIGNED_IN_MODEL).exists()
    if not there and signature.DETAIL not in said:
        if e.demands_signatures:
            raise LineageError("not signed, though a signature is demanded")
        raise Warn(
            "not signed: who can write to the store, the ledger and git can forge all that this "
            "audit reads"
        )
    by = signature.of_stored(e.folder, content, e.root, rest_on(lambda: e.commit))
    known = said.get(signature.DETAIL, {})
    same("the key that signed it", by.key.keyid, known.get("key"), "the ledger")
    return f"signed by {by.name} (key {by.key.keyid[:12]}), trusted at that commit and now"


def registered(e: Evidence) -> str:
    """MLflow's registry has the version, with the same digest; the alias is where it should be."""
    found = mlflow_record.version(e.workspace, e.recipe, e.version)
    digest = rest_on(lambda: e.record).model_digest
    same("the version's digest tag", found.model_digest, digest, "the ledger")
    alias = mlflow_record.champion(e.workspace, e.recipe)
    if e.has_no_store:
        return f"version {e.version} has the same digest; no serving configuration is here"
    serves = rest_on(lambda: config.champion(e.workspace.models_config, e.recipe))
    same("the version that the alias champion names", alias, serves, "the serving configuration")
    canary = mlflow_record.aliased(e.workspace, e.recipe, mlflow_record.CANARY)
    shown = rest_on(lambda: config.canary(e.workspace.models_config, e.recipe))
    same("the version that the alias canary names", canary, shown, "the serving configuration")
    names = f"v{alias}" if alias else "nothing"
    return f"version {e.version} has the same digest; the alias champion names {names}"


def kept(e: Evidence) -> str:
    """The copy of the model that MLflow's registry hands out is the same model."""
    found = mlflow_record.version(e.workspace, e.recipe, e.version)
    what = f"version {e.version}"
    if not (uri := found.source):
        raise LineageError(f"MLflow names no files of {what}")
    if urlsplit(uri).scheme not in ("", "file"):
        if e.quick:
            raise NotChecked("left out of a quick audit: it is on another machine")
        uri = f"models:/{e.recipe}/{e.version}"
    files = run_digests.artifacts(e.workspace, uri, skip=None, what=what)
    digest = rest_on(lambda: e.record).model_digest
    same(f"MLflow's copy of {what}", root_digest(files), digest, "the ledger")
    return f"MLflow's copy of version {e.version} has the same {len(files)} files"


def trained(e: Evidence) -> str:
    """MLflow has the training run that the provenance names, as it was recorded."""
    metadata = rest_on(lambda: e.statement)["predicate"]["runDetails"]["metadata"]
    found = mlflow_record.run(e.workspace, metadata["invocationId"])
    same("the run's status", found.status, "FINISHED", "a finished training")
    same("the run's start", found.started, metadata.get("startedOn"))
    same("the run's end", found.finished, metadata.get("finishedOn"))
    version = rest_on(lambda: mlflow_record.version(e.workspace, e.recipe, e.version))
    same("the registered version's run", version.run_id, found.run_id)
    if found.deleted:
        raise LineageError(f"MLflow run {found.run_id} was deleted: mlflow runs restore")
    said = f"MLflow run {found.run_id}, finished {found.finished}"
    item = e.byproduct(provenance.RUN)
    if "digest" not in item:
        lacking = (
            f"{said}; this provenance, as of an older segtrail, does not name what it recorded"
        )
        raise NotChecked(lacking) if e.demands_signatures else Warn(lacking)
    if e.quick and not run_digests.is_here(e.workspace, found.run_id):
        raise NotChecked("left out of a quick audit: its files are on another machine")
    now = run_digests.digests(e.workspace, found.run_id)
    if differs := list(run_digests.differences(now, item["annotations"])):
        more = f" and {len(differs) - 3} more" if len(differs) > 3 else ""
        raise LineageError(f"MLflow run {found.run_id}: {'; '.join(differs[:3])}{more}")
    count = {key: len(now[key]) for key in now}
    return (
        f"{said}: {count['parameters']} parameters, {count['metrics']} metrics and "
        f"{count['artifacts']} files as recorded"
    )
