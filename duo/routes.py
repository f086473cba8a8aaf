"""What a route is: one choice per layer, written as an integer.

A route's code is its choices read as digits, layer 0 first (most significant), in the base of the number of choices.
So codes in ascending order are the leaves of the prefix tree from left to right, and in the space {small, big} the
code is a binary number with a 1 for every big layer: 0b0011 is a route of four layers whose upper two are big. Tables
hold codes; whatever a code means is asked here.

Deep models have too many routes to try all. A space may take layers together in blocks, which choose once, and may be
bounded to routes that depart from all-big in a few places only. Its budgets are then bounds too: a route of a budget
has at least so many big blocks, where in an unbounded space it has exactly so many.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb

import numpy as np

from duo.errors import InputError
from duo.terms import ALL_BIG, ALL_SMALL, BIG, REPEAT, SKIP, SMALL

CHOICES = (SMALL, BIG, SKIP, REPEAT)
BITS = 63  # of a code
MOST = 2**20  # routes that are tried where the losses of all are kept: nothing of OPT-1.3B's 24 layers fits
STREAMED = 2**27  # where they are not: all three-way ones of 17 layers fit


@dataclass(frozen=True)
class RouteSpace:
    """All routes over `layers` layers with the given choices at each, e.g. RouteSpace(12, ("small", "big")).

    blocks: into how many blocks of neighbouring layers, all of one size, the layers are divided; a block's layers take
    one choice. By default each layer is a block. departures: at most so many blocks are not big; by default any number.
    """

    layers: int
    choices: tuple[str, ...] = (SMALL, BIG)
    blocks: int | None = None
    departures: int | None = None

    def __post_init__(self):
        if not isinstance(self.layers, int) or self.layers < 1:
            raise InputError(f"layers {self.layers!r}: should be a whole number from 1")
        if not isinstance(self.choices, tuple) or not set(self.choices) <= set(CHOICES):
            raise InputError(f"choices {self.choices!r}: should be a tuple of some of {', '.join(CHOICES)}")
        if len(set(self.choices)) < max(1, len(self.choices)):
            raise InputError(f"choices {self.choices!r}: should be one or more, each once")
        if self.blocks is not None and (self.blocks < 1 or self.layers % self.blocks):
            raise InputError(f"blocks {self.blocks}: should divide the {self.layers} layers")
        if self.departures is not None and (BIG not in self.choices or self.departures < 0):
            raise InputError(
                f"departures {self.departures}: should be 0 or more, from routes whose layers can all be {BIG}"
            )
        if len(self.choices) ** self.places > 2**BITS:
            raise InputError(
                f"{self.places} choices, each of {', '.join(self.choices)}: their codes would need more than {BITS} "
                "bits; should be fewer, as of blocks"
            )

    def __len__(self) -> int:
        return how_many(self.places, len(self.choices), self.departures)

    @property
    def places(self) -> int:
        """How many choices a route makes: one for every block."""
        return self.layers if self.blocks is None else self.blocks

    @cached_property
    def codes(self) -> np.ndarray:
        """[routes] the routes' codes, ascending: all numbers from 0 where the space is not bounded."""
        if self.departures is None:
            return np.arange(len(self))
        weights = len(self.choices) ** np.arange(self.places - 1, -1, -1)
        big = self.choices.index(BIG)
        away = np.array([index - big for index in range(len(self.choices)) if index != big], np.int64)
        found = [np.zeros(1, np.int64)]
        for count in range(1, min(self.departures, self.places) + 1):
            where = weights[np.array(list(combinations(range(self.places), count)))]
            steps = np.stack(np.meshgrid(*[away] * count, indexing="ij"), axis=-1).reshape(-1, count)
            found.append((where @ steps.T).ravel())
        return np.sort(big * weights.sum() + np.concatenate(found))

    def index(self, codes: np.ndarray) -> np.ndarray:
        """[...] where routes with these codes [...] stand in `codes`: themselves, where the space is not bounded."""
        return codes if self.departures is None else np.searchsorted(self.codes, codes)

    @cached_property
    def digits(self) -> np.ndarray:
        """[routes, places] uint8: the index in `choices` that each route takes at each place, routes in order of
        code.
        """
        return self.decode(self.codes)

    def big(self, codes: np.ndarray) -> np.ndarray:
        """[..., places] bool: which places the routes with these codes [...] run with the big FFN."""
        return self.decode(codes) == self.choices.index(BIG)

    def counts(self, choice: str) -> np.ndarray:
        """[routes] int: how many places of each route take `choice`, routes in order of code."""
        return (self.digits == self.choices.index(choice)).sum(axis=1)

    def count(self, codes: np.ndarray, choice: str) -> np.ndarray:
        """[...] int: how many places of the routes with these codes take `choice`."""
        return (self.decode(codes) == self.choices.index(choice)).sum(axis=-1)

    def with_budget(self, budget: int) -> np.ndarray:
        """Codes, ascending, of the routes with `budget` big layers, or blocks: exactly so many, or, in a bounded space,
        so many or more.
        """
        return self.codes[self.serves(self.counts(BIG), budget)]

    def serves(self, big: int | np.ndarray, budget: int | None) -> bool | np.ndarray:
        """[...] bool: whether routes with so many big layers [...], or blocks, are of the budget; None is any."""
        if budget is None:
            return np.ones(np.shape(big), bool)
        return big == budget if self.departures is None else big >= budget

    def by_score(self, scores: np.ndarray) -> np.ndarray:
        """Codes [..., layers + 1] of the routes that are big in the 0, 1, ... all layers of highest score; of equal
        scores the lower layer.

        scores [..., layers]. In a space of two choices: all other layers take the one that is not big.
        """
        big = self.choices.index(BIG)
        order = np.argsort(-scores, axis=-1, kind="stable")
        none = self.encode(np.full((*scores.shape[:-1], 1, self.places), 1 - big))
        more = (2 * big - 1) * self._powers[order]  # what a layer adds to the code when it becomes big
        return none + np.concatenate([np.zeros_like(none), more.cumsum(axis=-1)], axis=-1)

    def highest(self, scores: np.ndarray, budget: int) -> np.ndarray:
        """Codes [...] of the routes that are big in the `budget` layers of highest score; the rest as in by_score."""
        return self.by_score(scores)[..., budget]

    def named(self, name: str | int) -> int:
        """Code of the route all_big or all_small; a route without a name goes by its code.

        InputError where the space has no such route.
        """
        choice = {ALL_BIG: BIG, ALL_SMALL: SMALL}.get(name)
        if choice in self.choices and (choice == BIG or self.departures is None):
            return int(self.encode(np.full(self.places, self.choices.index(choice))))
        if isinstance(name, str) or name not in self.codes:
            raise InputError(
                f"route {name!r}: no route over {self.layers} layers of {', '.join(self.choices)}; should be all_big, "
                f"all_small (where layers can be so) or the code of a route, the last of which is {self.codes[-1]}"
            )
        return name

    def word(self, code: int) -> str:
        """A route's digits as text, layer 0 first: "0011" in {small, big} is big in the upper two of four layers."""
        return "".join(map(str, self.decode(np.array(code)).tolist()))

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """[..., places] uint8: the index in `choices` that the routes with these codes [...] take at each place."""
        return (codes[..., None] // self._powers % len(self.choices)).astype(np.uint8)

    def by_layer(self, codes: np.ndarray) -> np.ndarray:
        """[..., layers] uint8: the same at each layer, those of a block alike."""
        return np.repeat(self.decode(codes), self.layers // self.places, axis=-1)

    def encode(self, digits: np.ndarray) -> np.ndarray:
        """Codes [...] of choices [..., places] given as indices in `choices`."""
        return (digits.astype(np.int64) * self._powers).sum(axis=-1)

    @property
    def _powers(self) -> np.ndarray:
        """[places] int64: what a digit is worth in the code, by its place."""
        return len(self.choices) ** np.arange(self.places - 1, -1, -1)


def how_many(places: int, choices: int, departures: int | None = None) -> int:
    """How many routes take one of so many choices at each place; with departures, the same one at all but so many."""
    if departures is None:
        return choices**places
    return sum(comb(places, count) * (choices - 1) ** count for count in range(min(departures, places) + 1))


def route_name(reference: str | int) -> str:
    """How tables call a route that is given by its name or by its code: all_big, all_small or route_CODE."""
    return f"route_{reference}" if isinstance(reference, int) else reference
