"""Choosers' choices and the null in every context, against every route and every word one by one."""

import numpy as np
import pytest
import torch
from models import TINY, make, random_tokens

from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.model.device import Device
from duo.oracle import choosers, contexts, joint, null
from duo.oracle.tree import BATCH, Enumerator
from duo.routes import RouteSpace
from duo.tables.contexts import JOINT_CHOICES

DEVICE = Device()
SPACE = RouteSpace(TINY.layers)
ALL_BIG = SPACE.named("all_big")
BUDGETS = (0, 1, 2)
LENGTH = 5


def sample(documents: int = BATCH + 1, seed: int = 0) -> EvaluationSet:
    """Documents of two domains; one more than are walked side by side."""
    names, half = [f"d{index}" for index in range(documents)], documents // 2
    ids = random_tokens(documents, LENGTH + 1, seed=seed).numpy()
    return EvaluationSet(["text"] * half + ["code"] * (documents - half), names, names, ids[:, :-1], ids[:, 1:])


@pytest.fixture(scope="module")
def made() -> tuple[contexts.Studied, EvaluationSet, choosers.Choosers]:
    duo, teacher = make(scale=1.0), make(seed=4, scale=1.0)
    predictions = choosers.members(choosers.by_route(duo, SPACE, ALL_BIG, DEVICE), {"teacher": teacher}, [], DEVICE)
    calibration = choosers.calibrate("duo", predictions, sample(8, seed=9))
    studied = contexts.Studied("duo", duo, SPACE, DEVICE, 64, ALL_BIG, seed=1)
    return studied, sample(), choosers.Choosers(calibration, predictions)


def others(studied: contexts.Studied, held_out: EvaluationSet, context: str) -> dict[int, np.ndarray | None]:
    """What the other tokens of a context keep; in greedy, the winners of the loop from left to right."""
    if context == "greedy":
        found = joint.greedy(studied.model, SPACE, held_out, BUDGETS, DEVICE, studied.chunk, studied.seed)
        return {budget: found[budget, "oracle"].routes for budget in BUDGETS}
    run = None if context == "shared" else joint.reference_routes("random", held_out, TINY.layers, seed=1)
    return dict.fromkeys(BUDGETS, run)


def word_by_word(studied: contexts.Studied, tokens: np.ndarray, kept: np.ndarray | None, route: int) -> np.ndarray:
    """[length, vocabulary] log-probabilities of each word at every position, where that token takes the route and the
    tokens before it those that they keep, or the same one: the model's own plain pass, a position at a time.
    """
    words = []
    for position in range(len(tokens)):
        routes = np.full(position + 1, route) if kept is None else np.append(kept[:position], route)
        big = torch.from_numpy(SPACE.decode(routes[None]) == 1)
        logits = studied.model(torch.from_numpy(tokens[None, : position + 1]), big)
        words.append(logits[0, -1].log_softmax(-1).numpy())
    return np.stack(words).astype(np.float64)


@pytest.mark.parametrize("context", ["shared", "reference", "greedy"])
def test_every_number_is_that_of_brute_force(made, context):
    studied, held_out, chooser = made
    kept = others(studied, held_out, context)
    rows = contexts.table(studied, held_out, chooser, kept).to_pylist()
    assert len(rows) == len(BUDGETS) * len(chooser.names) * held_out.labels.size
    assert chooser.names == ["own", "teacher", "stack"]
    everywhere = np.arange(LENGTH)
    for row, document in enumerate(held_out.documents):
        tokens, labels = held_out.tokens[row], held_out.labels[row]
        q = chooser.predict(tokens, held_out.domains[row]).double().exp().numpy()
        plain = word_by_word(studied, tokens, None, ALL_BIG)
        for budget in BUDGETS:
            codes, past = SPACE.with_budget(budget), kept[budget]
            words = np.stack(
                [word_by_word(studied, tokens, None if past is None else past[row], code) for code in codes]
            )
            for index, name in enumerate(chooser.names):
                key = document, budget, name
                mine = [each for each in rows if (each["document"], each["budget"], each["chooser"]) == key]
                expected = -(q[index] * words).sum(-1)  # [routes, length]
                best = expected.argmin(axis=0)
                numbers = {
                    "isolated": -words[best, everywhere, labels],
                    "expected": expected.min(axis=0),
                    "null": -(q[index] * words.max(axis=0)).sum(-1),
                    "reference_loss": -plain[everywhere, labels],
                    "reference_expected": -(q[index] * plain).sum(-1),
                }
                assert [each["route"] for each in mine] == codes[best].tolist()
                for column, wanted in numbers.items():
                    np.testing.assert_allclose([each[column] for each in mine], wanted, rtol=1e-4, err_msg=column)


def test_in_expectation_the_oracle_of_greedy_has_the_loss_that_the_null_says(made):
    """Every word of the vocabulary plays the label of the last token, behind a past that the true labels chose."""
    studied, held_out, chooser = made
    one = held_out.take(slice(0, 1))
    kept = others(studied, one, "greedy")
    rows = contexts.table(studied, one, chooser, kept).to_pylist()
    q = chooser.predict(one.tokens[0], one.domains[0])[0].double().exp().numpy()
    mean = 0.0
    for word in range(TINY.vocabulary):
        labels = one.labels.copy()
        labels[0, -1] = word
        if_it_came = EvaluationSet(one.domains, one.documents, one.clusters, one.tokens, labels)
        found = joint.greedy(studied.model, SPACE, if_it_came, [1], DEVICE, studied.chunk, studied.seed)[1, "oracle"]
        np.testing.assert_array_equal(found.routes[0, :-1], kept[1][0, :-1])  # the past knows nothing of it
        mean += q[-1, word] * found.isolated[0, -1]
    (last,) = (row for row in rows if (row["budget"], row["chooser"], row["position"]) == (1, "own", LENGTH - 1))
    assert last["null"] == pytest.approx(mean, rel=1e-4)


def test_the_winners_of_greedy_win_behind_one_another(made):
    """All positions at once, behind the winners as a run, show the losses that they won by."""
    studied, held_out, _ = made
    found = joint.greedy(studied.model, SPACE, held_out, [1], DEVICE, studied.chunk, studied.seed)
    table = joint.table("duo", studied.model, SPACE, held_out, found, DEVICE)
    (kept,) = contexts.winners(table, held_out).values()
    np.testing.assert_array_equal(kept, found[1, "oracle"].routes)
    walk = Enumerator(studied.model, SPACE, DEVICE, 64, budget=1)
    losses = walk.losses(*map(torch.from_numpy, (held_out.tokens, held_out.labels[None])), reference=torch.tensor(kept))
    np.testing.assert_allclose(losses[0].numpy().min(-1), found[1, "oracle"].isolated, rtol=1e-4)


def test_choosers_routes_are_run_jointly(made):
    studied, held_out, chooser = made
    table = contexts.table(studied, held_out, chooser, others(studied, held_out, "reference")).to_pandas()
    assert len(table.groupby(["budget", "chooser"])) == len(BUDGETS) * len(chooser.names)
    for (budget, _), rows in table.groupby(["budget", "chooser"]):
        routes = rows.route.to_numpy().reshape(held_out.labels.shape).astype(np.int64)
        assert set(routes.ravel()) <= set(SPACE.with_budget(budget))
        together = joint.run_jointly(studied.model, SPACE, held_out.tokens, routes, held_out.labels, DEVICE)
        np.testing.assert_array_equal(rows.joint.to_numpy(), together.ravel())


def test_in_the_shared_context_it_is_what_the_null_says_of_it(made):
    """As the walk of all routes and all sets of labels does."""
    studied, held_out, chooser = made
    mine = contexts.table(studied, held_out, chooser, dict.fromkeys(BUDGETS)).to_pylist()
    settings = null.Sampling("all_big", samples=1, within=0.3)
    walk = Enumerator(studied.model, SPACE, DEVICE, 64)
    theirs = null.run("duo", walk, held_out, chooser, settings, BUDGETS, seed=1).choices.to_pylist()
    key = lambda row: tuple(row[name] for name in ("document", "position", "budget", "chooser"))  # noqa: E731
    by_key = {key(row): row for row in mine}
    assert len(by_key) == len(theirs)
    for row in theirs:
        same = by_key[key(row)]
        assert row["route"] == same["route"]
        for there, here in {"loss": "isolated", "expected": "expected", "null": "null"}.items():
            assert same[here] == pytest.approx(row[there], rel=1e-4)


def test_it_fits_its_schema_and_names_what_is_wrong(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    studied, held_out, chooser = made
    JOINT_CHOICES.write(contexts.table(studied, held_out, chooser, {1: None}), context="shared")
    assert len(JOINT_CHOICES.read(context="shared")) == len(chooser.names) * held_out.labels.size
    broken = make(scale=1.0)
    broken.layers[0].ffns["small"].down.weight.data[:] = torch.nan
    with pytest.raises(InputError, match="model duo, budget 1, chooser own: a loss is not finite"):
        contexts.table(studied._replace(model=broken), held_out, chooser, {1: None})
    found = joint.greedy(studied.model, SPACE, held_out.take(slice(0, 2)), [1], DEVICE, 64, seed=1)
    table = joint.table("duo", studied.model, SPACE, held_out.take(slice(0, 2)), found, DEVICE)
    with pytest.raises(InputError, match="domain code, document d2: has no routes in the table of joint losses"):
        contexts.winners(table, held_out)


def test_one_walk_of_all_routes_says_the_same_as_one_for_each_budget(made):
    studied, held_out, chooser = made
    budgets = list(BUDGETS)
    enumerator = Enumerator(studied.model, SPACE, DEVICE, studied.chunk)
    walked = null.run("duo", enumerator, held_out, chooser, null.Sampling("all_big", 1, 0.3), budgets, studied.seed)
    backwards = walked.choices.sort_by([("document", "descending"), ("position", "ascending")])
    chosen = contexts.shared_choices([backwards], held_out, budgets)
    found = contexts.of_walk(studied, held_out, chooser, chosen)
    fewer = contexts.shared_choices([walked.choices], held_out.take(slice(1, 3)), budgets[:1])
    assert set(fewer["document"].to_pylist()) == set(held_out.documents[1:3])
    assert fewer["budget"].unique().to_pylist() == budgets[:1]
    with pytest.raises(InputError, match=f"document {held_out.documents[0]}: is missing in the tables of choices"):
        contexts.shared_choices([fewer], held_out, budgets)
    expected = contexts.table(studied, held_out, chooser, dict.fromkeys(budgets))
    keys = [(name, "ascending") for name in ("budget", "chooser", "document", "position")]
    found, expected = (table.sort_by(keys).to_pandas() for table in (found, expected))
    assert (found.route == expected.route).mean() > 0.99 and (found.document == expected.document).all()
    for name in ("null", "reference_loss", "reference_expected", "expected"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)
