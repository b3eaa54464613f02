"""The champion: which model serves."""

from __future__ import annotations

from typing import Any

from segtrail.errors import LineageError
from segtrail.saved_model import digest
from segtrail.workspace import Workspace
from serving.config import champion as champion_version


def champion_of(workspace: Workspace, name: str) -> dict[str, Any] | None:
    """Returns version and digest of the model that serves, or None.

    Raises:
        LineageError: The champion that the serving configuration names is not in the store.
    """
    version = champion_version(workspace.models_config, name)
    if version is None:
        return None
    folder = workspace.models / name / str(version)
    if not folder.is_dir():
        raise LineageError(
            f"{workspace.models_config} says that v{version} of {name} serves, but {folder} is "
            "not there",
            "segtrail promote --recover",
        )
    return {"version": version, "model_digest": digest(folder)}


def way_out(name: str, version: int) -> str:
    """Returns what can be done when the champion cannot be compared with."""
    return (
        f"`segtrail audit {name}` tells what became of v{version}, and `segtrail rollback {name} "
        "--by NAME --reason TEXT` goes back to one that works; a model of other classes needs a "
        "recipe of its own, or one promotion without gate.relative"
    )
