"""What is gained in each context, on made-up losses whose truth is known."""

import numpy as np
import pyarrow as pa
import pytest
from made_up import tabled

from duo.errors import InputError
from duo.studies import joint, joint_gain
from duo.studies.joint import ContextLoss, single_big
from duo.studies.joint_statistics import beyond_null, gain, luck, null_gain, unexplained
from duo.tables.studies import JOINT_CURVES, JOINT_STATISTICS

LAYERS, LENGTH = 4, 3
CLUSTERS = {"a/0": "a", "a/1": "a", "b": "b"}
# Losses of document a/0; one further on each is 1 nat more, and so is what anybody expects.
REFERENCE, EXPECTED_REFERENCE = 5.0, 4.5
ORACLE = {("shared", "isolated"): 3.0, ("shared", "joint"): 4.25, ("greedy", "isolated"): 3.5, ("greedy", "joint"): 3.5}
FORESEEN = {"isolated": 4.75, "joint": 4.875, "expected": 4.0, "null": 2.5}


def rows(numbers: dict[str, float], documents: list[str], budgets: tuple[int, ...], **ids: object) -> list[dict]:
    """A row for every token; by budget, all numbers fall by a sixteenth."""
    return [
        {"model": "duo", "domain": "text", "document": document, "cluster": CLUSTERS[document], "position": position}
        | ids
        | {"budget": budget}
        | {name: value + row - budget / 16 for name, value in numbers.items()}
        for row, document in enumerate(documents)
        for position in range(LENGTH)
        for budget in budgets
    ]


def made_up(budgets: tuple[int, ...] = (1, 2), documents: tuple[str, ...] = tuple(CLUSTERS)) -> joint_gain.JointGain:
    """One study, of two contexts and two choosers: own foresees half a nat less than stack, and expects to."""
    losses, choices = {}, {}
    for context in ("shared", "greedy"):
        numbers = {kind: ORACLE[context, kind] for kind in ("isolated", "joint")}
        losses[context] = rows(numbers, list(CLUSTERS), budgets, selection="oracle", route=3)
        fixed = dict.fromkeys(numbers, 4.5)
        losses[context] += rows(fixed, list(CLUSTERS), budgets, selection="fixed", route=3)
        choices[context] = []
        for chooser, less in (("own", 0.5), ("stack", 0.0)):
            given = {name: value + less * (name != "null") for name, value in FORESEEN.items()}
            made = rows(given, list(documents), budgets, chooser=chooser, route=3)
            for row in made:
                further = list(CLUSTERS).index(row["document"])
                row |= {"reference_loss": REFERENCE + further, "reference_expected": EXPECTED_REFERENCE + further}
            choices[context] += made
    losses, choices = (
        {name: pa.Table.from_pylist(each) for name, each in tables.items()} for tables in (losses, choices)
    )
    (study,) = joint_gain.gather(joint.gather(losses, LAYERS), choices)
    return study


def test_gains_are_taken_apart_in_every_context():
    study = made_up()
    estimates = study.intervals(200, 0.9, seed=1)
    lower = 2 / 16  # of all but the reference, at budget 2
    values = {
        gain("shared", "oracle", "isolated", 2): 2 + lower,
        gain("shared", "oracle", "joint", 2): 0.75 + lower,
        gain("greedy", "oracle", "isolated", 2): 1.5 + lower,
        gain("greedy", "oracle", "joint", 2): 1.5 + lower,
        gain("shared", "fixed", "joint", 2): 0.5 + lower,
        gain("greedy", "stack", "isolated", 2): 0.25 + lower,
        gain("greedy", "stack", "joint", 2): 0.125 + lower,
        gain("greedy", "own", "isolated", 2): -0.25 + lower,
        null_gain("shared", "stack", 2): 2 + lower,
        null_gain("shared", "own", 2): 2 + lower,
        beyond_null("shared", "stack", 2): 0.0,
        beyond_null("greedy", "stack", 2): -0.5,
        luck("shared", "stack", 2): 1.5,
        luck("shared", "own", 2): 2.0,
        unexplained("shared", "stack", 2): 1.75 - 1.5,
        unexplained("greedy", "own", 2): 1.75 - 2.0,
    }
    for statistic, value in values.items():  # the same in every document, so no replicate differs
        assert estimates[statistic] == pytest.approx((value,) * 3), statistic.words
    foreseen = estimates[ContextLoss("greedy", "foreseen", "joint", 2, "stack")]
    assert foreseen.value == pytest.approx(4.875 + 1 - lower)  # mean over documents 0, 1 and 2 nats higher
    assert foreseen.low < foreseen.value < foreseen.high
    assert estimates[ContextLoss("greedy", "null", "isolated", 2, "own")].value == pytest.approx(2.5 + 1 - lower)


def test_the_parts_of_a_gain_add_up():
    numbers = made_up().numbers(np.array([[1.0, 1.0], [0.0, 3.0]]))
    for context, chooser in (("shared", "own"), ("greedy", "stack")):
        whole = numbers[gain(context, "oracle", "isolated", 1)]
        parts = numbers[gain(context, chooser, "isolated", 1)], numbers[luck(context, chooser, 1)]
        np.testing.assert_allclose(sum(parts) + numbers[unexplained(context, chooser, 1)], whole)
        both = numbers[null_gain(context, chooser, 1)] + numbers[beyond_null(context, chooser, 1)]
        np.testing.assert_allclose(both, whole)


def test_where_labels_come_as_the_chooser_says_nothing_is_left_beyond_the_null():
    """Losses that are what is expected of them: of the reference, of the routes that it chooses, of the oracle."""
    study = made_up()
    for (context, _, budget), at in study.choices.items():
        for name, expected in (("isolated", at.expected), ("reference", at.reference_expected)):
            getattr(at, name)[:] = expected
        study.reference[:] = at.reference
        study.curves.losses[ContextLoss(context, "oracle", "isolated", budget)][:] = at.null
    numbers = study.numbers(np.ones((1, 2)))
    for chooser in ("own", "stack"):
        assert numbers[beyond_null("greedy", chooser, 1)] == pytest.approx(0)
        assert numbers[unexplained("greedy", chooser, 1)] == pytest.approx(0)


def test_a_choosers_single_big_layer_is_measured_jointly_in_the_shared_context():
    numbers = made_up((0, 1, 4)).numbers(np.ones((1, 2)))
    depth = 4 / 16  # of the oracle's joint loss in shared, from none to all big
    one, all_big = 4.875 - 1 / 16, 4.25 - 4 / 16
    assert numbers[single_big("stack")] == pytest.approx((all_big - one) / depth)
    assert numbers[single_big("own")] == pytest.approx((all_big - one - 0.5) / depth)
    assert single_big("stack") not in made_up((1, 2)).numbers(np.ones((1, 2)))


def test_both_studies_fill_the_same_tables():
    study = made_up()
    both = (study.curves, study)
    filled = [(each, each.intervals(200, 0.9, seed=1)) for each in both]
    statistics = tabled(JOINT_STATISTICS, *filled).to_pylist()
    keys = [(row["family"], row["subject"], row["reference"], row["budget"]) for row in statistics]
    assert len(keys) == len(set(keys)) and ("joint_gain", "stack", "greedy", 2.0) in keys
    assert all(row["words"] for row in statistics)
    curves = tabled(JOINT_CURVES, *filled).to_pylist()
    assert {(row["selection"], row["chooser"]) for row in curves} == {
        ("oracle", ""),
        ("fixed", ""),
        *((selection, chooser) for selection in ("foreseen", "null") for chooser in ("own", "stack")),
    }


def test_choosers_must_have_the_tokens_of_the_joint_losses():
    message = "model 'duo', domain 'text', context 'shared': the choosers have other tokens than the joint losses"
    with pytest.raises(InputError, match=message):
        made_up(documents=("a/0", "b"))
