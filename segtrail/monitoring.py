"""Where the monitoring of a recipe lies: what production saw, and what followed of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtrail.files import write_json, write_text
from segtrail.workspace import Workspace


@dataclass(frozen=True)
class Monitoring:
    """A folder of live state: shared by the workspace and the clones of its workers.

    Args:
        root: `.segtrail/monitor/<recipe>` of the workspace's home.
    """

    root: Path

    @classmethod
    def of(cls, workspace: Workspace, recipe: str) -> Monitoring:
        """Returns the monitoring of a recipe."""
        return cls(workspace.home / ".segtrail" / "monitor" / recipe)

    @property
    def images(self) -> Path:
        """Copies of images out of a bucket."""
        return self.root / "images"

    @property
    def drift(self) -> Path:
        """The last drift report's folder."""
        return self.root / "drift"

    @property
    def report(self) -> Path:
        """The last drift report's page."""
        return self.drift / "report.html"

    @property
    def latest(self) -> Path:
        """The last decision: `severity`, `says`, `decision`, `retrain`, `at`, `data`."""
        return self.root / "latest.json"

    @property
    def history(self) -> Path:
        """All decisions, one a line, the oldest first."""
        return self.root / "history.jsonl"

    def decisions(self) -> list[dict[str, Any]]:
        """Returns all decisions, the oldest first."""
        if not self.history.exists():
            return []
        return [json.loads(line) for line in self.history.read_text("utf-8").splitlines()]

    def add(self, decision: dict[str, Any]) -> None:
        """Appends a decision, and makes it the latest."""
        lines = [*self.decisions(), decision]
        self.root.mkdir(parents=True, exist_ok=True)
        write_text(self.history, "".join(f"{json.dumps(d, sort_keys=True)}\n" for d in lines))
        write_json(self.latest, decision)
