"""The paper's claims as tests of statistics, fixed before their numbers. docs/claims.md has the rules and reasons."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from duo.report.claim import SKIPPING, Beside, Claim, Test
from duo.stats import Statistic
from duo.studies import (
    ablation,
    difficulty,
    gap_closed,
    joint,
    joint_statistics,
    oracle_curves,
    router_curves,
    schedules,
    skips,
)
from duo.tables.files import Table
from duo.tables.studies import (
    ABLATION_STATISTICS,
    DIFFICULTY_STATISTICS,
    EXCESS_STATISTICS,
    GAIN_STATISTICS,
    GAP_CLOSED_STATISTICS,
    JOINT_STATISTICS,
    ORACLE_STATISTICS,
    ROUTER_STATISTICS,
    SCHEDULE_STATISTICS,
    SKIP_STATISTICS,
)
from duo.terms import (
    ALL_BIG,
    ALL_SMALL,
    CHOOSERS,
    GREEDY,
    ISOLATED,
    JOINT,
    MATCHED,
    ORACLE,
    OWN,
    PAPER,
    RANDOM_TOKEN,
    SHARED,
)
from duo.verdicts import ABOVE, BELOW, EFFECT, WITHIN

TENTH = 0.1  # of the largest possible effect: the smallest effect of interest, unless a claim says how large
NATS = 0.01  # the same in nats per token
POSITIONS = 0.02  # the same of shares of choices between positions
FAR = 0.5  # of what all layers big gain over all small; and the middle between two things, where one is nearer
MOSTLY = 0.75  # share of the tokens that keep, or skip, a layer which is mostly kept, or skipped


# Those that can be asked of any model whose routes have exact budgets: on the oracle and the best fixed route.
OF_ANY_MODEL = ("C1", "C2", "C4", "C7", "C8", "C9")


@dataclass(frozen=True)
class Scope:
    """What the experiment has, as far as it decides which statistics there are."""

    layers: int
    budgets: Sequence[int]  # of the oracle
    random_routes: int  # of which the best is what the oracle is compared with
    greedy: Sequence[int]  # budgets of the oracle in context greedy
    shared: Sequence[int]  # budgets that are run jointly as chosen in context shared
    chooser: str  # that knows most of those which don't see the label: the stack of them, or the model itself
    routers: Sequence[float]  # budgets at which routers of the studied model choose small or big, for every domain
    skipping_routers: bool  # whether any router of a model that saw skips may skip, for every domain
    skips: bool  # whether what a model skips that saw skips is studied
    dense: Sequence[float]  # chances of the big FFN at which a dense model stands beside Duo
    tasks: Sequence[str]  # of others, that the models are compared on beside their losses
    frozen: bool  # whether a model with small FFNs added to frozen others does, at the chance of training


def claims(scope: Scope) -> list[Claim]:
    """C1 to C19, with budgets as shares of the layers: the paper's 4, 6 and 8 of 12 are a third, a half, two thirds."""
    return [
        *_on_the_oracle(scope),
        *_on_fixed_routes_and_routers(scope),
        *_on_where_big_layers_go(scope),
        *_on_skips_and_schedules(scope),
        *_on_tokens_and_training(scope),
    ]


def of_any_model(places: int, budgets: Sequence[int], chooser: str, random_routes: int) -> list[Claim]:
    """Those of OF_ANY_MODEL, of one that chooses at so many places, blocks of layers, at these budgets."""
    nothing = dict.fromkeys(("greedy", "shared", "routers", "dense", "tasks"), ())
    nothing |= dict.fromkeys(("skipping_routers", "skips", "frozen"), False)
    asked = claims(Scope(layers=places, budgets=budgets, random_routes=random_routes, chooser=chooser, **nothing))
    # By its own prediction no route is better than the model as it is: the second verdict on C2 would be settled.
    settled = {"C2"} if chooser == OWN else ()
    asked = [replace(claim, beyond=None) if claim.name in settled else claim for claim in asked]
    return [claim for claim in asked if claim.name in OF_ANY_MODEL]


def _on_the_oracle(scope: Scope) -> list[Claim]:
    """C1 to C3, each beyond luck where a chooser shows it that doesn't see the label."""
    half, layers = scope.layers // 2, scope.layers

    def curve(statistic: Statistic, kind: str, delta: float, table: Table = ORACLE_STATISTICS) -> Test:
        needs = f"oracle.budgets 0, {half}, {layers}"
        there = {0, half, layers} <= set(scope.budgets)
        return Test(table, statistic, kind, delta, needs=needs, there=there, halved=True)

    greedy = {
        "needs": f"context greedy with joint.budgets 0, 1, {layers}",
        "there": {0, 1, layers} <= set(scope.greedy),
    }
    shared = {
        "needs": f"context shared with joint.budgets 0, 1, {layers}",
        "there": {0, 1, layers} <= set(scope.shared),
    }
    return [
        Claim(
            "C1",
            f"The oracle, which chooses for each token, is far below the best of {scope.random_routes} random routes.",
            "figure-4a",
            curve(oracle_curves.random_gap(), EFFECT, FAR),
            curve(oracle_curves.random_gap(scope.chooser), EFFECT, FAR, GAIN_STATISTICS),
            (Beside(ORACLE_STATISTICS, oracle_curves.random_gap(RANDOM_TOKEN)), *_joint_gains(half)),
        ),
        Claim(
            "C2",
            "The oracle's loss falls with the budget, is lowest at half of the layers big, and rises again.",
            "figure-4b",
            curve(oracle_curves.lowest_at_half(), BELOW, TENTH),
            curve(oracle_curves.lowest_at_half(scope.chooser), BELOW, TENTH, GAIN_STATISTICS),
            (
                Beside(ORACLE_STATISTICS, oracle_curves.BEST_BUDGET),
                Beside(ORACLE_STATISTICS, oracle_curves.at_best_budget(ALL_SMALL)),
                Beside(ORACLE_STATISTICS, oracle_curves.at_best_budget(ALL_BIG)),
                *_joint_gains(half),
            ),
        ),
        Claim(
            "C3",
            "The oracle with a single big layer is below the model with all layers big.",
            "joint",
            Test(JOINT_STATISTICS, joint.single_big(), EFFECT, TENTH, **greedy),
            Test(JOINT_STATISTICS, joint.single_big(scope.chooser), EFFECT, TENTH, **shared),
            (
                Beside(JOINT_STATISTICS, joint.single_big(kind=ISOLATED)),
                Beside(GAIN_STATISTICS, joint.single_big(scope.chooser, ISOLATED)),
            ),
        ),
    ]


def _joint_gains(budget: int) -> tuple[Beside, ...]:
    """What the oracle gains at a budget in isolation, and what comes of it when all tokens run together."""
    contexts = ((SHARED, ISOLATED), (SHARED, JOINT), (GREEDY, JOINT))
    gains = (joint_statistics.gain(context, ORACLE, kind, budget) for context, kind in contexts)
    return tuple(Beside(JOINT_STATISTICS, each) for each in gains)


def _on_fixed_routes_and_routers(scope: Scope) -> list[Claim]:
    """C4 to C6, where nothing is chosen by the label of the token that it is scored on."""
    layers = scope.layers

    fixed = {
        "needs": f"oracle.budgets {layers} and another",
        "there": len(scope.budgets) > 1 and layers in scope.budgets,
    }
    two = {
        "needs": f"two routers of small and big at whole budgets, of the studied model; oracle.budgets 0, {layers}",
        "there": len(scope.routers) > 1 and {0, layers} <= set(scope.budgets),
    }
    one = {
        "needs": "a router of small and big at a whole budget, of the studied model",
        "there": len(scope.routers) > 0,
    }
    return [
        Claim(
            "C4",
            "The best fixed route gets better as the budget grows.",
            "figure-4b",
            Test(ORACLE_STATISTICS, oracle_curves.ALL_BIG_LESS_OTHER, BELOW, NATS, halved=True, **fixed),
            shown=(Beside(ORACLE_STATISTICS, oracle_curves.FIXED_SLOPE),),
        ),
        Claim(
            "C5",
            "The trained router gets better as the budget grows.",
            "figure-4b",
            Test(ROUTER_STATISTICS, router_curves.IMPROVEMENT, EFFECT, TENTH, **two),
            shown=(Beside(ROUTER_STATISTICS, router_curves.SLOPE),),
        ),
        Claim(
            "C6",
            "The trained router is nearer to the best fixed route than to the oracle.",
            "figure-4a",
            Test(ROUTER_STATISTICS, router_curves.BETWEEN_FIXED_AND_ORACLE, BELOW, FAR, halved=True, **one),
            shown=(Beside(ROUTER_STATISTICS, router_curves.NEARER_TO_FIXED), *_without_the_label()),
        ),
    ]


def _without_the_label() -> list[Beside]:
    """What the paper's routers, and choosers that see no label, gain over the fixed route at every budget."""
    who = {PAPER: JOINT} | dict.fromkeys(CHOOSERS, ISOLATED)
    return [
        Beside(GAP_CLOSED_STATISTICS, gap_closed.less_fixed(name, 0, kind), ("family", "subject", "reference"))
        for name, kind in who.items()
    ]


def _on_where_big_layers_go(scope: Scope) -> list[Claim]:
    """C7 to C9."""
    layers, third, half = scope.layers, scope.layers // 3, scope.layers // 2

    def prefers(budget: int, kind: str, sign: int = 1) -> Test:
        there = budget in scope.budgets and 0 < budget < layers
        needs = f"budget {budget} of oracle.budgets, between none and all layers"
        statistic = oracle_curves.depth_preference(budget)
        return Test(ORACLE_STATISTICS, statistic, kind, TENTH, sign, needs=needs, there=there)

    later, even, earlier = prefers(third, EFFECT), prefers(half, WITHIN), prefers(layers - third, EFFECT, sign=-1)
    trend = (Beside(ORACLE_STATISTICS, oracle_curves.DEPTH_TREND),)
    return [
        Claim(
            "C7",
            "With a third of the layers big, the oracle prefers later layers.",
            "figure-2",
            later,
            later.excess(EXCESS_STATISTICS),
            trend,
        ),
        Claim("C8", "With half of the layers big, the oracle spreads them evenly.", "figure-2", even, shown=trend),
        Claim(
            "C9",
            "With two thirds of the layers big, the oracle prefers earlier layers.",
            "figure-2",
            earlier,
            earlier.excess(EXCESS_STATISTICS),
            trend,
        ),
    ]


def _on_skips_and_schedules(scope: Scope) -> list[Claim]:
    """C10 to C14."""
    layers = scope.layers
    thirds = {layers // 3, layers // 2, layers - layers // 3}

    def routers(statistic: Statistic, delta: float) -> Test:
        needs = f"routers of small and big at budget {', '.join(map(str, sorted(thirds)))}, of the studied model"
        there = bool(thirds & set(scope.routers))
        return Test(ROUTER_STATISTICS, statistic, EFFECT, delta, needs=needs, there=there)

    def skipping(statistic: Statistic, delta: float) -> Test:
        needs, there = "a router that may skip, of a model that saw skips", scope.skipping_routers
        return Test(ROUTER_STATISTICS, statistic, EFFECT, delta, whose=SKIPPING, needs=needs, there=there)

    def each(statistic: Statistic) -> Beside:
        return Beside(ROUTER_STATISTICS, statistic, ("family",))

    kept = _on_skips(skips.CONSISTENT_LAYERS, ABOVE, MOSTLY, scope, halved=True)
    order = Test(SCHEDULE_STATISTICS, schedules.ORDER_COST, EFFECT, NATS)
    return [
        Claim(
            "C10",
            "With big or skip, the oracle keeps and skips the same layers consistently, in no order of early exit.",
            "figure-2d",
            kept,
            kept.excess(SKIP_STATISTICS, EFFECT, TENTH),
            (Beside(SKIP_STATISTICS, skips.CONSISTENCY), Beside(SKIP_STATISTICS, skips.EARLY_EXIT)),
        ),
        Claim(
            "C11",
            "The trained router prefers later layers at every budget.",
            "figure-3",
            routers(router_curves.DEPTH_PREFERENCE, TENTH),
            shown=(each(router_curves.depth_bias("")),),
        ),
        Claim(
            "C12",
            "The trained router gives early tokens more big layers.",
            "figure-3",
            routers(router_curves.EARLY_TOKENS, POSITIONS),
            shown=(each(router_curves.early_bias("")),),
        ),
        Claim(
            "C13a",
            "The trained router skips more in later layers.",
            "figure-3",
            skipping(router_curves.SKIP_DEPTH, TENTH),
            shown=(each(router_curves.skip_depth_bias("")),),
        ),
        Claim(
            "C13b",
            "The trained router skips more at later tokens.",
            "figure-3",
            skipping(router_curves.SKIP_LATE, POSITIONS),
            shown=(each(router_curves.skip_late_bias("")),),
        ),
        Claim(
            "C14",
            "A budget that falls or rises along the sequence is worse than the same budgets in a shuffled order.",
            "figure-4c",
            order,
            order.excess(EXCESS_STATISTICS),
            tuple(
                Beside(SCHEDULE_STATISTICS, schedules.difference("oracle", name, reference))
                for name, reference in product(("falling", "rising"), ("constant", "shuffled"))
            ),
        ),
    ]


def _on_tasks(scope: Scope) -> list[Beside]:
    """C17 as the paper has it: how far Duo is behind dense models on other people's tasks, all small and all big."""
    places = [budget for place, budget in ((0.0, 0.0), (1.0, float(scope.layers))) if place in scope.dense]
    behind = (ablation.duo_against_dense("accuracy", budget) for budget in places if scope.tasks)
    return [Beside(ABLATION_STATISTICS, statistic, tasks=tuple(scope.tasks)) for statistic in behind]


def _on_skips(statistic: Statistic, kind: str, delta: float, scope: Scope, halved: bool = False) -> Test:
    """Of what the oracle of a model skips that saw skips."""
    needs = "a model that saw skips in skips.models"
    return Test(SKIP_STATISTICS, statistic, kind, delta, whose=SKIPPING, needs=needs, there=scope.skips, halved=halved)


def _on_tokens_and_training(scope: Scope) -> list[Claim]:
    """C15 to C19."""
    dense = {
        "needs": "dense models of Duo's FLOPs at p_big 0, 1",
        "there": {0.0, 1.0} <= set(scope.dense),
    }
    frozen = {
        "needs": "a model with big_first in ablation.models; ablation.p_big with 0, 1 and pretrain.p_big",
        "there": scope.frozen,
    }
    lines = {"needs": "line starts in the domain's text", "there": False}  # which only the text can tell
    without_gain = Test(DIFFICULTY_STATISTICS, difficulty.WITHOUT_GAIN, EFFECT, TENTH).excess(EXCESS_STATISTICS)
    starts = Test(DIFFICULTY_STATISTICS, difficulty.LINE_STARTS, EFFECT, TENTH, **lines)
    persistence = _on_skips(skips.PERSISTENCE, EFFECT, TENTH, scope)
    return [
        Claim(
            "C15",
            "Some tokens of high loss gain nothing from more computation.",
            "figure-5",
            without_gain,
            without_gain,
            (
                Beside(DIFFICULTY_STATISTICS, difficulty.WITHOUT_GAIN),
                Beside(EXCESS_STATISTICS, difficulty.WITHOUT_GAIN.of(MATCHED)),
                Beside(DIFFICULTY_STATISTICS, difficulty.WITHOUT_GAIN_ALL_BIG),
            ),
        ),
        Claim(
            "C16",
            "Tokens at line starts have a high loss and yet a low gap between all layers small and the oracle.",
            "figure-6",
            starts,
            starts.excess(EXCESS_STATISTICS),
            tuple(Beside(DIFFICULTY_STATISTICS, difficulty.line_start(name)) for name in ("loss", "gap")),
        ),
        Claim(
            "C17",
            "Duo comes near dense models of equal FLOPs where it is all big, and falls below them where it is all "
            "small.",
            "figure-8",
            Test(ABLATION_STATISTICS, ablation.NEARNESS, BELOW, FAR, **dense),
            shown=(
                Beside(
                    ABLATION_STATISTICS, ablation.duo_against_dense("loss", 0.0), ("family", "subject", "reference")
                ),
                Beside(ABLATION_STATISTICS, ablation.nearness("accuracy")),
                *_on_tasks(scope),
            ),
        ),
        Claim(
            "C18",
            "Training both FFNs from scratch beats adding the small ones to a frozen model.",
            "figure-8",
            Test(ABLATION_STATISTICS, ablation.FROZEN_COST, EFFECT, TENTH, **frozen),
            shown=(Beside(ABLATION_STATISTICS, ablation.frozen_against_scratch("loss", 0.0), ("family", "subject")),),
        ),
        Claim(
            "C19",
            "Layers that are skipped early in a sequence are skipped later too.",
            "skips",
            persistence,
            persistence.excess(SKIP_STATISTICS),
            (Beside(SKIP_STATISTICS, skips.HALVES), Beside(SKIP_STATISTICS, skips.CONSECUTIVE_LESS_SHUFFLED)),
        ),
    ]
