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
