"""Heat maps of layer x position with the layers' shares beside them, as in figure 2."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from duo.figures import base


def grid(columns: Mapping[str, tuple[pa.Table, pa.Table]], layers: int, label: str) -> Figure:
    """A row per domain; for each title in columns a map of its cells, and its shares by layer alone with intervals.

    cells as ORACLE_HEAT_MAPS, shares as ORACLE_LAYERS, of one model and budget each; label says what a share is of. The
    dashed line is the budget's share of the layers.
    """
    domains = next(iter(columns.values()))[0]["domain"].unique().to_pylist()
    reach = _reach([shares for _, shares in columns.values()], layers)
    figure = Figure(figsize=(base.WIDTH, 0.6 + 2.1 * len(domains)), layout="constrained")
    panels = figure.subplots(
        len(domains), 2 * len(columns), squeeze=False, sharey=True, width_ratios=[3, 1] * len(columns)
    )
    for row, domain in enumerate(domains):
        for column, (title, (cells, shares)) in enumerate(columns.items()):
            map_axes, share_axes = panels[row, 2 * column : 2 * column + 2]
            image = heat_map(map_axes, base.of(cells, domain=domain), layers)
            _layer_shares(share_axes, base.of(shares, domain=domain), layers, reach)
            map_axes.set_title(f"{domain}, {title}")
            if row == len(domains) - 1:
                map_axes.set_xlabel("position")
                share_axes.set_xlabel("share")
        panels[row, 0].set_ylabel("layer (1 is next to the input)")
    bar = figure.colorbar(image, ax=panels.ravel().tolist(), location="bottom", shrink=0.4, aspect=30, pad=0.03)
    bar.set_label(label)
    return figure


def heat_map(axes: Axes, cells: pa.Table, layers: int, colours: str = "cividis", ends: tuple[float, float] = (0, 1)):
    """Draw layer x position, layer 1 at the bottom; the scale has these ends in every map."""
    ordered = cells.sort_by([("layer", "ascending"), ("position", "ascending")])
    shares = ordered["share"].to_numpy().reshape(layers, -1)
    extent = (0.5, shares.shape[1] + 0.5, 0.5, layers + 0.5)
    low, high = ends
    image = axes.imshow(
        shares, cmap=colours, vmin=low, vmax=high, origin="lower", aspect="auto", interpolation="nearest", extent=extent
    )
    axes.set_yticks(range(1, layers + 1, max(1, layers // 6)))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    return image


def _reach(tables: list[pa.Table], layers: int) -> float:
    """How far any interval gets from the share without preference, rounded up to 0.05: one scale for all panels."""
    farthest = [
        np.abs(table[end].to_numpy() - table["budget"].to_numpy() / layers).max()
        for table in tables
        for end in ("low", "high")
    ]
    return max(0.05, np.ceil(max(farthest) * 20) / 20)


def _layer_shares(axes: Axes, shares: pa.Table, layers: int, reach: float) -> None:
    rows = shares.sort_by("layer")
    layer, share, low, high = (rows[name].to_numpy() for name in ("layer", "share", "low", "high"))
    expected = rows["budget"][0].as_py() / layers
    axes.axvline(expected, color="#777777", linewidth=0.8, linestyle="--")
    axes.hlines(layer + 1, low, high, color="#D55E00")
    axes.plot(share, layer + 1, ".", color="#D55E00")
    ends = [expected - reach, expected + reach]
    axes.set_xlim(*ends)
    axes.set_xticks(ends, [f"{end:.2f}" for end in ends])
    axes.tick_params(left=False)
