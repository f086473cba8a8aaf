"""Made-up inputs that several tests share: losses of all routes and what the oracle finds in them, settings of
a training, words.
"""

from itertools import product

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from duo.data import tokenizer
from duo.figures import base
from duo.oracle import select
from duo.routes import RouteSpace
from duo.stats import Interval, Intervals, Study, ends
from duo.studies import oracle_curves
from duo.tables import files
from duo.tables.data import DOCUMENTS
from duo.tables.files import Table
from workflow.studies import as_table

# A training of seconds: what its settings have in common, whatever is trained.
OPTIMIZER = {
    "learning_rate": 1e-2,
    "warmup_fraction": 0.2,
    "final_lr_ratio": 0.1,
    "optimizer": "adamw",
    "betas": [0.9, 0.95],
    "weight_decay": 0.1,
    "grad_clip": 1.0,
    "precision": "fp32",
    "validation_sequences": 3,
    "checkpoint_every": 4,
}
WORDS = [
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "flint",
    "grove",
    "heron",
    "jolly",
    "larch",
    "naïve",
    "otter",
    "quartz",
    "reed",
]
TEXTS = [
    f"def name_{number}(value):\n    return value * {number} + sum(range({number * 7}))\n" for number in range(200)
]
LAYERS = 4
SPACE = RouteSpace(LAYERS)
Losses = dict[tuple[str, str], np.ndarray]  # (domain, document): [tokens, routes]


def noise(documents: int = 3, tokens: int = 6) -> Losses:
    rng = np.random.default_rng(0)
    return {
        (domain, f"d{i}"): rng.gamma(4, 0.5, (tokens, len(SPACE))).astype(np.float32)
        for domain in ("text", "code")
        for i in range(documents)
    }


def table(losses: Losses) -> pa.Table:
    """The columns of ROUTE_LOSSES that the oracle reads; the document CLUSTER/NAME is of that cluster, others are
    alone.
    """
    rows = [(*key, position) for key, part in losses.items() for position in range(len(part))]
    domains, documents, positions = (list(column) for column in zip(*rows, strict=True))
    ids = {"domain": domains, "document": documents, "cluster": [name.split("/")[0] for name in documents]}
    values = files.fixed_lists(np.concatenate(list(losses.values())).astype(np.float32))
    return pa.table(ids | {"position": pa.array(positions, pa.int32()), "losses": values})


def selected(losses: Losses, budgets=range(LAYERS + 1), model: str = "duo") -> dict[int, select.Selected]:
    """SELECTIONS, ROUTE_SUMS and STRATEGY_SUMS by budget."""
    return {budget: select.apply(model, table(losses), SPACE, budget, 3, seed=1) for budget in budgets}


def evaluated(losses: Losses, budgets=range(LAYERS + 1)) -> dict[str, tuple[oracle_curves.OracleCurves, Intervals]]:
    """Every domain of one model with its intervals, by name."""
    studies = oracle_curves.gather(selected(losses, budgets), SPACE)
    return {study.ids["domain"]: (study, study.intervals(200, 0.95, seed=1)) for study in studies}


def tabled(table: Table, *pairs: tuple[Study, Intervals]) -> pa.Table:
    """One of the tables that studies fill, from each with its intervals."""
    return pa.concat_tables([as_table(table, study.tables(estimates)[table]) for study, estimates in pairs])


def routing_curves(targets=(1, 3)) -> pa.Table:
    """The columns of ROUTER_CURVES that figures read: hard a quarter above its target, soft a quarter below, 2 - 0.1
    nats per layer; at exactly its budget, 0.05 nats per layer better than fixed.
    """
    rows = []
    for domain, target in product(("text", "code"), targets):
        for kind, used in {
            "hard": target + 0.25,
            "exact": target,
            "soft": target - 0.25,
            "oracle_average": target,
        }.items():
            loss = 2.0 - 0.1 * used
            row = {"domain": domain, "kind": kind, "constraint": "exact" if kind == "exact" else "average"}
            row |= {"target": float(target), "big": float(used)}
            row |= {"loss": loss, "low": loss - 0.1, "high": loss + 0.1}
            for name, difference in (("all_big", 0.1 * (LAYERS - used)), ("fixed", -0.05 * used)):
                row |= ends(f"from_{name}", Interval(difference, difference - 0.02, difference + 0.02))
            rows.append(row)
    return pa.Table.from_pylist(rows)


def setting(**changes: str | int | float) -> base.Setting:
    """What a figure's numbers rest on, with these changes: a small model, of round bits per byte."""
    values = {"model": "duo", "layers": LAYERS, "parameters": 3_400_000, "training_tokens": 4_200_000}
    values |= {"documents": 5, "tokens": 6, "random_routes": 7, "confidence": 0.9}
    return base.Setting(**values | {"bits_per_nat": {"text": 0.5, "code": 0.75}} | changes)


def word_tokenizer() -> Tokenizer:
    """A tokenizer of texts made of WORDS."""
    return tokenizer.train([" ".join(np.random.default_rng(0).choice(WORDS, 400))], 300)


def corpora(**texts):
    """Columns of DOCUMENTS for the domain `notes`; its splits' texts as given."""
    rows = [(split, text) for split, each in texts.items() for text in each]
    columns = {name: [""] * len(rows) for name in ("source", "licence")}
    names = [f"{split}{index}" for index, (split, _) in enumerate(rows)]
    columns |= {"id": names, "cluster": names, "domain": ["notes"] * len(rows)}
    DOCUMENTS.write(
        columns | {"split": [split for split, _ in rows], "text": [text for _, text in rows]}, domain="notes"
    )
    return {"notes": DOCUMENTS.read(domain="notes")}
