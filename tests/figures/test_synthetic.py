"""The picture of the synthetic domain shows what its tables hold, and says how they came about."""

import pytest
from made_up import synthetic_tokens as table

from duo.figures import base, synthetic
from duo.settings import SampledLabels
from duo.studies import recovery

SETTING = base.Setting(model="synthetic", layers=4, documents=12, tokens=41, random_routes=7, confidence=0.9)
LUCK = SampledLabels(reference="all_big", temperature=1.0, samples=2, teachers=["teacher"])


def test_every_class_and_correlation_is_drawn():
    tokens = recovery.Recovery(table())
    found = tokens.intervals(100, 0.9, seed=1)
    classes, statistics = tokens.class_means(found), tokens.statistics(found)
    picture = synthetic.recovery(classes, statistics, 2, LUCK, SETTING)
    losses, gaps, ranks, alarms = picture.figure.axes
    labels = [label.get_text() for label in losses.get_yticklabels()]
    assert labels[:5] == ["structure (60)", "noise (192)", "column (72)", "copy (96)", "sum, 0 columns (12)"]
    assert labels[5].startswith("sum, 1 column (")
    drawn = {line.get_label(): line.get_xdata()[0] for line in gaps.lines}  # of the first class
    assert drawn["corrected gap"] == pytest.approx(0) and drawn["gap"] == drawn["luck"] == pytest.approx(
        classes["gap"][0].as_py()
    )
    assert [label.get_text().split(",")[0] for label in ranks.get_yticklabels()] == ["difficulty", "carry", "entropy"]
    values = sorted(x for line in ranks.lines if line.get_marker() != "None" for x in line.get_xdata())
    wanted = [row["value"] for row in statistics.to_pylist() if "_rank_" in row["name"] and "-" not in row["name"]]
    assert values == pytest.approx(sorted(wanted))
    assert len([line for line in alarms.lines if line.get_marker() != "None"]) == 3
    sample, null = "12 sequences of 41 tokens", "sampled from the predictions of all layers big (2 a token"
    for words in ("at 2 of 4 big", null, sample, "context shared", "90% percentile bootstrap"):
        assert words in picture.caption
