"""The answer oracle: how often some route makes the right answer win, and how often a wrong one."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from duo.answer_settings import AnswerSearch
from duo.figures import base
from duo.studies.answers import ALL, DIFFERENCES, MISSED, RIGHT, SAMPLED, TEMPERED, WRONG
from duo.tables.answers import ANSWER_CURVES

WORDS = {
    RIGHT: "the right answer",
    WRONG: "a given wrong answer",
    SAMPLED: "one as likely as the model says",
    TEMPERED: "the same, the model tempered",
}
TITLES = {ALL: "all {} questions", MISSED: "the {} that it misses"}


def pictures(
    figure: str, searches: Mapping[str, AnswerSearch], curves: Mapping[str, pa.Table], confidence: float
) -> Iterator[base.Drawn]:
    """The figure of this name, of these entries of params answers with their ANSWER_CURVES."""
    settings = {name: search.model_dump(exclude_none=True) for name, search in searches.items()}
    inputs = [ANSWER_CURVES.instance(name=name) for name in searches]
    yield base.Drawn(figure, had(searches, curves, confidence), settings | {"confidence": confidence}, inputs)


def had(searches: Mapping[str, AnswerSearch], curves: Mapping[str, pa.Table], confidence: float) -> base.Picture:
    """Shares of questions on which answers can be had against the routes tried, and their differences from the right
    one's; a column for each entry of params answers.
    """
    lines = base.lines(WORDS, WORDS)
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 7.2), layout="constrained")
        panels = figure.subplots(4, len(searches), squeeze=False, sharex="col", sharey="row")
        for column, (name, search) in zip(panels.T, searches.items(), strict=True):
            widest = base.of(curves[name], departures=max(curves[name]["departures"].to_pylist()))
            for questions, above, below in ((ALL, *column[:2]), (MISSED, *column[2:])):
                part = base.of(widest, questions=questions)
                count = part["count"][0].as_py() if len(part) else 0
                above.set_title(f"{search.model}, {search.task}: {TITLES[questions].format(count)}")
                for target, line in lines.items():
                    base.curve(above, line, *_at(part, target, "value"))
                above.set_ylim(-0.02, 1.02)
                base.reference(below, lines[RIGHT], 0)
                for target, difference in DIFFERENCES.items():
                    base.curve(below, lines[target], *_at(part, difference, "value", "low", "high"))
                _scales(above)
                _scales(below)
            column[-1].set_xlabel("routes tried, the model as it is first")
        for row, words in zip(panels, ("can be had", "right one has more") * 2, strict=True):
            row[0].set_ylabel(words)
        base.legend_below(figure, *panels.ravel())
    caption = (
        "Share of questions on which some route tried makes an answer win: gives it the highest log-likelihood of all; "
        "and below each, what the right answer's share has more than another's, on the same questions. The "
        "first route is the model as it is; the others are drawn at random, without replacement, from those that "
        f"{'; '.join(dict.fromkeys(map(_routes, searches.values())))}; means over draws are exact. A given wrong "
        "answer: mean over the wrong ones, of missed questions over those that the model does not give itself. As "
        "likely as the model says: drawn by its own scores, of missed questions among those that it does not give; "
        "tempered: by the temperature that makes the right answers of the other half of the questions likeliest. "
        f"All tokens of a text take the same route. Bands: {base.intervals(confidence, 'questions')}."
    )
    return base.Picture(figure, "Any answer can be had: what a search finds that is told one", caption)


def _at(part: pa.Table, target: str, *names: str) -> list[np.ndarray]:
    """Routes tried, and columns of the target's rows there."""
    return base.columns(base.of(part, target=target).sort_by("tried"), "tried", *names)


def _routes(search: AnswerSearch) -> str:
    """What the routes of a search may do."""
    others = " or ".join(choice for choice in search.choices if choice != "big")
    places = "layers" if search.blocks is None else f"of {search.blocks} blocks of layers"
    most = "any number" if search.departures is None else f"at most {search.departures}"
    return f"{others} ({search.scope}) {most} {places}"


def _scales(axes: Axes) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
