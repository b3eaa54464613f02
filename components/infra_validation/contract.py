"""The model's contract: the signatures that a SavedModel must have for its recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from model.signatures import METADATA, RAW, RAW_16, SERVING
from segtrail.task import Task
from serving.descriptions import Signature, TensorSpec

ANY = -1
_BATCH = (ANY,)
_TEXT, _NUMBERS = TensorSpec("string", _BATCH), TensorSpec("int64", _BATCH)
_NAMES = {"float": "float32", "double": "float64"}  # of TensorFlow's protocol, and everywhere else


@dataclass(frozen=True)
class Deviation:
    """One thing in which a SavedModel breaks the contract.

    Attributes:
        where: A signature, or one of its tensors: `serving_default.outputs.count`.
        expected: Type and shape; `?` is any size.
        found: The same.
    """

    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}; found {self.found}"


def expected(task: Task) -> dict[str, Signature]:
    """Returns the signatures of a model of this task, by name."""
    classes = len(task.classes)
    answers = {
        "mask_png": _TEXT,
        "probability_png": TensorSpec("string", (ANY, classes)),
        "height": _NUMBERS,
        "width": _NUMBERS,
    }
    if task.has_objects:
        answers |= {"labels_png": _TEXT, "count": _NUMBERS}
    probabilities = {"probabilities": TensorSpec("float", (ANY, ANY, ANY, classes))}
    text, number = TensorSpec("string", ()), TensorSpec("float", ())
    return {
        SERVING: Signature({"image_bytes": _TEXT}, answers),
        RAW: Signature({"images": TensorSpec("uint8", (ANY,) * 4)}, probabilities),
        RAW_16: Signature({"images": TensorSpec("uint16", (ANY,) * 4)}, probabilities),
        METADATA: Signature(
            {},
            {
                "class_names": TensorSpec("string", (classes,)), "masks": text, "recipe": text,
                "data_version": text, "threshold": number, "border_threshold": number,
            },
        ),
    }  # fmt: skip


def deviations(found: Mapping[str, Signature], wanted: Mapping[str, Signature]) -> list[Deviation]:
    """Returns in what signatures differ from the wanted ones.

    Other signatures do no harm. Nor do other outputs of `metadata`; those of the rest would be
    computed and sent with each answer.
    """
    return list(_of_signatures(found, wanted))


def _of_signatures(
    found: Mapping[str, Signature], wanted: Mapping[str, Signature]
) -> Iterator[Deviation]:
    names = ", ".join(name for name in sorted(found) if not name.startswith("__"))
    for name, signature in wanted.items():
        if name not in found:
            yield Deviation(name, "a signature of this name", names or "no signature")
            continue
        given = found[name]
        yield from _of_tensors(f"{name}.inputs", given.inputs, signature.inputs, more=False)
        more = name == METADATA
        yield from _of_tensors(f"{name}.outputs", given.outputs, signature.outputs, more=more)


def _of_tensors(
    where: str, found: Mapping[str, TensorSpec], wanted: Mapping[str, TensorSpec], more: bool
) -> Iterator[Deviation]:
    for name, spec in wanted.items():
        if name not in found:
            yield Deviation(f"{where}.{name}", _words(spec), "nothing of this name")
        elif not _fits(found[name], spec):
            yield Deviation(f"{where}.{name}", _words(spec), _words(found[name]))
    for name in sorted(set() if more else set(found) - set(wanted)):
        yield Deviation(f"{where}.{name}", "nothing of this name", _words(found[name]))


def _fits(found: TensorSpec, wanted: TensorSpec) -> bool:
    if found.dtype != wanted.dtype or found.shape is None or wanted.shape is None:
        return found == wanted
    if len(found.shape) != len(wanted.shape):
        return False
    # a size that the graph leaves open is told by the answers
    pairs = zip(found.shape, wanted.shape, strict=True)
    return all(has == asked or (has == ANY and asked != ANY) for has, asked in pairs)


def _words(spec: TensorSpec) -> str:
    dtype = _NAMES.get(spec.dtype, spec.dtype)
    if spec.shape is None:
        return f"{dtype} of unknown rank"
    sizes = ", ".join("?" if size == ANY else str(size) for size in spec.shape)
    return f"{dtype} [{sizes}]"
