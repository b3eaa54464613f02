"""What a version learned from: code, data, deliveries, seeds, settings, by its provenance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from lineage import data_version, provenance
from lineage.evidence import Evidence
from segtrail import split_ledger
from segtrail.artifacts import SPLITS
from segtrail.split_ledger import LEDGER


@dataclass(frozen=True)
class Source:
    """What it learned from.

    Attributes:
        facts: `(what, value)`: commit, data version, digests, run, seed.
        deliveries: Each delivery's number, source, SHA-256 of that, who, licence, and how many
            images it added, replaced and removed.
        environment: `(what, value)`: machine and libraries of the training.
        params: The recipe, every default resolved, as YAML.
    """

    facts: Sequence[tuple[str, str]]
    deliveries: Sequence[Mapping[str, str]]
    environment: Sequence[tuple[str, str]]
    params: str


def read(e: Evidence) -> Source:
    """Returns what the provenance names.

    Raises:
        LineageError: The provenance is not whole.
    """
    predicate = e.statement["predicate"]
    build, run = predicate["buildDefinition"], predicate["runDetails"]["metadata"]
    inside = build.get("internalParameters", {})
    every = provenance.dependencies(e.statement)
    data = every[f"data/{e.dataset}"]
    facts = {
        "git commit": every["git"]["digest"]["gitCommit"],
        "repository": every["git"].get("uri"),
        "data set": e.dataset,
        "data version (DVC)": data["annotations"]["dvc_md5"],
        "data version (SHA-256)": data["digest"]["sha256"],
        "files of the data": data["annotations"]["files"],
        "SHA-256 of splits.csv": every["splits.csv"]["digest"]["sha256"],
        "SHA-256 of dvc.lock": _sha256(every, "dvc.lock"),
        "SHA-256 of requirements.lock": _sha256(every, "requirements.lock"),
        "SHA-256 of the code of training": _sha256(every, "code"),
        "MLflow run": run.get("invocationId"),
        "trained from, to": f"{run.get('startedOn')}, {run.get('finishedOn')}",
        "seed of the training": inside.get("seed"),
        "steps": inside.get("steps"),
    }
    return Source(
        [(what, str(value)) for what, value in facts.items() if value is not None],
        [_delivery(item) for name, item in every.items() if name.startswith("delivery/")],
        [(key, str(value)) for key, value in sorted(inside.get("environment", {}).items())],
        yaml.safe_dump(dict(e.params), sort_keys=True, allow_unicode=True),
    )


def splits(e: Evidence) -> list[tuple[str, int]]:
    """Returns how many images of the data version are in each split; those removed are left out.

    Raises:
        LineageError: `splits.csv` cannot be read.
    """
    content = data_version.read_file(e.root, e.tree, LEDGER)
    rows = split_ledger.present(split_ledger.parse(content, LEDGER).values())
    count = Counter(row.split for row in rows)
    return [(name, count[name]) for name in SPLITS]


def _sha256(every: Mapping[str, Any], name: str) -> str | None:
    return every[name]["digest"]["sha256"] if name in every else None


def _delivery(item: Mapping[str, Any]) -> dict[str, str]:
    said = {key: str(value) for key, value in item["annotations"].items()}
    names = ("delivery", "source", "by", "licence", "added", "replaced", "removed")
    return {"sha256": str(item["digest"]["sha256"])} | {name: said.get(name, "") for name in names}
