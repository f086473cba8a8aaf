"""What the oracle's choices give when all tokens run jointly, beside what each choice promised in isolation.

The losses of a chosen route are isolated, as it was tried, and joint, when all tokens run together on their chosen
routes. This is compared for every context, which is what the other tokens do while one token's routes are tried. The
fixed route of a cluster was chosen on others (duo.oracle.joint).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from math import exp
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import stats
from duo.errors import InputError
from duo.stats import Intervals, Statistic, Study
from duo.studies.curves import share_of_depth
from duo.studies.documents import by_cluster, clusters_of
from duo.tables.studies import JOINT_CURVES, JOINT_STATISTICS
from duo.terms import ALL_BIG, FIXED, GREEDY, ISOLATED, JOINT, ORACLE, SHARED


@dataclass(frozen=True)
class ContextLoss:
    """Key of the mean loss of the routes that a selection chose in a context at a budget, isolated or joint; chooser:
    whose prediction chose, or is taken to be right, if anybody's.
    """

    context: str
    selection: str
    kind: str
    budget: int
    chooser: str = ""


class JointCurves(Study):
    """One model and domain in every context, by cluster.

    losses: sums [clusters], nats, by ContextLoss; agreements: by `agreement`, how many tokens [clusters] have the same
    oracle route in both contexts; tokens [clusters]. Routes stay as they were chosen.
    """

    stream = ("contexts",)

    def __init__(
        self,
        model: str,
        domain: str,
        layers: int,
        tokens: np.ndarray,
        losses: Mapping[ContextLoss, np.ndarray],
        agreements: Mapping[Statistic, np.ndarray],
    ) -> None:
        self.ids = {"model": model, "domain": domain}
        self.layers, self.tokens, self.losses, self.agreements = layers, tokens, losses, agreements
        self.clusters = len(tokens)

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        tokens = stats.weighted_sums(weights, self.tokens)
        means = {key: stats.weighted_sums(weights, sums) / tokens for key, sums in self.losses.items()}
        shares = {key: stats.weighted_sums(weights, same) / tokens for key, same in self.agreements.items()}
        return means | differences(means, self.layers) | shares | self._single_big(weights)

    def _single_big(self, weights: np.ndarray) -> stats.Numbers:
        """`single_big` of the oracle, joint in context greedy and isolated in shared, where the losses are there."""
        numbers = {}
        for context, kind in ((GREEDY, JOINT), (SHARED, ISOLATED)):
            small, one, big = (self.losses.get(ContextLoss(context, ORACLE, kind, k)) for k in (0, 1, self.layers))
            if all(sums is not None for sums in (small, one, big)):
                numbers[single_big(kind=kind)] = share_of_depth(weights, big - one, small, big)
        return numbers

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        return tabled(self, estimates)


def tabled(study: Study, estimates: Intervals) -> dict[Any, Any]:
    """Rows of JOINT_CURVES and JOINT_STATISTICS."""
    curves = [row | {"perplexity": exp(row["loss"])} for row in study.rows(estimates, ContextLoss, "loss")]
    return {JOINT_CURVES: curves, JOINT_STATISTICS: study.rows(estimates, Statistic)}


def differences(means: Mapping[ContextLoss, np.ndarray], layers: int) -> stats.Numbers:
    """What the oracle's joint loss is compared with, context by context and budget by budget, each [replicates].

    It is compared with its isolated loss; with the fixed route in context shared, and with all layers big, where
    these are there; and with the oracle's joint loss in the contexts before it.
    """
    contexts = list(dict.fromkeys(key.context for key in means if key.selection == ORACLE))
    budgets = dict.fromkeys(key.budget for key in means if key.selection == ORACLE)
    numbers = {}
    for (index, context), budget in product(enumerate(contexts), budgets):
        others = {
            ISOLATED: ContextLoss(context, ORACLE, ISOLATED, budget),
            FIXED: ContextLoss(SHARED, FIXED, JOINT, budget),
            **{other: ContextLoss(other, ORACLE, JOINT, budget) for other in contexts[:index]},
        }
        if budget < layers:
            others[ALL_BIG] = ContextLoss(context, ORACLE, JOINT, layers)
        joint = means[ContextLoss(context, ORACLE, JOINT, budget)]
        for reference, key in others.items():
            if key in means:
                numbers[joint_difference(context, reference, budget)] = joint - means[key]
    return numbers


def single_big(subject: str = ORACLE, kind: str = JOINT) -> Statistic:
    """How much better than all layers big routes with a single big layer are.

    subject: who chose them, the oracle or a chooser by its name; kind: by which loss. The joint one is of the oracle's
    routes in context greedy, and of a chooser's in context shared, where no label chose anything; the isolated one is
    of context shared.
    """
    whose = {ORACLE: "the oracle"}.get(subject, subject)
    words = f"all layers big, less the {kind} loss of {whose} with a single big layer, as a share of what all layers "
    return Statistic("single_big", subject, kind, 1, words=f"{words}big gain over all small")


def joint_difference(context: str, reference: str, budget: int) -> Statistic:
    """The oracle's joint loss in a context at a budget, less a reference.

    reference: isolated (its own isolated loss), fixed, all_big, or another context (the oracle's joint loss there).
    """
    words = {
        ISOLATED: "its isolated loss",
        FIXED: "the best fixed route there",
        ALL_BIG: "all layers big",
    }.get(reference, f"its joint loss in context {reference}")
    words = f"joint loss of the oracle in context {context} at budget {budget}, less {words}"
    return Statistic("joint_difference", context, reference, budget, words=words)


def agreement(first: str, second: str, budget: int) -> Statistic:
    """Share of the tokens that have the same oracle route at a budget in both contexts."""
    words = f"share of tokens whose oracle route at budget {budget} is the same in contexts {first} and {second}"
    return Statistic("agreement", first, second, budget, words=words)


def gather(tables: Mapping[str, pa.Table], layers: int) -> list[JointCurves]:
    """The study of every model and domain, from JOINT_LOSSES by context.

    InputError where the contexts have different documents.
    """
    first = next(iter(tables.values()))
    return [
        _study({context: _part(table, model, domain) for context, table in tables.items()}, model, domain, layers)
        for model, domain in product(first["model"].unique().to_pylist(), first["domain"].unique().to_pylist())
    ]


def _part(table: pa.Table, model: str, domain: str) -> pa.Table:
    """The rows of one model and domain, by budget, selection, document and position."""
    part = table.filter(pc.and_(pc.equal(table["model"], model), pc.equal(table["domain"], domain)))
    return part.sort_by([(key, "ascending") for key in ("budget", "selection", "document", "position")])


def _study(parts: Mapping[str, pa.Table], model: str, domain: str, layers: int) -> JointCurves:
    documents, clusters = _documents(parts, model, domain), clusters_of(next(iter(parts.values())))
    losses, routes = {}, {}
    for context, part in parts.items():
        cells = list(dict.fromkeys(zip(part["budget"].to_pylist(), part["selection"].to_pylist(), strict=True)))
        columns = {
            name: part[name].to_numpy().reshape(len(cells), len(documents), -1) for name in ("route", ISOLATED, JOINT)
        }
        for row, (budget, selection) in enumerate(cells):
            for kind in (ISOLATED, JOINT):
                sums = by_cluster(clusters, columns[kind][row].sum(axis=1, dtype=np.float64))
                losses[ContextLoss(context, selection, kind, budget)] = sums
            if selection == ORACLE:
                routes[context, budget] = columns["route"][row]
    tokens = by_cluster(clusters, np.full(len(documents), columns["route"].shape[2]))
    agreements = {key: by_cluster(clusters, same) for key, same in _agreements(routes, parts).items()}
    return JointCurves(model, domain, layers, tokens, losses, agreements)


def _documents(parts: Mapping[str, pa.Table], model: str, domain: str) -> list[str]:
    """Ids of the documents, in order, which every context must have."""
    documents = {context: np.unique(part["document"].to_numpy()).tolist() for context, part in parts.items()}
    first, names = next(iter(documents.items()))
    for context, others in documents.items():
        for document in sorted(set(names) ^ set(others)):
            raise InputError(
                f"model {model!r}, domain {domain!r}, document {document!r}: is in only one of the contexts {first!r} "
                f"and {context!r}; should be in both or none"
            )
    return names


def _agreements(routes: Mapping[tuple[str, int], np.ndarray], contexts: Iterable[str]) -> dict[Statistic, np.ndarray]:
    """How many tokens [documents] have the same route in both of two contexts, from routes [documents, tokens] by
    context and budget.
    """
    return {
        agreement(first, second, budget): (routes[first, budget] == routes[second, budget]).sum(axis=1)
        for (first, second), budget in product(combinations(contexts, 2), dict.fromkeys(key[1] for key in routes))
    }
