"""What an MLflow run recorded, as digests: each parameter, metric, tag and file.

MLflow keeps no history of its own: a value that is written over is as if it had always been so.
The provenance names these digests, and an audit computes them anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lineage import mlflow_record, report_record
from segtrail.errors import LineageError
from segtrail.files import root_digest, sha256_bytes, tree_digests
from segtrail.workspace import Workspace

Digests = Mapping[str, Mapping[str, str]]
PARAMETERS, METRICS, TAGS, ARTIFACTS = "parameters", "metrics", "tags", "artifacts"
_WORDS = ("mlflow.runName", "mlflow.note.content")  # which MLflow's pages invite one to change
_ONE = {PARAMETERS: "parameter", METRICS: "metric", TAGS: "tag", ARTIFACTS: "artifact"}


def digests(workspace: Workspace, run_id: str) -> dict[str, dict[str, str]]:
    """Returns `{section: {name: hex SHA-256}}` of a run.

    Of a metric it is its whole history, with steps and times. Name and description of the run are
    left out, which people change in MLflow's pages; and so is the folder `report/`, which is
    written anew whenever somebody asks for a report.

    Raises:
        LineageError: MLflow has no such run, or its files cannot be read.
    """
    found = mlflow_record.recorded(workspace, run_id)
    return {
        PARAMETERS: {key: _sha256(value) for key, value in found.parameters.items()},
        METRICS: {key: _sha256("\n".join(rows)) for key, rows in found.metrics.items()},
        TAGS: {k: _sha256(v) for k, v in found.tags.items() if k not in _WORDS},
        ARTIFACTS: artifacts(
            workspace, found.artifact_uri, skip=f"{report_record.FOLDER}/", what=f"run {run_id}"
        ),
    }


def is_here(workspace: Workspace, run_id: str) -> bool:
    """Whether the files of a run lie on this machine."""
    uri = mlflow_record.recorded(workspace, run_id).artifact_uri
    return urlsplit(uri).scheme in ("", "file")


def root(found: Digests) -> str:
    """Returns one SHA-256 over all of them."""
    return root_digest(
        {
            f"{section}/{name}": digest
            for section in found
            for name, digest in found[section].items()
        }
    )


def differences(found: Digests, expected: Digests) -> Iterator[str]:
    """Yields what is not as it was recorded. A tag that came later says nothing against it."""
    for section, one in _ONE.items():
        now, then = found.get(section, {}), expected.get(section, {})
        for name in sorted(now.keys() | then.keys()):
            if name not in now:
                yield f"the {one} {name} is gone"
            elif name not in then and section != TAGS:
                yield f"the {one} {name} was added"
            elif name in then and now[name] != then[name]:
                yield f"the {one} {name} was changed"


def artifacts(workspace: Workspace, uri: str, skip: str | None, what: str) -> dict[str, str]:
    """Returns `{path: hex SHA-256}` of the files at an artifact URI of MLflow.

    Raises:
        LineageError: They are not there, or cannot be fetched.
    """
    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        folder = Path(unquote(parts.path))
        if not folder.is_dir():
            return {}  # nothing was ever logged
        return _digests(folder, skip)
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as scratch:
        try:
            path = download_artifacts(
                artifact_uri=uri, dst_path=scratch, tracking_uri=workspace.mlflow_uri
            )
        except (MlflowException, OSError) as e:
            raise LineageError(f"the files of {what} in MLflow: {e}") from None
        return _digests(Path(path), skip)


def _digests(folder: Path, skip: str | None) -> dict[str, str]:
    return tree_digests(folder, lambda name: bool(skip) and name.startswith(skip or ""))


def _sha256(text: str) -> str:
    return sha256_bytes(text.encode())
