"""From images to answers: read, asked of the model in small batches, measured, written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from components.batching.chunks import Digests, Image, groups
from components.batching.measuring import measure
from components.batching.output import Output
from segtrail.ahead import in_order
from segtrail.errors import DataError
from segtrail.files import sha256_bytes, sha256_file, write_bytes
from segtrail.image_files import PNG, check_png
from segtrail.session import SessionModel
from segtrail.session_errors import one_line
from segtrail.settings.objects import Objects
from segtrail.task import Task
from serving.image_input import MAX_PIXELS, decoded, encoded, pixels_of
from serving.prediction import Prediction

AT_ONCE = 4  # images that the model is asked for together; as many are read and measured meanwhile
_THREADS = 2


class Kept(NamedTuple):
    """An image whose results are there, whole."""

    name: str


class Bad(NamedTuple):
    """An image that cannot be segmented. `sha256` is None where it cannot even be read."""

    name: str
    sha256: str | None
    problem: str


class Read(NamedTuple):
    """An image as it is asked for."""

    name: str
    sha256: str
    asked: bytes


class Done(NamedTuple):
    """An image that was segmented: its row, and a data frame of its objects."""

    name: str
    row: dict[str, Any]
    objects: Any


@dataclass(frozen=True)
class Segmenter:
    """What segments images and writes their masks.

    Args:
        load: Returns the model.
        task: What its masks tell.
        objects: The definition of an object.
        version: The model's version.
        out: Where masks go.
    """

    load: Callable[[], SessionModel]
    task: Task
    objects: Objects
    version: int
    out: Output

    def segment(self, images: Sequence[Image]) -> Iterator[Done | Bad | Kept]:
        """Yields what became of each image, in order.

        Images are read, and answers measured, by threads while the model is asked; at most
        3 * `AT_ONCE` of them are in memory at a time, as they are encoded.

        Raises:
            ServingError: The model does not load, or its answer is not what it should be.
            tf.errors.OpError: It failed, through no fault of an image.
            OSError: A result cannot be written.
        """
        with ThreadPoolExecutor(_THREADS) as threads:
            read = in_order(threads, self._read, images, AT_ONCE)
            yield from in_order(threads, self._finish, self._answered(read), AT_ONCE)

    def _read(self, image: Image) -> Read | Bad | Kept:
        name, digest = image.name, None
        try:
            data = Path(image.path).read_bytes()
            digest = sha256_bytes(data)
            if image.done and image.done.image == digest and self._is_whole(name, image.done):
                return Kept(name)
            asked = encoded(data, name)
            if (pixels := pixels_of(asked, name)) > MAX_PIXELS:
                raise DataError(f"{name}: {pixels:,} pixels; at most {MAX_PIXELS:,} are taken")
            if asked.startswith(PNG):
                check_png(asked, name)
        except DataError as e:
            return Bad(name, digest, _without(name, e.message))
        except (OSError, ValueError) as e:
            return Bad(name, None, f"cannot be read: {getattr(e, 'strerror', None) or e}")
        return Read(name, digest, asked)

    def _is_whole(self, name: str, done: Digests) -> bool:
        try:
            labels = sha256_file(self.out.labels(name)) if self.task.has_objects else None
            return sha256_file(self.out.mask(name)) == done.mask and labels == done.labels
        except OSError:
            return False

    def _answered(
        self, images: Iterable[Read | Bad | Kept]
    ) -> Iterator[tuple[Read, Prediction] | Bad | Kept]:
        for group in groups(images, AT_ONCE):
            answers = iter(self._ask([each for each in group if isinstance(each, Read)]))
            for each in group:
                yield next(answers) if isinstance(each, Read) else each

    def _ask(self, images: Sequence[Read]) -> list[tuple[Read, Prediction] | Bad]:
        """Asks for all; where the model refuses, for each by itself: one fails them all."""
        if not images:
            return []
        model = self.load()
        from tensorflow import errors  # after the model, which imports it quietly

        outputs = ["mask_png", "probability_png", "height", "width"]
        outputs += ["labels_png", "count"] if self.task.has_objects else []
        asked = {"image_bytes": [image.asked for image in images]}
        try:
            found = model.run("serving_default", asked, outputs)
        except (errors.InvalidArgumentError, errors.ResourceExhaustedError) as e:
            if len(images) == 1:
                (image,) = images
                return [Bad(image.name, image.sha256, f"the model: {one_line(e.message)}")]
            return [answer for image in images for answer in self._ask([image])]
        return [
            (image, Prediction.of(found, row, self.version)) for row, image in enumerate(images)
        ]

    def _finish(self, given: tuple[Read, Prediction] | Bad | Kept) -> Done | Bad | Kept:
        if isinstance(given, Bad | Kept):
            return given
        image, answer = given
        try:
            pixels = decoded(image.asked, image.name)
        except DataError as e:  # TensorFlow's decoder forgives some of what is damaged
            return Bad(image.name, image.sha256, _without(image.name, e.message))
        row, objects = measure(answer, pixels, self.task, self.objects)
        mask, labels = answer.mask_png or b"", answer.labels_png
        write_bytes(self.out.mask(image.name), mask)
        if labels is not None:
            write_bytes(self.out.labels(image.name), labels)
        about = {"image": image.name, "sha256": image.sha256, "version": self.version}
        files = {
            "mask_sha256": sha256_bytes(mask),
            "labels_sha256": None if labels is None else sha256_bytes(labels),
        }
        objects.insert(0, "image", image.name)
        return Done(image.name, about | row | files, objects)


def _without(name: str, message: str) -> str:
    return " ".join(message.removeprefix(f"{name}: ").split())
