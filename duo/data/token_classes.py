"""Classes of tokens (the start of a word, a name, white space ...), whether they start a line, and their text.

They tell which kinds of tokens gain from big FFNs. A token's place in its document comes from the tokenizer's
offsets, in characters. Tokens of a byte-level BPE may share a character that takes several bytes; all of them then
have that character's class.
"""

import io
import itertools
import keyword
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass

# Python's kinds of tokens and our classes for them; names and keywords are one kind to Python. All of an f-string is
# "string", as it was to Python before 3.12.
_PYTHON = {
    "NUMBER": "number",
    "STRING": "string",
    "OP": "operator",
    "COMMENT": "comment",
    "NEWLINE": "newline",
    "NL": "newline",
    "INDENT": "indent",
}

Offsets = Sequence[tuple[int, int]]  # the first character of every token, and the one after its last


class NotPython(ValueError):
    """The text is no Python: Python's own tokenizer refuses it."""


@dataclass(frozen=True)
class DescribedTokens:
    """The tokens of a document, in order: their text, their class, and whether they start a line."""

    pieces: list[str]
    classes: list[str]
    line_starts: list[bool]


def describe(text: str, offsets: Offsets, language: str | None) -> DescribedTokens:
    """Pieces, classes and line starts of the tokens at these offsets, which are the first tokens of `text`.

    Classes are those of `python_classes` with language "python", else those of `text_classes`. NotPython where the
    language is "python" and the text is not.
    """
    classes = python_classes(text, offsets) if language == "python" else text_classes(text, offsets)
    return DescribedTokens(pieces(text, offsets), classes, line_starts(text, offsets))


def pieces(text: str, offsets: Offsets) -> list[str]:
    """The text of every token; together they are the beginning of `text`.

    A character that several tokens share goes to the first of them.
    """
    ends = [0, *(end for _, end in offsets)]
    return [text[start:end] for start, end in itertools.pairwise(ends)]


def line_starts(text: str, offsets: Offsets) -> list[bool]:
    """Whether every token holds the first visible character of a line.

    The document's first line does not count: its first token is hard to predict for another reason, having no context.
    """
    starts, reached = [], 0
    for piece in pieces(text, offsets):
        visible = reached + len(piece) - len(piece.lstrip())
        reached += len(piece)
        before = text[:visible].rstrip()
        starts.append(visible < reached and "\n" in text[len(before) : visible] and bool(before))
    return starts


def text_classes(text: str, offsets: Offsets) -> list[str]:
    """Class of every token by its first visible character: that of natural language.

    A letter is a word start where no letter stands before it and no earlier token has a part of it; else it is a
    continuation.
    """
    classes, reached = [], 0
    for start, end in offsets:
        first = _first_visible(text, start, end)
        if first is None:
            classes.append("whitespace")
        elif text[first].isnumeric():
            classes.append("digit")
        elif not text[first].isalpha():
            classes.append("punctuation")
        else:
            begun = first < reached or (first > 0 and text[first - 1].isalpha())
            classes.append("continuation" if begun else "word start")
        reached = end
    return classes


def python_classes(text: str, offsets: Offsets) -> list[str]:
    """Class of every token by what Python's own tokenizer sees at its first visible character: that of source code.

    Where a token has no visible character, its first one counts. NotPython where that tokenizer refuses the text.
    """
    painted = _paint(text)
    firsts = (_first_visible(text, start, end) for start, end in offsets)
    return [painted[start if first is None else first] for first, (start, _) in zip(firsts, offsets, strict=True)]


def _first_visible(text: str, start: int, end: int) -> int | None:
    """Index in `text` of the first character of text[start:end] that is not white space; None where all are."""
    return next((index for index in range(start, end) if not text[index].isspace()), None)


def _paint(text: str) -> list[str]:
    """The class of every character of a Python source."""
    painted = ["whitespace"] * len(text)
    starts = [0]  # of the lines, and the end
    for line in io.StringIO(text):
        indent = len(line) - len(line.lstrip(" \t\f"))  # Python has tokens only for changes of it
        painted[starts[-1] : starts[-1] + indent] = ["indent"] * indent
        starts.append(starts[-1] + len(line))
    opened = []  # where the f-strings begin that are open at a token
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
