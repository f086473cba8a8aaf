"""The paper's claims as tests of statistics, and the rule that turns intervals into verdicts; both fixed in advance.

A test names a statistic and where its interval must lie. It holds where the whole interval lies there, fails where the
whole interval lies on the other side, and is undecided otherwise. For one model and domain, a claim holds where all its
tests hold, fails where any fails, and is undecided otherwise. Over the models that a statistic is of (seeds, and models
trained in other ways), a claim holds where it holds for every model, fails where it fails for every model, and is
undecided otherwise. Every interval has the experiment's confidence, of one test at a time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from duo.errors import InputError
from duo.stats import Statistic
from duo.studies import ablation, difficulty, oracle_curves, router_curves, schedules, skips
from duo.tables.files import Table
from duo.tables.report import CLAIMS, REPORT, RUN_STATISTICS
from duo.tables.studies import (
    ABLATION_STATISTICS,
    DIFFICULTY_STATISTICS,
    ORACLE_STATISTICS,
    ROUTER_STATISTICS,
    SCHEDULE_STATISTICS,
    SKIP_STATISTICS,
)

HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"
EVEN = 0.05  # a depth bias, in shares of big, that is as good as none
SOME = 0.01  # share of the high-loss tokens that counts as "some"
COLUMNS = ("family", "subject", "reference", "budget", "labels")  # of a statistic


@dataclass(frozen=True)
class Test:
    """Where the interval of a statistic should lie for a claim to hold.

    table: of statistics, in duo.tables.studies. each: fields of the statistic, such as subject, whose every value is
    tested. side: "<" or ">" of the bound, or "within", for an interval between -bound and bound. needs: what the
    experiment or the domain must have for the statistic to exist; `there`: whether the experiment has it, so that a
    statistic that is missing all the same is an error.
    """

    table: Table
    statistic: Statistic
    side: str
    bound: float = 0.0
    needs: str = ""
    there: bool = True
    each: tuple[str, ...] = ()

    def concerns(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of a table of statistics is what is tested."""
        return all(row[name] == getattr(self.statistic, name) for name in COLUMNS if name not in self.each)

    def verdict(self, low: float, high: float) -> str:
        """Of an interval."""
        bound = self.bound
        inside, outside = {
            "<": (high < bound, low > bound),
            ">": (low > bound, high < bound),
            "within": (-bound < low and high < bound, low > bound or high < -bound),
        }[self.side]
        return HOLDS if inside else FAILS if outside else UNDECIDED

    @property
    def supports(self) -> str:
        """Where the interval must lie, as text."""
        return f"{self.side} {'±' if self.side == 'within' else ''}{self.bound:g}"


@dataclass(frozen=True)
class Claim:
    """One claim of the paper; it holds where all of its tests do."""

    name: str
    words: str
    figure: str  # name of the picture that it rests on
    tests: tuple[Test, ...]


@dataclass(frozen=True)
class Scope:
    """What the experiment has, as far as it decides which statistics there are."""

    layers: int
    budgets: Sequence[int]  # of the oracle
    routers: int  # how many of one model and mix choose small or big at whole budgets, and so compare with the oracle
    skipping: bool  # whether any router may skip
    dense: Sequence[float]  # chances of the big FFN at which a dense model stands beside Duo
    frozen: bool  # whether a model with small FFNs added to frozen others does


@dataclass(frozen=True)
class Trained:
    """What a verdict says of the model that it is about."""

    seed: int
    same_config: tuple[str, ...]  # the models that differ from this one by their seed alone, itself included


def claims(scope: Scope) -> list[Claim]:
    """C1 to C19, with budgets as shares of the layers: the paper's 4, 6 and 8 of 12 are a third, a half, two thirds."""
    listed = [*_on_the_oracle(scope), *_on_skips_and_routers(scope), *_on_tokens_and_training(scope)]
    return [Claim(f"C{number}", words, figure, tests) for number, (words, figure, *tests) in enumerate(listed, start=1)]


def _on_the_oracle(scope: Scope) -> list[tuple]:
    """C1 to C9: (words, figure, tests ...)."""
    layers, third, half = scope.layers, scope.layers // 3, scope.layers // 2

    def at(statistic: Statistic, side: str, *budgets: int) -> Test:
        needs = f"oracle.budgets {', '.join(map(str, budgets))}" if budgets else ""
        return Test(ORACLE_STATISTICS, statistic, side, 0.0, needs, set(budgets) <= set(scope.budgets))

    def depth_bias(budget: int, side: str, bound: float = 0.0) -> Test:
        there = budget in scope.budgets and 0 < budget < layers
        needs = f"budget {budget} of oracle.budgets, between none and all layers"
        return Test(ORACLE_STATISTICS, oracle_curves.depth_bias(budget), side, bound, needs, there)

    def compared(statistic: Statistic, side: str, count: int) -> Test:
        needs = f"{count} or more routers of small and big, at whole budgets, of a model and mix"
        return Test(ROUTER_STATISTICS, statistic, side, needs=needs, there=scope.routers >= count)

    return [
        (
            "The oracle, which chooses for each token, is far below the best of 100 random routes.",
            "figure-4a",
            at(oracle_curves.at_best_budget("random_all"), "<"),
            at(oracle_curves.at_best_budget("random_token"), "<"),
        ),
        (
            "The oracle's loss falls with the budget, is lowest at half of the layers big, and rises again.",
            "figure-4b",
            at(oracle_curves.at_best_budget("all_small"), "<", 0),
            at(oracle_curves.at_best_budget("all_big"), "<", layers),
            at(oracle_curves.less_other_budgets("oracle", half), "<", half),
        ),
        (
            "The oracle with a single big layer is below the model with all layers big.",
            "figure-4b",
            at(oracle_curves.less_all_big("oracle", 1), "<", 1, layers),
        ),
        (
            "The best fixed route gets better as the budget grows.",
            "figure-4b",
            at(oracle_curves.FIXED_SLOPE, "<"),
            at(oracle_curves.less_other_budgets("fixed", layers), "<", layers),
        ),
        (
            "The trained router gets better as the budget grows.",
            "figure-4b",
            compared(router_curves.SLOPE, "<", 2),
        ),
        (
            "The trained router is nearer to the best fixed route than to the oracle.",
            "figure-4a",
            compared(router_curves.NEARER_TO_FIXED, "<", 1),
        ),
        ("With a third of the layers big, the oracle prefers later layers.", "figure-2", depth_bias(third, ">")),
        ("With half of the layers big, the oracle spreads them evenly.", "figure-2", depth_bias(half, "within", EVEN)),
        (
            "With two thirds of the layers big, the oracle prefers earlier layers.",
            "figure-2",
            depth_bias(layers - third, "<"),
        ),
    ]


def _on_skips_and_routers(scope: Scope) -> list[tuple]:
    """C10 to C14: (words, figure, tests ...)."""

    def routers(statistic: Statistic, skipping: bool = False) -> Test:
        needs, there = ("a router that may skip", scope.skipping) if skipping else ("", True)
        return Test(ROUTER_STATISTICS, statistic, ">", needs=needs, there=there, each=("subject",))

    return [
        (
            "With big or skip, the oracle keeps and skips the same layers consistently, in no order of early exit.",
            "figure-2d",
            Test(SKIP_STATISTICS, skips.CONSISTENCY, ">"),
            Test(SKIP_STATISTICS, skips.EARLY_EXIT, "<"),
        ),
        (
            "The trained router prefers later layers at every budget.",
            "figure-3",
            routers(router_curves.depth_bias("")),
        ),
        (
            "The trained router gives early tokens more big layers.",
            "figure-3",
            routers(router_curves.early_bias("")),
        ),
        (
            "The trained router skips more in later layers and at later tokens.",
            "figure-3",
            routers(router_curves.skip_depth_bias(""), skipping=True),
            routers(router_curves.skip_late_bias(""), skipping=True),
        ),
        (
            "A budget that falls or rises along the sequence is worse than a constant one of the same total.",
            "figure-4c",
            Test(SCHEDULE_STATISTICS, schedules.difference("oracle", "falling", "constant"), ">"),
            Test(SCHEDULE_STATISTICS, schedules.difference("oracle", "rising", "constant"), ">"),
        ),
    ]


def _on_tokens_and_training(scope: Scope) -> list[tuple]:
    """C15 to C19: (words, figure, tests ...)."""

    def line_start(statistic: Statistic, side: str) -> Test:
        needs = "line starts in the domain's text"
        return Test(DIFFICULTY_STATISTICS, statistic, side, needs=needs, there=False)

    def dense(statistic: Statistic, side: str, *chances: float) -> Test:
        needs = f"dense models of Duo's FLOPs at p_big {', '.join(map(str, chances))}"
        return Test(ABLATION_STATISTICS, statistic, side, needs=needs, there=set(chances) <= set(scope.dense))

    frozen = Test(
        ABLATION_STATISTICS,
        ablation.frozen_against_scratch("loss", 0.0),
        ">",
        needs="a model with big_first in ablation.models",
        there=scope.frozen,
        each=("budget",),
    )
    return [
        (
            "Some tokens of high loss gain nothing from more computation.",
            "figure-5",
            Test(DIFFICULTY_STATISTICS, difficulty.WITHOUT_GAIN, ">", SOME),
        ),
        (
            "Tokens at line starts have a high loss and yet a low gap between all layers small and the oracle.",
            "figure-6",
            line_start(difficulty.line_start("loss"), ">"),
            line_start(difficulty.line_start("gap"), "<"),
        ),
        (
            "Duo comes near dense models of equal FLOPs where it is all big, and falls below them where it is all "
            "small.",
            "figure-8",
            dense(ablation.nearness("loss"), "<", 0.0, 1.0),
            dense(ablation.duo_against_dense("loss", 0.0), ">", 0.0),
            dense(ablation.nearness("accuracy"), "<", 0.0, 1.0),
            dense(ablation.duo_against_dense("accuracy", 0.0), ">", 0.0),
        ),
        ("Training both FFNs from scratch beats adding the small ones to a frozen model.", "figure-8", frozen),
        (
            "Layers that are skipped early in a sequence are skipped later too.",
            "skips",
            Test(SKIP_STATISTICS, skips.PERSISTENCE, ">"),
            Test(SKIP_STATISTICS, skips.CONSECUTIVE_LESS_SHUFFLED, ">"),
        ),
    ]


def judge(claims: Iterable[Claim], statistics: Mapping[Table, pa.Table], models: Mapping[str, Trained]) -> pa.Table:
    """CLAIMS, from the tables of statistics. All tables have the domains of the first.

    InputError, naming claim, statistic and domain, where a statistic is missing that the experiment should have.
    """
    domains = next(iter(statistics.values()))["domain"].unique().to_pylist()
    by_table = {table: found.to_pylist() for table, found in statistics.items()}
    rows = []
    for claim in claims:
        for domain in domains:
            tested = [row for test in claim.tests for row in _tested(claim, test, by_table[test.table], domain)]
            verdict = over_models(tested)
            rows += [_row(claim, row, verdict, tested, models) for row in tested]
    return pa.Table.from_pylist(rows, schema=CLAIMS.schema)


def _tested(claim: Claim, test: Test, statistics: list[dict], domain: str) -> list[dict]:
    """Columns of CLAIMS that one test gives on a domain: a row per model and statistic, or one that says why there is
    none.
    """
    rows = [row for row in statistics if row["domain"] == domain and test.concerns(row)]
    if not rows and test.there:
        raise InputError(
            f"{test.table.template}: no statistic of domain {domain!r} for {test.statistic.words!r} "
            f"({', '.join(f'{name} {getattr(test.statistic, name)}' for name in COLUMNS if name not in test.each)}), "
            f"which claim {claim.name} rests on"
        )
    if not rows:
        columns = {name: value for name, value in asdict(test.statistic).items() if name != "words"}
        missing = dict.fromkeys(("estimate", "low", "high"), float("nan")) | {"verdict": UNDECIDED}
        ids = {"domain": domain, "model": statistics[0]["model"], "statistic": test.statistic.words}
        return [ids | columns | missing | {"supports": f"none, without {test.needs}"}]
    return [
        {name: row[name] for name in ("domain", "model", *COLUMNS, "low", "high")}
        | {
            "statistic": row["words"],
            "estimate": row["value"],
            "supports": test.supports,
            "verdict": test.verdict(row["low"], row["high"]),
        }
        for row in rows
    ]


def over_models(tested: list[dict]) -> str:
    """The claim's verdict on a domain, by the rule of this module, from the model and verdict of each row."""
    verdicts = {
        over_tests([row["verdict"] for row in tested if row["model"] == model])
        for model in {row["model"] for row in tested}
    }
    return verdicts.pop() if len(verdicts) == 1 else UNDECIDED


def over_tests(verdicts: list[str]) -> str:
    """The verdict of tests that must all hold."""
    if FAILS in verdicts:
        return FAILS
    return HOLDS if set(verdicts) == {HOLDS} else UNDECIDED


def key(row: Mapping[str, Any]) -> tuple:
    """What tells the statistic of a row apart."""
    return tuple(row[name] for name in COLUMNS)


def _row(claim: Claim, row: dict, verdict: str, tested: list[dict], models: Mapping[str, Trained]) -> dict:
    model = models[row["model"]]
    alike = [other for other in tested if key(other) == key(row) and other["model"] in model.same_config]
    estimates = [other["estimate"] for other in alike]
    return row | {
        "claim": claim.name,
        "words": claim.words,
        "figure": claim.figure,
        "link": f"{REPORT.place()}#{claim.figure}",
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


def of_the_run(statistics: Mapping[Table, pa.Table], seeds: Mapping[str, int]) -> pa.Table:
    """RUN_STATISTICS, from every study's statistics; seeds: of training, by model."""
    rows = [
        row | {"study": table.template.split("/")[0], "seed": seeds[row["model"]]}
        for table, rows in statistics.items()
        for row in rows.to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema=RUN_STATISTICS.schema)
