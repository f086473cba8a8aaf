"""What an oracle over the layers of a pretrained model gains, how much of it is luck, and which layers go."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from duo.figures import base, maps
from duo.stats import Statistic
from duo.studies import gain_statistics, joint_statistics
from duo.tables import pretrained as tables
from duo.terms import (
    ALL_BIG,
    FIXED,
    JOINT,
    MATCHED,
    ORACLE,
    OWN,
    REPEAT,
    SAMPLED,
    SHARED,
    SKIP,
    SMALL,
    TRUE,
)

# What is done where a route departs, and what then is done to a layer.
DEPARTURES = {SKIP: ("leave out", "left out"), REPEAT: ("repeat", "repeated"), SMALL: ("make small", "small")}


@dataclass(frozen=True)
class Tried:
    """Which routes of which model were tried, on how much; `budgets`: of the gain, most departures last."""

    routes: str
    model: str
    layers: int
    places: int  # that choose: layers, or blocks of them
    scope: str
    choices: tuple[str, ...]
    bounded: bool
    budgets: tuple[int, ...]
    documents: int
    tokens: int
    confidence: float

    @property
    def what(self) -> str:
        """What chooses, in words."""
        part = {"ffn": "the FFNs of ", "layer": ""}[self.scope]
        size = self.layers // self.places
        unit = f"{self.places} layers" if size == 1 else f"{self.places} blocks of {size} layers"
        return f"{part}{unit}"

    @property
    def told(self) -> list[int]:
        """Budgets that pictures and tables show, fewest departures first: all with any, or five spread over them."""
        there = [k for k in sorted(self.budgets, reverse=True) if 0 < k < self.places]
        return [there[index] for index in np.linspace(0, len(there) - 1, min(len(there), 5)).round().astype(int)]

    @property
    def main(self) -> int:
        """The budget that words are of: that of most departures, or, where budgets are exact, the middle one."""
        return self.told[-1] if self.bounded else self.told[len(self.told) // 2]

    @property
    def doing(self) -> str:
        """What routes do with it where they depart, in words."""
        return f"{self._departing(0)} some of {self.what}"

    def at(self, budget: int) -> str:
        """A budget in words."""
        unit = "layers" if self.places == self.layers else "blocks"
        away = f"{self.places - budget} of {self.places} {unit} {self._departing(1)}"
        return f"at most {away}" if self.bounded else away

    def _departing(self, form: int) -> str:
        return " or ".join(DEPARTURES[choice][form] for choice in self.choices if choice in DEPARTURES)


def pictures(tried: Tried) -> Iterator[base.Drawn]:
    """Both figures of one entry of params pretrained_routes."""
    every = (tables.GAIN_STATISTICS, tables.JOINT_STATISTICS, tables.HEAT_MAPS, tables.LAYER_SHARES)
    gain, joint, cells, shares = (table.instance(routes=tried.routes) for table in every)
    statistics = pa.concat_tables([gain.read(), joint.read()])
    yield base.Drawn(tried.routes, parts(statistics, tried), asdict(tried), [gain, joint])
    picture = places(cells.read(), shares.read(), tried)
    yield base.Drawn(f"{tried.routes}-places", picture, asdict(tried), [cells, shares])


def shown(budget: int) -> dict[str, Statistic]:
    """What is shown of a budget, by its words, from the top."""
    return {
        "oracle, isolated": gain_statistics.gain(ALL_BIG, budget),
        "the same on words taken for as likely": gain_statistics.gain(ALL_BIG, budget, MATCHED),
        "of it, luck": gain_statistics.luck(OWN, budget),
        "foreseen by the model": gain_statistics.foreseeable(OWN, ALL_BIG, budget),
        "not explained": gain_statistics.unexplained(OWN, budget),
        "best fixed route": joint_statistics.gain(SHARED, FIXED, JOINT, budget),
        "oracle, joint": joint_statistics.gain(SHARED, ORACLE, JOINT, budget),
        "foreseen by the model, joint": joint_statistics.gain(SHARED, OWN, JOINT, budget),
    }


def parts(statistics: pa.Table, tried: Tried) -> base.Picture:
    """The oracle's gain, what of it is luck, and what comes of it in one run; by domain and departures.

    statistics: as GAIN_STATISTICS and JOINT_STATISTICS, of one entry.
    """
    domains = statistics["domain"].unique().to_pylist()
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 3.4), layout="constrained")
        panels = figure.subplots(1, len(domains), squeeze=False, sharex=True, sharey=True)[0]
        for axes, domain in zip(panels, domains, strict=True):
            _parts(axes, base.of(statistics, domain=domain).to_pylist(), tried)
            axes.set_title(domain)
            axes.set_xlabel("gain, nats per token")
        base.legend_below(figure, panels[0])
    caption = (
        f"What is gained over {tried.model} as it is by routes that {tried.doing}, token by token. "
        "Luck: what the oracle would gain over the routes that the model's own calibrated prediction prefers, "
        "if labels came as it says. Isolated: each route was tried with all tokens on it; joint: in one run, each "
        "token on its own, and the one that begins the text on none. "
        f"Left of 0 is worse than the model as it is. {_described(tried)}"
    )
    return base.Picture(figure, f"{tried.routes}: what an oracle over the layers gains, and how much is luck", caption)


def _parts(axes: Axes, rows: list[dict], tried: Tried) -> None:
    """One domain's numbers with their intervals, a colour for each budget."""
    axes.axvline(0, color="#000000", linewidth=0.8, linestyle=(0, (1, 2)))
    budgets = tried.told
    offsets = np.linspace(0.24, -0.24, len(budgets)) if len(budgets) > 1 else [0.0]
    names = [*shown(budgets[0])]
    for index, (budget, offset) in enumerate(zip(budgets, offsets, strict=True)):
        line = base.Line(tried.at(budget), base.COLOURS[index % 6], base.MARKERS[index % 12], "-")
        for height, statistic in zip(range(len(names))[::-1], shown(budget).values(), strict=True):
            (row,) = (row for row in rows if _is(row, statistic))
            axes.hlines(height + offset, row["low"], row["high"], color=line.colour, linewidth=1)
            label = line.label if height == 0 else None
            axes.plot(row["value"], height + offset, line.marker, color=line.colour, markersize=3.5, label=label)
    axes.set_yticks(range(len(names))[::-1], names)
    axes.tick_params(axis="y", length=0)


def _is(row: dict, statistic: Statistic) -> bool:
    return all(row[name] == getattr(statistic, name) for name in ("family", "subject", "reference", "budget", "labels"))


def places(cells: pa.Table, shares: pa.Table, tried: Tried) -> base.Picture:
    """Where the oracle departs from the model, on true labels and on sampled ones; at the budget `main`.

    cells as GAIN_HEAT_MAPS, shares as GAIN_LAYERS, of one entry: shares of tokens whose layer stays as it is.
    """
    budget = tried.main
    cells, shares = (base.of(table, budget=budget) for table in (cells, shares))
    cells, shares = (_departing(table) for table in (cells, shares))
    domains, kinds = cells["domain"].unique().to_pylist(), {TRUE: "true labels", SAMPLED: "sampled labels"}
    reach = max(base.of(cells, labels=labels)["share"].to_numpy().max() for labels in kinds)
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 0.9 + 2.0 * len(domains)), layout="constrained")
        panels = figure.subplots(len(domains), 3, squeeze=False, sharey=True, width_ratios=[3, 3, 2])
        for row, domain in zip(panels, domains, strict=True):
            for axes, labels in zip(row, kinds, strict=False):
                part = base.of(cells, domain=domain, labels=labels)
                image = maps.heat_map(axes, part, tried.places, ends=(0, float(reach)))
                axes.set_title(f"{domain}, {kinds[labels]}")
            _by_layer(row[2], base.of(shares, domain=domain), kinds)
            row[0].set_ylabel("layer" if tried.places == tried.layers else "block")
        for axes, words in zip(panels[-1], ("position", "position", "share of tokens"), strict=True):
            axes.set_xlabel(words)
        bar = figure.colorbar(
            image, ax=panels[:, :2].ravel().tolist(), location="bottom", shrink=0.6, aspect=30, pad=0.03
        )
        bar.set_label("share of windows whose oracle departs there")
        base.legend_below(figure, panels[0, 2])
    caption = (
        f"How often the oracle departs from {tried.model} as it is ({tried.at(budget)}), by layer (1 is next to the "
        "input) and position, on the true labels and on labels sampled from the model's own calibrated "
        f"prediction, where no choice can be more than luck. {_described(tried)}"
    )
    return base.Picture(figure, f"{tried.routes}: where the oracle departs, and where luck alone would", caption)


def _departing(table: pa.Table) -> pa.Table:
    """Shares of tokens whose layer departs, of a table of shares of those that stay; with their ends, where it has."""
    ends = {"share": "share", "low": "high", "high": "low"}
    flipped = {name: 1 - table[other].to_numpy() for name, other in ends.items() if other in table.column_names}
    for name, values in flipped.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    return table


def _by_layer(axes: Axes, shares: pa.Table, kinds: dict[str, str]) -> None:
    """Shares by layer alone, on both kinds of label."""
    looks = base.lines([*kinds.values()])
    for labels, offset in zip(kinds, (0.15, -0.15), strict=True):
        line, rows = looks[kinds[labels]], base.of(shares, labels=labels).sort_by("layer")
        layer, share, low, high = base.columns(rows, "layer", "share", "low", "high")
        axes.hlines(layer + 1 + offset, low, high, color=line.colour, linewidth=0.8)
        axes.plot(share, layer + 1 + offset, line.marker, color=line.colour, markersize=2.5, label=line.label)
    axes.xaxis.set_major_locator(MaxNLocator(3))


def _described(tried: Tried) -> str:
    words = base.windows(tried.documents, tried.tokens)
    return f"{words} Horizontal lines: {tried.confidence:.0%} intervals over clusters, {base.EXPANDED}."
