"""One router that learns from the losses of all routes: trained, chosen on validation, scored on held-out tokens."""

from itertools import product

from duo import plugins
from duo.model.device import Device
from duo.routers import own, policies
from duo.tables.routers import POLICY_ROUTES, POLICY_SETTINGS
from duo.terms import AVERAGE, EXACT
from workflow import compute, stage
from workflow.params import load_params
from workflow.policies import KnownLosses


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    where = Device.of(params.runtime, params.route_losses.precision)
    known = KnownLosses(params.route_losses.models[0], params.route_losses.shards, where)
    kind, budgets, seed = params.policies.routers[name], params.policies.budgets, params.seed
    train, validation = known.datasets()
    words = f"policies.routers.{name} in params.yaml names its class"
    if ":" in kind:
        with stage.advice(words):
            chooser, constraints = plugins.load(kind, plugins.POLICY), (EXACT, AVERAGE)
            trained = [own.fit(name, chooser, constraints, budgets, train, validation, known.backbone, seed)]
    else:
        training = params.policies.training
        pairs = product(training.inputs, training.networks)
        trained = [policies.train(kind, *pair, budgets, training, train, validation, seed) for pair in pairs]
    with stage.advice({f"policy {name}: ": words}):
        known.write(trained, POLICY_ROUTES, POLICY_SETTINGS, router=name)


if __name__ == "__main__":
    stage.run(main)
