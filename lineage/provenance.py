"""The provenance of a SavedModel: an in-toto Statement v1 with the SLSA provenance v1 predicate.

What it says is worth something because the promotion ledger, which git holds, names its SHA-256;
because a key that git trusts has signed it, where there is one (`lineage.signature`); and because
`segtrail audit` computes every digest in it anew.

The same facts give the same bytes: the only times in it are those of the training run.
Specifications: https://in-toto.io/Statement/v1 and https://slsa.dev/provenance/v1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import segtrail
from lineage import run_digests
from lineage.data_version import DataVersion
from segtrail.errors import LineageError
from segtrail.files import json_bytes, root_digest, write_bytes
from segtrail.saved_model import PROOF_FOLDER

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:segtrail:retrain:v1"
BUILDER = "urn:segtrail:pipeline"
FILE = "provenance.json"
ENVELOPE = "provenance.dsse.json"
IN_MODEL = f"{PROOF_FOLDER}/{FILE}"
SIGNED_IN_MODEL = f"{PROOF_FOLDER}/{ENVELOPE}"
RUN = "mlflow-run"
ROOT = "."  # the subject that is the whole folder: the digest that names the model

Digests = Mapping[str, str]


@dataclass(frozen=True)
class Facts:
    """What a statement is made of, all of it gathered already.

    Attributes:
        recipe: The recipe's name.
        params: The recipe with every default resolved.
        model_files: `{path: hex SHA-256}`: see `segtrail.saved_model.file_digests`.
        commit: The git commit that was checked out.
        repository: The repository's URL without credentials, or None.
        uncommitted: Changed and untracked paths that the commit does not hold.
        lock_sha256: Of `dvc.lock` at that commit; None when it is not there.
        data: The data version at that commit.
        deliveries: The rows of `deliveries.csv` of that data version.
        splits_sha256: Of its `splits.csv`.
        requirements_sha256: Of `requirements.lock`; None when there is none.
        run: What training wrote: see `segtrail.artifacts.TrainingRun`.
        started, finished: Times of the MLflow run, ISO 8601 UTC, or None.
        results: `{artifact: {path in the workspace: hex SHA-256}}` of the small files that
            validation, evaluation, verdict and infra validation left.
        validation, verdict, infra: Their JSON.
        recorded: What the MLflow run recorded: see `lineage.run_digests`.
        approvals: Who approved the candidate: see `lineage.approvals`.
    """

    recipe: str
    params: Mapping[str, Any]
    model_files: Digests
    commit: str
    repository: str | None
    uncommitted: Sequence[str]
    lock_sha256: str | None
    data: DataVersion
    deliveries: Sequence[Mapping[str, str]]
    splits_sha256: str
    requirements_sha256: str | None
    run: Mapping[str, Any]
    started: str | None
    finished: str | None
    results: Mapping[str, Digests]
    validation: Mapping[str, Any] = field(default_factory=dict)
    verdict: Mapping[str, Any] = field(default_factory=dict)
    infra: Mapping[str, Any] = field(default_factory=dict)
    recorded: run_digests.Digests = field(default_factory=dict)
    approvals: Sequence[Mapping[str, Any]] = ()


def build(facts: Facts) -> dict[str, Any]:
    """Returns the statement.

    Raises:
        LineageError: The facts do not make a valid one.
    """
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [
            _resource(ROOT, sha256=root_digest(dict(facts.model_files))),
            *(
                _resource(name, sha256=facts.model_files[name])
                for name in sorted(facts.model_files)
            ),
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"recipe": facts.recipe, "params": dict(facts.params)},
                "internalParameters": {
                    key: facts.run[key]
                    for key in ("seed", "steps", "environment", "resumed")
                    if key in facts.run
                },
                "resolvedDependencies": _dependencies(facts),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"segtrail": segtrail.__version__}},
                "metadata": _given(
                    invocationId=facts.run.get("mlflow_run_id"),
                    startedOn=facts.started,
                    finishedOn=facts.finished,
                ),
                "byproducts": _byproducts(facts),
            },
        },
    }
    validate(statement)
    return statement


def validate(statement: Mapping[str, Any]) -> None:
    """Checks a statement against the in-toto and SLSA protocol buffers.

    Raises:
        LineageError: Not a valid statement of the kind that `build` makes.
    """
    from google.protobuf.json_format import ParseDict, ParseError
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement

    try:
        message = ParseDict(dict(statement), statement_pb2.Statement())
        Statement.copy_from_pb(message).validate()
        ParseDict(statement["predicate"], provenance_pb2.Provenance())
    except (ParseError, ValueError, KeyError, TypeError) as e:
        raise LineageError(f"provenance: not a valid in-toto statement: {e}") from None
    if statement["predicateType"] != PREDICATE_TYPE:
        raise LineageError(
            f"provenance: predicateType is {statement['predicateType']!r}, "
            f"expected {PREDICATE_TYPE!r}"
        )


def encode(statement: Mapping[str, Any]) -> bytes:
    """Returns the bytes of a statement: sorted keys, so that equal ones are equal bytes."""
    return json_bytes(statement)


def write(path: Path, statement: Mapping[str, Any]) -> None:
    """Writes a statement atomically."""
    write_bytes(path, encode(statement))


def load(path: Path) -> dict[str, Any]:
    """Reads and validates a statement.

    Raises:
        LineageError: Not there, not JSON, or not a valid statement.
    """
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        raise LineageError(f"{path}: not there") from None


def parse(content: bytes) -> dict[str, Any]:
    """Like `load`, from the statement's bytes."""
    try:
        statement = json.loads(content)
    except ValueError as e:
        raise LineageError(f"provenance: not JSON: {e}") from None
    if not isinstance(statement, dict):
        raise LineageError("provenance: expected a JSON object")
    validate(statement)
    return statement


def subjects(statement: Mapping[str, Any]) -> dict[str, str]:
    """Returns `{name: hex SHA-256}` of the subjects; `ROOT` names the whole folder."""
    return {item["name"]: item["digest"]["sha256"] for item in statement["subject"]}


def dependencies(statement: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns `{name: resource descriptor}` of what the model was made from."""
    found = statement["predicate"]["buildDefinition"].get("resolvedDependencies", [])
    return {item["name"]: item for item in found}


def byproducts(statement: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns `{name: resource descriptor}` of what was made along with the model."""
    return {
        item["name"]: item for item in statement["predicate"]["runDetails"].get("byproducts", [])
    }


def verdict(statement: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the gate's JSON that a statement quotes."""
    found: Mapping[str, Any] = byproducts(statement)["verdict/verdict.json"]["annotations"][
        "verdict"
    ]
    return found


def _dependencies(facts: Facts) -> list[dict[str, Any]]:
    data = facts.data
    found = [
        _resource(
            "git",
            uri=f"git+{facts.repository}" if facts.repository else None,
            annotations={"uncommitted": sorted(facts.uncommitted)},
            gitCommit=facts.commit,
        ),
        _resource(
            f"data/{data.dataset}",
            annotations=_given(
                dvc_md5=data.dvc_md5, files=len(data.files), data_dvc_md5=data.data_md5
            ),
            sha256=data.sha256_root,
        ),
        _resource("splits.csv", sha256=facts.splits_sha256),
    ]
    if facts.lock_sha256:
        found.append(_resource("dvc.lock", sha256=facts.lock_sha256))
    if facts.requirements_sha256:
        found.append(_resource("requirements.lock", sha256=facts.requirements_sha256))
    if facts.run.get("code_digest"):
        found.append(_resource("code", sha256=facts.run["code_digest"]))
    for row in facts.deliveries:
        rest = {key: value for key, value in row.items() if key != "source_sha256"}
        name = f"delivery/{row['delivery']}"
        found.append(_resource(name, annotations=rest, sha256=row["source_sha256"]))
    return found


def _byproducts(facts: Facts) -> list[dict[str, Any]]:
    said: dict[str, dict[str, Any]] = {
        "validation": {"passed": facts.validation.get("passed")},
        "verdict": {"verdict": dict(facts.verdict)},
        "infra": {"result": dict(facts.infra)},
    }
    found = [
        _resource(
            f"{artifact}/{Path(path).name}",
            annotations=said.get(artifact, {}) | {"path": path},
            sha256=digest,
        )
        for artifact, digests in sorted(facts.results.items())
        for path, digest in sorted(digests.items())
    ]
    if facts.approvals:
        found.append(_resource("approvals", annotations={"approvals": list(facts.approvals)}))
    if "mlflow_run_id" in facts.run:
        annotations = {**_given(experiment=facts.run.get("mlflow_experiment")), **facts.recorded}
        uri = f"mlflow:runs/{facts.run['mlflow_run_id']}"
        whole = {"sha256": run_digests.root(facts.recorded)} if facts.recorded else {}
        found.append(_resource(RUN, uri=uri, annotations=annotations, **whole))
    return found


def _resource(
    name: str,
    *,
    uri: str | None = None,
    annotations: Mapping[str, Any] | None = None,
    **digest: str,
) -> dict[str, Any]:
    return _given(
        name=name, uri=uri, digest=digest or None, annotations=dict(annotations or {}) or None
    )


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
