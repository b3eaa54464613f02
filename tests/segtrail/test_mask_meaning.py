from __future__ import annotations

from pathlib import Path

import pytest

from segtrail import mask_meaning
from segtrail.errors import ConfigError, DataError
from segtrail.settings.dataset import Dataset


def of(masks: str, *classes: str) -> Dataset:
    return Dataset.model_validate(
        {"adapter": "folders", "masks": masks, "classes": [*classes], "slices": {}, "splits": {}}
    )


def test_the_same_and_more_classes_behind_are_taken(tmp_path: Path) -> None:
    mask_meaning.require_same(tmp_path, "cells", of("classes", "a"))  # nothing is there
    (tmp_path / mask_meaning.MEANING).write_bytes(mask_meaning.encode(of("classes", "a", "b")))
    mask_meaning.require_same(tmp_path, "cells", of("classes", "a", "b"))
    mask_meaning.require_same(tmp_path, "cells", of("classes", "a", "b", "c"))


@pytest.mark.parametrize(
    "now",
    [of("multilabel", "a", "b"), of("classes", "b", "a"), of("classes", "a")],
    ids=["kind", "order", "fewer"],
)
def test_another_meaning_is_refused(tmp_path: Path, now: Dataset) -> None:
    (tmp_path / mask_meaning.MEANING).write_bytes(mask_meaning.encode(of("classes", "a", "b")))
    with pytest.raises(ConfigError, match=r"datasets\.cells: the masks that are there are classes"):
        mask_meaning.require_same(tmp_path, "cells", now)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"masks": "classes"}', b"\xff"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / mask_meaning.MEANING).write_bytes(content)
    with pytest.raises(DataError, match=r"dataset\.json: cannot be understood"):
        mask_meaning.require_same(tmp_path, "cells", of("classes", "a"))
