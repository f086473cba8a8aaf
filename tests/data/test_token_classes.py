"""Classes, line starts and pieces of tokens, on snippets where they are known."""

import itertools

import pytest

from duo.data import token_classes
from duo.data import tokenizer as tokens

SNIPPET = '''\
# naïve

import os
def f(x: int):
    if x > 10:  # 日本 🐝
        return "é — 日" + f"{x!r} {1}"
    text = """a
  b"""
    return [
        1,
    ]
'''
TOKENIZERS = {"bytes": 257, "merged": 300}


@pytest.fixture(scope="module", params=TOKENIZERS)
def offsets(request):
    """Offsets of a text's tokens, of single bytes or of what BPE merges of the snippet."""
    tokenizer = tokens.train([SNIPPET] * 2, TOKENIZERS[request.param])
    return lambda text: tokenizer.encode(text, add_special_tokens=False).offsets


def spans(text: str, *words: str) -> list[tuple[int, int]]:
    """Offsets of tokens that follow one another in the text."""
    assert "".join(words) == text
    ends = [sum(map(len, words[:index])) for index in range(len(words) + 1)]
    return list(itertools.pairwise(ends))


@pytest.mark.parametrize("language", ["python", None])
def test_pieces_join_to_the_text_and_a_shared_character_stands_at_its_first_token(offsets, language):
    found = offsets(SNIPPET)
    described = token_classes.describe(SNIPPET, found, language)
    assert "".join(described.pieces) == SNIPPET
    assert len(described.pieces) == len(described.classes) == len(described.line_starts) == len(found)
    part = token_classes.describe(SNIPPET, found[:20], language)
    assert "".join(part.pieces) == SNIPPET[: found[19][1]] and part.classes == described.classes[:20]


def test_bytes_of_a_character_have_its_class_and_no_text_of_their_own():
    text = "日é"
    shared = [(0, 1), (0, 1), (0, 1), (1, 2), (1, 2)]
    assert token_classes.pieces(text, shared) == ["日", "", "", "é", ""]
    assert token_classes.text_classes(text, shared) == ["word start"] + ["continuation"] * 4
    assert token_classes.python_classes('"é"', [(0, 1), (1, 2), (1, 2), (2, 3)]) == ["string"] * 4


def test_each_line_but_the_first_starts_once(offsets):
    found = offsets(SNIPPET)
    described = token_classes.describe(SNIPPET, found, "python")
    starting = [start for start, flag in zip(found, described.line_starts, strict=True) if flag]
    lines = [line.strip() for line in SNIPPET.splitlines()[1:] if line.strip()]
    assert [SNIPPET[start:].lstrip()[0] for start, _ in starting] == [line[0] for line in lines]


def test_line_starts_are_the_first_visible_tokens_of_lines():
    words = ["\n", "a", " b", "\n   ", " c", "\n", "  ", "\n", "    ", "d", "!", "\n"]
    assert token_classes.line_starts("".join(words), spans("".join(words), *words)) == [
        word in (" c", "d") for word in words
    ]


def test_text_without_newlines_has_no_line_starts():
    assert token_classes.line_starts("one two", spans("one two", "one", " two")) == [False, False]


def test_classes_of_text():
    words = [
        "On",
        "to",
        "logy",
        " ",
        " is",
        ",",
        " in",
        " 20",
        "24",
        ":",
        " (",
        "é",
        "t",
        "ude",
        ")",
        "\n",
        "\n",
        "½",
        "it",
        "'s",
    ]
    classes = dict(zip(words, token_classes.text_classes("".join(words), spans("".join(words), *words)), strict=True))
    expected = {
        "word start": ["On", " is", " in", "é", "it"],
        "continuation": ["to", "logy", "t", "ude"],
        "punctuation": [",", ":", " (", ")", "'s"],
        "digit": [" 20", "24", "½"],
        "whitespace": [" ", "\n"],
    }
    assert classes == {word: name for name, each in expected.items() for word in each}


def test_classes_of_python_are_its_tokenizer_s():
    classes = token_classes.python_classes(SNIPPET, [(index, index + 1) for index in range(len(SNIPPET))])

    def of(part: str, after: str = "") -> set[str]:
        start = SNIPPET.index(part, SNIPPET.index(after))
        return set(classes[start : start + len(part)])

    assert of("# naïve") == of("# 日本 🐝") == {"comment"}
    assert of("import") == of("def") == of("if") == of("return") == {"keyword"}
    assert of("os") == of("int") == of("text") == {"name"}
    assert of("10") == of("1", after="[\n") == {"number"}
    assert of('"é — 日"') == of('f"{x!r} {1}"') == of('"""a\n  b"""') == {"string"}
    assert of("):") == of(">") == of("+") == of(",", after="[\n") == {"operator"}
    assert of("\n", after="naïve") == of("\n", after="[") == {"newline"}
    assert of("    ", after="int):") == of("        ", after="🐝") == of("        ", after="return [") == {"indent"}
    assert of(" ", after="x >") == {"whitespace"}


def test_a_token_of_several_characters_counts_by_its_first_visible_one():
    words = ["if", " x", ":", "\n   ", " y", " ", "=", " ", '"', " a", '"', "\n"]
    classes = token_classes.python_classes("".join(words), spans("".join(words), *words))
    assert classes == (
        [
            "keyword",
            "name",
            "operator",
            "newline",
            "name",
            "whitespace",
            "operator",
            "whitespace",
            "string",
            "string",
            "string",
            "newline",
        ]
    )


@pytest.mark.parametrize("text", ["def f(:\n  '''open", "if x:\n    a\n  b\n", "f(", "\x00"])
def test_what_python_refuses(text):
    with pytest.raises(token_classes.NotPython):
        token_classes.describe(text, [(0, 1)], "python")
    assert token_classes.describe(text, [(0, 1)], None).pieces == [text[0]]


@pytest.mark.parametrize(
    "text",
    ["x = 1", "x = 1\r\ny = 2\r\n", "x = (1 +\n\n 2)", "if x:\n\tpass", "a = '\u2028'\n\x0cb = 1\n", "if x:\n  y"],
)
def test_odd_sources_are_classed_to_the_end(text):
    classes = token_classes.python_classes(text, [(index, index + 1) for index in range(len(text))])
    assert set(classes) <= {"name", "keyword", "operator", "number", "string", "newline", "whitespace", "indent"}
    assert classes[len(text.rstrip()) - 1] in ("number", "operator", "keyword", "name")
