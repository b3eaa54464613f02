"""How masks emerge: what the network answers to a few validation tiles, epoch after epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from model.heads import chosen, mean_of_heads, probabilities
from segtrail import overlay
from segtrail.settings.loss import Head
from segtrail.settings.objects import Objects
from segtrail.task import Task

_COLUMNS = 8
_SIDE = 200  # pixels of a picture in the sheet


class Emergence(keras.callbacks.Callback):
    """Keeps the answers of each epoch, to be drawn as a sheet: a row a tile, a column an epoch.

    Args:
        inputs: float32 `[n, S, S, C]`, tiles as the network sees them.
        pictures: The n tiles as uint8 `[S, S, C]`.
        true: bool `[n, S, S, K]`.
        titles: Of the n tiles.
        task: What the network's planes are.
        head: What makes probabilities of its logits.
        objects: Whose threshold decides.
    """

    name = "samples"

    def __init__(
        self,
        inputs: npt.NDArray[np.float32],
        pictures: Sequence[npt.NDArray[np.uint8]],
        true: npt.NDArray[np.bool_],
        titles: Sequence[str],
        task: Task,
        head: Head,
        objects: Objects,
    ) -> None:
        super().__init__()
        self._inputs, self._true, self._titles = inputs, true, titles
        self._pictures = [p[..., 0] if p.shape[-1] == 1 else p for p in pictures]
        self._task, self._head, self._threshold = task, head, objects.threshold
        self.values: list[npt.NDArray[Any]] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        logits = mean_of_heads(
            keras.ops.cast(self.model(self._inputs, training=False), "float32"),
            len(self._task.planes),
        )
        p = probabilities(logits[..., : len(self._task.classes)], self._head)
        mask = chosen(p, self._head, self._task.masks == "classes", self._threshold)
        self.values.append(np.packbits(np.asarray(mask), axis=-1))

    def sheet(self, steps: Sequence[int]) -> npt.NDArray[np.uint8]:
        """Returns uint8 RGB: up to eight of the epochs, the first and the last among them.

        Args:
            steps: The step at the end of each epoch that was kept.
        """
        shown = np.unique(np.linspace(0, len(steps) - 1, _COLUMNS).round().astype(int))
        pictures, titles = [], []
        for tile, picture in enumerate(self._pictures):
            for epoch in shown:
                masks = np.unpackbits(self.values[epoch], axis=-1)[tile]
                mask = masks[..., : len(self._task.classes)].astype(bool)
                pictures.append(overlay.draw_classes(picture, mask, self._true[tile]))
                titles.append(f"{self._titles[tile]}  step {steps[epoch]}")
        page = overlay.sheet(pictures, titles, _SIDE, columns=len(shown))
        return np.vstack([overlay.legend(self._task.classes, page.shape[1]), page])
