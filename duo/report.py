"""The page that shows a run: headline numbers, figures, tables, data and params, in one file that needs no other."""

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO
from xml.etree import ElementTree

import pyarrow as pa
from jinja2 import Environment, StrictUndefined
from ruamel.yaml import YAML

from duo import artifacts
from duo.errors import InputError

BEST_BUDGET = "the oracle's best budget"
# What each of artifacts.CONTRASTS means; those whose name holds a budget are worded by _wording.
CONTRASTS = {
    "oracle_budget": BEST_BUDGET,
    "oracle_1-all_big": "oracle with one big layer, less all layers big",
    "oracle-all_big": "oracle at its best budget, less all layers big",
    "oracle-random_all": "oracle at its best budget, less the best random route for all tokens there",
    "oracle-random_token": "oracle at its best budget, less the best random routes drawn for each token there",
    "oracle-fixed": "oracle at its best budget, less the best fixed route there",
    "fixed_1-all_big": "best fixed route with one big layer, less all layers big",
}
STRATEGIES = {
    "oracle": "oracle",
    "sequence": "best route of each document",
    "random_token": "best random, each token",
    "mean": "mean of all routes",
    "random_all": "best random, one for all",
    "fixed": "fixed: best, one for all",
}
_DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"


@dataclass(frozen=True)
class Embedded:
    """A figure as the page needs it: a data URI, and the words that the file carries."""

    name: str
    uri: str
    title: str
    caption: str
    provenance: dict


@dataclass(frozen=True)
class Source:
    """One attribution and licence of a domain's text, and the names it covers."""

    domain: str
    names: list[str]
    licence: str
    attribution: str


def embed(name: str) -> Embedded:
    """A figure of artifacts.FIGURE with the title, caption and provenance that duo.figures wrote into it."""
    path = artifacts.FIGURE.path(name=name, format="svg")
    try:
        content = path.read_bytes()
        words = ElementTree.fromstring(content)
        title, caption, provenance = (words.find(f".//{_DUBLIN_CORE}{word}").text for word in ("title", "description", "source"))
        uri = "data:image/svg+xml;base64," + base64.b64encode(content).decode()
        return Embedded(name, uri, title, caption, json.loads(provenance))
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; run the stage that makes it") from None
    except (ElementTree.ParseError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: damaged, or not a figure of ours ({error}); delete it and run its stage again") from None


def sources(corpus: dict[str, dict]) -> list[Source]:
    """Who made the text and under which licence, from params corpus; wheels with the same words share an entry."""
    found: dict[tuple, Source] = {}
    for domain, settings in corpus.items():
        for item in settings.get("wheels", [settings]):
            name = f"{item['name']} {item['version']}" if "wheels" in settings else item.get("path") or item["glob"]
            key = (domain, item["licence"], item["attribution"])
            found.setdefault(key, Source(domain, [], item["licence"], item["attribution"])).names.append(name)
    return list(found.values())


def flatten(value: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """(dotted.key, value) of every leaf of a nested dict."""
    for key, item in value.items():
        if isinstance(item, dict):
            yield from flatten(item, f"{prefix}{key}.")
        else:
            yield prefix + key, item


def render(
    params: dict, metrics: dict, contrasts: pa.Table, curves: pa.Table, figures: list[Embedded], tokens: dict, training: dict
) -> str:
    """The page as HTML.

    params: the whole experiment. metrics, contrasts, curves, tokens and training as artifacts.METRICS, CONTRASTS, CURVES, TOKEN_METRICS and
    PRETRAIN_METRICS. Every text is escaped.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["exp"] = math.exp
    template = environment.from_string(files("duo").joinpath("report.html.jinja").read_text(encoding="utf-8"))
    grids = {domain: _grid(curves, domain) for domain in metrics}
    return template.render(
        params=params,
        params_text=_yaml(params),
        metrics=metrics,
        headline=_headline(grids, {domain: numbers["oracle_budget"] for domain, numbers in metrics.items()}, params["model"]["layers"]),
        contrasts={domain: _contrasts(contrasts, domain) for domain in metrics},
        curves=grids,
        strategies=STRATEGIES,
        best_budget=BEST_BUDGET,
        figures=figures,
        sources=sources(params["corpus"]),
        tokens=list(flatten(tokens)),
        training=list(flatten(training)),
    )


def write(html: str) -> None:
    """Write artifacts.REPORT."""
    with artifacts.atomic(artifacts.REPORT.path()) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _contrasts(contrasts: pa.Table, domain: str) -> dict[str, dict]:
    """One domain's contrasts: {words: row}; the oracle's best budget comes first."""
    return {_wording(row["name"]): row for row in contrasts.to_pylist() if row["domain"] == domain}


def _wording(contrast: str) -> str:
    if contrast.startswith("lean_"):
        budget = contrast.removeprefix("lean_")
        return f"lean of the oracle at budget {budget}: share of big in the upper half of the layers, less the lower half"
    return CONTRASTS[contrast]


def _headline(grids: dict[str, dict], best: dict[str, int], layers: int) -> list[tuple[str, list[dict]]]:
    """(words, a row of the curves for every domain) of the budgets that were run."""
    wanted = [
        ("all layers small", "mean", dict.fromkeys(grids, 0)),
        ("one big layer: fixed", "fixed", dict.fromkeys(grids, 1)),
        ("one big layer: best random route for all tokens", "random_all", dict.fromkeys(grids, 1)),
        ("one big layer: oracle", "oracle", dict.fromkeys(grids, 1)),
        ("oracle at its best budget", "oracle", best),
        ("fixed at that budget", "fixed", best),
        ("all layers big", "mean", dict.fromkeys(grids, layers)),
    ]
    return [
        (words, [grids[domain][budget][strategy] for domain, budget in budgets.items()])
        for words, strategy, budgets in wanted
        if all(budget in grids[domain] for domain, budget in budgets.items())
    ]


def _grid(curves: pa.Table, domain: str) -> dict[int, dict[str, dict]]:
    """Rows of one domain's curves by budget and strategy."""
    grid: dict[int, dict[str, dict]] = {}
    for row in curves.to_pylist():
        if row["domain"] == domain:
            grid.setdefault(row["budget"], {})[row["strategy"]] = row
    return grid


def _yaml(value: dict) -> str:
    text = StringIO()
    YAML(typ="safe", pure=True).dump(value, text)
    return text.getvalue()
