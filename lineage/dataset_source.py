"""How MLflow names the data of a run: a dataset of DVC's, by content."""

from __future__ import annotations

from typing import Any

from mlflow.data.dataset_source import DatasetSource

from segtrail.errors import LineageError


class DvcDatasetSource(DatasetSource):
    """A dataset under `data/`, as one data version.

    Args:
        dataset: Its name.
        dvc_md5: What DVC records for `data/<dataset>`.
        sha256_root: The root digest over its files.
    """

    def __init__(self, dataset: str, dvc_md5: str, sha256_root: str) -> None:
        self.dataset, self.dvc_md5, self.sha256_root = dataset, dvc_md5, sha256_root

    @staticmethod
    def _get_source_type() -> str:
        return "dvc"

    def load(self, **kwargs: Any) -> Any:
        """Is not done by MLflow.

        Raises:
            LineageError: Always; the message says how to get the bytes.
        """
        raise LineageError(
            f"dataset {self.dataset} ({self.dvc_md5}) is in DVC",
            "check out the run's git commit, then: dvc checkout data.dvc",
        )

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> DvcDatasetSource:
        raise LineageError(f"{raw_source!r} does not name a DVC dataset")

    def to_dict(self) -> dict[str, Any]:
        """Returns what `from_dict` reads."""
        return {
            "dataset": self.dataset,
            "dvc_md5": self.dvc_md5,
            "sha256_root": self.sha256_root,
        }

    @classmethod
    def from_dict(cls, source_dict: dict[str, Any]) -> DvcDatasetSource:
        """Reads what `to_dict` wrote."""
        return cls(**source_dict)
