"""What a training depends on, as one digest: by it a killed training is found again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from segtrail.artifacts import TransformGraph
from segtrail.recipe import Recipe
from segtrail.task import Task


def training_identity(
    recipe: Recipe, task: Task, transform: TransformGraph, code: str, environment: dict[str, Any]
) -> str:
    """Returns the SHA-256 of all that decides which weights come out.

    Args:
        recipe: Its network, training and preprocessing count; its gate does not.
        task: What is learnt.
        transform: Graph and tiles, every byte of them.
        code: The digest of the code.
        environment: Versions and processor, on which rounding depends.
    """
    sections = recipe.model_dump(
        mode="json", include={"preprocessing", "network", "training", "objects"}
    )
    parts = {
        **sections,
        "task": [task.masks, task.classes, task.numbers],
        "transform": transform.digest,
        "code": code,
        "environment": environment,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
