"""How a mask emerges, seen while training goes on."""

import cv2
import numpy as np
import pytest

from segtrail.settings.objects import Objects
from segtrail.settings.training import Training
from segtrail.task import Task


@pytest.mark.slow
def test_a_picture_comes_after_each_validation_also_after_a_break():
    import keras

    from components.training.live import LiveSamples
    from model.emergence import Emergence

    def make(seen):
        random = np.random.default_rng(0)
        tiles = random.integers(0, 255, (2, 32, 32, 1)).astype(np.uint8)
        true = tiles > 128
        samples = Emergence(
            (tiles / 255).astype(np.float32), list(tiles), true, ["a", "b"],
            Task("multilabel", ("disc",), ((1,),)), "sigmoid", Objects(),
        )  # fmt: skip
        options = Training.model_validate({"steps": 7, "validate_every": 3})
        live = LiveSamples(samples, options, lambda name, png: seen.append((name, png)))
        inputs = keras.Input((None, None, 1))
        network = keras.Model(inputs, keras.layers.Conv2D(1, 1)(inputs))
        for callback in (samples, live):
            callback.set_model(network)
        return samples, live

    seen = []
    samples, live = make(seen)
    for epoch in range(2):
        samples.on_epoch_end(epoch)
        live.on_epoch_end(epoch)
    again, live = make(seen)
    again.values = list(samples.values)  # as a checkpoint gives them back
    again.on_epoch_end(2)
    live.on_epoch_end(2)
    assert [name for name, _ in seen] == [
        "samples/step-000003.png", "samples/step-000006.png", "samples/step-000007.png",
    ]  # fmt: skip
    widths = [cv2.imdecode(np.frombuffer(png, np.uint8), 1).shape[1] for _, png in seen]
    assert widths[0] < widths[1] < widths[2]  # a column an epoch
