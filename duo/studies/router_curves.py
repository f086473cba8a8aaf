"""What routers get beside the oracle: curves, heat maps and the statistics of the paper's claims on routers (figures
3 and 4).

Routers are scored hard, at exactly their budget, and soft; the oracle exactly per token, and on average over a
sequence as routers are trained. All on the same tokens, so that differences are paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import seeds, stats
from duo.errors import InputError
from duo.routes import RouteSpace, is_whole
from duo.settings import OneRouter
from duo.studies import oracle_curves
from duo.terms import BIG, SKIP, SMALL

AVERAGE = "oracle_average"
ORACLE = "oracle"  # stands for the router in its rows
CONSTRAINTS = {"hard": "average", "soft": "average", "exact": "exact", AVERAGE: "average"}


def on_average(losses: np.ndarray, budgets: Sequence[int], wanted: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The oracle whose budget is a sequence's, not a token's: for each of `wanted`, the lowest sum of a sequence's
    losses with at most
    that many big layers a token on average.

    losses [documents, tokens, budgets]: a token's best loss with each of `budgets` big layers. Returns [documents,
    wanted]: the sum of losses, and how many big layers all tokens together then take (of equal sums, the fewest).
    Exact, by dynamic programming over the layers spent. InputError where the smallest of the budgets is above one
    wanted.
    """
    if min(wanted) < min(budgets):
        raise InputError(f"oracle.budgets: {list(budgets)}: none is as low as the average {min(wanted)} that is asked")
    documents, tokens, _ = losses.shape
    best = np.full((documents, tokens * max(budgets) + 1), np.inf)  # by big layers spent so far
    best[:, 0] = 0.0
    for token in range(tokens):
        following = np.full_like(best, np.inf)
        for column, budget in enumerate(budgets):
            spent = slice(budget, None)
            np.minimum(
                following[:, spent],
                best[:, : best.shape[1] - budget] + losses[:, token, column, None],
                out=following[:, spent],
            )
        best = following
    spent = np.stack([best[:, : tokens * budget + 1].argmin(axis=1) for budget in wanted], axis=1)
    return np.take_along_axis(best, spent, axis=1), spent


@dataclass(frozen=True)
class Scored:
    """What one router does on one domain, by document."""

    name: str
    one: OneRouter
    documents: np.ndarray  # ids, ascending
    losses: dict[str, np.ndarray]  # kind: [documents] sums, nats
    used: dict[str, np.ndarray]  # kind: [documents, 2] sums of big and of skipped layers
    choices: np.ndarray  # [documents, positions, layers] index in one.choices, routed hard

    def share(self, choice: str) -> np.ndarray:
        """[documents, layers, positions] 1 where the hard route takes the choice, else 0."""
        return (self.choices == self.one.choices.index(choice)).swapaxes(1, 2).astype(np.float64)


def scored(name: str, one: OneRouter, table: pa.Table, layers: int) -> Scored:
    """One router on one domain, from its ROUTED. Every document has the same positions."""
    space = RouteSpace(layers, tuple(one.choices))
    documents = np.unique(table["document"].to_numpy())
    losses, used = {}, {}
    for kind in table["kind"].unique().to_pylist():
        rows = table.filter(pc.equal(table["kind"], kind)).sort_by(
            [("document", "ascending"), ("position", "ascending")]
        )
        columns = {
            key: rows[key].to_numpy().astype(np.float64).reshape(len(documents), -1) for key in ("loss", BIG, SKIP)
        }
        losses[kind] = columns["loss"].sum(axis=1)
        used[kind] = np.stack([columns[choice].sum(axis=1) for choice in (BIG, SKIP)], axis=1)
        if kind == "hard":
            choices = space.decode(rows["route"].to_numpy()).reshape(len(documents), -1, layers)
    return Scored(name, one, documents, losses, used, choices)


@dataclass(frozen=True)
class Routing:
    """All routers of one model on one domain, with the oracle where that model was enumerated."""

    model: str
    name: str
    layers: int
    routers: list[Scored]
    tokens: np.ndarray  # [documents]
    oracle: oracle_curves.Domain | None
    average: dict[
        int, tuple[np.ndarray, np.ndarray]
    ]  # budget: sums of losses, and of big layers [documents], of the oracle on average

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        """Losses by (router, kind) and numbers of layers by (router, kind, choice), and `statistics`; each
        [replicates].
        """
        tokens = stats.weighted_sums(weights, self.tokens)

        def mean(sums: np.ndarray) -> np.ndarray:
            return stats.weighted_sums(weights, sums) / tokens

        numbers = {}
        for router in self.routers:
            for kind, losses in router.losses.items():
                numbers[router.name, kind] = mean(losses)
                for column, choice in enumerate((BIG, SKIP)):
                    numbers[router.name, kind, choice] = mean(router.used[kind][:, column])
        for budget, (losses, spent) in self.average.items():
            numbers[AVERAGE, budget] = mean(losses)
            numbers[AVERAGE, budget, BIG] = mean(spent)
        return numbers | self.statistics(numbers, weights)

    def statistics(self, numbers: stats.Numbers, weights: np.ndarray) -> stats.Numbers:
        """ROUTER_STATISTICS' numbers, by name, each [replicates].

        router_slope: of the hard loss over the big layers used, nats a big layer, a straight line through one mix's
        routers of whole budgets; below 0 where more compute helps. router_nearer_fixed: mean over these budgets of
        |router - fixed| - |router - oracle| in nats, the router at exactly its budget and the fixed route chosen
        anew; below 0 where the router is nearer to fixed. router_lean_NAME: share of big in the upper half of the
        layers less the lower; router_early_NAME: in the first half of the positions less the second;
        router_skip_lean_NAME: share of skip, upper less lower; router_skip_late_NAME: second less first.
        oracle_average-oracle_exact_K: the oracle's loss, budget K on average over a sequence less on every token.
        """
        found = {}
        own = {router.name: router for router in self.routers}
        compared = [own[name] for name in comparable({name: router.one for name, router in own.items()})]
        if len(compared) > 1:
            used, losses = (
                np.stack([numbers[router.name, "hard", *more] for router in compared]) for more in ((BIG,), ())
            )
            found["router_slope"] = stats.slopes(used, losses)
        if self.oracle:
            oracle = self.oracle.numbers(weights)
            exact = [(numbers[router.name, "exact"], int(router.one.big)) for router in compared]
            distances = [
                abs(loss - oracle["fixed", budget]) - abs(loss - oracle["oracle", budget]) for loss, budget in exact
            ]
            if distances:
                found["router_nearer_fixed"] = np.mean(distances, axis=0)
            for budget in self.average:
                found[f"oracle_average-oracle_exact_{budget}"] = numbers[AVERAGE, budget] - oracle["oracle", budget]
        for router in self.routers:
            lean, early = self._halves(router.share(BIG), weights)
            found |= {f"router_lean_{router.name}": lean, f"router_early_{router.name}": early}
            if SKIP in router.one.choices:
                lean, early = self._halves(router.share(SKIP), weights)
                found |= {f"router_skip_lean_{router.name}": lean, f"router_skip_late_{router.name}": -early}
        return found

    def _halves(self, share: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of share [documents, layers, positions]: upper less lower half of the layers, first less second half of the
        positions.

        The middle one of an odd number belongs to neither half.
        """
        upper, earlier = halves(share.shape[1]), -halves(share.shape[2])
        by_document = (share.mean(axis=2) @ upper, share.mean(axis=1) @ earlier)
        documents = weights.sum(axis=1)
        lean, early = (stats.weighted_sums(weights, each) / documents for each in by_document)
        return lean, early


def comparable(routers: Mapping[str, OneRouter]) -> list[str]:
    """Of one model's routers, those of small and big with whole budgets, of the mix that most of these share; by
    budget.
    """
    whole = {
        name: one
        for name, one in routers.items()
        if set(one.choices) == {SMALL, BIG} and is_whole(one.choices, one.big)
    }
    mixes = [one.mix for one in whole.values()]
    shared = [name for name, one in whole.items() if one.mix == max(mixes, key=mixes.count)]
    return sorted(shared, key=lambda name: whole[name].big)


def halves(count: int) -> np.ndarray:
    """[count] weights that give the mean of the upper half less the mean of the lower; 0 in the middle."""
    return np.sign(np.arange(count) - (count - 1) / 2) / max(1, count // 2)


def gather(
    routers: Mapping[str, OneRouter],
    routed: Mapping[str, pa.Table],
    oracle: Mapping[int, tuple[pa.Table, pa.Table]],
    layers: int,
) -> list[Routing]:
    """Every model's routers on every domain, from ROUTED by router and (SELECTIONS, ROUTE_SUMS) by budget.

    InputError where a router was scored on other documents than the oracle.
    """
    domains = {(domain.model, domain.name): domain for domain in oracle_curves.domains(oracle, RouteSpace(layers))}
    found = []
    for model in dict.fromkeys(one.model for one in routers.values()):
        own = {name: one for name, one in routers.items() if one.model == model}
        for domain in next(iter(routed.values()))["domain"].unique().to_pylist():
            parts = {name: routed[name].filter(pc.equal(routed[name]["domain"], domain)) for name in own}
            each = [scored(name, one, parts[name], layers) for name, one in own.items()]
            average = {}
            if (model, domain) in domains:
                documents, losses = _oracle_losses(oracle, model, domain)
                _check_same(each, documents, domain)
                sums, spent = on_average(losses, list(oracle), list(oracle))
                average = {budget: (sums[:, column], spent[:, column]) for column, budget in enumerate(oracle)}
            positions = each[0].choices.shape[1]
            tokens = np.full(len(each[0].documents), positions)
            found.append(Routing(model, domain, layers, each, tokens, domains.get((model, domain)), average))
    return found


def _oracle_losses(
    oracle: Mapping[int, tuple[pa.Table, pa.Table]], model: str, domain: str
) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the documents, ascending, and the oracle's losses [documents, tokens, budgets]."""
    columns = []
    for selections, _ in oracle.values():
        own = selections.filter(pc.and_(pc.equal(selections["model"], model), pc.equal(selections["domain"], domain)))
        own = own.sort_by([("document", "ascending"), ("position", "ascending")])
        documents = np.unique(own["document"].to_numpy())
        columns.append(own["oracle_loss"].to_numpy().astype(np.float64).reshape(len(documents), -1))
    return documents, np.stack(columns, axis=2)


def _check_same(routers: list[Scored], documents: np.ndarray, domain: str) -> None:
    for router in routers:
        if not np.array_equal(router.documents, documents):
            raise InputError(
                f"router {router.name}: scored on other documents of domain {domain!r} than the oracle; run the stages enumerate and router"
            )


def intervals(routing: Routing, resamples: int, confidence: float, seed: int) -> dict:
    """Routing.numbers, each an Interval."""
    return stats.intervals(routing.numbers, len(routing.tokens), resamples, confidence, seeds.stream(seed, "routing"))


def curves(routing: Routing, found: dict) -> pa.Table:
    """ROUTER_CURVES of one model and domain."""
    rows = []
    for router in routing.routers:
        for kind in router.losses:
            used = {choice: found[router.name, kind, choice].value for choice in (BIG, SKIP)}
            rows.append(
                {
                    "router": router.name,
                    "kind": kind,
                    "target": float(router.one.big),
                    **used,
                    **_loss(found[router.name, kind]),
                }
            )
    for budget in routing.average:
        used = {"target": float(budget), BIG: found[AVERAGE, budget, BIG].value, SKIP: 0.0}
        rows.append({"router": ORACLE, "kind": AVERAGE, **used, **_loss(found[AVERAGE, budget])})
    ids = {"model": routing.model, "domain": routing.name}
    return pa.Table.from_pylist([ids | row | {"constraint": CONSTRAINTS[row["kind"]]} for row in rows])


def _loss(interval: stats.Interval) -> dict[str, float]:
    return {"loss": interval.value, "low": interval.low, "high": interval.high, "perplexity": exp(interval.value)}


def heat_maps(routing: Routing) -> pa.Table:
    """ROUTER_HEAT_MAPS of one model and domain: big, and skip where there is any."""
    tables = []
    for router in routing.routers:
        for choice in (BIG, SKIP):
            if choice in router.one.choices:
                share = router.share(choice).mean(axis=0)
                ids = {
                    "router": [router.name] * share.size,
                    "domain": [routing.name] * share.size,
                    "choice": [choice] * share.size,
                }
                tables.append(pa.table(ids | _cells(share.shape) | {"share": share.ravel()}))
    return pa.concat_tables(tables)


def _cells(shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Columns layer and position of the cells of an array [layers, positions]."""
    layers, positions = shape
    return {"layer": np.repeat(np.arange(layers), positions), "position": np.tile(np.arange(positions), layers)}


def statistics(routing: Routing, found: dict) -> pa.Table:
    """ROUTER_STATISTICS of one model and domain."""
    ids = {"model": routing.model, "domain": routing.name}
    return pa.Table.from_pylist(
        [ids | {"name": name, **each._asdict()} for name, each in found.items() if isinstance(name, str)]
    )
