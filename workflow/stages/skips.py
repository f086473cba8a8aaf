"""Figure 2d: every route of big layers and skipped ones at one budget; one model."""

import numpy as np
import pyarrow as pa

from duo import routes
from duo.data import evaluation_set
from duo.model import device, transformer
from duo.model.device import Device
from duo.oracle import tree
from duo.oracle.null import losses as losses_of
from duo.oracle.null import null_labels
from duo.studies import skips
from duo.tables.data import TEST_TOKENS
from duo.tables.oracle import SKIPS
from duo.tables.studies import SKIP_HEAT_MAPS, SKIP_LAYERS, SKIP_STATISTICS
from duo.tables.training import MODEL
from workflow import stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    device.prepare(params.runtime.device, params.runtime.threads)
    sample = evaluation_set.choose(
        TEST_TOKENS.read(), params.evaluation_set.documents, params.evaluation_set.tokens, params.seed
    )
    space, budget = routes.RouteSpace(params.model.layers, skips.CHOICES), params.skips.big
    duo = transformer.load(MODEL.path(model=name), params.runtime.device)
    where = Device.of(params.runtime, params.route_losses.precision)
    enumerator = tree.Enumerator(duo, space, where, params.route_losses.chunk, params.skips.scope, budget)
    two_way = routes.RouteSpace(space.layers)
    sampled = null_labels(
        duo,
        two_way,
        sample,
        two_way.named(params.sampled_labels.reference),
        params.sampled_labels.temperature,
        params.sampled_labels.samples,
        params.seed,
        where,
    )
    losses, *null = losses_of(enumerator, sample, np.concatenate([sample.labels[None], sampled]))
    selected = skips.select(name, sample, losses, enumerator.routes, params.seed)
    keeps = skips.kept(selected, space.layers, len(sample.documents))
    by_luck = skips.kept_by_luck(np.stack(null), enumerator.routes, space.layers, params.seed)
    heat_maps, shares, statistics = [], [], []
    for domain in dict.fromkeys(sample.domains):
        rows = np.array(sample.domains) == domain
        resamples, confidence = params.bootstrap.resamples, params.bootstrap.confidence
        found = skips.intervals(losses[rows], keeps[rows], by_luck[:, rows], resamples, confidence, params.seed)
        heat_maps.append(skips.heat_map(domain, keeps[rows], budget))
        shares.append(skips.layer_shares(domain, found, budget))
        statistics.append(skips.statistics(domain, found))
    SKIPS.write(selected, model=name)
    tables = {SKIP_HEAT_MAPS: heat_maps, SKIP_LAYERS: shares, SKIP_STATISTICS: statistics}
    for table, parts in tables.items():
        whole = pa.concat_tables(parts)
        table.write(whole.append_column("model", pa.array([name] * len(whole))), model=name)


if __name__ == "__main__":
    stage.run(main)
