"""Finds out of what a server and its process say why a candidate does not serve."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from typing import Any

from components.gating.verdict import RuleVerdict
from components.infra_validation.contract import Deviation
from components.infra_validation.failure import (
    GOLDEN_DIFFERENCE,
    LOAD_ERROR,
    LOAD_TIMEOUT,
    MISSING_VARIABLE,
    OF_A_LIMIT,
    REQUEST_ERROR,
    SERVER_ENDED,
    SIGNATURE_MISMATCH,
    Failure,
)
from lineage import golden_answers
from lineage.golden_answers import Difference
from segtrail.errors import ServingError
from serving import server_log
from serving.failures import StartError
from serving.launch import RunningServer

# what a session says of a variable that the SavedModel's own loading did not fill
_VARIABLE = re.compile(
    r"Could not find variable (?P<a>\S+?)\.? This could mean"
    r"|Error while reading resource variable (?P<b>\S+) from Container"
    r"|Attempting to use uninitialized value (?P<c>\S+)"
)


def of_start(e: StartError, recipe: str) -> Failure:
    """Returns why a server did not make the candidate available."""
    details: dict[str, Any] = {
        "server_said": e.said, "log": list(e.log), "exit_code": e.ended_with
    }  # fmt: skip
    log = f"\n{server_log.in_lines(e.log, e.log_file)}"
    if (variable := _missing_variable(e.said)) is not None:
        return _variable(variable, "its warm-up request", details)
    if e.said:
        return Failure(
            LOAD_ERROR, f"the server cannot load the SavedModel: {e.said}{log}",
            _again(recipe), details,
        )  # fmt: skip
    if e.ended_with is not None:
        return _ended(e.ended_with, "while it loaded the SavedModel", recipe, details, log)
    return Failure(
        LOAD_TIMEOUT, f"{e.message.splitlines()[0]}{log}",
        f"segtrail infra-validate --recipe {recipe}   (again, when the machine has less to do)",
        details,
    )  # fmt: skip


def of_warm_up(e: StartError, recipe: str) -> Failure:
    """Returns that a SavedModel loads, but not with its own warm-up request."""
    return Failure(
        REQUEST_ERROR,
        f"the SavedModel loads, but its own warm-up request fails: {e.said}",
        _asked_here(recipe),
        {"server_said": e.said, "request": "warm-up", "log": list(e.log)},
    )


def of_request(e: ServingError, server: RunningServer, recipe: str) -> Failure:
    """Returns why a server that had loaded the candidate did not answer a golden image."""
    details: dict[str, Any] = {"server_said": e.message, "request": "of infra validation"}
    if (variable := _missing_variable(e.message)) is not None:
        return _variable(variable, "a request", details)
    if (code := server.exit_code()) is not None:
        lines = server_log.last_lines(server.log)
        details |= {"log": lines, "exit_code": code}
        log = f"\n{server_log.in_lines(lines, server.log)}"
        return _ended(code, "while it answered", recipe, details, log)
    says = f"the server loads the SavedModel, but does not answer: {e.message}"
    return Failure(REQUEST_ERROR, says, _asked_here(recipe), details)


def of_deviations(found: Sequence[Deviation], recipe: str) -> Failure:
    """Returns that the signatures are not those of the contract."""
    return Failure(
        SIGNATURE_MISMATCH,
        "the signatures are not those of the model's contract:\n"
        + "\n".join(f"  {deviation}" for deviation in found),
        f"segtrail train --recipe {recipe}   (if classes or masks changed since; a graph of your "
        "own needs the signatures that model/export.py writes)",
        {"deviations": [vars(deviation) for deviation in found]},
    )


def of_answers(found: Sequence[Difference], recipe: str) -> Failure | None:
    """Returns that golden images are answered otherwise than evaluated, or None if none is."""
    beyond = sorted((d for d in found if d.excess > 1), key=lambda d: -d.excess)
    if not beyond:
        return None
    more = f"; {len(beyond)} of {len(found)} images differ" if len(beyond) > 1 else ""
    return Failure(
        GOLDEN_DIFFERENCE, f"the server gives {beyond[0]}{more}",
        f"segtrail evaluate --recipe {recipe}   (then infra-validate again; if they still differ, "
        "the server computes otherwise than this process: compare its TensorFlow and its device)",
        {
            "worst": beyond[0].to_json(),
            "images": [difference.to_json() for difference in beyond],
            "allowed": {
                "mask": golden_answers.MASK, "count": golden_answers.COUNTS,
                "probability": golden_answers.PROBABILITY,
            },
        },
    )  # fmt: skip


def of_rule(rule: RuleVerdict, recipe: str) -> Failure:
    """Returns that a limit is not kept, or that there is too little to tell."""
    return Failure(
        OF_A_LIMIT[rule.metric], rule.says,
        f"a smaller network, or another gate.limits.{rule.metric} in params.yaml; then "
        f"segtrail infra-validate --recipe {recipe}",
        {"value": rule.value, "limit": rule.threshold, "verdict": rule.verdict},
    )  # fmt: skip


def _missing_variable(text: str) -> str | None:
    found = _VARIABLE.search(text)
    return next(filter(None, found.groups())) if found else None


def _variable(variable: str, when: str, details: dict[str, Any]) -> Failure:
    return Failure(
        MISSING_VARIABLE,
        f"the SavedModel's graph loads, but in the server's session the variable {variable!r} has "
        f"no value, so that {when} fails; TensorFlow's Python loader fills it, and does not notice",
        "in the tf.Module that is saved, track the raw variables ([v.value for v in "
        "model.variables]) and keep the Keras 3 model in a closure, as model/export.py does",
        details | {"variable": variable},
    )


def _ended(code: int, when: str, recipe: str, details: dict[str, Any], log: str) -> Failure:
    how, hint = f"exit code {code}", f"segtrail infra-validate --recipe {recipe}   (again)"
    if code < 0:
        how = f"signal {_name_of(-code)}"
    if code == -signal.SIGKILL:
        how += ", which is how a system short of memory ends a process"
        hint = f"free memory, or a smaller network; then segtrail infra-validate --recipe {recipe}"
    return Failure(SERVER_ENDED, f"the server ended {when}, with {how}{log}", hint, details)


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _again(recipe: str) -> str:
    return (
        f"dvc checkout artifacts/{recipe}/model   (its files as they were trained); or "
        f"segtrail train --recipe {recipe}"
    )


def _asked_here(recipe: str) -> str:
    return f"segtrail evaluate --recipe {recipe}   (asks the same images in this process)"
