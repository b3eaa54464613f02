"""What `segtrail trace` answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lineage.data_history import Commit
from lineage.tracing.models import Model
from lineage.tracing.rows import Step
from segtrail import deliveries

ERASED, REMOVED, ABSENT, PRESENT, UNKNOWN = "erased", "removed", "absent", "present", "unknown"


@dataclass(frozen=True)
class Moment:
    """A data version, by the commit at which the dataset became it."""

    commit: str
    date: str
    data_md5: str

    @classmethod
    def of(cls, step: Step) -> Moment:
        """Returns the moment of a step."""
        return cls(step.commit.revision, step.commit.date, step.part.dvc_md5)


@dataclass(frozen=True)
class Range:
    """Data versions, one after the other, that hold an image with one content in one split.

    Attributes:
        first: The first of them.
        last: The last.
        versions: How many they are.
        md5: Of the image's file.
        sha256: Likewise; empty while unknown.
        split: `train`, `validation` or `test`; likewise.
    """

    first: Moment
    last: Moment
    versions: int
    md5: str
    sha256: str
    split: str


@dataclass(frozen=True)
class Use:
    """A model that was trained on a data version with the image.

    Attributes:
        model: Which.
        split: In which the image was: `train`, learned from; `validation`, tuned on; `test`,
            judged by; empty while unknown.
        md5: Of the image's file.
    """

    model: Model
    split: str
    md5: str


@dataclass(frozen=True)
class Image:
    """What is known of one image.

    Attributes:
        dataset: Its dataset.
        image: Its id.
        found_by: How it was found.
        conclusion: In a sentence, which models learned from it.
        group: Of the split ledger; empty while unknown, like `slice`.
        slice: Likewise.
        delivery: Which brought the latest of the contents that are meant; None while unknown.
        state: At HEAD: `present`, `removed`, `erased`, `absent` (a version without it), or
            `unknown`.
        why: Who took it away, and why.
        ranges: The data versions that hold it, oldest first.
        uses: The models trained on one of them, those that serve first.
        unknown: Models of which it is not known, as their data version cannot be read.
        unconfirmed: What the index remembers and DVC's cache has no more.
    """

    dataset: str
    image: str
    found_by: str
    conclusion: str
    group: str
    slice: str
    delivery: deliveries.Row | None
    state: str
    why: str
    ranges: Sequence[Range]
    uses: Sequence[Use]
    unknown: Sequence[Model]
    unconfirmed: Sequence[str]


@dataclass(frozen=True)
class Data:
    """What is known of one version of a dataset.

    Attributes:
        dataset: Its name; empty if only all of `data/` is known.
        data_md5: As `segtrail data log` shows it.
        conclusion: In a sentence, which models were trained on it.
        images: How many it has; None if it cannot be read.
        moments: When the dataset became it, oldest first: more than one if it came back.
        deliveries: Those that the version before did not have.
        models: Those trained on it.
    """

    dataset: str
    data_md5: str
    conclusion: str
    images: int | None
    moments: Sequence[Moment]
    deliveries: Sequence[deliveries.Row]
    models: Sequence[Model]


@dataclass(frozen=True)
class CommitFacts:
    """What is known of one commit.

    Attributes:
        commit: The commit.
        conclusion: In a sentence, which models came of it.
        tags: Those on it.
        code: The latest commit up to it that changed more than what segtrail itself commits.
        data: The dataset versions that it holds.
        problem: Why they are not known; empty if they are.
        trained: The models that were trained at it: no older `dvc.lock` records them.
        recorded: All models that its `dvc.lock` records.
        promoted: The models that were promoted, or shown as a canary, while it was checked out.
    """

    commit: Commit
    conclusion: str
    tags: Sequence[str]
    code: Commit | None
    data: Sequence[Data]
    problem: str
    trained: Sequence[Model]
    recorded: Sequence[Model]
    promoted: Sequence[Model]
