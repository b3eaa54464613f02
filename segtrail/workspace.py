"""Where things lie: the workspace is a git checkout with `params.yaml` and `dvc.yaml`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from segtrail.errors import WorkspaceError

HOME_VARIABLE = "SEGTRAIL_HOME"
WORKERS = "workers"  # below the scratch folder: the clones of workers, named as their recipes
DATA_CLONE = "_data"  # among them, where scheduled ingestions land; no recipe can be called so


@dataclass(frozen=True)
class Workspace:
    """Paths of one workspace.

    Args:
        root: The git checkout: code, `params.yaml`, `dvc.yaml`, data, artifacts, ledger.
        home: Where the live state lies: MLflow, the model store and its config. The same
            as `root`, except in a worker's own clone, where `$SEGTRAIL_HOME` names it.
    """

    root: Path
    home: Path

    @classmethod
    def at(cls, root: Path) -> Workspace:
        """Returns the workspace at `root`, without looking whether there is one."""
        root = root.resolve()
        return cls(root, Path(os.environ.get(HOME_VARIABLE) or root).resolve())

    @classmethod
    def find(cls, start: Path | None = None) -> Workspace:
        """Returns the workspace that holds `start` (default: the working directory).

        Raises:
            WorkspaceError: No folder from `start` upwards has `params.yaml` and `dvc.yaml`.
        """
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
                return cls.at(folder)
        raise WorkspaceError(
            f"{start}: no segtrail workspace here (expected params.yaml and dvc.yaml "
            "in this folder or one above it)",
            "run this in a clone of the segtrail repository",
        )

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def data(self) -> Path:
        return self.root / "data"

    def dataset(self, name: str) -> Path:
        return self.data / name

    def artifacts(self, recipe: str) -> Path:
        return self.root / "artifacts" / recipe

    @property
    def scratch(self) -> Path:
        """Staging areas, checkpoints and logs: on the same disk, never in git or DVC."""
        return self.root / ".segtrail"

    @property
    def workers(self) -> Path:
        return self.scratch / WORKERS

    def ledger(self, recipe: str) -> Path:
        return self.root / "ledger" / f"{recipe}.jsonl"

    @property
    def promotion_lock(self) -> Path:
        """Held by whatever changes what serves; shared with the clones of workers."""
        return self.home / ".segtrail" / "promotion.lock"

    @property
    def platform(self) -> Path:
        """State and logs of the servers of `segtrail up`; shared with the clones of workers."""
        return self.home / ".segtrail" / "up"

    def ledgers(self) -> list[str]:
        """Returns the recipes that have a ledger, by name."""
        return sorted(path.stem for path in self.ledger("any").parent.glob("*.jsonl"))

    @property
    def models(self) -> Path:
        """The model store: `<recipe>/<version>/`, each a SavedModel that was verified."""
        return self.home / "serving" / "models"

    @property
    def models_config(self) -> Path:
        """What serves: TF Serving's `ModelServerConfig` as text proto."""
        return self.home / "serving" / "models.config"

    @property
    def mlflow_uri(self) -> str:
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.home / "mlruns"
