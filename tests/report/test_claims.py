"""The rule that turns intervals into verdicts, on made-up statistics; and that the claims rest on statistics that
exist.
"""

import shutil
from dataclasses import replace

import pyarrow as pa
import pytest
from made_up import LAYERS, evaluated, noise
from project import REPOSITORY as ROOT

from duo.errors import InputError
from duo.report import claims, glossary, page
from duo.tables.report import CLAIM_METRICS, CLAIMS
from workflow.__main__ import use
from workflow.params import load_params
from workflow.stages.claims import scope

SCOPE = claims.Scope(layers=12, budgets=range(13), routers=2, skipping=True, dense=[0.0, 1.0], frozen=True)
MODELS = {
    "duo": claims.Model(1, ("duo", "duo-2", "duo-3")),
    "duo-2": claims.Model(2, ("duo", "duo-2", "duo-3")),
    "duo-3": claims.Model(3, ("duo", "duo-2", "duo-3")),
    "skip": claims.Model(1, ("skip",)),
}


def statistic(name: str, low: float, high: float, model: str = "duo", domain: str = "text") -> dict:
    return {"model": model, "domain": domain, "name": name, "value": (low + high) / 2, "low": low, "high": high}


BELOW = (claims.Test("evaluate", "a-b", "<"),)


def judge(*rows: dict, tests: tuple[claims.Test, ...] = BELOW) -> list[dict]:
    claim = claims.Claim("C0", "words", "figure-2", tests)
    return claims.judge([claim], {"evaluate": pa.Table.from_pylist(list(rows))}, MODELS).to_pylist()


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
    (row,) = judge(statistic("a-b", low, high), tests=(claims.Test("evaluate", "a-b", side, bound),))
    assert row["verdict"] == row["claim_verdict"] == verdict


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
    tests = (claims.Test("evaluate", "a-b", "<"), claims.Test("evaluate", "c-d", "<"))
    rows = judge(statistic("a-b", *first), statistic("c-d", *second), tests=tests)
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
    rows = judge(
        *(statistic("a-b", *ends, model=model) for model, ends in zip(("duo", "duo-2", "duo-3"), seeds, strict=True))
    )
    assert {row["claim_verdict"] for row in rows} == {verdict}
    estimates = [(low + high) / 2 for low, high in seeds]
    assert [row["estimate"] for row in rows] == estimates and [row["seed"] for row in rows] == [1, 2, 3]
    assert {(row["seeds"], row["seed_low"], row["seed_high"]) for row in rows} == {
        ("1, 2, 3", min(estimates), max(estimates))
    }


def test_models_trained_otherwise_must_agree_too_but_are_no_seeds():
    rows = judge(statistic("a-b", -2, -1), statistic("a-b", 3, 4, model="skip"))
    assert {row["claim_verdict"] for row in rows} == {"undecided"}
    assert [(row["seeds"], row["seed_low"], row["seed_high"]) for row in rows] == [("1", -1.5, -1.5), ("1", 3.5, 3.5)]


def test_domains_are_judged_each_by_itself():
    rows = judge(statistic("a-b", -2, -1), statistic("a-b", 1, 2, domain="code"))
    assert [(row["domain"], row["claim_verdict"]) for row in rows] == [("text", "holds"), ("code", "fails")]


def test_a_pattern_tests_every_statistic_of_its_kind():
    rows = judge(
        statistic("lean_a", 1, 2),
        statistic("lean_b", -1, 1),
        statistic("other", -2, -1),
        tests=(claims.Test("evaluate", "lean_*", ">"),),
    )
    assert [(row["statistic"], row["verdict"], row["claim_verdict"]) for row in rows] == [
        ("lean_a", "holds", "undecided"),
        ("lean_b", "undecided", "undecided"),
    ]


def test_a_missing_statistic_is_an_error_where_there_should_be_one_and_undecided_elsewhere():
    test = claims.Test("evaluate", "c-d", "<", needs="line starts")
    with pytest.raises(
        InputError,
        match=r"oracle_curves/statistics.parquet: no statistic 'c-d' of domain 'text', which claim C0 rests on",
    ):
        judge(statistic("a-b", -2, -1), tests=(test,))
    (row,) = judge(statistic("a-b", -2, -1), tests=(replace(test, there=False),))
    assert (
        row["claim_verdict"] == "undecided"
        and row["supports"] == "none, without line starts"
        and row["estimate"] != row["estimate"]
    )


def every_statistic(scope: claims.Scope, low: float, high: float) -> dict[str, pa.Table]:
    """Tables that hold each statistic that a claim rests on, all with one interval."""
    names = {(test.source, test.name.replace("*", "x")) for claim in claims.claims(scope) for test in claim.tests}
    rows = {
        source: [statistic(name, low, high) for other, name in sorted(names) if other == source]
        for source in claims.SOURCES
    }
    return {source: pa.Table.from_pylist(found) for source, found in rows.items()}


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
    def leans(layers: int) -> list[str]:
        listed = claims.claims(replace(SCOPE, layers=layers, budgets=range(layers + 1)))
        return [test.name for claim in listed for test in claim.tests if test.name.startswith("lean_")]

    assert leans(12) == ["lean_4", "lean_6", "lean_8"]
    assert leans(4) == ["lean_1", "lean_2", "lean_3"]


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
    tables = every_statistic(SCOPE, -0.01, -0.005)
    lacking = {test.name.replace("*", "x") for claim in listed for test in claim.tests if not test.there}
    tables = {
        source: pa.Table.from_pylist([row for row in table.to_pylist() if row["name"] not in lacking])
        for source, table in tables.items()
    }
    found = claims.judge(listed, tables, MODELS).to_pylist()
    without = {row["claim"] for row in found if row["supports"].startswith("none, without")}
    assert without - {"C16"} == undecided
    assert not {row["claim"] for row in found if row["claim_verdict"] == "holds"} & without


def test_the_oracle_s_statistics_are_those_that_evaluate_makes():
    """Those of other stages: the smoke run ends in claims, where a name that no stage makes is an error."""
    found = evaluated(noise())["text"][1]
    listed = claims.claims(replace(SCOPE, layers=LAYERS, budgets=range(LAYERS + 1)))
    assert {test.name for claim in listed for test in claim.tests if test.source == "evaluate"} <= set(found)


def test_every_statistic_has_words():
    for name in {test.name.replace("*", "0.5") for claim in claims.claims(SCOPE) for test in claim.tests}:
        assert glossary.statistic(name) != name


def test_every_claim_rests_on_a_picture_of_the_report():
    shown = {*page.FIGURES, page.COLOURED}
    assert {claim.figure for claim in claims.claims(SCOPE)} <= shown


@pytest.mark.parametrize("file", ["params.yaml", "params/smoke.yaml", "params/full.yaml"])
def test_our_experiments_have_what_every_claim_needs(file, tmp_path):
    params = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", params)
    if file != "params.yaml":
        use(str(ROOT / file), params)
    lacking = [
        (claim.name, test.name)
        for claim in claims.claims(scope(load_params(params)))
        for test in claim.tests
        if not test.there
    ]
    assert lacking == [("C16", "line_start_loss"), ("C16", "line_start_gap")]  # which only the text can tell
