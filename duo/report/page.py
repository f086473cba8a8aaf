"""The page that shows a run, in one file that needs no other: verdicts, numbers, figures, coloured text, tables, data
and params.

In two parts: the paper's experiments, and whether the oracle's gain is real.
"""

import base64
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from xml.etree import ElementTree

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined
from ruamel.yaml import YAML

from duo.errors import InputError
from duo.report import glossary
from duo.tables import files
from duo.tables.report import FIGURE, REPORT

# By the paper's numbers, then what the paper doesn't have. Figure 6 is text, see PASSAGES; the page has it behind
# figure 5. Figure 7 is one of params figures.patterns, see figure_names.
PAPER_FIGURES = (
    "figure-2",
    "figure-2d",
    "skips",
    "figure-three-way",
    "figure-3",
    "figure-4a",
    "figure-4b",
    "figure-4c",
    "figure-5",
    "figure-8",
    "figure-classes",
    "figure-seeds",
    "training",
)
# Of the second part, whether the oracle's gain is real: how much is luck, what is joint, what routers and searches
# get of it.
GAIN_FIGURES = (
    "null",
    "null-heat-maps",
    "corrected-claims",
    "order-statistics",
    "cross-seed",
    "joint",
    "gap-closed",
    "search",
    "spectrum",
    "synthetic",
)
FIGURES = (*PAPER_FIGURES, *GAIN_FIGURES)
COLOURED = "figure-6"
SURVIVES = {
    "survives": "holds",
    "does not": "fails",
    "undecided": "undecided",
}  # verdicts of CORRECTED_CLAIMS, as classes of the style
STRATEGIES = {
    "oracle": "oracle",
    "sequence": "best route of each document",
    "random_token": "best random, each token",
    "mean": "mean of all routes",
    "random_all": "best random, one for all",
    "fixed": "fixed: best, one for all",
}
# Rows of the second part's first table, strategies of gain_artifacts.GAIN_CURVES; any other is ceiling_TEACHER.
GAINS = {
    "all_small": "all layers small",
    "all_big": "all layers big",
    "fixed": "fixed: best, one for all",
    "oracle": "oracle, as claimed",
    "null": "the same on drawn labels",
    "corrected": "oracle, luck taken off",
    "normalised": "oracle as a proper distribution",
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


@dataclass(frozen=True)
class Claim:
    """One claim of the paper: its verdict on each domain, and the rows of artifacts.CLAIMS or CORRECTED_CLAIMS that
    they rest on.
    """

    name: str
    words: str
    figure: str  # name of its picture; of CORRECTED_CLAIMS none
    verdicts: dict[str, str]
    rows: list[dict]


@dataclass(frozen=True)
class Gain:
    """What is left of the oracle's gain on one model and domain, at the budget where it gains most."""

    model: str
    domain: str
    budget: int
    parts: list[dict]  # rows of GAIN_STATISTICS: the gain, what drawn labels give too, what is left
    sentences: list[str]


def rows(table: pa.Table) -> list[dict]:
    """The table's rows; None stands for no number (nan or infinite)."""

    def shown(value: object) -> object:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return [{name: shown(value) for name, value in row.items()} for row in table.to_pylist()]


def claims(rows: Iterable[dict]) -> list[Claim]:
    """Rows of artifacts.CLAIMS or CORRECTED_CLAIMS by claim, in their order."""
    found: dict[str, Claim] = {}
    for row in rows:
        claim = found.setdefault(row["claim"], Claim(row["claim"], row["words"], row.get("figure", ""), {}, []))
        claim.verdicts[row["domain"]] = row["claim_verdict"]
        claim.rows.append(row)
    return list(found.values())


def tally(found: list[Claim], kinds: Iterable[str] = ("holds", "fails", "undecided")) -> dict[str, int]:
    """How many verdicts of each kind, over claims and domains."""
    verdicts = [verdict for claim in found for verdict in claim.verdicts.values()]
    return {kind: verdicts.count(kind) for kind in kinds}


def gains(rows: Iterable[dict]) -> list[Gain]:
    """What rows of gain_artifacts.GAIN_STATISTICS say of each model and domain; nothing of one without a budget that
    leaves a choice.
    """
    by_domain: dict[tuple[str, str], dict[str, dict]] = {}
    for row in rows:
        by_domain.setdefault((row["model"], row["domain"]), {})[row["name"]] = row
    found = []
    for (model, domain), named in by_domain.items():
        at = {int(match[1]): named[name]["value"] for name in named if (match := re.fullmatch(r"gain_(\d+)", name))}
        if at:
            budget = max(at, key=at.get)
            parts = [named[f"{name}_{budget}"] for name in ("gain", "null_gain", "gain-null_gain", "luck")]
            found.append(Gain(model, domain, budget, parts, glossary.gain(domain, budget, named)))
    return found


def joint(rows: Iterable[dict]) -> list[dict[str, dict]]:
    """The oracle's rows of JOINT_CURVES, isolated and joint, where it claims most: one pair a model, domain and
    context.
    """
    pairs: dict[tuple, dict[str, dict]] = {}
    for row in rows:
        if row["selection"] == "oracle":
            pairs.setdefault((row["model"], row["domain"], row["context"], row["budget"]), {})[row["kind"]] = row
    best: dict[tuple, dict[str, dict]] = {}
    for key, pair in pairs.items():
        if key[:3] not in best or pair["isolated"]["loss"] < best[key[:3]]["isolated"]["loss"]:
            best[key[:3]] = pair
    return list(best.values())


def figure_names(patterns: Iterable[str]) -> list[str]:
    """Every figure of a run in order; patterns: the names in params figures.patterns, which follow figure 5."""
    index = FIGURES.index("figure-8")
    return [*FIGURES[:index], *patterns, *FIGURES[index:]]


def embed(name: str) -> Embedded:
    """A figure of artifacts.FIGURE with the title, caption and provenance that duo.figures wrote into it."""
    path = FIGURE.path(name=name, format="svg")
    try:
        content = path.read_bytes()
        words = ElementTree.fromstring(content)
        title, caption, provenance = (
            words.find(f".//{_DUBLIN_CORE}{word}").text for word in ("title", "description", "source")
        )
        uri = "data:image/svg+xml;base64," + base64.b64encode(content).decode()
        return Embedded(name, uri, title, caption, json.loads(provenance))
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; run the stage that makes it") from None
    except (ElementTree.ParseError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path}: damaged, or not a figure of ours ({error}); delete it and run its stage again"
        ) from None


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
    *,
    params: dict,
    verdicts: pa.Table,
    metrics: dict,
    contrasts: pa.Table,
    curves: pa.Table,
    tables: dict[str, pa.Table],
    figures: list[Embedded],
    passages: list[dict],
    numbers: dict[str, dict],
    gain: dict[str, pa.Table],
) -> str:
    """The page as HTML, every text escaped.

    params: the whole experiment. verdicts, metrics, contrasts, curves and passages as artifacts.CLAIMS,
    ORACLE_METRICS, ORACLE_STATISTICS, ORACLE_CURVES and PASSAGES. tables: what else to show, by title; their schemas
    say what columns mean. numbers: nested dicts of numbers, by title. gain: what the second part begins with:
    GAIN_STATISTICS, GAIN_CURVES, CORRECTED_CLAIMS and JOINT_CURVES as statistics, curves, survival and contexts.
    """
    main = params["route_losses"]["models"][0]
    grids = {model: {domain: _grid(curves, model, domain) for domain in domains} for model, domains in metrics.items()}
    best = {domain: numbers["oracle_budget"] for domain, numbers in metrics[main].items()}
    found = claims(rows(verdicts))
    survived = claims(rows(gain["corrected_claims"]))
    left = gains(rows(gain["statistics"]))
    template = environment().get_template("report.html.jinja")
    return template.render(
        params=params,
        params_text=_yaml(params),
        claims=found,
        tally=tally(found),
        main=main,
        metrics=metrics,
        headline=_headline(grids[main], best, params["model"]["layers"]),
        contrasts={domain: _contrasts(contrasts, main, domain) for domain in metrics[main]},
        curves=grids,
        strategies=STRATEGIES,
        tables=tables,
        figures=figures,
        coloured=COLOURED,
        passages=passages,
        scales=_scales(passages),
        sources=sources(params["corpus"]),
        numbers={title: list(flatten(values)) for title, values in numbers.items()},
        gains=left,
        apart=_apart(gain["curves"], [each for each in left if each.model == main]),
        survival=survived,
        survived=tally(survived, SURVIVES),
        survives=SURVIVES,
        joint=joint(rows(gain["joint"])),
        gain_figures=GAIN_FIGURES,
    )


def environment() -> Environment:
    """Our templates; HTML is escaped, Markdown is not."""
    found = Environment(
        loader=PackageLoader("duo.report"),
        autoescape=lambda name: name.endswith(".html.jinja"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {
        "exp": math.exp,
        "statistic": glossary.statistic,
        "meaning": _meaning,
        "alignment": _alignment,
        "rows": rows,
        "signed": signed,
    }
    return found


def signed(value: float | None) -> str:
    """A number with its sign and three decimals; nothing where there is none."""
    return "" if value is None else f"{value:+.3f}"


def write(html: str) -> None:
    """Write artifacts.REPORT."""
    with files.atomic(REPORT.path()) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _contrasts(contrasts: pa.Table, model: str, domain: str) -> dict[str, dict]:
    """One domain's contrasts by name."""
    return {row["name"]: row for row in rows(contrasts) if (row["model"], row["domain"]) == (model, domain)}


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


def _grid(curves: pa.Table, model: str, domain: str) -> dict[int, dict[str, dict]]:
    """Rows of one model's and domain's curves by budget and strategy."""
    grid: dict[int, dict[str, dict]] = {}
    for row in rows(curves):
        if (row["model"], row["domain"]) == (model, domain):
            grid.setdefault(row["budget"], {})[row["strategy"]] = row
    return grid


def _apart(curves: pa.Table, found: list[Gain]) -> list[tuple[str, list[dict]]]:
    """(words, a row of GAIN_CURVES for each of `found`) of every strategy, at the budget there or, where it has one
    alone, at that.
    """
    grids = [_grid(curves, each.model, each.domain) for each in found]
    by_strategy: dict[str, list[dict]] = {}
    for each, grid in zip(found, grids, strict=True):
        anywhere = {strategy: row for at in grid.values() for strategy, row in at.items()}
        for strategy, row in (anywhere | grid[each.budget]).items():
            by_strategy.setdefault(strategy, []).append(row)
    ceilings = {
        name: f"best route without the label, by {name.removeprefix('ceiling_')}"
        for name in by_strategy
        if name not in GAINS
    }
    return [(words, by_strategy[name]) for name, words in (GAINS | ceilings).items() if name in by_strategy]


def _scales(passages: list[dict]) -> dict[str, float]:
    """The darkest colour's loss and gap, in nats: one scale for all passages, from zero."""
    found = [token for passage in passages for token in passage["tokens"]]
    return {key: max([token[key] for token in found] + [1e-9]) for key in ("loss", "gap")}


def _meaning(field: pa.Field) -> str:
    """What a column of one of our tables means, with its unit."""
    words = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    return ", ".join(words[key] for key in ("meaning", "unit") if key in words)


def _alignment(field: pa.Field) -> str:
    """The style's class of a column: words stand left, numbers right."""
    return "words" if pa.types.is_string(field.type) else "numbers"


def _yaml(value: dict) -> str:
    text = StringIO()
    YAML(typ="safe", pure=True).dump(value, text)
    return text.getvalue()
