"""Duo against dense models and against frozen big FFNs, on held-out loss and multiple choice."""

import pyarrow as pa

from duo import ablation, artifacts, config, model, runtime, samples
from workflow import stage


def main() -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    sample = samples.choose(artifacts.TEST_TOKENS.read(), params.enumerate.documents, params.enumerate.tokens, params.seed)
    models, tables = [], []
    for name in params.ablation.models:
        duo = model.load(artifacts.MODEL.path(model=name), params.runtime.device)
        kind = params.models[name].kind(params.pretrain.p_big)
        models.append(ablation.compared(name, kind, duo.shape, params.ablation, params.model.small, params.model.big))
        words = params.ablation.draws, params.runtime, params.enumerate.precision, params.seed
        tables.append(ablation.loss_table(models[-1], duo, sample, *words))
    losses = pa.concat_tables(tables)
    answers = pa.concat_tables([artifacts.HARNESS.read(model=name) for name in params.ablation.models])
    costs = {(domain, "loss"): ablation.loss_costs(losses, domain) for domain in losses["domain"].unique().to_pylist()}
    costs |= {(domain, "accuracy"): ablation.error_costs(answers, domain, models) for domain in answers["domain"].unique().to_pylist()}
    curves, statistics = [], []
    for (domain, measure), each in costs.items():
        found = ablation.evaluate(each, models, measure, params.evaluate, params.seed)
        curves.append(ablation.curves(domain, measure, found, models))
        statistics.append(ablation.statistics(domain, found, models))
    artifacts.ABLATION_LOSSES.write(losses)
    artifacts.ABLATION_CURVES.write(pa.concat_tables(curves))
    artifacts.ABLATION_STATISTICS.write(pa.concat_tables(statistics))


if __name__ == "__main__":
    stage.run(main)
