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
from duo.errors import InputError
from duo.stats import Intervals, Statistic, Study
from duo.studies.documents import in_order, part
from duo.tables.studies import DIFFICULTY, DIFFICULTY_CLASSES, DIFFICULTY_HISTOGRAM, DIFFICULTY_STATISTICS

log = logging.getLogger(__name__)

HIGH = 80  # percentile of a domain's losses from which on a loss is high
NO_GAIN = 0.1  # a gap below this share of the loss is none
WIDTH = 0.5  # nats: cells of the joint histogram
CLUSTERS = 5  # a class that fewer clusters have, if there are as many, is left out: its interval would be too narrow
CONTEXT = 64  # tokens before one, in its window, from which on line starts are compared; of a short window half
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
LINE_STARTS = Statistic(
    "line_starts",
    "line_starts",
    "other_tokens",
    words="tokens that start a line: by what part of the mean their loss is higher than that of all others, or their "
    "gap as a share of the loss lower, the less of the two",
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
    parts = [part(table, model, domain) for table in (small, big, oracle)]
    losses = [rows["oracle_loss"].to_numpy() for rows in parts]  # at the ends there is one route, so its loss
    ids = {name: parts[0][name] for name in ("model", "domain", "document", "cluster", "position")}
    return pa.table(ids | dict(zip(_LOSSES, [*losses, losses[0] - losses[2]], strict=True)))


def as_described(losses: pa.Table, described: pa.Table) -> pa.Table:
    """DIFFICULTY of another model, or of other labels, at the same places.

    losses: `token_losses` of one domain; described: DIFFICULTY, which says class and line starts of the true labels, of
    any one model in this domain.
    """
    domain = described.filter(pc.equal(described["domain"], losses["domain"][0]))
    described = in_order(domain.filter(pc.equal(domain["model"], domain["model"][0])))
    if not all(losses[name].equals(described[name]) for name in ("document", "position")):
        raise InputError(f"domain {losses['domain'][0]}: labels at other places than the tokens that are described")
    for name in ("class", "line_start"):
        losses = losses.append_column(name, described[name])
    return losses


def describe(
    losses: pa.Table, windows: pa.Table, documents: pa.Table, tokenizer: Tokenizer, language: str | None
) -> tuple[pa.Table, dict[str, token_classes.DescribedTokens]]:
    """DIFFICULTY, from `token_losses`, and every window's described tokens by the id of its document.

    windows as EVALUATION_SET, documents as DOCUMENTS, of the domain. A document that isn't of its language gets the
    classes of text, and the log says how many.
    """
    counts = pc.value_counts(losses["document"])  # in order of appearance
    texts = dict(zip(documents["id"].to_pylist(), documents["text"].to_pylist(), strict=True))
    starts = dict(zip(windows["document"].to_pylist(), windows["start"].to_pylist(), strict=True))
    described, foreign = {}, 0
    for document, count in zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True):
        text, start = texts[document], starts[document]  # the first that is predicted is the text's token `start`
        offsets = tokenizer.encode(text, add_special_tokens=False).offsets[: start + count]
        try:
            until = token_classes.describe(text, offsets, language)
        except token_classes.NotPython:
            until = token_classes.describe(text, offsets, None)
            foreign += 1
        kinds = (until.pieces, until.classes, until.line_starts)
        described[document] = token_classes.DescribedTokens(*(values[start:] for values in kinds))
    if foreign:
        words = "%s: %d of %d documents are not %s; their tokens get the classes of text"
        log.info(words, losses["domain"][0].as_py(), foreign, len(described), language)
    classes = [name for tokens in described.values() for name in tokens.classes]
    line_starts = [starts_line for tokens in described.values() for starts_line in tokens.line_starts]
    table = losses.append_column("class", pa.array(classes)).append_column("line_start", pa.array(line_starts))
    return table, described


class TokenDifficulty(Study):
    """One domain's DIFFICULTY: how loss and gap go together, where lines start and by class of token."""

    stream = ("difficulty",)

    def __init__(self, table: pa.Table) -> None:
        self.ids = {name: table[name][0].as_py() for name in ("model", "domain")}
        self.table = table
        clusters, position = table["cluster"].to_numpy(), table["position"].to_numpy()
        self._by_cluster, self.clusters = stats.Clusters(clusters), len(np.unique(clusters))
        self.in_context = position >= min(CONTEXT, (position.max() + 1) // 2)
        self.loss, self.big, _, self.gap = (table[name].to_numpy().astype(np.float64) for name in _LOSSES)
        self.line_starts = table["line_start"].to_numpy(zero_copy_only=False)
        classes = table["class"].to_numpy(zero_copy_only=False)
        masks = {str(name): classes == name for name in np.unique(classes)}
        self.classes = {name: tokens for name, tokens in masks.items() if self._enough(tokens)}

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        """Statistics, and class means by ClassMean, each [replicates], under weights [replicates, clusters].

        What is high and what rank a token has is settled on the full sample; only clusters are drawn anew.
        """
        mean, everything = self._by_cluster.mean, np.ones(len(self.loss), bool)
        high = self.loss >= np.percentile(self.loss, HIGH)
        numbers = {
            WITHOUT_GAIN: mean(weights, self.gap < NO_GAIN * self.loss, high),
            WITHOUT_GAIN_ALL_BIG: mean(weights, self.loss - self.big < NO_GAIN * self.loss, high),
            LOSS_GAP_RANK: self._by_cluster.rank_correlation(weights, self.loss, self.gap, everything),
        }
        for name, tokens in self.classes.items():
            numbers[ClassMean("loss", name)] = mean(weights, self.loss, tokens)
            numbers[ClassMean("gap", name)] = mean(weights, self.gap, tokens)
        return numbers | self._line_starts(weights)

    def _line_starts(self, weights: np.ndarray) -> stats.Numbers:
        """Tokens that start a line, less all others, with some context; nothing where too few clusters have either.

        Without context, the first lines of documents alone would be compared: headers, imports and the like.
        """
        lines, rest = (tokens & self.in_context for tokens in (self.line_starts, ~self.line_starts))
        if not (self._enough(lines) and self._enough(rest)):
            return {}
        loss, gap = (
            [self._by_cluster.mean(weights, values, tokens) for tokens in (lines, rest, self.in_context)]
            for values in (self.loss, self.gap)
        )
        relative = np.divide(gap, loss)  # of means, not a mean of ratios: a loss near zero must not rule
        return {
            line_start("loss"): loss[0] - loss[1],
            line_start("gap"): gap[0] - gap[1],
            line_start("relative_gap"): relative[0] - relative[1],
            LINE_STARTS: np.minimum(_part(loss[0] - loss[1], loss[2]), _part(relative[1] - relative[0], relative[2])),
        }

    def _enough(self, tokens: np.ndarray) -> bool:
        return self._by_cluster.enough(tokens, CLUSTERS)

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


def _part(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """[replicates] part of a whole; 0 where there is none."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def passage(
    table: pa.Table, described: dict[str, token_classes.DescribedTokens], documents: pa.Table, length: int, seed: int
) -> dict[str, Any]:
    """An entry of PASSAGES: the first `length` tokens of a window drawn by seed, one with several line starts if there
    are any.

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
