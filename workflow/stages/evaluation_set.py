"""The windows of held-out documents that everything is evaluated on, that routers learn from, and that settings are
chosen on.
"""

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
    trained = {domain: evaluation_set.grams_of_packed(rows) for domain, rows in packed("train").items()}
    entries, counts, earlier = tokenizer.load(), {}, []
    for split, (documents, key) in asked.items():
        with stage.advice(f"{key} in params.yaml asks for them"):
            chosen = evaluation_set.choose(
                held_out(split), trained, params.evaluation_set, documents, entries, params.seed, split, earlier
            )
        earlier.append(chosen.windows)
        EVALUATION_SET.write(chosen.windows, split=split)
        counts[split] = chosen.counts
    EVALUATION_SET_METRICS.write(counts)


if __name__ == "__main__":
    stage.run(main)
