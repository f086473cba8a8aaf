"""Figures of the gain on a pretrained model; one entry of pretrained_routes."""

from duo.figures import base, pretrained
from duo.tables.pretrained import STUDIED_SIZES
from workflow import stage, subject
from workflow.params import Params, load_params


def tried(params: Params, name: str) -> pretrained.Tried:
    """What captions say of the entry."""
    asked, windows = params.pretrained_routes[name], params.pretrained_windows
    space = subject.routes(asked, STUDIED_SIZES.read(routes=name)["layers"])
    return pretrained.Tried(
        name,
        asked.model,
        space.layers,
        space.places,
        asked.scope,
        space.choices,
        space.departures is not None,
        tuple(subject.budgets(space)),
        windows.documents,
        windows.tokens,
        params.bootstrap.confidence,
    )


def main(name: str) -> None:
    base.save_all(pretrained.pictures(tried(load_params(), name)), "figures_pretrained")


if __name__ == "__main__":
    stage.run(main)
