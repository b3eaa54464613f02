"""ExampleGen: a dataset becomes canonical TFRecords, one file a split, and a manifest."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lineage.data_version import of_folder
from model.examples import Example
from segtrail import mask_meaning, split_ledger
from segtrail.artifacts import SPLITS, Examples
from segtrail.files import atomic_folder, sha256_file, write_json
from segtrail.image_statistics import image_statistics, mask_statistics
from segtrail.images import decode_image, read_labels
from segtrail.params import load_dataset, load_recipe
from segtrail.progress import say, track
from segtrail.settings.dataset import Dataset
from segtrail.split_ledger import read_recorded
from segtrail.tfrecord import records_to
from segtrail.workspace import Workspace


def make_examples(workspace: Workspace, name: str) -> Examples:
    """Writes the examples of a recipe's dataset, in the order and the splits of `splits.csv`.

    Raises:
        MissingArtifactError: The dataset was never ingested.
        ConfigError: The masks have another meaning than `params.yaml` says.
        DataError: A file differs from the digest that `splits.csv` holds of it.
    """
    recipe = load_recipe(workspace, name)
    dataset = load_dataset(workspace, recipe.dataset)
    folder = workspace.dataset(recipe.dataset)
    mask_meaning.require_same(folder, recipe.dataset, dataset)
    rows = split_ledger.read_present(folder, recipe.dataset)
    examples = Examples.of(workspace, name)
    with atomic_folder(examples.root) as out:
        target = Examples(out, name)
        _write(rows, folder, dataset, target)
        version = of_folder(folder)
        write_json(
            target.data_version,
            {
                "dataset": recipe.dataset,
                "dvc_md5": version.dvc_md5,
                "sha256_root": version.sha256_root,
                "split_ledger_sha256": sha256_file(folder / split_ledger.LEDGER),
            },
        )
    counts = {split: sum(row.split == split for row in rows) for split in SPLITS}
    say(f"{len(rows)} examples: " + ", ".join(f"{n} {split}" for split, n in counts.items()))
    return examples


def _write(
    rows: list[split_ledger.Row], folder: Path, dataset: Dataset, examples: Examples
) -> None:
    import pandas as pd

    manifest = []
    with ExitStack() as stack:
        write = {
            split: stack.enter_context(records_to(examples.records(split))) for split in SPLITS
        }
        for row in track(rows, "writing examples"):
            example = Example(
                image=row.image,
                image_bytes=read_recorded(folder / "images" / f"{row.image}.png", row.sha256),
                mask_bytes=read_recorded(folder / "masks" / f"{row.image}.png", row.mask_sha256),
                slice=dataset.slices.get(row.slice, row.slice),
                group=row.group,
            )
            columns = asdict(row) | {"slice": example.slice}
            del columns["removed"]  # empty: these images are there
            manifest.append(columns | _facts(example, dataset))
            write[row.split](example.serialize())
    pd.DataFrame(manifest).to_parquet(examples.manifest, index=False)


def _facts(example: Example, dataset: Dataset) -> dict[str, Any]:
    """Returns the columns that validation looks at."""
    image = decode_image(example.image_bytes, example.image)
    mask = read_labels(example.mask_bytes, f"{example.image} (mask)")
    return {
        "same_size": mask.shape == image.shape[:2],
        **image_statistics(image),
        **mask_statistics(mask, dataset.masks, dataset.classes),
    }
