"""Figures of the gain on a pretrained model; one entry of pretrained_routes."""

from duo.figures import base, pretrained
from duo.tables.pretrained import STUDIED_METRICS
from workflow import pretrained_part, stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    asked, layers = params.pretrained_routes[name], STUDIED_METRICS.read(routes=name)["layers"]
    tried = pretrained_part.tried(name, asked, params.pretrained_windows, layers, params.bootstrap.confidence)
    base.save_all(pretrained.pictures(tried), "figures_pretrained")


if __name__ == "__main__":
    stage.run(main)
