"""What every figure shares: style, panels, captions' words, and the file with its provenance.

Colours are Okabe and Ito's, and every strategy has a marker and a line style too, so a grey print can be read.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from duo.tables import files
from duo.tables.report import FIGURE

WIDTH = 7.0  # inches: a page of text
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)  # Okabe and Ito's, told apart by the colour-blind
MARKERS = ("o", "s", "^", "D", "v", "P")  # for print in grey
STYLE = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.columnspacing": 1.2,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "svg.fonttype": "path",  # letters as shapes: the same picture on a machine without our font
    "svg.hashsalt": "duo",  # element ids, and so the bytes, are the same every time
}


@dataclass(frozen=True)
class Setting:
    """The params that a figure's numbers rest on; captions state them and files carry them.

    `model` is enumerate's first.
    """

    model: str
    layers: int
    documents: int
    tokens: int
    random_routes: int
    confidence: float


@dataclass(frozen=True)
class Picture:
    figure: Figure
    title: str
    caption: str


@dataclass(frozen=True)
class Line:
    """How a strategy looks in every figure."""

    label: str
    colour: str
    marker: str
    dashes: str


def save(picture: Picture, name: str, stage: str, params: dict, inputs: Sequence[files.File]) -> None:
    """Write artifacts.FIGURE as SVG and PNG, with caption and provenance in the files' metadata.

    params are those that the figure rests on; inputs are the files it shows, whose MD5 is recorded.
    """
    hashes = {file.path().as_posix(): file.digest() for file in inputs}
    provenance = json.dumps({"stage": stage, "params": params, "md5": hashes})
    words = {"Title": picture.title, "Description": picture.caption, "Source": provenance}
    for format, extra in (("svg", {"Date": None}), ("png", {})):
        with style(), files.atomic(FIGURE.path(name=name, format=format)) as temporary:
            picture.figure.savefig(temporary, format=format, dpi=200, metadata=words | extra)


@contextmanager
def style() -> Iterator[None]:
    """Our style, whatever the user's matplotlibrc says, and only here."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def panels(count: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """`count` panels in rows of `columns`, each row `height` inches."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, height * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[count:]:
        unused.remove()
    return figure, list(axes[:count])


def of(table: pa.Table, **values: str | int) -> pa.Table:
    """The rows of a table whose columns have these values."""
    for name, value in values.items():
        table = table.filter(pc.equal(table[name], value))
    return table


def series(curves: pa.Table, strategy: str) -> list[np.ndarray]:
    """budget, loss, low and high of one strategy of one domain, by budget."""
    rows = curves.filter(pc.equal(curves["strategy"], strategy)).sort_by("budget")
    return [rows[name].to_numpy() for name in ("budget", "loss", "low", "high")]


def logarithmic(axes: Axes, ticks: int = 9) -> None:
    """A logarithmic y axis with round numbers: the range may hold no power of ten."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")


def legend_below(figure: Figure, *panels: Axes) -> None:
    """One legend of all that these panels label, each label once."""
    handles = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)


def sample(setting: Setting) -> str:
    return f"{setting.documents} held-out documents a domain, their first {setting.tokens} tokens."


# What is meant by the context of the losses of all routes.
CONTEXT = (
    "context shared: all tokens of a sequence take the route under trial, so the choices of different tokens cannot all be "
    "realised together."
)


def constraint(setting: Setting) -> str:
    return f"Every token has exactly its budget of big layers, of {setting.layers}; {CONTEXT}"


def interval(setting: Setting, drawn: str, choices: str = "single winning routes chosen anew in each replicate") -> str:
    kind = f"{setting.confidence:.0%} percentile bootstrap intervals"
    return ", ".join(words for words in (f"{drawn}: {kind}", "documents resampled", choices) if words) + "."
