"""The model that is asked: a version that was promoted, as the ledger and its proof tell of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from lineage import provenance
from lineage.evidence import Evidence
from lineage.ledger_head import Head
from lineage.link import NotChecked
from segtrail.errors import ConfigError, LineageError, StageError
from segtrail.settings.objects import Objects
from segtrail.workspace import Workspace
from serving import config, store


@dataclass(frozen=True)
class Promoted:
    """One version of one recipe, whose files are those that were promoted.

    Attributes:
        recipe: The recipe.
        version: The version.
        folder: Its SavedModel, in the store.
        digest: Hex SHA-256 that names the model.
        objects: The definition of an object that it was trained with.
        proof: What proves it, as plain JSON values: the line of the ledger that tells of its
            promotion, the ledger's head, the commit, the provenance and the MLflow run.
    """

    recipe: str
    version: int
    folder: Path
    digest: str
    objects: Objects
    proof: dict[str, Any]

    @classmethod
    def of(cls, workspace: Workspace, recipe: str, version: int | None) -> Self:
        """Returns a version that was promoted; by default the champion.

        Raises:
            StageError: Nothing of the recipe serves.
            ConfigError: The store has no such version.
            LineageError: No ledger tells of it, its files are not those that were promoted, or
                its provenance is not the one that the ledger names.
        """
        known = store.versions(workspace.models, recipe)
        if version is None:
            version = config.champion(workspace.models_config, recipe)
            if version is None:
                raise StageError(
                    f"nothing of {recipe} serves",
                    f"segtrail retrain --recipe {recipe}"
                    + ("   (or name a version: --version N)" if known else ""),
                )
        if version not in known:
            raise ConfigError(
                f"--version {version}: the store has {_listed(known)} of {recipe}",
                f"segtrail history {recipe}",
            )
        evidence = Evidence(workspace, recipe, version)
        try:
            evidence.stored_files  # noqa: B018  (raises unless they are what was promoted)
            record, params = evidence.record, evidence.params
            run = provenance.byproducts(evidence.statement).get(provenance.RUN)
            objects = Objects.model_validate(params["objects"])
        except (LineageError, NotChecked, ValidationError) as e:
            says = e.message if isinstance(e, LineageError) else str(e)
            hint = f"segtrail audit {recipe} --version {version}"
            raise LineageError(f"{recipe} v{version}: {says}", hint) from None
        path = workspace.ledger(recipe)
        head = Head.of(path.read_bytes()) if path.exists() else None
        return cls(
            recipe,
            version,
            evidence.folder,
            record.model_digest,
            objects,
            {
                "ledger_entry": record.seq,
                "ledger_head": str(head) if head else None,
                "git_commit": record.details.get("git_commit"),
                "provenance_sha256": record.details.get("provenance_sha256"),
                "mlflow_run": run["uri"].removeprefix("mlflow:runs/") if run else None,
            },
        )


def _listed(versions: list[int]) -> str:
    return ", ".join(f"v{version}" for version in versions) or "no version"
