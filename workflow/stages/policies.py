"""Routers with exact supervision, of one objective: trained, chosen on validation, and scored on the held-out tokens."""

from itertools import product

import pyarrow as pa
import pyarrow.compute as pc

from duo import artifacts, config, gain_artifacts, model, policies, runtime, scored, supervision
from duo.model import Duo
from duo.supervision import Examples
from workflow import stage


def backbone() -> Duo:
    """The model whose routes are chosen."""
    params = config.load()
    return model.load(artifacts.MODEL.path(model=params.enumerate.models[0]), params.runtime.device)


def learned(duo: Duo) -> list[Examples]:
    """All domains' documents of the training split, and of the validation split."""
    params = config.load()
    domains, whole = list(params.corpus), pa.concat_tables([gain_artifacts.TABLE.read(domain=domain) for domain in params.corpus])
    parts = [whole.filter(pc.equal(whole["split"], split)) for split in ("train", "validation")]
    return [supervision.examples(part, domains, duo, params.runtime, params.enumerate.precision) for part in parts]


def score(found: list[scored.Policy], duo: Duo) -> tuple[pa.Table, pa.Table]:
    """POLICY_ROUTES on the held-out documents, and POLICY_SETTINGS."""
    params = config.load()
    machine, precision, parts = params.runtime, params.enumerate.precision, []
    for shard in params.enumerate.shards:
        losses = artifacts.LOSSES.read(model=params.enumerate.models[0], shard=shard)
        held_out = supervision.examples(losses, list(params.corpus), duo, machine, precision)
        parts += [scored.score(policy, held_out, duo, machine, precision) for policy in found]
    return pa.concat_tables(parts), scored.settings(found)


def main(objective: str) -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    duo, settings = backbone(), params.policies
    train, validation = learned(duo)
    kinds = product(settings.inputs, settings.networks)
    found = [policies.train(objective, *kind, settings, train, validation, params.seed) for kind in kinds]
    routes, chosen = score(found, duo)
    gain_artifacts.POLICY_ROUTES.write(routes, objective=objective)
    gain_artifacts.POLICY_SETTINGS.write(chosen, objective=objective)


if __name__ == "__main__":
    stage.run(main)
