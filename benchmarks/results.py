"""Writes docs/results.md: what every recipe reaches on its test split, and what was published.

    python benchmarks/results.py WORKSPACE [RECIPE ...] [--out docs/results.md]

WORKSPACE is a clone in which `segtrail retrain --recipe R` ran for each recipe; it is only read.
Rows of recipes that are not there, or not named, stay as they are in the page. CPU minutes are of
the process of `segtrail train`, minutes of its run in MLflow; intervals are as the gate takes them.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # this folder has names of packages
CURVES = "results.png"
# which metrics tell most of a recipe, and what others reached with the same idea
TOLD: dict[str, tuple[tuple[str, ...], str]] = {
    "nuclei": (
        ("mean_iou", "ap_50"),
        "fluorescence alone, AP at IoU 0.5: U-Net 0.674, with borders 0.806, StarDist 0.864 "
        "(arXiv 1806.03535)",
    ),
    "wbc": (
        ("dice_foreground", "dice_nucleus", "pixel_accuracy"),
        "deep networks: Dice 0.96 to 0.99",
    ),
    "em": (("rand_f", "mean_iou"), "U-Net, on hidden labels: Rand F 0.962 (error 0.0382)"),
    "fundus": (("dice_disc", "dice_cup"), "disc Dice 0.975, cup 0.913 to 0.918 (U-Nets at 512²)"),
    "dsb-tiles": (("pixel_accuracy", "mean_iou", "ap_50"), "validation pixel accuracy 0.98"),
    "dsb-128": (("pixel_accuracy", "mean_iou", "ap_50"), "none on these images"),
    "drishti-unet": (
        ("dice_disc", "dice_cup", "iou_disc", "iou_cup"),
        "Dice 0.837 and IoU 0.842, which cannot both come from the same masks",
    ),
    "wbc-inception": (("pixel_accuracy", "dice_cell"), "accuracy 0.98"),
    "wbc-inception-classes": (("pixel_accuracy", "dice_cytoplasm", "dice_nucleus"), "none"),
    "isbi-256": (
        ("pixel_accuracy", "rand_f", "count_error", "count_error_canny"),
        "U-Net of full size, on hidden labels: pixel accuracy 0.939 (error 0.0611)",
    ),
    "isbi-256-residual": (
        ("pixel_accuracy", "rand_f", "count_error", "count_error_canny"), "as above",
    ),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workspace", type=Path)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="default: all that are there")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results.md")
    options = parser.parse_args()
    unknown = [name for name in options.recipes if name not in TOLD]
    if unknown:
        parser.error(f"no row for {', '.join(unknown)}; there are {', '.join(TOLD)}")
    kept = options.out.with_suffix(".json")
    rows = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for name in options.recipes or TOLD:
        found = read(options.workspace, name)
        if found is not None:
            rows[name] = found
        elif options.recipes:
            parser.error(f"{name} is not evaluated in {options.workspace}: segtrail retrain first")
    rows = {name: rows[name] for name in TOLD if name in rows}
    curves = options.out.parent / "images" / CURVES
    curves.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    draw(rows, curves)
    options.out.write_text(page(rows), encoding="utf-8")
    print(f"{len(rows)} recipes in {options.out}")
    return 0


def read(root: Path, name: str) -> dict[str, Any] | None:
    """Returns what a recipe reached, or None where it is not evaluated."""
    import pandas as pd

    from lineage import mlflow_record
    from model.summary import values
    from model.uncertainty import Level
    from segtrail.artifacts import Evaluation, TrainingRun
    from segtrail.files import read_json
    from segtrail.workspace import Workspace

    workspace = Workspace.at(root)
    evaluation, training = Evaluation.of(workspace, name), TrainingRun.of(workspace, name)
    if not (evaluation.metrics.exists() and training.run.exists()):
        return None
    run = read_json(training.run)
    info = mlflow_record.client(workspace).get_run(run["mlflow_run_id"]).info
    per_image = pd.read_parquet(evaluation.per_image)
    metrics = {}
    for metric in TOLD[name][0]:
        each = values(per_image, metric)
        ends = Level(each, list(per_image["group"]), 10_000, 1).interval(0.95)
        # two groups have no interval
        metrics[metric] = [float(each.mean()), *(e if math.isfinite(e) else None for e in ends)]
    with open(training.root / "history.csv", newline="", encoding="utf-8") as f:
        history = [[int(float(row["step"])), float(row["val_iou"])] for row in csv.DictReader(f)]
    return {
        "network": run["recipe"]["network"]["name"],
        "parameters": run["parameters"],
        "steps": history[-1][0],
        "minutes": (info.end_time - info.start_time) / 60_000,
        "cpu_minutes": run["cpu_seconds"] / 60 if "cpu_seconds" in run else None,
        "processor": f"{run['environment']['cores']} cores, {run['environment']['processor']}",
        "test_images": len(per_image),
        "metrics": metrics,
        "validation_iou": history,
    }


def draw(rows: dict[str, Any], path: Path) -> None:
    """Draws the learning curves of all recipes, validation IoU against the step."""
    from matplotlib.figure import Figure

    columns = 4
    figure = Figure(figsize=(11, 2.2 * -(-len(rows) // columns)), layout="constrained")
    axes = figure.subplots(-(-len(rows) // columns), columns, squeeze=False, sharey=True).ravel()
    for ax, (name, row) in zip(axes[: len(rows)], rows.items(), strict=True):
        ax.plot(*zip(*row["validation_iou"], strict=True), "o-", markersize=3)
        ax.set_title(name, fontsize=9)
        ax.grid(alpha=0.3)
        ax.tick_params(labelsize=7)
        ax.set_ylim(0, 1)
    for ax in axes[len(rows) :]:
        ax.axis("off")
    figure.supxlabel("step", fontsize=9)
    figure.supylabel("validation IoU", fontsize=9)
    figure.savefig(path, dpi=80)


def page(rows: dict[str, Any]) -> str:
    """Returns the page in Markdown."""
    lines = [
        "# What the recipes reach",
        "",
        "Made by `python benchmarks/results.py WORKSPACE` after `segtrail ingest` and",
        "`segtrail retrain --recipe <recipe>` in a fresh clone. Test splits without relatives of",
        "training images; each image scored at its own size through the SavedModel's serving",
        "signature, with 95 % intervals as the [gate](gates.md) takes them where there are enough",
        "groups of images. Published figures are on other splits: they tell the order of size, not",
        "who is better.",
        "",
        "| recipe | network | trained | test images | reached | published |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        reached = "<br>".join(_reached(m, *row["metrics"][m]) for m in TOLD[name][0])
        lines.append(
            f"| `{name}` | `{row['network']}`, {row['parameters']:,} parameters "
            f"| {row['steps']:,} steps, {_time(row)} on {row['processor']} "
            f"| {row['test_images']} | {reached} | {TOLD[name][1]} |"
        )
    return "\n".join([*lines, "", "## Learning curves", "", f"![](images/{CURVES})", ""])


def _time(row: dict[str, Any]) -> str:
    if row["cpu_minutes"] is None:
        return f"{row['minutes']:.0f} min beside other work"
    return f"{row['cpu_minutes']:.0f} CPU min ({row['minutes']:.0f} min)"


def _reached(metric: str, value: float, low: float | None, high: float | None) -> str:
    digits = 1 if metric.startswith("count") else 3
    if low is None or high is None:
        return f"{metric} **{value:.{digits}f}** (too few groups for an interval)"
    return f"{metric} **{value:.{digits}f}** ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    sys.exit(main())
