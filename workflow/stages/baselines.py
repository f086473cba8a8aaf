"""What routers with exact supervision must beat: made from the same losses, and scored on the held-out tokens."""

from duo.routers import baselines
from duo.tables.routers import BASELINE_ROUTES, BASELINE_SETTINGS
from workflow import compute, stage
from workflow.params import load_params
from workflow.stages.policies import backbone, learned, score


def main() -> None:
    params = load_params()
    compute.prepare(params.runtime)
    duo = backbone()
    found = baselines.build(params.policies, *learned(duo), params.seed)
    routes, chosen = score(found, duo)
    BASELINE_ROUTES.write(routes)
    BASELINE_SETTINGS.write(chosen)


if __name__ == "__main__":
    stage.run(main)
