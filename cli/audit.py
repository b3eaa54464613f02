"""`segtrail audit`."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import (
    TargetOption,
    TlsCaOption,
    TlsCertificateOption,
    TlsKeyOption,
    TlsNameOption,
    check_recipe,
    endpoint_of,
)

if TYPE_CHECKING:
    from lineage.audited import Audit
    from lineage.evidence import Evidence
    from segtrail.workspace import Workspace

# with an MLflow server: by default it is asked for minutes, again and again
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


def _print_schema(asked: bool) -> None:
    if asked:
        from lineage.audited import schema

        print(schema(), end="")
        raise typer.Exit


def audit(
    recipe: Annotated[str, typer.Argument(help="A recipe of params.yaml.")],
    version: Annotated[
        int | None, typer.Option("--version", help="Which version; default: the champion.")
    ] = None,
    target: TargetOption = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not re-hash the data; the exit code is 6 then.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="DIR", help="A SavedModel elsewhere: which one is it?"),
    ] = None,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Bring what DVC's cache lacks from the remote first.")
    ] = False,
    signed: Annotated[
        bool, typer.Option("--signed", help="What is not signed is broken, not a warning.")
    ] = False,
    reproduce: Annotated[
        bool, typer.Option("--reproduce", help="Make it once more, and compare. Takes as long.")
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep", metavar="FOLDER", help="With --reproduce: leave what was made there."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    json_schema: Annotated[
        bool,
        typer.Option(
            "--json-schema",
            help="Print the schema of that JSON and exit.",
            is_eager=True,
            callback=_print_schema,
        ),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", dir_okay=False, help="Write a certificate: one page."
        ),
    ] = None,
    tls_ca: TlsCaOption = None,
    tls_certificate: TlsCertificateOption = None,
    tls_key: TlsKeyOption = None,
    tls_name: TlsNameOption = None,
) -> None:
    """Check the chain from what serves back to the data.

    Link by link, and read-only, but for DVC's cache with --fetch. Exit code 0: every link holds;
    5: a link is broken; 6: some could not be checked. A server is asked with --target alone; TLS is
    that of serving.tls of the recipe, if it is its server, or of the options.

    With --reproduce the stages of the recipe run once more, in a clone of the promoted commit that
    is thrown away: by the code of that commit, so only where you would run it. docs/reproduce.md
    tells more.

    \b
    Examples:
      segtrail audit nuclei
      segtrail audit nuclei --version 2 --json
      segtrail audit nuclei --signed --html certificate.html
      segtrail audit nuclei --fetch
      segtrail audit nuclei --folder /srv/app/model
      segtrail audit nuclei --reproduce
      segtrail audit nuclei --reproduce --keep ../nuclei-again
      segtrail audit nuclei --target gpu-1:8500
      segtrail audit nuclei --target gpu-1:8500 --tls-ca ca.crt
    """
    from lineage.audit import audit as run
    from segtrail.workspace import Workspace

    if folder and target:
        raise typer.BadParameter("--folder and --target exclude each other")
    if html and not html.parent.is_dir():
        raise typer.BadParameter(f"--html {html}: there is no folder {html.parent}")
    if fetch and quick:
        raise typer.BadParameter("--fetch and --quick exclude each other")
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    workspace = Workspace.find()
    check_recipe(workspace, recipe)
    tls = None
    if target:
        tls = endpoint_of(recipe, target, tls_ca, tls_certificate, tls_key, tls_name).tls
    elif any((tls_ca, tls_certificate, tls_key, tls_name)):
        raise typer.BadParameter("--tls-... are of --target HOST:PORT, the server to be asked")
    more = [("reproduction", _reproduction(workspace, keep))] if reproduce else []
    if keep and not reproduce:
        raise typer.BadParameter("--keep FOLDER is of --reproduce")
    found = run(
        workspace, recipe, version=version, target=target, tls=tls, folder=folder, quick=quick,
        fetch=fetch, signed=signed, more=more,
    )  # fmt: skip
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        _print(found)
    if html:
        from components.certificate import write_certificate

        write_certificate(found, html)
        if not as_json:
            print(f"\n{html}: {html.stat().st_size / 1e3:.0f} kB")
    raise typer.Exit(found.exit_code)


def _reproduction(workspace: Workspace, keep: Path | None) -> Callable[[Evidence], str]:
    """Returns the check that makes the version once more, telling its progress on stderr."""
    from flows.reproduction import reproduced

    if keep is not None:
        if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
            raise typer.BadParameter(f"--keep {keep}: expected a folder that is empty or not there")
        if keep.resolve().is_relative_to(workspace.root):
            raise typer.BadParameter(
                f"--keep {keep}: lies in the workspace, which an audit leaves as it is; "
                "name a folder outside"
            )
    return partial(reproduced, say=partial(print, file=sys.stderr, flush=True), keep=keep)


def _print(found: Audit) -> None:
    from segtrail.words import plain

    links = found.links
    if {link.state for link in links} == {"not checked"} and len({x.says for x in links}) == 1:
        print(plain(links[0].says))
        return
    width = max(len(link.name) for link in links)
    for link in links:
        state = link.state.upper() if link.state == "broken" else link.state
        head = f"{link.name:>{width}}  {state:<11}  "
        first, *rest = [plain(line) for line in link.says.splitlines()] or [""]
        print(head + first)
        if rest:
            print(textwrap.indent("\n".join(rest), " " * len(head)))
    held = sum(link.state == "held" for link in links)
    print(f"\n{held} of {len(links)} links held: {found.conclusion}")
