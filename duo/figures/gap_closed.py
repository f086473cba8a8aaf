"""How much of the attainable gap routers close, whatever they were trained for."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes

from duo.figures import base

_LINES = {
    "expected_loss": base.Line("expected loss", "#0072B2", "o", "-"),
    "value": base.Line("value regression", "#D55E00", "s", "-"),
    "distillation": base.Line("distillation", "#009E73", "^", "-"),
    "straight_through": base.Line("straight through", "#CC79A7", "D", "-"),
    "paper": base.Line("the paper's router", "#000000", "*", ""),
    "token_table": base.Line("token-id table", "#E69F00", "v", ":"),
    "neighbours": base.Line("nearest neighbours", "#56B4E9", "P", ":"),
}
_ROWS = {"isolated": "as isolated", "joint": "as joint"}


def shares(curves: pa.Table, statistics: pa.Table, teacher: str, setting: base.Setting) -> base.Picture:
    """Share of the attainable gap closed, a column of panels a domain: isolated above, joint below.

    curves as gain_artifacts.POLICY_CURVES, statistics as GAP_CLOSED_STATISTICS; teacher: the first of params
    sampled_labels.teachers.
    """
    exact = base.of(curves, constraint="exact", chosen=True)
    domains = exact["domain"].unique().to_pylist()
    known = {domain: _known(base.of(exact, domain=domain)) for domain in domains}
    with base.style():
        figure, panels = base.panels(2 * len(domains), columns=len(domains), height=2.5)
        for index, axes in enumerate(panels):
            kind, domain = list(_ROWS)[index // len(domains)], domains[index % len(domains)]
            part = base.of(exact, domain=domain)
            _panel(axes, part.filter(pc.is_in(part["budget"], pa.array(known[domain], pa.int32()))), kind)
            axes.set_title(f"{domain}, {_ROWS[kind]}")
            axes.set_xticks(range(len(known[domain])), [str(budget) for budget in known[domain]])
        handles = {
            label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    judge = "the other models" if teacher == "others" else f"model {teacher}"
    caption = (
        "Share of the attainable gap that a router closes, (fixed - router) / (fixed - ceiling), by big layers a token: 0 is the best "
        "single route of the domain, chosen on training documents; 1 the ceiling, the routes that the predictions of "
        f"{judge} prefer without the label. Of each objective the input and network with the lowest validation loss "
        f"({_chosen(exact)}). Above, losses that routes have while all tokens of the sequence share each; below, those of all tokens on "
        "their own routes together, which the paper's router always has. Random routes are in the tables. "
        f"{_without(known, exact)}{_agreement(statistics)} "
        f"Model {setting.model}; {base.sample(setting)} Every token has exactly its budget of big layers, of {setting.layers}; context "
        f"shared. Vertical lines, which the axis may cut: {setting.confidence:.0%} percentile bootstrap intervals, documents "
        "resampled, every router as it was trained and chosen."
    )
    return base.Picture(figure, "How much of the attainable gap routers close", caption)


def _chosen(curves: pa.Table) -> str:
    """Input and network of every policy that has a choice of them."""
    rows = {row["policy"]: row for row in curves.to_pylist() if row["policy"] in _LINES and row["network"] != "none"}
    return "; ".join(
        f"{_LINES[policy].label}: {row['input']}, {row['network']}" for policy, row in rows.items() if policy != "paper"
    )


def _known(curves: pa.Table) -> list[int]:
    """Budgets at which the ceiling's interval lies below fixed, so that there is a gap to close."""
    ceiling = base.of(curves, policy="ceiling").sort_by("budget")
    return [row["budget"] for row in ceiling.to_pylist() if row["from_fixed_high"] < 0]


def _panel(axes: Axes, curves: pa.Table, kind: str) -> None:
    lines = {policy: line for policy, line in _LINES.items() if len(base.of(curves, policy=policy))}
    places = dict(zip(lines, (np.arange(len(lines)) - (len(lines) - 1) / 2) * 0.1, strict=True))
    index = {budget: at for at, budget in enumerate(sorted(set(curves["budget"].to_pylist())))}
    drawn = [0.0, 1.0]
    for policy, line in lines.items():
        rows = base.of(curves, policy=policy, kind=kind).sort_by("budget")
        if not len(rows):
            continue
        budget, share, low, high = (rows[name].to_numpy() for name in ("budget", "share", "share_low", "share_high"))
        at = np.array([index[each] for each in budget]) + places[policy]
        drawn += list(share)
        axes.vlines(at, low, high, color=line.colour, linewidth=1)
        hollow = {"markerfacecolor": "white"} if line.dashes == ":" else {}
        axes.plot(at, share, line.marker, color=line.colour, label=line.label, **hollow)
    for level, dashes in ((0.0, "-"), (1.0, "--")):
        axes.axhline(level, color="#777777", linewidth=0.8, linestyle=dashes, zorder=0)
    for edge in range(1, len(index)):
        axes.axvline(edge - 0.5, color="#dddddd", linewidth=0.5, zorder=0)
    if not index:
        axes.text(0.5, 0.5, "no budget leaves a gap\nthat is sure", transform=axes.transAxes, ha="center", va="center")
    margin = 0.15 * (max(drawn) - min(drawn))
    axes.set_ylim(min(drawn) - margin, max(drawn) + margin)
    axes.set_xlim(-0.5, max(0.5, len(index) - 0.5))
    axes.set_xlabel("big layers a token")
    axes.set_ylabel("share of the gap")


def _without(known: dict[str, list[int]], curves: pa.Table) -> str:
    """Which budgets are left out, and why."""
    budgets = sorted(set(curves["budget"].to_pylist()))
    missing = [
        f"{domain} at {', '.join(str(k) for k in budgets if k not in own)}"
        for domain, own in known.items()
        if set(own) != set(budgets)
    ]
    return f"Left out, since the interval of the gap holds 0: {'; '.join(missing)}. " if missing else ""


def _agreement(statistics: pa.Table) -> str:
    """Whether the good routers agree, in words: those whose interval lies below fixed, two at a time, by domain and
    budget.
    """
    rows = {(row["domain"], row["name"]): row for row in statistics.to_pylist()}
    pairs = []
    for (domain, name), row in rows.items():
        found = re.fullmatch(r"(\w+)_(\d+)-(\w+)_\2", name)
        if found and found[3] != "fixed":
            budget, both = found[2], (found[1], found[3])
            if all(rows[domain, f"{policy}_{budget}-fixed_{budget}"]["high"] < 0 for policy in both):
                pairs.append(row)
    if not pairs:
        return "At no budget are two of them better than fixed beyond doubt."
    agreed = sum(row["low"] <= 0 <= row["high"] for row in pairs)
    largest = max(abs(row["value"]) for row in pairs)
    told = (
        f"Of the {len(pairs)} differences between two that are both better than fixed beyond doubt (isolated, by domain and budget), "
        f"{agreed} have intervals that hold 0; the largest is {largest:.3f} nats a token. "
    )
    if agreed == len(pairs):
        return told + "The good ones agree within their intervals: what they miss is information, not training."
    return told + "Not all of the good ones agree: part of what is missed is training."
