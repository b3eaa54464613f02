"""Scores of objects: which are found, how well, which are merged or split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint16]
Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

THRESHOLDS = tuple(range(50, 100, 5))  # of IoU, in hundredths
MATCHED_ABOVE = 0.5  # IoU above which a pair of objects is unique


@dataclass(frozen=True)
class Overlaps:
    """The overlapping pairs of true and predicted objects of one image.

    Attributes:
        true: int64 `[pairs]`, ids.
        predicted: int64 `[pairs]`, ids.
        both: int64 `[pairs]`, pixels that they share.
        true_sizes: int64, pixels of each true id, 0 for background and ids that are not there.
        predicted_sizes: int64, the same of the predicted.
    """

    true: Ids
    predicted: Ids
    both: Ids
    true_sizes: Ids
    predicted_sizes: Ids

    @classmethod
    def of(cls, true: Labels, predicted: Labels) -> Overlaps:
        """Returns the pairs of two label images, uint16 `[H, W]`, 0 background."""
        pairs = true.astype(np.int64) << 16 | predicted
        values, counts = np.unique(pairs[(true > 0) & (predicted > 0)], return_counts=True)
        return cls(values >> 16, values & 0xFFFF, counts, _sizes(true), _sizes(predicted))

    @property
    def true_count(self) -> int:
        """How many true objects there are."""
        return int(np.count_nonzero(self.true_sizes))

    @property
    def predicted_count(self) -> int:
        """How many predicted objects there are."""
        return int(np.count_nonzero(self.predicted_sizes))

    @property
    def iou(self) -> Floats:
        """Intersection over union of each pair."""
        union = self.true_sizes[self.true] + self.predicted_sizes[self.predicted] - self.both
        found: Floats = self.both / union
        return found


def score_objects(found: Overlaps) -> dict[str, float]:
    """Scores the objects of one image.

    A pair matches when its IoU is above a threshold of 0.5 or more, which makes matches unique;
    TP, FP and FN are matched pairs, other predicted and other true objects.

    Returns:
        `ap_50` to `ap_95` by 5: TP / (TP + FP + FN) at IoU 0.50 to 0.95, in the sense of the 2018
        Data Science Bowl, and `ap`, their mean (`coco_ap` is another measure: see
        `model.scores.coco`). `f1` = TP / (TP + FP/2 + FN/2) at 0.5. `sq`, the mean IoU of the
        matched pairs, and `pq` = `f1` times `sq` (panoptic quality, Kirillov et al., 2019, whose RQ
        is `f1`). `merged`, the part of the true objects that lie by more than half in a predicted
        one that so holds another, too: under-segmentation; `split`, the part of the true objects
        that so hold two or more predicted ones: over-segmentation. Where there are no objects of
        both, nothing is wrong: 1, and 0 for `merged` and `split`.
    """
    n, m = found.true_count, found.predicted_count
    iou = found.iou
    scores: dict[str, float] = {}
    for hundredths in THRESHOLDS:
        hits = int(np.count_nonzero(iou > hundredths / 100))
        scores[f"ap_{hundredths}"] = hits / (n + m - hits) if n + m else 1.0
    matched = iou[iou > MATCHED_ABOVE]
    f1 = 2 * len(matched) / (n + m) if n + m else 1.0
    sq = float(matched.mean()) if len(matched) else float(n + m == 0)
    return {
        **scores,
        "ap": float(np.mean(list(scores.values()))),
        "f1": f1,
        "sq": sq,
        "pq": f1 * sq,
        "merged": _shared(found.true, found.predicted, found.both, found.true_sizes) / max(n, 1),
        "split": _holders(found) / max(n, 1),
    }


def _shared(inner: Ids, outer: Ids, both: Ids, sizes: Ids) -> int:
    """Returns how many of `inner` lie by more than half in an `outer` that so holds another."""
    homes = outer[2 * both > sizes[inner]]
    _, residents = np.unique(homes, return_counts=True)
    return int(residents[residents > 1].sum())


def _holders(found: Overlaps) -> int:
    """Returns how many true objects hold more than half of each of two or more predicted."""
    homes = found.true[2 * found.both > found.predicted_sizes[found.predicted]]
    _, residents = np.unique(homes, return_counts=True)
    return int(np.count_nonzero(residents > 1))


def _sizes(labels: Labels) -> Ids:
    sizes = np.bincount(labels.ravel(), minlength=1).astype(np.int64)
    sizes[0] = 0
    return sizes
