"""What a report is made of, made up: two models, two domains, hostile words and a picture."""

import base64
from dataclasses import asdict
from itertools import product
from math import exp

import numpy as np
import pyarrow as pa
from made_up import LAYERS, SPACE, noise, selected, tabled

from duo.report import content
from duo.routes import RouteSpace
from duo.stats import Intervals, Statistic
from duo.studies import difficulty, learning_curves, oracle_curves
from duo.studies import gain_statistics as gains
from duo.studies import joint_statistics as joint_gains
from duo.studies.answers import AnswerOracle
from duo.studies.learning_curves import LearnedLoss
from duo.tables.answers import ANSWER_CURVES
from duo.tables.learning import LEARNING_STATISTICS
from duo.tables.report import CLAIMS
from duo.tables.studies import (
    GAIN_CURVES,
    GAIN_STATISTICS,
    JOINT_CURVES,
    JOINT_STATISTICS,
    ORACLE_CURVES,
    ORACLE_STATISTICS,
    SEED_SPREAD,
)
from workflow.studies import as_table

HOSTILE = "<script>alert('x') & more</script>"
FIGURES = content.figure_names(["figure-7"])
MODELS = {"duo": 1, "seed-2": 2}
PICTURE = "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='20'><rect width='40' height='20'/></svg>"
TEXTS = ["def", " f", "(", HOSTILE, "):", "\n", "    return", " 'a  b'", "\n\n", "", "\tx"]


def params() -> dict:
    wheels = [{"name": name, "version": "1.0", "licence": "MIT", "attribution": HOSTILE} for name in ("one", "two")]
    return {
        "model": {"layers": LAYERS, "width": 8},
        "models": {model: {"seed": seed} for model, seed in MODELS.items()},
        "pretrain": {"tokens": 4_200_000},
        "oracle": {"random_routes": 7},
        "route_losses": {"models": list(MODELS)},
        "evaluation_set": {"documents": 4, "tokens": 6},
        "bootstrap": {"confidence": 0.9, "resamples": 200},
        "difficulty": {"budget": 2},
        "joint": {"reference": "all_big", "documents": 4},
        "corpus": {
            "text": {"wheels": wheels},
            "code": {"glob": "texts/*.txt", "licence": "CC0-1.0", "attribution": "nobody"},
        },
    }


def evaluated() -> list[tuple[oracle_curves.OracleCurves, Intervals]]:
    """Every model's domains with their intervals, at some budgets."""
    tables: dict[int, tuple[pa.Table, pa.Table]] = {}
    for model in MODELS:
        for budget, pair in selected(noise(documents=4), [1, 2, LAYERS], model).items():
            before = tables.get(budget)
            tables[budget] = tuple(map(pa.concat_tables, zip(before, pair, strict=True))) if before else pair
    return [(study, study.intervals(200, 0.9, seed=1)) for study in oracle_curves.gather(tables, SPACE)]


def claims() -> pa.Table:
    """CLAIMS with each verdict, two seeds, what stands beside, and a statistic that a domain doesn't have."""
    rows = []
    for (claim, figure, statistic, estimate), domain in product(
        (
            ("C1", "figure-4a", oracle_curves.random_gap(), 0.75),
            ("C2", "figure-4b", oracle_curves.lowest_at_half(), 0.25),
            ("C16", content.COLOURED, difficulty.LINE_STARTS, float("nan")),
        ),
        ("text", "code"),
    ):
        about = {
            "claim": claim,
            "words": f"words of {claim} | {HOSTILE}",
            "figure": figure,
            "link": "",
            "domain": domain,
        }
        about |= {"models": "duo, seed-2", "seeds": "1, 2", "clusters": 24, "error": 0.03125, "seed_error": 0.015625}
        about |= {"kind": "effect", "delta": 0.5, "supports": "> 0.5", "p": 0.0125}
        verdict = {"C1": "holds", "C2": "fails"}.get(claim, "not applicable")
        luck = {"C1": "more than luck", "C2": "too little foreseen"}.get(claim, "not applicable")
        missing = {"p": float("nan"), "clusters": 0, "seeds": ""} if claim == "C16" else {}
        rows.append(about | _judged(statistic, "claimed", estimate, verdict) | missing)
        rows.append(about | _judged(statistic.of("excess", "on luck"), "beyond luck", estimate - 0.25, luck) | missing)
        if claim == "C2":
            rows.append(about | _judged(statistic.of("placebo", "placebo"), "placebo", 0.0, "like luck"))
            beside = _judged(oracle_curves.BEST_BUDGET, "shown", 2.0, "")
            rows.append(about | beside | {"kind": "", "supports": "", "delta": float("nan"), "p": float("nan")})
    return pa.Table.from_pylist(rows, schema=CLAIMS.schema)


def _judged(statistic: Statistic, role: str, estimate: float, verdict: str) -> dict:
    ends = {"low": estimate - 0.0625, "high": estimate + 0.0625}
    ends |= {"seed_low": estimate - 0.03125, "seed_high": estimate + 0.03125}
    names = {name: value for name, value in asdict(statistic).items() if name != "words"}
    return names | ends | {"role": role, "statistic": statistic.words, "estimate": estimate, "verdict": verdict}


def gain() -> dict[str, pa.Table]:
    """GAIN_STATISTICS of two models with two choosers, GAIN_CURVES, and JOINT_CURVES, JOINT_STATISTICS and
    LEARNING_STATISTICS of one.

    On text the stack foresees a quarter of a gain of 1, luck is half of it, and a quarter is not explained; on code
    nothing is foreseen that an interval tells from 0, and luck is all.
    """
    losses = {
        ("oracle", ""): {1: 2.25, 2: 2.0},
        ("foreseen", "own"): {1: 3.0, 2: 3.0},
        ("null", "own"): {1: 2.5, 2: 2.375},
        ("all_big", ""): {LAYERS: 3.0},
    }
    statistics, curves, contexts = [], [], []
    for model, domain in product(MODELS, ("text", "code")):
        ids = {"model": model, "domain": domain}
        foresees, lucky = (0.25, 0.5) if domain == "text" else (0.03125, 0.96875)  # shares of the gain
        values = {}
        for chooser, entropy in (("own", 3.0), ("stack", 2.75)):
            values |= {gains.cross_entropy(chooser): entropy, gains.calibration(chooser): -0.5}
        for k in (1, 2):
            gain = 3 - losses["oracle", ""][k]
            values |= {
                gains.gain("all_big", k): gain,
                gains.matched_excess("all_big", k): 0.25 if domain == "text" else 0.0,
                gains.difference("normalised", "all_big", k): 0.5,
                gains.difference("fixed", "all_big", k): 0.125,
            }
            for chooser, share in (("own", 0.0), ("stack", foresees)):
                values |= {
                    gains.foreseeable(chooser, "all_big", k): gain * share,
                    gains.share_foreseeable(chooser, k): share,
                    gains.luck(chooser, k): gain * lucky,
                    gains.unexplained(chooser, k): gain * (1 - share - lucky),
                }
        statistics += [ids | asdict(statistic) | _ends("value", value) for statistic, value in values.items()]
        for (strategy, chooser), at in losses.items():
            row = ids | {"strategy": strategy, "chooser": chooser}
            curves += [row | {"budget": budget} | _loss(loss) for budget, loss in at.items()]
    for domain, context, budget in product(("text", "code"), ("shared", "greedy"), (1, 2)):
        ids = {
            "model": "duo",
            "domain": domain,
            "context": context,
            "selection": "oracle",
            "chooser": "",
            "budget": budget,
        }
        isolated = losses["oracle", ""][budget]
        joint = {"isolated": isolated, "joint": isolated + (0.25 if context == "shared" else 0)}
        contexts += [ids | {"kind": kind} | _loss(loss) for kind, loss in joint.items()]
    schemas = {"statistics": GAIN_STATISTICS, "curves": GAIN_CURVES, "joint": JOINT_CURVES}
    schemas |= {"joint_statistics": JOINT_STATISTICS, "learning": LEARNING_STATISTICS}
    found = {"statistics": statistics, "curves": curves, "joint": contexts}
    found |= {"joint_statistics": together(), "learning": learned()}
    return {name: pa.Table.from_pylist(found[name], schema=table.schema) for name, table in schemas.items()}


def together() -> list[dict]:
    """Rows of JOINT_STATISTICS: of a gain of 1 at budget 2 three quarters are left in one run, and all of it in greedy.

    The null by the stack is half of it, and the stack's routes gain an eighth, a sixteenth in one run.
    """
    rows = []
    for domain, context, budget in product(("text", "code"), ("shared", "greedy"), (1, 2)):
        gain = budget - 1.0
        values = {
            joint_gains.gain(context, "oracle", "isolated", budget): gain,
            joint_gains.gain(context, "oracle", "joint", budget): gain * (0.75 if context == "shared" else 1),
        }
        for chooser in ("own", "stack"):
            values |= {
                joint_gains.gain(context, chooser, "isolated", budget): gain / 8,
                joint_gains.gain(context, chooser, "joint", budget): gain / 16,
                joint_gains.null_gain(context, chooser, budget): gain / 2,
                joint_gains.beyond_null(context, chooser, budget): gain / 2,
            }
        ids = {"model": "duo", "domain": domain}
        rows += [ids | asdict(statistic) | _ends("value", value) for statistic, value in values.items()]
    return rows


def learned() -> list[dict]:
    """LEARNING_STATISTICS: on text most of what is missed is label noise, on code it is open."""
    rows = []
    for domain, noiseless in (("text", 0.75), ("code", 0.5)):
        gains = {("true", "layers"): 0.125, ("expected", "layers"): noiseless, ("", "none"): 1.0}
        values = {learning_curves.slope("value", "true", "layers"): 0.25}
        values[learning_curves.slope("value", "shuffled", "layers")] = 0.1875
        for (told, reads), value in gains.items():
            policy = "value" if told else "teacher"
            values[learning_curves.gain_of(LearnedLoss(1000, policy, told, reads, None))] = value
        values |= {
            learning_curves.missed("value", "teacher"): 0.875,
            learning_curves.by_noise("value", "teacher"): noiseless - 0.125,
            learning_curves.without_noise("value", "teacher"): 1.0 - noiseless,
            learning_curves.noise_less_rest("value", "teacher"): 2 * noiseless - 1.0 if domain == "text" else 0.0,
            learning_curves.own_beyond("value"): 0.125,
        }
        ids = {"model": "duo", "domain": domain}
        rows += [ids | asdict(statistic) | _ends("value", value) for statistic, value in values.items()]
    return rows


def _ends(name: str, value: float) -> dict[str, float]:
    ends = ("low", "high") if name == "value" else (f"{name}_low", f"{name}_high")
    more = {"error": 0.03125, "clusters": 24} if name == "value" else {}  # as every table of statistics has them
    return {name: value, ends[0]: value - 0.0625, ends[1]: value + 0.0625} | more


def _loss(loss: float) -> dict[str, float]:
    return {"loss": loss, "low": loss - 0.0625, "high": loss + 0.0625, "perplexity": exp(loss)}


def passages() -> list[dict]:
    tokens = [
        {"text": text, "loss": 0.5 * index, "oracle": 1.0, "gap": 0.5 * index - 1} for index, text in enumerate(TEXTS)
    ]
    return [
        {"domain": domain, "document": "d0", "source": HOSTILE, "licence": "CC0-1.0", "tokens": tokens}
        for domain in ("text", "code")
    ]


def figures() -> list[content.Embedded]:
    uri = "data:image/svg+xml;base64," + base64.b64encode(PICTURE.encode()).decode()
    provenance = {"stage": "s", "params": {}, "md5": {"f": "0"}}
    return [content.Embedded(name, uri, f"Title of {name}", f"Caption of {name}.", provenance) for name in FIGURES]


def inputs() -> dict:
    """The arguments of page.render."""
    studies = evaluated()
    metrics: dict[str, dict] = {}
    for study, estimates in studies:
        metrics.setdefault(study.ids["model"], {})[study.ids["domain"]] = study.headline(estimates)
    statistics = tabled(ORACLE_STATISTICS, *studies)
    return {
        "params": params(),
        "verdicts": claims(),
        "metrics": metrics,
        "statistics": statistics,
        "curves": tabled(ORACLE_CURVES, *studies),
        "tables": {"Spread over seeds": as_table(SEED_SPREAD, oracle_curves.spread(statistics.to_pylist()))},
        "figures": figures(),
        "passages": passages(),
        "numbers": {"Training": {"duo": {"loss": 2.5}}},
        "gain": gain(),
        "parameters": 3_400_000,
        "evaluation": {"text": {"tokens": 48, "bytes": 115}, "code": {"tokens": 48, "bytes": 96}},
    }


def answered() -> pa.Table:
    """ANSWER_CURVES of four questions of three answers, of a model that gives the first everywhere but once."""
    space = RouteSpace(2, ("skip", "big"))
    scores = np.zeros((4, 3, len(space)))
    scores[:, 0] = 1
    scores[0, 1, 0] = 2
    study = AnswerOracle({"name": "n", "model": "tiny", "task": "school"}, list(scores), [1, 1, 2, 0], space)
    return tabled(ANSWER_CURVES, (study, study.intervals(100, 0.9, 1)))
