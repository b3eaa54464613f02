"""What somebody could do who may write to all of a workspace, and knows how segtrail works."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import miniature
import yaml
from miniature import RECIPE

from components import registry
from lineage import data_version, dvc_files, ledger, provenance
from lineage.ledger_head import Head
from segtrail import git
from segtrail.files import json_bytes, sha256_bytes
from segtrail.workspace import Workspace

METRICS = f"artifacts/{RECIPE}/evaluation/metrics.json"


def overwrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Changes a file, also one that is read-only."""
    old = path.read_bytes()
    new = change(old)
    assert new != old
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(new)
    path.chmod(mode)


def data_md5(workspace: Workspace, commit: str) -> str:
    """Returns the md5 of the whole of `data/`, as `data.dvc` at a commit has it."""
    return str(data_version.data_md5_at(workspace.root, commit))


def cached(workspace: Workspace, commit: str, path: str) -> Path:
    """Returns the cache object of a file of the data, or of an output of the pipeline."""
    cache = dvc_files.cache_folder(workspace.root)
    if path.startswith("data/"):
        files = data_version.tree(workspace.root, commit, miniature.DATASET)
        return dvc_files.object_path(cache, files[path.removeprefix("data/tiny/")])
    lock = dvc_files.lock_at(workspace.root, commit, RECIPE)
    folder, md5 = lock.find_output(path) or ("", "")
    return dvc_files.object_path(cache, dvc_files.read_listing(cache, md5)[path[len(folder) + 1 :]])


def chained(lines: Sequence[dict[str, Any]]) -> list[bytes]:
    """Returns ledger lines, each of which names the one before."""
    out: list[bytes] = []
    for line in lines:
        previous = sha256_bytes(out[-1]) if out else ledger.FIRST
        out.append(json.dumps(line | {"previous": previous}, sort_keys=True).encode())
    return out


def with_proof(lines: Sequence[bytes], version: int, proof: Path) -> list[bytes]:
    """Returns ledger lines that name another provenance of a version, and are chained anew."""
    found = [json.loads(line) for line in lines]
    for line in found:
        if line["version"] == version:
            line["details"]["provenance_sha256"] = sha256_bytes(proof.read_bytes())
    return chained(found)


def better_evaluation(workspace: Workspace, version: int) -> None:
    """Makes a version's mean IoU 0.99 in all that an audit reads, and takes signatures away.

    The evaluation in DVC's cache, `dvc.lock`, git's history from the promoted commit on, verdict,
    provenance, ledger, tag, and MLflow's head of the ledger.
    """
    root = workspace.root
    commit = str(ledger.champion(ledger.read(workspace.ledger(RECIPE))).details["git_commit"])
    metrics = json.loads(cached(workspace, commit, METRICS).read_bytes())
    metrics["slices"]["all"]["mean_iou"] = 0.99
    content = json_bytes(metrics)
    later = git.run(root, "rev-list", "--reverse", f"{commit}..HEAD").split()
    git.run(root, "checkout", "--quiet", "--force", "-B", "main", commit)
    forged = _commit_lock(workspace, _cache(workspace, commit, content))
    for each in later:
        git.run(root, "cherry-pick", "--allow-empty", "--strategy-option", "theirs", each)
    statement = _statement(workspace, version, content, forged)
    _ledger(workspace, version, commit, forged, sha256_bytes(statement))


def _cache(workspace: Workspace, commit: str, content: bytes) -> str:
    """Puts the file and the listing of its folder into DVC's cache; returns the folder's md5."""
    cache = dvc_files.cache_folder(workspace.root)
    folder, old = dvc_files.lock_at(workspace.root, commit, RECIPE).find_output(METRICS) or ("", "")
    listing = dvc_files.read_listing(cache, old)
    listing[METRICS.removeprefix(f"{folder}/")] = md5 = _put(cache, content, "")
    rows = [{"md5": listing[name], "relpath": name} for name in sorted(listing)]
    assert md5
    return _put(cache, json.dumps(rows, sort_keys=True).encode(), dvc_files.DIR)


def _put(cache: Path, content: bytes, end: str) -> str:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() + end
    path = dvc_files.object_path(cache, md5)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return md5


def _commit_lock(workspace: Workspace, evaluation: str) -> str:
    path = workspace.root / "dvc.lock"
    lock = yaml.safe_load(path.read_text())
    for out in lock["stages"][f"evaluate@{RECIPE}"]["outs"]:
        out["md5"] = evaluation
    path.write_text(yaml.safe_dump(lock, sort_keys=False))
    git.run(workspace.root, "commit", "--quiet", "--amend", "--no-edit", "--", "dvc.lock")
    return git.head(workspace.root)


def _statement(workspace: Workspace, version: int, metrics: bytes, forged: str) -> bytes:
    folder = workspace.models / RECIPE / str(version)
    path = folder / provenance.IN_MODEL
    statement = json.loads(path.read_bytes())
    inputs = provenance.dependencies(statement)
    inputs["git"]["digest"]["gitCommit"] = forged
    lock = git.run_bytes(workspace.root, "show", f"{forged}:dvc.lock")
    inputs["dvc.lock"]["digest"]["sha256"] = sha256_bytes(lock)
    outputs = provenance.byproducts(statement)
    outputs["evaluation/metrics.json"]["digest"]["sha256"] = sha256_bytes(metrics)
    verdict = outputs["verdict/verdict.json"]["annotations"]["verdict"]
    verdict["evaluation"]["metrics.json"] = sha256_bytes(metrics)
    verdict["verdict"], verdict["forced"] = "pass", None
    verdict["rules"][0] |= {"value": 0.99, "verdict": "pass", "says": "0.99 >= 0.5"}
    outputs["verdict/verdict.json"]["digest"]["sha256"] = sha256_bytes(json_bytes(verdict))
    path.write_bytes(content := provenance.encode(statement))
    (folder / provenance.SIGNED_IN_MODEL).unlink()
    return content


def _ledger(workspace: Workspace, version: int, commit: str, forged: str, proof: str) -> None:
    path = workspace.ledger(RECIPE)
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    for line in lines:
        line.pop("signature", None)
        if line["version"] == version:
            line["details"] |= {"git_commit": forged, "provenance_sha256": proof}
            line["details"].pop("signed", None)
            line["details"].pop("forced", None)
    lines = [line for line in lines if line["event"] not in (ledger.REJECTED, ledger.FORCED)]
    for number, line in enumerate(lines, 1):
        line["seq"] = number
    content = b"".join(line + b"\n" for line in chained(lines))
    path.write_bytes(content)
    git.commit(workspace.root, [f"ledger/{RECIPE}.jsonl"], "Promote")
    head = Head.of(content)
    for tag in git.tags(workspace.root, f"{RECIPE}/v*"):
        message = f"{tag}\n\nledger-head: {head}"
        git.run(workspace.root, "tag", "--force", "--annotate", tag, "HEAD", "-m", message)
    registry.keep_ledger_head(workspace, RECIPE, str(head))
