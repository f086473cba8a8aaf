"""What routers choose in one sequence, layer by token (the paper's figures 7 and 9)."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from duo.figures import base
from duo.routes import RouteSpace
from duo.settings import OneRouter
from duo.tables import files
from duo.terms import BIG, SKIP, SMALL

# Dark, middle and white in a grey print too.
COLOURS = {BIG: "#0072B2", SMALL: "#E69F00", SKIP: "#FFFFFF"}


def pictures(name: str, routers: dict[str, OneRouter], layers: int, routed: files.Table) -> Iterator[base.Drawn]:
    """The figure of this name, of what these routers choose.

    routed: ROUTED of them, or its like.
    """
    inputs = [routed.instance(router=router) for router in routers]
    picture = one_sequence(name, routers, {router: routed.read(router=router) for router in routers}, layers)
    used = {router: settings.model_dump() for router, settings in routers.items()} | {"layers": layers}
    yield base.Drawn(name, picture, used, inputs)


def one_sequence(name: str, routers: dict[str, OneRouter], routed: dict[str, pa.Table], layers: int) -> base.Picture:
    """A panel per router and domain: the hard choices in the domain's first held-out document.

    routed: ROUTED by router.
    """
    domains = next(iter(routed.values()))["domain"].unique().to_pylist()
    shown = {}
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 0.6 + len(routed) * (0.6 + 0.06 * layers)), layout="constrained")
        panels = figure.subplots(len(routed), len(domains), squeeze=False, sharex=True, sharey=True)
        for (router, table), row in zip(routed.items(), panels, strict=True):
            space = RouteSpace(layers, tuple(routers[router].choices))
            for domain, axes in zip(domains, row, strict=True):
                rows = base.of(table, kind="hard", domain=domain)
                shown[domain] = rows["document"][0].as_py()
                rows = base.of(rows, document=shown[domain]).sort_by("position")
                _draw(axes, space.decode(rows["route"].to_numpy()), space.choices, domain)
            row[0].set_ylabel("layer")
        for axes in panels[-1]:
            axes.set_xlabel("position")
        used = [choice for choice in COLOURS if any(choice in routers[router].choices for router in routed)]
        handles = [Patch(facecolor=COLOURS[choice], edgecolor="black", linewidth=0.5, label=choice) for choice in used]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(used))
    rows = "; ".join(f"{number}. {router}" for number, router in enumerate(routed, 1))
    documents = "; ".join(f"{domain}: {document}" for domain, document in shown.items())
    caption = (
        "What each router takes at every layer (1 is next to the input) of every token of one sequence. Rows from "
        f"above: {rows}. Likeliest choices, all tokens routed together. Constraint: a router's budget is an average "
        "over a sequence, aimed at in training; titles give the shares that this sequence really uses. Sample: the "
        f"first held-out document of each domain ({documents}); a single sequence has no interval."
    )
    return base.Picture(figure, f"{name.replace('-', ' ').capitalize()}: what routers choose in one sequence", caption)


def _draw(axes: Axes, digits: np.ndarray, choices: tuple[str, ...], domain: str) -> None:
    """digits [tokens, layers]: indices in choices."""
    tokens, layers = digits.shape
    colours = ListedColormap([COLOURS[choice] for choice in choices])
    bounds = BoundaryNorm(np.arange(len(choices) + 1) - 0.5, len(choices))
    extent = (0.5, tokens + 0.5, 0.5, layers + 0.5)
    axes.imshow(
        digits.T, cmap=colours, norm=bounds, origin="lower", aspect="auto", interpolation="nearest", extent=extent
    )
    axes.spines[["top", "right"]].set_visible(True)
    axes.set_yticks(range(1, layers + 1, max(1, layers // 4)))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    shares = ", ".join(
        f"{(digits == choices.index(choice)).mean():.0%} {choice}" for choice in COLOURS if choice in choices
    )
    axes.set_title(f"{domain}: {shares}")
