"""Calibration finds planted temperatures and weights; a chooser pools what its members say."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from duo.data.evaluation_set import EvaluationSet
from duo.oracle import choosers
from duo.terms import OTHERS, OWN, STACK

VOCABULARY = 12


def predictions(tokens: int, seed: int = 0, members: int = 1) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(members, tokens, VOCABULARY)) * 1.5).log_softmax(-1)


def drawn(log_q: torch.Tensor, seed: int = 1) -> np.ndarray:
    return torch.multinomial(log_q.exp(), 1, generator=torch.Generator().manual_seed(seed))[:, 0].numpy()


@pytest.mark.parametrize("weight", [0.6, 1.0, 1.7])
def test_the_temperature_that_labels_were_drawn_at_is_found(weight):
    log_p = predictions(20_000)
    labels = drawn(choosers.pooled(log_p, [weight]))
    assert choosers.fit(log_p, labels) == pytest.approx([weight], rel=0.05)


def test_weights_of_a_pool_are_found_and_none_is_below_zero():
    log_p = predictions(30_000, members=3)
    labels = drawn(choosers.pooled(log_p, [0.8, 0.0, 0.4]))
    assert choosers.fit(log_p, labels) == pytest.approx([0.8, 0.0, 0.4], abs=0.05)
    assert (choosers.fit(-log_p, labels) >= 0).all()


def test_the_fit_is_where_the_likelihood_is_highest():
    log_p, labels = predictions(500, members=2), np.random.default_rng(0).integers(VOCABULARY, size=500)
    best = choosers.fit(log_p, labels)

    def loss(weights):
        return -choosers.pooled(log_p, weights)[torch.arange(500), torch.from_numpy(labels)].mean().item()

    around = [best + step for step in np.random.default_rng(1).normal(0, 0.1, (200, 2)) if (best + step >= 0).all()]
    assert len(around) > 20 and all(loss(weights) >= loss(best) - 1e-7 for weights in around)


def sample(domains: list[str], tokens: int = 400) -> EvaluationSet:
    ids = np.random.default_rng(2).integers(VOCABULARY, size=(len(domains), tokens + 1))
    names = [f"d{index}" for index in range(len(domains))]
    return EvaluationSet(domains, names, names, ids[:, :-1], ids[:, 1:])


def known(seed: int) -> choosers.Predict:
    """A prediction that depends on the last token alone."""
    table = predictions(VOCABULARY, seed)[0].float()
    return lambda tokens: table[torch.from_numpy(tokens)]


def test_each_domain_has_weights_of_its_own_and_calibration_is_shown_both_ways():
    given, members = sample(["a", "a", "b"]), {OWN: known(0), OTHERS: known(1)}
    labels = given.labels.copy()
    for row, weight in enumerate((0.5, 0.5, 1.5)):
        labels[row] = drawn(choosers.pooled(members[OWN](given.tokens[row])[None], [weight]), row)
    table = choosers.calibrate("duo", members, replace(given, labels=labels))
    rows = {(row["domain"], row["chooser"], row["member"]): row for row in table.to_pylist()}
    assert {chooser for _, chooser, _ in rows} == {OWN, OTHERS, STACK}
    assert rows["a", OWN, OWN]["weight"] == pytest.approx(0.5, abs=0.15)
    assert rows["b", OWN, OWN]["weight"] == pytest.approx(1.5, abs=0.35)
    sure, unsure = rows["a", OWN, OWN], rows["b", OWN, OWN]
    assert (
        sure["plain_entropy"] < sure["plain_cross_entropy"] and unsure["plain_entropy"] > unsure["plain_cross_entropy"]
    )
    for row in rows.values():
        assert row["cross_entropy"] <= row["plain_cross_entropy"] + 1e-9
        if row["weight"] > 0 and row["chooser"] != STACK:
            # At the likeliest temperature a prediction is as sure as it is right, as far as its own logits go.
            mean = row["entropy"] - row["cross_entropy"]
            assert abs(mean) < 0.02
    chooser = choosers.Choosers(table, members)
    predicted = chooser.predict(given.tokens[0], "a")
    stack = chooser.names.index(STACK)
    weights = [rows["a", STACK, name]["weight"] for name in members]
    each = torch.stack([predict(given.tokens[0]) for predict in members.values()])
    torch.testing.assert_close(predicted[stack], choosers.pooled(each, weights))


def test_the_only_member_makes_no_stack():
    assert choosers.choosers([OWN]) == {OWN: [OWN]}
    alone = choosers.alone("duo", known(0), sample(["a"]))
    assert alone.names == [OWN]
