"""What routers choose in one sequence, layer by token (the paper's figures 7 and 9)."""

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from duo.config import OneRouter
from duo.figures import base
from duo.routes import BIG, SKIP, SMALL, RouteSpace

# Dark, middle and white in a grey print too.
COLOURS = {BIG: "#0072B2", SMALL: "#E69F00", SKIP: "#FFFFFF"}
ORDER = list(COLOURS)


def one_sequence(name: str, routers: dict[str, OneRouter], routed: dict[str, pa.Table], layers: int) -> base.Picture:
    """A panel a router and domain: the hard choices in the domain's first held-out document. routed: ROUTED by router."""
    domains = next(iter(routed.values()))["domain"].unique().to_pylist()
    figure, axes = base.panels(len(routed) * len(domains), len(domains), 0.5 + 0.07 * layers)
    shown = {}
    for index, (router, panel) in enumerate(zip([router for router in routed for _ in domains], axes, strict=True)):
        domain = domains[index % len(domains)]
        rows = base.of(routed[router], kind="hard", domain=domain)
        shown[domain] = rows["document"][0].as_py()
        rows = base.of(rows, document=shown[domain]).sort_by("position")
        space = RouteSpace(layers, tuple(routers[router].choices))
        _draw(panel, space.decode(rows["route"].to_numpy()), space.choices, f"{router}\n{domain}")
    used = [choice for choice in ORDER if any(choice in routers[router].choices for router in routed)]
    handles = [Patch(facecolor=COLOURS[choice], edgecolor="black", linewidth=0.5, label=choice) for choice in used]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(used))
    figure.supxlabel("token", fontsize=8)
    figure.supylabel("layer (0 is next to the embedding)", fontsize=8)
    documents = "; ".join(f"{domain}: {document}" for domain, document in shown.items())
    caption = (
        "The likeliest choice of each router at every layer and token of one sequence a domain, all tokens routed together. "
        "Constraint: the router's budget is an average over a sequence, aimed at in training; titles give the shares that this sequence "
        f"really uses. Sample: the first held-out document of each domain ({documents}); a single sequence has no interval."
    )
    return base.Picture(figure, f"{name.replace('-', ' ').capitalize()}: what routers choose in one sequence", caption)


def _draw(panel: Axes, digits: np.ndarray, choices: tuple[str, ...], title: str) -> None:
    """digits [tokens, layers]: indices in choices."""
    colours = ListedColormap([COLOURS[choice] for choice in choices])
    bounds = BoundaryNorm(np.arange(len(choices) + 1) - 0.5, len(choices))
    panel.imshow(digits.T, cmap=colours, norm=bounds, origin="lower", aspect="auto", interpolation="nearest")
    for side in ("top", "right"):
        panel.spines[side].set_visible(True)
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    panel.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    shares = ", ".join(f"{(digits == choices.index(choice)).mean():.0%} {choice}" for choice in ORDER if choice in choices)
    panel.set_title(f"{title}: {shares}")
