"""What a recipe asks of the machine that trains it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from segtrail.settings.base import Strict


class Hardware(Strict):
    """Where and in which precision to train; `auto` is decided from what the machine has."""

    strategy: Literal["auto", "one-device", "mirrored", "multi-worker"] = Field(
        default="auto",
        description="auto: multi-worker where TF_CONFIG names several workers, mirrored with "
        "several GPUs, else one device",
    )
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = Field(
        default="auto",
        description="auto: mixed_bfloat16 on GPUs of compute capability 8.0 and above, "
        "mixed_float16 on 7.x, else float32",
    )
    xla: Literal["auto", "on", "off"] = Field(
        default="auto", description="auto: on for one GPU, else off; on needs one device"
    )

    @field_validator("xla", mode="before")
    @classmethod
    def _on_and_off_are_words(cls, xla: Any) -> Any:
        """YAML 1.1 reads a bare `on` as true and a bare `off` as false."""
        if isinstance(xla, bool):
            return "on" if xla else "off"
        return xla
