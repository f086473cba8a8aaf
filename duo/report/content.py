"""What the page of a run and the published pages have in common: verdicts, gains and figures as they are shown."""

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from duo.errors import InputError
from duo.figures import base
from duo.report import sentences
from duo.studies import gain_statistics, joint_statistics
from duo.tables import answers, contrasts, learning, studies, trend
from duo.tables.fields import field
from duo.tables.files import Table
from duo.tables.report import FIGURE
from duo.terms import FIXED, GREEDY, ISOLATED, JOINT, ORACLE, PLACEBO, SHARED, TRUE
from duo.verdicts import BEYOND, BEYOND_LUCK, CLAIMED, HOLDS, LOOKS, NOT_JUDGED, SHOWN, VERDICTS

# The order of the pages; a figure that is not here comes last. By the paper's numbers, then what the paper doesn't
# have. Figure 6 is text, see PASSAGES; the page has it behind figure 5. Figure 7 is one of params figures.patterns.
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
GAIN_FIGURES = (  # of the second part, whether the oracle's gain is real
    "verdicts",
    "gain-split",
    "choosers",
    "null-heat-maps",
    "order-statistics",
    "cross-seed",
    "joint",
    "gap-closed",
    "learning-curves",
    "search",
    "spectrum",
    "synthetic",
)
FIGURES = (*PAPER_FIGURES, *GAIN_FIGURES)
NO_FIGURES = ("headline",)  # figure 4b as far as it goes without routers
# Tables of studies on the page of a run, with their titles, in order; one that is not here comes last.
TABLES = {
    studies.ROUTER_CURVES: "Routers, and the oracle on average over a sequence",
    studies.THREE_WAY_CURVES: "Small, big or skip",
    studies.SCHEDULES: "Budgets that change along the sequence",
    studies.DIFFICULTY_CLASSES: "Loss and gap by kind of token",
    studies.ABLATION_CURVES: "Ablations",
    trend.TREND_POINTS: "The trend over scale, point by point",
    trend.TREND_SLOPES: "Slopes of the trend, per doubling",
    contrasts.CONTRASTS: "The gain on one kind of text less that on another",
    answers.TASK_ACCURACY: "Other people's tasks, by pretrained models as they are",
    answers.ANSWER_CURVES: "Answers that some route makes win",
    studies.ORACLE_STATISTICS: "Statistics of the oracle",
    studies.SKIP_STATISTICS: "Statistics of routes that skip",
    studies.SCHEDULE_STATISTICS: "Statistics of budgets along the sequence",
    studies.DIFFICULTY_STATISTICS: "Statistics of token difficulty",
    studies.ROUTER_STATISTICS: "Statistics of routers",
    studies.ABLATION_STATISTICS: "Statistics of ablations",
    studies.SEED_SPREAD: "Spread over seeds of training",
    studies.GAIN_CURVES: "The oracle's gain taken apart",
    studies.ORDER_STATISTICS: "The Gaussian prediction of the oracle, and the routes' effective number",
    studies.EXTRAPOLATION_CURVES: "The gain of the best of some random routes",
    studies.CROSS_SEED_MEANS: "Routes chosen on one seed of training, scored on another",
    studies.CROSS_SEED: "The same, pair by pair",
    studies.JOINT_CURVES: "Isolated and joint in every context",
    studies.GAP_CLOSED_CURVES: "Routers that learn from the exact losses, and baselines",
    learning.LEARNING_CURVES: "Routers that learn from a few random routes of more tokens",
    studies.SPECTRUM: "Variance of the loss over routes by how many layers interact",
    studies.SPECTRUM_DISTANCES: "The same of pairs of layers, by their distance",
    studies.SHAPLEY: "Shapley values of the layers",
    studies.SYNTHETIC_CLASSES: "The synthetic domain by kind and known difficulty",
    studies.GAIN_STATISTICS: "Statistics of the gain and its selection bias",
    studies.EXCESS_STATISTICS: "Statistics of choices on true labels less those on matched labels",
    studies.EXTRAPOLATION_STATISTICS: "Statistics of what grows with the number of routes tried",
    studies.CROSS_SEED_STATISTICS: "Statistics of choices scored on other seeds or documents",
    studies.JOINT_STATISTICS: "Statistics of isolated and joint losses",
    studies.GAP_CLOSED_STATISTICS: "Statistics of these routers",
    learning.LEARNING_STATISTICS: "Statistics of what routers gain from supervision, and miss",
    studies.SEARCH_STATISTICS: "Statistics of searches",
    studies.SPECTRUM_STATISTICS: "Statistics of additivity",
    studies.SYNTHETIC_STATISTICS: "Statistics of the synthetic domain",
}
# Those that the page shows in another form, or that are of single tokens, cells and evaluations, which figures show.
NO_TABLES = (
    studies.ORACLE_CURVES,
    *(studies.ORACLE_HEAT_MAPS, studies.ORACLE_LAYERS, studies.SKIP_HEAT_MAPS, studies.SKIP_LAYERS),
    *(studies.GAIN_HEAT_MAPS, studies.GAIN_LAYERS, studies.ROUTER_HEAT_MAPS),
    *(studies.SCHEDULE_POSITIONS, studies.DIFFICULTY, studies.DIFFICULTY_HISTOGRAM, studies.SEARCH_CURVES),
)
# Columns of the table of gains in every context (in_contexts), in words.
CONTEXT_COLUMNS = {
    "isolated": "oracle, isolated",
    "joint": "oracle, joint",
    "null": "null, isolated",
    "beyond_null": "oracle less null",
    "foreseen": "foreseen, isolated",
    "foreseen_joint": "foreseen, joint",
}
COLOURED = "figure-6"
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
class JudgedClaim:
    """One claim of the paper, from its rows of CLAIMS."""

    name: str
    words: str
    figure: str  # name of its picture
    judged: dict[str, dict[str, dict]]  # by domain and role: what it was claimed by, whether that is more than luck
    beside: list[dict]  # the placebo, and what is shown

    def verdict(self, domain: str, role: str = CLAIMED) -> str:
        """On a domain; empty where the claim has none of this role."""
        return self.judged.get(domain, {}).get(role, {}).get("verdict", "")

    def rows(self) -> list[dict]:
        """All of them: what judges first."""
        return [*(row for roles in self.judged.values() for row in roles.values()), *self.beside]


@dataclass(frozen=True)
class GainAtBudget:
    """Who could foresee the oracle's gain on one model and domain, at the middle one of its budgets."""

    model: str
    domain: str
    budget: int
    parts: list[dict]  # rows of GAIN_STATISTICS: gain; foreseen, luck and unexplained by who knows most; matched excess
    foreseen: list[dict]  # what each chooser foresees (duo.report.sentences.foreseen)
    best: dict  # the one of these that knows most
    reference: str  # the reference route in words
    sentences: list[str]
    together: list[str]  # the one that says what is left of the gain when all tokens run together, if that was tried
    contexts: list[dict]  # the same in every context, beside luck (in_contexts)
    fixed: dict | None  # what the best route for all tokens gains, if that was asked


def rows(table: pa.Table) -> list[dict]:
    """The table's rows; None stands for no number (nan or infinite)."""

    def shown(value: object) -> object:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return [{name: shown(value) for name, value in row.items()} for row in table.to_pylist()]


def judged(rows: Iterable[dict]) -> list[JudgedClaim]:
    """Rows of CLAIMS by claim, in their order."""
    claims: dict[str, JudgedClaim] = {}
    for row in rows:
        claim = claims.setdefault(row["claim"], JudgedClaim(row["claim"], row["words"], row["figure"], {}, []))
        if row["role"] in (PLACEBO, SHOWN):
            claim.beside.append(row)
        else:
            claim.judged.setdefault(row["domain"], {})[row["role"]] = row
    return list(claims.values())


def tallies(claims: Sequence[JudgedClaim]) -> dict[str, dict[str, int]]:
    """How many verdicts of each kind were given, over claims and domains; by role. On luck, of claims that hold."""
    found, judged = {}, [(claim, domain) for claim in claims for domain in claim.judged]
    for role, kinds in {CLAIMED: (*VERDICTS, NOT_JUDGED), BEYOND: BEYOND_LUCK}.items():
        among = [each for each in judged if role == CLAIMED or each[0].verdict(each[1]) == HOLDS]
        given = [claim.verdict(domain, role) for claim, domain in among]
        found[role] = {kind: given.count(kind) for kind in kinds if kind in given}
    return found


def gains(rows: Iterable[dict], joint: Iterable[dict], windows: int) -> list[GainAtBudget]:
    """What rows of GAIN_STATISTICS say of each model and domain; nothing of one whose budgets leave no choice.

    joint: rows of JOINT_STATISTICS, of so many windows per domain.
    """
    joint = list(joint)
    by_domain: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        by_domain.setdefault((row["model"], row["domain"]), []).append(row)
    shown = []
    for (model, domain), listed in by_domain.items():
        budgets = sorted({row["budget"] for row in listed if (row["family"], row["labels"]) == ("gain", TRUE)})
        if budgets:
            budget = budgets[len(budgets) // 2]
            parts, foreseen = sentences.parts(listed, budget), sentences.foreseen(listed, budget)
            best = next(each for each in foreseen if each["chooser"] == parts[1]["subject"])
            over = gain_statistics.route_words(sentences.reference(listed))
            told = sentences.of_the_gain(listed, domain, budget)
            beside = [row for row in joint if (row["model"], row["domain"]) == (model, domain)]
            left = sentences.together(beside, budget, best["chooser"], windows)
            contexts = in_contexts(beside, budget, best["chooser"])
            told = [*told, *left]
            found = (parts, foreseen, best, over, told, left, contexts, sentences.fixed(listed, budget))
            shown.append(GainAtBudget(model, domain, int(budget), *found))
    return shown


def learning_sentences(rows: Iterable[dict]) -> list[str]:
    """What rows of LEARNING_STATISTICS say of every domain."""
    rows = list(rows)
    return [" ".join(sentences.of_learning(rows, domain)) for domain in sentences.domains(rows)]


def in_contexts(rows: Sequence[dict], budget: float, chooser: str) -> list[dict]:
    """A row for each context of rows of JOINT_STATISTICS of one model and domain: its name, and the statistics at a
    budget of the oracle, isolated and joint, of its null by the chooser, and of what this foresees and can't explain.
    """
    contexts = dict.fromkeys(row["reference"] for row in rows if row["family"] == "null_gain")
    wanted = {
        "isolated": lambda context: joint_statistics.gain(context, ORACLE, ISOLATED, budget),
        "joint": lambda context: joint_statistics.gain(context, ORACLE, JOINT, budget),
        "null": lambda context: joint_statistics.null_gain(context, chooser, budget),
        "beyond_null": lambda context: joint_statistics.beyond_null(context, chooser, budget),
        "foreseen": lambda context: joint_statistics.gain(context, chooser, ISOLATED, budget),
        "foreseen_joint": lambda context: joint_statistics.gain(context, chooser, JOINT, budget),
    }
    found = [
        {"context": context} | {name: sentences.matching(rows, key(context)) for name, key in wanted.items()}
        for context in contexts
    ]
    return [
        {name: each if name == "context" else each[0] for name, each in row.items()} for row in found if row["null"]
    ]


def together(rows: Iterable[dict], windows: int) -> dict[tuple[str, str, int], dict[str, dict]]:
    """Rows of JOINT_CURVES that belong beside the oracle's isolated loss, by model, domain and budget, in words.

    They are of so many windows per domain, fewer than other numbers are of, so the isolated loss there is among them.
    """
    places = {
        (SHARED, ISOLATED): f"oracle, isolated, {windows} windows",
        (SHARED, JOINT): f"oracle, joint, {windows} windows",
        (GREEDY, JOINT): f"oracle, joint in context greedy, {windows} windows",
    }
    found: dict[tuple[str, str, int], dict[str, dict]] = {}
    for row in rows:
        words = places.get((row["context"], row["kind"]))
        if words and row["selection"] == ORACLE:
            found.setdefault((row["model"], row["domain"], row["budget"]), {})[words] = row
    return found


def joint(rows: Iterable[dict]) -> list[dict[str, dict]]:
    """Rows of JOINT_CURVES at the budget where the oracle's isolated loss is lowest, by model, domain and context.

    isolated, joint: the oracle's; fixed: the joint one of the best route for all tokens, where the context has it.
    """
    found: dict[tuple, dict[str, dict]] = {}
    for row in rows:
        if row["selection"] == ORACLE or (row["selection"], row["kind"]) == (FIXED, JOINT):
            kind = row["kind"] if row["selection"] == ORACLE else FIXED
            found.setdefault((row["model"], row["domain"], row["context"], row["budget"]), {})[kind] = row
    best: dict[tuple, dict[str, dict]] = {}
    for key, at_budget in found.items():
        if key[:3] not in best or at_budget[ISOLATED]["loss"] < best[key[:3]][ISOLATED]["loss"]:
            best[key[:3]] = at_budget
    return list(best.values())


def model_words(params: Mapping[str, Any]) -> dict[str, str]:
    """What each model is whose routes were all run, by name: its seed, or the model of which it is a calibration."""
    seeds = {name: f"seed {model['seed']}" for name, model in params["models"].items()}
    seeds |= {name: f"{model}, recalibrated" for name, model in params.get("recalibrated", {}).items()}
    return {name: seeds[name] for name in params["route_losses"]["models"]}


def with_bits(table: pa.Table, bits_per_nat: Mapping[str, float]) -> pa.Table:
    """A table of curves with bits per byte beside its perplexities; any other as it is.

    bits_per_nat: by domain; there is no number for a domain without.
    """
    if not {"domain", "loss", "perplexity"} <= set(table.column_names):
        return table
    per_nat = pa.array([bits_per_nat.get(domain, math.nan) for domain in table["domain"].to_pylist()], pa.float64())
    column = field("bits_per_byte", pa.float64(), "the same loss, for each byte of the text", "bits per byte")
    place = table.column_names.index("perplexity") + 1
    return table.add_column(place, column, pc.multiply(table["loss"], per_nat))


def lowest_together(shown: Mapping[tuple[str, str, int], dict[str, dict]]) -> dict[tuple[str, str], int]:
    """The budget where the first of the rows that `together` gives has the lowest loss, by model and domain."""
    lowest: dict[tuple[str, str], tuple[float, int]] = {}
    for (model, domain, budget), at_budget in shown.items():
        first, *_ = at_budget.values()
        best = lowest.get((model, domain), (math.inf, budget))
        lowest[model, domain] = min(best, (first["loss"], budget))
    return {key: budget for key, (_, budget) in lowest.items()}


def figure_names(patterns: Iterable[str], drawn: Iterable[str] = ()) -> list[str]:
    """Every figure of a run in order: those of FIGURES, and those drawn that nobody listed.

    patterns: the names in params figures.patterns, which follow figure 5.
    """
    index = FIGURES.index("figure-8")
    listed = [*FIGURES[:index], *patterns, *FIGURES[index:]]
    return [*listed, *(name for name in drawn if name not in (*listed, *NO_FIGURES))]


def second_part(names: Sequence[str]) -> list[str]:
    """Of figure_names, those of what the paper doesn't have."""
    return list(names[names.index(PAPER_FIGURES[-1]) + 1 :])


def study_tables() -> dict[Table, str]:
    """Every table of duo.tables.studies that the page of a run shows, with its title, in order."""
    known = [table for table in vars(studies).values() if isinstance(table, Table)]
    return TABLES | {table: _title(table) for table in known if table not in (*TABLES, *NO_TABLES)}


def _title(table: Table) -> str:
    """Words for a table that nobody gave a title, from its place: "new study: curves" of new_study/curves.parquet."""
    folder, *_, name = table.template.removesuffix(".parquet").split("/")
    return f"{folder}: {name}".replace("_", " ").capitalize()


def embed(name: str) -> Embedded:
    """A figure with the title, caption and provenance that duo.figures wrote into its SVG file."""
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
        raise InputError(f"{path}: is missing") from None
    except (ElementTree.ParseError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: damaged, or not a figure of ours ({error})") from None


def environment(folder: str) -> Environment:
    """The templates of a folder beside this module; HTML is escaped, Markdown is not."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / folder),
        autoescape=lambda name: name.endswith(".html.jinja"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {
        "exp": math.exp,
        "log": math.log,
        "rows": rows,
        "signed": signed,
        "key": statistic_key,
        "p": p_value,
    }
    templates.globals |= {"CONTEXT_COLUMNS": CONTEXT_COLUMNS, "LOOKS": LOOKS, "CLAIMED": CLAIMED, "BEYOND": BEYOND}
    templates.globals |= {"intervals": base.intervals, "millions": base.millions}
    return templates


def signed(value: float | None) -> str:
    """A number with its sign and three decimals; nothing where there is none."""
    return "" if value is None else f"{value:+.3f}"


def p_value(value: float | None) -> str:
    """A p-value with two significant digits; nothing where there is none."""
    return "" if value is None else "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def statistic_key(row: Mapping[str, Any]) -> str:
    """The columns that tell a statistic apart, in one line for who looks it up in a table."""
    names = [name for name in ("family", "subject", "reference", "budget", "labels") if row.get(name)]
    return ", ".join(f"{name} {row[name]:g}" if name == "budget" else f"{name} {row[name]}" for name in names)
