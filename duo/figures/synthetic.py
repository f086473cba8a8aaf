"""The domain of known difficulty: loss and gaps by difficulty, and how well each recovers it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from duo.data import synthetic
from duo.figures import base
from duo.routes import route_name
from duo.settings import SampledLabels
from duo.studies.gain_statistics import route_words
from duo.tables.studies import SYNTHETIC_CLASSES, SYNTHETIC_STATISTICS

# Columns of SYNTHETIC_CLASSES that are drawn, with their names in base.LINES.
_LOSSES = {"all_small": "loss"}
_GAPS = {name: name for name in ("gap", "selection_bias", "known_bias", "corrected_gap")}
_OF_THE_TEXT = ("parameters", "training_tokens", "bits_per_nat")  # of the setting, not of this domain and its model
_KNOWN = {"difficulty": "difficulty,\nall tokens", "carry": "carry,\ndigits of sums", "entropy": "entropy,\nall tokens"}


def pictures(
    setting: base.Setting, documents: int, tokens: int, budget: int, null: SampledLabels
) -> Iterator[base.Drawn]:
    """The figure of the synthetic domain, which has documents and a model of its own."""
    setting = replace(setting, model=synthetic.NAME, documents=documents, tokens=tokens)
    picture = recovery(SYNTHETIC_CLASSES.read(), SYNTHETIC_STATISTICS.read(), budget, null, setting)
    used = setting.used("random_routes", *_OF_THE_TEXT, budget=budget, reference=null.reference)
    yield base.Drawn("synthetic", picture, used, [SYNTHETIC_CLASSES, SYNTHETIC_STATISTICS])


def recovery(
    classes: pa.Table, statistics: pa.Table, budget: int, null: SampledLabels, setting: base.Setting
) -> base.Picture:
    """SYNTHETIC_CLASSES and SYNTHETIC_STATISTICS; documents and tokens of the setting are the synthetic sample's."""
    correlations = base.of(statistics, family="rank_correlation")
    alarms = base.of(statistics, family="false_alarms")
    lines = base.lines(correlations["subject"].unique().to_pylist())
    known = correlations["reference"].unique().to_pylist()
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 4.6), layout="constrained")
        mosaic = [["losses", "gaps", "ranks"], ["losses", "gaps", "alarms"]]
        panels = figure.subplot_mosaic(mosaic, height_ratios=[3, 1])
        _means(panels["losses"], panels["gaps"], classes)
        by_known = [(_KNOWN.get(name, name), _by_measure(base.of(correlations, reference=name))) for name in known]
        _marks(panels["ranks"], by_known, lines)
        panels["ranks"].set_title("is it recovered?")
        panels["ranks"].set_xlabel("rank correlation")
        _marks(panels["alarms"], [("noise", _by_measure(alarms))], lines)
        panels["alarms"].set_title("false alarms")
        panels["alarms"].set_xlabel("share of noise tokens")
        panels["alarms"].set_xlim(-0.03, 1.03)
        base.legend_below(figure, *(panels[name] for name in ("losses", "gaps", "ranks", "alarms")))
    reference = route_words(route_name(null.reference))
    caption = (
        "Made-up sequences of copies, sums with carries and noise, and a model trained on them alone. Left: mean loss "
        "with all layers small; the black line is the entropy that no mean loss can be below; how many tokens in "
        "brackets; columns are those that must be read beside a digit's own to know its carry. Middle: gap, that loss "
        f"less the oracle's at {budget} of {setting.layers} big; selection bias, what the oracle gains over the route "
        f"that the model's own prediction, with {reference}, expects to be best, if labels come as it says; the true "
        "one, where they come as they are known to; corrected gap, the gap "
        "without it. Right: Spearman's correlation of each measure with what is known; below, the share of noise, "
        "which nothing helps to predict, where a measure is at least its median over the tokens that something must be "
        f"looked up for. Held out: {setting.documents} sequences of {setting.tokens} tokens. "
        f"{base.constraint(setting)} Horizontal lines: {base.intervals(setting.confidence, 'sequences')}."
    )
    return base.Picture(figure, "Is difficulty that is known by construction recovered?", caption)


def _by_measure(statistics: pa.Table) -> dict[str, dict]:
    """Rows of SYNTHETIC_STATISTICS by whose they are."""
    return {row["subject"]: row for row in statistics.to_pylist()}


def _means(losses: Axes, gaps: Axes, classes: pa.Table) -> None:
    """Means of every kind and difficulty, one below the other, in the order of synthetic.KINDS: losses, and gaps
    beside them.
    """
    rows = sorted(classes.to_pylist(), key=lambda row: (synthetic.KINDS.index(row["kind"]), row["difficulty"]))
    labels = [f"{_words(row)} ({row['tokens']:,})" for row in rows]
    for axes, columns in ((losses, _LOSSES), (gaps, _GAPS)):
        marks = [{name: _interval(row, column) for column, name in columns.items()} for row in rows]
        _marks(axes, list(zip(labels, marks, strict=True)), base.lines(columns.values()))
        axes.set_xlabel("nats per token")
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


def _interval(row: dict, column: str) -> dict:
    return {"value": row[column], "low": row[f"{column}_low"], "high": row[f"{column}_high"]}


def _marks(axes: Axes, rows: Sequence[tuple[str, dict[str, dict]]], lines: Mapping[str, base.Line]) -> None:
    """A mark with its interval for each of `lines` that a row (label, {name: value, low, high}) has."""
    axes.axvline(0, color="#777777", linewidth=0.8, linestyle="--")
    spacing = min(0.27, 0.81 / len(lines))
    offsets = {name: spacing * (index - (len(lines) - 1) / 2) for index, name in enumerate(lines)}
    for place, (_, marks) in enumerate(rows):
        for name, mark in marks.items():
            line, y = lines[name], place + offsets[name]
            axes.hlines(y, mark["low"], mark["high"], color=line.colour)
            label = line.label if place == 0 else None
            axes.plot(mark["value"], y, line.marker, color=line.colour, markersize=3.5, label=label)
    axes.set_yticks(range(len(rows)), [label for label, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", color="#eeeeee", linewidth=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5))
