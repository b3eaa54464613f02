"""A workspace that was copied or moved, as docs/serving.md tells how to."""

from pathlib import Path

import miniature
from miniature import RECIPE

from components.promote import recover
from lineage.audit import audit
from lineage.link import BROKEN
from segtrail.workspace import Workspace
from serving import config


def broken(workspace: Workspace) -> set[str]:
    return {link.name for link in audit(workspace, RECIPE) if link.state == BROKEN}


def test_a_recovery_lets_it_serve_from_its_own_store(
    promoted_template: Workspace, tmp_path: Path
) -> None:
    first = miniature.copy(promoted_template, tmp_path / "first")
    moved = miniature.copy(promoted_template, tmp_path / "moved")
    config.set_champion(moved.models_config, RECIPE, first.models / RECIPE, 1)  # as it was copied
    assert broken(moved) == {"serving configuration"}
    (line,) = recover(moved, RECIPE)
    assert "serving configuration" in line
    assert config.read(moved.models_config)[RECIPE].base_path == moved.models / RECIPE
    assert broken(moved) == set()
    assert recover(moved, RECIPE) == []
    assert config.read(first.models_config)[RECIPE].base_path == first.models / RECIPE
