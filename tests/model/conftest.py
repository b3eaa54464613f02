"""One small transform graph, made by Beam, for all tests of what it feeds."""

import cv2
import numpy as np
import pytest


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


@pytest.fixture(scope="session")
def graph_folder(images, tmp_path_factory):
    """A transform graph that Beam learnt over `images`."""
    import apache_beam as beam
    import tensorflow_transform.beam as tft_beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from components.transform import _tensor_config, to_record_batch
    from model.preprocessing import grey_level_histogram, make_preprocessing_fn
    from segtrail.grey import to_grey
    from segtrail.recipe import Preprocessing

    options, folder = Preprocessing(), tmp_path_factory.mktemp("transform")
    histograms = [grey_level_histogram(to_grey(image)) for image in images]
    with (
        beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline,
        tft_beam.Context(temp_dir=str(folder / "temp")),
    ):
        batches = pipeline | beam.Create([histograms]) | beam.Map(to_record_batch)
        graph = (batches, _tensor_config(options)) | tft_beam.AnalyzeDataset(
            make_preprocessing_fn(options)
        )
        _ = graph | tft_beam.WriteTransformFn(str(folder / "graph"))
    return folder / "graph"
