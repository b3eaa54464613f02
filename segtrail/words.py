"""Words for people: what somebody may have meant, and text that a terminal can show."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

# of keys and of values of params.yaml, in lower case
KERAS = {
    "lr": "Did you mean 'learning_rate'?",
    "epochs": "training.steps says how long; validate_every is the steps of an epoch.",
    "optimizer": "It is AdamW with training.weight_decay; weight_decay: 0 is Adam.",
    "binary_crossentropy": "Did you mean 'bce'?",
    "categorical_crossentropy": "Did you mean 'cross_entropy'?",
    "sparse_categorical_crossentropy": "Did you mean 'cross_entropy'?",
    "dice": "Did you mean 'bce_dice'?",
    "resunet": "Did you mean 'residual_unet'?",
    "attention": "Did you mean 'attention_unet'?",
    "unet++": "Did you mean 'unet_plus_plus'?",
}


def near(word: str, known: Iterable[str]) -> str:
    """Returns ` Did you mean 'x'?` for the nearest of `known`, or nothing."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {match[0]!r}?" if match else ""


def hint(word: str, known: Iterable[str]) -> str:
    """Returns what somebody who knows Keras may have meant, else the nearest of `known`."""
    said = KERAS.get(word.lower())
    return f" {said}" if said else near(word, known)


def plain(text: str) -> str:
    """Returns text for a terminal: control characters are spelt out."""
    return text if text.isprintable() else ascii(text)


def counted(number: int, one: str, many: str) -> str:
    """Returns `1 delivery` or `2 deliveries`."""
    return f"{number} {one if number == 1 else many}"


def shortened(items: Sequence[str], most: int = 4) -> str:
    """Returns `a, b and 3 more`."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
