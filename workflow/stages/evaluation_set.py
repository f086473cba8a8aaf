"""The windows of held-out documents that everything is evaluated on, that routers learn from, and that settings are
chosen on.
"""

import numpy as np

from duo.data import evaluation_set, tokenizer
from duo.tables.data import EVALUATION_SET, EVALUATION_SET_METRICS, held_out, packed
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    asked = {
        "test": (params.evaluation_set.documents, "evaluation_set"),
        "routing": (params.policies.train_documents, "policies.train_documents"),
        "validation": (params.policies.validation_documents, "policies.validation_documents"),
    }
    # Whatever models read, of all domains: some domain may be like another, and have no training text of its own.
    read = np.unique(np.concatenate([evaluation_set.grams_of_packed(rows) for rows in packed("train").values()]))
    entries, counts, earlier = tokenizer.load(), {}, []
    for split, (documents, key) in asked.items():
        table = held_out(split)
        trained = dict.fromkeys(table["domain"].unique().to_pylist(), read)
        with stage.advice(f"{key} in params.yaml asks for them"):
            chosen = evaluation_set.choose(
                table, trained, params.evaluation_set, documents, entries, params.seed, split, earlier
            )
        earlier.append(chosen.windows)
        EVALUATION_SET.write(chosen.windows, split=split)
        counts[split] = chosen.counts
    EVALUATION_SET_METRICS.write(counts)


if __name__ == "__main__":
    stage.run(main)
