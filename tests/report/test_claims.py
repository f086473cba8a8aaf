"""The rule that turns intervals into verdicts, on made-up statistics; and that the claims rest on statistics that
exist.
"""

import shutil
from dataclasses import asdict, replace

import pyarrow as pa
import pytest
from made_up import LAYERS, evaluated, noise
from project import REPOSITORY as ROOT

from duo.errors import InputError
from duo.report import claims, content
from duo.stats import Statistic
from duo.tables import studies
from duo.tables.files import Table
from duo.tables.report import CLAIM_METRICS, CLAIMS
from duo.tables.studies import ORACLE_STATISTICS, ROUTER_STATISTICS
from workflow.__main__ import use
from workflow.params import load_params
from workflow.stages.claims import scope

SCOPE = claims.Scope(layers=12, budgets=range(13), routers=2, skipping=True, dense=[0.0, 1.0], frozen=True)
MODELS = {
    "duo": claims.Trained(1, ("duo", "duo-2", "duo-3")),
    "duo-2": claims.Trained(2, ("duo", "duo-2", "duo-3")),
    "duo-3": claims.Trained(3, ("duo", "duo-2", "duo-3")),
    "skip": claims.Trained(1, ("skip",)),
}


A = Statistic("difference", "a", "b", words="a less b")
C = Statistic("difference", "c", "d", 2, words="c less d at budget 2")


def row(statistic: Statistic, low: float, high: float, model: str = "duo", domain: str = "text") -> dict:
    ids = {"model": model, "domain": domain} | asdict(statistic)
    return ids | {"value": (low + high) / 2, "low": low, "high": high}


BELOW = (claims.Test(ORACLE_STATISTICS, A, "<"),)


def judge(*rows: dict, tests: tuple[claims.Test, ...] = BELOW) -> list[dict]:
    claim = claims.Claim("C0", "words", "figure-2", tests)
    table = pa.Table.from_pylist(list(rows), schema=ORACLE_STATISTICS.schema)
    return claims.judge([claim], {ORACLE_STATISTICS: table}, MODELS).to_pylist()


@pytest.mark.parametrize(
    ("side", "bound", "low", "high", "verdict"),
    [
        ("<", 0.0, -2, -1, "holds"),
        ("<", 0.0, 1, 2, "fails"),
        ("<", 0.0, -1, 1, "undecided"),
        ("<", 0.0, -1, 0, "undecided"),
        (">", 0.0, 1, 2, "holds"),
        (">", 0.0, -2, -1, "fails"),
        (">", 0.0, 0, 0, "undecided"),
        (">", 0.01, 0.005, 0.02, "undecided"),
        (">", 0.01, 0.0, 0.005, "fails"),
        ("within", 0.05, -0.04, 0.03, "holds"),
        ("within", 0.05, -0.06, 0.03, "undecided"),
        ("within", 0.05, 0.06, 0.08, "fails"),
        ("within", 0.05, -0.08, -0.06, "fails"),
    ],
)
def test_a_test_holds_where_its_whole_interval_is_on_the_right_side(side, bound, low, high, verdict):
    (found,) = judge(row(A, low, high), tests=(claims.Test(ORACLE_STATISTICS, A, side, bound),))
    assert found["verdict"] == found["claim_verdict"] == verdict


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ((-2, -1), (-2, -1), "holds"),
        ((-2, -1), (-1, 1), "undecided"),
        ((-2, -1), (1, 2), "fails"),
        ((-1, 1), (1, 2), "fails"),
        ((-1, 1), (-1, 1), "undecided"),
    ],
)
def test_a_claim_holds_where_all_its_tests_do_and_fails_where_any_does(first, second, verdict):
    tests = (claims.Test(ORACLE_STATISTICS, A, "<"), claims.Test(ORACLE_STATISTICS, C, "<"))
    rows = judge(row(A, *first), row(C, *second), tests=tests)
    assert [row["claim_verdict"] for row in rows] == [verdict] * 2


@pytest.mark.parametrize(
    ("seeds", "verdict"),
    [
        ([(-2, -1), (-3, -1), (-2, -1)], "holds"),
        ([(-2, -1), (-3, -1), (-1, 1)], "undecided"),
        ([(-2, -1), (-3, -1), (1, 2)], "undecided"),
        ([(1, 2), (1, 3), (2, 3)], "fails"),
    ],
)
def test_seeds_must_agree_and_their_range_is_told_apart(seeds, verdict):
    rows = judge(*(row(A, *ends, model=model) for model, ends in zip(("duo", "duo-2", "duo-3"), seeds, strict=True)))
    assert {row["claim_verdict"] for row in rows} == {verdict}
    estimates = [(low + high) / 2 for low, high in seeds]
    assert [row["estimate"] for row in rows] == estimates and [row["seed"] for row in rows] == [1, 2, 3]
    assert {(row["seeds"], row["seed_low"], row["seed_high"]) for row in rows} == {
        ("1, 2, 3", min(estimates), max(estimates))
    }


def test_models_trained_otherwise_must_agree_too_but_are_no_seeds():
    rows = judge(row(A, -2, -1), row(A, 3, 4, model="skip"))
    assert {row["claim_verdict"] for row in rows} == {"undecided"}
    assert [(row["seeds"], row["seed_low"], row["seed_high"]) for row in rows] == [("1", -1.5, -1.5), ("1", 3.5, 3.5)]


def test_domains_are_judged_each_by_itself():
    rows = judge(row(A, -2, -1), row(A, 1, 2, domain="code"))
    assert [(row["domain"], row["claim_verdict"]) for row in rows] == [("text", "holds"), ("code", "fails")]


def test_every_subject_can_be_tested():
    one, two = (Statistic("depth_bias", name, words=f"depth bias of {name}") for name in ("one", "two"))
    rows = judge(
        row(one, 1, 2),
        row(two, -1, 1),
        row(A, -2, -1),
        tests=(claims.Test(ORACLE_STATISTICS, Statistic("depth_bias", "any"), ">", each=("subject",)),),
    )
    assert [(found["subject"], found["verdict"], found["claim_verdict"]) for found in rows] == [
        ("one", "holds", "undecided"),
        ("two", "undecided", "undecided"),
    ]


def test_words_are_no_part_of_what_is_tested_and_labels_and_budget_are():
    others = [C.of("sampled"), replace(C, budget=3), replace(C, reference="e")]
    rows = judge(row(replace(C, words="otherwise"), 1, 2), *(row(other, -2, -1) for other in others), tests=(TEST,))
    assert [(found["statistic"], found["verdict"]) for found in rows] == [("otherwise", "fails")]


TEST = claims.Test(ORACLE_STATISTICS, C, "<", needs="line starts")


def test_a_missing_statistic_is_an_error_where_there_should_be_one_and_undecided_elsewhere():
    with pytest.raises(
        InputError,
        match=r"oracle_curves/statistics.parquet: no statistic of domain 'text' for 'c less d at budget 2' \(family "
        r"difference, subject c, reference d, budget 2, labels true\), which claim C0 rests on",
    ):
        judge(row(A, -2, -1), tests=(TEST,))
    (found,) = judge(row(A, -2, -1), tests=(replace(TEST, there=False),))
    assert (found["claim_verdict"], found["supports"]) == ("undecided", "none, without line starts")
    assert found["estimate"] != found["estimate"] and found["statistic"] == C.words


def every_statistic(
    scope: claims.Scope, low: float, high: float, without: tuple[Statistic, ...] = ()
) -> dict[Table, pa.Table]:
    """Tables that hold each statistic that a claim rests on but for some, all with one interval."""
    tests = {(test.table, test.statistic) for claim in claims.claims(scope) for test in claim.tests}
    rows = {
        table: [row(found, low, high) for other, found in tests if other is table and found not in without]
        for table in vars(studies).values()
        if any(table is other for other, _ in tests)
    }
    return {table: pa.Table.from_pylist(found, schema=table.schema) for table, found in rows.items()}


def test_all_claims_are_judged_and_fit_their_schema(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = claims.claims(SCOPE)
    assert [claim.name for claim in listed] == [f"C{number}" for number in range(1, 20)]
    table = claims.judge(listed, every_statistic(SCOPE, 0.1, 0.2), MODELS)
    summary = claims.summary(table)
    CLAIMS.write(table)
    CLAIM_METRICS.write(summary)
    assert list(summary["claims"]) == [claim.name for claim in listed]
    above = {
        "C7",
        "C11",
        "C12",
        "C13",
        "C14",
        "C15",
        "C18",
        "C19",
    }  # the claims whose statistics should all be above zero
    assert {name for name, verdicts in summary["claims"].items() if verdicts["text"] == "holds"} == above
    assert summary["verdicts"] == {"holds": len(above), "fails": 19 - len(above), "undecided": 0}


def test_the_paper_s_budgets_are_shares_of_the_layers():
    def budgets(layers: int) -> list[float]:
        listed = claims.claims(replace(SCOPE, layers=layers, budgets=range(layers + 1)))
        tests = [test for claim in listed for test in claim.tests if test.table is ORACLE_STATISTICS]
        return [test.statistic.budget for test in tests if test.statistic.family == "depth_bias"]

    assert budgets(12) == [4, 6, 8]
    assert budgets(4) == [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "undecided"),
    [
        ({"budgets": [2, 6]}, {"C2", "C3", "C4", "C7", "C9"}),
        ({"routers": 1}, {"C5"}),
        ({"routers": 0, "skipping": False}, {"C5", "C6", "C13"}),
        ({"dense": [0.5, 1.0]}, {"C17"}),
        ({"frozen": False}, {"C18"}),
    ],
    ids=str,
)
def test_what_the_experiment_leaves_out_leaves_its_claims_undecided(change, undecided):
    listed = claims.claims(replace(SCOPE, **change))
    lacking = tuple(test.statistic for claim in listed for test in claim.tests if not test.there)
    tables = every_statistic(SCOPE, -0.01, -0.005, without=lacking)
    found = claims.judge(listed, tables, MODELS).to_pylist()
    without = {row["claim"] for row in found if row["supports"].startswith("none, without")}
    assert without - {"C16"} == undecided
    assert not {row["claim"] for row in found if row["claim_verdict"] == "holds"} & without


def test_the_oracle_s_statistics_are_those_that_its_study_makes():
    """Those of other stages: the smoke run ends in claims, where one that no stage makes is an error."""
    estimates = evaluated(noise())["text"][1]
    listed = claims.claims(replace(SCOPE, layers=LAYERS, budgets=range(LAYERS + 1)))
    tested = {test.statistic for claim in listed for test in claim.tests if test.table is ORACLE_STATISTICS}
    assert tested <= set(estimates)


def test_every_statistic_has_words():
    assert all(test.statistic.words for claim in claims.claims(SCOPE) for test in claim.tests)


def test_all_statistics_of_a_run_stand_in_one_table_with_their_seed():
    tables = {
        ORACLE_STATISTICS: pa.Table.from_pylist([row(A, 1, 2), row(C, 1, 2, "duo-2")], ORACLE_STATISTICS.schema),
        ROUTER_STATISTICS: pa.Table.from_pylist([row(A, 3, 4)], ROUTER_STATISTICS.schema),
    }
    found = claims.of_the_run(tables, {"duo": 1, "duo-2": 2}).to_pylist()
    assert [(each["study"], each["model"], each["seed"], each["subject"], each["value"]) for each in found] == [
        ("oracle_curves", "duo", 1, "a", 1.5),
        ("oracle_curves", "duo-2", 2, "c", 1.5),
        ("router_curves", "duo", 1, "a", 3.5),
    ]


def test_every_claim_rests_on_a_picture_of_the_report():
    shown = {*content.FIGURES, content.COLOURED}
    assert {claim.figure for claim in claims.claims(SCOPE)} <= shown


@pytest.mark.parametrize("file", ["params.yaml", "params/smoke.yaml", "params/full.yaml"])
def test_our_experiments_have_what_every_claim_needs(file, tmp_path):
    params = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", params)
    if file != "params.yaml":
        use(str(ROOT / file), params)
    lacking = [
        (claim.name, test.statistic.family, test.statistic.subject)
        for claim in claims.claims(scope(load_params(params)))
        for test in claim.tests
        if not test.there
    ]
    assert lacking == [
        ("C16", "loss_difference", "line_starts"),
        ("C16", "gap_difference", "line_starts"),
    ]  # which only the text can tell
