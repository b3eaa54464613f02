"""InfraValidator: does a real server load the candidate, and answer as it was evaluated?"""

from __future__ import annotations

import shutil
import time
from typing import Any

from lineage import golden
from segtrail.artifacts import Evaluation, InfraValidation, Model
from segtrail.errors import LineageError, ServingError, StageError
from segtrail.files import write_json
from segtrail.params import load_recipe
from segtrail.progress import say
from segtrail.saved_model import digest
from segtrail.workspace import Workspace
from serving.launch import describe_server, running_server


def infra_validate(workspace: Workspace, name: str) -> dict[str, Any]:
    """Starts a server with the candidate on a free port and asks it the golden images.

    Raises:
        StageError: The server did not load it, or answers otherwise than was evaluated; the
            result is written before.
    """
    load_recipe(workspace, name)
    candidate = Model.of(workspace, name).require()
    goldens = golden.read(Evaluation.of(workspace, name).require().golden)
    scratch = workspace.scratch / "infra" / name
    shutil.rmtree(scratch, ignore_errors=True)
    # a copy, since a server wants <name>/<version>/ and the candidate has no version yet
    shutil.copytree(candidate.root, scratch / "model" / "1")
    result: dict[str, Any] = {
        "model_digest": digest(candidate.root),
        "server": describe_server(),
        "images": len(goldens),
    }
    started = time.monotonic()
    try:
        with running_server(
            name, base_path=scratch / "model", log=scratch / "server.log"
        ) as server:
            loaded = time.monotonic() - started
            says = golden.ask(server.target, name, None, goldens)
        result |= {"passed": True, "says": says}
        say(f"{describe_server()} loaded the candidate in {loaded:.1f} s: {says}")
    except (ServingError, LineageError) as e:
        result |= {"passed": False, "says": e.message}
        raise StageError(f"the candidate does not serve: {e.message}", e.hint) from None
    finally:
        if "passed" in result:
            write_json(InfraValidation.of(workspace, name).result, result)
        shutil.rmtree(scratch / "model", ignore_errors=True)
    return result
