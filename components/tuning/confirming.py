"""Whether the best trial is better than the recipe as it is, or was lucky."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

from components.tuning.search import Search
from components.tuning.study import VALUES


@dataclass(frozen=True)
class Comparison:
    """Scores of the winner and of the recipe as it is, with the same fresh seeds."""

    winner: list[float]
    own: list[float]

    @property
    def better(self) -> bool:
        """Whether every score of the winner is above every score of the recipe.

        An exact permutation test: were both the same, k scores of each would part like that
        once in `comb(2k, k)` times, with three seeds once in twenty. The trials of the search do
        not count, since the winner was chosen by them.
        """
        return min(self.winner) > max(self.own)

    @property
    def says(self) -> str:
        """The scores in words."""
        chance = 1 / comb(2 * len(self.own), len(self.own))
        return (
            f"validation IoU with {len(self.own)} fresh seeds: the winner "
            f"{_list(self.winner)}, the recipe as it is {_list(self.own)}; "
            + (
                f"all above all, by chance once in {1 / chance:.0f}"
                if self.better
                else "not all above all"
            )
        )


def compare(search: Search, repeats: int) -> Comparison:
    """Trains the winner and the recipe with `repeats` seeds that no trial had.

    Raises:
        StageError: A training failed.
    """
    study = search.study
    winner, own = study.complete[0].user_attrs[VALUES], study.space.own_values()
    first = study.space.recipe.training.seed
    scores: tuple[list[float], list[float]] = ([], [])
    for seed in ((first + k) % 2**32 for k in range(1, repeats + 1)):
        for values, to, what in ((winner, scores[0], "winner"), (own, scores[1], "recipe")):
            to.append(search.repeat(values, seed, f"{what} seed {seed}"))
    return Comparison(*scores)


def _list(scores: list[float]) -> str:
    return ", ".join(f"{score:.4f}" for score in scores)
