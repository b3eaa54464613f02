"""What an adapter is: it knows one publisher's layout of images and masks.

An adapter is a module in `components.ingestion.adapters`, or one that another distribution
names as an entry point of the group `segtrail.adapters`; its class registers itself by
`@register`.
"""

from __future__ import annotations

import functools
import unicodedata
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from components.ingestion.archive import Source
from components.ingestion.plugins import Failure, load_all
from components.ingestion.problems import Problems
from components.ingestion.reading import Delivered, read_image
from segtrail.errors import ConfigError
from segtrail.settings.dataset import Dataset, MaskKind
from segtrail.words import near

# An id becomes a file name under data/; 200 bytes leave room for an ending.
_PUNCTUATION = frozenset(" ._+@=()-")
_LONGEST_ID = 200
# Names of devices on Windows, whatever comes after a dot.
_RESERVED = frozenset(
    {"CON", "NUL", "PRN", "AUX", *(f"{port}{n}" for port in ("COM", "LPT") for n in "123456789¹²³")}
)


@dataclass(frozen=True)
class Item:
    """One image of a delivery and its masks, found but not read yet.

    Attributes:
        id: The image's name in the dataset.
        image: Its file in the source.
        masks: Its mask files in the source, in an order that the adapter gives a meaning.
        slice: What the publisher says that it shows; empty if nothing.
        group: Images of one group (a subject, a block of neighbouring slices) share a split.
        page: Which page of a TIFF with several, from 0.
    """

    id: str
    image: str
    masks: tuple[str, ...] = ()
    slice: str = ""
    group: str = ""
    page: int = 0


@dataclass(frozen=True)
class Mask:
    """One image's mask.

    Attributes:
        values: uint16 `[H, W]`: instance ids, class indices or class bits, as the adapter's
            `masks` says; 0 background.
        overlap: The most pixels that one instance shares with those before it.
        note: What was mended, in words that begin with the file; empty if nothing.
    """

    values: npt.NDArray[np.uint16]
    overlap: int = 0
    note: str = ""


class Adapter(ABC):
    """Reads deliveries in one layout. Holds no state: its methods may run in several threads.

    Attributes:
        name: What `adapter:` in `params.yaml` calls it.
        layout: The layout, in a line, for messages and `--help`.
        licence: The publisher's; empty if there is no one publisher.
        masks: What the masks' values are; None if the dataset's settings say it.
        classes: The foreground classes; empty if the dataset's settings say them.
        groups_known: Whether `Item.group` says all that is known of which images belong
            together. If not, near duplicates and neighbouring crops are grouped too.
    """

    name: ClassVar[str]
    layout: ClassVar[str]
    licence: ClassVar[str] = ""
    masks: ClassVar[MaskKind | None] = None
    classes: ClassVar[tuple[str, ...]] = ()
    groups_known: ClassVar[bool] = False

    def __init__(self, dataset: Dataset) -> None:
        """Raises:
        ConfigError: The dataset's `masks` or `classes` are not this publisher's.
        """
        self.dataset = dataset
        for field, mine, said in (
            ("masks", self.masks, dataset.masks),
            ("classes", list(self.classes) or None, dataset.classes),
        ):
            if mine is not None and mine != said:
                raise ConfigError(
                    f"params.yaml: a dataset of the adapter {self.name!r} has {field}: {mine}; "
                    f"found {said}"
                )

    @abstractmethod
    def find(self, source: Source, problems: Problems) -> list[Item]:
        """Returns the images of a delivery, by id; notes what does not fit the layout."""

    @abstractmethod
    def read_mask(
        self, source: Source, item: Item, size: tuple[int, int], problems: Problems
    ) -> Mask | None:
        """Returns an image's mask, or None after noting what is wrong with it.

        Args:
            source: Where the item was found.
            item: One that `find` returned.
            size: Height and width of the image.
            problems: Gets what is wrong, with `image=item.id`.

        Raises:
            DataError: As good as noting it.
        """

    def read_image(self, source: Source, item: Item) -> Delivered:
        """Returns an item's image: PNG, JPEG, BMP or TIFF by default.

        Raises:
            DataError: It cannot be read.
        """
        return read_image(source, item.image, item.page, self.dataset.limits)


A = TypeVar("A", bound=type[Adapter])
_ADAPTERS: dict[str, type[Adapter]] = {}
GROUP = "segtrail.adapters"


def register(adapter: A) -> A:
    """Makes an adapter known by its name; a class decorator.

    Raises:
        ValueError: Another class has the name.
        TypeError: It is no subclass of `Adapter`.
    """
    if not issubclass(adapter, Adapter):
        raise TypeError(f"{adapter.__qualname__} is not a subclass of Adapter")
    known = _ADAPTERS.setdefault(adapter.name, adapter)
    if known.__qualname__ != adapter.__qualname__ or known.__module__ != adapter.__module__:
        raise ValueError(f"two adapters are called {adapter.name!r}: {known} and {adapter}")
    _ADAPTERS[adapter.name] = adapter
    return adapter


def adapters() -> dict[str, type[Adapter]]:
    """Returns all adapters by name: segtrail's own, and those of installed distributions.

    One that cannot be loaded is left out.
    """
    _load()
    return dict(sorted(_ADAPTERS.items()))


@functools.cache
def _load() -> tuple[Failure, ...]:
    from components.ingestion import adapters as package

    return load_all(package, GROUP, _ADAPTERS)


def adapter_for(dataset: Dataset) -> Adapter:
    """Returns the adapter of a dataset.

    Raises:
        ConfigError: There is none of this name, it cannot be loaded, it lacks methods, or the
            dataset's settings do not fit it.
    """
    name, known, failed = dataset.adapter, adapters(), _load()
    for failure in failed:
        if failure.is_of(name):
            raise ConfigError(str(failure), "mend it; docs/adapters.md tells what an adapter is")
    if name not in known:
        raise ConfigError(
            f"params.yaml: no adapter {name!r}; there are {', '.join(known)}."
            + near(name, known)
            + "".join(f"\n  not among them: {failure}" for failure in failed)
        )
    if missing := sorted(known[name].__abstractmethods__):
        raise ConfigError(
            f"adapter {name} lacks {' and '.join(missing)}",
            f"give the class {known[name].__qualname__} what docs/adapters.md shows",
        )
    return known[name](dataset)


def check_id(image: str, where: str, problems: Problems) -> bool:
    """Returns whether an id can be a file name everywhere; notes it if not."""
    if (
        image
        and unicodedata.is_normalized("NFC", image)
        and all(c in _PUNCTUATION or unicodedata.category(c)[0] in "LMN" for c in image)
        and unicodedata.category(image[0])[0] in "LN"
        and not image.endswith((" ", "."))
        and len(image.encode()) <= _LONGEST_ID
    ):
        if image.partition(".")[0].rstrip().upper() not in _RESERVED:
            return True
        problems.add(
            where,
            f"the id {image!a} cannot be a file name everywhere: on Windows it is a device",
            "rename it",
            image,
        )
        return False
    problems.add(
        where,
        f"the id {image!a} cannot be a file name everywhere: expected letters and digits of any "
        "script in composed form (NFC), space and ._+@=()-, starting with a letter or digit, at "
        f"most {_LONGEST_ID} bytes",
        "rename it",
        image,
    )
    return False
