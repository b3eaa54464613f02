"""A miniature workspace with a past: deliveries, a removal, promotions, a canary, a rollback."""

from __future__ import annotations

import data_versions
import miniature
import numpy as np
import pytest
from data_versions import Data
from miniature import DATASET, RECIPE

from components.promote import abort_canary, promote, rollback, show_canary
from segtrail import deliveries, split_ledger
from segtrail.files import sha256_bytes, write_bytes
from segtrail.images import encode_png
from segtrail.workspace import Workspace

_templates: list[Workspace] = []


def template(factory: pytest.TempPathFactory) -> Workspace:
    """Returns `past`, made once a session; not to be changed."""
    if not _templates:
        root = factory.mktemp("traced")
        workspace = miniature.copy(miniature.template(factory), root / "template")
        with pytest.MonkeyPatch.context() as monkeypatch:
            miniature.put_server_on_path(root / "bin", monkeypatch)
            past(workspace)
        _templates.append(workspace)
    return _templates[0]


def data_of(workspace: Workspace) -> Data:
    """Returns the dataset of a miniature workspace, to be changed by hand."""
    folder = workspace.dataset(DATASET)
    return Data(
        workspace,
        DATASET,
        split_ledger.read(folder / split_ledger.LEDGER),
        deliveries.read(folder / deliveries.DELIVERIES),
    )


def past(workspace: Workspace) -> None:
    """Gives a workspace whose candidate was made from delivery 1 (one: train, two: test) a past.

    v1 of delivery 1 serves. Bob brings three (validation) and four (test); v2 of that serves.
    Ada replaces three and takes four away; v3 of that is a canary and is aborted; another model
    is trained and nothing more; then v1 is rolled back to.
    """
    promote(workspace, RECIPE, by="Ada")
    data = data_of(workspace)
    for number, image in enumerate(("one", "two"), 1):  # an erasure goes through the masks, too
        mask = encode_png(np.full((12, 16), number, np.uint16))
        write_bytes(data.folder / "masks" / f"{image}.png", mask)
        data.edit(image, mask_sha256=sha256_bytes(mask))
    for number, image in enumerate(("three", "four"), 30):
        data.put(image, *data_versions.cells(number))
        data.edit(image, delivery="2", group="plate-7")
    data.deliver("Bob", added=2)
    miniature.retrain(workspace, threshold=110)
    promote(workspace, RECIPE, by="Ada")
    data.put("three", *data_versions.cells(33))
    data.edit("three", delivery="3", group="plate-7")
    data.remove("four")
    data.deliver("Ada", replaced=1, removed=1)
    miniature.retrain(workspace, threshold=120)
    show_canary(workspace, RECIPE, by="Ada")
    abort_canary(workspace, RECIPE, reason="it is slow", by="Ada")
    miniature.retrain(workspace, threshold=130)
    rollback(workspace, RECIPE, 1, reason="v2 misses cells", by="Grace")
