"""What routers gain from more supervision: a column a domain, a row an objective."""

from collections.abc import Iterator, Mapping

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from duo.figures import base
from duo.settings import Learning
from duo.tables.learning import LEARNING_CURVES
from duo.terms import EXPECTED, NONE, OTHERS, OWN, RANDOM, SHUFFLED, STACK, TRUE

# Routers, by what they are told and what they read.
_ROUTERS = {
    (TRUE, "layers"): base.Line("told the losses of true labels", "#0072B2", "o", "-"),
    (EXPECTED, "layers"): base.Line("told the losses that the teacher expects", "#D55E00", "s", "-"),
    (SHUFFLED, "layers"): base.Line("control: told the losses of other tokens", "#999999", "x", ":"),
    (TRUE, RANDOM): base.Line("control: reads noise", "#E69F00", "v", ":"),
}
_CHOOSERS = {
    OWN: base.Line("chooser: the model itself", "#000000", "", "-"),
    OTHERS: base.Line("chooser: other seeds", "#000000", "", ":"),
    STACK: base.Line("chooser: all pooled", "#000000", "", "-."),
}
_TEACHER = base.Line("chooser: the teacher", "#000000", "", "--")
_APART = 1.06  # ratio of the places of two routers' marks
_CHOOSER_APART = 1.12  # the same of choosers' intervals


def pictures(setting: base.Setting, teacher: str, learning: Learning) -> Iterator[base.Drawn]:
    """The figure of learning curves; teacher: whose expected losses routers were told."""
    used = setting.used("random_routes", teacher=teacher, learning=learning.model_dump())
    picture = curves(LEARNING_CURVES.read(), teacher, setting, learning)
    yield base.Drawn("learning-curves", picture, used, [LEARNING_CURVES])


def curves(table: pa.Table, teacher: str, setting: base.Setting, learning: Learning) -> base.Picture:
    """Gain over the fixed route against the tokens that are learned from, mean over budgets. table: LEARNING_CURVES."""
    rows = [row for row in table.to_pylist() if row["budget"] is None]
    domains = list(dict.fromkeys(row["domain"] for row in rows))
    policies = list(dict.fromkeys(row["policy"] for row in rows if row["input"] != NONE))
    with base.style():
        figure, panels = base.panels(len(policies) * len(domains), columns=len(domains), height=2.4)
        for index, axes in enumerate(panels):
            policy, domain = policies[index // len(domains)], domains[index % len(domains)]
            of_domain = [row for row in rows if row["domain"] == domain]
            for place, (key, line) in enumerate(_ROUTERS.items()):
                drawn = [
                    row for row in of_domain if (row["policy"], row["supervision"], row["input"]) == (policy, *key)
                ]
                _router(axes, drawn, line, _APART ** (place - (len(_ROUTERS) - 1) / 2))
            _choosers(axes, [row for row in of_domain if row["input"] == NONE], teacher, learning.tokens[-1])
            _axes(axes, learning.tokens)
            axes.set_title(f"{domain}, {base.LINES[policy].label}")
            axes.set_ylim(_ends(rows))
            axes.set_xlabel("tokens of each domain that it learns from")
            axes.set_ylabel("gain over fixed, nats")
        base.legend_below(figure, *panels)
    budgets = ", ".join(map(str, learning.budgets))
    caption = (
        "What routers gain over the best route for all tokens of the domain (0), both learned from as many tokens of "
        f"documents that the model has not seen, with the losses of {learning.routes} random routes per sequence and "
        f"budget. Mean over budgets {budgets}; isolated losses, on true labels whatever was learned from. Rows: what "
        f"routers are trained for. Noise-free losses are those that {teacher} expects, calibrated on validation text; "
        "controls should gain nothing. Horizontal lines: routes that predictions prefer without the label, over the "
        "route that is fixed by the most tokens; at their right ends, their intervals. Value regression is linear and "
        "solved for exactly; expected loss is trained, by the network that is better on validation, linear or with a "
        f"hidden layer. {base.studied(setting)} "
        f"{base.constraint(setting)} "
        + base.interval(
            setting, "Vertical lines", "every router as it was learned, which another sample of text would change"
        )
    )
    return base.Picture(figure, "What routers gain from more supervision", caption)


def _ends(rows: list[Mapping]) -> tuple[float, float]:
    """The y axis of all panels."""
    low, high = (-pick(row[f"from_fixed_{end}"] for row in rows) for pick, end in ((max, "high"), (min, "low")))
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def _router(axes: Axes, rows: list[Mapping], line: base.Line, shift: float) -> None:
    """One router's gain, nothing where the objective has none like it."""
    if rows:
        rows = sorted(rows, key=lambda row: row["learned_from"])
        x = [row["learned_from"] * shift for row in rows]
        value, low, high = (
            [-row[name] for row in rows] for name in ("from_fixed", "from_fixed_high", "from_fixed_low")
        )
        axes.vlines(x, low, high, color=line.colour, linewidth=0.9)
        axes.plot(x, value, line.marker, linestyle=line.dashes, color=line.colour, label=line.label)


def _choosers(axes: Axes, rows: list[Mapping], teacher: str, most: int) -> None:
    """The choosers' gains as horizontal lines, their intervals beside each other right of the most tokens."""
    lines = {row["policy"]: _TEACHER if row["policy"] == teacher else _CHOOSERS.get(row["policy"]) for row in rows}
    drawn = [row for row in rows if lines[row["policy"]]]
    for place, row in enumerate(drawn):
        line, x = lines[row["policy"]], most * _CHOOSER_APART ** (place + 3)
        axes.axhline(-row["from_fixed"], color=line.colour, linestyle=line.dashes, linewidth=0.9, label=line.label)
        axes.vlines(x, -row["from_fixed_high"], -row["from_fixed_low"], color=line.colour, linestyle=line.dashes)
    axes.axhline(0, color="#777777", linewidth=0.6, zorder=0)


def _axes(axes: Axes, tokens: list[int]) -> None:
    """A logarithmic x axis that names the amounts of supervision."""
    axes.set_xscale("log")
    axes.set_xlim(tokens[0] / 1.4, tokens[-1] * 1.9)
    axes.xaxis.set_major_locator(FixedLocator(tokens))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
