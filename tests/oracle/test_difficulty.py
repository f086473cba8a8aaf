"""What is measured on the synthetic domain, on a tiny model, by brute force; and what the study says of it."""

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from made_up import tabled
from models import DEVICE, TINY, brute_force, make

from duo.data import synthetic
from duo.model.transformer import Duo, Shape
from duo.oracle import choosers, difficulty
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.studies.recovery import Recovery
from duo.tables.oracle import SYNTHETIC_TOKENS
from duo.tables.studies import SYNTHETIC_CLASSES, SYNTHETIC_STATISTICS


@pytest.fixture(scope="module")
def tiny() -> Duo:
    return make(Shape(**{**vars(TINY), "vocabulary": synthetic.VOCABULARY, "sequence": 24, "layers": 3}))


@pytest.mark.parametrize("reference", ["all_big", "all_small", 5])
def test_measures_equal_brute_force(tiny, reference, tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    space = RouteSpace(3)
    sequences, sample = synthetic.held_out(5, 24, seed=1)  # more than a batch
    _, validation = synthetic.held_out(3, 24, seed=1, split="validation")
    own = choosers.by_route(tiny, space, space.named(reference), DEVICE)
    chooser = choosers.alone(synthetic.NAME, own, validation)
    measured = difficulty.measure(Enumerator(tiny, space, DEVICE, 500), sequences, sample, 2, chooser)
    tokens = torch.from_numpy(sample.tokens)
    losses = brute_force(tiny, space, tokens, torch.from_numpy(sample.labels[None]))[0].numpy()
    predicted = torch.stack(
        [tiny(tokens, torch.from_numpy(digits == 1)).log_softmax(-1) for digits in space.digits], dim=2
    )
    predicted = predicted.detach().double().numpy()[:, :, space.with_budget(2)]
    q = np.stack([chooser.predict(row, synthetic.NAME)[0].double().exp().numpy() for row in sample.tokens])
    truth = synthetic.chances(sequences)[:, 1:]

    def bias(chances: np.ndarray) -> np.ndarray:
        expected = -(chances[:, :, None] * predicted).sum(-1)
        return expected.min(-1) + (chances * predicted.max(axis=2)).sum(-1)

    oracle = losses[..., space.with_budget(2)].min(axis=-1)
    gap = losses[..., 0] - oracle
    expected = {"all_small": losses[..., 0], "all_big": losses[..., -1], "oracle": oracle, "gap": gap}
    expected |= {"selection_bias": bias(q), "known_bias": bias(truth)}
    expected |= {"corrected_gap": gap - bias(q), "known_corrected_gap": gap - bias(truth)}
    for name, values in expected.items():
        np.testing.assert_allclose(measured[name].to_numpy(), values.ravel(), atol=1e-4)
    certain = measured.filter(pc.equal(measured["entropy"], 0))
    assert np.abs(certain["known_bias"].to_numpy()).max() < 1e-5  # what is certain leaves nothing to luck
    assert certain["selection_bias"].to_numpy().mean() > 0.01  # but the model does not know
    SYNTHETIC_TOKENS.write(measured)
    study = Recovery(SYNTHETIC_TOKENS.read())
    estimates = study.intervals(100, 0.95, seed=1)
    for table in (SYNTHETIC_CLASSES, SYNTHETIC_STATISTICS):
        table.write(tabled(table, (study, estimates)))
    assert np.isfinite(SYNTHETIC_STATISTICS.read()["low"].to_numpy()).all()
