"""The page that shows a run, in one file that needs no other: verdicts, numbers, figures, coloured text, tables, data.

In two parts: the paper's experiments, and whether the oracle's gain is real.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pyarrow as pa
from ruamel.yaml import YAML

from duo import scale
from duo.data import splits
from duo.figures.base import LINES
from duo.report import answers, content, glossary
from duo.report.content import COLOURED, Embedded, GainAtBudget, rows
from duo.report.pretrained import PretrainedPart
from duo.studies.gain_statistics import FORESEEN, NULL, chooser_words, route_words
from duo.studies.oracle_curves import BEST_BUDGET
from duo.tables import files
from duo.tables.answers import ANSWER_CURVES
from duo.tables.report import REPORT
from duo.terms import FIXED, RANDOM_ALL, STRATEGIES
from duo.training import variants

FEW = 16  # windows of a domain: intervals by the bootstrap over so few clusters are too narrow
ANSWERS = content.TABLES[ANSWER_CURVES]
# Rows of the second part's first table, by strategy of GAIN_CURVES; a ceiling's has its teacher, any other its name.
GAINS = {
    "all_small": "all layers small",
    "all_big": "all layers big",
    "fixed": "fixed: best, one for all",
    "oracle": "oracle, isolated",
    "normalised": "oracle as a proper distribution",
}


@dataclass(frozen=True)
class Source:
    """One attribution and licence of a domain's text, and the names it covers."""

    domain: str
    names: list[str]
    licence: str
    attribution: str


def sources(corpus: Mapping[str, Mapping[str, Any]]) -> list[Source]:
    """Who made the text and under which licence, from params corpus; wheels with the same words share an entry."""
    listed: dict[tuple, Source] = {}
    for domain, settings in corpus.items():
        for item in settings.get("wheels", [settings]):
            key = (domain, item["licence"], item["attribution"])
            listed.setdefault(key, Source(domain, [], item["licence"], item["attribution"])).names.extend(_names(item))
    return list(listed.values())


def _names(source: Mapping[str, Any]) -> list[str]:
    """What a wheel, a data set or files are called."""
    if "glob" in source:
        return [glob for each in splits.globs(source["glob"]).values() for glob in each]
    return [source["path"] if "path" in source else f"{source['name']} {source['version']}"]


def flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """(dotted.key, value) of every leaf of a nested dict."""
    for key, item in value.items():
        if isinstance(item, dict):
            yield from flatten(item, f"{prefix}{key}.")
        else:
            yield prefix + key, item


def render(
    *,
    params: dict,
    verdicts: pa.Table,
    metrics: dict,
    statistics: pa.Table,
    curves: pa.Table,
    tables: dict[str, pa.Table],
    figures: list[Embedded],
    passages: list[dict],
    numbers: dict[str, dict],
    gain: dict[str, pa.Table],
    pretrained: Sequence[PretrainedPart] = (),
    parameters: int,
    evaluation: dict[str, dict],
) -> str:
    """The page as HTML, every text escaped.

    params: the whole experiment. verdicts, metrics, statistics, curves and passages as CLAIMS, ORACLE_METRICS,
    ORACLE_STATISTICS, ORACLE_CURVES and PASSAGES. tables: what else to show, by title; their schemas say what columns
    mean. numbers: nested dicts of numbers, by title. gain: what the second part begins with: GAIN_STATISTICS,
    GAIN_CURVES, JOINT_CURVES, JOINT_STATISTICS and LEARNING_STATISTICS as statistics, curves, joint, joint_statistics
    and learning. pretrained: what is said of each entry of params pretrained_routes. parameters: how many the models
    have; evaluation: EVALUATION_SET_METRICS of the windows that all is scored on.
    """
    main = params["route_losses"]["models"][0]
    grids = {model: {domain: _grid(curves, model, domain) for domain in domains} for model, domains in metrics.items()}
    best = {domain: shown["oracle_budget"] for domain, shown in metrics[main].items()}
    claims = content.judged(rows(verdicts))
    bits = scale.bits_per_nat(evaluation)
    windows = params["joint"]["documents"]
    gains = content.gains(rows(gain["statistics"]), rows(gain["joint_statistics"]), windows)
    studied = [each for each in gains if each.model == main]
    together = content.together(rows(gain["joint"]), windows)
    for (model, domain, budget), shown in together.items():
        grids[model][domain].get(budget, {}).update(shown)
    beside = list(dict.fromkeys(words for shown in together.values() for words in shown))
    lowest = {domain: budget for (_, domain), budget in content.lowest_together(together).items()}
    second_part = content.second_part([figure.name for figure in figures])
    templates = content.environment("templates")
    templates.filters |= {"meaning": _meaning, "alignment": _alignment}
    return templates.get_template("report.html.jinja").render(
        params=params,
        few=params["evaluation_set"]["documents"] < FEW,
        params_text=_yaml(params),
        claims=claims,
        tallies=content.tallies(claims),
        main=main,
        metrics=metrics,
        headline=_headline(grids[main], best, lowest, beside, params["model"]["layers"]),
        best_budgets=[_best_budget(statistics, main, domain) for domain in metrics[main]],
        curves=grids,
        strategies=_strategies(curves) | {words: words for words in beside},
        tables={title: content.with_bits(table, bits) for title, table in tables.items()},
        parameters=parameters,
        bits_per_nat=bits,
        models=content.model_words(params),
        seeds=len(variants.as_trained(params["route_losses"]["models"], params.get("recalibrated", {}))),
        figures=figures,
        coloured=COLOURED,
        passages=passages,
        scales=_scales(passages),
        sources=sources(params["corpus"]),
        numbers={title: list(flatten(values)) for title, values in numbers.items()},
        gains=gains,
        apart=[*_apart(gain["curves"], studied), *_left(together, studied)],
        joint=content.joint(rows(gain["joint"])),
        learned=content.learning_sentences(rows(gain["learning"])),
        answered=answers.sentences(rows(tables[ANSWERS])) if ANSWERS in tables else [],
        gain_figures=[name for name in second_part if not any(name in each.figures for each in pretrained)],
        second_part=second_part,
        pretrained=pretrained,
        glossary=glossary.TERMS,
    )


def write(html: str) -> None:
    """Write the report."""
    with files.atomic(REPORT.path()) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _strategies(curves: pa.Table) -> dict[str, str]:
    """Every strategy of the curves, with its words: those of the figures, or for one of the user's own what it says."""
    words = dict(zip(*(curves[column].to_pylist() for column in ("strategy", "words")), strict=True))
    known = (*STRATEGIES, RANDOM_ALL, FIXED)
    return {name: LINES[name].label if name in known else own for name, own in words.items()}


def _best_budget(statistics: pa.Table, model: str, domain: str) -> dict[str, Any]:
    """The oracle's best budget with its interval."""
    return next(
        row
        for row in rows(statistics)
        if (row["model"], row["domain"], row["family"]) == (model, domain, BEST_BUDGET.family)
    )


def _headline(
    grids: dict[str, dict], best: dict[str, int], lowest: dict[str, int], beside: Sequence[str], layers: int
) -> list[tuple[str, list[dict]]]:
    """(words, a row of the curves for every domain) of the budgets that were run.

    best: the oracle's best budget by domain; lowest: that of those that were run jointly; beside: what the grids have
    of the oracle there.
    """
    wanted = [
        ("all layers small", "mean", dict.fromkeys(grids, 0)),
        ("one big layer: fixed", "fixed", dict.fromkeys(grids, 1)),
        ("one big layer: best random route for all tokens", "random_all", dict.fromkeys(grids, 1)),
        ("one big layer: oracle, isolated", "oracle", dict.fromkeys(grids, 1)),
        *((f"one big layer: {words}", words, dict.fromkeys(grids, 1)) for words in beside),
        ("at the best budget: oracle, isolated", "oracle", best),
        ("at the best budget: fixed", "fixed", best),
        *((f"at the best of the budgets run jointly: {words}", words, lowest) for words in beside),
        ("all layers big", "mean", dict.fromkeys(grids, layers)),
    ]
    return [
        (words, [grids[domain][budget][strategy] for domain, budget in budgets.items()])
        for words, strategy, budgets in wanted
        if all(strategy in grids[domain].get(budget, {}) for domain, budget in budgets.items())
    ]


def _grid(curves: pa.Table, model: str, domain: str) -> dict[int, dict[str, dict]]:
    """Rows of one model's and domain's curves by budget and strategy."""
    grid: dict[int, dict[str, dict]] = {}
    for row in rows(curves):
        if (row["model"], row["domain"]) == (model, domain):
            grid.setdefault(row["budget"], {})[row["strategy"]] = row
    return grid


def _apart(curves: pa.Table, gains: Sequence[GainAtBudget]) -> list[tuple[str, list[dict]]]:
    """(words, a row of GAIN_CURVES for each of `gains`) of every strategy, at the budget there or, where it has one
    alone, at that.
    """
    by_words: dict[str, list[dict]] = {}
    for each in gains:
        own = [row for row in rows(curves) if (row["model"], row["domain"]) == (each.model, each.domain)]
        anywhere = {_gain_words(row): row for row in own}
        there = {_gain_words(row): row for row in own if row["budget"] == each.budget}
        for words, row in (anywhere | there).items():
            by_words.setdefault(words, []).append(row)
    order = [*GAINS.values()]
    return sorted(by_words.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))


def _left(
    together: Mapping[tuple[str, str, int], dict[str, dict]], gains: Sequence[GainAtBudget]
) -> list[tuple[str, list[dict]]]:
    """(words, a row for each of `gains`) of what stands beside the oracle's isolated loss, at the budget there."""
    shown = [together.get((each.model, each.domain, each.budget), {}) for each in gains]
    words = dict.fromkeys(word for at_budget in shown for word in at_budget)
    return [(word, [at_budget[word] for at_budget in shown]) for word in words if all(word in each for each in shown)]


def _gain_words(row: Mapping[str, Any]) -> str:
    if row["chooser"]:
        words = {FORESEEN: "routes that {} expects to be best", NULL: "oracle, if labels came as {} says"}[
            row["strategy"]
        ]
        return words.format(chooser_words(row["chooser"]))
    return GAINS.get(row["strategy"]) or route_words(row["strategy"])


def _scales(passages: Iterable[dict]) -> dict[str, float]:
    """The darkest colour's loss and gap, in nats: one scale for all passages, from zero."""
    tokens = [token for passage in passages for token in passage["tokens"]]
    return {key: max([token[key] for token in tokens] + [1e-9]) for key in ("loss", "gap")}


def _meaning(field: pa.Field) -> str:
    """What a column of one of our tables means, with its unit."""
    words = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    return ", ".join(words[key] for key in ("meaning", "unit") if key in words)


def _alignment(field: pa.Field) -> str:
    """The style's class of a column: words stand left, numbers right."""
    return "words" if pa.types.is_string(field.type) else "numbers"


def _yaml(value: dict) -> str:
    text, writer = StringIO(), YAML(typ="safe", pure=True)
    writer.default_flow_style = False  # in braces a value with a colon would have no quotes, and couldn't be read again
    writer.dump(value, text)
    return text.getvalue()
