"""What makes a token difficult (paper, figures 5 and 6): not its loss, but what more compute would take off it.

A token's loss is that with all layers small; its gap is that loss less the oracle's at some budget, both in nats. The
oracle takes the best of many routes, so part of the gap is selection bias. The same numbers are therefore also given
for all layers big, where nothing is chosen.
"""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from duo import seeds, stats
from duo.data import token_classes
from duo.stats import Intervals, Statistic, Study
from duo.tables.studies import DIFFICULTY, DIFFICULTY_CLASSES, DIFFICULTY_HISTOGRAM, DIFFICULTY_STATISTICS

log = logging.getLogger(__name__)

HIGH = 80  # percentile of a domain's losses from which on a loss is high
NO_GAIN = 0.1  # a gap below this share of the loss is none
WIDTH = 0.5  # nats: cells of the joint histogram
DOCUMENTS = 5  # a class that fewer documents have, if there are as many, is left out: its interval would be too narrow
LINES = 5  # line starts that make a passage worth showing

WITHOUT_GAIN = Statistic(
    "share_without_gain", "oracle", words="share of the tokens of high loss that gain nothing from the oracle"
)
WITHOUT_GAIN_ALL_BIG = Statistic(
    "share_without_gain", "all_big", words="share of the tokens of high loss that gain nothing from all layers big"
)
LOSS_GAP_RANK = Statistic(
    "rank_correlation", "gap", "loss", words="rank correlation of a token's gap with its loss, all layers small"
)


def line_start(measure: str) -> Statistic:
    """How much more loss, gap or relative_gap (gap over loss) tokens that start a line have than all others."""
    measured = {"loss": "loss, all layers small", "gap": "gap", "relative_gap": "gap as a share of the loss"}[measure]
    words = f"{measured}: tokens that start a line, less all others"
    return Statistic(f"{measure}_difference", "line_starts", "other_tokens", words=words)


_LOSSES = ("all_small", "all_big", "oracle", "gap")


@dataclass(frozen=True)
class ClassMean:
    """Key of a mean over the tokens of a class: of `loss`, all layers small, or of `gap`."""

    measure: str
    token_class: str


def token_losses(model: str, domain: str, small: pa.Table, big: pa.Table, oracle: pa.Table) -> pa.Table:
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


def describe(
    losses: pa.Table, documents: pa.Table, tokenizer: Tokenizer, language: str | None
) -> tuple[pa.Table, dict[str, token_classes.DescribedTokens]]:
    """DIFFICULTY, from `token_losses`, and every document's described tokens by its id.

    documents as DOCUMENTS of the domain. One that isn't of its language gets the classes of text, and the log says how
    many.
    """
    counts = pc.value_counts(losses["document"])  # in order of appearance
    texts = dict(zip(documents["id"].to_pylist(), documents["text"].to_pylist(), strict=True))
    described, foreign = {}, 0
    for document, count in zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True):
        text = texts[document]
        offsets = tokenizer.encode(text, add_special_tokens=False).offsets[:count]
        try:
            described[document] = token_classes.describe(text, offsets, language)
        except token_classes.NotPython:
            described[document] = token_classes.describe(text, offsets, None)
            foreign += 1
    if foreign:
        words = "%s: %d of %d documents are not %s; their tokens get the classes of text"
        log.info(words, losses["domain"][0].as_py(), foreign, len(described), language)
    classes = [name for tokens in described.values() for name in tokens.classes]
    line_starts = [starts for tokens in described.values() for starts in tokens.line_starts]
    table = losses.append_column("class", pa.array(classes)).append_column("line_start", pa.array(line_starts))
    return table, described


class TokenDifficulty(Study):
    """One domain's DIFFICULTY: how loss and gap go together, where lines start and by class of token."""

    stream = ("difficulty",)

    def __init__(self, table: pa.Table) -> None:
        self.ids = {name: table[name][0].as_py() for name in ("model", "domain")}
        self.table = table
        self.by_cluster = stats.Clusters(table["document"].to_numpy(zero_copy_only=False))
        self.clusters = len(self.by_cluster)
        self.loss, self.big, _, self.gap = (table[name].to_numpy().astype(np.float64) for name in _LOSSES)
        self.line_starts = table["line_start"].to_numpy(zero_copy_only=False)
        classes = table["class"].to_numpy(zero_copy_only=False)
        masks = {str(name): classes == name for name in np.unique(classes)}
        self.classes = {name: tokens for name, tokens in masks.items() if self._enough(tokens)}

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        """Statistics, and class means by ClassMean, each [replicates], under weights [replicates, documents].

        What is high and what rank a token has is settled on the full sample; only documents are drawn anew.
        """
        mean, everything = self.by_cluster.mean, np.ones(len(self.loss), bool)
        high = self.loss >= np.percentile(self.loss, HIGH)
        numbers = {
            WITHOUT_GAIN: mean(weights, self.gap < NO_GAIN * self.loss, high),
            WITHOUT_GAIN_ALL_BIG: mean(weights, self.loss - self.big < NO_GAIN * self.loss, high),
            LOSS_GAP_RANK: self.by_cluster.rank_correlation(weights, self.loss, self.gap, everything),
        }
        for name, tokens in self.classes.items():
            numbers[ClassMean("loss", name)] = mean(weights, self.loss, tokens)
            numbers[ClassMean("gap", name)] = mean(weights, self.gap, tokens)
        return numbers | self._line_starts(weights)

    def _line_starts(self, weights: np.ndarray) -> stats.Numbers:
        """Tokens that start a line, less all others; nothing where too few documents have either."""
        lines, rest = self.line_starts, ~self.line_starts
        if not (self._enough(lines) and self._enough(rest)):
            return {}
        loss, gap = (
            [self.by_cluster.mean(weights, values, tokens) for tokens in (lines, rest)]
            for values in (self.loss, self.gap)
        )
        return {
            line_start("loss"): loss[0] - loss[1],
            line_start("gap"): gap[0] - gap[1],
            # A ratio of means, not a mean of ratios: a loss near zero must not rule.
            line_start("relative_gap"): gap[0] / loss[0] - gap[1] / loss[1],
        }

    def _enough(self, tokens: np.ndarray) -> bool:
        return self.by_cluster.enough(tokens, DOCUMENTS)

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        return {
            DIFFICULTY: self.table,
            DIFFICULTY_HISTOGRAM: self._histogram(),
            DIFFICULTY_CLASSES: self._class_means(estimates),
            DIFFICULTY_STATISTICS: self.rows(estimates, Statistic),
        }

    def _class_means(self, estimates: Intervals) -> list[dict[str, Any]]:
        """Rows of DIFFICULTY_CLASSES, the class of highest mean loss first."""
        rows = []
        for name, tokens in self.classes.items():
            row = self.ids | {"class": name, "tokens": int(tokens.sum())}
            for measure in ("loss", "gap"):
                row |= stats.ends(measure, estimates[ClassMean(measure, name)])
            rows.append(row)
        return sorted(rows, key=lambda row: -row["loss"])

    def _histogram(self) -> list[dict[str, Any]]:
        """Rows of DIFFICULTY_HISTOGRAM."""
        cells = np.floor(np.stack([self.loss, self.gap], axis=1) / WIDTH)
        corners, counts = np.unique(cells, axis=0, return_counts=True)
        return [
            self.ids | {"loss": loss, "gap": gap, "width": WIDTH, "tokens": count}
            for (loss, gap), count in zip((corners * WIDTH).tolist(), counts.tolist(), strict=True)
        ]


def passage(
    table: pa.Table, described: dict[str, token_classes.DescribedTokens], documents: pa.Table, length: int, seed: int
) -> dict[str, Any]:
    """An entry of PASSAGES: the first `length` tokens of a document drawn by seed, one with several line starts if
    there are any.

    table and `described` as `describe` gives them, documents as DOCUMENTS.
    """
    domain, names = table["domain"][0].as_py(), list(described)
    shuffled = [names[index] for index in seeds.stream(seed, "passage", domain).permutation(len(names))]
    document = max(shuffled, key=lambda name: min(sum(described[name].line_starts[:length]), LINES))
    rows = table.filter(pc.equal(table["document"], document)).slice(0, length)
    losses = rows.select(["all_small", "oracle", "gap"]).to_pylist()
    origin = documents.filter(pc.equal(documents["id"], document)).select(["source", "licence"]).to_pylist()[0]
    tokens = [
        {"text": text, "loss": row["all_small"], "oracle": row["oracle"], "gap": row["gap"]}
        for text, row in zip(described[document].pieces, losses, strict=False)
    ]
    return {"domain": domain, "document": document} | origin | {"tokens": tokens}
