"""Figure of all claims, and of what of them is more than luck."""

from duo.figures import base, claims
from workflow import stage
from workflow.stages.headline import setting


def main() -> None:
    base.save_all(claims.pictures(setting()), "figures_claims")


if __name__ == "__main__":
    stage.run(main)
