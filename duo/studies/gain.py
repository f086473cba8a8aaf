"""What the oracle gains, and what is left of it once luck is taken off; with intervals over documents.

At budget k, with L the loss of the route whose predictions the null's labels are sampled from (params
sampled_labels.reference), in nats a token:

    gain(k)            L on the true labels, less the oracle's loss on them
    null gain(k)       L on the sampled labels, less the oracle's loss on them, mean over the draws: all of it luck
    luck(k)            on the sampled labels, loss of the routes that the predictions they are sampled from prefer,
                       less the oracle's loss
    corrected loss(k)  the oracle's loss on the true labels, plus luck(k)
    normalised loss(k) the oracle's loss plus log Z, where Z is the sum over the vocabulary of the highest probability
    of any route
    ceiling(k)         loss, on the true labels, of the routes that a teacher's predictions prefer
    calibration        L on the sampled labels, less L on the true ones; below 0 where its predictions are too sure of
                       themselves. The sampled
                       labels are then more foreseeable than the true ones, and leave less to luck than these do

Gain less null gain is 0 in expectation if the true labels came from those predictions too. But L has no budget to
keep to: at k = 0, without any choice, both are what all layers small lose against L, and differ where they lose less
on the true labels. SampledLabels(k) is of choosing alone, 0 where there is no choice; on sampled labels nobody can
choose better without the label than by the predictions that these come from. Nor is the corrected loss what a router
could get: who knows more needs luck less, so what is known and luck don't add up, and a ceiling may be lower. All are
of the same documents, replicate by replicate.

A statistic NAME of the true labels has beside it null_NAME, the same of the sampled labels, and corrected_NAME, what
is left when luck is taken off: for what is read off the oracle's curve the same read off the corrected loss (see
`contrasts`), for leans the difference of the two, for tokens without gain see `without_gain`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import exp

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import seeds, stats
from duo.routes import RouteSpace
from duo.settings import SampledLabels
from duo.studies import oracle_curves
from duo.studies.difficulty import HIGH, NO_GAIN
from duo.tables import files
from duo.terms import BIG, DIFFERENCE, SAMPLED, TRUE

SOURCE, NULL_SOURCE = (
    ("source", None),
    ("null_source", None),
)  # the route that labels are sampled from, on true and on sampled ones
BANDS = 20  # of equally many sampled labels, by loss: luck of a true label is that of the sampled ones in its band


@dataclass(frozen=True)
class Domain:
    """One model's tokens of one domain, summed by document, documents in order of id."""

    evaluated: oracle_curves.Domain
    settings: SampledLabels
    losses: dict[tuple[str, int | None], np.ndarray]  # (strategy, budget), SOURCE or NULL_SOURCE: [documents] nats
    big: dict[tuple[str, int], np.ndarray]  # (labels, budget): [documents, layers] tokens whose oracle route is big
    heat: dict[
        tuple[str, int], np.ndarray
    ]  # (labels, budget): [layers, positions] share of documents whose oracle route is big
    without_gain: dict[
        str, Callable[[np.ndarray], np.ndarray]
    ]  # by statistic: [replicates] from weights [replicates, documents]

    @property
    def budgets(self) -> list[int]:
        return list(self.evaluated.budgets)

    @property
    def layers(self) -> int:
        return next(iter(self.big.values())).shape[1]

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        """Losses by (strategy, budget), shares of big by (labels, budget, layer), statistics by name, each
        [replicates].
        """
        tokens = stats.weighted_sums(weights, self.evaluated.tokens)
        losses = {key: stats.weighted_sums(weights, sums) / tokens for key, sums in self.losses.items()}
        evaluated = self.evaluated.numbers(weights)
        for budget in self.budgets:
            losses["fixed", budget] = evaluated["fixed", budget]
            losses["corrected", budget] = losses["oracle", budget] + losses["foreseen", budget] - losses["null", budget]
        shares = {key: stats.weighted_sums(weights, sums).T / tokens for key, sums in self.big.items()}
        for budget in self.budgets:
            shares[DIFFERENCE, budget] = shares[TRUE, budget] - shares[SAMPLED, budget]
        named = self._gains(losses) | self._contrasts(losses) | leans(shares)
        named |= {name: share(weights) for name, share in self.without_gain.items()}
        return (
            losses | {(*key, layer): share for key, each in shares.items() for layer, share in enumerate(each)} | named
        )

    def _gains(self, losses: stats.Numbers) -> stats.Numbers:
        """Gains and ceilings by name, at the budgets that leave a choice."""
        found = {"calibration": losses[NULL_SOURCE] - losses[SOURCE]}
        for k in (budget for budget in self.budgets if 0 < budget < self.layers):
            gain, null = losses[SOURCE] - losses["oracle", k], losses[NULL_SOURCE] - losses["null", k]
            found |= {
                f"gain_{k}": gain,
                f"null_gain_{k}": null,
                f"gain-null_gain_{k}": gain - null,
                f"luck_share_{k}": null / gain,
            }
            found[f"luck_{k}"] = losses["foreseen", k] - losses["null", k]
            others = ("corrected", "fixed", "normalised")
            found |= {
                f"{strategy}-{self.settings.route}_{k}": losses[strategy, k] - losses[SOURCE] for strategy in others
            }
            for teacher in self.settings.teachers:
                ceiling = losses[f"ceiling_{teacher}", k]
                found[f"ceiling_{teacher}-fixed_{k}"] = ceiling - losses["fixed", k]
                found[f"ceiling_{teacher}-{self.settings.route}_{k}"] = ceiling - losses[SOURCE]
        return found

    def _contrasts(self, losses: stats.Numbers) -> stats.Numbers:
        """`contrasts` of the true labels, of the sampled ones and of the corrected loss, by name."""
        curves = {
            name: {budget: losses[name, budget] for budget in self.budgets} for name in ("oracle", "null", "corrected")
        }
        best = np.stack(list(curves["oracle"].values())).argmin(axis=0)
        prefixes = {"oracle": "", "null": "null_", "corrected": "corrected_"}
        return {
            f"{prefixes[name]}{contrast}": values
            for name, curve in curves.items()
            for contrast, values in contrasts(curve, best, self.layers).items()
        }

    def intervals(self, resamples: int, confidence: float, seed: int) -> dict:
        """`numbers`, each an Interval; from the replicates of the stage evaluate, whose numbers the claims rest on."""
        rng = seeds.stream(seed, "evaluate")
        return stats.intervals(self.numbers, len(self.evaluated.tokens), resamples, confidence, rng)


def summarise(
    luck: pa.Table, evaluated: oracle_curves.Domain, space: RouteSpace, settings: SampledLabels, difficulty: int
) -> Domain:
    """The domain of `evaluated`, from SAMPLED_LABELS, which have come by the settings; difficulty is the budget of
    the gap in C15.
    """
    part = luck.filter(pc.and_(pc.equal(luck["model"], evaluated.model), pc.equal(luck["domain"], evaluated.name)))
    part = part.sort_by([("budget", "ascending"), ("document", "ascending"), ("position", "ascending")])
    by_budget = {budget: part.filter(pc.equal(part["budget"], budget)) for budget in evaluated.budgets}
    names = by_budget[0]["document"].to_numpy()
    clusters = stats.Clusters(names)
    losses, big, heat = {}, {}, {}
    for budget, rows in by_budget.items():
        columns = _losses(rows, settings.teachers)
        losses |= {(strategy, budget): clusters.sums(values) for strategy, values in columns.items()}
        for kind, routes in {
            TRUE: rows["oracle_route"].to_numpy()[:, None],
            SAMPLED: files.matrix(rows["null_route"]),
        }.items():
            chosen = space.big(routes).mean(axis=1)
            big[kind, budget] = np.stack([clusters.sums(layer) for layer in chosen.T], axis=1)
            position = rows["position"].to_numpy()
            heat[kind, budget] = np.stack([np.bincount(position, layer) for layer in chosen.T]) / np.bincount(position)
        heat[DIFFERENCE, budget] = heat[TRUE, budget] - heat[SAMPLED, budget]
    true, sampled = (
        [_labels(by_budget[budget], column) for budget in (0, difficulty)] for column in ("oracle_loss", "null_loss")
    )
    source, null_source = (_labels(by_budget[0], column) for column in ("reference_loss", "null_reference_loss"))
    losses |= {SOURCE: clusters.sums(source[:, 0]), NULL_SOURCE: clusters.sums(null_source.mean(axis=1))}
    luck_of_draws = _labels(by_budget[difficulty], "null_label_free_loss") - sampled[1]
    return Domain(evaluated, settings, losses, big, heat, without_gain(true, sampled, luck_of_draws, names))


def _losses(rows: pa.Table, teachers: Sequence[str]) -> dict[str, np.ndarray]:
    """Losses [tokens] in nats by strategy, from SAMPLED_LABELS at one budget."""
    oracle = rows["oracle_loss"].to_numpy().astype(np.float64)
    ceilings = files.matrix(rows["ceiling_loss"]).T
    found = {"oracle": oracle, "null": files.matrix(rows["null_loss"]).mean(axis=1, dtype=np.float64)}
    found["foreseen"] = files.matrix(rows["null_label_free_loss"]).mean(axis=1, dtype=np.float64)
    found["normalised"] = oracle + rows["log_normaliser"].to_numpy()
    return found | {f"ceiling_{teacher}": ceiling for teacher, ceiling in zip(teachers, ceilings, strict=True)}


def _labels(rows: pa.Table, column: str) -> np.ndarray:
    """A column of losses of SAMPLED_LABELS, [tokens, labels]: one true label a token, or its draws."""
    listed = pa.types.is_fixed_size_list(rows[column].type)
    return (files.matrix(rows[column]) if listed else rows[column].to_numpy()[:, None]).astype(np.float64)


def without_gain(
    true: Sequence[np.ndarray], sampled: Sequence[np.ndarray], luck: np.ndarray, documents: np.ndarray
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """C15: share of the labels of high loss that have no gain, by statistic, as functions of weights [replicates,
    documents].

    true and sampled: losses with all layers small and of the oracle, nats, [tokens, labels] each; luck, of sampled's
    shape: of each sampled label; documents [tokens] ids. High is the top fifth of the losses, and a gap between the
    two below a tenth of the loss is no gain, as in duo.studies.difficulty. corrected_ takes off a true label's gap
    the luck that sampled labels of like loss have: its loss times their mean luck over their mean loss. All of this
    is settled on the full sample.
    """
    small, oracle = true
    corrected = small, oracle + small * _luck_of_like(small, sampled[0], luck)
    shares = {}
    for name, (loss, best) in {"": true, "null_": sampled, "corrected_": corrected}.items():
        clusters = stats.Clusters(np.repeat(documents, loss.shape[1]))
        high = (loss >= np.percentile(loss, HIGH)).ravel()
        none = (loss - best < NO_GAIN * loss).ravel()
        shares[f"{name}high_loss_no_gain"] = partial(clusters.mean, values=none, tokens=high)
    return shares


def _luck_of_like(loss: np.ndarray, drawn_loss: np.ndarray, luck: np.ndarray) -> np.ndarray:
    """Mean luck over mean loss of the sampled labels in the band of each loss, of loss's shape."""
    edges = np.quantile(drawn_loss, np.arange(1, BANDS) / BANDS)
    band = np.searchsorted(edges, drawn_loss.ravel())
    losses, lucks = (np.bincount(band, values.ravel(), minlength=BANDS) for values in (drawn_loss, luck))
    return np.divide(lucks, losses, out=np.zeros(BANDS), where=losses > 0)[np.searchsorted(edges, loss)]


def contrasts(curve: dict[int, np.ndarray], best: np.ndarray, layers: int) -> stats.Numbers:
    """What claims C2 and C3 compare, named as in evaluate.contrasts, on a curve of losses [replicates] by budget.

    best: index [replicates] of the budget at which the oracle is best on true labels. Were it sought on the corrected
    loss itself, the lowest of what is left would lie below both ends by chance alone.
    """
    budgets, losses = list(curve), np.stack(list(curve.values()))
    at_best, half = losses[best, np.arange(len(best))], layers // 2
    found = {"oracle_budget": np.array(budgets, np.float64)[losses.argmin(axis=0)]}
    found |= {"oracle_best-all_small": at_best - curve[0], "oracle_best-all_big": at_best - curve[layers]}
    if 1 in curve:
        found["oracle_1-all_big"] = curve[1] - curve[layers]
    if half in curve:
        found["oracle_half-best_other"] = oracle_curves.less_best_other(losses, budgets.index(half))
    return found


def leans(shares: dict[tuple[str, int], np.ndarray]) -> stats.Numbers:
    """Leans [replicates] of C7 to C9 by name, from shares of big [layers, replicates] by (labels, budget)."""
    prefixes = {TRUE: "", SAMPLED: "null_", DIFFERENCE: "corrected_"}
    return {
        f"{prefixes[labels]}lean_{k}": oracle_curves.lean(share)
        for (labels, k), share in shares.items()
        if 0 < k < len(share)
    }


def curves(domain: Domain, found: dict) -> pa.Table:
    """GAIN_CURVES of one domain; the route that labels are sampled from stands once, at its number of big layers."""
    strategies = [
        "oracle",
        "null",
        "corrected",
        "normalised",
        "fixed",
        *(f"ceiling_{teacher}" for teacher in domain.settings.teachers),
    ]
    listed = [(strategy, budget, found[strategy, budget]) for strategy in strategies for budget in domain.budgets]
    space = RouteSpace(domain.layers)
    source = space.counts(BIG)[space.named(domain.settings.reference)]
    rows = []
    for name, budget, loss in [*listed, (domain.settings.route, int(source), found[SOURCE])]:
        row = {"strategy": name, "budget": budget, "loss": loss.value, "low": loss.low, "high": loss.high}
        rows.append(row | {"perplexity": exp(loss.value)})
    return _table(domain, rows)


def statistics(domain: Domain, found: dict) -> pa.Table:
    """GAIN_STATISTICS of one domain."""
    return _table(domain, [{"name": name, **found[name]._asdict()} for name in found if isinstance(name, str)])


def heat_maps(domain: Domain) -> pa.Table:
    """GAIN_HEAT_MAPS of one domain."""
    tables = []
    for (labels, budget), heat in domain.heat.items():
        layers, positions = heat.shape
        cells = {"layer": np.repeat(np.arange(layers), positions), "position": np.tile(np.arange(positions), layers)}
        ids = domain.evaluated.ids(heat.size) | {"labels": [labels] * heat.size, "budget": np.full(heat.size, budget)}
        tables.append(pa.table(ids | cells | {"share": heat.ravel()}))
    return pa.concat_tables(tables)


def layer_shares(domain: Domain, found: dict) -> pa.Table:
    """GAIN_LAYERS of one domain."""
    rows = []
    for labels, budget in domain.heat:
        for layer in range(domain.layers):
            share = found[labels, budget, layer]
            rows.append(
                {
                    "labels": labels,
                    "budget": budget,
                    "layer": layer,
                    "share": share.value,
                    "low": share.low,
                    "high": share.high,
                }
            )
    return _table(domain, rows)


def _table(domain: Domain, rows: list[dict]) -> pa.Table:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return pa.table(domain.evaluated.ids(len(rows)) | columns)
