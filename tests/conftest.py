"""Fixtures of a miniature workspace: see `tests/miniature.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import miniature

from segtrail.workspace import Workspace

_LONG = ("e2e", "flows")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first: begun last, they would keep one core busy and others idle."""
    items.sort(key=lambda item: item.path.parent.name not in _LONG)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a candidate; not to be changed."""
    return miniature.template(tmp_path_factory)


@pytest.fixture(scope="session")
def promoted_template(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose v1 serves, with another candidate; not to be changed."""
    return miniature.promoted_template(tmp_path_factory)


@pytest.fixture
def workspace(template: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace of its own with a candidate, and a stand-in for TF Serving on PATH."""
    miniature.put_server_on_path(tmp_path / "bin", monkeypatch)
    return miniature.copy(template, tmp_path / "workspace")


@pytest.fixture
def promoted(
    promoted_template: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    """Like `workspace`, where v1 serves already and the candidate is another model."""
    miniature.put_server_on_path(tmp_path / "bin", monkeypatch)
    return miniature.copy(promoted_template, tmp_path / "workspace")
