"""One request after its checks, ready to be computed, alone or with others."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from serving.embedded.refusal import DEADLINE_EXCEEDED, Refusal

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Call:
    """Which signature, on what, for which outputs.

    Args:
        signature: Its name.
        inputs: Arrays by input name, of the signature's types.
        outputs: Names of the outputs to compute.
        deadline: When the answer is of no use any more, in `time.monotonic` seconds; None: never.
    """

    signature: str
    inputs: Arrays
    outputs: tuple[str, ...]
    deadline: float | None = None

    @cached_property
    def rows(self) -> int:
        """How many examples the inputs hold; 0 if they do not agree, or have none."""
        lengths = {len(array) if array.ndim else 0 for array in self.inputs.values()}
        return lengths.pop() if len(lengths) == 1 else 0

    def row(self, first: int, end: int | None = None) -> Call:
        """Returns the call on the rows from `first`, one or up to `end`."""
        stop = first + 1 if end is None else end
        inputs = {name: array[first:stop] for name, array in self.inputs.items()}
        return Call(self.signature, inputs, self.outputs, self.deadline)

    @classmethod
    def merged(cls, calls: Sequence[Self], padding: int = 0) -> Call:
        """Returns one call on the rows of all, which have the same signature and outputs.

        Args:
            calls: One or more.
            padding: So many more rows, copies of the first one of the last call.
        """
        first, last = calls[0], calls[-1]
        inputs = {
            name: np.concatenate(
                [call.inputs[name] for call in calls] + [last.inputs[name][:1]] * padding
            )
            for name in first.inputs
        }
        ends = [call.deadline for call in calls]
        deadline = None if None in ends else max(end for end in ends if end is not None)
        return Call(first.signature, inputs, first.outputs, deadline)

    def left(self) -> float | None:
        """Returns the seconds until the deadline; None if there is none.

        Raises:
            Refusal: DEADLINE_EXCEEDED: it has passed.
        """
        if self.deadline is None:
            return None
        if (left := self.deadline - time.monotonic()) <= 0:
            raise Refusal(DEADLINE_EXCEEDED, "the deadline passed while the request waited")
        return left


class Model(Protocol):
    """What computes calls."""

    def compute(self, call: Call, blame: bool = True) -> Arrays:
        """Returns arrays by output name.

        Args:
            call: What to compute.
            blame: Whether to find out, when it fails, which row it was.

        Raises:
            Refusal: It cannot be computed.
        """
