"""The domain of known difficulty: loss and gaps by difficulty, and how well each recovers it."""

from collections.abc import Sequence

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from duo.data import synthetic
from duo.figures import base
from duo.report import glossary
from duo.settings import SampledLabels

LOSS = base.Line("loss, all layers small", "#E69F00", "s", "-")
GAP = base.Line("gap", "#0072B2", "o", "-")
CORRECTED = base.Line("corrected gap", "#009E73", "D", "-")
GAPS = {"gap": GAP, "luck": base.Line("luck", "#D55E00", "v", "-"), "corrected_gap": CORRECTED}
MEASURES = {"loss": LOSS, "gap": GAP, "corrected_gap": CORRECTED}
KNOWN = {"difficulty": "difficulty,\nall tokens", "carry": "carry,\ndigits of sums", "entropy": "entropy,\nall tokens"}


def recovery(
    classes: pa.Table, statistics: pa.Table, budget: int, null: SampledLabels, setting: base.Setting
) -> base.Picture:
    """SYNTHETIC_CLASSES and SYNTHETIC_STATISTICS; documents and tokens of the setting are the synthetic sample's."""
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 4.6), layout="constrained")
        panels = figure.subplot_mosaic(
            [["losses", "gaps", "ranks"], ["losses", "gaps", "alarms"]], height_ratios=[3, 1]
        )
        losses, gaps, ranks, alarms = (panels[name] for name in ("losses", "gaps", "ranks", "alarms"))
        _means(losses, gaps, classes)
        found = {row["name"]: row for row in statistics.to_pylist()}
        known = {name: words for name, words in KNOWN.items() if f"loss_rank_{name}" in found}
        _marks(
            ranks, [(words, {each: found[f"{each}_rank_{name}"] for each in MEASURES}) for name, words in known.items()]
        )
        ranks.set_title("is it recovered?")
        ranks.set_xlabel("rank correlation")
        called = {each: f"noise_called_difficult_by_{each}" for each in MEASURES}
        _marks(alarms, [("noise", {each: found[name] for each, name in called.items() if name in found})])
        alarms.set_title("false alarms")
        alarms.set_xlabel("share of noise tokens")
        alarms.set_xlim(-0.03, 1.03)
        entries = zip(losses.get_legend_handles_labels(), gaps.get_legend_handles_labels(), strict=True)
        figure.legend(*([*one, *other] for one, other in entries), loc="outside lower center", ncols=5)
    route = glossary.route(null.route)
    caption = (
        "Made-up sequences of copies, sums with carries and noise, and a model trained on them alone. Left: mean loss with all layers "
        "small; the black line is the entropy that no mean loss can be below; tokens in brackets; columns are those that must be "
        f"read beside a digit's own to know its carry. Middle: gap, that loss less the oracle's at {budget} of {setting.layers} big; "
        f"luck, what it gains on labels sampled from the predictions of {route} ({null.samples} a token, temperature {null.temperature:g}) "
        "over the route of as many big layers that these prefer; corrected gap, the gap without it. Right: Spearman's correlation of each "
        "with what is known; below, share of noise, which nothing helps, with at least the median of the tokens that something must be "
        "looked up for. Held out: "
        f"{setting.documents} sequences of {setting.tokens} tokens. {base.constraint(setting)} Horizontal lines: "
        f"{setting.confidence:.0%} percentile bootstrap intervals, sequences resampled."
    )
    return base.Picture(figure, "Is difficulty that is known by construction recovered?", caption)


def _means(losses: Axes, gaps: Axes, classes: pa.Table) -> None:
    """Means of every kind and difficulty, one below the other, in the order of synthetic.KINDS: losses, and gaps
    beside them.
    """
    rows = sorted(classes.to_pylist(), key=lambda row: (synthetic.KINDS.index(row["kind"]), row["difficulty"]))
    labels = [f"{_words(row)} ({row['tokens']:,})" for row in rows]
    for axes, lines in ((losses, {"all_small": LOSS}), (gaps, GAPS)):
        marks = [{name: _interval(row, name) for name in lines} for row in rows]
        _marks(axes, list(zip(labels, marks, strict=True)), lines)
        axes.set_xlabel("nats a token")
    for place, row in enumerate(rows):
        losses.vlines(
            row["entropy"],
            place - 0.3,
            place + 0.3,
            color="#000000",
            linewidth=1.6,
            label="entropy" if place == 0 else None,
        )
    losses.set_title("mean loss")
    gaps.set_title("mean gaps")
    gaps.tick_params(labelleft=False)


def _words(row: dict) -> str:
    if row["kind"] != "sum":
        return row["kind"]
    columns = row["difficulty"] - synthetic.SUM_STEPS
    return f"sum, {columns} column{'' if columns == 1 else 's'}"


def _interval(row: dict, name: str) -> dict:
    return {"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]}


def _marks(axes: Axes, rows: Sequence[tuple[str, dict[str, dict]]], lines: dict[str, base.Line] = MEASURES) -> None:
    """A mark with its interval for each of `lines` that a row (label, {name: value, low, high}) has."""
    axes.axvline(0, color="#777777", linewidth=0.8, linestyle="--")
    offsets = {name: 0.27 * (index - (len(lines) - 1) / 2) for index, name in enumerate(lines)}
    for place, (_, marks) in enumerate(rows):
        for name, mark in marks.items():
            line, y = lines[name], place + offsets[name]
            axes.hlines(y, mark["low"], mark["high"], color=line.colour)
            axes.plot(
                mark["value"],
                y,
                line.marker,
                color=line.colour,
                markersize=3.5,
                label=line.label if place == 0 else None,
            )
    axes.set_yticks(range(len(rows)), [label for label, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", color="#eeeeee", linewidth=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5))
