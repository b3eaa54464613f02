"""What a stored version was made from, as its provenance tells: data, run, and the gate's word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lineage import provenance
from segtrail.errors import LineageError
from segtrail.files import sha256_bytes
from segtrail.settings.base import ALL
from segtrail.workspace import Workspace

_DATA, _RUN = "data/", "mlflow:runs/"


@dataclass(frozen=True)
class Origin:
    """Where a version comes from; all but `stored` and `problem` are None while unknown.

    Attributes:
        stored: Whether its folder is in the model store.
        problem: Why nothing else is known.
        dataset: What it was trained on.
        data_dvc_md5: The data version, as `segtrail data log --dataset` shows it.
        data_sha256: The same: our root digest over the files.
        mlflow_run: The training run's id.
        rule: The gate's main rule, with its numbers: the first that decides, on all images if
            there is one.
        change: The first rule on the change against the champion of the time.
    """

    stored: bool
    problem: str | None = None
    dataset: str | None = None
    data_dvc_md5: str | None = None
    data_sha256: str | None = None
    mlflow_run: str | None = None
    rule: Mapping[str, Any] | None = None
    change: Mapping[str, Any] | None = None

    @property
    def numbers(self) -> str:
        """What the gate's rules measured, in words; empty while unknown."""
        words = []
        if self.rule is not None:
            words.append(f"{self.rule['rule']}: {_measured(self.rule, '.3f')}")
        if self.change is not None:
            metric = self.change["metric"]
            words.append(f"{metric} {_measured(self.change, '+.4f')} against the champion")
        return "; ".join(words)


def of_version(
    workspace: Workspace, recipe: str, version: int, provenance_sha256: str | None
) -> Origin:
    """Returns what the store tells of a version.

    Args:
        workspace: Whose store.
        recipe: The recipe.
        version: Which version.
        provenance_sha256: What the ledger says of its provenance; another one is not believed.
    """
    folder = workspace.models / recipe / str(version)
    if not folder.is_dir():
        return Origin(stored=False, problem="the store lacks it")
    path = folder / provenance.IN_MODEL
    if not path.is_file():
        return Origin(stored=True, problem="its provenance is not there")
    content = path.read_bytes()
    if sha256_bytes(content) != provenance_sha256:
        return Origin(stored=True, problem="its provenance is not the one the ledger names")
    try:
        return _of_statement(provenance.parse(content))
    except (LineageError, LookupError, TypeError) as e:
        return Origin(stored=True, problem=f"its provenance cannot be understood: {e}")


def _of_statement(statement: Mapping[str, Any]) -> Origin:
    made = provenance.byproducts(statement)
    found = provenance.dependencies(statement).items()
    data: Mapping[str, Any] = next((item for name, item in found if name.startswith(_DATA)), {})
    judged = made.get("verdict/verdict.json", {}).get("annotations", {}).get("verdict", {})
    rules = [rule for rule in judged.get("rules", []) if rule["decides"]]
    uri = made.get("mlflow-run", {}).get("uri", "")
    return Origin(
        stored=True,
        dataset=data.get("name", "").removeprefix(_DATA) or None,
        data_dvc_md5=data.get("annotations", {}).get("dvc_md5"),
        data_sha256=data.get("digest", {}).get("sha256"),
        mlflow_run=uri.removeprefix(_RUN) or None,
        rule=_first([rule for rule in rules if rule["kind"] != "relative"]),
        change=_first([rule for rule in rules if rule["kind"] == "relative"]),
    )


def _first(rules: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    on_all = [rule for rule in rules if rule["slice"] == ALL]
    return next(iter(on_all or rules), None)


def _measured(rule: Mapping[str, Any], form: str) -> str:
    if rule["value"] is None:
        return str(rule["verdict"])
    low, high = rule["interval"] or (None, None)
    ends = "" if low is None else f" ({rule['confidence']:.0%} {low:{form}} to {high:{form}})"
    return f"{rule['value']:{form}}{ends}"
