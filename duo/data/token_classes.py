"""What kind of token each token is: a word's start, a name, white space; whether it starts a line; the text that it
stands for.

A token's place in its document comes from the tokenizer's offsets, in characters. Tokens of a byte-level BPE may
share a character that takes several bytes; each of them then has that character's class.
"""

import io
import itertools
import keyword
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass

# Python's kinds of tokens with our classes; names are told apart from keywords. What stands inside an f-string is
# string, as it was to Python before 3.12.
_PYTHON = {
    "NUMBER": "number",
    "STRING": "string",
    "OP": "operator",
    "COMMENT": "comment",
    "NEWLINE": "newline",
    "NL": "newline",
    "INDENT": "indent",
}

Offsets = Sequence[tuple[int, int]]  # first character of each token, and the one after its last


class NotPython(ValueError):
    """A text is not what Python's tokenizer takes."""


@dataclass(frozen=True)
class Tokens:
    """A document's tokens, in order: the text, class and whether it starts a line, of each."""

    pieces: list[str]
    classes: list[str]
    line_starts: list[bool]


def describe(text: str, offsets: Offsets, language: str | None) -> Tokens:
    """Pieces, classes and line starts of the tokens at the given offsets, the first ones of `text`.

    Classes are those of `python_classes` with language "python", else of `text_classes`. NotPython where the text is
    none.
    """
    classes = python_classes(text, offsets) if language == "python" else text_classes(text, offsets)
    return Tokens(pieces(text, offsets), classes, line_starts(text, offsets))


def pieces(text: str, offsets: Offsets) -> list[str]:
    """The text of each token; together they are the beginning of `text`.

    A shared character goes to the first of its tokens.
    """
    ends = [0, *(end for _, end in offsets)]
    return [text[start:end] for start, end in itertools.pairwise(ends)]


def line_starts(text: str, offsets: Offsets) -> list[bool]:
    """Whether each token is the one that begins a line's first character that is not white space.

    A document's first line is left out: its first token is hard to predict for want of any context.
    """
    found, reached = [], 0
    for piece in pieces(text, offsets):
        visible = reached + len(piece) - len(piece.lstrip())
        reached += len(piece)
        before = text[:visible].rstrip()
        found.append(visible < reached and "\n" in text[len(before) : visible] and bool(before))
    return found


def text_classes(text: str, offsets: Offsets) -> list[str]:
    """Class of each token by its first character that is not white space.

    A letter is a word start where no letter stands before it and no token before it has a part of it, else a
    continuation.
    """
    found, reached = [], 0
    for start, end in offsets:
        first = _first_visible(text, start, end)
        if first is None:
            found.append("whitespace")
        elif text[first].isnumeric():
            found.append("digit")
        elif not text[first].isalpha():
            found.append("punctuation")
        else:
            begun = first < reached or (first > 0 and text[first - 1].isalpha())
            found.append("continuation" if begun else "word start")
        reached = end
    return found


def python_classes(text: str, offsets: Offsets) -> list[str]:
    """Class of each token by what Python's own tokenizer finds at its first character that is not white space, or
    else its first.

    NotPython where that tokenizer refuses the text.
    """
    painted = _paint(text)
    firsts = (_first_visible(text, start, end) for start, end in offsets)
    return [painted[start if first is None else first] for first, (start, _) in zip(firsts, offsets, strict=True)]


def _first_visible(text: str, start: int, end: int) -> int | None:
    """Index of the first character of text[start:end] that is not white space."""
    return next((index for index in range(start, end) if not text[index].isspace()), None)


def _paint(text: str) -> list[str]:
    """The class of every character of a Python source."""
    painted = ["whitespace"] * len(text)
    starts = [0]  # of the lines, and the end
    for line in io.StringIO(text):
        indent = len(line) - len(line.lstrip(" \t\f"))  # Python has a token for its changes alone
        painted[starts[-1] : starts[-1] + indent] = ["indent"] * indent
        starts.append(starts[-1] + len(line))
    opened = []  # first characters of the f-strings around a token
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            kind = tokenize.tok_name[token.type]
            name = _python_class(kind, token.string)
            first, last = (
                min(starts[min(row, len(starts)) - 1] + column, len(text)) for row, column in (token.start, token.end)
            )
            if kind.endswith("STRING_START"):
                opened.append(first)
            elif kind.endswith("STRING_END"):
                first, name = opened.pop(), "string"
            if name is not None:
                painted[first:last] = [name] * (last - first)
    except (tokenize.TokenError, SyntaxError) as error:
        raise NotPython(str(error)) from error
    return painted


def _python_class(kind: str, text: str) -> str | None:
    """Our class for a kind of Python's tokens; None for one without characters of its own."""
    if kind == "ERRORTOKEN":  # from Python 3.12 on an error from the start
        raise NotPython(f"{text!r} begins no token")
    if kind == "NAME":
        return "keyword" if keyword.iskeyword(text) else "name"
    return _PYTHON.get(kind)
