"""What a configuration asks for: models, and which of the versions on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from serving.embedded.refusal import FAILED_PRECONDITION, INVALID_ARGUMENT, Refusal

_PLATFORM = "tensorflow"


@dataclass(frozen=True)
class Wanted:
    """One model of the configuration.

    Args:
        name: What requests call it.
        base_path: Holds one folder a version, named by its number.
        latest: Serve that many of the highest versions; None under another policy.
        specific: Serve these; None under another policy.
        labels: Version labels.

    With neither `latest` nor `specific`, all versions serve.
    """

    name: str
    base_path: Path
    latest: int | None = 1
    specific: frozenset[int] | None = None
    labels: Mapping[str, int] = field(default_factory=dict)

    def on_disk(self) -> dict[int, Path]:
        """Returns the wanted versions that are there, and their folders.

        Raises:
            OSError: The base path cannot be listed.
        """
        found = {
            int(path.name): path
            for path in self.base_path.iterdir()
            if path.name.isascii() and path.name.isdigit() and path.is_dir()
        }
        if self.specific is not None:
            return {version: found[version] for version in self.specific & found.keys()}
        if self.latest is not None:
            return {version: found[version] for version in sorted(found)[-self.latest :]}
        return found


def parse(text: str) -> list[Wanted]:
    """Reads a ModelServerConfig as text proto.

    Raises:
        Refusal: It is not one, or asks for what TF Serving would refuse.
    """
    try:
        return wanted(text_format.Parse(text, ModelServerConfig()))
    except text_format.ParseError as e:
        raise Refusal(
            INVALID_ARGUMENT,
            f"Error parsing text-format tensorflow.serving.ModelServerConfig: {e}",
        ) from None


def wanted(config: Any) -> list[Wanted]:
    """Reads a `tensorflow.serving.ModelServerConfig` message.

    Raises:
        Refusal: A custom configuration, a name that is missing or there twice, a relative
            path, or another platform than TensorFlow.
    """
    if config.WhichOneof("config") == "custom_model_config":
        raise Refusal(
            FAILED_PRECONDITION, "expected a model_config_list, not a custom_model_config"
        )
    models: dict[str, Wanted] = {}
    for entry in config.model_config_list.config:
        if not entry.name or entry.name in models:
            raise Refusal(
                INVALID_ARGUMENT,
                f"Illegal to list model {entry.name} multiple times in config list"
                if entry.name
                else "Model name is empty in the config list",
            )
        if not entry.base_path.startswith("/"):
            raise Refusal(
                INVALID_ARGUMENT,
                f"Expected model {entry.name} to have an absolute path or URI; "
                f"got base_path()={entry.base_path}",
            )
        # model_type is the older way to say it: 1 is TENSORFLOW
        if entry.model_platform != _PLATFORM and (entry.model_platform or entry.model_type != 1):
            raise Refusal(
                INVALID_ARGUMENT,
                f"Expected model {entry.name} to have model_platform {_PLATFORM!r}; "
                f"got {entry.model_platform!r}",
            )
        models[entry.name] = _one(entry)
    return list(models.values())


def _one(entry: Any) -> Wanted:
    policy = entry.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    return Wanted(
        entry.name,
        Path(entry.base_path),
        latest=max(policy.latest.num_versions, 1) if choice in (None, "latest") else None,
        specific=frozenset(policy.specific.versions) if choice == "specific" else None,
        labels=dict(entry.version_labels),
    )
