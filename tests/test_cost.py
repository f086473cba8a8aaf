"""What an experiment costs on paper is what torch counts while it runs."""

import pytest
from models import TINY, make, random_tokens
from project import REPOSITORY, default_params
from torch.utils.flop_counter import FlopCounterMode

from duo import cost, scale
from duo.model.device import Device
from duo.model.transformer import Shape
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.training.random_routes import RandomRoutes
from workflow.__main__ import change
from workflow.params import load_params

PARAMS = default_params()
SHAPE = TINY


def counted(run) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


@pytest.mark.parametrize("p_big", [0.0, 1.0])
def test_training(p_big):
    """With chances at which nothing is computed twice."""
    settings = PARAMS.pretrain.model_copy(update={"p_big": p_big, "tokens": 4 * SHAPE.sequence})
    model = make(SHAPE).train().requires_grad_(True)
    objective = RandomRoutes(model, settings, Device(), 1, {})
    batch = random_tokens(4, SHAPE.sequence + 1)
    assert counted(lambda: objective.loss(batch, 0, 1)[0].backward()) == cost.training_flops(SHAPE, settings)


@pytest.mark.parametrize(
    ("space", "scope", "budget"),
    [
        (RouteSpace(3), "ffn", None),
        (RouteSpace(3), "ffn", 1),
        (RouteSpace(3, ("skip", "big")), "ffn", None),
        (RouteSpace(3, ("skip", "big")), "layer", 2),
        (RouteSpace(3, ("skip", "big"), departures=1), "layer", None),
        (RouteSpace(3, ("small", "big", "skip")), "layer", None),
    ],
)
def test_walk(space, scope, budget):
    tokens = random_tokens(1, SHAPE.sequence)
    enumerator = Enumerator(make(SHAPE), space, Device(), 1, scope, budget)  # chunks of one: none is filled up
    found = counted(lambda: enumerator.losses(tokens, tokens[None]))
    assert found == SHAPE.sequence * cost.walk_flops(SHAPE, space, SHAPE.sequence, scope, budget)


def test_parts_of_a_token_and_weights():
    assert sum(cost.token_flops(SHAPE).values()) == cost.forward_flops(SHAPE, SHAPE.sequence, SHAPE.layers)
    shape = Shape.of(PARAMS.tokens, PARAMS.model)
    assert cost.weights(shape) == scale.parameters(PARAMS.tokens, PARAMS.model)


def test_growth_says_what_a_larger_experiment_costs():
    factors = {name: numbers for name, *numbers in cost.grown(SHAPE, PARAMS.pretrain)}
    assert 1.9 < factors["one layer more"][1] < 2.2 and factors["one layer more"][0] < 1.4
    assert all(1 < factor < 4 for numbers in factors.values() for factor in numbers)


TRAININGS = ["pretrain", "synthetic_model", "router"]
WALKS = ["route_losses", "sampled_labels", "train_losses", "joint", "skips", "three_way"]


@pytest.mark.parametrize(
    ("experiment", "stages"), [(None, TRAININGS + WALKS), ("paper", TRAININGS + WALKS), ("opt", TRAININGS)]
)
def test_every_large_stage_has_a_line(tmp_path, experiment, stages):
    path = tmp_path / "params.yaml"
    path.write_text((REPOSITORY / "params.yaml").read_text())
    if experiment:
        change(path, REPOSITORY / f"params/{experiment}.yaml")
    params = load_params(path)
    machine = cost.Machine("this machine", 1e12, 1e10, 1e10)
    text = "\n".join(cost.lines(params, len(params.corpus), machine, {"into logits": 1e12}))
    found = list(cost.costs(params, len(params.corpus)))
    assert [each.stage for each in found] == stages
    assert all(each.flops > 0 and each.bytes > 0 and f"\n{each.stage} " in text for each in found)
    assert cost.H100S.hours(8e15) == pytest.approx(cost.H100.hours(1e15))


def test_a_machine_is_measured():
    machine, rates = cost.this_machine(Device(), SHAPE, seconds=0.001)
    assert machine.flops == max(rates.values()) > 0 and machine.bandwidth > 0 and machine.bytes > 2**20
