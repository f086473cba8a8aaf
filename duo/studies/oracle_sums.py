"""What the oracle's tables say of one model and domain at one budget, summed by cluster."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import stats
from duo.routes import RouteSpace
from duo.terms import FIXED, MEAN, ORACLE, RANDOM_ALL

SELECTED = {ORACLE: "oracle_loss", MEAN: "mean_loss"}  # strategies that are columns of SELECTIONS


@dataclass(frozen=True)
class AtBudget:
    """One domain at one budget, summed by cluster."""

    losses: dict[str, np.ndarray]  # strategy: [clusters], nats
    routes: np.ndarray  # [routes] codes
    drawn: np.ndarray  # [routes] bool: one of the routes that random_all tries
    route_losses: np.ndarray  # [clusters, routes] nats
    big: np.ndarray  # [clusters, layers] tokens whose oracle route is big at the layer
    heat: np.ndarray  # [layers, positions] share of documents whose oracle route is big there
    positions: np.ndarray  # [positions]


def by_strategy(table: pa.Table) -> dict[str, np.ndarray]:
    """Each strategy's sums of losses [clusters], in order of id, from one domain's STRATEGY_SUMS at one budget."""
    sums = {}
    for strategy in table["strategy"].unique().to_pylist():
        rows = table.filter(pc.equal(table["strategy"], strategy))
        sums[strategy] = stats.Clusters(rows["cluster"].to_numpy()).sums(rows["loss_sum"].to_numpy())
    return sums


def summed(selections: pa.Table, route_sums: pa.Table, space: RouteSpace) -> tuple[np.ndarray, AtBudget]:
    """Tokens by cluster, in order of id, and the sums of one domain's SELECTIONS and ROUTE_SUMS at one budget."""
    tokens, big = big_tokens(selections, space)
    clusters = stats.Clusters(selections["cluster"].to_numpy())
    losses = {name: clusters.sums(selections[column].to_numpy()) for name, column in SELECTED.items()}
    positions, position = np.unique(selections["position"].to_numpy(), return_inverse=True)
    chosen = space.big(selections["oracle_route"].to_numpy())

    _, row = np.unique(route_sums["cluster"].to_numpy(), return_inverse=True)
    routes, first, column = np.unique(route_sums["route"].to_numpy(), return_index=True, return_inverse=True)
    route_losses = np.zeros((len(tokens), len(routes)))
    np.add.at(route_losses, (row, column), route_sums["loss_sum"].to_numpy())
    drawn = route_sums["drawn"].to_numpy()[first]
    losses |= {RANDOM_ALL: stats.kept(route_losses[:, drawn], tokens), FIXED: stats.kept(route_losses, tokens)}
    return tokens, AtBudget(
        losses=losses,
        routes=routes,
        drawn=drawn,
        route_losses=route_losses,
        big=big,
        heat=np.stack([np.bincount(position, layer) for layer in chosen.T]) / np.bincount(position),
        positions=positions,
    )


def big_tokens(selections: pa.Table, space: RouteSpace) -> tuple[np.ndarray, np.ndarray]:
    """Tokens [clusters], in order of id, and those of them whose oracle route is big at each layer [clusters, layers].

    From one domain's SELECTIONS at one budget, or whichever table has their columns cluster and oracle_route.
    """
    clusters = stats.Clusters(selections["cluster"].to_numpy())
    big = space.big(selections["oracle_route"].to_numpy())
    return clusters.sums(np.ones(len(big))), np.stack([clusters.sums(layer) for layer in big.T], axis=1)
