"""Evaluator: scores the candidate on the test split, through what it would serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.scoring import answers
from model.evaluated_objects import ObjectWriter
from model.evaluation import Answer, score
from model.examples import read_examples
from model.summary import coco, intervals, slices, summarise
from segtrail import overlay
from segtrail.artifacts import TEST, Evaluation, Examples, Model
from segtrail.errors import DataError
from segtrail.files import atomic_folder, sha256_bytes, sha256_file, write_bytes, write_json
from segtrail.images import decode_image, encode_png
from segtrail.params import load_recipe
from segtrail.progress import say, track
from segtrail.saved_model import digest
from segtrail.session import SessionModel
from segtrail.settings.base import ALL
from segtrail.task import Task, load_task
from segtrail.workspace import Workspace

_SHEET = 12
_GOLDEN = 5  # images that a server must answer as evaluation did


def evaluate(workspace: Workspace, name: str) -> Evaluation:
    """Writes metrics, scores of images and objects, overlays and golden answers of the candidate.

    A bad model is not an error here: the gate decides.

    Raises:
        DataError: The test split is empty.
    """
    recipe, task = load_recipe(workspace, name), load_task(workspace, name)
    examples = Examples.of(workspace, name).require()
    candidate = Model.of(workspace, name).require()
    result = Evaluation.of(workspace, name)
    with atomic_folder(result.root) as folder:
        out = Evaluation(folder, name)
        images = sum(1 for _ in read_examples(examples.records(TEST)))
        if not images:
            raise DataError(
                f"{examples.records(TEST)}: no test images, so nothing can be judged",
                f"ingest more images into {recipe.dataset}",
            )
        model = SessionModel(candidate.root)
        rows = []
        levels: dict[str, Any] = {}
        golden = _spread(images, _GOLDEN)
        records: dict[str, Any] = {}
        scored = score(model, read_examples(examples.records(TEST)), task, recipe.objects)
        with ObjectWriter(out.objects) as objects:
            for number, answer in enumerate(track(scored, "evaluating", images)):
                rows.append(answer.row)
                for part in (ALL, answer.example.slice):
                    levels[part] = levels.get(part, 0) + answer.levels
                image = decode_image(answer.example.image_bytes, answer.example.image)
                objects.write(answer, image, task, recipe.objects)
                _write_overlay(answer, image, task, out.overlays)
                answers.keep(out.root, answer)
                if number in golden:
                    records[answer.example.image] = _write_golden(answer, task, out.golden)
        write_json(out.golden / "golden.json", records)
        write_json(out.levels, {part: counts.tolist() for part, counts in levels.items()})
        metrics = _write_tables(rows, out, task) | {
            "model_digest": digest(candidate.root),
            "examples_digest": sha256_file(examples.manifest),
            "test_images": len(rows),
        }
        write_json(out.metrics, metrics)
    for part, m in metrics["slices"].items():
        say(f"{part:>22}: {m['n']:4d} images, {_in_words(m, task)}")
    say(f"scores, overlays and the worst images in {result.root}")
    return result


def _in_words(metrics: dict[str, float], task: Task) -> str:
    says = f"mean IoU {metrics['mean_iou']:.3f}, Dice {metrics['mean_dice']:.3f}"
    if "ap_50" in metrics:
        says += f", AP50 {metrics['ap_50']:.3f}"
    if "rand_f" in metrics:
        says += f", Rand F {metrics['rand_f']:.3f}"
    if "count_error" in metrics:
        says += (
            f", count error {metrics['count_error']:.1f} "
            f"(by Canny and contours {metrics['count_error_canny']:.1f})"
        )
    if len(task.classes) > 1:
        each = (f"{name} {metrics[f'iou_{name}']:.3f}" for name in task.classes)
        says += f"; IoU of {', '.join(each)}; Dice of all {metrics['dice_foreground']:.3f}"
    return says


def _spread(n: int, wanted: int) -> set[int]:
    """Returns up to `wanted` of the numbers below `n`, evenly spread."""
    return {i * n // wanted for i in range(wanted)}


def _write_tables(rows: list[dict[str, Any]], out: Evaluation, task: Task) -> dict[str, Any]:
    import pandas as pd

    per_image = pd.DataFrame(rows)
    per_image.to_parquet(out.per_image, index=False)
    worst = per_image.sort_values("iou").head(_SHEET)
    pictures = [
        decode_image((out.overlays / f"{image}.png").read_bytes(), image)
        for image in worst["image"]
    ]
    titles = [
        f"{row['slice']}  IoU {row['iou']:.2f}"
        + (f"  AP50 {row['ap_50']:.2f}" if "ap_50" in row else "")
        for row in worst.to_dict("records")
    ]
    write_bytes(out.root / "worst.png", encode_png(overlay.sheet(pictures, titles)))
    found, ends = summarise(per_image), intervals(per_image)
    assert ALL in found
    if task.has_objects:
        objects = pd.read_parquet(out.objects, columns=["image", "iou", "true_label", "confidence"])
        for name, part in slices(per_image).items():
            values, of_them = coco(part, objects)
            found[name] |= values
            ends[name] |= of_them
    return {"slices": found, "intervals": ends}


def _write_overlay(
    answer: Answer, image: npt.NDArray[np.integer], task: Task, folder: Path
) -> None:
    if answer.labels is not None:
        picture = overlay.draw(image, answer.labels, answer.true)
    else:
        picture = overlay.draw_classes(
            image, task.answered_planes(answer.mask), task.true_planes(answer.true)
        )
    write_bytes(folder / f"{answer.example.image}.png", encode_png(picture))


def _write_golden(answer: Answer, task: Task, folder: Path) -> dict[str, Any]:
    image = answer.example.image
    write_bytes(folder / f"{image}.png", answer.example.image_bytes)
    write_bytes(folder / f"{image}.mask.png", answer.mask_png)
    for number in range(len(task.classes)):
        plane = encode_png(answer.probability[..., number])
        write_bytes(folder / f"{image}.probability.{number + 1}.png", plane)
    record = {"mask_sha256": answer.row["mask_sha256"], "classes": list(task.classes)}
    if answer.labels_png is None:
        return record
    return record | {
        "count": int(answer.row["count_predicted"]),
        "labels_sha256": sha256_bytes(answer.labels_png),
    }
