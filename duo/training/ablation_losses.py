"""What the ablations measure of a trained model: its losses under random routes and its FLOPs (paper, figure 8).

The random numbers depend on the seed and on the document, never on the model or on the chance of the big FFN. So two
models, or two chances, are compared under the same routes but for layers that the smaller chance makes small.
"""

import numpy as np
import torch
import torch.nn.functional as F

from duo.data.evaluation_set import EvaluationSet
from duo.model.device import Device
from duo.model.transformer import Duo, Shape, forward_flops
from duo.seeds import stream
from duo.training.random_routes import final_streams

BATCH = 16  # documents computed at once


@torch.no_grad()
def losses(model: Duo, sample: EvaluationSet, p_big: float, routings: int, device: Device, seed: int) -> np.ndarray:
    """Losses [documents, length] in nats under random routes: for every token the mean over `routings` of them."""
    shape = (sample.labels.shape[1], len(model.layers))
    tokens, labels = (torch.from_numpy(ids).to(device.name) for ids in (sample.tokens, sample.labels))
    distinct = routings if 0 < p_big < 1 else 1  # all-small and all-big are one route each
    total = np.zeros(sample.labels.shape)
    for routing in range(distinct):
        documents = zip(sample.domains, sample.documents, strict=True)
        uniform = np.stack([stream(seed, "routes", routing, *names).random(shape, np.float32) for names in documents])
        for start in range(0, len(tokens), BATCH):
            part = slice(start, start + BATCH)
            with device.autocast():
                logits = model.logits(final_streams(model, tokens[part], uniform[part], p_big))
            total[part] += F.cross_entropy(logits.float().transpose(1, 2), labels[part], reduction="none").cpu().numpy()
    return total / distinct


def flops(shape: Shape, p_big: float) -> float:
    """Floating-point operations per token of a forward pass over a whole sequence, on average over random routes."""
    return forward_flops(shape, shape.sequence, p_big * shape.layers)
