"""A workspace made for one purpose: a clone of this repository with a demo recipe of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
RECIPE, DATASET = "demo", "synthetic"
_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Segtrail"), ("EMAIL", "segtrail@localhost"))
}


class MadeWorkspace:
    """A clone in which commands run the clone's own code.

    Args:
        root: A folder that is not there yet.
        variables: Of the environment of every command, besides the usual ones.

    Attributes:
        root: The clone.
        variables: As given; may be changed.
    """

    def __init__(self, root: Path, **variables: str) -> None:
        self.root, self.variables = root, variables

    @property
    def environment(self) -> dict[str, str]:
        """Of every command: nothing of the caller's own servers."""
        theirs = ("PREFECT_", "SEGTRAIL_", "MLFLOW_", "DVC_")
        keep = {k: v for k, v in os.environ.items() if not k.startswith(theirs)}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return keep | _IDENTITY | {"PYTHONPATH": str(self.root), "PATH": path} | self.variables

    def clone(self) -> None:
        """Makes the clone."""
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(self.root)], check=True)

    def do(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command in the workspace.

        Raises:
            RuntimeError: It failed, and `check` says that it must not.
        """
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def command(self, *arguments: str) -> list[str]:
        """Returns the command line of `segtrail ARGUMENTS`."""
        return [sys.executable, "-m", "cli", *arguments]

    def segtrail(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs `segtrail ARGUMENTS` in the workspace; see `do`."""
        return self.do(*self.command(*arguments), check=check)

    def git(self, *arguments: str) -> str:
        """Runs git in the workspace."""
        return self.do("git", *arguments).stdout.strip()

    def change_params(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Edits params.yaml and commits it, as a person would."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text("utf-8"))
        change(params)
        path.write_text(yaml.safe_dump(params, sort_keys=False), "utf-8")
        self.git("commit", "--quiet", "--message", "Change params.yaml", "--", "params.yaml")

    def delivery(self, images: int, seed: int) -> Path:
        """Makes up images that no other seed has, and returns their folder."""
        from components.synthetic import generate

        folder = self.root / ".segtrail" / f"delivery-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        generate(folder, images=images, seed=seed)
        for image in sorted(folder.iterdir()):
            name = f"{seed}-{image.name}"  # else it would be a new state of an image of before
            (image / "images" / f"{image.name}.png").rename(image / "images" / f"{name}.png")
            image.rename(image.with_name(name))
        return folder


def made_small(recipe: dict[str, Any]) -> None:
    """Changes a recipe of params.yaml so that a retraining takes a third of the time."""
    recipe["training"] |= {"steps": 60, "validate_every": 20}
    recipe["network"] = {"base_filters": 4, "depth": 2}
    recipe["gate"] = {"absolute": [{"metric": "mean_iou", "min": 0.3}]}
