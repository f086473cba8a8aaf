"""What groups of settings are made of: types of values, and checks of values that must fit together.

A check raises ValueError with the key, the value and what would be right; pydantic adds where the group stands.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from duo.routes import MOST

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=10**6)]
Several = Annotated[int, Field(ge=2, le=10**6)]
Many = Annotated[int, Field(ge=1, le=10**12)]  # tokens, or what is counted along with them
Positive = Annotated[float, Field(ge=1e-9, le=1e9)]
NotNegative = Annotated[float, Field(ge=0, le=1e9)]
Temperature = Annotated[float, Field(ge=1e-3, le=1e3)]  # beyond which softmax is a step, or flat, and has no gradient
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # tables hold it in 32 bits
Names = Annotated[list[str], Field(min_length=1)]
Layers = Annotated[int, Field(ge=1, le=39)]  # codes of routes of three choices then have 63 bits at most
Width = Annotated[int, Field(ge=1, le=2**16)]
Inner = Annotated[int, Field(ge=1, le=2**20)]  # width of an FFN inside
Vocabulary = Annotated[int, Field(ge=257, le=65536)]  # all bytes and the BOS token; ids fit 16 bits
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]  # of the user's choosing; part of file names
Budgets = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]  # big layers per token
Mix = dict[str, Share]
Optimizer = Literal["adamw", "muon"]
SearchMethod = Literal["random", "mcts", "evolution", "beam", "one_flip", "two_flip", "additive"]
# Ways to choose routes by the names that they get in tables and figures: one of those that duo has, under its own name,
# or a class of the user's own as module:Class, under any other.
Choosers = dict[Name, str]
_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Package(Group):
    """A wheel of the package index, pinned by its hash."""

    # Patterns keep pip from taking them for options, and the cache's file names inside the cache.
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def require(true: bool, key: str, value: Any, remedy: str) -> None:
    if not true:
        raise ValueError(f"{key}: {value!r} {remedy}" if value != "" else f"{key}: {remedy}")


def require_once(group: Group, *keys: str) -> None:
    for key in keys:
        values = getattr(group, key)
        require(len(set(values)) == len(values), key, values, "must name each once")


def require_ascending(group: Group, *keys: str) -> None:
    for key in keys:
        values = getattr(group, key)
        require(values == sorted(set(values)), key, values, "must be ascending, each once")


def require_a_step(key: str, tokens: int, batch: int, sequence: int) -> None:
    """ValueError where a training's tokens are fewer than one step takes."""
    step = batch * sequence
    require(tokens >= step, key, tokens, f"is less than one step takes: a batch of {batch} x {sequence} tokens, {step}")


def require_tried(key: str, value: Any, routes: int, most: int = MOST) -> None:
    """ValueError where a value means that more routes are tried than can be."""
    require(routes <= most, key, value, f"means {routes:,} routes to try, but at most {most:,} can be tried")


def require_choosers(key: str, entries: Mapping[str, str], known: Sequence[str], taken: Sequence[str]) -> None:
    """ValueError where an entry is none of Choosers; known: those that duo has; taken: names with another meaning."""
    for name, item in entries.items():
        require(name not in taken, f"{key}.{name}", item, "needs another name: this one stands for something else")
        if name in known:
            require(item == name, f"{key}.{name}", item, f"must be {name!r}; give a class of your own another name")
        else:
            remedy = (
                f"is no class as module:Class, and {name!r} is none of {', '.join(known)}, which stand for themselves"
            )
            require(bool(_CLASS.fullmatch(item)), f"{key}.{name}", item, remedy)


def require_whole(mix: Mix | None) -> None:
    total = 1 if mix is None else sum(mix.values())
    require(abs(total - 1) < 1e-6, "mix", mix, f"shares must add up to 1, not {total:g}")


def require_mix(key: str, mix: Mix | None, domains: list[str]) -> None:
    remedy = f"must name the domains of corpus that have a training split: {domains}"
    require(mix is None or sorted(mix) == sorted(domains), key, sorted(mix or {}), remedy)
