"""A SavedModel as TF Serving loads it: in a session, by its signatures, without its Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segtrail.errors import ServingError
from segtrail.quiet import import_quietly


class SessionModel:
    """A loaded SavedModel; threads may share it.

    Args:
        path: The SavedModel's folder.

    Raises:
        ServingError: It cannot be loaded.
    """

    def __init__(self, path: Path) -> None:
        tf = import_quietly("tensorflow")
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self._graph)
        try:
            with self._graph.as_default():
                # the warning that v1 is old is TensorFlow's; TF Serving uses just this loader
                meta = _quietly(tf.compat.v1.saved_model.load, self._session, ["serve"], str(path))
        except Exception as e:
            self._session.close()
            raise ServingError(f"{path}: cannot be loaded in a session: {e}") from None
        self.signatures: Mapping[str, Any] = {
            name: signature
            for name, signature in meta.signature_def.items()
            if not name.startswith("__")
        }

    def run(
        self, signature: str, inputs: Mapping[str, Any], outputs: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Runs one signature; returns its outputs (or just `outputs`) as numpy arrays by name.

        Raises:
            KeyError: No such signature, input or output.
            tf.errors.OpError: What the session says, such as of a damaged image.
        """
        definition = self.signatures[signature]
        names = list(definition.outputs) if outputs is None else list(outputs)
        fetches = {name: definition.outputs[name].name for name in names}
        feeds = {definition.inputs[name].name: value for name, value in inputs.items()}
        answer: dict[str, Any] = self._session.run(fetches, feeds)
        return answer

    def close(self) -> None:
        """Frees the session."""
        self._session.close()


def _quietly(function: Any, *args: Any) -> Any:
    import logging

    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return function(*args)
    finally:
        logger.setLevel(level)
