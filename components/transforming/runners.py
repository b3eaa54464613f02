"""Beam runners by name, and their options: what Beam takes in silence and fails on later."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from segtrail.errors import ConfigError, StageError
from segtrail.words import near

IN_PROCESS = "FnApiRunner"  # "DirectRunner" may download another one
_DOCS = "docs/runners.md has the commands for each runner"


def beam_options(runner: str, options: Sequence[str]) -> Any:
    """Returns Beam's `PipelineOptions` for a runner.

    Args:
        runner: The name of one of Beam's, or `package.module.Class` of another.
        options: Beam pipeline options, each `key=value` or a bare `key`.

    Raises:
        ConfigError: There is no such runner, it is known not to work, an option has a value of
            the wrong type, or a local runner has no such option.
    """
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    _check_runner(runner, StandardOptions.KNOWN_RUNNER_NAMES)
    flags = [f"--{option}" for option in options]
    parsed = PipelineOptions([f"--runner={runner}", *flags])
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # argparse prints, and ends the process
            known = parsed.get_all_options()
            given = parsed.get_all_options(retain_unknown_options=True)
    except SystemExit:
        problem = said.getvalue().strip().rpartition("error: ")[2]
        raise ConfigError(f"--runner-option: {problem}", _DOCS) from None
    if runner in StandardOptions.LOCAL_RUNNERS:  # another may have options that Beam does not know
        for key in given.keys() - known.keys():
            raise ConfigError(
                f"--runner-option {key}: Beam has no such option.{near(key, known)}", _DOCS
            )
    return parsed


@contextmanager
def running(options: Any) -> Iterator[Any]:
    """Yields a pipeline, and runs it; what goes wrong is told in a line.

    Raises:
        ConfigError: The runner cannot be had.
        StageError: It failed.
    """
    import apache_beam as beam

    runner = options.view_as(beam.options.pipeline_options.StandardOptions).runner
    try:
        pipeline = beam.Pipeline(options=options)
    except (ValueError, ImportError, AttributeError) as e:
        raise ConfigError(
            f"--runner {runner}: {e}", "docs/runners.md says what each runner needs"
        ) from None
    yield pipeline
    try:
        pipeline.run().wait_until_finish()
    except (Exception, SystemExit) as e:
        raise StageError(
            f"{runner} failed: {type(e).__name__}: {_end_of(str(e))}",
            "docs/runners.md says what each runner needs; FnApiRunner runs in this process",
        ) from e


def _check_runner(runner: str, known: Sequence[str]) -> None:
    from apache_beam.runners.runner import PipelineRunner

    if "dask" in runner.lower():
        raise ConfigError(
            f"--runner {runner}: Beam's DaskRunner loses results without an error (only the last "
            "branch of a pipeline runs, and its files are empty), so it is not offered",
            "use FlinkRunner, SparkRunner, DataflowRunner or PortableRunner: " + _DOCS,
        )
    if "." not in runner:
        if runner not in known:
            raise ConfigError(
                f"--runner {runner}: Beam has no such runner; there are {', '.join(known)}, or "
                f"package.module.Class of another.{near(runner, known)}",
                _DOCS,
            )
        return
    module, _, name = runner.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as e:
        raise ConfigError(f"--runner {runner}: cannot be imported: {e}", _DOCS) from None
    if not (isinstance(found, type) and issubclass(found, PipelineRunner)):
        raise ConfigError(f"--runner {runner}: expected a subclass of Beam's PipelineRunner", _DOCS)


def _end_of(message: str, longest: int = 1500) -> str:
    """Returns the last lines of what Beam says, which are its workers'."""
    message = message.strip()
    return message if len(message) <= longest else "…" + message[-longest:]
