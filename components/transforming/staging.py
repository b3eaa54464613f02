"""The folder that Beam's workers share with this process: in the workspace, or in a bucket."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from segtrail.artifacts import Examples, TransformGraph
from segtrail.errors import ConfigError


@dataclass(frozen=True)
class Staging:
    """Where workers read and write.

    Attributes:
        folder: A path or a URL.
        records: The examples, by split.
    """

    folder: str
    records: dict[str, str]

    def fetch_graph(self, out: TransformGraph) -> None:
        """Copies the transform graph out of the folder, without a random number of TensorFlow's.

        So the same examples give the same bytes.
        """
        import tensorflow as tf

        source = f"{self.folder}/graph"
        for folder, _, names in tf.io.gfile.walk(source):
            target = out.graph / folder[len(source) :].strip("/")
            target.mkdir(parents=True, exist_ok=True)
            for name in names:
                if name == "fingerprint.pb":
                    continue
                tf.io.gfile.copy(f"{folder.rstrip('/')}/{name}", str(target / name))


@contextmanager
def staging(
    wanted: str | None, out: TransformGraph, examples: Examples, splits: tuple[str, ...]
) -> Iterator[Staging]:
    """Yields a new folder for one run of the pipeline, and deletes it afterwards.

    Args:
        wanted: A folder or URL, such as `gs://bucket/path`, that this process and all workers
            read and write; the examples are copied there. By default the folder is in `out` and
            the examples are read where they are.
        out: What is being made.
        examples: What it is made of.
        splits: Those whose examples are read.

    Raises:
        ConfigError: Beam cannot write to `wanted`.
    """
    if wanted is None:
        folder = out.root / "staging"
        folder.mkdir()
        yield Staging(str(folder), {split: str(examples.records(split)) for split in splits})
        shutil.rmtree(folder)
        return
    from apache_beam.io.filesystems import FileSystems

    name = f"{wanted.rstrip('/')}/segtrail-transform-{uuid.uuid4().hex}"
    try:
        FileSystems.mkdirs(name)
        records = {split: _copy(examples.records(split), name) for split in splits}
    except (OSError, ValueError) as e:
        raise ConfigError(
            f"--staging {wanted}: Beam cannot write there: {e}",
            "give a folder, or a bucket whose Beam extra is installed, as apache-beam[gcp]",
        ) from None
    try:
        yield Staging(name, records)
    finally:
        FileSystems.delete([name])


def _copy(path: Path, folder: str) -> str:
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    target = f"{folder}/{path.name}"
    with (
        path.open("rb") as source,
        FileSystems.create(target, compression_type=CompressionTypes.UNCOMPRESSED) as to,
    ):
        shutil.copyfileobj(source, to, 1 << 20)
    return target
