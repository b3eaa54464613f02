"""What a server says about its models, in plain types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving import protocol


@dataclass(frozen=True)
class VersionStatus:
    """One version's state, and why it failed if it did."""

    version: int
    state: str
    error: str = ""


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of a signature; -1 is a dimension of any size, shape None any shape."""

    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of one signature, by name."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


def statuses(answer: protocol.GetModelStatusResponse) -> list[VersionStatus]:
    """Returns the status of every version in the answer, ascending."""
    found = [
        VersionStatus(
            s.version,
            _name(protocol.ModelVersionStatus.State, s.state),
            one_line(s.status.error_message),
        )
        for s in answer.model_version_status
    ]
    return sorted(found, key=lambda status: status.version)


def signatures(answer: protocol.GetModelMetadataResponse) -> dict[str, Signature]:
    """Returns the signatures in the answer, by name."""
    found = protocol.SignatureDefMap.FromString(answer.metadata["signature_def"].value)
    return {
        name: Signature(_specs(signature.inputs), _specs(signature.outputs))
        for name, signature in sorted(found.signature_def.items())
    }


def one_line(text: str | None) -> str:
    """Returns the text without line breaks and runs of blanks."""
    return " ".join((text or "").split())


def _specs(infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {name: _spec(info) for name, info in sorted(infos.items())}


def _spec(info: Any) -> TensorSpec:
    shape = info.tensor_shape
    return TensorSpec(
        _name(protocol.DataType, info.dtype).removeprefix("DT_").lower(),
        None if shape.unknown_rank else tuple(dim.size for dim in shape.dim),
    )


def _name(kind: Any, number: int) -> str:
    """Returns an enum value's name; a newer server may know more of them."""
    return str(kind.Name(number)) if number in kind.values() else f"number {number}"
