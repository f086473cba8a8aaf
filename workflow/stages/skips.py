"""Figure 2d: every route of big layers and skipped ones at one budget; one model."""

import numpy as np
import pyarrow.compute as pc

from duo import routes, seeds
from duo.data import evaluation_set
from duo.model import transformer
from duo.model.device import Device
from duo.oracle import choosers, null, tree
from duo.studies import skips
from duo.tables.oracle import SKIPS
from duo.tables.training import MODEL
from duo.terms import TRUE
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
    reference = small_or_big.named(params.sampled_labels.reference)
    own = choosers.by_route(duo, small_or_big, reference, where)
    predicted = null.own_predictions(choosers.alone(name, own, evaluation_set.read("validation")), sample)
    samples, within = params.sampled_labels.samples, params.sampled_labels.within
    sets = null.label_sets(predicted, sample, samples, within, params.seed)
    losses, *others = null.losses(enumerator, sample, np.concatenate([sample.labels[None], *sets.values()]))
    selected = skips.select(name, sample, losses, enumerator.routes, params.seed)
    keeps = {TRUE: [skips.kept(selected, space.layers, len(sample.documents))]}
    left = iter(others)
    for labels, each in sets.items():
        rng = seeds.stream(params.seed, "skips", labels)
        keeps[labels] = [skips.kept_on(next(left), enumerator.routes, space.layers, rng) for _ in each]
    gathered = []
    for domain in dict.fromkeys(sample.domains):
        rows, part = np.array(sample.domains) == domain, selected.filter(pc.equal(selected["domain"], domain))
        of_domain = {labels: [each[rows] for each in several] for labels, several in keeps.items()}
        gathered.append(skips.SkipPatterns(name, domain, budget, part, of_domain))
    SKIPS.write(selected, model=name)
    studies.write(gathered, params.bootstrap, params.seed, model=name)


if __name__ == "__main__":
    stage.run(main)
