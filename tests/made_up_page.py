"""What a report is made of, made up: two models, two domains, hostile words and a picture."""

import base64
from dataclasses import asdict
from itertools import product
from math import exp

import pyarrow as pa
from made_up import LAYERS, SPACE, noise, selected, tabled

from duo.report import content
from duo.stats import Intervals
from duo.studies import difficulty, oracle_curves
from duo.studies import gain as gains
from duo.tables.report import CLAIMS, CORRECTED_CLAIMS
from duo.tables.studies import (
    GAIN_CURVES,
    GAIN_STATISTICS,
    JOINT_CURVES,
    ORACLE_CURVES,
    ORACLE_STATISTICS,
    SEED_SPREAD,
)
from workflow.studies import as_table

C3 = oracle_curves.less_all_big("oracle", 1)
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
    """CLAIMS with each verdict, two seeds, and a statistic that a domain doesn't have."""
    rows = []
    for claim, figure, statistic, estimates in (
        ("C1", "figure-4a", oracle_curves.at_best_budget("fixed"), (-0.5, -0.4)),
        ("C2", "figure-4b", oracle_curves.lowest_at_half(), (0.25, 0.125)),
        ("C16", content.COLOURED, difficulty.line_start("gap"), (float("nan"), float("nan"))),
    ):
        for domain, (model, seed) in ((domain, item) for domain in ("text", "code") for item in MODELS.items()):
            estimate = estimates[seed - 1]
            verdict = "holds" if estimate < 0 else "fails" if estimate > 0 else "undecided"
            row = {
                "claim": claim,
                "words": f"words of {claim} | {HOSTILE}",
                "figure": figure,
                "link": "",
                "domain": domain,
                "model": model,
            }
            row |= {
                "seed": seed,
                "statistic": statistic.words,
                **{name: value for name, value in asdict(statistic).items() if name != "words"},
                "estimate": estimate,
                "low": estimate - 0.0625,
                "high": estimate + 0.0625,
            }
            row |= {"supports": "< 0", "verdict": verdict, "claim_verdict": verdict, "seeds": "1, 2"}
            rows.append(row | {"seed_low": min(estimates), "seed_high": max(estimates)})
    return pa.Table.from_pylist(rows, schema=CLAIMS.schema)


def gain() -> dict[str, pa.Table]:
    """GAIN_STATISTICS of two models, GAIN_CURVES, CORRECTED_CLAIMS with each verdict, and JOINT_CURVES of one; most
    is gained at budget 2.
    """
    losses = {
        ("oracle", ""): {1: 2.25, 2: 2.0},
        ("null", ""): {1: 2.5, 2: 2.375},
        ("ceiling", "others"): {1: 2.75, 2: 2.625},
        ("all_big", ""): {LAYERS: 3.0},
    }
    statistics, curves, contexts = [], [], []
    for model, domain in product(MODELS, ("text", "code")):
        ids = {"model": model, "domain": domain}
        bias_share = 0.75 if domain == "text" else 1.0  # of a gain of 1, so that nothing is left on code
        for k in (1, 2):
            gain = 3 - losses["oracle", ""][k]
            values = {
                gains.gain("all_big", k): gain,
                gains.gain("all_big", k, "sampled"): gain * bias_share,
                gains.gain("all_big", k, "difference"): gain * (1 - bias_share),
                gains.null_share("all_big", k): bias_share,
                gains.selection_bias(k): gain * bias_share,
                gains.difference("corrected", "all_big", k): gain * (bias_share - 1),
                gains.difference("normalised", "all_big", k): 0.5,
                gains.ceiling_difference("others", "fixed", k): -0.125,
                gains.ceiling_difference("others", "all_big", k): -0.25,
            }
            statistics += [ids | asdict(statistic) | _ends("value", value) for statistic, value in values.items()]
        statistics.append(ids | asdict(gains.calibration("all_big")) | _ends("value", -0.5))
        for (strategy, teacher), at in losses.items():
            row = ids | {"strategy": strategy, "teacher": teacher}
            curves += [row | {"budget": budget} | _loss(loss) for budget, loss in at.items()]
    for domain, context, budget in product(("text", "code"), ("shared", "greedy"), (1, 2)):
        ids = {"model": "duo", "domain": domain, "context": context, "selection": "oracle", "budget": budget}
        isolated = losses["oracle", ""][budget]
        joint = {"isolated": isolated, "joint": isolated + (0.25 if context == "shared" else 0)}
        contexts += [ids | {"kind": kind} | _loss(loss) for kind, loss in joint.items()]
    corrected_claims = []
    for (claim, verdict), domain in product(
        {"C1": "does not", "C2": "survives", "C16": "undecided"}.items(), ("text", "code")
    ):
        row = {
            "claim": claim,
            "words": f"words of {claim} | {HOSTILE}",
            "domain": domain,
            "model": "duo",
            "statistic": C3.words,
            **{name: value for name, value in asdict(C3).items() if name not in ("words", "labels")},
        }
        row |= _ends("true", -0.75) | _ends("null", -0.5) | _ends("corrected", -0.25)
        corrected_claims.append(row | {"supports": "< 0", "verdict": verdict, "claim_verdict": verdict})
    schemas = {"statistics": GAIN_STATISTICS, "curves": GAIN_CURVES}
    schemas |= {"corrected_claims": CORRECTED_CLAIMS, "joint": JOINT_CURVES}
    found = {"statistics": statistics, "curves": curves, "corrected_claims": corrected_claims, "joint": contexts}
    return {name: pa.Table.from_pylist(found[name], schema=table.schema) for name, table in schemas.items()}


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
    }
