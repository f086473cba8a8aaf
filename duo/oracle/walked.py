"""What a walk over few departures from all big says of every token: arrays, so that studies of them need no torch.

In nats, routes in order of the space's codes. The tempered prediction is the model's, all layers big, at a temperature
that other documents fit (duo.oracle.departures).
"""

from typing import NamedTuple

import numpy as np


class Walked(NamedTuple):
    """Losses, and what would be gained if labels came as a prediction says. Bounds are of 0, 1, ... departures."""

    losses: np.ndarray  # [documents, length, routes] of the true labels
    sampled: np.ndarray  # [documents, length, routes] of labels drawn from the tempered prediction
    sampled_labels: np.ndarray  # [documents, length] these
    expected: np.ndarray  # [documents, length, routes] if labels came as the tempered prediction says
    null_gain: np.ndarray  # [bounds, documents, length] what an oracle would gain over all big if they did
    plain_null_gain: np.ndarray  # the same of the prediction as it is
    surprisal: np.ndarray  # [documents, length] of the true labels, to the tempered prediction
    entropy: np.ndarray  # [documents, length] of the tempered prediction
    plain_entropy: np.ndarray  # of the prediction as it is
    temperatures: np.ndarray  # [documents]
    # What intervals need to know of the temperatures, which other documents would have made others: first and second
    # derivative [documents] of the summed surprisal of a document's labels, by one over the temperature that its own
    # half fits (the first sum to 0 over the half); and what the null gain changes [bounds, documents, length] by one
    # over the temperature that it is taken at.
    fit_slopes: np.ndarray
    fit_curvatures: np.ndarray
    null_slopes: np.ndarray
