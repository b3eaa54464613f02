"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RecipeOption = Annotated[
    str, typer.Option("--recipe", "-r", metavar="NAME", help="A recipe of params.yaml.")
]
ByOption = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", help="Who does this; by default your git identity."),
]
AllowDirtyOption = Annotated[
    bool, typer.Option("--allow-dirty", help="Promote even if code is not committed.")
]
TargetOption = Annotated[
    str | None,
    typer.Option("--target", metavar="HOST:PORT", help="A model server's gRPC address."),
]
ImagesArgument = Annotated[
    list[Path], typer.Argument(metavar="IMAGE...", help="PNG, JPEG, BMP or TIFF files.")
]


def parse_ids(given: str | None) -> tuple[str, ...]:
    """Returns the ids of `a,b,c`, or of `@FILE` with one on each line, each once."""
    if not given:
        return ()
    if given.startswith("@"):
        try:
            words = Path(given[1:]).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as e:
            raise typer.BadParameter(f"{given[1:]}: cannot be read: {e}") from None
    else:
        words = given.split(",")
    return tuple(dict.fromkeys(word for line in words if (word := line.strip())))
