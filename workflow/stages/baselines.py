"""What routers with exact supervision must beat: made from the same losses, and scored on the held-out tokens."""

from duo import baselines, config, gain_artifacts, runtime
from workflow import stage
from workflow.stages.policies import backbone, learned, score


def main() -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    duo = backbone()
    found = baselines.build(params.policies, *learned(duo), params.seed)
    routes, chosen = score(found, duo)
    gain_artifacts.BASELINE_ROUTES.write(routes)
    gain_artifacts.BASELINE_SETTINGS.write(chosen)


if __name__ == "__main__":
    stage.run(main)
