"""Small, big or skip at every layer: the best and the mean of all routes, by the numbers of big and skipped layers.

3 ** 12 losses per token are too many to keep. They are taken from the tree a chunk of routes at a time, and only a
minimum, where it was, and a sum are kept for each cell (big layers, skipped layers) of each token.
"""

import numpy as np
import pyarrow as pa
import torch

from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.oracle.tree import Enumerator
from duo.progress import progress
from duo.routes import RouteSpace
from duo.terms import BIG, SKIP, SMALL

CHOICES = (SMALL, BIG, SKIP)  # whose order the codes in THREE_WAY are of


class Cells:
    """Minimum, its route, sum and count of the losses of each (big, skip) cell [cells] and token [tokens], of the
    routes seen so far.

    Memory: 20 bytes per cell and token, and some 30 per (route, token) pair of one chunk.
    """

    def __init__(self, space: RouteSpace, tokens: int):
        self.space = space
        pairs = [(big, skip) for big in range(space.layers + 1) for skip in range(space.layers + 1 - big)]
        self.big, self.skip = np.array(pairs).T
        self._index = np.zeros((space.layers + 1, space.layers + 1), np.int64)
        self._index[self.big, self.skip] = np.arange(len(pairs))
        self.lowest = np.full((len(pairs), tokens), np.inf, np.float32)
        self.route = np.full((len(pairs), tokens), -1, np.int32)
        self.sum = np.zeros((len(pairs), tokens))
        self.count = np.zeros(len(pairs), np.int64)

    def add(self, codes: np.ndarray, losses: np.ndarray) -> None:
        """Take in the losses [routes, tokens] of routes with codes [routes] above all before; equal losses keep the
        lowest code.
        """
        cell = self._index[self.space.count(codes, BIG), self.space.count(codes, SKIP)]
        order = np.argsort(cell, kind="stable")  # a cell's routes stand together, codes ascending
        codes, losses = codes[order], losses[order]
        touched, starts, counts = np.unique(cell[order], return_index=True, return_counts=True)
        lowest = np.minimum.reduceat(losses, starts)
        at_lowest = np.where(
            losses == np.repeat(lowest, counts, axis=0), codes[:, None].astype(np.int32), np.iinfo(np.int32).max
        )
        route = np.minimum.reduceat(at_lowest, starts)
        better = lowest < self.lowest[touched]
        self.lowest[touched] = np.where(better, lowest, self.lowest[touched])
        self.route[touched] = np.where(better, route, self.route[touched])
        self.sum[touched] += np.add.reduceat(losses.astype(np.float64), starts)
        self.count[touched] += counts


def enumerate_routes(enumerator: Enumerator, sample: EvaluationSet) -> Cells:
    """The cells of all routes, for the sample's tokens in the order of its columns. Shows its progress."""
    tokens, labels = torch.from_numpy(sample.tokens), torch.from_numpy(sample.labels)
    cells = Cells(enumerator.space, labels.numel())
    with progress("three_way", "losses", total=len(enumerator.routes) * labels.numel()) as shown:

        def take(codes: np.ndarray, losses: torch.Tensor) -> None:
            cells.add(codes, losses.reshape(len(codes), -1).numpy())
            shown.update(losses.numel())

        enumerator.stream(tokens, labels[None], take)
    return cells


def table(model: str, sample: EvaluationSet, cells: Cells) -> pa.Table:
    """THREE_WAY. InputError where a loss is not finite."""
    finite = np.isfinite(cells.sum).all(axis=0)
    columns = {name: np.repeat(values, len(cells.count)) for name, values in sample.columns().items()}
    if not finite.all():
        document = columns["document"].reshape(len(finite), -1)[~finite][0, 0]
        raise InputError(f"model {model}, document {document}: a loss is not finite")
    tokens = len(finite)
    columns |= {
        "big": np.tile(cells.big, tokens),
        "skip": np.tile(cells.skip, tokens),
        "routes": np.tile(cells.count, tokens),
    }
    columns |= {
        "oracle_route": cells.route.T.ravel(),
        "oracle_loss": cells.lowest.T.ravel(),
        "loss_sum": cells.sum.T.ravel(),
    }
    return pa.table({"model": [model] * (tokens * len(cells.count))} | columns)
