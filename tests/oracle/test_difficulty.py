"""What is measured on the synthetic domain, on a tiny model, by brute force; and what the study says of it."""

import numpy as np
import pytest
import torch
from made_up import tabled
from models import DEVICE, TINY, brute_force, make

from duo.data import synthetic
from duo.model.transformer import Duo, Shape
from duo.oracle import difficulty, null
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.settings import SampledLabels
from duo.studies.recovery import Recovery
from duo.tables.oracle import SYNTHETIC_TOKENS
from duo.tables.studies import SYNTHETIC_CLASSES, SYNTHETIC_STATISTICS


@pytest.fixture(scope="module")
def tiny() -> Duo:
    return make(Shape(**{**vars(TINY), "vocabulary": synthetic.VOCABULARY, "sequence": 24, "layers": 3}))


@pytest.mark.parametrize("labels", ["all_big", "all_small", 5])
def test_measured_losses_equal_brute_force(tiny, labels, tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    settings = SampledLabels(
        reference=labels, temperature=1.0, samples=2, within=0.1, teachers=["teacher"], others=False
    )
    space = RouteSpace(3)
    sequences, sample = synthetic.held_out(5, 24, seed=1)  # more than a batch
    measured = difficulty.measure(Enumerator(tiny, space, DEVICE, 500), sequences, sample, 2, settings, seed=1)
    sampled = null.null_labels(tiny, space, sample, space.named(labels), 1.0, 2, 1, DEVICE)
    tokens = torch.from_numpy(sample.tokens)
    losses = brute_force(tiny, space, tokens, torch.from_numpy(np.concatenate([sample.labels[None], sampled]))).numpy()
    oracle = losses[..., space.with_budget(2)].min(axis=-1)
    predicted = torch.stack(
        [tiny(tokens, torch.from_numpy(digits == 1)).log_softmax(-1) for digits in space.digits], dim=2
    ).detach()
    source = predicted[:, :, {"all_big": -1, "all_small": 0, 5: 5}[labels]]
    expected = -(source.exp()[:, :, None] * predicted).sum(-1).numpy()
    label_free = space.with_budget(2)[expected[..., space.with_budget(2)].argmin(axis=-1)]
    bias = (np.take_along_axis(losses[1:], label_free[None, ..., None], axis=-1)[..., 0] - oracle[1:]).mean(axis=0)
    expected = {
        "all_small": losses[0, ..., 0],
        "all_big": losses[0, ..., -1],
        "oracle": oracle[0],
        "selection_bias": bias,
    }
    expected |= {"gap": losses[0, ..., 0] - oracle[0], "corrected_gap": losses[0, ..., 0] - oracle[0] - bias}
    for name, values in expected.items():
        np.testing.assert_allclose(measured[name].to_numpy(), values.ravel(), atol=1e-4)
    SYNTHETIC_TOKENS.write(measured)
    study = Recovery(SYNTHETIC_TOKENS.read())
    estimates = study.intervals(100, 0.95, seed=1)
    for table in (SYNTHETIC_CLASSES, SYNTHETIC_STATISTICS):
        table.write(tabled(table, (study, estimates)))
    assert np.isfinite(SYNTHETIC_STATISTICS.read()["low"].to_numpy()).all()
