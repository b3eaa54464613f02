"""InfraValidator: does a real server load the candidate, and answer as it was evaluated?

And at what cost: the size of the SavedModel, the time of a request and the server's memory,
within the gate's limits.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.gating.limits import apply_limits
from components.gating.verdict import overall
from components.infra_validation import causes, contract
from components.infra_validation.failure import LOAD_ERROR, DoesNotServeError, Failure
from lineage import golden, golden_answers
from lineage.verdicts import PASS
from model.signatures import WARM_UP
from segtrail.artifacts import Evaluation, InfraValidation, Model
from segtrail.errors import ServingError
from segtrail.files import root_digest, write_json
from segtrail.params import dump, load_recipe
from segtrail.progress import say
from segtrail.saved_model import file_digests, megabytes
from segtrail.task import load_task
from segtrail.workspace import Workspace
from serving.client import SegmentationClient
from serving.descriptions import Signature
from serving.failures import StartError
from serving.launch import RunningServer, describe_server, running_server
from serving.memory import peak_mb

_REQUESTS, _FEWEST, _SECONDS = 30, 10, 30.0
# TF Serving would try again five times, a minute apart
_ONCE, _NO_WARM_UP = "--max_num_load_retries=0", "--enable_model_warmup=false"


def infra_validate(workspace: Workspace, name: str) -> dict[str, Any]:
    """Starts a server with the candidate on a free port and asks it the golden images.

    Returns:
        What was found, as it is written: `passed`, whether it serves; `verdict` and `rules`, what
        the gate's `limits` say; `reason`, the code of the first of the `failures`, each as
        `components.infra_validation.failure.Failure` has it, or None; `golden`, how each golden
        image's answer differs; what was measured.

    Raises:
        DoesNotServeError: The server did not load it, or answers otherwise than was evaluated;
            the result is written before.
    """
    gate = load_recipe(workspace, name).gate
    candidate = Model.of(workspace, name).require()
    goldens = golden.read(Evaluation.of(workspace, name).require().golden)
    wanted = contract.expected(load_task(workspace, name))
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
    try:
        result |= _look(name, scratch, wanted, goldens)
    except DoesNotServeError as e:
        failures = [e.failure]
        result |= {"passed": False, "says": e.failure.says}
        raise
    else:
        rules = apply_limits(gate, result["size_mb"], result["requests_ms"], result["memory_mb"])
        failures = [causes.of_rule(rule, name) for rule in rules if rule.verdict != PASS]
        result |= {
            "passed": True,
            "verdict": overall(rules) if rules else PASS,
            "rules": [rule.to_json() for rule in rules],
        }
        _tell(result)
        for rule in rules:
            say(rule.in_lines())
    finally:
        if "passed" in result:
            result["reason"] = failures[0].reason if failures else None
            result["failures"] = [failure.to_json() for failure in failures]
            write_json(InfraValidation.of(workspace, name).result, result)
        shutil.rmtree(scratch / "model", ignore_errors=True)
    return result


def _look(
    name: str,
    scratch: Path,
    wanted: dict[str, Signature],
    goldens: Sequence[golden.Golden],
) -> dict[str, Any]:
    """Returns what a server of the candidate was measured to do.

    Raises:
        DoesNotServeError: See `infra_validate`.
    """
    started = time.monotonic()
    base, log = scratch / "model", scratch / "server.log"
    try:
        with running_server(name, base_path=base, log=log, more=[_ONCE]) as server:
            loaded = time.monotonic() - started
            try:
                _check_signatures(server, name, wanted)
                answers = golden_answers.ask(server.target, name, None, goldens)
                if failure := causes.of_answers(answers, name):
                    raise DoesNotServeError(failure)
                requests = _time(server.target, name, goldens)
            except ServingError as e:
                raise DoesNotServeError(causes.of_request(e, server, name)) from None
            return {
                "says": golden_answers.summary(answers, server.target),
                "golden": [difference.to_json() for difference in answers],
                "load_s": loaded,
                "requests_ms": requests,
                "memory_mb": peak_mb(server.pid),
            }
    except StartError as e:
        raise DoesNotServeError(_why_not_started(e, name, scratch, wanted)) from None


def _why_not_started(
    e: StartError, name: str, scratch: Path, wanted: dict[str, Signature]
) -> Failure:
    """Returns why; a SavedModel that loads without its warm-up request is looked at so."""
    failure = causes.of_start(e, name)
    base = scratch / "model"
    if failure.reason != LOAD_ERROR or not (base / "1" / WARM_UP).is_file():
        return failure
    log = scratch / "server-without-warm-up.log"
    try:
        with running_server(name, base_path=base, log=log, more=[_ONCE, _NO_WARM_UP]) as server:
            _check_signatures(server, name, wanted)
    except DoesNotServeError as deviates:
        return deviates.failure
    except ServingError:
        return failure
    return causes.of_warm_up(e, name)


def _check_signatures(server: RunningServer, name: str, wanted: dict[str, Signature]) -> None:
    with SegmentationClient(server.target) as client:
        found = contract.deviations(client.signatures(name), wanted)
    if found:
        raise DoesNotServeError(causes.of_deviations(found, name))


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


def _tell(found: dict[str, Any]) -> None:
    """Says what was measured, limits or not."""
    requests, memory = found["requests_ms"], found["memory_mb"]
    say(f"{found['server']} loaded the candidate in {found['load_s']:.1f} s: {found['says']}")
    say(
        f"{found['size_mb']:.1f} MB; one image takes {statistics.median(requests):.0f} ms, "
        f"the median of {len(requests)} requests one after another"
        + ("" if memory is None else f"; the server had up to {memory:.0f} MB resident")
    )
