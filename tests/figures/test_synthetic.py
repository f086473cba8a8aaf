"""The picture of the synthetic domain shows what its tables hold, and says how they came about."""

from itertools import chain

import pyarrow as pa
import pytest
from made_up import setting, tabled
from made_up_synthetic import synthetic_tokens as table

from duo.figures import base, synthetic
from duo.settings import SampledLabels
from duo.studies.recovery import Recovery
from duo.tables.studies import SYNTHETIC_CLASSES, SYNTHETIC_STATISTICS

SETTING = setting(model="synthetic", documents=12, tokens=41)
NULL = SampledLabels(reference="all_big", samples=2, within=0.1, teachers=["teacher"], others=False)


@pytest.fixture(scope="module")
def tables() -> tuple[pa.Table, pa.Table]:
    study = Recovery(table())
    pair = study, study.intervals(100, 0.9, seed=1)
    return tabled(SYNTHETIC_CLASSES, pair), tabled(SYNTHETIC_STATISTICS, pair)


def marks(axes) -> dict[str, list[float]]:
    """Where the marks of each colour are, from left to right."""
    places = {}
    for line in axes.lines:
        if line.get_marker() != "None":
            places.setdefault(line.get_color(), []).extend(line.get_xdata())
    return places


def test_every_class_and_correlation_is_drawn(tables):
    classes, statistics = tables
    picture = synthetic.recovery(classes, statistics, 2, NULL, SETTING)
    losses, gaps, ranks, alarms = picture.figure.axes
    labels = [label.get_text() for label in losses.get_yticklabels()]
    assert labels[:5] == ["structure (60)", "noise (192)", "column (72)", "copy (96)", "sum, 0 columns (12)"]
    assert labels[5].startswith("sum, 1 column (")
    drawn = {line.get_label(): line.get_xdata()[0] for line in gaps.lines}  # of the first class
    assert drawn["corrected gap"] == pytest.approx(0)
    assert drawn["gap"] == drawn["selection bias"] == pytest.approx(classes["gap"][0].as_py())
    assert [label.get_text().split(",")[0] for label in ranks.get_yticklabels()] == ["difficulty", "carry", "entropy"]
    expected = [row["value"] for row in statistics.to_pylist() if row["family"] == "rank_correlation"]
    assert sorted(chain.from_iterable(marks(ranks).values())) == pytest.approx(sorted(expected)) and len(expected) == 12
    assert len(marks(alarms)) == 4
    sample, null = "12 sequences of 41 tokens", "the model's own prediction, with all layers big, expects to be best"
    for words in ("at 2 of 4 big", null, sample, "context shared", "90% percentile bootstrap"):
        assert words in picture.caption


def test_a_measure_that_nobody_listed_is_drawn_in_a_style_of_its_own(tables):
    classes, statistics = tables
    index = statistics.column_names.index("subject")
    entropies = pa.array(["model_entropy" if name == "gap" else name for name in statistics["subject"].to_pylist()])
    renamed = statistics.set_column(index, "subject", entropies)
    picture = synthetic.recovery(classes, renamed, 2, NULL, SETTING)
    _, gaps, ranks, alarms = picture.figure.axes
    (colour,) = {line.get_color() for line in ranks.lines if line.get_label() == "model_entropy"}
    values = {row["reference"]: row["value"] for row in base.of(renamed, subject="model_entropy").to_pylist()}
    assert marks(ranks)[colour][0] == pytest.approx(values["difficulty"])
    assert len(marks(alarms)) == 4
    legend = [text.get_text() for text in picture.figure.legends[0].get_texts()]
    assert "model_entropy" in legend and "gap" in legend, "the class means still are of the gap"
    assert "gap" in [line.get_label() for line in gaps.lines]


def test_the_route_that_labels_are_sampled_from_goes_by_its_code_where_it_has_no_name(tables):
    null = SampledLabels(reference=5, samples=2, within=0.1, teachers=["teacher"], others=False)
    assert "with the route with code 5," in synthetic.recovery(*tables, 2, null, SETTING).caption
