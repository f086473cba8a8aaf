"""The paper's claims as tests of statistics, and the rule that turns intervals into verdicts. Both were fixed before
the results.

A test names a statistic and where its interval must lie. It holds where the whole interval lies there, fails where
the whole interval lies on the other side, and is undecided otherwise. For one model and domain, a claim holds where
all its tests hold, fails where any fails, and is undecided otherwise. Over the models that a statistic is of (seeds,
and models trained in other ways), a claim holds where it holds for every model, fails where it fails for every model,
and is undecided otherwise. Every interval has the experiment's confidence, of one test at a time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pyarrow as pa

from duo.errors import InputError
from duo.tables.report import REPORT
from duo.tables.studies import (
    ABLATION_STATISTICS,
    DIFFICULTY_STATISTICS,
    ORACLE_STATISTICS,
    ROUTER_STATISTICS,
    SCHEDULE_STATISTICS,
    SKIP_STATISTICS,
)

HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"
EVEN = 0.05  # a lean, in shares of big, that is as good as none
SOME = 0.01  # share of the high-loss tokens that counts as "some"
SOURCES = {
    "evaluate": ORACLE_STATISTICS,
    "skips": SKIP_STATISTICS,
    "schedules": SCHEDULE_STATISTICS,
    "difficulty": DIFFICULTY_STATISTICS,
    "routing": ROUTER_STATISTICS,
    "ablation": ABLATION_STATISTICS,
}


@dataclass(frozen=True)
class Test:
    """What a statistic should be for a claim to hold.

    source: a key of SOURCES. name: of the statistic, or a pattern with `*` for several, each of which is tested.
    side: "<" or ">" of the bound, or "within", for an interval between -bound and bound. needs: what the experiment
    or the domain must have for the statistic to exist; `there`: whether the experiment has it, so that a statistic
    that is missing all the same is an error.
    """

    source: str
    name: str
    side: str
    bound: float = 0.0
    needs: str = ""
    there: bool = True

    def verdict(self, low: float, high: float) -> str:
        bound = self.bound
        inside, outside = {
            "<": (high < bound, low > bound),
            ">": (low > bound, high < bound),
            "within": (-bound < low and high < bound, low > bound or high < -bound),
        }[self.side]
        return HOLDS if inside else FAILS if outside else UNDECIDED

    @property
    def supports(self) -> str:
        return f"{self.side} {'±' if self.side == 'within' else ''}{self.bound:g}"


@dataclass(frozen=True)
class Claim:
    name: str
    words: str
    figure: str  # name of the picture that it rests on
    tests: tuple[Test, ...]


@dataclass(frozen=True)
class Scope:
    """What the experiment has, as far as it decides which statistics there are."""

    layers: int
    budgets: Sequence[int]  # of the oracle
    routers: int  # how many of one model and mix choose small or big at whole budgets, and so can be compared with the oracle
    skipping: bool  # whether any router may skip
    dense: Sequence[float]  # chances of the big FFN at which a dense model stands beside Duo
    frozen: bool  # whether a model with small FFNs added to frozen others does


@dataclass(frozen=True)
class Model:
    """What a verdict says of the model that it is about."""

    seed: int
    kin: tuple[str, ...]  # the models that differ from this one by their seed alone, itself included


def claims(scope: Scope) -> list[Claim]:
    """C1 to C19, with budgets as shares of the layers: the paper's 4, 6 and 8 of 12 are a third, a half and two
    thirds of them.
    """
    layers, third, half = scope.layers, scope.layers // 3, scope.layers // 2

    def at(name: str, side: str, *budgets: int, bound: float = 0.0) -> Test:
        needs = f"oracle.budgets {', '.join(map(str, budgets))}" if budgets else ""
        return Test("evaluate", name, side, bound, needs, set(budgets) <= set(scope.budgets))

    def lean(budget: int, side: str, bound: float = 0.0) -> Test:
        there = budget in scope.budgets and 0 < budget < layers
        return Test(
            "evaluate",
            f"lean_{budget}",
            side,
            bound,
            f"budget {budget} of oracle.budgets, between none and all layers",
            there,
        )

    def compared(name: str, side: str, count: int) -> Test:
        needs = f"{count} or more routers of small and big, at whole budgets, of a model and mix"
        return Test("routing", name, side, needs=needs, there=scope.routers >= count)

    def skipping(name: str, side: str) -> Test:
        return Test("routing", name, side, needs="a router that may skip", there=scope.skipping)

    def ablation(name: str, side: str, *chances: float) -> Test:
        there = set(chances) <= set(scope.dense)
        return Test(
            "ablation",
            name,
            side,
            needs=f"dense models of Duo's FLOPs at p_big {', '.join(map(str, chances))}",
            there=there,
        )

    def line_start(name: str, side: str) -> Test:
        return Test("difficulty", name, side, needs="line starts in the domain's text", there=False)

    listed = [
        (
            "The oracle, which chooses for each token, is far below the best of 100 random routes.",
            "figure-4a",
            at("oracle-random_all", "<"),
            at("oracle-random_token", "<"),
        ),
        (
            "The oracle's loss falls with the budget, is lowest at half of the layers big, and rises again.",
            "figure-4b",
            at("oracle_best-all_small", "<", 0),
            at("oracle_best-all_big", "<", layers),
            at("oracle_half-best_other", "<", half),
        ),
        (
            "The oracle with a single big layer is below the model with all layers big.",
            "figure-4b",
            at("oracle_1-all_big", "<", 1, layers),
        ),
        (
            "The best fixed route gets better as the budget grows.",
            "figure-4b",
            at("fixed_slope", "<"),
            at("fixed_all_big-best_other", "<", layers),
        ),
        ("The trained router gets better as the budget grows.", "figure-4b", compared("router_slope", "<", 2)),
        (
            "The trained router is nearer to the best fixed route than to the oracle.",
            "figure-4a",
            compared("router_nearer_fixed", "<", 1),
        ),
        ("With a third of the layers big, the oracle prefers later layers.", "figure-2", lean(third, ">")),
        ("With half of the layers big, the oracle spreads them evenly.", "figure-2", lean(half, "within", EVEN)),
        (
            "With two thirds of the layers big, the oracle prefers earlier layers.",
            "figure-2",
            lean(layers - third, "<"),
        ),
        (
            "With big or skip, the oracle keeps and skips the same layers consistently, in no order of early exit.",
            "figure-2d",
            Test("skips", "consistency", ">"),
            Test("skips", "early_exit", "<"),
        ),
        ("The trained router prefers later layers at every budget.", "figure-3", Test("routing", "router_lean_*", ">")),
        ("The trained router gives early tokens more big layers.", "figure-3", Test("routing", "router_early_*", ">")),
        (
            "The trained router skips more in later layers and at later tokens.",
            "figure-3",
            skipping("router_skip_lean_*", ">"),
            skipping("router_skip_late_*", ">"),
        ),
        (
            "A budget that falls or rises along the sequence is worse than a constant one of the same total.",
            "figure-4c",
            Test("schedules", "falling-constant", ">"),
            Test("schedules", "rising-constant", ">"),
        ),
        (
            "Some tokens of high loss gain nothing from more computation.",
            "figure-5",
            Test("difficulty", "high_loss_no_gain", ">", SOME),
        ),
        (
            "Tokens at line starts have a high loss and yet a low gap between all layers small and the oracle.",
            "figure-6",
            line_start("line_start_loss", ">"),
            line_start("line_start_gap", "<"),
        ),
        (
            "Duo comes near dense models of equal FLOPs where it is all big, and falls below them where it is all small.",
            "figure-8",
            ablation("nearness_loss", "<", 0.0, 1.0),
            ablation("duo-dense_0.00_loss", ">", 0.0),
            ablation("nearness_accuracy", "<", 0.0, 1.0),
            ablation("dense-duo_0.00_accuracy", ">", 0.0),
        ),
        (
            "Training both FFNs from scratch beats adding the small ones to a frozen model.",
            "figure-8",
            Test(
                "ablation",
                "frozen-scratch_*_loss",
                ">",
                needs="a model with big_first in ablation.models",
                there=scope.frozen,
            ),
        ),
        (
            "Layers that are skipped early in a sequence are skipped later too.",
            "skips",
            Test("skips", "halves-shuffled", ">"),
            Test("skips", "consecutive-shuffled", ">"),
        ),
    ]
    return [Claim(f"C{number}", words, figure, tests) for number, (words, figure, *tests) in enumerate(listed, start=1)]


def judge(claims: Iterable[Claim], statistics: Mapping[str, pa.Table], models: Mapping[str, Model]) -> pa.Table:
    """CLAIMS, from the tables of statistics by their source. All tables have the domains of the first.

    InputError, naming claim, statistic and domain, where a statistic is missing that the experiment should have.
    """
    domains = next(iter(statistics.values()))["domain"].unique().to_pylist()
    by_source = {source: table.to_pylist() for source, table in statistics.items()}
    rows = []
    for claim in claims:
        for domain in domains:
            tested = [row for test in claim.tests for row in _tested(claim, test, by_source[test.source], domain)]
            verdict = over_models(tested)
            rows += [_row(claim, row, verdict, tested, models) for row in tested]
    return pa.Table.from_pylist(rows)


def _tested(claim: Claim, test: Test, statistics: list[dict], domain: str) -> list[dict]:
    """Columns of CLAIMS that one test gives on a domain: a row a model and statistic, or one that says why there is
    none.
    """
    found = [row for row in statistics if row["domain"] == domain and fnmatchcase(row["name"], test.name)]
    if not found and test.there:
        path = SOURCES[test.source].template
        raise InputError(
            f"{path}: no statistic {test.name!r} of domain {domain!r}, which claim {claim.name} rests on; run its stage again"
        )
    if not found:
        unknown = {
            "domain": domain,
            "model": statistics[0]["model"],
            "statistic": test.name,
            "supports": f"none, without {test.needs}",
        }
        return [unknown | dict.fromkeys(("estimate", "low", "high"), float("nan")) | {"verdict": UNDECIDED}]
    return [
        {
            "domain": domain,
            "model": row["model"],
            "statistic": row["name"],
            "estimate": row["value"],
            "low": row["low"],
            "high": row["high"],
            "supports": test.supports,
            "verdict": test.verdict(row["low"], row["high"]),
        }
        for row in found
    ]


def over_models(tested: list[dict]) -> str:
    """The claim's verdict on a domain, by the rule of this module, from the model and verdict of each row."""
    verdicts = {
        joint([row["verdict"] for row in tested if row["model"] == model]) for model in {row["model"] for row in tested}
    }
    return verdicts.pop() if len(verdicts) == 1 else UNDECIDED


def joint(verdicts: list[str]) -> str:
    """Of tests that must all hold."""
    if FAILS in verdicts:
        return FAILS
    return HOLDS if set(verdicts) == {HOLDS} else UNDECIDED


def _row(claim: Claim, row: dict, verdict: str, tested: list[dict], models: Mapping[str, Model]) -> dict:
    model = models[row["model"]]
    alike = [other for other in tested if other["statistic"] == row["statistic"] and other["model"] in model.kin]
    estimates = [other["estimate"] for other in alike]
    return row | {
        "claim": claim.name,
        "words": claim.words,
        "figure": claim.figure,
        "link": f"{REPORT.path().as_posix()}#{claim.figure}",
        "seed": model.seed,
        "claim_verdict": verdict,
        "seeds": ", ".join(str(models[other["model"]].seed) for other in alike),
        "seed_low": min(estimates),
        "seed_high": max(estimates),
    }


def summary(table: pa.Table) -> dict:
    """CLAIM_METRICS, from CLAIMS: verdicts by claim and domain, and how often each was given."""
    by_claim: dict[str, dict[str, str]] = {}
    for row in table.to_pylist():
        by_claim.setdefault(row["claim"], {})[row["domain"]] = row["claim_verdict"]
    given = [verdict for verdicts in by_claim.values() for verdict in verdicts.values()]
    return {"verdicts": {verdict: given.count(verdict) for verdict in (HOLDS, FAILS, UNDECIDED)}, "claims": by_claim}
