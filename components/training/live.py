"""Sample predictions in the tracking server while a network still learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras

from model.emergence import Emergence
from segtrail.images import encode_png
from segtrail.settings.training import Training


class LiveSamples(keras.callbacks.Callback):
    """Hands over a picture after each validation: the samples up to now, a column an epoch.

    It is to be called after `samples`, of which it shows what that has kept; a training that
    goes on shows the epochs before the break too.

    Args:
        samples: Whose answers are shown.
        options: How many steps an epoch has.
        keep: Takes a name such as `samples/step-000200.png` and the PNG file.
    """

    def __init__(
        self, samples: Emergence, options: Training, keep: Callable[[str, bytes], None]
    ) -> None:
        super().__init__()
        self._samples, self._options, self._keep = samples, options, keep

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        ends = [self._options.steps_after(k + 1) for k in range(len(self._samples.values))]
        self._keep(f"samples/step-{ends[-1]:06d}.png", encode_png(self._samples.sheet(ends)))
