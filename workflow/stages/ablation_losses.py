"""Held-out losses of one of the models that the ablations compare, under random routes."""

from duo.data import evaluation_set
from duo.model import transformer
from duo.model.device import Device
from duo.studies import ablation
from duo.tables.training import ABLATION_LOSSES, MODEL
from duo.training import ablation_losses, variants
from workflow import compute, stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    sample = evaluation_set.read("test")
    duo = transformer.load(MODEL.path(model=name), params.runtime.device)
    variant = params.models[name]
    kind = variants.kind(variant, params.pretrain.p_big)
    chances = ablation.chances(kind, duo.shape.big, params.ablation.p_big, params.model.small, params.model.big)
    flops = {place: ablation_losses.flops(duo.shape, chance) for place, chance in chances.items()}
    options = params.ablation.draws, Device.of(params.runtime, params.route_losses.precision), params.seed
    losses = {place: ablation_losses.losses(duo, sample, chance, *options) for place, chance in chances.items()}
    model = ablation.Compared(name, kind, variant.seed, chances, flops)
    ABLATION_LOSSES.write(ablation.loss_table(model, sample, losses), model=name)


if __name__ == "__main__":
    stage.run(main)
