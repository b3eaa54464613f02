"""Imports libraries whose native code talks on standard error before it can be told not to."""

from __future__ import annotations

import importlib
import os
import re
import sys
import tempfile
from types import ModuleType

# TensorFlow looks for a GPU, and tells that there is none before any log level is obeyed.
_NOISE = re.compile(rb"WARNING: All log messages before absl|I0000 00:00:\d")


def import_quietly(name: str) -> ModuleType:
    """Returns a module, imported without the start-up lines of TensorFlow.

    Whatever else is written to file descriptor 2 meanwhile is passed on, after the import.

    Raises:
        ImportError: There is no such module.
    """
    if name in sys.modules:
        return sys.modules[name]
    try:
        kept = os.dup(2)
    except OSError:  # nobody listens
        return importlib.import_module(name)
    sys.stderr.flush()
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            return importlib.import_module(name)
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            for line in said:
                if not _NOISE.match(line):
                    os.write(2, line)
