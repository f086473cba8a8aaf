"""The picture of all claims shows what their table holds, scaled by what each calls the smallest effect."""

import numpy as np
import pytest
from made_up import setting
from made_up_page import claims as made_up

from duo.figures import base, claims

SETTING = setting()


@pytest.fixture(scope="module")
def picture() -> base.Picture:
    return claims.scaled(made_up(), SETTING)


def test_estimates_are_in_smallest_effects_of_interest(picture):
    text, code = picture.figure.axes
    assert (text.get_title(), code.get_title()) == ("text", "code")
    assert [label.get_text() for label in text.get_yticklabels()] == ["C1", "C2", "C16"]
    marks = {(line.get_marker(), round(line.get_ydata()[0])): line for line in text.lines if line.get_marker() in "oD"}
    at = {key: line.get_xdata()[0] for key, line in marks.items()}
    assert at == {("o", 0): 1.5, ("D", 0): 1.0, ("o", 1): 0.5, ("D", 1): 0.0}, "what has no number has no mark"
    green, orange = (marks["o", row].get_color() for row in (0, 1))
    assert green == marks["D", 0].get_color() != orange, "the colour is the verdict"


def test_where_a_claim_holds_is_shaded_and_what_lies_far_out_stands_at_the_edge():
    table = made_up()
    far = table.set_column(table.schema.get_field_index("estimate"), "estimate", [np.full(len(table), 99.0)])
    axes = claims.scaled(far, SETTING).figure.axes[0]
    assert max(line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o") == 8
    assert axes.get_xlim()[1] > 8
    shaded = axes.collections[0].get_paths()[0].get_extents()
    assert (shaded.x0, shaded.x1) == (1, pytest.approx(8.4))


def test_caption_says_what_is_shown(picture):
    for words in ("more than", "90%", "docs/claims.md", "adjustment", "5 held-out documents"):
        assert words in picture.caption
