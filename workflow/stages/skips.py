"""Figure 2d: every route of big layers and skipped ones at one budget; one model."""

import numpy as np
import pyarrow as pa

from duo import artifacts, config, enumerate, luck, model, routes, runtime, samples, skips
from workflow import stage


def main(name: str) -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    sample = samples.choose(artifacts.TEST_TOKENS.read(), params.enumerate.documents, params.enumerate.tokens, params.seed)
    space, budget = routes.RouteSpace(params.model.layers, skips.CHOICES), params.skips.big
    duo = model.load(artifacts.MODEL.path(model=name), params.runtime.device)
    precision, rows = params.enumerate.precision, params.enumerate.rows
    enumerator = enumerate.Enumerator(duo, space, params.runtime, precision, rows, params.skips.skip, budget)
    source = routes.RouteSpace(space.layers).named(params.luck.labels)
    drawn = luck.null_labels(duo, sample, source, params.luck.temperature, params.luck.draws, params.seed, params.runtime, precision)
    losses, *null = luck.losses(enumerator, sample, np.concatenate([sample.labels[None], drawn]))
    selected = skips.select(name, sample, losses, enumerator.routes, params.seed)
    keeps = skips.kept(selected, space.layers, len(sample.documents))
    by_luck = skips.kept_by_luck(np.stack(null), enumerator.routes, space.layers, params.seed)
    heat_maps, shares, statistics = [], [], []
    for domain in dict.fromkeys(sample.domains):
        rows = np.array(sample.domains) == domain
        resamples, confidence = params.evaluate.resamples, params.evaluate.confidence
        found = skips.intervals(losses[rows], keeps[rows], by_luck[:, rows], resamples, confidence, params.seed)
        heat_maps.append(skips.heat_map(domain, keeps[rows], budget))
        shares.append(skips.layer_shares(domain, found, budget))
        statistics.append(skips.statistics(domain, found))
    artifacts.SKIPS.write(selected, model=name)
    tables = {artifacts.SKIP_HEAT_MAPS: heat_maps, artifacts.SKIP_LAYERS: shares, artifacts.SKIP_STATISTICS: statistics}
    for table, parts in tables.items():
        whole = pa.concat_tables(parts)
        table.write(whole.append_column("model", pa.array([name] * len(whole))), model=name)


if __name__ == "__main__":
    stage.run(main)
