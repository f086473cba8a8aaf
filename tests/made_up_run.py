"""The artifacts of a made-up run: two models, one's losses in two shards, a tokenizer and a table of the oracle."""

import os
from pathlib import Path

import numpy as np
from models import make
from tokenizers import Tokenizer, models

from duo.model import transformer
from duo.tables import files
from duo.tables.data import TOKENIZER
from duo.tables.oracle import ROUTE_LOSSES, SELECTIONS
from duo.tables.training import MODEL

WORDS = ["<|document|>", " the", " cat", "7", "."]
LENGTH = 12


def write(root: Path) -> None:
    """Write it under root/artifacts. Its documents are code c, d and text a, b; the model's weights are make()'s."""
    before, rng = Path.cwd(), np.random.default_rng(0)
    os.chdir(root)
    try:
        TOKENIZER.path().parent.mkdir(parents=True)
        Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, ".")).save(str(TOKENIZER.path()))
        for model in ("duo", "second"):
            MODEL.path(model=model).parent.mkdir(parents=True)
            transformer.save(make(), MODEL.path(model=model))
        for shard, documents in enumerate((["b", "d"], ["a", "c"])):
            rows = {
                "domain": np.repeat(["text", "code"], LENGTH),
                "document": np.repeat(documents, LENGTH),
                "cluster": np.repeat(documents, LENGTH),
                "position": np.tile(np.arange(LENGTH), 2),
                "token": rng.integers(0, len(WORDS), 2 * LENGTH),
                "label": rng.integers(0, len(WORDS), 2 * LENGTH),
                "losses": files.fixed_lists(rng.random((2 * LENGTH, 8), np.float32)),
            }
            ROUTE_LOSSES.write(rows, model="duo", shard=shard)
        best = {
            "model": ["duo"],
            "domain": ["text"],
            "document": ["a"],
            "cluster": ["a"],
            "position": [0],
            "oracle_route": [1],
        }
        losses = {name: [0.5] for name in ("oracle_loss", "mean_loss")}
        SELECTIONS.write(best | losses, budget=1)
    finally:
        os.chdir(before)
