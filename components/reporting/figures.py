"""The report's plots, as SVG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.scoring.pairs import of_other
from model.scores.levels import calibration, calibration_error, sweep
from model.summary import values

# Okabe and Ito, told apart in any colour vision: Wong, Nature Methods 8:441, 2011
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442")
_GREY = "#888888"

Counts = npt.NDArray[np.int64]


def distributions(per_image: Any, metric: str) -> bytes:
    """Draws a metric's value of each image, a row a slice, with the quartiles."""
    parts = dict(iter(per_image.groupby("slice")))
    figure, axes = _figure(5.6, 0.9 + 0.45 * len(parts))
    generator = np.random.default_rng(1)  # of the jitter
    for place, (colour, part) in enumerate(zip(_cycle(len(parts)), parts.values(), strict=True)):
        scores = values(part, metric)
        low, middle, high = np.quantile(scores, [0.25, 0.5, 0.75])
        axes.plot([low, high], [place, place], color=colour, alpha=0.35, linewidth=9)
        axes.plot([middle, middle], [place - 0.28, place + 0.28], color=colour, linewidth=2)
        jitter = place + generator.uniform(-0.2, 0.2, len(scores))
        axes.plot(scores, jitter, "o", color=colour, markersize=3, alpha=0.7)
    axes.set_yticks(range(len(parts)), [f"{name} ({len(part)})" for name, part in parts.items()])
    axes.invert_yaxis()
    axes.set_xlabel(f"{metric} of an image; bar: middle half, line: median")
    return _svg(figure)


def scatter(both: Any, metric: str, ours: str, theirs: str) -> bytes:
    """Draws each image's metric of two models against each other.

    Args:
        both: See `components.scoring.pairs`.
        metric: Which.
        ours: What the one model is called.
        theirs: What the other is called.
    """
    figure, axes = _figure(4.2, 4.2)
    x, y = values(of_other(both), metric), values(both, metric)
    ends = [min(x.min(), y.min()), max(x.max(), y.max())]
    axes.plot(ends, ends, color=_GREY, linewidth=1)
    names = sorted(both["slice"].unique())
    for colour, name in zip(_cycle(len(names)), names, strict=True):
        mine = np.asarray(both["slice"] == name)
        axes.plot(x[mine], y[mine], "o", color=colour, markersize=4, alpha=0.7, label=name)
    axes.set_xlabel(f"{metric}, {theirs}")
    axes.set_ylabel(f"{metric}, {ours}")
    axes.set_aspect("equal", "datalim")
    axes.legend(fontsize=7)
    return _svg(figure)


def thresholds(counts: Counts, classes: Sequence[str], chosen: float) -> bytes:
    """Draws the IoU of all pixels against the threshold of each class's probability.

    Args:
        counts: See `model.scores.levels.count_levels`.
        classes: Names of the K classes.
        chosen: The recipe's threshold.
    """
    figure, axes = _figure(5.6, 3)
    at, iou = sweep(counts)
    for colour, name, line in zip(_cycle(len(classes)), classes, iou, strict=True):
        best = int(line.argmax())
        axes.plot(at, line, color=colour, label=f"{name}: best {line[best]:.3f} at {at[best]:.2f}")
    axes.axvline(chosen, color=_GREY, linewidth=1, linestyle="--")
    axes.set_ylim(0, 1)
    axes.set_xlabel(f"threshold of the probability (dashed: the recipe's {chosen:g})")
    axes.set_ylabel("IoU of all pixels")
    axes.legend(fontsize=7)
    return _svg(figure)


def reliability(counts: Counts) -> bytes:
    """Draws how often a class is there when the model says so with some probability."""
    figure, axes = _figure(4.2, 3.4)
    said, there, share = calibration(counts)
    some = share > 0
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1)
    axes.bar(
        np.arange(10) / 10, share, 0.1, align="edge", color=COLOURS[5], alpha=0.4,
        label="share of the pixels",
    )  # fmt: skip
    axes.plot(said[some], there[some], "o-", color=COLOURS[0], markersize=4, label="model")
    axes.set_xlabel("probability that is served")
    axes.set_ylabel("how often it is so")
    axes.set_title(f"expected calibration error {calibration_error(counts):.3f}", fontsize=8)
    axes.legend(fontsize=7, loc="upper left")
    return _svg(figure)


def learning(history: Mapping[str, Sequence[float]]) -> bytes:
    """Draws loss and IoU of training and validation against the step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 2.8), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "iou"), strict=True):
        for colour, key in zip(COLOURS, (name, f"val_{name}"), strict=False):
            if key in history:
                label = "validation" if key.startswith("val_") else "training"
                axes.plot(
                    history["step"], history[key], "o-", color=colour, markersize=3, label=label
                )
        axes.set_xlabel("step")
        axes.set_title(name if name == "loss" else "IoU of the tiles", fontsize=8)
        axes.legend(fontsize=7)
        _plain(axes)
    return _svg(figure)


def _cycle(n: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(n)]


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    _plain(axes)
    return figure, axes


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_fontsize(8)


def _svg(figure: Any) -> bytes:
    """Returns an SVG file; the same figure gives the same bytes."""
    import matplotlib as mpl

    out = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "segtrail", "svg.fonttype": "path"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()
