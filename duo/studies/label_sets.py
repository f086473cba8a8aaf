"""The studies of what the oracle chooses, each asked of the true labels and of others at the same tokens.

Which of their statistics are more than luck, duo.studies.excess says; this module makes the studies of every set of
labels from the tables.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product

import pyarrow as pa
import pyarrow.compute as pc

from duo.routes import RouteSpace
from duo.stats import Study
from duo.studies import difficulty, oracle_curves, schedules
from duo.studies.excess import Excess
from duo.terms import TRUE

Selections = Mapping[int, pa.Table]  # SELECTIONS by budget, on one set of labels
Sets = Mapping[str, Sequence[Selections]]  # by labels, as in duo.studies.excess


def sets_of(true: Selections, others: pa.Table) -> Sets:
    """Every set of labels, from SELECTIONS by budget and LABEL_SELECTIONS."""
    sets: dict[str, list[Selections]] = {TRUE: [true]}
    for labels in others["labels"].unique().to_pylist():
        part = others.filter(pc.equal(others["labels"], labels))
        for sample in sorted(part["sample"].unique().to_pylist()):
            one = part.filter(pc.equal(part["sample"], sample))
            sets.setdefault(labels, []).append({k: one.filter(pc.equal(one["budget"], k)) for k in true})
    return sets


def gather(
    sets: Sets, described: pa.Table, space: RouteSpace, ends: Sequence[int], gap_budget: int
) -> Iterator[Excess]:
    """Of every model and domain, what the oracle's depth biases, schedules and difficulties have beyond luck.

    described: DIFFICULTY, of any model; ends: budgets at a sequence's first and last token; gap_budget: of the oracle
    that the gap is measured with.
    """
    first, last = ends
    yield from depths(sets, space)
    yield from _asked(sets, lambda selections: schedules.gather(selections, first, last))
    yield from _asked(sets, lambda selections: _difficulties(selections, described, (0, space.layers, gap_budget)))


def depths(sets: Sets, space: RouteSpace) -> Iterator[Excess]:
    """Of every model and domain, what the oracle's depth biases alone have beyond luck."""
    yield from _asked(sets, lambda selections: oracle_curves.big_layers(selections, space))


def _asked(sets: Sets, question: Callable[[Selections], Sequence[Study]]) -> Iterator[Excess]:
    """One question, which gives a study of every model and domain, asked of all sets."""
    asked = {
        labels: [{tuple(study.ids.values()): study for study in question(selections)} for selections in each]
        for labels, each in sets.items()
    }
    for of in asked[TRUE][0]:
        yield Excess({labels: [studies[of] for studies in each] for labels, each in asked.items()})


def _difficulties(selections: Selections, described: pa.Table, budgets: Sequence[int]) -> list[Study]:
    """The difficulties of every model and domain; budgets: none, all, and that of the gap."""
    tables = [selections[budget] for budget in budgets]
    studies = []
    for model, domain in product(*(tables[0][name].unique().to_pylist() for name in ("model", "domain"))):
        losses = difficulty.token_losses(model, domain, *tables)
        studies.append(difficulty.TokenDifficulty(difficulty.as_described(losses, described)))
    return studies
