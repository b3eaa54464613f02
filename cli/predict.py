"""`segtrail predict`."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from cli.options import (
    ImagesArgument,
    RecipeOption,
    TargetOption,
    TlsCaOption,
    TlsCertificateOption,
    TlsKeyOption,
    TlsNameOption,
    endpoint_of,
)
from segtrail.errors import EXIT_ERROR, ConfigError, DataError, ServingError

if TYPE_CHECKING:
    from segtrail.task import Task
    from serving.client import SegmentationClient


def predict(
    images: ImagesArgument,
    recipe: RecipeOption,
    target: TargetOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the results go.")] = Path(),
    canary: Annotated[
        bool, typer.Option("--canary", help="Ask the canary instead of the champion.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0.1,
            help="For each answer; by default 60, and 10 more a megapixel.",
        ),
    ] = None,
    tls_ca: TlsCaOption = None,
    tls_certificate: TlsCertificateOption = None,
    tls_key: TlsKeyOption = None,
    tls_name: TlsNameOption = None,
) -> None:
    """Ask a model server to segment images.

    Writes <image>.mask.png (class indices, or one bit a class where classes overlap) and
    <image>.overlay.png (outlines to look at), and prints one line an image. Needs no workspace
    when --target is given. TLS is that of the options, or of serving.tls of the recipe, if it is
    its server; a params.yaml that is there must be right, lest that is missed.

    \b
    Examples:
      segtrail predict cells.png --recipe nuclei
      segtrail predict slides/*.tif --recipe nuclei --target gpu-1:8500 --out masks
      segtrail predict cells.png --recipe nuclei --target gpu-1:8500 --tls-ca ca.crt
      segtrail predict cells.png --recipe nuclei --canary --out canary
      segtrail predict slide.png --recipe nuclei --timeout 1800
    """
    from segtrail.settings.serving import canary_of

    _refuse_same_names(images)
    endpoint = endpoint_of(recipe, target, tls_ca, tls_certificate, tls_key, tls_name)
    model = canary_of(recipe) if canary else recipe
    failed = 0
    with endpoint.client(timeout) as client:
        task = _task_of(client, model)
        for path in images:
            try:
                print(_predict_one(client, model, task, path, out), flush=True)
            except DataError as e:
                failed += 1
                print(f"error: {e}", file=sys.stderr, flush=True)
    if failed:
        raise typer.Exit(EXIT_ERROR)


def _task_of(client: SegmentationClient, model: str) -> Task:
    """Returns what the served model says that it segments; models of old tell instances only.

    Raises:
        ServingError: It says nothing of the kind.
    """
    from segtrail.settings.dataset import MaskKind
    from segtrail.task import Task, own_places

    said = client.metadata(model)
    masks, classes = said.get("masks", "instances"), said.get("class_names")
    if masks not in get_args(MaskKind) or not isinstance(classes, list) or not classes:
        raise ServingError(
            f"{client.target}: {model} tells masks {masks!r} of classes {classes!r}; expected "
            f"{', '.join(get_args(MaskKind))} of named classes"
        )
    return Task(masks, tuple(map(str, classes)), tuple(own_places(len(classes))))


def _refuse_same_names(images: list[Path]) -> None:
    counts = Counter(path.stem for path in images)
    if twice := sorted(name for name, n in counts.items() if n > 1):
        raise ConfigError(
            f"several images would be written as {twice[0]}.mask.png", "ask for them one by one"
        )


def _predict_one(client: SegmentationClient, model: str, task: Task, path: Path, out: Path) -> str:
    """Asks for one image, writes both files and returns the line to print."""
    from segtrail import overlay
    from segtrail.files import write_bytes
    from segtrail.images import encode_png
    from serving.image_input import decoded

    try:
        data = path.read_bytes()
    except OSError as e:
        raise DataError(f"{path}: cannot be read: {e.strerror}") from None
    image = decoded(data, str(path))
    started = time.perf_counter()
    outputs = ["mask_png", "height", "width"]
    if task.has_objects:
        outputs += ["labels_png", "count"]
    (answer,) = client.predict(model, [data], outputs=outputs, names=[str(path)])
    took_ms = 1000 * (time.perf_counter() - started)
    mask, picture = (out / f"{path.stem}.{kind}.png" for kind in ("mask", "overlay"))
    assert answer.mask_png is not None
    if task.has_objects:
        drawn, found = overlay.draw(image, answer.labels), f"{answer.count} objects"
    else:
        planes = task.answered_planes(answer.mask)
        drawn = overlay.draw_classes(image, planes)
        shares = zip(task.classes, planes.mean((0, 1)), strict=True)
        found = ", ".join(f"{name} {share:.1%}" for name, share in shares)
    for file, content in ((mask, answer.mask_png), (picture, encode_png(drawn))):
        if not (file.is_file() and file.read_bytes() == content):
            write_bytes(file, content)
    return f"{path}: {found}, {model} v{answer.version}, {took_ms:.0f} ms -> {mask}"
