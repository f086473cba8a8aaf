"""Figure 3: where routers spend big layers, and where they skip."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
from matplotlib.figure import Figure

from duo.figures import base, maps
from duo.terms import SKIP


class Shown(NamedTuple):
    """One column of the figure: a router and the choice whose share is drawn."""

    router: str
    choice: str
    target: float  # layers per token of that choice


def heat_maps(cells: pa.Table, shown: Sequence[Shown], setting: base.Setting) -> base.Picture:
    """Share of one choice by layer and position for each router; a row of panels per domain.

    cells as ROUTER_HEAT_MAPS.
    """
    domains = cells["domain"].unique().to_pylist()
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 0.9 + 1.9 * len(domains)), layout="constrained")
        grid = figure.subplots(len(domains), len(shown), squeeze=False, sharex=True, sharey=True)
        for row, domain in enumerate(domains):
            for column, (router, choice, target) in enumerate(shown):
                axes = grid[row, column]
                image = maps.heat_map(axes, base.of(cells, domain=domain, router=router, choice=choice), setting.layers)
                if row == 0:
                    axes.set_title(
                        f"{router}\n{target:g} of {setting.layers} {'skipped' if choice == SKIP else choice}",
                        fontsize=6,
                    )
            grid[row, 0].set_ylabel(f"{domain}\nlayer (1 is next to the input)")
        for axes in grid[-1]:
            axes.set_xlabel("position")
        bar = figure.colorbar(image, ax=grid.ravel().tolist(), location="bottom", shrink=0.4, aspect=30, pad=0.03)
        bar.set_label("share of documents whose token makes the choice named above")
    caption = (
        "How often routers choose the big FFN, or skip, by layer and position; each router's name and aim stand above. "
        "The likeliest choice is taken, all tokens routed together; the constraint is the mean over a sequence, aimed "
        f"at in training, so a router may use more or fewer layers than its aim. {base.sample(setting)} No intervals "
        "here: those of the halves compared are in the routers' table of statistics."
    )
    return base.Picture(figure, "Where routers spend big layers and where they skip (the paper's figure 3)", caption)
