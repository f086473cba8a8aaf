"""Made-up tokens whose best route depends on the sign of what a router reads, beside noise that nothing foretells."""

import numpy as np
import torch
from project import default_params

from duo.data.evaluation_set import EvaluationSet
from duo.routers.dataset import RouterDataset
from duo.routes import RouteSpace

LAYERS, WIDTH, TIME = 4, 3, 8
SPACE = RouteSpace(LAYERS)
DOMAINS = ["text", "code"]
BUDGETS, NEIGHBOURS = [1, 2], [8, 32]
TRAINING = default_params().policies.training.model_copy(
    update={"hidden": 4, "steps": 60, "batch": 128, "learning_rate": 3e-2, "temperatures": [0.1, 1.0]}
)


def dataset(documents: int, seed: int, noise: float = 0.5) -> RouterDataset:
    """Where the first number of the input is positive, the first half of the layers should be big, else the second
    half: 1 nat each.

    A token's id says the sign too, in most cases. Beside it, every route's loss has noise of this deviation.
    """
    rng = np.random.default_rng(seed)
    count = documents * TIME
    sign = rng.integers(2, size=count)
    inputs = rng.normal(size=(count, LAYERS, WIDTH))
    inputs[:, :, 0] += 4.0 * (2 * sign[:, None] - 1)
    half = SPACE.digits[:, : LAYERS // 2].sum(1), SPACE.digits[:, LAYERS // 2 :].sum(1)
    losses = 4.0 - np.where(sign[:, None] == 1, half[0], half[1]) + noise * rng.normal(size=(count, len(SPACE)))
    ids = np.where(rng.random(count) < 0.9, sign, 1 - sign) + 2 * rng.integers(3, size=count)
    domains = [DOMAINS[index % 2] for index in range(documents)]
    names = [f"d{index}" for index in range(documents)]
    sample = EvaluationSet(domains, names, names, ids.reshape(documents, TIME), ids.reshape(documents, TIME))
    return RouterDataset(
        sample, DOMAINS, torch.tensor(inputs, dtype=torch.float32), torch.tensor(losses, dtype=torch.float32)
    )
