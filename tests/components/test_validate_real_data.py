"""Validation of the public sets, as delivered: passes, or names true defects of the data."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from components.ingest import ingest
from components.validating import baseline as baselines
from components.validating.checking import check
from segtrail import git, split_ledger
from segtrail.image_statistics import image_statistics, mask_statistics
from segtrail.images import decode_image, read_labels
from segtrail.params import load_dataset
from segtrail.settings.dataset import Dataset
from segtrail.settings.validation import Validation
from segtrail.workspace import Workspace

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared/data"
DEFECTS = {  # what is warned of, and images that it is true of
    "wbc/segmentation_WBC.zip": {
        "duplicate-images": {"d1-112", "d1-139"},  # delivered twice, the same bytes but for a name
        "small-objects": {"d2-001", "d2-052"},  # specks of one and two pixels
        "saturated-images": {"d1-201"},  # white background at full scale
    },
    "isbi2012/membrane.zip": {},
    "drishti-gs/Drishti-GS1_files.zip": {},
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    git.run(tmp_path, "init", "--quiet", "--initial-branch=main")
    for name in ("params.yaml", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=tmp_path, check=True)
    git.run(tmp_path, "add", "--all")
    git.run(tmp_path, "commit", "--quiet", "-m", "Workspace")
    return Workspace(tmp_path, tmp_path)


def manifest_of(folder: Path, dataset: Dataset) -> pd.DataFrame:
    """Returns the manifest of a dataset that was ingested."""
    rows = []
    for row in split_ledger.present(split_ledger.read(folder / split_ledger.LEDGER).values()):
        name = f"{row.image}.png"
        image = decode_image((folder / "images" / name).read_bytes(), name)
        mask = read_labels((folder / "masks" / name).read_bytes(), name)
        rows.append(
            asdict(row)
            | {"slice": dataset.slices.get(row.slice, row.slice)}
            | {"same_size": mask.shape == image.shape[:2]}
            | image_statistics(image)
            | mask_statistics(mask, dataset.masks, dataset.classes)
        )
    return pd.DataFrame(rows).drop(columns="removed")


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("archive", DEFECTS)
def test_a_public_set_is_valid_and_is_its_baseline(workspace: Workspace, archive: str) -> None:
    if not (DATA / archive).exists():
        pytest.skip(f"../shared/data/{archive} is not there")
    name = archive.split("/")[0]
    dataset = load_dataset(workspace, name)
    ingest(workspace, name, str(DATA / archive))
    manifest = manifest_of(workspace.dataset(name), dataset)
    shipped = baselines.read(baselines.path_of(Workspace(ROOT, ROOT), name))
    assert shipped is not None
    outcome = check(manifest, Validation(baseline_tolerance=0.0), dataset, shipped)
    assert outcome.errors == []
    warned = {f.check.name: {row.key for row in f.rows} for f in outcome.warnings}
    assert set(warned) == set(DEFECTS[archive])
    for expectation, images in DEFECTS[archive].items():
        assert images <= warned[expectation]
    differs = baselines.difference(shipped, baselines.infer(manifest, name, dataset))
    assert [field for field, _, _ in differs if not field.startswith("columns.")] == []
