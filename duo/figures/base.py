"""What every figure shares: style, panels, captions' words, and the file with its provenance.

Colours are Okabe and Ito's, and every strategy has a marker and a line style too, so a grey print can be read.
"""

import json
import zlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

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
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")  # for print in grey
DASHES = ("-", "--", "-.", ":")
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
    """What a figure's numbers rest on and are held beside; captions state it and files carry it.

    model: the first of route_losses.models, with so many weights (`parameters`), that saw so many tokens in training.
    bits_per_nat: bits per byte of a nat per token, by domain, over all windows of the evaluation set.
    """

    model: str
    layers: int
    parameters: int
    training_tokens: int
    documents: int
    tokens: int
    random_routes: int
    confidence: float
    bits_per_nat: Mapping[str, float]

    def used(self, *left_out: str, **others: Any) -> dict[str, Any]:
        """These params by name, as a figure's file states them, but for some that it doesn't rest on; and others."""
        return {name: value for name, value in asdict(self).items() if name not in left_out} | others


@dataclass(frozen=True)
class Picture:
    figure: Figure
    title: str
    caption: str


class Drawn(NamedTuple):
    """A picture that is to be saved."""

    name: str
    picture: Picture
    params: dict[str, Any]  # that it rests on
    inputs: Sequence[files.File]  # that it shows


@dataclass(frozen=True)
class Line:
    """How a strategy, a policy or a measure looks, the same in all figures, and what it is in words."""

    label: str
    colour: str
    marker: str
    dashes: str | tuple


# The one style of everything that several figures show. What is not here gets a style of its own by `lines`.
LINES = {
    "mean": Line("mean of all routes", "#999999", ".", ":"),
    "fixed": Line("fixed: best route for all tokens", "#D55E00", "^", "-"),
    "sequence": Line("best route of each document", "#CC79A7", "v", "-."),
    "oracle": Line("oracle: best route of each token", "#0072B2", "o", "-"),
    "random_all": Line("best of some random routes, one for all tokens", "#E69F00", "s", "--"),
    "random_token": Line("best of some random routes, each token", "#56B4E9", "D", "--"),
    "oracle_average": Line("oracle, budget on average", "#0072B2", "o", ":"),
    "exact": Line("router, exactly its budget", "#009E73", "P", "-"),
    "hard": Line("router, hard, at the layers used", "#000000", "*", ""),
    "soft": Line("router, soft mix", "#009E73", "x", ""),
    "normalised": Line("oracle, normalised", "#CC79A7", "v", "-."),
    "all_big": Line("all layers big", "#000000", "", (0, (1, 2))),
    "all_small": Line("all layers small", "#999999", "", (0, (4, 2))),
    # Schedules.
    "falling": Line("falling budget", "#D55E00", "v", "--"),
    "rising": Line("rising budget", "#0072B2", "^", "-."),
    "constant": Line("constant budget", "#000000", "o", "-"),
    # Kinds of models.
    "duo": Line("Duo", "#0072B2", "s", "-"),
    "dense": Line("dense", "#D55E00", "s", "--"),
    "frozen": Line("frozen", "#009E73", "^", ":"),
    # Contexts.
    "shared": Line("context shared", "#0072B2", "o", "-"),
    "reference": Line("context reference", "#CC79A7", "s", "-"),
    "greedy": Line("context greedy", "#009E73", "D", "-"),
    # Searches.
    "random": Line("random routes", "#000000", "x", ":"),
    "mcts": Line("Monte Carlo tree search", "#E69F00", "v", "-."),
    "beam": Line("beam by the logit lens", "#CC79A7", "D", "--"),
    "evolution": Line("evolution (1 + λ)", "#56B4E9", "P", "-."),
    "one_flip": Line("local search, one swap", "#D55E00", "s", "-"),
    "two_flip": Line("local search, two swaps", "#009E73", "^", "--"),
    "additive": Line("additive surrogate", "#0072B2", "o", "-"),
    # Measures of difficulty.
    "loss": Line("loss with all layers small", "#E69F00", "s", "-"),
    "gap": Line("gap", "#0072B2", "o", "-"),
    "selection_bias": Line("selection bias", "#D55E00", "v", "-"),
    "corrected_gap": Line("corrected gap", "#009E73", "D", "-"),
    "known_bias": Line("true selection bias", "#E69F00", "^", ":"),
    "known_corrected_gap": Line("gap corrected by the true bias", "#000000", "x", ":"),
    # Strategies of other seeds and documents, and of independent noise.
    "predicted": Line("as many independent normal losses", "#D55E00", "D", "--"),
    "effective": Line("independent routes, effectively", "#009E73", "P", "-."),
    "routes": Line("routes of the budget", "#000000", "s", "--"),
    "in_sample": Line("fixed, chosen on the same documents", "#E69F00", "v", "--"),
    "other": Line("chosen by another seed's oracle", "#009E73", "P", "-."),
    "own": Line("oracle: best route of each token", "#0072B2", "o", "-"),
    # Policies.
    "expected_loss": Line("expected loss", "#0072B2", "o", "-"),
    "value": Line("value regression", "#D55E00", "s", "-"),
    "distillation": Line("distillation", "#009E73", "^", "-"),
    "straight_through": Line("straight through", "#CC79A7", "D", "-"),
    "paper": Line("the paper's router", "#000000", "*", ""),
    "token_table": Line("token-id table", "#E69F00", "v", ":"),
    "neighbours": Line("nearest neighbours", "#56B4E9", "P", ":"),
}


def lines(names: Iterable[str], labels: Mapping[str, str] | None = None, own: Container[str] = ()) -> dict[str, Line]:
    """The style of each name, in this order: that of LINES, or one of its own that no other of these names has.

    labels: words for names that LINES doesn't know, or knows less well; else a name stands for itself. own: names that
    the user has chosen, which LINES may have for something else. A new strategy, policy or model needs to be
    listed nowhere, and looks the same wherever it is drawn alone. As far as there are enough of them, no two new
    ones have a colour or a marker in common.
    """
    names, labels = list(names), labels or {}
    styles = {name: LINES[name] for name in names if name in LINES and name not in own}
    looks = list(product(COLOURS, MARKERS, DASHES))
    taken = {(line.colour, line.marker, line.dashes) for line in styles.values()}
    for name in sorted(set(names) - set(styles)):
        start = zlib.crc32(name.encode()) % len(looks)
        look = min(looks[start:] + looks[:start], key=lambda look: _clashes(look, taken))
        taken.add(look)
        styles[name] = Line(name, *look)
    return {name: replace(styles[name], label=labels.get(name, styles[name].label)) for name in dict.fromkeys(names)}


def _clashes(look: tuple, taken: Iterable[tuple]) -> tuple[bool, int, int]:
    """Whether a look is taken as a whole, and how many that are taken have its marker (print is grey), its colour."""
    return look in taken, *(sum(look[part] == other[part] for other in taken) for part in (1, 0))


def known_first(names: Iterable[str], own: Container[str] = ()) -> list[str]:
    """Each name once: those that LINES has, in its order, then the others, and those of the user's, as they come."""
    names = list(dict.fromkeys(names))
    known = [name for name in LINES if name in names and name not in own]
    return known + [name for name in names if name not in known]


def short(statistic: Mapping[str, Any]) -> str:
    """A statistic in few words, to stand beside its marks; a row of any table of statistics."""
    family, subject, reference = (statistic[name].replace("_", " ") for name in ("family", "subject", "reference"))
    words = f"{subject} − {reference}" if reference else f"{family} of {subject}"
    return words if statistic["budget"] is None else f"{words}, k = {statistic['budget']:g}"


def save_all(pictures: Iterable[Drawn], stage: str) -> None:
    """Write every one of the pictures that a stage draws."""
    for name, picture, params, inputs in pictures:
        save(picture, name, stage, params, inputs)


def save(picture: Picture, name: str, stage: str, params: dict, inputs: Sequence[files.File]) -> None:
    """Write FIGURE as SVG and PNG, with caption and provenance in the files' metadata.

    params are those that the figure rests on; inputs are the files it shows, whose MD5 is recorded.
    """
    hashes = {file.path().as_posix(): file.digest() for file in inputs}
    provenance = json.dumps({"stage": stage, "params": params, "md5": hashes})
    write(picture, {format: FIGURE.path(name=name, format=format) for format in ("svg", "png")}, Source=provenance)


def write(picture: Picture, paths: Mapping[str, Path], **words: str) -> None:
    """Write a picture to a path for each format, with its caption and these words in the files' metadata."""
    words |= {"Title": picture.title, "Description": picture.caption}
    with style():
        _settle(picture.figure)
    for format, path in paths.items():
        metadata = words | ({"Date": None} if format == "svg" else {})
        with style(), files.atomic(path) as temporary:
            picture.figure.savefig(temporary, format=format, dpi=200, metadata=metadata)


def _settle(figure: Figure) -> None:
    """Lay the figure out once, every axes at a rounded place.

    The solver's last digits differ from run to run, and the ids of elements are hashes of them.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(np.round(axes.get_position(original=True).bounds, 6))


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


def columns(rows: pa.Table, *names: str) -> list[np.ndarray]:
    return [rows[name].to_numpy() for name in names]


def series(curves: pa.Table, strategy: str, *names: str) -> list[np.ndarray]:
    """budget and these columns of one strategy of one domain, by budget."""
    return columns(of(curves, strategy=strategy).sort_by("budget"), "budget", *names)


def estimate(name: str) -> tuple[str, str, str]:
    """The columns of a table whose rows hold several estimates: one of these, and the ends of its interval."""
    return name, f"{name}_low", f"{name}_high"


def paired(reference: str) -> tuple[str, str, str]:
    """The columns of a loss less that of a reference, on the same tokens."""
    return estimate(f"from_{reference}")


def curve(axes: Axes, line: Line, at: np.ndarray, value: np.ndarray, *ends: np.ndarray, hollow: bool = False) -> None:
    """A line with its marks, and the band of its intervals where their ends are given."""
    if ends:
        axes.fill_between(at, *ends, color=line.colour, alpha=0.12, linewidth=0)
    look = {"marker": line.marker, "linestyle": line.dashes} | ({"markerfacecolor": "none"} if hollow else {})
    axes.plot(at, value, color=line.colour, label=line.label, **look)


def marks(axes: Axes, line: Line, at: np.ndarray, value: np.ndarray, *ends: np.ndarray) -> None:
    """Marks, and upright intervals where their ends are given."""
    if ends:
        axes.vlines(at, *ends, color=line.colour, linewidth=0.9)
    axes.plot(at, value, line.marker, color=line.colour, label=line.label)


def reference(axes: Axes, line: Line, at: float) -> None:
    """A line across, at what others are compared with."""
    axes.axhline(at, color=line.colour, linewidth=0.8, linestyle=line.dashes, label=line.label)


def budgets(axes: Axes, layers: int, words: str = "big layers per token") -> None:
    """An x axis of budgets."""
    axes.set_xlabel(words)
    axes.set_xticks(range(0, layers + 1, max(1, layers // 12)))


def pairs(count: int, height: float) -> tuple[Figure, list[Axes], list[Axes]]:
    """Two rows of panels, `count` side by side, `height` inches together: the lower ones share their y axis.

    Above stands what domains differ in, such as perplexities; below, differences, that are held against each other.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    above, below = figure.subplots(2, count, squeeze=False, sharex="col")
    for axes in below[1:]:
        axes.sharey(below[0])
    return figure, list(above), list(below)


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


# What is done to percentiles where they would lie too close together; the glossary says how (duo.report.glossary).
EXPANDED = "expanded as few clusters need"


def studied(setting: Setting) -> str:
    """The model that is studied, with its size, and what it is scored on."""
    return f"Model {setting.model} ({size(setting)}); {sample(setting)}"


def several(setting: Setting) -> str:
    """Models that are all as large as the one that is studied, and what they are scored on."""
    return f"Models of {size(setting)}; {sample(setting)}"


def size(setting: Setting) -> str:
    """How large the model is, and how much it saw in training; models that differ by their seed are like it."""
    return f"{millions(setting.parameters)} parameters, trained on {millions(setting.training_tokens)} tokens"


def millions(count: int) -> str:
    """A number of parameters or tokens in short, such as 4.2 M."""
    return f"{count / 1e6:.{1 if count < 1e8 else 0}f} M"


def perplexity(setting: Setting) -> str:
    """What a perplexity is in nats, and a nat in bits per byte of each domain."""
    domains = ", ".join(f"{bits:.3f} of {domain}" for domain, bits in setting.bits_per_nat.items())
    return f"Perplexity is exp of the loss in nats per token; a nat per token is, in bits per byte, {domains}."


def sample(setting: Setting) -> str:
    return windows(setting.documents, setting.tokens)


def windows(documents: int, tokens: int) -> str:
    return f"{documents} held-out documents per domain, a window of {tokens} tokens of each."


# What is meant by the context of the losses of all routes.
CONTEXT = (
    "context shared: all tokens of a sequence take the route under trial, so the choices of different tokens cannot "
    "all be taken in one run."
)


def constraint(setting: Setting) -> str:
    return f"Every token has exactly its budget of big layers, of {setting.layers}; {CONTEXT}"


def interval(setting: Setting, drawn: str, choices: str = "single winning routes as chosen on other clusters") -> str:
    return ", ".join(words for words in (f"{drawn}: {intervals(setting.confidence)}", choices) if words) + "."


def intervals(confidence: float, resampled: str = "clusters") -> str:
    """What all our intervals are; resampled: what is independent, where that is no cluster of documents."""
    return f"{confidence:.0%} percentile bootstrap intervals, {EXPANDED}, {resampled} resampled"
