"""Evaluator: scores the candidate on the test split, through what it would serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model.evaluation import Answer, read_examples, score, summarise
from segtrail import overlay
from segtrail.artifacts import TEST, Evaluation, Examples, Model
from segtrail.errors import DataError
from segtrail.files import atomic_folder, sha256_bytes, sha256_file, write_bytes, write_json
from segtrail.images import decode_image, encode_png, read_labels
from segtrail.params import load_recipe
from segtrail.progress import say, track
from segtrail.recipe import ALL
from segtrail.saved_model import digest
from segtrail.session import SessionModel
from segtrail.workspace import Workspace

_SHEET = 12


def evaluate(workspace: Workspace, name: str) -> Evaluation:
    """Writes metrics, per-image scores, overlays and golden answers of the candidate.

    A bad model is not an error here: the gate decides.

    Raises:
        DataError: The test split is empty.
    """
    recipe = load_recipe(workspace, name)
    examples = Examples.of(workspace, name).require()
    candidate = Model.of(workspace, name).require()
    result = Evaluation.of(workspace, name)
    with atomic_folder(result.root) as folder:
        out = Evaluation(folder, name)
        wanted = list(read_examples(examples.records(TEST)))
        if not wanted:
            raise DataError(
                f"{examples.records(TEST)}: no test images, so nothing can be judged",
                f"ingest more images into {recipe.dataset}",
            )
        model = SessionModel(candidate.root)
        rows = []
        golden = _spread(len(wanted), recipe.serving.golden_images)
        records: dict[str, Any] = {}
        for number, answer in enumerate(track(score(model, wanted), "evaluating", len(wanted))):
            rows.append(answer.row)
            _write_overlay(answer, out.overlays)
            if number in golden:
                records[answer.example.image] = _write_golden(answer, out.golden)
        write_json(out.golden / "golden.json", records)
        metrics = _write_tables(rows, out) | {
            "model_digest": digest(candidate.root),
            "examples_digest": sha256_file(examples.manifest),
            "test_images": len(rows),
        }
        write_json(out.metrics, metrics)
    for part, m in metrics["slices"].items():
        say(
            f"{part:>22}: {m['n']:4d} images, mean IoU {m['mean_iou']:.3f}, "
            f"Dice {m['mean_dice']:.3f}, AP50 {m['ap_50']:.3f}, count error {m['count_error']:.1f}"
        )
    return result


def _spread(n: int, wanted: int) -> set[int]:
    """Returns up to `wanted` of the numbers below `n`, evenly spread."""
    return {i * n // wanted for i in range(wanted)}


def _write_tables(rows: list[dict[str, Any]], out: Evaluation) -> dict[str, Any]:
    import pandas as pd

    per_image = pd.DataFrame(rows)
    per_image.to_parquet(out.per_image, index=False)
    worst = per_image.sort_values("iou").head(_SHEET)
    pictures = [
        decode_image((out.overlays / f"{image}.png").read_bytes(), image)
        for image in worst["image"]
    ]
    titles = [f"{r.slice}  IoU {r.iou:.2f}  AP50 {r.ap_50:.2f}" for r in worst.itertuples()]
    write_bytes(out.root / "worst.png", encode_png(overlay.sheet(pictures, titles)))
    slices = summarise(per_image)
    assert ALL in slices
    return {"slices": slices}


def _write_overlay(answer: Answer, folder: Path) -> None:
    example = answer.example
    image = decode_image(example.image_bytes, example.image)
    true = read_labels(example.mask_bytes, f"true mask of {example.image}")
    picture = overlay.draw(image, answer.labels, true)
    write_bytes(folder / f"{example.image}.png", encode_png(picture))


def _write_golden(answer: Answer, folder: Path) -> dict[str, Any]:
    image = answer.example.image
    write_bytes(folder / f"{image}.png", answer.example.image_bytes)
    write_bytes(folder / f"{image}.mask.png", answer.mask_png)
    return {
        "count": int(answer.row["count_predicted"]),
        "mask_sha256": answer.row["mask_sha256"],
        "labels_sha256": sha256_bytes(answer.labels_png),
    }
