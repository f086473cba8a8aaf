"""Figure 2d: every route of big layers and skipped ones at one budget; one model."""

import numpy as np

from duo import routes
from duo.data import evaluation_set
from duo.model import transformer
from duo.model.device import Device
from duo.oracle import null, tree
from duo.studies import skips
from duo.tables.oracle import SKIPS
from duo.tables.training import MODEL
from workflow import compute, stage, studies
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    sample = evaluation_set.read("test")
    space, budget = routes.RouteSpace(params.model.layers, skips.CHOICES), params.skips.big
    where = Device.of(params.runtime, params.route_losses.precision)
    duo = transformer.load(MODEL.path(model=name), params.runtime.device)
    enumerator = tree.Enumerator(duo, space, where, params.route_losses.chunk, params.skips.scope, budget)
    small_or_big = routes.RouteSpace(space.layers)
    null_labels = null.null_labels(
        duo,
        small_or_big,
        sample,
        small_or_big.named(params.sampled_labels.reference),
        params.sampled_labels.temperature,
        params.sampled_labels.samples,
        params.seed,
        where,
    )
    losses, *null_losses = null.losses(enumerator, sample, np.concatenate([sample.labels[None], null_labels]))
    selected = skips.select(name, sample, losses, enumerator.routes, params.seed)
    keeps = skips.kept(selected, space.layers, len(sample.documents))
    sampled = skips.kept_on_sampled_labels(np.stack(null_losses), enumerator.routes, space.layers, params.seed)
    gathered = []
    for domain in dict.fromkeys(sample.domains):
        rows = np.array(sample.domains) == domain
        gathered.append(skips.SkipPatterns(name, domain, budget, losses[rows], keeps[rows], sampled[:, rows]))
    SKIPS.write(selected, model=name)
    studies.write(gathered, params.bootstrap, params.seed, model=name)


if __name__ == "__main__":
    stage.run(main)
