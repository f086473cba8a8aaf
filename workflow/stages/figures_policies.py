"""Figure of routers with exact supervision: how much of the attainable gap they close."""

from dataclasses import asdict

from duo.figures import base, gap_closed
from duo.tables.studies import POLICY_CURVES, POLICY_STATISTICS
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    shown, teacher = setting(), params.luck.teachers[0]
    used = {name: value for name, value in asdict(shown).items() if name != "random_routes"} | {"teacher": teacher}
    used |= {"policies": params.policies.model_dump()}
    picture = gap_closed.shares(POLICY_CURVES.read(), POLICY_STATISTICS.read(), teacher, shown)
    base.save(picture, "policies", "figures_policies", used, [POLICY_CURVES, POLICY_STATISTICS])


if __name__ == "__main__":
    stage.run(main)
