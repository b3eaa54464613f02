"""`segtrail predict`."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import ImagesArgument, RecipeOption, TargetOption
from segtrail.errors import EXIT_ERROR, ConfigError, DataError

if TYPE_CHECKING:
    from serving.client import Client


def predict(
    images: ImagesArgument,
    recipe: RecipeOption,
    target: TargetOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the results go.")] = Path(),
) -> None:
    """Ask a model server to segment images.

    Writes <image>.mask.png (class indices) and <image>.overlay.png (outlines to look at), and
    prints one line an image. Needs no workspace when --target is given.

    \b
    Examples:
      segtrail predict cells.png --recipe nuclei
      segtrail predict slides/*.tif --recipe nuclei --target gpu-1:8500 --out masks
    """
    from serving.client import Client

    _refuse_same_names(images)
    target = target or target_of(recipe)
    failed = 0
    with Client(target) as client:
        for path in images:
            try:
                print(_predict_one(client, recipe, path, out), flush=True)
            except DataError as e:
                failed += 1
                print(f"error: {e}", file=sys.stderr, flush=True)
    if failed:
        raise typer.Exit(EXIT_ERROR)


def target_of(recipe: str) -> str:
    """Returns the address at which the recipe of the workspace says that it is served."""
    from segtrail.params import load_recipe
    from segtrail.workspace import Workspace

    return load_recipe(Workspace.find(), recipe).serving.target


def _refuse_same_names(images: list[Path]) -> None:
    counts = Counter(path.stem for path in images)
    if twice := sorted(name for name, n in counts.items() if n > 1):
        raise ConfigError(
            f"several images would be written as {twice[0]}.mask.png", "ask for them one by one"
        )


def _predict_one(client: Client, recipe: str, path: Path, out: Path) -> str:
    """Asks for one image, writes both files and returns the line to print."""
    from segtrail import overlay
    from segtrail.files import write_bytes
    from segtrail.images import decode_image, encode_png

    try:
        data = path.read_bytes()
    except OSError as e:
        raise DataError(f"{path}: cannot be read: {e.strerror}") from None
    image = decode_image(data, str(path))
    started = time.perf_counter()
    (answer,) = client.predict(
        recipe, [data], outputs=["mask_png", "labels_png", "height", "width", "count"],
        names=[str(path)],
    )  # fmt: skip
    took_ms = 1000 * (time.perf_counter() - started)
    mask, picture = (out / f"{path.stem}.{kind}.png" for kind in ("mask", "overlay"))
    assert answer.mask_png is not None
    drawn = encode_png(overlay.draw(image, answer.labels))
    for file, content in ((mask, answer.mask_png), (picture, drawn)):
        if not (file.is_file() and file.read_bytes() == content):
            write_bytes(file, content)
    return f"{path}: {answer.count} objects, {recipe} v{answer.version}, {took_ms:.0f} ms -> {mask}"
