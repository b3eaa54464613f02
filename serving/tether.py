"""Becomes another program, which ends when the process that started it ends, however it ends.

A promotion that is killed would otherwise leave the server of its load test behind. Elsewhere
than on Linux the program is just started. The process keeps its id. Imports the standard library
alone.

Usage: python tether.py PARENT COMMAND [ARGUMENT...]
"""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Ties this process to its parent, and becomes `command`."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it ended before this was said
            sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
