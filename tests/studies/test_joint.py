"""What the joint study says of made-up losses."""

import numpy as np
import pyarrow as pa
import pytest
from made_up import tabled

from duo.errors import InputError
from duo.stats import Statistic
from duo.studies import joint
from duo.studies.joint import ContextLoss, agreement, joint_difference, single_big
from duo.tables.studies import JOINT_CURVES, JOINT_STATISTICS

LAYERS = 4


def made_up(isolated: float, joint: float, route: int, selections=("oracle",), documents=("a", "b")) -> pa.Table:
    """JOINT_LOSSES of budgets 2 and 4 (of 4 layers), a document's losses 1 above the other's; all big 0.5 below the
    rest.
    """
    return pa.Table.from_pylist(
        [
            {
                "model": "duo",
                "domain": "text",
                "document": document,
                "cluster": document.split("/")[0],
                "position": position,
                "budget": budget,
                "selection": selection,
            }
            | {"route": route, "isolated": isolated + row - (budget == 4) / 2, "joint": joint + row - (budget == 4) / 2}
            for row, document in enumerate(documents)
            for position in range(3)
            for budget in (2, 4)
            for selection in selections
        ]
    )


def test_differences_between_contexts():
    tables = {"shared": made_up(1.0, 2.0, 3, ("oracle", "fixed")), "greedy": made_up(1.5, 1.5, 5)}
    (study,) = joint.gather(tables, LAYERS)
    estimates = study.intervals(200, 0.9, seed=1)
    values = {
        joint_difference("shared", "isolated", 2): 1.0,
        joint_difference("greedy", "isolated", 2): 0.0,
        joint_difference("shared", "fixed", 2): 0.0,
        joint_difference("greedy", "fixed", 2): -0.5,
        joint_difference("greedy", "all_big", 2): 0.5,
        joint_difference("greedy", "shared", 2): -0.5,
        agreement("shared", "greedy", 2): 0.0,
    }
    for statistic, value in values.items():
        assert estimates[statistic] == pytest.approx((value,) * 3), statistic.words
    assert joint_difference("shared", "all_big", 4) not in estimates
    assert joint_difference("shared", "isolated", 4) in estimates
    assert joint_difference("shared", "greedy", 2) not in estimates, "only with the contexts before it"
    curves = tabled(JOINT_CURVES, (study, estimates)).to_pylist()
    (row,) = [row for row in curves if (row["context"], row["kind"], row["budget"]) == ("greedy", "joint", 4)]
    assert (row["loss"], row["low"], row["high"]) == pytest.approx((1.5, 1.0, 2.0))  # of documents 1 and 2
    assert row["perplexity"] == pytest.approx(np.exp(1.5))
    statistics = tabled(JOINT_STATISTICS, (study, estimates)).to_pylist()
    named = {(row["family"], row["subject"], row["reference"], row["budget"]): row for row in statistics}
    assert len(named) == len(statistics) == sum(isinstance(key, Statistic) for key in estimates)
    row = named["joint_difference", "greedy", "shared", 2.0]
    assert (row["model"], row["domain"], row["labels"], row["value"]) == ("duo", "text", "true", pytest.approx(-0.5))
    assert row["words"] == joint_difference("greedy", "shared", 2).words


def test_a_single_big_layer_is_measured_against_what_all_big_gain():
    """By cluster: a has two documents, which count as two."""

    def losses(budget: int, document: str) -> float:
        return {0: 6.0, 1: 3.0, 4: 4.0}[budget] + (2.0 if document == "b" else 0.5 * budget)

    rows = [
        {"model": "duo", "domain": "text", "document": document, "cluster": document[0], "position": position}
        | {"budget": budget, "selection": "oracle", "route": 0}
        | {"isolated": losses(budget, document) - (budget == 1), "joint": losses(budget, document)}
        for document in ("a/0", "a/1", "b")
        for position in range(3)
        for budget in (0, 1, 4)
    ]
    (study,) = joint.gather({"greedy": pa.Table.from_pylist(rows)}, LAYERS)
    assert (study.clusters, study.tokens.tolist()) == (2, [6, 3])
    by_document = {k: np.mean([losses(k, document) for document in ("a/0", "a/1", "b")]) for k in (0, 1, 4)}
    depth = by_document[0] - by_document[4]
    found = study.numbers(np.ones((1, 2)))
    assert found[single_big()] == pytest.approx((by_document[4] - by_document[1]) / depth)
    assert single_big(kind="isolated") not in found
    (shared,) = joint.gather({"shared": pa.Table.from_pylist(rows)}, LAYERS)
    found = shared.numbers(np.ones((1, 2)))
    assert found[single_big(kind="isolated")] == pytest.approx((by_document[4] - by_document[1] + 1) / depth)
    assert single_big() not in found, "greedily chosen routes alone run together as they won"
    assert single_big() == single_big(kind="joint") != single_big("somebody") != single_big("somebody", "isolated")


def test_an_agreement_is_the_share_of_equal_routes():
    half = made_up(1.0, 1.0, 3)
    routes = np.where(half["position"].to_numpy() == 0, 3, 6)  # one of three positions as in the other context
    half = half.set_column(half.column_names.index("route"), "route", pa.array(routes))
    (study,) = joint.gather({"shared": made_up(1.0, 1.0, 3), "reference": half}, LAYERS)
    assert study.intervals(200, 0.9, seed=1)[agreement("shared", "reference", 2)] == pytest.approx((1 / 3,) * 3)


def test_a_context_that_nobody_listed_has_all_its_numbers():
    (study,) = joint.gather({"shared": made_up(1.0, 2.0, 3), "nearby": made_up(1.5, 1.75, 5)}, LAYERS)
    estimates = study.intervals(200, 0.9, seed=1)
    assert estimates[joint_difference("nearby", "shared", 2)] == pytest.approx((-0.25,) * 3)
    assert estimates[joint_difference("nearby", "isolated", 2)] == pytest.approx((0.25,) * 3)
    assert estimates[ContextLoss("nearby", "oracle", "joint", 2)].value == pytest.approx(2.25)


def test_every_domain_has_a_study():
    text, code = made_up(1.0, 2.0, 3), made_up(2.0, 4.0, 3)
    code = code.set_column(code.column_names.index("domain"), "domain", pa.array(["code"] * len(code)))
    gathered = joint.gather({"shared": pa.concat_tables([text, code])}, LAYERS)
    assert [study.ids for study in gathered] == [{"model": "duo", "domain": domain} for domain in ("text", "code")]
    estimates = [study.intervals(200, 0.9, seed=1)[joint_difference("shared", "isolated", 2)] for study in gathered]
    assert estimates == [pytest.approx((1.0,) * 3), pytest.approx((2.0,) * 3)]


def test_contexts_must_be_tried_on_the_same_documents():
    tables = {"shared": made_up(1.0, 2.0, 3), "greedy": made_up(1.5, 1.5, 5, documents=("a", "c"))}
    message = (
        "model 'duo', domain 'text', document 'b': is in only one of the contexts 'shared' and 'greedy'; "
        "should be in both or none"
    )
    with pytest.raises(InputError, match=message):
        joint.gather(tables, LAYERS)
