"""Made-up measures on tokens of the synthetic domain."""

import numpy as np
import pyarrow as pa

from duo.data import synthetic


def synthetic_tokens(documents: int = 12) -> pa.Table:
    """SYNTHETIC_TOKENS where the corrected gap is the difficulty, and gap and loss are that and selection bias, which
    noise has most of.
    """
    sequences, sample = synthetic.held_out(documents, synthetic.BLOCK, seed=1)
    known = sequences[:, 1:].ravel()
    bias = np.random.default_rng(0).gamma(4, 0.5, known.shape) * (1 + (known["entropy"] > 2))
    gap = known["difficulty"] + bias
    columns = {
        "kind": np.array(synthetic.KINDS)[known["kind"]],
        "difficulty": known["difficulty"],
        "entropy": known["entropy"],
    }
    columns |= {
        "all_small": gap + 1,
        "all_big": gap,
        "oracle": gap * 0 + 1,
        "gap": gap,
        "selection_bias": bias,
        "known_bias": bias,
        "corrected_gap": known["difficulty"].astype(float),
        "known_corrected_gap": known["difficulty"].astype(float),
    }
    columns |= {"token": sample.tokens.ravel(), "label": sample.labels.ravel()}
    return pa.table({name: sample.columns()[name] for name in ("document", "cluster", "position")} | columns)
