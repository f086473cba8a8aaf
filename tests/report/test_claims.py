"""What becomes of claims, on made-up statistics; and that the claims rest on statistics that exist."""

import shutil
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pytest
from made_up import LAYERS, evaluated, noise
from project import REPOSITORY as ROOT

from duo import verdicts
from duo.errors import InputError
from duo.report import claims, content, judge
from duo.report.claim import SKIPPING, STUDIED, Beside, Claim
from duo.report.claim import Test as ClaimTest
from duo.stats import Statistic, Study
from duo.studies import gap_closed
from duo.studies.excess import Excess
from duo.tables.files import Table
from duo.tables.report import CLAIM_METRICS, CLAIMS
from duo.tables.studies import EXCESS_STATISTICS, GAP_CLOSED_STATISTICS, ORACLE_STATISTICS, ROUTER_STATISTICS
from duo.terms import EXCESS, ISOLATED, JOINT, MATCHED, PAPER, PLACEBO, SAMPLED, STACK, TRUE
from duo.verdicts import BELOW, EFFECT, WITHIN
from workflow.__main__ import use
from workflow.params import load_params
from workflow.stages.claims import scope, whose

SCOPE = claims.Scope(
    layers=12,
    budgets=range(13),
    random_routes=100,
    greedy=range(13),
    shared=range(13),
    chooser=STACK,
    routers=[4, 6, 8],
    skipping_routers=True,
    skips=True,
    dense=[0.0, 1.0],
    tasks=[],
    frozen=True,
)
SEEDS = {"duo": 1, "duo-2": 2, "duo-3": 3, "skip": 1}
GROUPS = {STUDIED: ["duo", "duo-2", "duo-3"], SKIPPING: ["skip"]}
A = Statistic("difference", "a", "b", words="a less b")
C = Statistic("difference", "c", "d", 2, words="c less d at budget 2")


def row(statistic: Statistic, value: float, error: float = 0.01, model: str = "duo", domain: str = "text") -> dict:
    ids = {"model": model, "domain": domain} | asdict(statistic)
    ends = {"low": value - 2 * error, "high": value + 2 * error}
    return ids | {"value": value, "error": error, "clusters": 25} | ends


def judged(
    *rows: dict, primary: ClaimTest | None = None, beyond: ClaimTest | None = None, shown: tuple[Beside, ...] = ()
) -> list[dict]:
    primary = primary or ClaimTest(ORACLE_STATISTICS, A, EFFECT, 0.1)
    claim = Claim("C0", "words", "figure-2", primary, beyond, shown)
    table = pa.Table.from_pylist(list(rows), schema=ORACLE_STATISTICS.schema)
    return judge.judge([claim], {ORACLE_STATISTICS: table}, GROUPS, SEEDS, 0.95).to_pylist()


@pytest.mark.parametrize(
    ("kind", "sign", "value", "verdict"),
    [
        (EFFECT, 1, 0.2, "holds"),
        (EFFECT, 1, 0.02, "no such effect"),
        (EFFECT, 1, -0.2, "fails"),
        (EFFECT, 1, 0.11, "undecided"),
        (EFFECT, -1, -0.2, "holds"),
        (EFFECT, -1, 0.2, "fails"),
        (BELOW, 1, 0.02, "holds"),
        (BELOW, 1, 0.2, "fails"),
        (WITHIN, 1, -0.02, "holds"),
        (WITHIN, 1, -0.2, "fails"),
        (WITHIN, 1, -0.11, "undecided"),
    ],
)
def test_a_claim_has_the_verdict_of_its_statistic(kind, sign, value, verdict):
    test = ClaimTest(ORACLE_STATISTICS, A, kind, 0.1, sign)
    (found,) = judged(row(A, value), primary=test)
    assert (found["verdict"], found["role"]) == (verdict, "claimed")
    assert found["estimate"] == sign * value and found["low"] < found["estimate"] < found["high"]
    assert found["statistic"] == ("a less b" if sign == 1 else "minus the a less b")
    assert found["supports"] == {EFFECT: "> 0.1", BELOW: "< 0.1", WITHIN: "within ±0.1"}[kind]


def test_seeds_are_replicates_and_models_trained_otherwise_are_not():
    values = {"duo": 0.3, "duo-2": 0.2, "duo-3": 0.4}
    (found,) = judged(*(row(A, value, model=model) for model, value in values.items()), row(A, -9.0, model="skip"))
    expected = verdicts.pooled(np.array([*values.values()]), np.full(3, 0.01), 25)
    assert (found["estimate"], found["error"]) == (pytest.approx(0.3), pytest.approx(expected.error))
    assert found["seed_error"] == pytest.approx(0.1 / np.sqrt(3))
    assert (found["models"], found["seeds"], found["clusters"]) == ("duo, duo-2, duo-3", "1, 2, 3", 25)
    assert (found["seed_low"], found["seed_high"]) == (0.2, 0.4)
    assert found["verdict"] == "undecided", "seeds that differ by much leave two degrees of freedom"
    (found,) = judged(row(A, 0.3), row(A, -9.0, model="skip"), primary=ClaimTest(ORACLE_STATISTICS, A, EFFECT, 0.1))
    assert (found["verdict"], found["seeds"]) == ("holds", "1")
    skipping = ClaimTest(ORACLE_STATISTICS, A, EFFECT, 0.1, whose=SKIPPING)
    (found,) = judged(row(A, 0.3), row(A, -9.0, model="skip"), primary=skipping)
    assert (found["verdict"], found["models"]) == ("fails", "skip")


def test_domains_are_judged_each_by_itself_and_p_values_are_adjusted_over_all():
    found = judged(row(A, 0.2), row(A, -0.2, domain="code"), row(A, 0.125, domain="notes"))
    assert [(each["domain"], each["verdict"]) for each in found] == [
        ("text", "holds"),
        ("code", "fails"),
        ("notes", "holds"),
    ]
    (alone,) = judged(row(A, 0.2))
    assert found[0]["p"] == pytest.approx(3 * alone["p"])
    many = judged(*(row(A, 0.125, domain=f"notes-{number}") for number in range(5)))
    assert {each["verdict"] for each in many} == {"undecided"}, "what one of five shows, chance may have shown"


def test_a_choice_on_the_other_half_makes_the_error_larger():
    (found,) = judged(row(A, 0.2), primary=ClaimTest(ORACLE_STATISTICS, A, EFFECT, 0.1, halved=True))
    assert found["error"] == pytest.approx(np.sqrt(2) * 0.01)


def excess_of(value: float, placebo: float, error: float = 0.01) -> list[dict]:
    return [row(A, 0.3), row(A.of(EXCESS), value, error), row(A.of(PLACEBO), placebo, error)]


@pytest.mark.parametrize(
    ("value", "placebo", "verdict"),
    [
        (0.2, 0.0, "more than luck"),
        (0.02, 0.0, "like luck"),
        (-0.2, 0.0, "less than luck"),
        (0.11, 0.0, "undecided"),
        (0.2, 0.2, "not judged"),
        (0.02, 0.2, "not judged"),
        (0.2, 0.05, "not judged"),  # less than what counts, but there
        (0.2, 0.015, "more than luck"),
        (0.2, -0.05, "more than luck"),
    ],
)
def test_beyond_luck_is_what_matched_labels_do_not_show_and_a_placebo_can_refuse_it(value, placebo, verdict):
    primary = ClaimTest(ORACLE_STATISTICS, A, EFFECT, 0.1)
    found = judged(*excess_of(value, placebo), primary=primary, beyond=primary.excess(ORACLE_STATISTICS))
    assert [each["role"] for each in found] == ["claimed", "beyond luck", "placebo"]
    assert [each["verdict"] for each in found[:2]] == ["holds", verdict]
    assert [each["labels"] for each in found] == [TRUE, EXCESS, PLACEBO]


def test_a_claim_that_is_itself_an_excess_is_not_judged_where_its_placebo_finds_something():
    test = ClaimTest(ORACLE_STATISTICS, A.of(EXCESS), EFFECT, 0.1)
    found = judged(*excess_of(0.2, 0.0), primary=test, beyond=test)
    assert [each["verdict"] for each in found[:2]] == ["holds", "more than luck"]
    found = judged(*excess_of(0.2, 0.2), primary=test, beyond=test)
    assert [each["verdict"] for each in found[:2]] == ["not judged", "not judged"]


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0.2, "more than luck"), (0.02, "too little foreseen"), (-0.2, "too little foreseen"), (0.1, "undecided")],
)
def test_what_a_chooser_without_the_label_does_not_show_may_still_be_more_than_luck(value, verdict):
    beyond = ClaimTest(ORACLE_STATISTICS, C, EFFECT, 0.1)
    found = judged(row(A, 0.3), row(C, value), beyond=beyond)
    assert [each["verdict"] for each in found] == ["holds", verdict]


def test_what_is_shown_has_no_verdict_and_changes_none():
    shown = (Beside(ORACLE_STATISTICS, C), Beside(ORACLE_STATISTICS, Statistic("bias", ""), ("family",)))
    each = [row(Statistic("bias", name, words=f"bias of {name}"), -5.0) for name in ("one", "two")]
    rows = [row(A, 0.2), row(C, 5.0), row(C, 6.0, model="duo-2"), row(C, 7.0, model="skip"), *each]
    found = judged(*rows, shown=shown)
    (alone,) = judged(row(A, 0.2))
    assert found[0] == alone
    told = [(each["subject"], each["models"], each["estimate"], each["verdict"]) for each in found[1:]]
    assert told == [("c", "duo", 5.0, ""), ("c", "duo-2", 6.0, ""), ("one", "duo", -5.0, ""), ("two", "duo", -5.0, "")]


def test_words_are_no_part_of_what_is_tested_and_labels_and_budget_are():
    others = [C.of("sampled"), replace(C, budget=3), replace(C, reference="e")]
    test = ClaimTest(ORACLE_STATISTICS, C, EFFECT, 0.1)
    (found,) = judged(row(replace(C, words="otherwise"), -0.2), *(row(other, 0.2) for other in others), primary=test)
    assert found["verdict"] == "fails"


def test_a_missing_statistic_is_an_error_where_there_should_be_one_and_not_applicable_elsewhere():
    test = ClaimTest(ORACLE_STATISTICS, C, EFFECT, 0.1, needs="line starts")
    with pytest.raises(
        InputError,
        match=r"oracle_curves/statistics.parquet: no statistic for 'c less d at budget 2' \(family difference, subject "
        r"c, reference d, budget 2, labels true\) of model duo or duo-2 or duo-3 in domain 'text', which claim C0",
    ):
        judged(row(A, 0.2), primary=test)
    (found,) = judged(row(A, 0.2), primary=replace(test, there=False))
    assert (found["verdict"], found["supports"]) == ("not applicable", "needs line starts")
    assert found["estimate"] != found["estimate"] and found["statistic"] == C.words


def needed(scope: claims.Scope) -> set[tuple[Table, Statistic, str]]:
    """Table, statistic and group of models of all that the claims rest on."""
    tests = [test for claim in claims.claims(scope) for test in claim.tests.values()]
    return {(test.table, test.statistic, test.whose) for test in tests}


def every_statistic(scope: claims.Scope, value: float, without: tuple[Statistic, ...] = ()) -> dict[Table, pa.Table]:
    """Tables that hold each statistic that a claim rests on but for some, all of one value; those on luck are 0."""
    listed = [each for each in needed(scope) if each[1] not in without]
    tables = {table for table, *_ in needed(scope)}
    return {
        table: pa.Table.from_pylist(
            [
                row(found, 0.0 if found.labels == PLACEBO else value, model=GROUPS[group][0])
                for other, found, group in listed
                if other is table
            ],
            schema=table.schema,
        )
        for table in sorted(tables, key=lambda table: table.template)
    }


def test_c17_shows_other_people_s_tasks_beside_every_kind_of_text():
    """As the paper has it; without the tasks, or a dense model at an end, there is less to show."""

    def behind(**changes) -> list[Beside]:
        (claim,) = [each for each in claims.claims(replace(SCOPE, **changes)) if each.name == "C17"]
        return [beside for beside in claim.shown if beside.tasks]

    (small, big), tasks = behind(tasks=["arc_easy", "hellaswag"]), ["arc_easy", "hellaswag"]
    assert (small.statistic.budget, big.statistic.budget) == (0.0, 12.0) and not behind()
    assert [each.statistic.budget for each in behind(tasks=tasks, dense=[1.0])] == [12.0]
    claim = Claim("C0", "words", "figure-8", ClaimTest(ORACLE_STATISTICS, A, EFFECT, 0.1), shown=(small,))
    on_tasks = [row(small.statistic, index / 4, domain=task) for index, task in enumerate([*tasks, "piqa"])]
    tables = {ORACLE_STATISTICS: [row(A, 1.5), row(A, 1.5, domain="code")], small.table: on_tasks}
    tables = {table: pa.Table.from_pylist(rows, table.schema) for table, rows in tables.items()}
    found = judge.judge([claim], tables, GROUPS, SEEDS, 0.95).to_pylist()
    shown = [(each["domain"], each["statistic"], each["estimate"]) for each in found if each["role"] == "shown"]
    assert shown == [
        (domain, f"{task}: {small.statistic.words}", value)
        for domain in ("text", "code")
        for task, value in (("arc_easy", 0.0), ("hellaswag", 0.25))
    ]


def test_all_claims_are_judged_and_fit_their_schema(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = claims.claims(SCOPE)
    names = [f"C{number}" for number in range(1, 20)]
    names[12:13] = ["C13a", "C13b"]
    assert [claim.name for claim in listed] == names
    table = judge.judge(listed, every_statistic(SCOPE, 0.3), GROUPS, SEEDS, 0.95)
    summary = judge.summary(table)
    CLAIMS.write(table)
    CLAIM_METRICS.write(summary)
    assert list(summary["claims"]) == names
    given = {name: verdicts["text"] for name, verdicts in summary["claims"].items()}
    effects = {"C3", "C5", "C7", "C11", "C12", "C13a", "C13b", "C14", "C15", "C16", "C18", "C19"}
    assert {name for name, verdict in given.items() if verdict == "holds"} == effects | {"C6", "C17"}
    assert {name for name, verdict in given.items() if verdict == "fails"} == {"C2", "C4", "C8", "C9", "C10"}
    assert given["C1"] == "no such effect"  # below half of the depth
    beyond = {name: verdicts["text"] for name, verdicts in summary["claims_beyond_luck"].items()}
    assert beyond == {
        **dict.fromkeys(("C1", "C2"), "too little foreseen"),
        **dict.fromkeys(("C3", "C7", "C10", "C14", "C15", "C16", "C19"), "more than luck"),
        "C9": "less than luck",
    }
    assert sum(summary["verdicts"].values()) == len(names) and sum(summary["beyond_luck"].values()) == len(beyond)


class Drawn(Study):
    """A study of all statistics that claims compare with matched labels, of one value in each cluster."""

    ids, stream = {"model": "duo", "domain": "text"}, ("drawn",)

    def __init__(self, statistics: list[Statistic], rng: np.random.Generator, clusters: int, luck: float) -> None:
        self.clusters, self.statistics = clusters, statistics
        self.by_cluster = luck + rng.normal(0, 0.2, (clusters, len(statistics)))

    def numbers(self, weights: np.ndarray) -> dict[Statistic, np.ndarray]:
        means = weights @ self.by_cluster / weights.sum(axis=1, keepdims=True)
        return dict(zip(self.statistics, means.T, strict=True))


@pytest.mark.parametrize("clusters", [24, 48])
def test_under_pure_luck_no_claim_is_more_than_luck(clusters):
    """True labels drawn as all others are, and an oracle whose luck alone looks like an effect, 0.4: every claim on
    what the oracle chooses is as claimed, and none is more than luck but as often as the level says.
    """
    listed = [claim for claim in claims.claims(SCOPE) if claim.beyond and claim.beyond.statistic.labels == EXCESS]
    assert [claim.name for claim in listed] == ["C7", "C9", "C10", "C14", "C15", "C16", "C19"]
    statistics = sorted({replace(claim.beyond.statistic, labels=TRUE) for claim in listed}, key=repr)
    schema, trials, any_false, found = EXCESS_STATISTICS.schema, 60, 0, []
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        sets = {labels: [Drawn(statistics, rng, clusters, 0.4)] for labels in (TRUE, SAMPLED, MATCHED, PLACEBO)}
        study = Excess(sets)
        rows = [
            each | {"model": model}
            for each in study.rows(study.intervals(60, 0.95, seed), Statistic)
            for model in SEEDS
        ]
        tables = {test.table: [] for claim in listed for test in claim.tests.values()}
        table = {table: pa.Table.from_pylist(rows, schema=schema) for table in tables}
        rows = judge.judge(listed, table, {STUDIED: ["duo"], SKIPPING: ["skip"]}, SEEDS, 0.95).to_pylist()
        found += rows
        any_false += any(each["verdict"] == "more than luck" for each in rows if each["role"] == "beyond luck")
    assert any_false / trials <= 0.05 + 0.05
    as_claimed = {each["claim"]: each["verdict"] for each in found if each["role"] == "claimed"}
    assert as_claimed["C7"] == as_claimed["C14"] == as_claimed["C19"] == "holds", "luck alone looks like an effect"
    fifteen = [each["verdict"] for each in found if (each["claim"], each["role"]) == ("C15", "claimed")]
    assert "holds" not in fifteen, "it is judged by its excess alone"


def test_c8_has_no_verdict_on_luck_since_luck_would_always_pass_it():
    (claim,) = [claim for claim in claims.claims(SCOPE) if claim.name == "C8"]
    assert claim.primary.kind == WITHIN and claim.beyond is None


def test_beside_the_router_stand_the_choosers_that_see_no_label_at_every_budget():
    scope_of_default = scope(load_params(ROOT / "params.yaml"))
    (routers,) = [claim for claim in claims.claims(scope_of_default) if claim.name == "C6"]
    for row in (
        asdict(gap_closed.less_fixed(STACK, 4, ISOLATED)),
        asdict(gap_closed.less_fixed("own", 6, ISOLATED)),
        asdict(gap_closed.less_fixed(PAPER, 8, JOINT)),
    ):
        assert [beside.table for beside in routers.shown if beside.concerns(row)] == [GAP_CLOSED_STATISTICS]
    other = asdict(gap_closed.less_fixed("value", 6, ISOLATED))
    assert not any(beside.concerns(other) for beside in routers.shown)


def test_only_what_is_shown_as_more_than_luck_counts_luck_s_own_words():
    assert judge.beyond_luck("no such effect", compared=True) == "like luck"
    assert judge.beyond_luck("no such effect", compared=False) == "too little foreseen"
    assert judge.beyond_luck("undecided", compared=True) == "undecided"


def test_the_paper_s_budgets_are_shares_of_the_layers():
    def budgets(layers: int) -> list[float]:
        listed = claims.claims(replace(SCOPE, layers=layers, budgets=range(layers + 1), greedy=range(layers + 1)))
        return [claim.primary.statistic.budget for claim in listed if claim.name in ("C7", "C8", "C9")]

    assert budgets(12) == [4, 6, 8]
    assert budgets(4) == [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "lacking"),
    [
        ({"budgets": [2, 6]}, {"C1", "C2", "C4", "C5", "C7", "C9"}),
        ({"greedy": [0, 2]}, {"C3"}),
        ({"routers": [4]}, {"C5"}),
        ({"routers": [1, 2]}, {"C11", "C12"}),
        ({"routers": [], "skipping_routers": False}, {"C5", "C6", "C11", "C12", "C13a", "C13b"}),
        ({"skips": False}, {"C10", "C19"}),
        ({"dense": [0.5, 1.0]}, {"C17"}),
        ({"frozen": False}, {"C18"}),
    ],
    ids=lambda value: str(value if isinstance(value, dict) else sorted(value)),
)
def test_what_the_experiment_leaves_out_leaves_its_claims_without_a_verdict(change, lacking):
    listed = claims.claims(replace(SCOPE, **change))
    missing = tuple(test.statistic for claim in listed for test in claim.tests.values() if not test.there)
    tables = every_statistic(replace(SCOPE, **change), 0.0, without=missing)
    found = judge.judge(listed, tables, GROUPS, SEEDS, 0.95).to_pylist()
    claimed = {each["claim"] for each in found if (each["role"], each["verdict"]) == ("claimed", "not applicable")}
    assert claimed - {"C16"} == lacking


def test_the_oracle_s_statistics_are_those_that_its_study_makes():
    """Those of other stages: the smoke run ends in claims, where one that no stage makes is an error."""
    estimates = evaluated(noise())["text"][1]
    scope = replace(SCOPE, layers=LAYERS, budgets=range(LAYERS + 1), greedy=range(LAYERS + 1))
    tested = {statistic for table, statistic, _ in needed(scope) if table is ORACLE_STATISTICS}
    assert tested and tested <= set(estimates)
    beside = [beside for claim in claims.claims(scope) for beside in claim.shown if beside.table is ORACLE_STATISTICS]
    assert all(any(each.concerns(asdict(key)) for key in estimates if isinstance(key, Statistic)) for each in beside)


def test_where_an_oracle_s_loss_is_judged_its_joint_one_is_too_or_stands_beside():
    listed = {claim.name: claim for claim in claims.claims(SCOPE)}
    assert [listed["C3"].primary.statistic.reference, listed["C3"].beyond.statistic.reference] == [JOINT, JOINT]
    assert listed["C3"].beyond.statistic.subject == STACK
    for name in ("C1", "C2"):
        beside = {(each.statistic.family, each.statistic.reference) for each in listed[name].shown}
        assert {("isolated_gain", "shared"), ("joint_gain", "shared"), ("joint_gain", "greedy")} <= beside


def test_every_statistic_has_words():
    assert all(statistic.words for _, statistic, _ in needed(SCOPE))


def test_the_table_of_claims_in_the_docs_is_that_of_the_code():
    text = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    told = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").replace("\\*", "*").split("|")]
        if line.startswith("| C"):
            told[cells[0]] = (cells[3], cells[5])
    for claim in claims.claims(SCOPE):
        beyond = (
            "-"
            if not claim.beyond
            else "the stack"
            if claim.beyond.statistic.labels != EXCESS
            else "the same"
            if claim.beyond == claim.primary
            else "excess"
        )
        assert told.pop(claim.name) == (claim.primary.supports.replace("±", ""), beyond), claim.name
    assert not told
    halved = [claim.name for claim in claims.claims(SCOPE) if claim.primary.halved]
    assert f"({', '.join(halved)})" in text


def test_all_statistics_of_a_run_stand_in_one_table_with_their_seed():
    tables = {
        ORACLE_STATISTICS: pa.Table.from_pylist([row(A, 1.5), row(C, 1.5, model="duo-2")], ORACLE_STATISTICS.schema),
        ROUTER_STATISTICS: pa.Table.from_pylist([row(A, 3.5)], ROUTER_STATISTICS.schema),
    }
    found = judge.of_the_run(tables, {"duo": 1, "duo-2": 2}).to_pylist()
    assert [(each["study"], each["model"], each["seed"], each["subject"], each["value"]) for each in found] == [
        ("oracle_curves", "duo", 1, "a", 1.5),
        ("oracle_curves", "duo-2", 2, "c", 1.5),
        ("router_curves", "duo", 1, "a", 3.5),
    ]


def test_every_claim_rests_on_a_picture_of_the_report():
    assert {claim.figure for claim in claims.claims(SCOPE)} <= {*content.FIGURES, content.COLOURED}


@pytest.mark.parametrize("file", ["params.yaml", "params/smoke.yaml", "params/full.yaml"])
def test_our_experiments_have_what_every_claim_needs(file, tmp_path):
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    if file != "params.yaml":
        use(str(ROOT / file), path)
    params = load_params(path)
    lacking = [claim.name for claim in claims.claims(scope(params)) for test in claim.tests.values() if not test.there]
    assert set(lacking) == {"C16"}  # lines, which only the text has
    groups = whose(params)
    assert groups[STUDIED][0] == params.route_losses.models[0] and groups[SKIPPING]
    assert not set(groups[STUDIED]) & set(groups[SKIPPING]), (
        "a model that saw skips is no replicate of one that did not"
    )


def test_words_have_the_numbers_of_the_run():
    (first, *_) = claims.claims(replace(SCOPE, random_routes=10))
    assert first.words.endswith("far below the best of 10 random routes.")
