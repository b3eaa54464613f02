"""The loop: what ends it, what it keeps, and that a killed one goes on as if it never was."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from model.hardware.planning import Plan
from segtrail.errors import StageError
from segtrail.settings.training import Training
from segtrail.task import Task

ONE_CPU = Plan("one-device", ("CPU:0",), "float32", False, ())
TASK = Task("multilabel", ("disc",), ((1,),))


def tiny_network(scale: float = 1.0):
    import keras

    keras.utils.set_random_seed(1)
    inputs = keras.Input((None, None, 1))
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.Dropout(0.2)(keras.layers.ReLU()(x))
    return keras.Model(inputs, keras.layers.Conv2D(1, 1)(x * scale))


def images(n: int = 16):
    random = np.random.default_rng(0)
    x = random.normal(size=(n, 16, 16, 1)).astype(np.float32)
    y = (x > 0.3).astype(np.float32)
    return x, y


def batches(start: int = 0):
    import tensorflow as tf

    # 22 images: neither an epoch nor a training ends where they begin again
    return tf.data.Dataset.from_tensor_slices(images(22)).repeat().skip(start * 4).batch(4)


def validation(contrary: bool = False):
    """Returns validation batches; contrary ones say the opposite of what is to be learnt."""
    import tensorflow as tf

    x, y = images(8)
    return tf.data.Dataset.from_tensor_slices((x, 1 - y if contrary else y)).batch(4)


def run(network=None, told=None, contrary=False, **options):
    from model.training import fit

    settings = {"steps": 12, "validate_every": 4, "learning_rate": 0.02} | options
    return fit(
        network or tiny_network(),
        batches,
        validation(contrary),
        Training.model_validate(settings),
        TASK,
        ONE_CPU,
        None,
        (lambda values, step: told.append(step)) if told is not None else (lambda *_: None),
    )


def test_it_learns_and_tells_each_epoch():
    told = []
    history = run(steps=50, validate_every=20, learning_rate=0.1, told=told)
    assert told == [20, 40, 50] == [row["step"] for row in history]
    assert history[-1]["val_iou"] > 0.8
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[0]["learning_rate"] > history[-1]["learning_rate"] > 0


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_weights_kept_are_those_of_the_epoch_named(keep):
    from model.training import best_epoch

    network = tiny_network()
    history = run(network, contrary=True, keep=keep, monitor="loss")
    best = best_epoch(history, Training(steps=1, monitor="loss"))
    assert best is history[0]
    wanted = (best if keep == "best" else history[-1])["val_loss"]
    assert loss_of(network) == pytest.approx(wanted, rel=1e-3)


def loss_of(network) -> float:
    from model.losses import make_loss

    loss = make_loss(Training(steps=1), TASK)
    each = [float(loss(y, network(x, training=False))) for x, y in validation(contrary=True)]
    return float(np.mean(each))


def test_it_stops_early_and_plateaus_lower_the_rate():
    history = run(
        steps=400, validate_every=4, learning_rate=0.9, monitor="loss",
        schedule={"kind": "plateau", "patience": 1, "factor": 0.5},
        early_stopping={"patience": 4},
    )  # fmt: skip
    losses = [row["val_loss"] for row in history]
    assert len(history) < 100
    assert int(np.argmin(losses)) == len(losses) - 1 - 4
    assert history[-1]["learning_rate"] < history[0]["learning_rate"]


def test_no_number_any_more_ends_it_with_help():
    with pytest.raises(
        StageError, match=r"broke down after step 0: loss is not a number"
    ) as caught:
        run(tiny_network(scale=float("nan")))
    assert "training.learning_rate (now 0.02)" in caught.value.hint


SCRIPT = textwrap.dedent(
    """
    import hashlib, os, signal, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    import test_training as t
    import keras, tensorflow as tf, numpy as np
    from model.checkpoints import Checkpoints
    from model.training import fit
    from segtrail.settings.training import Training

    kill_at = int(sys.argv[3])
    options = Training.model_validate({
        "steps": 22, "validate_every": 4, "learning_rate": 0.5, "monitor": "loss",
        "keep": sys.argv[4], "early_stopping": {"patience": 4},
        "schedule": {"kind": "plateau", "patience": 1},
    })
    network = t.tiny_network()
    tf.config.experimental.enable_op_determinism()

    def tell(values, step):
        if step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoints = Checkpoints(Path(sys.argv[2]))
    history = fit(network, t.batches, t.validation(), options, t.TASK, t.ONE_CPU, checkpoints, tell)
    digest = hashlib.sha256(b"".join(np.asarray(v).tobytes() for v in network.variables))
    rows = [sorted(row.items()) for row in history]
    print("RESULT", digest.hexdigest(), rows)
    """
)


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["best", "last"])
def test_killed_and_resumed_gives_the_weights_of_an_unbroken_run(tmp_path, keep):
    def go(name: str, kill_at: int = 0) -> str | None:
        from pathlib import Path

        arguments = [str(Path(__file__).parent), str(tmp_path / name), str(kill_at), keep]
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=False
        )
        if kill_at:
            assert done.returncode == -9, done.stderr
            return None
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
        assert lines, done.stderr
        return lines[0]

    unbroken = go("unbroken")
    go("killed", kill_at=16)  # while the epoch is told, before it is saved
    assert go("killed") == unbroken
    assert go("killed") == unbroken  # nothing left to train: what the end was is there
