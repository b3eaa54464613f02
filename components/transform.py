"""Transform: Beam learns the transform graph over all training images and cuts the tiles."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.examples import Example
from model.preprocessing import (
    HISTOGRAM,
    IMAGE,
    LEVELS,
    level_histogram,
    make_preprocessing_fn,
)
from model.scaling import shrink, shrink_bits
from model.targets import target_planes
from model.tile_records import serialize_tile
from model.tiles import cut
from segtrail.artifacts import TRAIN, VALIDATION, Examples, TransformGraph, ValidationResult
from segtrail.colour import CHANNELS, to_channels
from segtrail.errors import ConfigError, StageError
from segtrail.files import atomic_folder, read_json, write_json
from segtrail.images import decode_image, read_labels
from segtrail.params import load_recipe
from segtrail.progress import say
from segtrail.settings.preprocessing import Preprocessing
from segtrail.task import Task, load_task
from segtrail.workspace import Workspace

DEFAULT_RUNNER = "FnApiRunner"  # in this process; "DirectRunner" would download another
_BATCH = 64


@dataclass(frozen=True)
class Decoded:
    """One image between decoding and tiling.

    Attributes:
        pixels: uint8 `[H, W, C]`, as the transform graph takes them.
        target: uint8 `[H, W]`, see `model.targets`.
        histogram: int64 `[C * 256]`, of the pixels.
        slice: The image's.
    """

    pixels: npt.NDArray[np.uint8]
    target: npt.NDArray[np.uint8]
    histogram: npt.NDArray[np.int64]
    slice: str


def transform(
    workspace: Workspace,
    name: str,
    runner: str = DEFAULT_RUNNER,
    runner_options: Sequence[str] = (),
) -> TransformGraph:
    """Analyses the training images and cuts the tiles of training and validation images.

    Args:
        workspace: Where `validate` has passed.
        name: The recipe.
        runner: A Beam runner, by name.
        runner_options: More Beam pipeline options, each `key=value` or a bare `key`.

    Raises:
        StageError: The examples did not pass validation.
        ConfigError: Beam does not know the runner.
    """
    recipe = load_recipe(workspace, name)
    examples = Examples.of(workspace, name).require()
    _refuse_invalid(ValidationResult.of(workspace, name).require())
    result = TransformGraph.of(workspace, name)
    with atomic_folder(result.root) as out:
        target = TransformGraph(out, name)
        options = [f"--runner={runner}", *(f"--{option}" for option in runner_options)]
        task = load_task(workspace, name)
        _run(examples, recipe.preprocessing, task, target, options)
        summary = _summary(examples, target)
        write_json(target.statistics, summary)
    tiles = ", ".join(f"{sum(n.values())} {split}" for split, n in summary["tiles"].items())
    say(f"transform graph over {summary['training_images']} images; tiles: {tiles}")
    return result


def _refuse_invalid(validation: ValidationResult) -> None:
    result = read_json(validation.result)
    if not result["passed"]:
        failed = "; ".join(item["says"] for item in result["failed"][:5])
        raise StageError(
            f"validation failed, nothing is learnt from these examples: {failed}",
            f"see {validation.docs}, mend the data, ingest it again",
        )


def _run(
    examples: Examples,
    options: Preprocessing,
    task: Task,
    out: TransformGraph,
    beam_options: list[str],
) -> None:
    import apache_beam as beam
    import tensorflow_transform.beam as tft_beam
    from apache_beam.options.pipeline_options import PipelineOptions

    try:
        pipeline = beam.Pipeline(options=PipelineOptions(beam_options))
    except (ValueError, ImportError, AttributeError, SystemExit) as e:
        raise ConfigError(f"Beam does not take {' '.join(beam_options)}: {e}") from None
    slices = _slices(examples)
    with (
        tempfile.TemporaryDirectory(prefix="segtrail-transform-") as temporary,
        pipeline,
        tft_beam.Context(temp_dir=temporary),
    ):
        for split, names in slices.items():
            images = (
                pipeline
                | f"read {split}" >> beam.io.ReadFromTFRecord(str(examples.records(split)))
                | f"decode {split}" >> beam.Map(decode, options, task)
            )
            if split == TRAIN:
                batches = (
                    images
                    | "histograms" >> beam.Map(lambda image: image.histogram)
                    | beam.BatchElements(min_batch_size=_BATCH, max_batch_size=_BATCH)
                    | "to Arrow" >> beam.Map(to_record_batch)
                )
                graph = (batches, _tensor_config(options)) | tft_beam.AnalyzeDataset(
                    make_preprocessing_fn(options)
                )
                _ = graph | tft_beam.WriteTransformFn(str(out.graph))
            for part in names:
                folder = out.root / "tiles" / split / part
                folder.mkdir(parents=True)
                _ = (
                    images
                    | f"only {split} {part}" >> beam.Filter(lambda i, part=part: i.slice == part)
                    | f"tile {split} {part}" >> beam.FlatMap(make_tiles, options)
                    | f"write {split} {part}"
                    >> beam.io.WriteToTFRecord(str(folder / "tiles"), num_shards=0)
                )


def decode(record: bytes, options: Preprocessing, task: Task) -> Decoded:
    """Reads an example and makes what the network sees and learns, at the recipe's scale."""
    example = Example.parse(record)
    image = decode_image(example.image_bytes, example.image)
    mask = read_labels(example.mask_bytes, f"{example.image} (mask)")
    pixels = shrink(to_channels(image, options.colour), options.scale)
    target = target_planes(mask, task, options.border_width * options.scale)
    target = shrink_bits(target, options.scale)
    return Decoded(pixels, target, level_histogram(pixels), example.slice)


def make_tiles(image: Decoded, options: Preprocessing) -> Iterator[bytes]:
    """Yields an image's tiles, serialized."""
    both = list(cut(np.dstack([image.pixels, image.target]), options.tile, options.stride))
    for tile in both:
        yield serialize_tile(tile[..., :-1], tile[..., -1], image.histogram, len(both))


def to_record_batch(histograms: list[npt.NDArray[np.int64]]) -> Any:
    """Returns histograms as one Arrow record batch, the only thing that is analysed."""
    import pyarrow as pa

    lists = pa.array([h.tolist() for h in histograms], pa.large_list(pa.int64()))
    return pa.RecordBatch.from_arrays([lists], [HISTOGRAM])


def _tensor_config(options: Preprocessing) -> Any:
    """Returns how TF Transform reads the batches: the image is declared, but never comes."""
    import pyarrow as pa
    import tensorflow as tf
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig

    channels = CHANNELS[options.colour]
    levels = channels * LEVELS
    histogram = text_format.Parse(
        f'dense_tensor {{ column_name: "{HISTOGRAM}" shape {{ dim {{ size: {levels} }} }} }}',
        schema_pb2.TensorRepresentation(),
    )
    return TensorAdapterConfig(
        pa.schema([(HISTOGRAM, pa.large_list(pa.int64()))]),
        {HISTOGRAM: histogram},
        original_type_specs={
            IMAGE: tf.TensorSpec([None, channels], tf.uint8),
            HISTOGRAM: tf.TensorSpec([None, levels], tf.int64),
        },
    )


def _slices(examples: Examples) -> dict[str, list[str]]:
    """Returns the slices that each split of tiles has."""
    import pandas as pd

    manifest = pd.read_parquet(examples.manifest, columns=["split", "slice"])
    return {
        split: sorted(manifest.loc[manifest["split"] == split, "slice"].unique())
        for split in (TRAIN, VALIDATION)
    }


def _summary(examples: Examples, out: TransformGraph) -> dict[str, Any]:
    import pandas as pd
    import tensorflow as tf

    manifest = pd.read_parquet(examples.manifest, columns=["split"])
    tiles: dict[str, Counter[str]] = {}
    for split in (TRAIN, VALIDATION):
        tiles[split] = Counter()
        for part, paths in out.tiles(split).items():
            tiles[split][part] = sum(1 for _ in tf.data.TFRecordDataset([str(p) for p in paths]))
        if not tiles[split].total():
            raise StageError(
                f"no tiles of {split} images: nothing can be learnt",
                f"look at the split of {examples.manifest}; ingest more images",
            )
    return {
        "training_images": int((manifest["split"] == TRAIN).sum()),
        "tiles": {split: dict(n) for split, n in tiles.items()},
    }
