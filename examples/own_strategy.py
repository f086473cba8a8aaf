"""A route strategy of one's own: layers are settled one after the other, the most helpful first.

How much of the oracle's gain needs a look at whole routes? This strategy knows the same losses, but asks only which one
layer helps most, given those that are big already. To see it in figure 4b and the tables, add to params.yaml

    oracle:
      strategies:
        greedy: examples.own_strategy:GreedyLayers  # beside the entries that are there

and run `dvc repro`: no route is tried anew, and only what shows strategies is made again.
"""

import numpy as np


class GreedyLayers:
    """Makes the layer big whose routes have the lowest mean loss, then the next beside it, to the end of the budget."""

    words = "best layer after best layer"

    def choose(self, losses, big, rng):
        """Index [tokens] of the routes, from losses [tokens, routes] and big [routes, layers]: see
        duo.oracle.select.Strategy.
        """
        possible = np.ones(losses.shape, bool)  # routes that are big wherever the token's layers are settled
        settled = np.zeros((len(losses), big.shape[1]), bool)
        for _ in range(big[0].sum()):
            routes = np.einsum("tr,rl->tl", possible.astype(int), big.astype(int))
            means = np.einsum("tr,rl->tl", losses * possible, big.astype(float)) / np.maximum(routes, 1)
            best = np.where(settled | (routes == 0), np.inf, means).argmin(axis=1)
            settled[np.arange(len(losses)), best] = True
            possible &= big.T[best]
        return possible.argmax(axis=1)
