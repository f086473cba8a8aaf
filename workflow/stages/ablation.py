"""Duo against dense models and against frozen big FFNs, on held-out loss and multiple choice."""

import pyarrow as pa

from duo.data import evaluation_set
from duo.model import device, transformer
from duo.model.device import Device
from duo.studies import ablation
from duo.tables.data import TEST_TOKENS
from duo.tables.studies import ABLATION_LOSSES
from duo.tables.training import HARNESS, MODEL
from duo.training import ablation_losses, variants
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    device.prepare(params.runtime.device, params.runtime.threads)
    sample = evaluation_set.choose(
        TEST_TOKENS.read(), params.evaluation_set.documents, params.evaluation_set.tokens, params.seed
    )
    models, tables = [], []
    for name in params.ablation.models:
        duo = transformer.load(MODEL.path(model=name), params.runtime.device)
        kind = variants.kind(params.models[name], params.pretrain.p_big)
        chances = ablation.chances(kind, duo.shape.big, params.ablation, params.model.small, params.model.big)
        flops = {place: ablation_losses.flops(duo.shape, p_big) for place, p_big in chances.items()}
        models.append(ablation.Compared(name, kind, chances, flops))
        options = params.ablation.draws, Device.of(params.runtime, params.route_losses.precision), params.seed
        losses = {place: ablation_losses.losses(duo, sample, p_big, *options) for place, p_big in chances.items()}
        tables.append(ablation.loss_table(models[-1], sample, losses))
    losses = pa.concat_tables(tables)
    answers = pa.concat_tables([HARNESS.read(model=name) for name in params.ablation.models])
    gathered = ablation.gather(losses, answers, models, params.model.layers)
    ABLATION_LOSSES.write(losses)
    studies.write(gathered, params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
