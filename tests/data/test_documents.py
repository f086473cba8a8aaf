"""What a corpus is said to hold, and that text of any script stays what it is."""

import pytest

from duo.data import documents, token_classes, tokenizer
from duo.data.documents import Document, LeftOut

SCRIPTS = {
    "greek": "Ἐν ἀρχῇ ἦν ὁ λόγος",
    "arabic": "في البدء كان الكلمة، والكلمة",
    "hebrew": "בראשית ברא אלהים את השמים",
    "thai": "ในปฐมกาลพระวาทะทรงดำรงอยู่",
    "cjk": "太初有道,道与神同在",
    "devanagari": "आदि में वचन था",
    "emoji": "👩‍👩‍👧 🏳️‍🌈 e\u0301 a\u0308 \U0001f1e9\U0001f1ea ok",
}


def document(text, name="a"):
    return Document(name, text, "", "MIT")


def test_summary_counts_documents_bytes_scripts_and_what_was_left_out():
    kept = [document("abc"), document("abcd efgh"), document("αβ γδ")]
    left_out = [LeftOut("b", "blank"), LeftOut("c", "repeated"), LeftOut("d", "blank")]
    assert documents.summary(kept, left_out) == {
        "documents": 3,
        "bytes": {"shortest": 3, "median": 9, "longest": 9},
        "scripts": {"latin": 11 / 15, "greek": 4 / 15},
        "left_out": {"blank": 2, "repeated": 1},
    }


def test_scripts_with_less_than_a_hundredth_are_not_named():
    assert documents.summary([document("a" * 300 + "β")], [])["scripts"] == {"latin": 300 / 301}
    assert documents.summary([document("1 + 1")], [])["scripts"] == {}


@pytest.mark.parametrize("script", SCRIPTS)
def test_text_of_any_script_is_told_and_comes_apart_into_pieces_that_make_it_again(script):
    text = SCRIPTS[script]
    trained = tokenizer.train([*SCRIPTS.values()] * 3, 400)
    encoded = trained.encode(text, add_special_tokens=False)
    described = token_classes.describe(text, encoded.offsets, None)
    assert "".join(described.pieces) == text == trained.decode(encoded.ids)
    assert len(described.pieces) == len(described.classes) == len(encoded.ids)
    if script != "emoji":
        assert next(iter(documents.summary([document(text)], [])["scripts"])) == script
