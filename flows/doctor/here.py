"""What several checks need of a workspace, read once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cached_property

from flows.doctor import dvc_answers
from segtrail.errors import ConfigError
from segtrail.params import load_params
from segtrail.recipe import Recipe
from segtrail.workspace import Workspace


class Here:
    """A workspace under examination; threads may share it.

    Args:
        workspace: Which.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._asking = threading.Lock()
        self._dvc: dvc_answers.Answers | None = None

    @property
    def dvc(self) -> dvc_answers.Answers:
        """What DVC's configuration says.

        Raises:
            RuntimeError: See `dvc_answers.ask`.
        """
        with self._asking:
            if self._dvc is None:
                self._dvc = dvc_answers.ask(self.workspace.root)
            return self._dvc

    @cached_property
    def recipes(self) -> Mapping[str, Recipe]:
        """The recipes; none where `params.yaml` is wrong, which one check tells."""
        try:
            return load_params(self.workspace.params).recipes
        except ConfigError:
            return {}
