"""Measures of difficulty on made-up losses: planted difficulty is recovered, luck is taken off; and on a tiny model,
by brute force.
"""

import numpy as np
import pyarrow as pa
import pytest
import torch
from made_up import synthetic_tokens as table
from models import TINY, brute_force, make
from scipy.stats import spearmanr

from duo.data import synthetic
from duo.model.device import Device
from duo.model.transformer import Duo, Shape
from duo.oracle import null
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.settings import SampledLabels
from duo.studies import recovery
from duo.tables.studies import SYNTHETIC_CLASSES, SYNTHETIC_STATISTICS, SYNTHETIC_TOKENS

DEVICE = Device()
TIME = synthetic.BLOCK


@pytest.fixture(scope="module")
def planted() -> tuple[recovery.Recovery, dict]:
    tokens = recovery.Recovery(table())
    return tokens, tokens.intervals(200, 0.95, seed=1)


def test_planted_difficulty_is_recovered_once_luck_is_off(planted):
    tokens, found = planted
    assert found["corrected_gap_rank_difficulty"] == pytest.approx((1, 1, 1))
    assert found["corrected_gap_rank_carry"] == pytest.approx((1, 1, 1))
    assert found["gap_rank_difficulty"].high < 0.7
    assert found["gap_rank_entropy"].value == pytest.approx(spearmanr(tokens.values["gap"], tokens.entropy).statistic)
    assert found["loss_rank_difficulty"] == pytest.approx(found["gap_rank_difficulty"])
    assert found["gap_rank_difficulty-loss_rank_difficulty"] == pytest.approx((0, 0, 0))
    assert found["corrected_gap_rank_difficulty-gap_rank_difficulty"].low > 0.3


def test_noise_raises_no_alarm_once_luck_is_off(planted):
    tokens, found = planted
    gap, noise = tokens.values["gap"], tokens.kinds["noise"]
    share = (gap[noise] >= np.median(gap[tokens.difficulty > 0])).mean()
    assert found["noise_called_difficult_by_gap"].value == found["noise_called_difficult_by_loss"].value == share > 0.3
    assert found["noise_called_difficult_by_corrected_gap"] == pytest.approx((0, 0, 0))
    assert found["corrected_gap", "noise", 0] == pytest.approx((0, 0, 0), abs=1e-12)
    assert found["gap", "noise", 0].low > 3


def test_classes_are_by_kind_and_difficulty(planted):
    tokens, found = planted
    rows = tokens.class_means(found).to_pylist()
    known = [(row["kind"], row["difficulty"]) for row in rows]
    assert known[:5] == [("structure", 0), ("noise", 0), ("column", 0), ("copy", 1), ("sum", 2)]
    for row in rows:
        assert (
            row["corrected_gap"] == pytest.approx(row["difficulty"]) and row["gap_low"] < row["gap"] < row["gap_high"]
        )
    per_sequence = {"structure": 5, "noise": 16, "column": 6, "copy": 8}  # of one block
    assert {row["kind"]: row["tokens"] for row in rows if row["kind"] != "sum"} == {
        kind: 12 * n for kind, n in per_sequence.items()
    }
    assert rows[1]["entropy"] == pytest.approx(np.log(synthetic.ALPHABET))


def test_what_too_few_sequences_have_has_no_class():
    few = table(8)
    hard = few["difficulty"].to_numpy().copy()
    hard[hard == 7] = 6
    hard[np.flatnonzero(few["kind"].to_numpy(zero_copy_only=False) == "sum")[:2]] = 7
    tokens = recovery.Recovery(few.set_column(few.column_names.index("difficulty"), "difficulty", pa.array(hard)))
    assert ("sum", 2) in tokens.classes and ("sum", 7) not in tokens.classes


def test_a_sample_without_sums_says_nothing_of_carries():
    some = table(6)
    some = some.filter(pa.compute.is_in(some["kind"], pa.array(["copy", "structure"])))
    found = recovery.Recovery(some).intervals(100, 0.95, seed=1)
    assert "gap_rank_difficulty" in found
    assert not any("carry" in name or name.startswith("noise") for name in found if isinstance(name, str))


@pytest.fixture(scope="module")
def tiny() -> Duo:
    return make(Shape(**{**vars(TINY), "vocabulary": synthetic.VOCABULARY, "sequence": 24, "layers": 3}))


@pytest.mark.parametrize("labels", ["all_big", "all_small", 5])
def test_measured_losses_equal_brute_force(tiny, labels, tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    settings = SampledLabels(reference=labels, temperature=1.0, samples=2, teachers=["teacher"])
    space = RouteSpace(3)
    sequences, sample = synthetic.held_out(5, 24, seed=1)  # more than a batch
    found = recovery.measure(Enumerator(tiny, space, DEVICE, 500), sequences, sample, 2, settings, seed=1)
    sampled = null.null_labels(tiny, space, sample, space.named(labels), 1.0, 2, 1, DEVICE)
    tokens = torch.from_numpy(sample.tokens)
    losses = brute_force(tiny, space, tokens, torch.from_numpy(np.concatenate([sample.labels[None], sampled]))).numpy()
    oracle = losses[..., space.with_budget(2)].min(axis=-1)
    predicted = torch.stack(
        [tiny(tokens, torch.from_numpy(digits == 1)).log_softmax(-1) for digits in space.digits], dim=2
    ).detach()
    source = predicted[:, :, {"all_big": -1, "all_small": 0, 5: 5}[labels]]
    expected = -(source.exp()[:, :, None] * predicted).sum(-1).numpy()
    foreseen = space.with_budget(2)[expected[..., space.with_budget(2)].argmin(axis=-1)]
    lucky = (np.take_along_axis(losses[1:], foreseen[None, ..., None], axis=-1)[..., 0] - oracle[1:]).mean(axis=0)
    expected = {"all_small": losses[0, ..., 0], "all_big": losses[0, ..., -1], "oracle": oracle[0], "luck": lucky}
    expected |= {"gap": losses[0, ..., 0] - oracle[0], "corrected_gap": losses[0, ..., 0] - oracle[0] - lucky}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].to_numpy(), values.ravel(), atol=1e-4)
    SYNTHETIC_TOKENS.write(found)
    tokens = recovery.Recovery(SYNTHETIC_TOKENS.read())
    numbers = tokens.intervals(100, 0.95, seed=1)
    SYNTHETIC_CLASSES.write(tokens.class_means(numbers))
    SYNTHETIC_STATISTICS.write(tokens.statistics(numbers))
    assert np.isfinite(SYNTHETIC_STATISTICS.read()["low"].to_numpy()).all()
