"""`data/<dataset>/dataset.json`: what the values of the masks mean, kept with the data.

Who has only a version of the data, such as an auditor, reads there what `params.yaml` said when
it was delivered; and settings that say something else later are refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segtrail.errors import ConfigError, DataError
from segtrail.settings.dataset import Dataset

MEANING = "dataset.json"


def encode(dataset: Dataset) -> bytes:
    """Returns the content of the file."""
    return (json.dumps(_meaning(dataset), indent=2) + "\n").encode()


def require_same(folder: Path, name: str, dataset: Dataset) -> None:
    """Refuses settings that give masks which are there another meaning.

    More classes after those that were there change no value, and are taken.

    Args:
        folder: `data/<name>`; without a `dataset.json` anything is taken.
        name: The dataset's.
        dataset: Its settings in `params.yaml`.

    Raises:
        ConfigError: Another kind of mask, or classes in other places.
        DataError: The file is not what this module writes.
    """
    path = folder / MEANING
    if not path.exists():
        return
    try:
        known = json.loads(path.read_bytes())
        masks, classes = str(known["masks"]), [str(each) for each in known["classes"]]
    except (ValueError, LookupError, TypeError) as e:
        raise DataError(f"{path}: cannot be understood: {e}", "dvc checkout data.dvc") from e
    now = dataset.classes[: len(classes)]
    if (masks, classes) != (dataset.masks, now):
        raise ConfigError(
            f"datasets.{name}: the masks that are there are {masks} of {', '.join(classes)}; "
            f"params.yaml now says {dataset.masks} of {', '.join(dataset.classes)}",
            "put it back, or name another dataset for other masks",
        )


def _meaning(dataset: Dataset) -> dict[str, Any]:
    return {"masks": dataset.masks, "classes": dataset.classes}
