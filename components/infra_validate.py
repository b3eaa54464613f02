"""InfraValidator: does a real server load the candidate, and answer as it was evaluated?

And at what cost: the size of the SavedModel and the time of a request, within the gate's limits.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Sequence
from typing import Any

from components.gating.limits import apply_limits
from components.gating.verdict import overall
from lineage import golden
from lineage.verdicts import PASS
from segtrail.artifacts import Evaluation, InfraValidation, Model
from segtrail.errors import LineageError, ServingError, StageError
from segtrail.files import root_digest, write_json
from segtrail.params import dump, load_recipe
from segtrail.progress import say
from segtrail.saved_model import file_digests, megabytes
from segtrail.workspace import Workspace
from serving.client import SegmentationClient
from serving.launch import describe_server, running_server

_REQUESTS, _FEWEST, _SECONDS = 30, 10, 30.0


def infra_validate(workspace: Workspace, name: str) -> dict[str, Any]:
    """Starts a server with the candidate on a free port and asks it the golden images.

    Returns:
        What was found: `passed`; `verdict` and `rules`, what the gate's `limits` say.

    Raises:
        StageError: The server did not load it, or answers otherwise than was evaluated; the
            result is written before.
    """
    gate = load_recipe(workspace, name).gate
    candidate = Model.of(workspace, name).require()
    goldens = golden.read(Evaluation.of(workspace, name).require().golden)
    scratch = workspace.scratch / "infra" / name
    shutil.rmtree(scratch, ignore_errors=True)
    # a copy, since a server wants <name>/<version>/ and the candidate has no version yet
    shutil.copytree(candidate.root, scratch / "model" / "1")
    files = file_digests(candidate.root)
    result: dict[str, Any] = {
        "model_digest": root_digest(files),
        "server": describe_server(),
        "images": len(goldens),
        "limits": dump(gate.limits),
        "size_mb": megabytes(candidate.root, files),
    }
    started = time.monotonic()
    try:
        with running_server(
            name, base_path=scratch / "model", log=scratch / "server.log"
        ) as server:
            loaded = time.monotonic() - started
            says = golden.ask(server.target, name, None, goldens)
            requests = _time(server.target, name, goldens)
        rules = apply_limits(gate, result["size_mb"], requests)
        result |= {
            "passed": True,
            "says": says,
            "requests_ms": requests,
            "verdict": overall(rules) if rules else PASS,
            "rules": [rule.to_json() for rule in rules],
        }
        say(f"{describe_server()} loaded the candidate in {loaded:.1f} s: {says}")
        say(
            f"{result['size_mb']:.1f} MB; one image takes {statistics.median(requests):.0f} ms, "
            f"the median of {len(requests)} requests one after another"
        )
        for rule in rules:
            say(rule.in_lines())
    except (ServingError, LineageError) as e:
        result |= {"passed": False, "says": e.message}
        raise StageError(f"the candidate does not serve: {e.message}", e.hint) from None
    finally:
        if "passed" in result:
            write_json(InfraValidation.of(workspace, name).result, result)
        shutil.rmtree(scratch / "model", ignore_errors=True)
    return result


def _time(target: str, name: str, goldens: Sequence[golden.Golden]) -> list[float]:
    """Returns milliseconds of requests with one image; the server has answered each before."""
    times: list[float] = []
    began = time.monotonic()
    with SegmentationClient(target) as client:
        while len(times) < _REQUESTS:
            if len(times) >= _FEWEST and time.monotonic() - began > _SECONDS:
                break  # a slow model is known by fewer
            asked = goldens[len(times) % len(goldens)]
            started = time.perf_counter()
            client.predict(name, [asked.image], names=[asked.name])
            times.append((time.perf_counter() - started) * 1000)
    return times
