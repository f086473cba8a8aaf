"""One baseline that routers must beat: made from the losses of all routes, and scored on held-out tokens."""

from duo import plugins
from duo.model.device import Device
from duo.routers import baselines, own
from duo.tables.routers import BASELINE_ROUTES, BASELINE_SETTINGS
from duo.terms import EXACT
from workflow import compute, stage
from workflow.params import load_params
from workflow.policies import KnownLosses


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    where = Device.of(params.runtime, params.route_losses.precision)
    known = KnownLosses(params.route_losses.models[0], params.route_losses.shards, where)
    kind, budgets, seed = params.policies.baselines[name], params.policies.budgets, params.seed
    train, validation = known.datasets()
    words = f"policies.baselines.{name} in params.yaml names its class"
    if ":" in kind:
        with stage.advice(words):
            chooser = plugins.load(kind, plugins.POLICY)
            made = [own.fit(name, chooser, (EXACT,), budgets, train, validation, known.backbone, seed)]
    else:
        inputs, numbers = params.policies.training.inputs, params.policies.neighbours
        made = baselines.build(kind, budgets, inputs, numbers, train, validation, seed)
    with stage.advice({f"policy {name}: ": words}):
        known.write(made, BASELINE_ROUTES, BASELINE_SETTINGS, baseline=name)


if __name__ == "__main__":
    stage.run(main)
