"""Small transform graphs, made by Beam, and models exported with them, one a kind of mask."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from segtrail.recipe import Recipe
from segtrail.settings.dataset import Dataset
from segtrail.task import Task

KINDS = {  # classes, preprocessing, and the stride of the network's first convolution
    "instances": (["nucleus"], {}, 1),
    "classes": (["cytoplasm", "nucleus"], {"colour": "rgb"}, 2),
    "multilabel": (["disc", "cup"], {"colour": "rgb", "invert_bright": True, "scale": 2}, 1),
}


@dataclass(frozen=True)
class Case:
    """One kind of mask and all that was made for it."""

    recipe: Recipe
    task: Task
    layer: Any
    network: Any
    exported: Path


@pytest.fixture(scope="session")
def images():
    """Images of every kind: grey, RGB, RGBA; dark and bright; odd sizes."""
    generator = np.random.default_rng(7)
    shapes = [(64, 64), (33, 47, 3), (70, 41, 4), (1, 1), (5, 90, 3), (48, 48)]
    out = []
    for number, shape in enumerate(shapes):
        noise = generator.integers(0, 256, shape).astype(np.uint8)
        out.append((noise // 2 + (128 if number % 2 else 0)).astype(np.uint8))
    return out


@pytest.fixture(scope="session")
def encode():
    """Encodes RGB(A) or grey pixels."""

    def run(pixels, suffix=".png"):
        order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
        if pixels.ndim == 3:
            pixels = cv2.cvtColor(pixels, order[pixels.shape[2]])
        return cv2.imencode(suffix, pixels)[1].tobytes()

    return run


def make_graph(images, options, folder):
    """Writes a transform graph that Beam learnt over `images`."""
    import apache_beam as beam
    import tensorflow_transform.beam as tft_beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from components.transforming.cutting import to_record_batch
    from components.transforming.pipeline import tensor_config
    from model.preprocessing import level_histogram, make_preprocessing_fn
    from model.scaling import shrink
    from segtrail.colour import to_channels

    histograms = [
        level_histogram(shrink(to_channels(image, options.colour), options.scale))
        for image in images
    ]
    with (
        beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline,
        tft_beam.Context(temp_dir=str(folder / "temp")),
    ):
        batches = pipeline | beam.Create([histograms]) | beam.Map(to_record_batch)
        graph = (batches, tensor_config(options)) | tft_beam.AnalyzeDataset(
            make_preprocessing_fn(options)
        )
        _ = graph | tft_beam.WriteTransformFn(str(folder / "graph"))
    return folder / "graph"


@pytest.fixture(scope="session")
def learn():
    """Returns `make_graph`."""
    return make_graph


def make_recipe(kind):
    """Returns a recipe and its task; of the dataset's classes the first one is not learnt."""
    classes, preprocessing, stem_stride = KINDS[kind]
    recipe = Recipe.model_validate(
        {
            "dataset": "synthetic",
            "classes": classes,
            "preprocessing": preprocessing,
            "network": {"base_filters": 4, "depth": 2, "stem_stride": stem_stride},
            "training": {"steps": 1, "crop": 32},
            "objects": {"threshold": 0.5, "border_threshold": 0.7, "min_size": 2},
            "validation": {},
            "serving": {},
            "gate": {"absolute": [{"metric": "mean_iou", "min": 0.1}]},
        }
    )
    known = classes if kind == "instances" else ["other", *classes]
    dataset = Dataset.model_validate(
        {"adapter": "folders", "masks": kind, "classes": known, "slices": {}, "splits": {}}
    )
    return recipe, Task.of(recipe, dataset)


@pytest.fixture(scope="session")
def make_case(images, encode, tmp_path_factory):
    """Returns the case of a kind of mask, made once."""
    import keras
    import tensorflow_transform as tft

    from model.export import export
    from model.networks.registry import build
    from segtrail.colour import CHANNELS

    made = {}

    def run(kind):
        if kind not in made:
            recipe, task = make_recipe(kind)
            folder = tmp_path_factory.mktemp(kind)
            graph = make_graph(images, recipe.preprocessing, folder)
            layer = tft.TFTransformOutput(str(graph)).transform_features_layer()
            keras.utils.set_random_seed(5)
            channels = CHANNELS[recipe.preprocessing.colour]
            network = build(recipe.network, channels, len(task.planes))
            facts = {"recipe": "test", "data_version": "d.dir"}
            out = folder / "saved"
            export(network, layer, recipe, task, facts, out, encode(images[0]))
            made[kind] = Case(recipe, task, layer, network, out)
        return made[kind]

    return run


@pytest.fixture(scope="session", params=list(KINDS))
def case(request, make_case):
    """Each kind of mask in turn."""
    return make_case(request.param)


@pytest.fixture(scope="session")
def session():
    """Loads an exported model as TF Serving does, once."""
    from segtrail.session import SessionModel

    loaded = {}

    def run(folder):
        if folder not in loaded:
            loaded[folder] = SessionModel(folder)
        return loaded[folder]

    yield run
    for model in loaded.values():
        model.close()


@pytest.fixture(scope="session")
def reference():
    """Computes the planes of a model step by step, outside of it."""
    import tensorflow as tf

    from model.preprocessing import level_histogram, normalise
    from model.scaling import shrink
    from segtrail.colour import to_channels

    def run(image, case):
        options = case.recipe.preprocessing
        whole = to_channels(image, options.colour)
        pixels = shrink(whole, options.scale)
        x = normalise(case.layer, tf.constant(pixels), tf.constant(level_histogram(pixels)))
        step = case.recipe.network.down_scale
        height, width = pixels.shape[:2]
        x = np.pad(x.numpy(), [(0, -height % step), (0, -width % step), (0, 0)], mode="reflect")
        planes = tf.sigmoid(case.network(x[None], training=False))[0, :height, :width].numpy()
        if options.scale > 1:
            planes = tf.image.resize(planes, [height * options.scale, width * options.scale])
            planes = planes.numpy()[: whole.shape[0], : whole.shape[1]]
        return planes

    return run
