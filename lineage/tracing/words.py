"""The conclusions of `segtrail trace`, in a sentence each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lineage.tracing.models import CANARY, Model, Service

if TYPE_CHECKING:
    from lineage.tracing.answers import Image, Use

VERBS = {
    "train": "learned from it",
    "validation": "was tuned on it",
    "test": "was judged by it",
    "": "was trained on data with it, in a split that is not known",
}
_NAMED = 4  # models of a kind; more are counted


def of_image(image: Image) -> str:
    """Returns which models learned from an image, were tuned on it, or judged by it."""
    groups: dict[str, list[Use]] = {}
    for use in image.uses:
        groups.setdefault(use.split, []).append(use)
    said = [
        words
        for split, verb in VERBS.items()
        for words in _each([use.model for use in groups.get(split, [])], verb)
    ]
    if not image.uses and image.ranges:
        said = ["no model was trained on data with it"]
    elif not image.uses:
        said = ["no data version that can be read holds it"]
    if image.unknown:
        names = _some([model.name for model in image.unknown])
        said.append(f"of {names} it is not known")
    return "; ".join(said)


def of_models(models: Sequence[Model], verb: str) -> str:
    """Returns which models did something; empty if there are none."""
    return "; ".join(_each(models, verb))


def service(service: Service) -> str:
    """Returns when and how a model answered, such as `2026-01-02 to 2026-02-03 as a canary`."""
    since, until = service.since[:10], (service.until or "")[:10]
    when = f"since {since}" if not until else since if since == until else f"{since} to {until}"
    how = {"champion": "", CANARY: " as a canary", "perhaps": " perhaps"}[service.how]
    return when + how


def _each(models: Sequence[Model], verb: str) -> list[str]:
    said = []
    for model in models:
        if model.now:
            how = " as a canary" if model.now == CANARY else ""
            said.append(f"{model.name}, which serves now{how}, {verb}")
    before = [model for model in models if model.services and not model.now]
    if len(before) > _NAMED:
        first = min(model.services[0].since for model in before)[:10]
        last = max(model.services[-1].until or "" for model in before)[:10]
        names = f"{len(before)} others, which served between {first} and {last}"
        said.append(f"{names}, {verb}")
    else:
        for model in before:
            when = " and ".join(service(each) for each in model.services)
            said.append(f"{model.name}, which served {when}, {verb}")
    if never := [model for model in models if not model.services]:
        count = "1 model" if len(never) == 1 else f"{len(never)} models"
        said.append(f"{count} that never served {verb}")
    return said


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
