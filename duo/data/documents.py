"""A document, and why a piece of a source is none.

Sources are read forgivingly: a row that can't be used is left out, with the reason, and counted; what is wrong with a
whole source is an error.
"""

import json
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from duo.errors import InputError

TEXT = "text"  # the field of a row that is a text and nothing else
LONGEST = 2**26  # bytes of a document; the longest novels have a twentieth of it
HEAD = 1000  # characters of a document that tell which scripts it is in
# Why something is left out.
BLANK, REPEATED, NO_TEXT, NOT_UTF8, NOT_JSON, TOO_LONG = (
    "blank",
    "repeated",
    "no text",
    "not UTF-8",
    "not JSON",
    "too long",
)


@dataclass(frozen=True)
class Document:
    """A text with its origin; `split` is None unless its source names one."""

    id: str
    text: str
    source: str
    licence: str
    split: str | None = None
    package: str | None = None  # that it is a file of, where it comes from one


@dataclass(frozen=True)
class LeftOut:
    """What is no document: its id, one of the reasons above, and what there is to say beyond it."""

    id: str
    reason: str
    detail: str = ""


class UnusableError(ValueError):
    """A piece of a source is no document, for one of the reasons above."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def decode(content: bytes) -> str:
    """The text in bytes of UTF-8, without a byte order mark. UnusableError where they are none or too many."""
    if len(content) > LONGEST:
        raise UnusableError(TOO_LONG, f"over {LONGEST:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnusableError(NOT_UTF8, f"byte {error.start} is 0x{content[error.start]:02x}") from None


def parse(content: bytes) -> Any:
    """The value in bytes of JSON. UnusableError where they are none."""
    try:
        return json.loads(decode(content))
    except UnusableError:
        raise
    except ValueError as error:
        raise UnusableError(NOT_JSON, str(error)) from None
    except RecursionError:
        raise UnusableError(NOT_JSON, "nested too deeply") from None


def entries(content: bytes, where: str) -> Iterator[tuple[str, Any]]:
    """(key, value) of every entry in a JSON list or object; InputError, which begins with `where`, from anything else.

    The limit on a document does not hold for the whole of them.
    """
    try:
        values = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not valid JSON ({error})") from None
    if not isinstance(values, dict | list):
        raise InputError(f"{where}: should hold a JSON object or list of objects, not {type(values).__name__}")
    yield from ((str(key), value) for key, value in (values.items() if isinstance(values, dict) else enumerate(values)))


def summary(kept: Sequence[Document], left_out: Sequence[LeftOut]) -> dict[str, Any]:
    """Numbers of what was read: documents and their bytes, scripts of their letters, and what was left out by reason.

    scripts: shares of the letters among each document's first HEAD characters, for scripts that have a hundredth.
    """
    sizes = [len(each.text.encode()) for each in kept]
    characters = Counter("".join(each.text[:HEAD] for each in kept))
    scripts: Counter[str] = Counter()
    for character, count in characters.items():
        if character.isalpha():
            scripts[unicodedata.name(character, "UNKNOWN").split()[0].lower()] += count
    return {
        "documents": len(kept),
        "bytes": {"shortest": min(sizes), "median": int(statistics.median(sizes)), "longest": max(sizes)},
        "scripts": {
            script: count / scripts.total() for script, count in scripts.most_common() if count >= scripts.total() / 100
        },
        "left_out": dict(Counter(each.reason for each in left_out).most_common()),
    }


def document(row: Any, field: str, **about: Any) -> Document | LeftOut:
    """What there is in `field` of a row; about: the rest of Document. The row may be the reason why it is none."""
    try:
        if isinstance(row, UnusableError):
            raise row
        return Document(text=text_in(row, field), **about)
    except UnusableError as unusable:
        return LeftOut(about["id"], unusable.reason, unusable.detail)


def text_in(row: Any, field: str) -> str:
    """The text in `field` of a row, which is what JSON or a table gave. UnusableError where there is none."""
    if not isinstance(row, Mapping):
        raise UnusableError(NO_TEXT, f"should be an object with the key {field!r}, not {type(row).__name__}")
    if field not in row:
        raise UnusableError(NO_TEXT, f"has no key {field!r}; it has {', '.join(map(str, row)) or 'none'}")
    value = row[field]
    if isinstance(value, bytes):
        return decode(value)
    if not isinstance(value, str):
        said = "is null" if value is None else f"should be text, not {type(value).__name__}"
        raise UnusableError(NO_TEXT, f"{field!r} {said}")
    try:
        return decode(value.encode())
    except UnicodeEncodeError as error:  # half of a surrogate pair, which JSON can spell and UTF-8 can't
        raise UnusableError(NOT_UTF8, f"{field!r}, {error.reason} at character {error.start}") from None
