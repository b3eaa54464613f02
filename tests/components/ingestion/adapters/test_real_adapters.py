"""The publishers' own archives: every image is accounted for."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from segtrail.images import decode_image
from segtrail.settings.dataset import Dataset

DATA = Path(__file__).parents[5] / "shared/data"
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation"),  # of pycocotools
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not there"),
]


def test_wbc(read_delivery):
    settings = Dataset(
        adapter="wbc", masks="classes", classes=["cytoplasm", "nucleus"], slices={}, splits={}
    )
    out = read_delivery(settings, DATA / "wbc/segmentation_WBC.zip")
    assert not out.problems
    assert Counter(key[:2] for key in out.masks) == {"d1": 265, "d2": 90}
    assert Counter(item.slice for item in out.items.values()) == {
        "neutrophil": 184, "lymphocyte": 82, "monocyte": 55, "eosinophil": 30, "basophil": 4
    }  # fmt: skip
    assert all(set(np.unique(mask)) == {0, 1, 2} for mask in out.masks.values())
    told = sorted(note for note in out.notes.values() if "set to the nearest" in note)
    assert [note[:13] for note in told] == [
        f"Dataset 2/{number}" for number in ("034", "035", "047", "050", "076")
    ]


def test_isbi2012(read_delivery):
    settings = Dataset(adapter="isbi2012", masks="classes", classes=["cell"], slices={}, splits={})
    out = read_delivery(settings, DATA / "isbi2012/membrane.zip")
    assert not out.problems
    assert len(out.masks) == 24
    assert set(Counter(item.group for item in out.items.values()).values()) == {4}
    interior = [mask.mean() for mask in out.masks.values()]
    assert 0.7 < min(interior) < max(interior) < 0.85  # white is cell: not inverted


def test_drishti_gs(read_delivery):
    settings = Dataset(
        adapter="drishti-gs", masks="multilabel", classes=["disc", "cup"], slices={}, splits={}
    )
    out = read_delivery(settings, DATA / "drishti-gs/Drishti-GS1_files.zip")
    assert not out.problems
    assert len(out.masks) == 50
    assert all(set(np.unique(mask)) == {0, 1, 3} for mask in out.masks.values())


def test_dsb2018_as_coco_gives_the_same_masks(read_delivery, bench):
    """The nuclei of real images, through run lengths as CVAT writes them."""
    chosen = _some_of_dsb2018(bench.root.with_name("dsb2018"))
    settings = Dataset(
        adapter="dsb2018", masks="instances", classes=["nucleus"], slices={}, splits={}
    )
    direct = read_delivery(settings, chosen)
    images, annotations = [], []
    for number, (key, item) in enumerate(direct.items.items()):
        pixels = direct.images[key].pixels
        bench.image(f"images/{key}.png", pixels)
        height, width = pixels.shape[:2]
        images.append({"id": number, "file_name": f"{key}.png", "height": height, "width": width})
        for mask in item.masks:
            drawn = decode_image((chosen / mask).read_bytes(), mask) > 0
            changes = np.flatnonzero(np.diff(drawn.ravel(order="F"), prepend=False))
            counts = np.diff(changes, prepend=0, append=drawn.size).tolist()
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": 1,
                    "segmentation": {"size": [height, width], "counts": counts},
                }
            )
    categories = [{"id": 1, "name": "Nucleus"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    bench.text("annotations/instances_default.json", json.dumps(document))
    through_coco = bench.read("coco", "instances", "nucleus")
    assert not through_coco.problems
    assert set(through_coco.masks) == set(direct.masks)
    for key, mask in direct.masks.items():
        np.testing.assert_array_equal(through_coco.masks[key], mask)


def _some_of_dsb2018(folder: Path) -> Path:
    with zipfile.ZipFile(DATA / "dsb2018/stage1_train.zip") as z:
        ids = sorted({name.split("/")[0] for name in z.namelist()})[::60]
        z.extractall(folder, [name for name in z.namelist() if name.split("/")[0] in ids])
    return folder
