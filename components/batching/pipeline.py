"""The Beam pipeline: chunks of images in; masks and parts of the tables out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.batching import chunks, parts
from components.batching.chunks import Place
from components.batching.output import Output
from components.batching.segmenting import Segmenter
from components.batching.watching import watched
from components.transforming.runners import running
from segtrail.errors import StageError
from segtrail.session import SessionModel
from segtrail.settings.objects import Objects
from segtrail.task import Task


@dataclass(frozen=True)
class Job:
    """What a worker must know.

    Attributes:
        model: The SavedModel's folder.
        version: Its version.
        task: What its masks tell.
        objects: The definition of an object.
        out: Where results go; all workers see it at this path.
        run: Which run this is: see `components.batching.output.Part`.
        shared: Beam's handle of the loaded model, of which a process has one.
    """

    model: Path
    version: int
    task: Task
    objects: Objects
    out: Output
    run: int
    shared: Any

    def load(self) -> SessionModel:
        """Returns the model; the first time in a process, it is loaded."""
        return load(self.shared, self.model)


def load(shared: Any, model: Path) -> SessionModel:
    """Returns a model by Beam's handle: see `apache_beam.utils.shared`.

    Raises:
        ServingError: It cannot be loaded.
    """
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # several workers on one GPU
    found: SessionModel = shared.acquire(lambda: SessionModel(model))
    return found


def run(job: Job, places: Sequence[Place], options: Any) -> None:
    """Segments all chunks, and tells how far it is.

    Args:
        job: What to do.
        places: The chunks, in `job.out.todo`.
        options: See `components.transforming.runners`.

    Raises:
        ConfigError: The runner cannot be had.
        StageError: It failed, or workers wrote elsewhere than in OUT.
    """
    import apache_beam as beam

    with watched(job.out, job.run, places), running(options) as pipeline:
        _ = (
            pipeline
            | beam.Create([tuple(place) for place in places])
            | beam.Reshuffle()  # lets the runner deal the chunks out
            | "segment" >> beam.Map(segment_chunk, job)
        )
    written = sum(1 for part in job.out.parts() if part.run == job.run)
    if written != len(places):
        raise StageError(
            f"the runner is done, but {len(places) - written} of {len(places)} chunks of images "
            f"are not in {job.out.root}",
            "all workers must see OUT, IN and the workspace at the same paths as this process",
        )


def segment_chunk(place: tuple[int, int, int], job: Job) -> None:
    """Segments the images of one chunk and writes its part: what a worker does."""
    chunk = Place(*place)
    segmenter = Segmenter(job.load, job.task, job.objects, job.version, job.out)
    found = segmenter.segment(chunks.read(job.out.todo, chunk))
    parts.write(job.out.part(job.run, chunk.number), found, job.task)
