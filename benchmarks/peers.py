"""Compares the scores of objects with StarDist's and those of COCO's own tools.

    pip install --no-deps --target PEERS stardist csbdeep numba llvmlite
    PYTHONPATH=PEERS python benchmarks/peers.py WORKSPACE [--recipe nuclei] [--out docs/peers.md]

WORKSPACE has evaluated the recipe; it is only read. The same pairs of true and predicted masks go
to `stardist.matching` (Schmidt et al., 2018), `pycocotools` (Lin et al., 2014) and to
`model.scores`: the real ones of the recipe's test images, and made-up ones in which objects are
moved, cut, joined, left out and invented. A peer's figure is never read from a page: each is
computed here.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from model.examples import read_examples
from model.object_table import match_table
from model.scores.objects import THRESHOLDS, Overlaps, score_objects
from model.summary import coco
from segtrail.artifacts import TEST, Evaluation, Examples
from segtrail.images import decode_image, read_labels
from segtrail.workspace import Workspace

Labels = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float64]
_MORE = 1e-6


@dataclass(frozen=True)
class Pair:
    """Two masks of one image, and how confident each predicted object is."""

    true: Labels
    predicted: Labels
    confidence: dict[int, float]


def real(workspace: Workspace, recipe: str) -> Iterator[Pair]:
    """Yields the recipe's test images as they were evaluated."""
    evaluation = Evaluation.of(workspace, recipe).require()
    objects = pd.read_parquet(evaluation.objects)
    for example in read_examples(Examples.of(workspace, recipe).records(TEST)):
        predicted = decode_image(
            (evaluation.predictions / f"{example.image}.png").read_bytes(), example.image
        )
        mine = objects[objects["image"] == example.image]
        confidence = dict(zip(mine["label"], mine["confidence"], strict=True))
        true = read_labels(example.mask_bytes, example.image)
        yield Pair(true, predicted.astype(np.uint16), confidence)


def made_up(number: int) -> Pair:
    """Returns one image of 40 ellipses, and a prediction with every kind of mistake."""
    generator = np.random.default_rng(number)
    true, predicted = np.zeros((256, 256), np.uint16), np.zeros((256, 256), np.uint16)
    for k in range(1, 41):
        shape = (generator.uniform(0, 256, 2), generator.uniform(10, 40, 2))
        angle, fate = generator.uniform(0, 180), generator.uniform()
        _draw(true, *shape, angle, k)
        if fate < 0.1:  # left out
            continue
        moved = shape[0] + generator.normal(0, 2.5, 2)
        _draw(predicted, moved, shape[1] * generator.uniform(0.8, 1.2), angle, k)
        if fate > 0.85:  # joined with the one before
            predicted[predicted == k] = max(k - 1, 1)
        elif fate > 0.75:  # cut in two
            half = predicted == k
            half[: int(moved[1].clip(0, 255))] = False
            predicted[half] = 100 + k
    _draw(predicted, generator.uniform(0, 256, 2), np.array([20.0, 30.0]), 0, 99)  # invented
    ids = np.unique(predicted[predicted > 0])
    ranks = generator.permutation(len(ids)) / len(ids)
    return Pair(true, predicted, dict(zip(ids.tolist(), ranks.tolist(), strict=True)))


def _draw(mask: Labels, centre: Floats, axes: Floats, angle: float, value: int) -> None:
    one = np.zeros(mask.shape, np.uint8)
    cv2.ellipse(one, (tuple(centre.tolist()), tuple(axes.tolist()), angle), 1, -1)
    mask[one > 0] = value


def ours(pairs: list[Pair]) -> tuple[pd.DataFrame, dict[str, float]]:
    """Returns our scores of each image, and COCO's average precisions of all."""
    rows, objects = [], []
    for number, pair in enumerate(pairs):
        found = Overlaps.of(pair.true, pair.predicted)
        image = f"{number:05d}"
        of = {"image": image, "group": image, "count_true": found.true_count}
        rows.append(score_objects(found) | of)
        table = match_table(pair.true, pair.predicted).assign(image=image)
        objects.append(table.assign(confidence=table["label"].map(pair.confidence)))
    table = pd.DataFrame(rows)
    return table, coco(table, pd.concat(objects))[0]


def stardists(pairs: list[Pair]) -> pd.DataFrame:
    """Returns the same scores of each image by StarDist.

    It counts an IoU of just the threshold; the Data Science Bowl and panoptic quality ask for
    more than that, so that it is given a little more (its IoU is float32).
    """
    from stardist.matching import matching

    rows = []
    for pair in pairs:
        true, predicted = pair.true.astype(np.int64), pair.predicted.astype(np.int64)
        at = {t: matching(true, predicted, thresh=t / 100 + _MORE) for t in THRESHOLDS}
        row = {f"ap_{t}": float(found.accuracy) for t, found in at.items()}
        row |= {"f1": float(at[50].f1), "pq": float(at[50].panoptic_quality)}
        row["sq"] = float(at[50].mean_matched_score)
        rows.append(row)
    return pd.DataFrame(rows)


def cocos(pairs: list[Pair]) -> dict[str, float]:
    """Returns the average precisions by pycocotools."""
    from pycocotools import mask as run_lengths
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, said = [], []
    for number, pair in enumerate(pairs, 1):
        for label in np.unique(pair.true[pair.true > 0]):
            code = run_lengths.encode(np.asfortranarray(pair.true == label, dtype=np.uint8))
            truth.append(
                {"id": len(truth) + 1, "image_id": number, "category_id": 1, "iscrowd": 0,
                 "segmentation": code, "area": float(run_lengths.area(code))}
            )  # fmt: skip
        for label, confidence in sorted(pair.confidence.items()):
            code = run_lengths.encode(np.asfortranarray(pair.predicted == label, dtype=np.uint8))
            said.append(
                {"image_id": number, "category_id": 1, "segmentation": code, "score": confidence}
            )
    known = COCO()
    known.dataset = {
        "images": [
            {"id": n, "height": pair.true.shape[0], "width": pair.true.shape[1]}
            for n, pair in enumerate(pairs, 1)
        ],
        "annotations": truth,
        "categories": [{"id": 1}],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        known.createIndex()
        judge = COCOeval(known, known.loadRes(said), "segm")
        judge.params.maxDets = [10_000]
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][:, :, 0, 0, 0]
    found = {f"coco_ap_{t}": float(precision[k].mean()) for k, t in enumerate(THRESHOLDS)}
    return found | {"coco_ap": float(precision.mean())}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--recipe", default="nuclei")
    parser.add_argument("--made-up", type=int, default=200, help="images")
    parser.add_argument("--out", type=Path, default=Path("docs/peers.md"))
    options = parser.parse_args()
    recipe = options.recipe
    sets = {
        f"real masks of `{recipe}`": list(real(Workspace.at(options.workspace.resolve()), recipe)),
        "made-up masks": [made_up(number) for number in range(options.made_up)],
    }
    compared = {name: compare(pairs) for name, pairs in sets.items()}
    peers = [f"{peer} {version(peer)}" for peer in ("stardist", "pycocotools")]
    heads = [
        f"{name}, {len(pairs)} images, {sum(len(p.confidence) for p in pairs):,} objects: ours"
        " | the peer's | apart by at most"
        for name, pairs in sets.items()
    ]
    lines = [
        PREAMBLE.format(peers=" and ".join(peers)),
        f"| score | by | {' | '.join(heads)} |",
        f"| --- | --- |{' --- |' * (3 * len(sets))}",
    ]
    first = next(iter(compared.values()))
    for score, (peer, *_) in first.items():
        cells = [
            f"{mine:.4f} | {theirs:.4f} | {apart:.0e}"
            for _, mine, theirs, apart in (found[score] for found in compared.values())
        ]
        lines.append(f"| `{score}` | {peer} | {' | '.join(cells)} |")
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines[1:]))
    worst = max(apart for found in compared.values() for *_, apart in found.values())
    print(f"apart by at most {worst:.1e}; float32 in StarDist's sums explains {_MORE:g}")
    return int(worst > _MORE)


def compare(pairs: list[Pair]) -> dict[str, tuple[str, float, float, float]]:
    """Returns, of each score: the peer, our mean, its mean, the largest difference of an image."""
    mine, my_coco = ours(pairs)
    theirs = stardists(pairs)
    found = {
        score: (
            "StarDist",
            float(mine[score].mean()),
            float(theirs[score].mean()),
            float((mine[score] - theirs[score]).abs().max()),
        )
        for score in theirs
    }
    for score, value in cocos(pairs).items():
        found[score] = ("pycocotools", my_coco[score], value, abs(my_coco[score] - value))
    return found


PREAMBLE = """\
# The scores of objects beside those of other tools

Made by `python benchmarks/peers.py WORKSPACE` with {peers}:
the same pairs of masks, each tool's own code. Of StarDist's scores the largest difference of any
image is shown.

The tools differ in one thing: what of an IoU that is just the threshold, as small objects have
it. The 2018 Data Science Bowl and panoptic quality ask for more than 0.5, and so do `ap_50` to
`ap_95`, `f1`, `sq` and `pq` here; StarDist counts it as a hit (on the real masks that makes `ap_50`
0.0016 more), so that it is asked for 0.000001 more. COCO counts it, and so does `coco_ap`.
"""

if __name__ == "__main__":
    sys.exit(main())
