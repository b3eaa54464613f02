"""TF Serving's batching parameters: when requests that wait are computed together."""

from __future__ import annotations

from dataclasses import dataclass

from serving.protocol import BatchingParameters


@dataclass(frozen=True)
class Rules:
    """TF Serving's batching parameters, with its defaults.

    Args:
        max_batch_size: Rows of a request, and of a batch where requests are not split.
        max_execution_batch_size: Rows of a batch.
        timeout_s: How long a request waits for others.
        max_enqueued_batches: How many batches of a signature may wait.
        threads: How many batches are computed at once.
        allowed_batch_sizes: Batches are filled up to one of these; empty: any size.
    """

    max_batch_size: int = 1000
    max_execution_batch_size: int = 1000
    timeout_s: float = 0.0
    max_enqueued_batches: int = 10
    threads: int = 1
    allowed_batch_sizes: tuple[int, ...] = ()

    @classmethod
    def of(cls, given: BatchingParameters, cores: int) -> Rules:
        """Returns the rules that a file says.

        Raises:
            ValueError: A number is too small, the sizes do not rise to `max_batch_size`, or
                padding is asked for, which needs TF Serving.
        """

        def number(name: str, default: int, least: int) -> int:
            value = int(getattr(given, name).value) if given.HasField(name) else default
            if value < least:
                raise ValueError(f"{name}: expected {least} or more; got {value}")
            return value

        largest = number("max_batch_size", 1000, 1)
        sizes = tuple(given.allowed_batch_sizes)
        if sizes and (list(sizes) != sorted(set(sizes)) or sizes[0] < 1 or sizes[-1] != largest):
            raise ValueError(
                "allowed_batch_sizes: expected rising numbers of which the last is max_batch_size "
                f"({largest}); got {list(sizes)}"
            )
        if given.pad_variable_length_inputs:
            raise ValueError(
                "pad_variable_length_inputs: this server does not pad; it needs TF Serving"
            )
        at_once = largest
        if given.enable_large_batch_splitting.value:
            at_once = number("max_execution_batch_size", largest, 1)
        return cls(
            largest, min(at_once, largest), number("batch_timeout_micros", 0, 0) / 1e6,
            number("max_enqueued_batches", 10, 1), number("num_batch_threads", cores, 1), sizes,
        )  # fmt: skip

    def padding(self, rows: int) -> int:
        """Returns how many rows are missing to an allowed size."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows) - rows
