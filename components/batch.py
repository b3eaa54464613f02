"""Batch inference: Beam asks a promoted model for any number of images and writes tables."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.batching import chunks, pipeline, resuming
from components.batching.measuring import image_schema, object_schema
from components.batching.merging import merge
from components.batching.output import KIND, Output
from components.batching.parts import read_rows
from components.batching.pipeline import Job
from components.batching.promoted import Promoted
from components.batching.resuming import Earlier
from components.batching.sources import Sources, find, other_files
from components.transforming.runners import IN_PROCESS, beam_options
from model.evaluation import segments
from segtrail import code, git
from segtrail.errors import WorkspaceError
from segtrail.files import sha256_file, write_json
from segtrail.lock import alone
from segtrail.progress import say
from segtrail.task import Task, own_places
from segtrail.workspace import Workspace


@dataclass(frozen=True)
class BatchResult:
    """What was done.

    Attributes:
        out: The folder of results.
        recipe: The recipe.
        version: The model's version.
        model_digest: Hex SHA-256 that names the model.
        images: Rows of `images.parquet`.
        objects: Rows of `objects.parquet`.
        segmented: Images that were asked for now.
        kept: Images whose results were there already.
        bad: Images in `bad.csv`.
        seconds: That it took.
    """

    out: Path
    recipe: str
    version: int
    model_digest: str
    images: int
    objects: int
    segmented: int
    kept: int
    bad: int
    seconds: float

    @property
    def says(self) -> str:
        """All of it in a line."""
        rate = f" ({self.segmented / self.seconds:.1f} a second)" if self.segmented else ""
        bad = f"{self.bad:,} bad" + (f": see {self.out / 'bad.csv'}" if self.bad else "")
        return (
            f"{self.recipe} v{self.version}: {self.images:,} images, {self.objects:,} objects in "
            f"{self.out}; {self.segmented:,} segmented{rate}, {self.kept:,} kept, {bad}"
        )


def batch(
    workspace: Workspace,
    recipe: str,
    source: Path,
    out: Path,
    *,
    version: int | None = None,
    runner: str = IN_PROCESS,
    runner_options: Sequence[str] = (),
    overwrite: bool = False,
) -> BatchResult:
    """Segments images by a promoted model; what is done already is not done again.

    Images that cannot be segmented are listed in `bad.csv` and stop nothing.

    Args:
        workspace: Where the model was promoted.
        recipe: The recipe.
        source: A folder of images, or a text file with a path on each line.
        out: Gets masks, tables and `batch.json`: see docs/batch.md. All workers must see this
            folder, the images and the workspace.
        version: Of the model; by default the champion.
        runner: A Beam runner, by name.
        runner_options: More Beam pipeline options, each `key=value` or a bare `key`.
        overwrite: Whether results of another model, or of images that are no longer in `source`,
            may be lost.

    Raises:
        ConfigError: No such version or runner; or `out` has something else in it.
        DataError: There is no image.
        LineageError: The version is not as it was promoted.
        StageError: Nothing of the recipe serves, the runner failed, or another process writes
            into `out`.
        ServingError: The model cannot be loaded.
    """
    started, clock = _now(), time.monotonic()
    options = beam_options(runner, runner_options)
    promoted = Promoted.of(workspace, recipe, version)
    source, output = Path(os.path.abspath(source)), Output(Path(os.path.abspath(out)))
    sources = find(source, output.root)
    about = output.read_about()
    own = about is not None and resuming.is_own(output, about, promoted, overwrite)
    with alone(output.work / "lock", f"{out}: another segtrail batch is writing there"):
        if not own:
            resuming.wipe(output)
        earlier = resuming.earlier(output, about)
        if not overwrite:
            resuming.require_there(output, earlier.done, sources.paths)
        facts = {
            "kind": KIND, "recipe": recipe, "version": promoted.version,
            "model_digest": promoted.digest, **promoted.proof, "code": _code(),
            "source": str(source), "runner": runner, "started": started, "ended": None,
            "counts": None, "files": about.get("files") if about and own else None,
        }  # fmt: skip
        write_json(output.about, facts)
        _say_what(promoted, source, sources, earlier)
        job = _job(promoted, output, earlier.run)
        places = chunks.write(sources.paths, earlier.done, output.todo)
        pipeline.run(job, places, options)
        counts = _merge(job, len(places), sources, earlier)
        files = {path.name: sha256_file(path) for path in output.tables}
        write_json(output.about, facts | {"counts": counts, "files": files, "ended": _now()})
        shutil.rmtree(output.parts_folder)
        output.todo.unlink()
    seconds = time.monotonic() - clock
    result = BatchResult(
        output.root, recipe, promoted.version, promoted.digest, seconds=seconds, **counts
    )
    say(result.says)
    return result


def _say_what(promoted: Promoted, source: Path, sources: Sources, earlier: Earlier) -> None:
    done = f", {len(earlier.done):,} done before" if earlier.done else ""
    others = f"; {other_files(sources.others)} passed over" if sources.others else ""
    images = f"{len(sources.paths):,} images of {source}"
    say(f"{promoted.recipe} v{promoted.version}: {images}{done}{others}")


def _job(promoted: Promoted, output: Output, run: int) -> Job:
    """Returns the job; the model is loaded, which in this process is not done again."""
    from apache_beam.utils.shared import Shared

    shared = Shared()
    masks, classes = segments(pipeline.load(shared, promoted.folder))
    task = Task(masks, classes, tuple(own_places(len(classes))))  # type: ignore[arg-type]
    return Job(promoted.folder, promoted.version, task, promoted.objects, output, run, shared)


def _merge(job: Job, chunk_count: int, sources: Sources, earlier: Earlier) -> dict[str, int]:
    """Makes the tables of what was kept and what is new; returns the counts."""
    output, tables = job.out, list(earlier.tables)
    owner = {image: place for image, place in earlier.owner.items() if image in sources.paths}
    bad, new = dict(sources.unnamed), 0
    for number in range(chunk_count):
        part = output.part(job.run, number)
        for row in read_rows(part.images):
            if row.problem is None:
                owner[row.image], new = len(tables), new + 1
            else:
                owner.pop(row.image, None)
                bad[row.image] = row.problem
        tables.append((part.images, part.objects))
    aside = {path: output.work / path.name for path in output.tables}
    merge([images for images, _ in tables], owner, image_schema(job.task), aside[output.images])
    objects = [objects for _, objects in tables]
    rows = merge(objects, owner, object_schema(), aside[output.objects])
    with aside[output.bad].open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("image", "problem"), *sorted(bad.items())])
    for path, made in aside.items():
        os.replace(made, path)
    resuming.sweep(output, owner, job.task.has_objects)
    kept = len(owner) - new
    return {
        "images": len(owner), "objects": rows, "segmented": new, "kept": kept, "bad": len(bad)
    }  # fmt: skip


def _code() -> dict[str, Any]:
    """Returns what runs here: its digest; and the commit and what that does not hold, if in git."""
    commit, uncommitted = None, None
    with contextlib.suppress(WorkspaceError):
        commit = git.head(code.ROOT)
        uncommitted = [path for path in git.dirty_paths(code.ROOT) if code.is_code(path)]
    return {"digest": code.code_digest(), "commit": commit, "uncommitted": uncommitted}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
