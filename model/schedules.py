"""The learning rate over the steps of a training."""

from __future__ import annotations

from typing import Any

from segtrail.settings.training import Training

_START = 0.01  # of the rate, where a warm-up begins


def learning_rate(options: Training) -> Any:
    """Returns what an optimizer takes: a Keras schedule, or the rate itself.

    All but `plateau` rise over the first `warm_up` of the steps in a straight line from a
    hundredth of the rate. Then `cosine` falls to `final` times the rate at the last step
    (Loshchilov and Hutter, 2017); `step` is multiplied by `factor` after each `every` steps;
    `constant` stays. `plateau` starts at the rate and is lowered by a callback.

    Args:
        options: Steps, rate and schedule.
    """
    import keras

    schedule, rate = options.schedule, options.learning_rate
    rising = int(options.steps * schedule.warm_up)
    if schedule.kind == "plateau":
        return rate
    if schedule.kind == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            _START * rate,
            max(options.steps - rising, 1),
            alpha=schedule.final,
            warmup_target=rate,
            warmup_steps=rising,
        )
    falls = range(schedule.every, options.steps, schedule.every) if schedule.kind == "step" else ()
    return _WarmUpThenSteps(rate, rising, list(falls), schedule.factor)


def _WarmUpThenSteps(rate: float, rising: int, falls: list[int], factor: float) -> Any:
    import keras
    from keras import ops

    class WarmUpThenSteps(keras.optimizers.schedules.LearningRateSchedule):
        """A straight rise, then the rate times `factor` for each fall that is past."""

        def __call__(self, step: Any) -> Any:
            step = ops.cast(step, "float32")
            past = sum(ops.cast(step >= fall, "float32") for fall in falls) if falls else 0.0
            fallen = rate * ops.power(factor, past)
            if not rising:
                return fallen
            part = ops.minimum(step / rising, 1.0)
            return fallen * (_START + (1 - _START) * part)

        def get_config(self) -> dict[str, Any]:
            return {"rate": rate, "rising": rising, "falls": falls, "factor": factor}

    return WarmUpThenSteps()
