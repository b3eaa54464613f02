"""The Beam pipeline: examples in; transform graph, and tiles with their keys, out."""

from __future__ import annotations

from typing import Any

from components.transforming.cutting import AT_ONCE, decode_all, make_tiles, to_record_batch
from components.transforming.runners import running
from model.preprocessing import HISTOGRAM, IMAGE, LEVELS, make_preprocessing_fn
from segtrail.artifacts import TRAIN, VALIDATION
from segtrail.colour import CHANNELS
from segtrail.quiet import import_quietly
from segtrail.settings.preprocessing import Preprocessing
from segtrail.task import Task

_BATCH = 64


def run(
    records: dict[str, str],
    options: Preprocessing,
    task: Task,
    staging: str,
    pipeline_options: Any,
) -> dict[str, list[str]]:
    """Learns the graph from the training images and cuts tiles of all.

    Each example is read and decoded once.

    Args:
        records: Where the workers read the examples of each split.
        options: The recipe's.
        task: What its target planes are.
        staging: A folder that all workers read and write; gets `graph` and the tiles.
        pipeline_options: See `components.transforming.runners`.

    Returns:
        The files with the tiles of each split.

    Raises:
        ConfigError: The runner cannot be had.
        StageError: It failed.
    """
    import_quietly("tensorflow")
    import apache_beam as beam
    import tensorflow_transform.beam as tft_beam
    from apache_beam.io.filesystems import FileSystems

    prefixes = {split: FileSystems.join(staging, f"tiles-{split}") for split in records}
    with running(pipeline_options) as pipeline, tft_beam.Context(temp_dir=staging):
        for split in (TRAIN, VALIDATION):
            images = (
                pipeline
                | f"read {split}" >> beam.io.ReadFromTFRecord(records[split])
                | f"some {split}" >> beam.BatchElements(AT_ONCE, AT_ONCE)
                | f"decode {split}" >> beam.FlatMap(decode_all, options, task)
            )
            _ = (
                images
                | f"tile {split}" >> beam.FlatMap(make_tiles, options)
                | f"write {split}" >> beam.io.WriteToTFRecord(prefixes[split], num_shards=0)
            )
            if split == TRAIN:
                batches = (
                    images
                    | "histograms" >> beam.Map(lambda image: image.histogram)
                    | beam.BatchElements(min_batch_size=_BATCH, max_batch_size=_BATCH)
                    | "to Arrow" >> beam.Map(to_record_batch)
                )
                graph = (batches, tensor_config(options)) | tft_beam.AnalyzeDataset(
                    make_preprocessing_fn(options)
                )
                _ = graph | tft_beam.WriteTransformFn(FileSystems.join(staging, "graph"))
    return {split: _shards(prefix) for split, prefix in prefixes.items()}


def tensor_config(options: Preprocessing) -> Any:
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


def _shards(prefix: str) -> list[str]:
    from apache_beam.io.filesystems import FileSystems

    (found,) = FileSystems.match([prefix + "-*-of-*"])
    return sorted(file.path for file in found.metadata_list)
