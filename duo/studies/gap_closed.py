"""How much of what a router could gain each router does gain, on the held-out tokens: curves, differences and shares,
with intervals.

The share of the attainable gap closed is (fixed - router) / (fixed - ceiling), losses at exactly a budget: fixed is
the best route of the domain, chosen on training documents as the routers learn from them; the ceiling is the loss of
the routes that the first teacher's predictions prefer, which no label tells it. All are of the same tokens and
replicates.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import exp
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import seeds, stats
from duo.errors import InputError
from duo.routes import RouteSpace
from duo.settings import OneRouter
from duo.studies import router_curves
from duo.tables import files
from duo.terms import AVERAGE, BIG, CEILING, EXACT, FIXED, ISOLATED, JOINT, NONE, PAPER, RANDOM


class Entry(NamedTuple):
    """What a row of POLICY_ROUTES belongs to."""

    policy: str
    input: str
    network: str
    constraint: str
    budget: int

    @property
    def kind(self) -> tuple[str, str, str]:
        return self[:3]


@dataclass(frozen=True)
class Domain:
    """One domain, summed by document, documents in order of id."""

    model: str
    name: str
    tokens: np.ndarray  # [documents]
    losses: dict[tuple[Entry, str], np.ndarray]  # by entry and isolated or joint, [documents] nats
    big: dict[Entry, np.ndarray]  # [documents] big layers
    chosen: set[tuple[str, str, str]]  # policy, input, network: the best of a policy's on validation

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        """Losses by (entry, kind), "from fixed" and, where exact, "share" of it; big layers by ("big", entry);
        statistics by name.
        """
        tokens = stats.weighted_sums(weights, self.tokens)
        means = {key: stats.weighted_sums(weights, sums) / tokens for key, sums in self.losses.items()}
        found = dict(means) | {
            ("big", entry): stats.weighted_sums(weights, used) / tokens for entry, used in self.big.items()
        }
        for entry, kind in means:
            fixed, ceiling = (
                means[Entry(policy, NONE, NONE, EXACT, entry.budget), ISOLATED] for policy in (FIXED, CEILING)
            )
            found["from fixed", entry, kind] = means[entry, kind] - fixed
            if entry.constraint == EXACT:
                gap = fixed - ceiling
                found["share", entry, kind] = np.divide(
                    fixed - means[entry, kind], gap, out=np.full_like(gap, np.nan), where=gap != 0
                )
        return found | self._statistics(found)

    def _statistics(self, found: stats.Numbers) -> stats.Numbers:
        """GAP_CLOSED_STATISTICS' numbers by name, of each policy's chosen input and network.

        POLICY_K-fixed_K: losses at exactly K big layers, isolated; POLICY_joint_K-fixed_K: joint;
        POLICY_average_K-fixed_K: isolated, K on average. share_POLICY_K, share_POLICY_joint_K: of the attainable gap.
        A_K-B_K: two that learn from the losses, isolated. spread_K: the highest loss of these less the lowest.
        """
        named = {}
        for _, entry, kind in [key for key in found if key[0] == "from fixed"]:
            if entry.kind in self.chosen and entry.policy != FIXED:
                words = [
                    entry.policy,
                    *([AVERAGE] if entry.constraint == AVERAGE else []),
                    *([JOINT] if kind == JOINT else []),
                ]
                name = "_".join([*words, str(entry.budget)])
                named[f"{name}-{FIXED}_{entry.budget}"] = found["from fixed", entry, kind]
                if entry.constraint == EXACT and entry.policy != CEILING:
                    named[f"share_{name}"] = found["share", entry, kind]
        learned = [kind for kind in sorted(self.chosen) if kind[0] not in (FIXED, RANDOM, CEILING, PAPER)]
        for budget in dict.fromkeys(entry.budget for entry in self.big):
            losses = {kind[0]: found[Entry(*kind, EXACT, budget), ISOLATED] for kind in learned}
            for first, second in combinations(losses, 2):
                named[f"{first}_{budget}-{second}_{budget}"] = losses[first] - losses[second]
            named[f"spread_{budget}"] = np.ptp(list(losses.values()), axis=0)
        return named

    def intervals(self, resamples: int, confidence: float, seed: int) -> dict:
        """`numbers`, each an Interval; what was chosen stays as it was."""
        return stats.intervals(self.numbers, len(self.tokens), resamples, confidence, seeds.stream(seed, "policies"))


def gather(
    model: str,
    layers: int,
    routes: Iterable[pa.Table],
    settings: Iterable[pa.Table],
    luck: pa.Table,
    routers: Mapping[str, OneRouter],
    routed: Mapping[str, pa.Table],
) -> list[Domain]:
    """Every domain of the model, from POLICY_ROUTES, POLICY_SETTINGS, SAMPLED_LABELS, and ROUTED of the routers that
    the paper's way trained.

    InputError where they were scored on other documents than the others.
    """
    big, best = RouteSpace(layers).counts(BIG), _best(settings)
    parts = [_policy_rows(table, big) for table in routes] + [_ceiling_rows(luck, model)]
    own = {name: one for name, one in routers.items() if one.model == model}
    parts += [_paper_rows(routed[name], int(own[name].big)) for name in router_curves.comparable(own)]
    rows = pa.concat_tables(parts)
    budgets = pc.unique(parts[0]["budget"])
    rows = rows.filter(pc.is_in(rows["budget"], budgets))
    return [
        _domain(model, name, rows.filter(pc.equal(rows["domain"], name)), best)
        for name in parts[0]["domain"].unique().to_pylist()
    ]


_IDS = [*Entry._fields, "kind"]


def _policy_rows(table: pa.Table, big: np.ndarray) -> pa.Table:
    """Sums of POLICY_ROUTES by document."""
    table = table.append_column("big", pa.array(big[table["route"].to_numpy()].astype(np.float64)))
    return pa.concat_tables([_sums(table, "loss", ISOLATED), _sums(table, "joint", JOINT)])


def _ceiling_rows(luck: pa.Table, model: str) -> pa.Table:
    """The same of the first teacher's choices."""
    luck = luck.filter(pc.equal(luck["model"], model))
    table = luck.select(["domain", "document", "budget"])
    constants = {"policy": CEILING, "input": NONE, "network": NONE, "constraint": EXACT}
    columns = {"loss": files.matrix(luck["ceiling_loss"])[:, 0], "big": luck["budget"].cast(pa.float64())}
    return _sums(_with(table, constants | columns), "loss", ISOLATED)


def _paper_rows(table: pa.Table, budget: int) -> pa.Table:
    """The same of a router of the paper's, hard and exact: its tokens were routed together."""
    parts = []
    for kind, constraint in {"hard": AVERAGE, "exact": EXACT}.items():
        own = table.filter(pc.equal(table["kind"], kind))
        constants = {
            "policy": PAPER,
            "input": "layers",
            "network": "linear",
            "constraint": constraint,
            "budget": pa.scalar(budget, pa.int32()),
        }
        part = _with(own.select(["domain", "document", "loss"]), constants | {"big": own["big"].cast(pa.float64())})
        parts.append(_sums(part, "loss", JOINT))
    return pa.concat_tables(parts)


def _with(table: pa.Table, columns: Mapping[str, object]) -> pa.Table:
    for name, column in columns.items():
        column = pa.repeat(column, len(table)) if isinstance(column, str | pa.Scalar) else column
        table = table.append_column(
            name, column if isinstance(column, pa.ChunkedArray | pa.Array) else pa.array(column)
        )
    return table


def _sums(table: pa.Table, column: str, kind: str) -> pa.Table:
    """Tokens, sum of losses and of big layers by document and entry, of one kind of loss."""
    keys = [*Entry._fields, "domain", "document"]
    grouped = table.select([*keys, column, "big"]).group_by(keys, use_threads=False)
    found = grouped.aggregate([(column, "sum"), ("big", "sum"), (column, "count")])
    columns = dict(zip([*keys, "loss", "big", "tokens"], found.columns, strict=True))
    return pa.table(
        columns | {"kind": pa.repeat(kind, len(found))}
    )  # anew, as fields that may or may not be empty don't go together


def _best(settings: Iterable[pa.Table]) -> set[tuple[str, str, str]]:
    """Of each policy, the input and network with the lowest validation loss, mean over the budgets met exactly."""
    losses: dict[str, dict[tuple, list[float]]] = {}
    for row in pa.concat_tables(settings).to_pylist():
        if row["constraint"] == EXACT:
            kind = (row["policy"], row["input"], row["network"])
            losses.setdefault(row["policy"], {}).setdefault(kind, []).append(row["validation"])
    best = {min(kinds, key=lambda kind: np.mean(kinds[kind])) for kinds in losses.values()}
    return best | {(CEILING, NONE, NONE), (PAPER, "layers", "linear")}


def _domain(model: str, name: str, rows: pa.Table, chosen: set[tuple[str, str, str]]) -> Domain:
    losses, big, tokens = {}, {}, {}
    for row in rows.sort_by("document").to_pylist():
        entry, kind = Entry(*(row[key] for key in Entry._fields)), row["kind"]
        losses.setdefault((entry, kind), []).append(row["loss"])
        tokens.setdefault((entry, kind), []).append((row["document"], row["tokens"]))
        if kind == ISOLATED or entry.policy == PAPER:
            big.setdefault(entry, []).append(row["big"])
    first = next(iter(tokens.values()))
    for (entry, _), own in tokens.items():
        if own != first:
            raise InputError(
                f"{entry.policy} at budget {entry.budget}: scored on other documents of domain {name!r} than the others; run the stages "
                "enumerate, luck, router and policies"
            )
    arrays = ({key: np.array(values) for key, values in each.items()} for each in (losses, big))
    return Domain(model, name, np.array([count for _, count in first]), *arrays, chosen)


def curves(domain: Domain, found: dict) -> pa.Table:
    """GAP_CLOSED_CURVES of a domain; `found` from Domain.intervals."""
    rows = []
    for entry, kind in domain.losses:
        loss, gain = found[entry, kind], found["from fixed", entry, kind]
        share = found.get(("share", entry, kind), stats.Interval(*[float("nan")] * 3))
        row = {
            "model": domain.model,
            "domain": domain.name,
            **entry._asdict(),
            "kind": kind,
            "chosen": entry.kind in domain.chosen,
        }
        row |= {"big": found["big", entry].value, **loss._asdict(), "perplexity": exp(loss.value)}
        row["loss"] = row.pop("value")
        for name, each in {"from_fixed": gain, "share": share}.items():
            row |= {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}
        rows.append(row)
    return pa.Table.from_pylist(rows)


def statistics(domain: Domain, found: dict) -> pa.Table:
    """GAP_CLOSED_STATISTICS of a domain; `found` from Domain.intervals."""
    ids = {"model": domain.model, "domain": domain.name}
    return pa.Table.from_pylist(
        [ids | {"name": name, **each._asdict()} for name, each in found.items() if isinstance(name, str)]
    )
