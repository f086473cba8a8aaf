"""The figure of learning curves draws what the table holds."""

import numpy as np
import pyarrow as pa
import pytest
from made_up import setting

from duo.figures import base, learning
from duo.settings import Learning
from duo.tables.learning import LEARNING_CURVES

SETTING = setting()
SETTINGS = Learning(tokens=[100, 1000], routes=8, budgets=[4, 6], steps=5, batch=8)


def row(size: int, policy: str, told: str, reads: str, domain: str, budget: float | None = None) -> dict:
    gain = 0.1 * size / 1000 + (0.02 if told == "expected" else 0) + (0.01 if domain == "code" else 0)
    ids = {"model": "duo", "domain": domain, "learned_from": size, "policy": policy, "supervision": told}
    ends = {"from_fixed": -gain, "from_fixed_low": -gain - 0.01, "from_fixed_high": -gain + 0.02}
    return ids | {"input": reads, "budget": budget, "loss": 4.0, "low": 3.9, "high": 4.1, "perplexity": 55.0} | ends


def table() -> pa.Table:
    rows = []
    for domain in ("text", "code"):
        for size in SETTINGS.tokens:
            rows.append(row(size, "fixed", "true", "none", domain))
            for policy in ("value", "expected_loss"):
                rows += [row(size, policy, told, "layers", domain) for told in ("true", "expected", "shuffled")]
            rows.append(row(size, "value", "true", "random", domain))
        rows += [row(1000, chooser, "", "none", domain) for chooser in ("own", "big", "stack")]
        rows.append(row(1000, "value", "true", "layers", domain, budget=4.0) | {"from_fixed": 9.0})
    return pa.Table.from_pylist(rows, LEARNING_CURVES.schema)


@pytest.fixture(scope="module")
def picture() -> base.Picture:
    return learning.curves(table(), "big", SETTING, SETTINGS)


def test_panels_draw_gains_of_means_over_budgets(picture):
    titles = [axes.get_title() for axes in picture.figure.axes]
    assert titles == ["text, value regression", "code, value regression", "text, expected loss", "code, expected loss"]
    text = picture.figure.axes[0]
    drawn = {line.get_label(): line.get_ydata() for line in text.get_lines()}
    np.testing.assert_allclose(drawn["told the losses of true labels"], [0.01, 0.1])
    np.testing.assert_allclose(drawn["told the losses that the teacher expects"], [0.03, 0.12])
    assert "control: reads noise" in drawn and drawn["chooser: the teacher"][0] == pytest.approx(0.1)


def test_a_router_that_an_objective_lacks_is_left_out(picture):
    labels = {line.get_label() for line in picture.figure.axes[2].get_lines()}
    assert "control: reads noise" not in labels and "control: told the losses of other tokens" in labels


def test_all_panels_have_one_scale(picture):
    assert len({axes.get_ylim() for axes in picture.figure.axes}) == 1


def test_caption_says_what_was_learned_from_and_by_whom_it_was_told(picture):
    assert "8 random routes" in picture.caption and "that big expects" in picture.caption and "4, 6" in picture.caption
