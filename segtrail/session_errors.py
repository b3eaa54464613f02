"""What a TensorFlow session says, in a line."""

from __future__ import annotations

import re

_PLACES = re.compile(r"\{\{(?:function_node|node) [^}]*\}\}\s*")
_NO_NEWS = re.compile(r"Graph execution error:|\d+ root error\(s\) found\.")
_FIRST = re.compile(r"^\(0\) [A-Za-z_ ]+: ")


def one_line(text: str) -> str:
    """Returns what a session says went wrong, without where in the graph and in whose Python.

    A session of Python writes `Graph execution error:`, for a node whose Python it knows also
    `Detected at ... Node: 'name'`, and then what the C++ session said.
    """
    _, marker, after = text.partition("\nNode: ")
    lines = after.splitlines()[1:] if marker else text.splitlines()
    for line in lines:
        said = " ".join(_PLACES.sub("", line).split())
        if said and not _NO_NEWS.fullmatch(said):
            return _FIRST.sub("", said)
    return "the session failed without a word"
