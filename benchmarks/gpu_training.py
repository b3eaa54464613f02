"""Training speed of the 64-filter U-Net, in images a second, by precision and batch size.

    python benchmarks/gpu_training.py [--backend tensorflow|jax] [--side N] [--base-filters 64]
        [--batches 16 32 64] [--steps 30] [--xla auto|on|off] [--tiny] [--json FILE]
        [--recipe NAME]

Each step is Keras's own: forward, backward, AdamW. The batch is constant and lies on the device,
so that only computing is measured; with `--recipe`, on TensorFlow, the recipe's own pipeline of
decoded, normalised and augmented crops of the finished workspace is measured beside it.

The backend is TensorFlow if it sees a GPU, else JAX if that does. Without any GPU a tiny network
is measured, only to show that this runs. A batch that does not fit is said to be out of memory.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

CHANNELS, OUTPUTS, WARM_UP = 3, 2, 3
PRECISIONS = ("float32", "mixed_bfloat16")
# A process of its own: whoever asks holds the GPU's memory from then on.
_HAS_GPU = {
    "tensorflow": "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))",
    "jax": "import jax; print(sum(d.platform in ('gpu', 'cuda') for d in jax.devices()))",
}


def has_gpu(backend: str) -> bool:
    """Returns whether a backend sees a GPU; False also where it is not installed."""
    answer = subprocess.run(
        [sys.executable, "-c", _HAS_GPU[backend]], capture_output=True, text=True, check=False
    )
    return answer.returncode == 0 and answer.stdout.split()[-1:] not in ([], ["0"])


def choose(asked: str | None) -> tuple[str, bool]:
    """Returns the Keras backend and whether it has a GPU."""
    if asked:
        return asked, has_gpu(asked)
    return next(((name, True) for name in _HAS_GPU if has_gpu(name)), ("tensorflow", False))


def network(base_filters: int, depth: int) -> Any:
    """Returns the published `unet-64` (see `segtrail.settings.published`), or a smaller one."""
    from model.networks.registry import build
    from segtrail.settings.network import Unet

    options = Unet(base_filters=base_filters, depth=depth, up_kernel=3, bias=True)
    return build(options, CHANNELS, OUTPUTS)


def compiled(options: argparse.Namespace, precision: str) -> Any:
    """Returns a new network with loss and optimizer, in a precision."""
    import keras

    keras.utils.clear_session()
    gc.collect()
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(1)
    found = network(options.base_filters, options.depth)
    found.compile(
        keras.optimizers.AdamW(1e-4),
        keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile={"on": True, "off": False, "auto": "auto"}[options.xla],
    )
    return found


def constant_batches(batch: int, side: int) -> Callable[[int], Any]:
    """Returns a function of a number of steps to that many times one made-up batch."""
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, side, side, CHANNELS)).astype(np.float32)
    y = (rng.random((batch, side, side, OUTPUTS)) < 0.3).astype(np.float32)

    def give(steps: int) -> Any:
        import keras

        # once on the device: copying from the host each step would be measured too
        xs, ys = keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(y)
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            return tf.data.Dataset.from_tensors((xs, ys)).cache().repeat(steps)
        return ((xs, ys) for _ in range(steps))

    return give


def crop_of(name: str) -> int:
    """Returns the side of a recipe's crops, pixels."""
    from segtrail.params import load_recipe
    from segtrail.workspace import Workspace

    return load_recipe(Workspace.find(), name).training.crop


def recipe_batches(name: str, batch: int) -> Callable[[int], Any]:
    """Returns the same of a recipe's own pipeline, at its crop."""
    import tensorflow_transform as tft

    from model.training_data import training_batches
    from segtrail.artifacts import TRAIN, TransformGraph
    from segtrail.params import load_recipe
    from segtrail.task import load_task
    from segtrail.workspace import Workspace

    workspace = Workspace.find()
    recipe, task = load_recipe(workspace, name), load_task(workspace, name)
    transform = TransformGraph.of(workspace, name).require()
    graph = tft.TFTransformOutput(str(transform.graph)).transform_features_layer()
    training = recipe.training.model_copy(update={"batch_size": batch})
    batches = training_batches(
        transform.tiles(TRAIN), graph, recipe.preprocessing, training, len(task.planes)
    )
    return lambda steps: batches.take(steps).map(_to_shape)


def _to_shape(x: Any, y: Any) -> tuple[Any, Any]:
    """Repeats or drops channels and planes, so that every recipe trains the same network."""
    import tensorflow as tf

    channels = [number % x.shape[-1] for number in range(CHANNELS)]
    planes = [number % y.shape[-1] for number in range(OUTPUTS)]
    return tf.gather(x, channels, axis=-1), tf.gather(y, planes, axis=-1)


def images_a_second(model: Any, batches: Callable[[int], Any], batch: int, steps: int) -> float:
    """Returns the speed of `steps` steps after some that compile and fill the buffers."""
    import keras

    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: times.append(time.perf_counter())
    )
    times: list[float] = []
    # epochs of as many steps on one iterator: the first ones warm up, the last one counts
    epochs = 1 + -(-WARM_UP // steps)
    model.fit(
        batches(epochs * steps), epochs=epochs, steps_per_epoch=steps, verbose=0, shuffle=False,
        callbacks=[clock],
    )  # fmt: skip
    return batch * steps / (times[-1] - times[-2])


def measure(options: argparse.Namespace, precision: str, batch: int, source: str) -> dict[str, Any]:
    """Returns a row of the table; `images_a_second` is None where memory ran out."""
    side = options.side if source == "constant" else crop_of(options.recipe)
    row: dict[str, Any] = {"precision": precision, "batch": batch, "data": source, "side": side}
    try:
        batches = (
            constant_batches(batch, options.side)
            if source == "constant"
            else recipe_batches(options.recipe, batch)
        )
        model = compiled(options, precision)
        speed: float | None = round(images_a_second(model, batches, batch, options.steps), 2)
    except Exception as e:
        if "RESOURCE_EXHAUSTED" not in str(e) and "ResourceExhausted" not in type(e).__name__:
            raise
        speed = None
    return row | {"images_a_second": speed}


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measures, prints the table and returns what `--json` writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=list(_HAS_GPU))
    parser.add_argument("--side", type=int, help="pixels; 256, or with --recipe its crop")
    parser.add_argument("--base-filters", type=int, default=64)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--xla", choices=["auto", "on", "off"], default="auto")
    parser.add_argument("--recipe", help="also measure this recipe's own pipeline (TensorFlow)")
    parser.add_argument("--tiny", action="store_true", help="measure the tiny network anyhow")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args(arguments)

    backend, gpu = choose(options.backend)
    os.environ["KERAS_BACKEND"] = backend
    if options.recipe and backend != "tensorflow":
        sys.exit("--recipe: the recipes' pipelines are tf.data; it needs --backend tensorflow")
    if options.tiny or not gpu:
        print("tiny network" + ("" if gpu else ": no GPU, so the figures say nothing of one"))
        options.base_filters, options.depth, options.side = 4, 2, 64
        options.batches, options.steps = [2], 3

    options.side = options.side or (crop_of(options.recipe) if options.recipe else 256)

    import keras

    parameters = network(options.base_filters, options.depth).count_params()
    device = _device(backend)
    print(
        f"Keras {keras.__version__} on {backend}, {device}: {parameters:,} parameters, "
        f"{options.steps} steps, XLA {options.xla}"
    )
    sources = ["constant", *([f"recipe {options.recipe}"] if options.recipe else [])]
    rows = []
    print(f"{'data':18}{'side':>5} {'precision':18}{'batch':>6}{'images/s':>12}")
    for source in sources:
        for precision in PRECISIONS:
            for batch in options.batches:
                row = measure(options, precision, batch, source)
                rows.append(row)
                speed = row["images_a_second"]
                said = "out of memory" if speed is None else f"{speed:.1f}"
                print(f"{source:18}{row['side']:>5} {precision:18}{batch:>6}{said:>12}", flush=True)
    found = {
        "backend": backend, "device": device, "gpu": gpu, "keras": keras.__version__,
        "parameters": parameters, "steps": options.steps,
        "base_filters": options.base_filters, "xla": options.xla, "rows": rows,
    }  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


def _device(backend: str) -> str:
    if backend == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    from model.hardware.machine import look

    machine = look(tensorflow=True)
    gpus = machine.usable_gpus
    return gpus[0].name if gpus else machine.cpu


if __name__ == "__main__":
    main()
