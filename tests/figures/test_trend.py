"""The figure of the trend: what it draws is what the tables hold."""

import numpy as np
import pyarrow as pa
import pytest

from duo.figures import trend
from duo.settings import Trend
from duo.studies.trend import MEASURES
from duo.tables.trend import TREND_POINTS
from duo.terms import OWN

PLACES = {
    "tokens": [1.05e6, 4.2e6, 16.8e6, 33.6e6],
    "width": [64, 128, 256],
    "layers": [6, 8, 12],
    "ratio": [4, 16, 64],
    "vocabulary": [512, 2048, 8192],
}
SETTINGS = Trend(
    vocabularies=[512, 2048, 8192],
    seed=1,
    points={},
    lines={},
    teacher="tokens-34",
    windows=24,
    shares=[0.5],
)
STARTS = {"luck": 0.9, "foreseeable": 0.05, "excess": 0.06, "all_big": 2.2}


def made_up(factor: str) -> pa.Table:
    """TREND_POINTS of one line; the teacher judges all points but itself, and only those of its vocabulary."""
    rng, rows = np.random.default_rng(len(factor)), []
    for domain, shift in (("text", 0.0), ("code", 0.15)):
        for name, measure in MEASURES.items():
            for index, x in enumerate(PLACES[factor]):
                judged = x != 33.6e6 and (factor != "vocabulary" or x == 2048)
                for chooser in [OWN, *([SETTINGS.teacher] if judged else [])] if measure.of_chooser else [""]:
                    for share in (0.3333, 0.5) if measure.of_share else (None,):
                        value = STARTS.get(name, 1) - 0.04 * index - shift * (name != "excess") + 0.005 * rng.normal()
                        value += 0.05 * (chooser == SETTINGS.teacher) - 0.2 * (share == 0.3333)
                        rows.append(
                            {"domain": domain, "factor": factor, "measure": name, "words": measure.words}
                            | {"unit": measure.unit, "share": share, "chooser": chooser, "point": f"p{index}", "x": x}
                            | {"value": value, "low": value - 0.02, "high": value + 0.03, "error": 0.01, "clusters": 24}
                        )
    return pa.Table.from_pylist(rows, TREND_POINTS.schema)


TABLES = {factor: made_up(factor) for factor in PLACES}


def test_a_row_a_measure_and_a_column_a_factor_on_one_y_axis_a_row():
    figure = trend.multiples(TABLES, SETTINGS, 0.95).figure
    rows = np.array(figure.axes).reshape(len(trend.ROWS), len(PLACES))
    for row in rows:
        assert len({axes.get_ylim() for axes in row}) == 1
    assert all(axes.get_xscale() == "log" for axes in figure.axes)
    assert [axes.get_xlabel() for axes in rows[-1]] == [
        "training tokens, millions",
        "width",
        "layers",
        "big FFN / small FFN",
        "vocabulary",
    ]


@pytest.mark.parametrize("factor", ["tokens", "vocabulary"])
def test_every_point_and_chooser_is_drawn_at_half_of_the_layers(factor):
    figure = trend.multiples({factor: TABLES[factor]}, SETTINGS, 0.95).figure
    for measure, axes in zip(trend.ROWS, figure.axes, strict=True):
        drawn = {
            line.get_label(): np.asarray(line.get_ydata())
            for line in axes.lines
            if len(line.get_xdata()) and ", by" in str(line.get_label())
        }
        for domain in ("text", "code"):
            for chooser, words in ((OWN, "its own prediction"), ("tokens-34", "the prediction of tokens-34")):
                expected = [
                    row["value"]
                    for row in TABLES[factor].to_pylist()
                    if (row["domain"], row["measure"]) == (domain, measure)
                    and row["share"] in (None, 0.5)
                    and row["chooser"] in ((OWN, "") if chooser == OWN else (chooser,))
                ]
                label = f"{domain}, by {words}"
                assert drawn.get(label, np.array([])).tolist() == expected


def test_the_caption_says_sample_constraint_and_interval():
    caption = trend.multiples(TABLES, SETTINGS, 0.9).caption
    for words in (
        "24 of text, 24 of code",
        "exactly its budget",
        "90% percentile",
        "One training for each point",
        "tokens-34",
    ):
        assert words in caption
