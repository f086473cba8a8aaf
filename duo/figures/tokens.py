"""Figures 4c and 5, and loss and gap by class of token."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from duo.figures import base
from duo.studies import difficulty
from duo.studies.schedules import FAMILIES, ORDER_COST
from duo.tables.studies import (
    DIFFICULTY,
    DIFFICULTY_CLASSES,
    DIFFICULTY_HISTOGRAM,
    PASSAGES,
    SCHEDULE_POSITIONS,
    SCHEDULE_STATISTICS,
)

SHOWN = 48  # tokens of a sequence that can be told apart
LOSSES = ("all_small", "all_big", "oracle")  # columns of DIFFICULTY that figure 5 draws
STRATEGIES = {family: strategy for strategy, family in FAMILIES.items()}  # whose losses SCHEDULE_STATISTICS compare


def pictures(setting: base.Setting, ends: list[int], budget: int) -> Iterator[base.Drawn]:
    """The figures of schedules, of single tokens, and of classes of tokens.

    ends: budgets at a sequence's first and last token; budget: of the oracle that the gap is measured with.
    """
    used, inputs = setting.used("random_routes"), [SCHEDULE_POSITIONS, SCHEDULE_STATISTICS]
    picture = schedules(*(table.read() for table in inputs), ends, setting)
    yield base.Drawn("figure-4c", picture, used | {"schedules": ends}, inputs)

    used |= {"budget": budget}
    documents = {passage["domain"]: passage["document"] for passage in PASSAGES.read()}
    inputs = [DIFFICULTY, DIFFICULTY_HISTOGRAM]
    picture = losses_and_gaps(
        *(base.of(table.read(), model=setting.model) for table in inputs), documents, budget, setting
    )
    yield base.Drawn("figure-5", picture, used, [*inputs, PASSAGES])
    means = base.of(DIFFICULTY_CLASSES.read(), model=setting.model)
    picture = classes(means, list(documents), budget, setting)
    yield base.Drawn("figure-classes", picture, used, [DIFFICULTY_CLASSES])


def schedules(positions: pa.Table, statistics: pa.Table, budgets: list[int], setting: base.Setting) -> base.Picture:
    """Figure 4c: perplexity along the sequence under each schedule, and what the schedules differ by over the whole
    of it.

    positions as SCHEDULE_POSITIONS, statistics as SCHEDULE_STATISTICS; budgets: the first and the last token's.
    """
    positions, statistics = (base.of(table, model=setting.model) for table in (positions, statistics))
    domains = positions["domain"].unique().to_pylist()
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 2.3 * len(domains) + 0.4), layout="constrained")
        grid = figure.subplots(len(domains), 2, squeeze=False, sharex="col", width_ratios=[3, 2])
        for (along, whole), domain in zip(grid, domains, strict=True):
            _along(along, base.of(positions, domain=domain))
            _differences(whole, base.of(statistics, domain=domain))
            along.set_title(f"{domain}: oracle, by stretch of the sequence")
            whole.set_title(f"{domain}: whole sequence")
        for axes, words in zip(grid[-1], ("position", "difference in loss, nats per token"), strict=True):
            axes.set_xlabel(words)
        for axes, side in zip(grid[0], ("left", "right"), strict=True):
            figure.legend(*axes.get_legend_handles_labels(), loc=f"outside lower {side}", ncols=3)
    first, last = budgets
    caption = (
        f"A budget that goes from {first} at the first token to {last} at the last (falling), its reverse (rising), "
        "and the constant mean, all of the same total over the sequence. Left: perplexity (logarithmic) of the oracle "
        "by stretch, no interval. Right: paired differences in loss, of the oracle and of the mean over all routes of "
        f"the budget; shuffled is the falling budgets in random order, in expectation. {base.perplexity(setting)} "
        f"{base.studied(setting)} Every token has exactly the budget of its position; {base.CONTEXT} "
        f"{base.interval(setting, 'Horizontal lines', '')}"
    )
    return base.Picture(figure, "A budget that changes along the sequence (the paper's figure 4c)", caption)


def losses_and_gaps(
    tokens: pa.Table, histogram: pa.Table, documents: Mapping[str, str], budget: int, setting: base.Setting
) -> base.Picture:
    """Figure 5: losses along the beginning of one document per domain, and how many tokens have which loss and gap.

    tokens as DIFFICULTY, histogram as DIFFICULTY_HISTOGRAM; documents: the id of the one shown, by domain.
    """
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 2.4 * len(documents) + 0.4), layout="constrained")
        grid = figure.subplots(len(documents), 2, squeeze=False, width_ratios=[3, 2])
        most = pc.max(histogram["tokens"]).as_py()
        for (along, joint), (domain, document) in zip(grid, documents.items(), strict=True):
            _by_token(along, base.of(tokens, domain=domain, document=document).slice(0, SHOWN))
            along.set_title(f"{domain}: one document")
            cells = _joint(joint, base.of(histogram, domain=domain), most)
            joint.set_title(f"{domain}: all tokens")
        figure.colorbar(cells, ax=list(grid[:, 1]), label="tokens", aspect=30, format="{x:g}")
        base.legend_below(figure, grid[0, 0])
    caption = (
        f"Left: loss of the first {SHOWN} tokens, at most, of one document per domain with all layers small, all big, "
        f"and under the oracle at {budget} of {setting.layers} big. Right: how many tokens have which loss with all "
        "layers small and which gap, that loss less the oracle's; on the dashed line the oracle's loss is zero, below "
        f"the dotted one the gap is less than {difficulty.NO_GAIN:.0%} of the loss. {base.studied(setting)} "
        f"{base.constraint(setting)} Counts: no interval."
    )
    return base.Picture(figure, "Loss and gap of single tokens (the paper's figure 5)", caption)


def classes(means: pa.Table, domains: Sequence[str], budget: int, setting: base.Setting) -> base.Picture:
    """Mean loss and gap of each class of token.

    `means` as DIFFICULTY_CLASSES; a domain without classes has empty panels.
    """
    parts = [base.of(means, domain=domain).sort_by("loss") for domain in domains]
    with base.style():
        sizes = [len(part) + 2 for part in parts]
        figure = Figure(figsize=(base.WIDTH, 0.22 * sum(sizes) + 0.5), layout="constrained")
        grid = figure.subplots(len(domains), 2, squeeze=False, sharey="row", sharex="col", height_ratios=sizes)
        for panels, domain, part in zip(grid, domains, parts, strict=True):
            places = np.arange(len(part))
            for axes, kind, marker, colour in zip(panels, ("loss", "gap"), "so", ("#E69F00", "#0072B2"), strict=True):
                axes.hlines(places, part[f"{kind}_low"].to_numpy(), part[f"{kind}_high"].to_numpy(), color=colour)
                axes.plot(part[kind].to_numpy(), places, marker, color=colour)
                axes.set_title(f"{domain}: {kind}")
                axes.grid(axis="y", color="#dddddd", linewidth=0.5)
                axes.set_ylim(-0.7, len(part) - 0.3)
            names = zip(part["class"].to_pylist(), part["tokens"].to_pylist(), strict=True)
            panels[0].set_yticks(places, [f"{name} ({count:,})" for name, count in names])
        for axes in grid.ravel():
            axes.axvline(0, color="#777777", linewidth=0.8)
            axes.xaxis.set_major_locator(MaxNLocator(5))
        for axes in grid[-1]:
            axes.set_xlabel("nats per token")
    caption = (
        f"Mean loss with all layers small, and mean gap, that loss less the oracle's at {budget} of {setting.layers} "
        "big, by class of token; how many tokens in brackets. Classes that occur in too few clusters (fewer than "
        f"{difficulty.CLUSTERS}) are left out. {base.studied(setting)} {base.constraint(setting)} "
        f"{base.interval(setting, 'Horizontal lines', '')}"
    )
    return base.Picture(figure, "Loss and gap by class of token", caption)


def _along(axes: Axes, positions: pa.Table) -> None:
    """The oracle's perplexity by stretch, a line per schedule; `shuffled` has no order to show along a sequence."""
    ordered = [name for name in positions["schedule"].unique().to_pylist() if name != "shuffled"]
    for name, line in base.lines(ordered).items():
        rows = base.of(positions, schedule=name, strategy="oracle").sort_by("first")
        middle = (rows["first"].to_numpy() + rows["last"].to_numpy()) / 2 + 1
        style = {"color": line.colour, "marker": line.marker, "linestyle": line.dashes}
        axes.plot(middle, np.exp(rows["loss"].to_numpy()), label=line.label, **style)
    axes.set_ylabel("perplexity")
    base.logarithmic(axes)


def _differences(axes: Axes, statistics: pa.Table) -> None:
    """Every difference of two schedules with its interval: a place per pair, and there a mark per strategy."""
    statistics = statistics.filter(pc.not_equal(statistics["family"], ORDER_COST.family))  # which is their mean
    pairs = list(dict.fromkeys(zip(*(statistics[name].to_pylist() for name in ("subject", "reference")), strict=True)))
    families = statistics["family"].unique().to_pylist()
    lines = base.lines([STRATEGIES.get(family, family) for family in families], {"oracle": "oracle"})
    axes.axvline(0, color="#777777", linewidth=0.8, linestyle="--")
    for offset, family, line in zip(np.linspace(-0.13, 0.13, len(families)), families, lines.values(), strict=True):
        rows = base.of(statistics, family=family).to_pylist()
        places = [pairs.index((row["subject"], row["reference"])) + offset for row in rows]
        value, low, high = ([row[name] for row in rows] for name in ("value", "low", "high"))
        axes.hlines(places, low, high, color=line.colour)
        axes.plot(value, places, color=line.colour, marker=line.marker, linestyle="none", label=line.label)
    axes.set_yticks(range(len(pairs)), [f"{subject} less {reference}" for subject, reference in pairs])
    axes.set_ylim(len(pairs) - 0.4, -0.6)  # the first pair above
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _by_token(axes: Axes, tokens: pa.Table) -> None:
    """LOSSES of the tokens of one document, by position."""
    for name, line in base.lines(LOSSES).items():
        style = {"color": line.colour, "marker": line.marker, "linestyle": line.dashes}
        at, losses = tokens["position"].to_numpy() + 1, tokens[name].to_numpy()
        axes.plot(at, losses, label=line.label, markersize=3, linewidth=0.8, **style)
    axes.set_xlabel("position")
    axes.set_ylabel("loss, nats")


def _joint(axes: Axes, cells: pa.Table, most: int) -> ScalarMappable:
    """The joint histogram of loss and gap, one colour scale for all domains; returns what its colour bar needs."""
    loss, gap, counts = (cells[name].to_numpy() for name in ("loss", "gap", "tokens"))
    width = cells["width"][0].as_py()
    edges = [np.arange(values.min(), values.max() + 1.5 * width, width) for values in (loss, gap)]
    tokens, *_ = np.histogram2d(loss + width / 2, gap + width / 2, edges, weights=counts)
    image = axes.pcolormesh(
        *edges, np.ma.masked_equal(tokens.T, 0), cmap="cividis_r", norm=LogNorm(1, max(2, most)), linewidth=0
    )
    reach = np.array([0, edges[0][-1]])
    axes.plot(reach, reach, color="#D55E00", linestyle="--")
    axes.plot(reach, difficulty.NO_GAIN * reach, color="#D55E00", linestyle=":")
    axes.set_ylim(edges[1][0], edges[1][-1])
    axes.set_xlabel("loss with all layers small, nats")
    axes.set_ylabel("gap, nats")
    return image
