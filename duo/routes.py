"""What a route is: one choice per layer, written as an integer.

A route's code is its choices read as digits, layer 0 first (most significant), in the base of the number of choices.
So codes in ascending order are the leaves of the prefix tree from left to right, and in the space {small, big} the
code is a binary number with a 1 for every big layer.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from duo.settings import ALL_BIG, ALL_SMALL

SMALL, BIG, SKIP = "small", "big", "skip"
CHOICES = (SMALL, BIG, SKIP)


@dataclass(frozen=True)
class RouteSpace:
    """All routes over `layers` layers with the given choices at each, e.g. RouteSpace(12, ("small", "big"))."""

    layers: int
    choices: tuple[str, ...] = (SMALL, BIG)

    def __len__(self) -> int:
        return len(self.choices) ** self.layers

    @cached_property
    def digits(self) -> np.ndarray:
        """[routes, layers] uint8: the index in `choices` that each route takes at each layer, routes in order of
        code.
        """
        return self.decode(np.arange(len(self)))

    def counts(self, choice: str) -> np.ndarray:
        """[routes] int: how many layers of each route take `choice`."""
        return (self.digits == self.choices.index(choice)).sum(axis=1)

    def count(self, codes: np.ndarray, choice: str) -> np.ndarray:
        """[routes] int: how many layers of the routes with these codes take `choice`."""
        return (self.decode(codes) == self.choices.index(choice)).sum(axis=1)

    def with_budget(self, budget: int) -> np.ndarray:
        """Codes, ascending, of the routes with exactly `budget` big layers."""
        return np.flatnonzero(self.counts(BIG) == budget)

    def named(self, name: str | int) -> int:
        """Code of the route all_big or all_small, in the space {small, big}; a route without a name goes by its code."""
        return {ALL_BIG: len(self) - 1, ALL_SMALL: 0}.get(name, name)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """[..., layers] uint8: the index in `choices` that the routes with these codes [...] take at each layer."""
        powers = len(self.choices) ** np.arange(self.layers - 1, -1, -1)
        return (codes[..., None] // powers % len(self.choices)).astype(np.uint8)

    def encode(self, digits: np.ndarray) -> np.ndarray:
        """Codes [...] of choices [..., layers] given as indices in `choices`."""
        powers = len(self.choices) ** np.arange(self.layers - 1, -1, -1)
        return (digits.astype(np.int64) * powers).sum(axis=-1)
