"""Figure of routers with exact supervision: how much of the attainable gap they close."""

from dataclasses import asdict

from duo import config, gain_artifacts
from duo.figures import base, policies
from workflow import stage
from workflow.stages.headline import setting


def main() -> None:
    params = config.load()
    shown, teacher = setting(), params.luck.teachers[0]
    used = {name: value for name, value in asdict(shown).items() if name != "random_routes"} | {"teacher": teacher}
    used |= {"policies": params.policies.model_dump()}
    picture = policies.shares(gain_artifacts.POLICY_CURVES.read(), gain_artifacts.POLICY_STATISTICS.read(), teacher, shown)
    base.save(picture, "policies", "figures_policies", used, [gain_artifacts.POLICY_CURVES, gain_artifacts.POLICY_STATISTICS])


if __name__ == "__main__":
    stage.run(main)
