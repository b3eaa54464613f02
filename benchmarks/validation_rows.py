"""How long validation takes on a manifest of many rows: good ones, and all of them bad.

    python benchmarks/validation_rows.py artifacts/nuclei/examples/manifest.parquet dsb2018

The rows are those of a real manifest, repeated, each with an id and digests of its own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import pandas as pd

from components.validating.baseline import infer
from components.validating.checking import check
from components.validating.statistics import as_frame, as_tree, statistics
from segtrail.files import sha256_bytes
from segtrail.params import load_dataset
from segtrail.settings.dataset import Dataset
from segtrail.settings.validation import Validation
from segtrail.workspace import Workspace

ROWS = 100_000


def repeated(manifest: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Returns `rows` rows, of images that all differ and groups that keep to their split."""
    times = -(-rows // len(manifest))
    many = pd.concat([manifest] * times, ignore_index=True).iloc[:rows].copy()
    many["image"] = [f"image-{n}" for n in range(rows)]
    many["group"] = many["image"]
    for column in ("sha256", "mask_sha256"):
        many[column] = [sha256_bytes(f"{column} {n}".encode()) for n in range(rows)]
    return many


def spoiled(manifest: pd.DataFrame) -> pd.DataFrame:
    """Returns a manifest whose every number is out of range, in every row."""
    spoiled = manifest.copy()
    for column in spoiled.select_dtypes("float"):
        spoiled[column] = 1e6 + spoiled[column]
    for column in spoiled.select_dtypes("int"):
        spoiled[column] = -5
    return spoiled


def seconds(manifest: pd.DataFrame, base: pd.DataFrame, dataset: Dataset) -> dict[str, float]:
    """Returns how long statistics, and the checks with Data Docs, take, and what they find."""
    baseline = infer(base, "benchmark", dataset)
    started = time.perf_counter()
    rows = statistics(manifest)
    as_frame(rows), as_tree(rows)
    middle = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        outcome = check(manifest, Validation(), dataset, baseline, docs=Path(folder) / "docs")
    done = time.perf_counter()
    return {
        "rows": len(manifest),
        "checks": len(outcome.findings),
        "fail": len(outcome.errors) + len(outcome.warnings),
        "statistics_s": round(middle - started, 2),
        "checks_and_docs_s": round(done - middle, 2),
    }


def main() -> None:
    """Prints one JSON line for good rows and one for bad ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("dataset")
    parser.add_argument("--rows", type=int, default=ROWS)
    arguments = parser.parse_args()
    dataset = load_dataset(Workspace.find(), arguments.dataset)
    base = pd.read_parquet(arguments.manifest)
    many = repeated(base, arguments.rows)
    for kind, manifest in (("good", many), ("all bad", spoiled(many))):
        print(json.dumps({"what": kind, **seconds(manifest, base, dataset)}), flush=True)


if __name__ == "__main__":
    main()
