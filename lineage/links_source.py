"""Links about the sources: git commit, tag, recipe, `dvc.lock`, requirements."""

from __future__ import annotations

from typing import Any

import yaml

from lineage import dvc_files, ledger
from lineage.evidence import Evidence, rest_on, same
from segtrail import git, git_objects
from segtrail.errors import LineageError
from segtrail.files import sha256_bytes
from segtrail.saved_model import PROOF_FOLDER
from segtrail.settings.published import expand_preset


def tagged(e: Evidence) -> str:
    """The tag names a commit whose ledger says that this version was promoted from the commit."""
    target = git.tag_target(e.root, e.tag)
    if target is None and rest_on(lambda: e.record).event == ledger.CANARY:
        return f"v{e.version} was a canary, not promoted: there is no tag yet"
    if target is None and e.record.event != ledger.DONE:
        return f"v{e.version} was not promoted, though it may have answered: there is no tag"
    if target is None:
        raise LineageError(f"there is no tag {e.tag}")
    path = e.workspace.ledger(e.recipe).relative_to(e.root).as_posix()
    entries = ledger.parse(git_objects.show(e.root, target, path))
    done = [x for x in entries if x.event == ledger.DONE and x.version == e.version]
    if not done:
        raise LineageError(f"the ledger at tag {e.tag} ({target[:12]}) does not name v{e.version}")
    same("the model at the tag", done[-1].model_digest, e.record.model_digest, "the ledger")
    if git.run(e.root, "merge-base", rest_on(lambda: e.commit), target) != e.commit:
        raise LineageError(f"tag {e.tag} ({target[:12]}) does not come after {e.commit[:12]}")
    return f"tag {e.tag} is on {target[:12]}, whose ledger names this model"


def configured(e: Evidence) -> str:
    """`params.yaml` at the commit says what the provenance says."""
    raw = yaml.safe_load(git_objects.show(e.root, rest_on(lambda: e.commit), "params.yaml"))
    given = dict(raw["recipes"][e.recipe])
    try:
        given["network"] = expand_preset(given.get("network"))
    except ValueError as error:
        raise LineageError(f"params.yaml at the commit: {error}") from None
    differs = _differences(given, e.params, f"recipes.{e.recipe}")
    if differs:
        raise LineageError("params.yaml at the commit: " + "; ".join(differs))
    return f"params.yaml at {e.commit[:12]} gives the same recipe"


def locked(e: Evidence) -> str:
    """`dvc.lock` at the commit records this very model."""
    content = git_objects.show(e.root, rest_on(lambda: e.commit), "dvc.lock")
    expected = e.dependency("dvc.lock")["digest"]["sha256"]
    same("the SHA-256 of dvc.lock", sha256_bytes(content), expected)
    recorded = e.lock.output("train", f"artifacts/{e.recipe}/model")
    rest_on(lambda: e.stored_files)
    found = dvc_files.listing_md5(dvc_files.folder_md5s(e.folder, skip=PROOF_FOLDER))
    same("the stored model, as DVC hashes it,", found, recorded, "dvc.lock")
    return f"dvc.lock at {e.commit[:12]} records the stored model as {found}"


def required(e: Evidence) -> str:
    """`requirements.lock` at the commit is the one that the provenance names."""
    content = git_objects.show(e.root, rest_on(lambda: e.commit), "requirements.lock")
    expected = e.dependency("requirements.lock")["digest"]["sha256"]
    same("the SHA-256 of requirements.lock", sha256_bytes(content), expected)
    return f"requirements.lock has the SHA-256 {expected[:12]}"


def _differences(given: Any, resolved: Any, where: str) -> list[str]:
    """Returns where `resolved`, which has defaults besides, contradicts what was given."""
    if isinstance(given, dict) and isinstance(resolved, dict):
        missing = [f"{where}.{key} is not there" for key in given if key not in resolved]
        return missing + [
            line
            for key in given
            if key in resolved
            for line in _differences(given[key], resolved[key], f"{where}.{key}")
        ]
    if isinstance(given, list) and isinstance(resolved, list) and len(given) == len(resolved):
        return [
            line
            for i, pair in enumerate(zip(given, resolved, strict=True))
            for line in _differences(*pair, f"{where}.{i}")
        ]
    return [] if given == resolved else [f"{where} is {given!r}; the provenance says {resolved!r}"]
