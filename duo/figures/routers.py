"""Figure 3: where routers spend big layers, and where they skip."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure

from duo.figures import base, maps, oracle
from duo.routers.whole_budgets import comparable
from duo.settings import OneRouter
from duo.tables.studies import ORACLE_CURVES, ROUTER_CURVES, ROUTER_HEAT_MAPS
from duo.terms import BIG, ORACLE, SKIP


class Shown(NamedTuple):
    """One column of the figure: a router and the choice whose share is drawn."""

    router: str
    choice: str
    target: float  # layers per token of that choice


def pictures(setting: base.Setting, routers: Mapping[str, OneRouter], budgets: list[int]) -> Iterator[base.Drawn]:
    """The figures of the paper's routers: heat maps, at these budgets, and their losses beside the oracle's."""
    of_model = {name: router for name, router in routers.items() if router.model == setting.model}
    whole = comparable(of_model)
    columns = [Shown(name, BIG, of_model[name].big) for name in whole if of_model[name].big in budgets]
    skipping = {name: router for name, router in routers.items() if SKIP in router.choices}
    first = next((router.model for router in skipping.values()), None)  # others differ from it by their seed alone
    for name, router in skipping.items():
        if router.model == first:
            columns.append(Shown(name, SKIP, router.skip or setting.layers - router.big))
    columns = columns or [Shown(name, BIG, router.big) for name, router in routers.items()]
    used = setting.used(heat_maps=budgets, routers=[column._asdict() for column in columns])
    yield base.Drawn("figure-3", heat_maps(ROUTER_HEAT_MAPS.read(), columns, setting), used, [ROUTER_HEAT_MAPS])

    curves, routed = ORACLE_CURVES.read(), base.of(ROUTER_CURVES.read(), model=setting.model)
    routed = routed.filter(pc.is_in(routed["router"], pa.array([*whole, ORACLE])))
    inputs, used = [ORACLE_CURVES, ROUTER_CURVES], setting.used(routers=whole)
    yield base.Drawn("figure-4a", oracle.oracle_against_random(curves, routed, setting), used, inputs)
    yield base.Drawn("figure-4b", oracle.budget_curves(curves, setting, routed), used, inputs)


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
        f"at in training, so a router may use more or fewer layers than its aim. {base.several(setting)} No intervals "
        "here: those of the halves compared are in the routers' table of statistics."
    )
    return base.Picture(figure, "Where routers spend big layers and where they skip (the paper's figure 3)", caption)
