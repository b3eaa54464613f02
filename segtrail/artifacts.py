"""What the stages hand to each other: one type an artifact, with the paths of its files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from segtrail.errors import MissingArtifactError
from segtrail.files import read_json, root_digest, sha256_file, tree_digests
from segtrail.workspace import Workspace

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
STRATUM = "."  # between a slice and a part of it, such as images of one size


def slice_of(stratum: str) -> str:
    """Returns the slice of `<slice>` or `<slice>.<stratum>`."""
    return stratum.partition(STRATUM)[0]


@dataclass(frozen=True)
class Artifact:
    """A folder under `artifacts/<recipe>/` that one stage writes whole."""

    root: Path
    recipe: str
    folder: ClassVar[str]
    stage: ClassVar[str]
    proof: ClassVar[str]  # the file without which the artifact is not there

    @classmethod
    def of(cls, workspace: Workspace, recipe: str) -> Self:
        return cls(workspace.artifacts(recipe) / cls.folder, recipe)

    @property
    def exists(self) -> bool:
        return (self.root / self.proof).exists()

    def require(self) -> Self:
        """Returns itself.

        Raises:
            MissingArtifactError: The stage that makes it has not run.
        """
        if not self.exists:
            raise MissingArtifactError(
                f"{self.root / self.proof}: not there; the stage `{self.stage}` makes it",
                f"segtrail retrain --recipe {self.recipe}   (or: "
                f"segtrail {self.stage} --recipe {self.recipe})",
            )
        return self


class Examples(Artifact):
    """Canonical TFRecords and their manifest. Feature names: see `components.examples`."""

    folder, stage, proof = "examples", "examples", "manifest.parquet"

    @property
    def manifest(self) -> Path:
        return self.root / self.proof

    def records(self, split: str) -> Path:
        return self.root / f"{split}.tfrecord"

    @property
    def data_version(self) -> Path:
        """The data version that the examples were made from."""
        return self.root / "data_version.json"


class ValidationResult(Artifact):
    """What Great Expectations found in the manifest, and its Data Docs."""

    folder, stage, proof = "validation", "validate", "result.json"

    @property
    def result(self) -> Path:
        return self.root / self.proof

    @property
    def docs(self) -> Path:
        return self.root / "data_docs" / "index.html"


class TransformGraph(Artifact):
    """The TF Transform output and the training tiles cut by the same pipeline."""

    folder, stage, proof = "transform", "transform", "statistics.json"

    @property
    def graph(self) -> Path:
        return self.root / "graph"

    @property
    def statistics(self) -> Path:
        return self.root / self.proof

    @property
    def digest(self) -> str:
        """The root digest of every byte of graph and tiles."""
        return root_digest(tree_digests(self.root))

    def tiles(self, split: str) -> dict[str, list[Path]]:
        """Returns the TFRecords of a split's tiles, by slice or `<slice>.<stratum>`."""
        folder = self.root / "tiles" / split
        return {s.name: sorted(s.glob("tiles-*")) for s in sorted(folder.iterdir())}


class Model(Artifact):
    """The candidate: a SavedModel, byte for byte what would be served."""

    folder, stage, proof = "model", "train", "saved_model.pb"


class TrainingRun(Artifact):
    """What training left besides the SavedModel: the MLflow run id, curves, environment."""

    folder, stage, proof = "training", "train", "run.json"

    @property
    def run(self) -> Path:
        return self.root / self.proof


class Evaluation(Artifact):
    """Metrics of the SavedModel on the test split, and its own predictions."""

    folder, stage, proof = "evaluation", "evaluate", "metrics.json"

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of what a verdict rests on, by file name."""
        return {path.name: sha256_file(path) for path in (self.metrics, self.per_image)}

    @property
    def metrics(self) -> Path:
        return self.root / self.proof

    @property
    def per_image(self) -> Path:
        return self.root / "per_image.parquet"

    @property
    def objects(self) -> Path:
        """A row a predicted object: see `model.evaluated_objects`."""
        return self.root / "objects.parquet"

    @property
    def levels(self) -> Path:
        """By slice, pixels of each served probability: see `model.scores.levels`."""
        return self.root / "levels.json"

    @property
    def overlays(self) -> Path:
        return self.root / "overlays"

    @property
    def predictions(self) -> Path:
        """`<image>.png`, the mask as answered."""
        return self.root / "predictions"

    @property
    def golden(self) -> Path:
        """A few images with their answers.

        `<image>.png` as asked; `<image>.mask.png`, `<image>.probability.<k>.png` of class k from
        1, and `golden.json` as answered.
        """
        return self.root / "golden"


class Verdict(Artifact):
    """The gate's verdict on the candidate whose digest it names."""

    folder, stage, proof = "gate", "gate", "verdict.json"

    @property
    def path(self) -> Path:
        return self.root / self.proof

    @property
    def champion(self) -> Path:
        """The champion's scores of the test images, where it was compared."""
        return self.root / "champion.parquet"

    @property
    def report(self) -> Path:
        return self.root / "report.html"


class InfraValidation(Artifact):
    """What a real server answered with the candidate loaded."""

    folder, stage, proof = "infra", "infra-validate", "result.json"

    @property
    def result(self) -> Path:
        return self.root / self.proof


def iter_results(workspace: Workspace, recipe: str) -> Iterator[tuple[str, Any]]:
    """Yields `(stage, JSON)` of each small result that is there, for `segtrail status`.

    None stands for one that is damaged: not JSON.
    """
    for kind in (ValidationResult, TrainingRun, Evaluation, Verdict, InfraValidation):
        artifact = kind.of(workspace, recipe)
        if artifact.exists:
            try:
                yield kind.stage, read_json(artifact.root / kind.proof)
            except ValueError:
                yield kind.stage, None
