"""Which route each token, document or domain would take at a budget, from the losses of all routes.

The paper compares choosers that know ever less: the oracle takes the best route of every token, `sequence` the best
of every document, `fixed` the best of a domain, others the best of a few routes drawn by chance. Strategies of one's
own can be tried beside them. All read losses that are already known, so a new budget costs seconds. Random numbers
belong to a document and a purpose: neither the number of shards nor the order of the documents changes a result.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from duo import plugins, seeds, stats
from duo.errors import InputError
from duo.routes import RouteSpace
from duo.tables import files
from duo.terms import MEAN, ORACLE, RANDOM_TOKEN, SEQUENCE

# Strategies that are always tried, in words; {tries} is the number of random routes.
BUILT_IN = {
    ORACLE: "oracle: best route of each token",
    SEQUENCE: "best route of each document",
    RANDOM_TOKEN: "best of {tries} random routes, each token",
    MEAN: "mean of all routes",
}


class Strategy(Protocol):
    """A way to choose the tokens' routes when the losses of all routes are known, so that it is no router.

    It shows what a kind of choice could gain, such as one that settles layer after layer and looks no further ahead:
    examples/own_strategy.py.
    """

    words: str  # what it is, for the legends of figures; may be left out

    def choose(self, losses: np.ndarray, big: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Index [tokens] of every token's route among the routes of one budget, for one document.

        losses [tokens, routes]: fp32, nats, of the tokens' true labels, tokens in the order of the text. big [routes,
        layers]: whether the route is big at the layer. Both are copies, which a strategy may write into. rng: random
        numbers of this document, budget and strategy alone.
        """


class Selected(NamedTuple):
    """What is known of one model at one budget once all routes were tried."""

    selections: pa.Table  # SELECTIONS
    route_sums: pa.Table  # ROUTE_SUMS
    strategy_sums: pa.Table  # STRATEGY_SUMS


def lowest(losses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[rows] index of the lowest loss in each row of losses [rows, routes]; of equal losses any, each as likely.

    Routes of tokens and documents are chosen here, whoever asks. To take the first of equals instead would prefer
    routes of low code, which are small in the lower layers.
    """
    equal = losses == losses.min(axis=1, keepdims=True)
    rank = (rng.random(len(losses)) * equal.sum(axis=1)).astype(np.int64)
    return (equal.cumsum(axis=1) > rank[:, None]).argmax(axis=1)


def best(losses: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Index of the best route for every token of a document [tokens], and of the best for all of them together.

    losses [tokens, routes] of the document's tokens.
    """
    by_token = lowest(losses, rng)
    return by_token, int(lowest(losses.sum(axis=0, dtype=np.float64)[None], rng)[0])


def fixed(losses: np.ndarray, domains: Sequence[str], clusters: Sequence[str]) -> np.ndarray:
    """[documents] index of the one route for all tokens of a domain: for a document, the best of the half of the
    clusters that it is not in (duo.stats.cross_fitted).

    losses [documents, routes]: sums over documents of as many tokens, nats; domains, clusters: of each document. Chosen
    on the tokens that it serves, it would look better than it is.
    """
    best, domains, clusters = np.empty(len(losses), np.int64), np.array(domains), np.array(clusters)
    for domain in np.unique(domains):
        rows = domains == domain
        _, cluster = np.unique(clusters[rows], return_inverse=True)
        sums = np.zeros((cluster.max() + 1, losses.shape[1]))
        np.add.at(sums, cluster, losses[rows])
        best[rows] = stats.cross_fitted(sums, np.bincount(cluster))[cluster]
    return best


def ties(seed: int, budget: int, domain: str, document: str) -> np.random.Generator:
    """The random numbers that decide between equal losses in a document at a budget.

    They are the same wherever a route is chosen, so that the same losses have the same winner in every study.
    """
    return seeds.stream(seed, "oracle", budget, domain, document)


def best_of_random(losses: np.ndarray, tries: int, rng: np.random.Generator) -> np.ndarray:
    """[rows] lowest of `tries` losses drawn with replacement from each row of losses [rows, routes], anew for every
    row.
    """
    draws = rng.integers(losses.shape[1], size=(len(losses), tries))
    return np.take_along_axis(losses, draws, axis=1).min(axis=1)


def select(losses: np.ndarray, tries: int, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Index of the oracle's route for every token of a document [tokens], and the losses [tokens] of every strategy of
    BUILT_IN.

    losses [tokens, routes] are nats under all routes of one budget. All are tried, whichever are asked for: they share
    random numbers, and so none depends on what else is asked for.
    """
    by_token, by_document = best(losses, rng)
    return by_token, {
        ORACLE: losses[np.arange(len(losses)), by_token],
        RANDOM_TOKEN: best_of_random(losses, tries, rng),
        SEQUENCE: losses[:, by_document],
        MEAN: losses.mean(axis=1, dtype=np.float64).astype(np.float32),
    }


def losses_under(
    name: str, strategy: Strategy, losses: np.ndarray, big: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """[tokens] what a strategy of one's own gets on one document; InputError where it chooses what is no route."""
    (tokens, routes), place = losses.shape, f"strategy {name}: {plugins.method(strategy, 'choose')}"
    with plugins.theirs(place):
        given = strategy.choose(losses.copy(order="K"), big.copy(order="K"), rng)
    try:
        chosen = np.asarray(given)
    except (TypeError, ValueError, RuntimeError):  # a ragged list, or a tensor on another device
        chosen = np.empty(0)
    wrong = None
    if chosen.shape != (tokens,) or not np.issubdtype(chosen.dtype, np.integer):
        wrong = plugins.described(given)
    elif chosen.min() < 0 or chosen.max() >= routes:
        wrong = f"indices from {chosen.min()} to {chosen.max()}"
    if wrong:
        raise InputError(f"{place} gave {wrong}, should be integers [{tokens}] from 0 to {routes - 1}: one per token")
    return losses[np.arange(tokens), chosen]


def apply(
    model: str,
    table: pa.Table,
    space: RouteSpace,
    budget: int,
    tries: int,
    seed: int,
    strategies: Mapping[str, Strategy | None] | None = None,
) -> Selected:
    """What every strategy chooses and gets, from one model's ROUTE_LOSSES, among routes of this budget.

    tries: random routes of the strategies that try some. strategies: those to report, by name, in order; None for one
    of BUILT_IN, which are reported alone where nothing is given. InputError where no route has the budget, the table is
    of other routes, a loss is not finite, or a strategy chooses what is no route.
    """
    strategies = dict.fromkeys(BUILT_IN) if strategies is None else strategies
    routes = space.with_budget(budget)
    if not len(routes):
        raise InputError(f"budget {budget}: should lie between 0 and the number of layers ({space.layers})")
    # The same routes are tried in every domain and document.
    tried = np.unique(seeds.stream(seed, "oracle", "random routes for all", budget).choice(routes, tries))
    drawn = np.isin(routes, tried)

    big = space.big(routes)

    selections, route_sums, strategy_sums = [], [], []
    for domain, document, rows, losses in by_document(table, space):
        part = losses[:, space.index(routes)]
        by_token, known = select(part, tries, ties(seed, budget, domain, document))
        columns = {
            name: table[name].slice(rows.start, len(part)) for name in ("domain", "document", "cluster", "position")
        }
        chosen = {"oracle_route": routes[by_token], "oracle_loss": known[ORACLE], "mean_loss": known[MEAN]}
        selections.append(pa.table({"model": [model] * len(part)} | columns | chosen))

        ids = {"model": model, "domain": domain, "document": document, "cluster": table["cluster"][rows.start].as_py()}
        ids |= {"tokens": len(part)}
        sums = {"route": routes, "drawn": drawn, "loss_sum": part.sum(axis=0, dtype=np.float64)}
        route_sums.append(pa.table({name: [value] * len(routes) for name, value in ids.items()} | sums))
        for name, strategy in strategies.items():
            rng = seeds.stream(seed, "strategy", name, budget, domain, document)
            values = known[name] if strategy is None else losses_under(name, strategy, part, big, rng)
            words = BUILT_IN[name].format(tries=tries) if strategy is None else getattr(strategy, "words", name)
            # Added one by one, in order: the sum is the same as that of many documents' tokens by document.
            total = np.bincount(np.zeros(len(values), np.int64), values)[0]
            strategy_sums.append(ids | {"strategy": name, "loss_sum": total, "words": words})
    return Selected(pa.concat_tables(selections), pa.concat_tables(route_sums), pa.Table.from_pylist(strategy_sums))


def on_average(losses: np.ndarray, budgets: Sequence[int], averages: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Losses and big layers spent of the oracle whose budget is a sequence's: it spends more where that gains more.

    losses [documents, tokens, budgets]: a token's lowest loss with each of `budgets` big layers. Returns two arrays
    [documents, averages]: for each of `averages`, the lowest sum of a document's losses with at most that many big
    layers per token in the mean, and how many big layers its tokens then take together (of equal sums, the fewest).
    Exact, by dynamic programming over the layers spent. InputError where an average is below all budgets.
    """
    if min(averages) < min(budgets):
        raise InputError(f"budgets {list(budgets)}: none is as low as the average {min(averages)} that is asked for")
    documents, tokens, _ = losses.shape
    lowest_sums = np.full((documents, tokens * max(budgets) + 1), np.inf)  # by big layers spent so far
    lowest_sums[:, 0] = 0.0
    for token in range(tokens):
        following = np.full_like(lowest_sums, np.inf)
        for column, budget in enumerate(budgets):
            np.minimum(
                following[:, budget:],
                lowest_sums[:, : lowest_sums.shape[1] - budget] + losses[:, token, column, None],
                out=following[:, budget:],
            )
        lowest_sums = following
    spent = np.stack([lowest_sums[:, : tokens * average + 1].argmin(axis=1) for average in averages], axis=1)
    return np.take_along_axis(lowest_sums, spent, axis=1), spent


def by_document(table: pa.Table, space: RouteSpace) -> Iterator[tuple[str, str, slice, np.ndarray]]:
    """Domain, document, rows and losses [tokens, routes] of each document of ROUTE_LOSSES.

    InputError where the table is of other routes, or a loss is not finite.
    """
    count = table["losses"].type.list_size
    if count != len(space):
        raise InputError(f"losses of {count} routes, but {space.layers} layers have {len(space)}")
    for domain, document, rows in documents(table):
        losses = files.matrix(
            table["losses"].slice(rows.start, rows.stop - rows.start)
        )  # a document's alone: the table is large
        _check_finite(losses, domain, document)
        yield domain, document, rows, losses


def documents(table: pa.Table) -> Iterator[tuple[str, str, slice]]:
    """Domain, document and rows of each document of a table with a row per token, where a document's stand together."""
    domains, documents = table["domain"].to_numpy(), table["document"].to_numpy()
    changes = np.flatnonzero((domains[1:] != domains[:-1]) | (documents[1:] != documents[:-1])) + 1
    for start, stop in zip([0, *changes], [*changes, len(domains)], strict=True):
        yield domains[start], documents[start], slice(int(start), int(stop))


def _check_finite(losses: np.ndarray, domain: str, document: str) -> None:
    rows = np.flatnonzero(~np.isfinite(losses).all(axis=1))
    if len(rows):
        raise InputError(f"domain {domain}, document {document}, token {rows[0]} of it: a loss is not finite")
