"""What is measured on tokens of the synthetic domain, and whether it recovers what is known of them by construction."""

import numpy as np
import pyarrow as pa
import torch

from duo import stats
from duo.data import synthetic
from duo.data.evaluation_set import Sample
from duo.oracle.null import batches, null_labels, reference_predictions
from duo.oracle.tree import Enumerator
from duo.seeds import stream
from duo.settings import SampledLabels
from duo.studies import difficulty

COLUMNS = ("all_small", "all_big", "oracle", "gap", "luck", "corrected_gap")
MEASURES = {"loss": "all_small", "gap": "gap", "corrected_gap": "corrected_gap"}  # of difficulty, with their column
ORACLE_STATISTICS = (("gap", "loss"), ("corrected_gap", "gap"))


def measure(
    enumerator: Enumerator, sequences: np.ndarray, sample: Sample, budget: int, settings: SampledLabels, seed: int
) -> pa.Table:
    """SYNTHETIC_TOKENS of sequences and sample as `synthetic.held_out` gives them; the enumerator's routes are all of
    small and big.

    Labels are sampled, as the settings say, from predictions of the model. What the oracle gains on them over the
    route that these predictions prefer is luck alone, as in duo.studies.gain. The gap without it is the corrected
    gap.
    """
    source = enumerator.space.named(settings.reference)
    model, space, device = enumerator.model, enumerator.space, enumerator.device
    sampled = null_labels(model, space, sample, source, settings.temperature, settings.samples, seed, device)
    routes = enumerator.space.with_budget(budget)
    parts = []
    for some, labels, new, on_leaves in batches(enumerator, sample, np.concatenate([sample.labels[None], sampled])):
        own = reference_predictions(model, space, some.tokens, source, settings.temperature, device)
        scores = enumerator.everything(torch.from_numpy(some.tokens), labels, own[None], [], on_leaves)
        losses, expected = scores.losses[:, :new].numpy(), scores.expected[0, :new].numpy()
        all_small, all_big, (oracle, *null) = losses[0, ..., 0], losses[0, ..., -1], losses[..., routes].min(axis=-1)
        foreseen = routes[expected[..., routes].argmin(axis=-1)]
        lucky = (np.take_along_axis(losses[1:], foreseen[None, ..., None], axis=-1)[..., 0] - null).mean(axis=0)
        gap = all_small - oracle
        parts.append([all_small, all_big, oracle, gap, lucky, gap - lucky])
    found = dict(zip(COLUMNS, np.concatenate(parts, axis=1).reshape(len(COLUMNS), -1), strict=True))
    predicted = sequences[:, 1:].ravel()
    known = {
        "kind": np.array(synthetic.KINDS)[predicted["kind"]],
        "difficulty": predicted["difficulty"],
        "entropy": predicted["entropy"],
    }
    ids = sample.columns() | {"token": sample.tokens.ravel(), "label": sample.labels.ravel()}
    del ids["domain"]
    return pa.table(ids | known | found)


class Recovery:
    """Whether what was measured on tokens recovers what is known of them; numbers of a table SYNTHETIC_TOKENS, by
    document sampled.
    """

    def __init__(self, table: pa.Table):
        self.clusters = stats.Clusters(table["document"].to_numpy(zero_copy_only=False))
        kinds = table["kind"].to_numpy(zero_copy_only=False)
        self.difficulty, self.entropy = (table[name].to_numpy() for name in ("difficulty", "entropy"))
        self.values = {name: table[name].to_numpy().astype(np.float64) for name in COLUMNS}
        self.kinds = {kind: kinds == kind for kind in synthetic.KINDS if kind in kinds}
        classes = {
            (kind, int(steps)): tokens & (self.difficulty == steps)
            for kind, tokens in self.kinds.items()
            for steps in np.unique(self.difficulty[tokens])
        }
        self.classes = {
            key: tokens for key, tokens in classes.items() if self.clusters.enough(tokens, difficulty.DOCUMENTS)
        }

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        """Statistics by name, and means by (one of COLUMNS, kind, difficulty), each [replicates], under weights
        [replicates, documents].

        A measure calls a token difficult where it is at least its median over the tokens that are, all of the full
        sample.
        """
        found = {
            (name, *key): self.clusters.mean(weights, values, tokens)
            for key, tokens in self.classes.items()
            for name, values in self.values.items()
        }
        for name, (known, tokens) in self._comparisons().items():
            ranks = {
                measure: self.clusters.rank_correlation(weights, self.values[column], known, tokens)
                for measure, column in MEASURES.items()
            }
            found |= {f"{measure}_rank_{name}": value for measure, value in ranks.items()}
            found |= {
                f"{one}_rank_{name}-{other}_rank_{name}": ranks[one] - ranks[other] for one, other in ORACLE_STATISTICS
            }
        if "noise" in self.kinds and self.difficulty.any():
            for measure, column in MEASURES.items():
                usual = np.median(self.values[column][self.difficulty > 0])
                alarms = self.clusters.mean(weights, self.values[column] >= usual, self.kinds["noise"])
                found[f"noise_called_difficult_by_{measure}"] = alarms
        return found

    def _comparisons(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By name, what is known of tokens [tokens], and which of them [tokens] bool it is compared on."""
        everything = np.ones(len(self.difficulty), bool)
        among = {"difficulty": (self.difficulty, everything), "entropy": (self.entropy, everything)}
        if "sum" in self.kinds:
            among["carry"] = (self.difficulty, self.kinds["sum"])
        return among

    def intervals(self, resamples: int, confidence: float, seed: int) -> dict:
        """`numbers` of all documents, each an Interval."""
        return stats.intervals(
            self.numbers, len(self.clusters.documents), resamples, confidence, stream(seed, synthetic.NAME)
        )

    def statistics(self, found: dict) -> pa.Table:
        """SYNTHETIC_STATISTICS; `found` is from `intervals`."""
        ids = {"model": synthetic.NAME, "domain": synthetic.NAME}
        return pa.Table.from_pylist(
            [ids | {"name": key, **found[key]._asdict()} for key in found if isinstance(key, str)]
        )

    def class_means(self, found: dict) -> pa.Table:
        """SYNTHETIC_CLASSES; `found` is from `intervals`."""
        rows = []
        for (kind, steps), tokens in self.classes.items():
            row = {
                "kind": kind,
                "difficulty": steps,
                "tokens": int(tokens.sum()),
                "entropy": self.entropy[tokens].mean(),
            }
            for name in COLUMNS:
                row[name], row[f"{name}_low"], row[f"{name}_high"] = found[name, kind, steps]
            rows.append(row)
        return pa.Table.from_pylist(rows)
