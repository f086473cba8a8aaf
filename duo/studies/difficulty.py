"""What makes a token difficult (paper, figures 5 and 6): not its loss, but what more compute would take off it.

A token's loss is that with all layers small; its gap is that loss less the oracle's at some budget, both in nats. The
oracle's part of the gap is in part luck, since it takes the best of many routes; the same is therefore also told of
all layers big, which chooses nothing.
"""

import logging

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from duo import seeds, stats
from duo.data import token_classes
from duo.tables.studies import DIFFICULTY_CLASSES

log = logging.getLogger(__name__)

HIGH = 80  # percentile of a domain's losses from which on a loss is high
NO_GAIN = 0.1  # a gap below this share of the loss is none
WIDTH = 0.5  # nats: cells of the joint histogram
DOCUMENTS = 5  # a kind of token that fewer documents have, where there are as many, is left out: its interval would be too narrow
LINES = 5  # line starts that make a passage worth showing

_LOSSES = ("all_small", "all_big", "oracle", "gap")


def tokens(model: str, domain: str, small: pa.Table, big: pa.Table, oracle: pa.Table) -> pa.Table:
    """DIFFICULTY of one model and domain without class and line_start, by document and position.

    small, big and oracle are SELECTIONS at budget 0, at that of all layers and at the oracle's.
    """
    parts = [_part(table, model, domain) for table in (small, big, oracle)]
    losses = [part["oracle_loss"].to_numpy() for part in parts]  # at the ends there is one route, so its loss
    ids = {name: parts[0][name] for name in ("model", "domain", "document", "position")}
    return pa.table(ids | dict(zip(_LOSSES, [*losses, losses[0] - losses[2]], strict=True)))


def _part(table: pa.Table, model: str, domain: str) -> pa.Table:
    part = table.filter(pc.and_(pc.equal(table["model"], model), pc.equal(table["domain"], domain)))
    return part.sort_by([("document", "ascending"), ("position", "ascending")])


def described(
    losses: pa.Table, documents: pa.Table, tokenizer: Tokenizer, language: str | None
) -> tuple[pa.Table, dict[str, token_classes.DescribedTokens]]:
    """DIFFICULTY, from `tokens`, and every document's described tokens by its id.

    documents as artifacts.DOCUMENTS of the domain. One that isn't of its language gets the classes of text, and the
    log says how many.
    """
    wanted = pc.value_counts(losses["document"])  # in order of appearance
    texts = dict(zip(documents["id"].to_pylist(), documents["text"].to_pylist(), strict=True))
    found, strange = {}, 0
    for name, count in zip(wanted.field("values").to_pylist(), wanted.field("counts").to_pylist(), strict=True):
        offsets = tokenizer.encode(texts[name], add_special_tokens=False).offsets[:count]
        try:
            found[name] = token_classes.describe(texts[name], offsets, language)
        except token_classes.NotPython:
            found[name] = token_classes.describe(texts[name], offsets, None)
            strange += 1
    if strange:
        domain = losses["domain"][0].as_py()
        log.info(
            "%s: %d of %d documents are not %s; their tokens get the classes of text",
            domain,
            strange,
            len(found),
            language,
        )
    columns = {
        "class": [each.classes for each in found.values()],
        "line_start": [each.line_starts for each in found.values()],
    }
    for name, values in columns.items():
        losses = losses.append_column(name, pa.array([value for each in values for value in each]))
    return losses, found


class Domain:
    """One domain's DIFFICULTY: its statistics and the means of its classes, by document drawn."""

    def __init__(self, table: pa.Table):
        self.clusters = stats.Clusters(table["document"].to_numpy(zero_copy_only=False))
        self.loss, self.big, _, self.gap = (table[name].to_numpy().astype(np.float64) for name in _LOSSES)
        self.line_starts = table["line_start"].to_numpy(zero_copy_only=False)
        classes = table["class"].to_numpy(zero_copy_only=False)
        self.classes = {str(name): classes == name for name in np.unique(classes)}

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        """Statistics by name, and means by ("loss" or "gap", class), each [replicates], under weights [replicates,
        documents].

        What is high and what rank a token has is settled on the full sample; only documents are drawn anew.
        """
        high, mean = self.loss >= np.percentile(self.loss, HIGH), self.clusters.mean
        found = {
            "high_loss_no_gain": mean(weights, self.gap < NO_GAIN * self.loss, high),
            "high_loss_no_gain_all_big": mean(weights, self.loss - self.big < NO_GAIN * self.loss, high),
            "loss_gap_rank": self.clusters.rank_correlation(
                weights, self.loss, self.gap, np.ones(len(self.loss), bool)
            ),
        }
        lines, rest = self.line_starts, ~self.line_starts
        if self._enough(lines) and self._enough(rest):
            loss, gap = (
                [mean(weights, values, tokens) for tokens in (lines, rest)] for values in (self.loss, self.gap)
            )
            found["line_start_loss"] = loss[0] - loss[1]
            found["line_start_gap"] = gap[0] - gap[1]
            found["line_start_relative_gap"] = (
                gap[0] / loss[0] - gap[1] / loss[1]
            )  # of means: a loss near zero must not rule
        for name, tokens in self.classes.items():
            if self._enough(tokens):
                found["loss", name], found["gap", name] = (
                    mean(weights, values, tokens) for values in (self.loss, self.gap)
                )
        return found

    def intervals(self, resamples: int, confidence: float, seed: int) -> dict:
        """`numbers` of all documents, each an Interval."""
        return stats.intervals(
            self.numbers, len(self.clusters.documents), resamples, confidence, seeds.stream(seed, "difficulty")
        )

    def _enough(self, tokens: np.ndarray) -> bool:
        return self.clusters.enough(tokens, DOCUMENTS)


def statistics(ids: dict[str, str], found: dict) -> pa.Table:
    """DIFFICULTY_STATISTICS of one domain; `ids` are its model and domain, `found` is from Domain.intervals."""
    return pa.Table.from_pylist([ids | {"name": key, **found[key]._asdict()} for key in found if isinstance(key, str)])


def class_means(ids: dict[str, str], domain: Domain, found: dict) -> pa.Table:
    """DIFFICULTY_CLASSES of one domain, the class of highest mean loss first."""
    rows = []
    for name, tokens in domain.classes.items():
        if ("loss", name) in found:
            row = ids | {"class": name, "tokens": int(tokens.sum())}
            for kind in ("loss", "gap"):
                value, low, high = found[kind, name]
                row |= {kind: value, f"{kind}_low": low, f"{kind}_high": high}
            rows.append(row)
    return pa.Table.from_pylist(sorted(rows, key=lambda row: -row["loss"]), schema=DIFFICULTY_CLASSES.schema)


def histogram(ids: dict[str, str], domain: Domain) -> pa.Table:
    """DIFFICULTY_HISTOGRAM of one domain."""
    cells = np.floor(np.stack([domain.loss, domain.gap], axis=1) / WIDTH)
    found, counts = np.unique(cells, axis=0, return_counts=True)
    columns = {
        "loss": found[:, 0] * WIDTH,
        "gap": found[:, 1] * WIDTH,
        "width": np.full(len(found), WIDTH),
        "tokens": counts,
    }
    return pa.table({name: [value] * len(found) for name, value in ids.items()} | columns)


def passage(
    table: pa.Table, described: dict[str, token_classes.DescribedTokens], documents: pa.Table, length: int, seed: int
) -> dict:
    """An entry of PASSAGES: the first `length` tokens of a document drawn by seed, one with several line starts if
    there are any.

    table and `described` as `described` gives them, documents as artifacts.DOCUMENTS.
    """
    domain, names = table["domain"][0].as_py(), list(described)
    drawn = [names[index] for index in seeds.stream(seed, "passage", domain).permutation(len(names))]
    name = max(drawn, key=lambda each: min(sum(described[each].line_starts[:length]), LINES))
    rows = (
        table.filter(pc.equal(table["document"], name))
        .slice(0, length)
        .select(["all_small", "oracle", "gap"])
        .to_pylist()
    )
    origin = documents.filter(pc.equal(documents["id"], name)).select(["source", "licence"]).to_pylist()[0]
    shown = [
        {"text": text, "loss": row["all_small"], "oracle": row["oracle"], "gap": row["gap"]}
        for text, row in zip(described[name].pieces, rows, strict=False)
    ]
    return {"domain": domain, "document": name} | origin | {"tokens": shown}
