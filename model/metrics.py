"""What training is watched by: IoU and Dice of the classes, over all pixels seen."""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import Any

from model.heads import chosen_planes, mean_of_heads, plane_probabilities
from segtrail.settings.loss import head_of
from segtrail.settings.training import Training
from segtrail.task import Task

THRESHOLD = 0.5


def make_metrics(training: Training, task: Task) -> list[Any]:
    """Returns the Keras metrics of a recipe.

    `iou` and `dice` are means over the classes, `iou_<class>` and `dice_<class>`, of recipes
    with more than one, those of each. All come from one `keras.metrics.F1Score` (Dice is the F1
    score of a plane's pixels, IoU = Dice / (2 - Dice)), so that a step counts its pixels once.
    A class is where `model.heads.chosen` says, which is what an answer shows; of a deeply
    supervised network the mean of its heads' logits counts. 0 for a class that was neither
    there nor predicted.

    The first metric counts for all: hand them to `compile` together.

    Args:
        training: Whose loss tells the head.
        task: What the planes are: K classes, and with objects the border, which is not scored.
    """
    import keras
    from keras import ops

    head, classes = head_of(training.loss), len(task.classes)
    counted = keras.metrics.F1Score(average=None, threshold=THRESHOLD, name="pixels")

    def of_each() -> Any:
        return counted.result()

    class Counting(keras.metrics.Metric):
        """Counts pixels; its result is the mean IoU."""

        def __init__(self) -> None:
            super().__init__(name="iou")
            self.counted = counted

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            logits = mean_of_heads(ops.cast(y_pred, "float32"), len(task.planes))[..., :classes]
            p = plane_probabilities(ops.unstack(logits, axis=-1), head)
            where = chosen_planes(p, head, task.masks == "classes", THRESHOLD)
            counted.update_state(
                ops.reshape(y_true[..., :classes], (-1, classes)),
                ops.stack([ops.reshape(ops.cast(w, "float32"), (-1,)) for w in where], -1),
            )

        def result(self) -> Any:
            return ops.mean(_iou(of_each()))

        def reset_state(self) -> None:
            counted.reset_state()

    class Shown(keras.metrics.Metric):
        """Shows one more number of what was counted."""

        def __init__(self, name: str, number: Any) -> None:
            super().__init__(name=name)
            self.number = number

        def update_state(self, *_: Any, **__: Any) -> None:
            """The counting metric has counted."""

        def result(self) -> Any:
            return self.number(of_each())

        def reset_state(self) -> None:
            """The counting metric forgets."""

    made: list[Any] = [Counting(), Shown("dice", ops.mean)]
    if classes > 1:
        for k, name in enumerate(task.classes):
            made.append(Shown(f"iou_{name}", partial(_iou_of, k=k)))
            made.append(Shown(f"dice_{name}", itemgetter(k)))
    return made


def _iou(dice: Any) -> Any:
    return dice / (2 - dice)


def _iou_of(dice: Any, k: int) -> Any:
    return _iou(dice[k])
