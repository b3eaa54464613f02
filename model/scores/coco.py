"""Average precision in the sense of COCO: of a ranked list of all objects of all images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from model.scores.objects import THRESHOLDS

Floats = npt.NDArray[np.float64]

_HALF = 0.5
_RECALLS = np.linspace(0, 1, 101)
_TINY = np.finfo(float).tiny


class Ranking:
    """The predicted objects of all images, ranked by confidence (Lin et al., 2014).

    With each more object, recall rises and precision goes up or down; AP is the mean, over recalls
    0, 0.01, …, 1, of the highest precision at that recall or a higher one. Unlike `ap_50`, it is no
    mean over images, and it asks whether the model knows what it is unsure of.

    Masks of one image do not overlap, so above an IoU of one half a match is unique. COCO also
    counts an IoU of just the threshold; of two halves of one true object the one that is ranked
    higher matches.

    Args:
        confidence: `[n]` of the predicted objects.
        iou: `[n]`, of each with the true object that it overlaps best.
        true: `[n]`, which object that is, by numbers that are unique over all images.
    """

    def __init__(self, confidence: Floats, iou: Floats, true: npt.NDArray[np.int64]) -> None:
        self._order = np.argsort(-confidence, kind="stable")
        ranked, of = iou[self._order], true[self._order]
        halves = np.flatnonzero(ranked == _HALF)
        first = halves[np.unique(of[halves], return_index=True)[1]]
        ranked[np.setdiff1d(halves, first)] = 0
        self._hits = {t: np.flatnonzero(ranked >= t / 100) for t in THRESHOLDS}

    def average_precision(self, weight: Floats, wanted: float) -> dict[str, float]:
        """Returns `coco_ap_50` to `coco_ap_95`, and `coco_ap`, their mean.

        Args:
            weight: `[n]`, how often each object's image counts; 1, but in a bootstrap.
            wanted: The number of true objects, weighted alike.
        """
        ranked = weight[self._order]
        said = np.cumsum(ranked)
        found = {
            f"coco_ap_{hundredths}": self._interpolated(hits, ranked, said, wanted)
            for hundredths, hits in self._hits.items()
        }
        return found | {"coco_ap": float(np.mean(list(found.values())))}

    @staticmethod
    def _interpolated(
        hits: npt.NDArray[np.int64], ranked: Floats, said: Floats, wanted: float
    ) -> float:
        if wanted == 0:
            return float(said.size == 0 or said[-1] == 0)
        # precision is highest where a hit has just been made, so that only hits need be looked at
        made = np.cumsum(ranked[hits])
        precision = made / np.maximum(said[hits], _TINY)
        highest = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
        place = np.searchsorted(made / wanted, _RECALLS, side="left")
        return float(highest[place].mean())
