"""Routers with exact supervision, of one objective: trained, chosen on validation, scored on the held-out tokens."""

from itertools import product

import pyarrow as pa
import pyarrow.compute as pc

from duo.model import transformer
from duo.model.device import Device
from duo.model.transformer import Duo
from duo.routers import dataset, policies
from duo.routers import policy as scored
from duo.routers.dataset import Examples
from duo.tables.oracle import ROUTE_LOSSES, TRAIN_LOSSES
from duo.tables.routers import POLICY_ROUTES, POLICY_SETTINGS
from duo.tables.training import MODEL
from workflow import compute, stage
from workflow.params import load_params


def backbone() -> Duo:
    """The model whose routes are chosen."""
    params = load_params()
    return transformer.load(MODEL.path(model=params.route_losses.models[0]), params.runtime.device)


def learned(duo: Duo) -> list[Examples]:
    """All domains' documents of the training split, and of the validation split."""
    params = load_params()
    domains, whole = (
        list(params.corpus),
        pa.concat_tables([TRAIN_LOSSES.read(domain=domain) for domain in params.corpus]),
    )
    parts = [whole.filter(pc.equal(whole["split"], split)) for split in ("train", "validation")]
    where = Device.of(params.runtime, params.route_losses.precision)
    return [dataset.examples(part, domains, duo, where) for part in parts]


def score(found: list[scored.Policy], duo: Duo) -> tuple[pa.Table, pa.Table]:
    """POLICY_ROUTES on the held-out documents, and POLICY_SETTINGS."""
    params = load_params()
    where, parts = Device.of(params.runtime, params.route_losses.precision), []
    for shard in params.route_losses.shards:
        losses = ROUTE_LOSSES.read(model=params.route_losses.models[0], shard=shard)
        held_out = dataset.examples(losses, list(params.corpus), duo, where)
        parts += [scored.score(policy, held_out, duo, where) for policy in found]
    return pa.concat_tables(parts), scored.settings(found)


def main(objective: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    duo, settings = backbone(), params.policies
    train, validation = learned(duo)
    kinds = product(settings.inputs, settings.networks)
    found = [policies.train(objective, *kind, settings, train, validation, params.seed) for kind in kinds]
    routes, chosen = score(found, duo)
    POLICY_ROUTES.write(routes, objective=objective)
    POLICY_SETTINGS.write(chosen, objective=objective)


if __name__ == "__main__":
    stage.run(main)
