"""Duo against dense models and against frozen big FFNs, on held-out loss and multiple choice."""

import pyarrow as pa

from duo.data import evaluation_set
from duo.model import device, transformer
from duo.model.device import Device
from duo.studies import ablation
from duo.tables.data import TEST_TOKENS
from duo.tables.studies import ABLATION_CURVES, ABLATION_LOSSES, ABLATION_STATISTICS
from duo.tables.training import HARNESS, MODEL
from workflow import stage
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
        kind = params.models[name].kind(params.pretrain.p_big)
        models.append(ablation.compared(name, kind, duo.shape, params.ablation, params.model.small, params.model.big))
        words = params.ablation.draws, Device.of(params.runtime, params.route_losses.precision), params.seed
        tables.append(ablation.loss_table(models[-1], duo, sample, *words))
    losses = pa.concat_tables(tables)
    answers = pa.concat_tables([HARNESS.read(model=name) for name in params.ablation.models])
    costs = {(domain, "loss"): ablation.loss_costs(losses, domain) for domain in losses["domain"].unique().to_pylist()}
    costs |= {
        (domain, "accuracy"): ablation.error_costs(answers, domain, models)
        for domain in answers["domain"].unique().to_pylist()
    }
    curves, statistics = [], []
    for (domain, measure), each in costs.items():
        found = ablation.evaluate(each, models, measure, params.bootstrap, params.seed)
        curves.append(ablation.curves(domain, measure, found, models))
        statistics.append(ablation.statistics(domain, found, models))
    ABLATION_LOSSES.write(losses)
    ABLATION_CURVES.write(pa.concat_tables(curves))
    ABLATION_STATISTICS.write(pa.concat_tables(statistics))


if __name__ == "__main__":
    stage.run(main)
