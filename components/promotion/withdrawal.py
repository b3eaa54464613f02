"""Takes a recipe out of what serves; a retirement does so, and the recovery of one."""

from __future__ import annotations

from components import registry
from segtrail.workspace import Workspace
from serving import config


def withdraw(workspace: Workspace, name: str) -> list[str]:
    """Takes a recipe out of configuration and registry; returns what was done."""
    path, lines = workspace.models_config, []
    if (serves := config.champion(path, name)) is not None:
        config.withdraw(path, name)
        lines.append(f"serving configuration names no {name} any more; it was v{serves}")
    if (named := registry.champion(workspace, name)) is not None:
        registry.set_champion(workspace, name, None)
        lines.append(f"MLflow alias champion names nothing any more; it was v{named}")
    return lines
