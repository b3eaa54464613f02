"""`segtrail keys`: who may sign what is promoted."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="keys",
    help="""Keys that sign what is promoted, and whom git trusts.

    \b
    Examples:
      segtrail keys new ada
      segtrail keys list
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where the private key goes; not in git."),
    ] = None,
    clear: Annotated[
        bool,
        typer.Option("--no-passphrase", help="Leave the private key in clear, for a scheduler."),
    ] = False,
) -> None:
    """Make a pair of keys: a private one, and trust/NAME.pem to commit.

    The private key is written for you alone, outside of the repository. Its passphrase is asked
    for, or taken from SEGTRAIL_KEY_PASSPHRASE. Who commits trust/NAME.pem decides that NAME may
    sign: review it as you do code.

    \b
    Examples:
      segtrail keys new ada
      segtrail keys new nightly --no-passphrase --out /etc/segtrail/nightly.pem
      git add trust/ada.pem && git commit -m "Ada may sign" && export SEGTRAIL_KEY=...
    """
    from lineage import keys
    from segtrail import secrets
    from segtrail.workspace import Workspace

    workspace = Workspace.find()
    passphrase = None if clear else os.environ.get(secrets.PASSPHRASE)
    if passphrase is None and not clear:
        passphrase = _asked()
    made = keys.new(workspace.root, name, passphrase, out)
    public = made.public.relative_to(workspace.root)
    print(f"private key: {made.private}   (keep it, and a copy elsewhere; nobody can make it anew)")
    print(f"public key:  {public}   (key {made.key_id[:12]})")
    print(f'  -> git add {public} && git commit -m "{name} may sign"')
    print(f"  -> export {secrets.KEY}={made.private}")


def _asked() -> str:
    """Returns a passphrase that somebody types.

    Raises:
        ConfigError: Nobody is there to type.
    """
    from segtrail import secrets
    from segtrail.errors import ConfigError

    if sys.stdin is not None:
        try:
            return str(typer.prompt("passphrase", hide_input=True, confirmation_prompt=True))
        except typer.Abort:
            if sys.stdin.isatty():
                raise
    raise ConfigError(
        "no passphrase was given: there is no terminal to ask for one",
        f"set {secrets.PASSPHRASE}, or give --no-passphrase, as for a scheduler",
    )


@app.command("list")
def list_keys() -> None:
    """Show whom the commit trusts, and which key signs here.

    \b
    Examples:
      segtrail keys list
    """
    from lineage import keys
    from segtrail import secrets
    from segtrail.workspace import Workspace

    root = Workspace.find().root
    trusted = keys.trusted(root)
    mine = keys.signer_of_environment()
    own = mine.public_key.keyid if mine else None
    for key_id, each in sorted(trusted.items(), key=lambda item: item[1].name):
        print(f"{each.name:<24} {key_id[:12]}{'   signs here' if key_id == own else ''}")
    if not trusted:
        print(f"no commit holds a key under {keys.FOLDER}/   (segtrail keys new NAME)")
    if own is None:
        print(f"{secrets.KEY} is not set: nothing is signed here")
    elif own not in trusted:
        print(f"{secrets.KEY} names the key {own[:12]}, which is not trusted: commit it to sign")
