"""The Beam pipeline: examples in; transform graph, and tiles with their keys, out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from components.transforming.cutting import AT_ONCE, decode_all, make_tiles, to_record_batch
from model.preprocessing import HISTOGRAM, IMAGE, LEVELS, make_preprocessing_fn
from segtrail.artifacts import TRAIN, VALIDATION
from segtrail.colour import CHANNELS
from segtrail.errors import ConfigError, StageError
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
    import apache_beam as beam
    import tensorflow_transform.beam as tft_beam
    from apache_beam.io.filesystems import FileSystems

    prefixes = {split: FileSystems.join(staging, f"tiles-{split}") for split in records}
    with _pipeline(pipeline_options) as pipeline, tft_beam.Context(temp_dir=staging):
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


@contextmanager
def _pipeline(options: Any) -> Iterator[Any]:
    """Yields a pipeline, and runs it; what goes wrong is told in a line."""
    import apache_beam as beam

    runner = options.view_as(beam.options.pipeline_options.StandardOptions).runner
    try:
        pipeline = beam.Pipeline(options=options)
    except (ValueError, ImportError, AttributeError) as e:
        raise ConfigError(
            f"--runner {runner}: {e}", "docs/runners.md says what each runner needs"
        ) from None
    yield pipeline
    try:
        pipeline.run().wait_until_finish()
    except (Exception, SystemExit) as e:
        raise StageError(
            f"{runner} failed: {type(e).__name__}: {_end_of(str(e))}",
            "docs/runners.md says what each runner needs; FnApiRunner runs in this process",
        ) from e


def _end_of(message: str, longest: int = 1500) -> str:
    """Returns the last lines of what Beam says, which are its workers'."""
    message = message.strip()
    return message if len(message) <= longest else "…" + message[-longest:]


def _shards(prefix: str) -> list[str]:
    from apache_beam.io.filesystems import FileSystems

    (found,) = FileSystems.match([prefix + "-*-of-*"])
    return sorted(file.path for file in found.metadata_list)
