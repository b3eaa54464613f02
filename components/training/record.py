"""What training leaves beside the SavedModel: metrics, curves, samples, summary, facts."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.emergence import Emergence
from segtrail.artifacts import TrainingRun
from segtrail.files import write_bytes, write_json, write_text
from segtrail.images import encode_png

_CURVES = ("loss", "iou", "dice")


def write_record(
    folder: Path,
    facts: dict[str, Any],
    history: list[dict[str, float]],
    samples: Emergence,
    network: Any,
) -> list[Path]:
    """Writes `run.json`, `history.csv`, `curves.png`, `samples.png`, `network.txt`, `recipe.json`.

    Args:
        folder: Where.
        facts: What `run.json` says; its `recipe` is the recipe as resolved.
        history: The metrics of each epoch.
        samples: The sample predictions.
        network: Whose summary is written.

    Returns:
        The files.
    """
    with open(folder / "history.csv", "w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, ["step", *sorted(set(history[0]) - {"step"})])
        writer.writeheader()
        writer.writerows(history)
    draw_curves(history, folder / "curves.png")
    steps = [int(row["step"]) for row in history]
    write_bytes(folder / "samples.png", encode_png(samples.sheet(steps)))
    lines: list[str] = []
    # a copy without the optimizer, whose variables are not the network's
    bare = type(network)(network.inputs, network.outputs, name=network.name)
    bare.summary(line_length=110, print_fn=lines.append)
    write_text(folder / "network.txt", "\n".join(lines) + "\n")
    write_json(folder / "recipe.json", facts["recipe"])
    write_json(TrainingRun(folder, "").run, facts)
    return sorted(folder.iterdir())


def draw_curves(history: Sequence[dict[str, float]], path: Path) -> None:
    """Draws training and validation against the step, and the learning rate."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.2), layout="constrained")
    *axes, last = figure.subplots(1, len(_CURVES) + 1)
    steps = [row["step"] for row in history]
    for ax, key in zip(axes, _CURVES, strict=True):
        ax.plot(steps, [row[key] for row in history], "o-", label="training", markersize=3)
        ax.plot(
            steps, [row[f"val_{key}"] for row in history], "o-", label="validation", markersize=3
        )
        ax.set(xlabel="step", title=key if key == "loss" else f"mean {key} of the classes")
        ax.legend()
    last.plot(steps, [row["learning_rate"] for row in history], "o-", markersize=3)
    last.set(xlabel="step", title="learning rate", yscale="log")
    for ax in (*axes, last):
        ax.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
