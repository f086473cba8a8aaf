"""What a report is made of, made up: two models, two domains, hostile words and a picture."""

import base64
from itertools import product
from math import exp

import pyarrow as pa
from made_up import LAYERS, SPACE, noise, selected

from duo.report import page
from duo.studies import oracle_curves
from duo.tables.report import CLAIMS, CORRECTED_CLAIMS
from duo.tables.studies import GAIN_CURVES, GAIN_STATISTICS, JOINT_CURVES, SEED_SPREAD

HOSTILE = "<script>alert('x') & more</script>"
FIGURES = page.figure_names(["figure-7"])
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


def evaluated() -> list[tuple[oracle_curves.Domain, dict]]:
    """Every model's domains with their intervals, at some budgets."""
    tables: dict[int, tuple[pa.Table, pa.Table]] = {}
    for model in MODELS:
        for budget, pair in selected(noise(documents=4), [1, 2, LAYERS], model).items():
            tables[budget] = (
                tuple(pa.concat_tables(both) for both in zip(tables[budget], pair, strict=True))
                if budget in tables
                else pair
            )
    return [
        (domain, oracle_curves.intervals(domain, LAYERS, 200, 0.9, seed=1))
        for domain in oracle_curves.domains(tables, SPACE)
    ]


def claims() -> pa.Table:
    """CLAIMS with each verdict, two seeds, and a statistic that a domain doesn't have."""
    rows = []
    for claim, figure, statistic, estimates in (
        ("C1", "figure-4a", "oracle-fixed", (-0.5, -0.4)),
        ("C2", "figure-4b", "oracle_half-best_other", (0.25, 0.125)),
        ("C16", page.COLOURED, "line_start_gap", (float("nan"), float("nan"))),
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
                "statistic": statistic,
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
        "oracle": {1: 2.25, 2: 2.0},
        "null": {1: 2.5, 2: 2.375},
        "ceiling_others": {1: 2.75, 2: 2.625},
        "all_big": {LAYERS: 3.0},
    }
    statistics, curves, contexts = [], [], []
    for model, domain in product(MODELS, ("text", "code")):
        ids = {"model": model, "domain": domain}
        luck = 0.75 if domain == "text" else 1.0  # of a gain of 1, so that nothing is left on code
        for budget in (1, 2):
            own = 3 - losses["oracle"][budget]
            found = {"gain": own, "null_gain": own * luck, "gain-null_gain": own * (1 - luck), "luck_share": luck}
            found |= {
                "luck": own * luck,
                "corrected-all_big": own * (luck - 1),
                "normalised-all_big": 0.5,
                "ceiling_others-fixed": -0.125,
            }
            statistics += [ids | {"name": f"{name}_{budget}"} | _ends("value", value) for name, value in found.items()]
        statistics.append(ids | {"name": "calibration"} | _ends("value", -0.5))
        for strategy, at in losses.items():
            curves += [ids | {"strategy": strategy, "budget": budget} | _loss(loss) for budget, loss in at.items()]
    for domain, context, budget in product(("text", "code"), ("shared", "greedy"), (1, 2)):
        ids = {"model": "duo", "domain": domain, "context": context, "selection": "oracle", "budget": budget}
        isolated = losses["oracle"][budget]
        joint = {"isolated": isolated, "joint": isolated + (0.25 if context == "shared" else 0)}
        contexts += [ids | {"kind": kind} | _loss(loss) for kind, loss in joint.items()]
    survival = []
    for (claim, verdict), domain in product(
        {"C1": "does not", "C2": "survives", "C16": "undecided"}.items(), ("text", "code")
    ):
        row = {
            "claim": claim,
            "words": f"words of {claim} | {HOSTILE}",
            "domain": domain,
            "model": "duo",
            "statistic": "oracle_1-all_big",
        }
        row |= _ends("true", -0.75) | _ends("null", -0.5) | _ends("corrected", -0.25)
        survival.append(row | {"supports": "< 0", "verdict": verdict, "claim_verdict": verdict})
    schemas = {"statistics": GAIN_STATISTICS, "curves": GAIN_CURVES}
    schemas |= {"corrected_claims": CORRECTED_CLAIMS, "joint": JOINT_CURVES}
    found = {"statistics": statistics, "curves": curves, "corrected_claims": survival, "joint": contexts}
    return {name: pa.Table.from_pylist(found[name], schema=table.schema) for name, table in schemas.items()}


def _ends(name: str, value: float) -> dict[str, float]:
    ends = ("low", "high") if name == "value" else (f"{name}_low", f"{name}_high")
    return {name: value, ends[0]: value - 0.0625, ends[1]: value + 0.0625}


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


def figures() -> list[page.Embedded]:
    uri = "data:image/svg+xml;base64," + base64.b64encode(PICTURE.encode()).decode()
    provenance = {"stage": "s", "params": {}, "md5": {"f": "0"}}
    return [page.Embedded(name, uri, f"Title of {name}", f"Caption of {name}.", provenance) for name in FIGURES]


def inputs() -> dict:
    """The arguments of report.render."""
    found = evaluated()
    contrasts = pa.concat_tables([oracle_curves.contrast_table(*pair) for pair in found])
    metrics: dict[str, dict] = {}
    for domain, numbers in found:
        metrics.setdefault(domain.model, {})[domain.name] = oracle_curves.headline(domain, numbers, LAYERS)
    return {
        "params": params(),
        "verdicts": claims(),
        "metrics": metrics,
        "contrasts": contrasts,
        "curves": pa.concat_tables([oracle_curves.curves(*pair) for pair in found]),
        "tables": {"Spread over seeds": oracle_curves.spread(contrasts).cast(SEED_SPREAD.schema)},
        "figures": figures(),
        "passages": passages(),
        "numbers": {"Training": {"duo": {"loss": 2.5}}},
        "gain": gain(),
    }
