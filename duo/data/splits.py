"""Which splits a domain's documents fall to, and which of the user's files are in each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

HELD_OUT = ("validation", "test", "routing")
SPLITS = ("train", *HELD_OUT)
PACKED = (".gz", ".zst")  # suffixes that may stand behind another


def named(domain: Any) -> tuple[str, ...]:
    """The splits that documents of a domain (duo.data.sources) fall to; without train no model trains on it."""
    if getattr(domain, "split_by", None) == "package":
        given = {wheel.split for wheel in domain.wheels}
    else:
        given = {*HELD_OUT, *(globs(domain.glob) if hasattr(domain, "glob") else SPLITS)}
    return tuple(split for split in SPLITS if split in given)


def globs(given: str | list[str] | Mapping[str, str | list[str]]) -> dict[str, list[str]]:
    """Globs by split. One that names no split, or a list of such, is of training, of which shares may be taken."""
    by_split = given if isinstance(given, Mapping) else {"train": given}
    return {split: [each] if isinstance(each, str) else list(each) for split, each in by_split.items()}


def suffix_of(name: str) -> str:
    """The suffix that tells a file's kind, without that of its packing."""
    return Path(name.removesuffix(PACKED[0]).removesuffix(PACKED[1])).suffix
