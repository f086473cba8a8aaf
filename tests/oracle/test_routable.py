"""The tree on a decoder that knows nothing of duo, against that decoder's own forward pass."""

from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from foreign import CONTEXT, DEPTH, VOCABULARY, RoutedDecoder, decoder
from models import make

from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.model.device import Device
from duo.oracle import joint
from duo.oracle.branch import log_probabilities
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace

DECODER = decoder()
SPACES = [("small", "big"), ("skip", "big"), ("small", "big", "skip")]
THOUGHTS = {"skip": 0, "small": 1, "big": 2}
DEVICE = Device()


def ids(rows: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


def thoughts(space: RouteSpace, codes: np.ndarray) -> list[torch.Tensor]:
    """For every block, what the decoder's own forward pass is told that tokens on routes [batch, length] do."""
    words = np.array([THOUGHTS[choice] for choice in space.choices])
    return list(torch.from_numpy(words[space.decode(codes)]).unbind(-1))


def predictions(space: RouteSpace, tokens: torch.Tensor) -> torch.Tensor:
    """Log-probabilities [batch, length, routes, vocabulary], one forward pass for every route."""
    routes = [DECODER(tokens, thoughts(space, np.full(tokens.shape, code))) for code in range(len(space))]
    return torch.stack(routes, dim=2).log_softmax(-1)


@pytest.mark.parametrize("choices", SPACES)
@pytest.mark.parametrize("chunk", [1, 40, 10_000])
def test_its_losses_equal_brute_force(choices, chunk):
    space, tokens, labels = RouteSpace(DEPTH, choices), ids(2, CONTEXT), ids(2, CONTEXT, 1)
    expected = -predictions(space, tokens).gather(3, labels[..., None, None].expand(-1, -1, len(space), 1))[..., 0]
    losses = Enumerator(RoutedDecoder(DECODER), space, DEVICE, chunk).losses(tokens, labels[None])[0]
    assert expected.std(dim=-1).min() > 1e-2, "routes must differ, or the test could not fail"
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-4)
    bounded = Enumerator(RoutedDecoder(DECODER), space, DEVICE, chunk, budget=2)
    torch.testing.assert_close(
        bounded.losses(tokens, labels[None])[0], expected[..., bounded.routes], rtol=1e-4, atol=1e-4
    )


def test_one_walk_gives_its_expected_losses_and_highest_chances():
    space, tokens = RouteSpace(DEPTH), ids(2, 9)
    teacher = torch.randn(1, 2, 9, VOCABULARY, generator=torch.Generator().manual_seed(4)).log_softmax(-1)
    scores = Enumerator(RoutedDecoder(DECODER), space, DEVICE, 30).everything(tokens, tokens[None], teacher, [1, 2])
    every = predictions(space, tokens)
    expected = torch.einsum("nbtv,btrv->nbtr", teacher.exp(), -every)
    torch.testing.assert_close(scores.expected, expected, rtol=1e-4, atol=1e-4)
    best = [every[:, :, space.with_budget(budget)].amax(dim=2) for budget in (1, 2)]
    torch.testing.assert_close(scores.highest, torch.stack(best), rtol=1e-4, atol=1e-4)


def test_in_a_reference_run_each_token_is_tried_behind_the_routes_of_the_others():
    space, tokens, labels = RouteSpace(DEPTH, ("small", "big", "skip")), ids(2, 6), ids(2, 6, 1)
    reference = torch.randint(0, len(space), tokens.shape, generator=torch.Generator().manual_seed(2))
    expected = torch.empty(*tokens.shape, len(space))
    for code, position in product(range(len(space)), range(tokens.shape[1])):
        codes = reference.numpy().copy()
        codes[:, position] = code
        scores = DECODER(tokens, thoughts(space, codes))[:, position]
        expected[:, position, code] = F.cross_entropy(scores, labels[:, position], reduction="none")
    enumerator = Enumerator(RoutedDecoder(DECODER), space, DEVICE, 50)
    losses = enumerator.losses(tokens, labels[None], reference=reference)[0]
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-4)


def test_what_is_greedy_is_joint_for_it_too():
    space, tokens = RouteSpace(DEPTH, ("skip", "big")), ids(3, 8).numpy()
    sample = EvaluationSet(["text"] * 3, ["a", "b", "c"], ["a", "b", "c"], tokens[:, :-1], tokens[:, 1:])
    chosen = joint.greedy(RoutedDecoder(DECODER), space, sample, [1], DEVICE, 64, seed=1)[1, "oracle"]
    assert space.big(chosen.routes).sum(-1).tolist() == np.ones_like(sample.tokens).tolist()
    together = joint.run_jointly(RoutedDecoder(DECODER), space, sample.tokens, chosen.routes, sample.labels, DEVICE)
    np.testing.assert_allclose(together, chosen.isolated, rtol=1e-4, atol=1e-4)
    scores = DECODER(torch.from_numpy(sample.tokens), thoughts(space, chosen.routes))
    plain = F.cross_entropy(scores.transpose(1, 2), torch.from_numpy(sample.labels), reduction="none")
    np.testing.assert_allclose(together, plain, rtol=1e-4, atol=1e-4)


def test_it_predicts_what_its_forward_pass_does():
    space, tokens = RouteSpace(DEPTH, ("small", "big", "skip")), ids(1, 7)
    every = predictions(space, tokens)[0]
    for code in range(len(space)):
        found = log_probabilities(RoutedDecoder(DECODER), space, tokens[0].numpy(), code, DEVICE)
        torch.testing.assert_close(found, every[:, code], rtol=1e-4, atol=1e-4)


def test_what_a_model_lacks_is_named():
    class Nothing:
        layers, outputs, embed = [object()], None, None

    with pytest.raises(InputError, match=r"model Nothing can't be routed: it lacks rotations, final; duo.Routable"):
        Enumerator(Nothing(), RouteSpace(1), DEVICE, 1)
    Nothing.rotations = Nothing.final = None
    with pytest.raises(InputError, match=r"lacks layers\[0\].project, layers\[0\].merge, layers\[0\].feed_forward"):
        Enumerator(Nothing(), RouteSpace(1), DEVICE, 1)


@pytest.mark.parametrize("model", [make(), RoutedDecoder(DECODER)])
def test_routes_over_other_layers_than_the_model_has_are_one_error(model):
    with pytest.raises(InputError, match=rf"space: routes over 2 layers, but model {type(model).__name__} has 3"):
        Enumerator(model, RouteSpace(2), DEVICE, 1)
