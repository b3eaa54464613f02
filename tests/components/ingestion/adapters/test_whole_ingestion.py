"""What adapters read lands as it was read: through the whole ingestion, into git and DVC."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segtrail import git, split_ledger
from segtrail.errors import ConfigError, DataError
from segtrail.images import decode_image, read_labels

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # of pycocotools
RNG = np.random.default_rng(7)


def images(count: int, dtype=np.uint8) -> list[np.ndarray]:
    return [RNG.integers(0, np.iinfo(dtype).max, (40, 48)).astype(dtype) for _ in range(count)]


def mask(*values: int) -> np.ndarray:
    out = np.zeros((40, 48), np.uint8)
    for n, value in enumerate(values):
        out[4 + 12 * n : 12 + 12 * n, 5:20] = value
    return out


def use(lab, adapter: str, masks: str, classes: list[str]) -> Path:
    """Makes the dataset one of this adapter; returns where it lands."""
    path = lab.root / "params.yaml"
    text = path.read_text()
    for old, new in (
        ("adapter: dsb2018", f"adapter: {adapter}"),
        ("masks: instances", f"masks: {masks}"),
        ("classes: [nucleus]", f"classes: {json.dumps(classes)}"),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    git.commit(lab.root, ["params.yaml"], "Another adapter")
    return lab.root / "data/nuclei"


def ledger(folder: Path) -> split_ledger.Ledger:
    return split_ledger.read(folder / split_ledger.LEDGER)


def test_folders_with_stacks_tables_and_a_bad_mask(lab, bench):
    data = use(lab, "folders", "classes", ["cell", "debris"])
    stack, single = images(3, np.uint16), images(1)[0]
    bench.pages("images/stack.tif", stack)
    bench.pages("masks/stack_mask.tif", [mask(1, 2), mask(), mask(2)])
    bench.image("images/ward 3/flat.bmp", single)
    bench.image("masks/ward 3/flat.png", mask(1))
    bench.image("images/bad.png", images(1)[0])
    bench.image("masks/bad.png", mask(3))
    bench.text("images.csv", "image,slice,group\nstack,em,\nward 3/flat,optic,p7\nbad,optic,p7\n")
    before = lab.snapshot()
    with pytest.raises(DataError, match=r"masks/bad.png: .*found 3 in 120 pixels"):
        lab.ingest(bench.zipped())
    assert lab.snapshot() == before

    delivery = lab.ingest(bench.zipped(), on_bad="quarantine", by="Ada", licence="CC-BY-4.0")
    assert delivery.quarantined == ("bad",)
    rows = ledger(data)
    assert set(rows) == {"stack-p000", "stack-p001", "stack-p002", "ward 3-flat"}
    assert rows["ward 3-flat"].group == "p7"
    assert {rows[f"stack-p{n:03d}"].split for n in range(3)} == {rows["stack-p000"].split}
    assert len({row.delivered_sha256 for row in rows.values()}) == 2
    for n, pixels in enumerate(stack):
        name = f"images/stack-p{n:03d}.png"
        np.testing.assert_array_equal(decode_image((data / name).read_bytes(), name), pixels)
    landed = read_labels((data / "masks/stack-p000.png").read_bytes(), "mask")
    np.testing.assert_array_equal(landed, mask(1, 2))
    assert lab.ingest(bench.zipped(), on_bad="quarantine", licence="CC-BY-4.0").unchanged


def test_coco(lab, bench):
    data = use(lab, "coco", "instances", ["cell"])
    names = ["a", "b", "c", "d"]
    for name, pixels in zip(names, images(4), strict=True):
        bench.image(f"images/{name}.png", pixels)
    document = {
        "categories": [{"id": 1, "name": "Cell"}],
        "images": [{"id": n, "file_name": f"{name}.png"} for n, name in enumerate(names)],
        "annotations": [
            {
                "id": 2 * n + k,
                "image_id": n,
                "category_id": 1,
                "segmentation": [[5, 4 + 12 * k, 20, 4 + 12 * k, 20, 12 + 12 * k, 5, 12 + 12 * k]],
            }
            for n in range(4)
            for k in range(2)
        ],
    }
    bench.text("annotations/instances_default.json", json.dumps(document))
    assert lab.ingest(bench.root, licence="CC0-1.0").added == tuple(names)
    for name in names:
        landed = read_labels((data / f"masks/{name}.png").read_bytes(), name)
        np.testing.assert_array_equal(landed, mask(1, 2))


def test_settings_that_are_not_the_publishers_are_refused(lab, bench):
    use(lab, "wbc", "classes", ["nucleus"])
    bench.text("x.csv", "")
    with pytest.raises(ConfigError, match=r"classes: \['cytoplasm', 'nucleus'\]"):
        lab.ingest(bench.root)
