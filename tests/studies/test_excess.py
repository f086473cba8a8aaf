"""What is more than luck: nothing where the labels are drawn from the model's own prediction, and what is planted."""

import numpy as np
import pyarrow as pa
import pytest
from made_up import LAYERS, SPACE, Losses, selected, tabled

from duo.stats import Statistic, Study
from duo.studies import label_sets
from duo.studies.difficulty import LINE_STARTS, WITHOUT_GAIN, WITHOUT_GAIN_ALL_BIG
from duo.studies.excess import Excess
from duo.studies.oracle_curves import DEPTH_TREND, depth_bias, depth_preference
from duo.studies.schedules import ORDER_COST
from duo.tables.studies import EXCESS_STATISTICS

DOCUMENTS, TOKENS, WORDS = 6, 8, 12
ENDS, GAP_BUDGET = (3, 1), 2
LABELS = [("true", 0), ("sampled", 0), ("sampled", 1), ("matched", 0), ("placebo", 0)]
Predictions = np.ndarray  # [documents, tokens, words, routes] log-probabilities


def predictions(rng: np.random.Generator) -> Predictions:
    """Of every route. The last one, all big, gives half of the words a quarter of the chance of the others, alike.

    What a small layer changes is noise, the more the higher the layer, and next to nothing for half of the tokens.
    """
    effects = rng.normal(0, np.arange(1, LAYERS + 1) / 2, (DOCUMENTS, TOKENS, WORDS, LAYERS))
    effects *= rng.choice([0.02, 0.25], (DOCUMENTS, TOKENS, 1, 1))
    logits = effects @ (1.0 - SPACE.digits.T) + np.where(np.arange(WORDS) < WORDS // 2, 0, -np.log(4))[:, None]
    return logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))


def drawn(predicted: Predictions, rng: np.random.Generator, like: np.ndarray | None = None) -> np.ndarray:
    """Labels [documents, tokens] from the reference route's prediction, or among the words as likely as these."""
    chances = np.exp(predicted[..., -1])
    if like is not None:
        same = np.isclose(chances, np.take_along_axis(chances, like[..., None], axis=2))
        chances = np.where(same, chances, 0)
    heights = rng.random(chances.shape[:2]) * chances.sum(axis=2)
    return (chances.cumsum(axis=2) <= heights[..., None]).sum(axis=2).clip(max=WORDS - 1)


def sets_of(predicted: Predictions, true: np.ndarray, rng: np.random.Generator) -> dict[tuple[str, int], np.ndarray]:
    """Labels [documents, tokens] of every set."""
    sampled = drawn(predicted, rng)
    others = [sampled, drawn(predicted, rng), drawn(predicted, rng, like=true), drawn(predicted, rng, like=sampled)]
    return dict(zip(LABELS, [true, *others], strict=True))


def losses_of(predicted: Predictions, labels: np.ndarray) -> Losses:
    """Two documents make a cluster."""
    taken = -np.take_along_axis(predicted, labels[..., None, None], axis=2)[:, :, 0]
    return {("text", f"c{row // 2}/d{row}"): part for row, part in enumerate(taken)}


def tables(by_set: dict[tuple[str, int], Losses]) -> tuple[dict[int, pa.Table], pa.Table]:
    """SELECTIONS by budget of the true labels, and LABEL_SELECTIONS of the others."""
    parts = []
    for (labels, sample), losses in by_set.items():
        by_budget = {budget: selections for budget, (selections, *_) in selected(losses).items()}
        if labels == "true":
            true = by_budget
            continue
        for budget, rows in by_budget.items():
            ids = {"budget": budget, "labels": labels, "sample": sample}
            for name, value in ids.items():
                rows = rows.append_column(name, pa.array([value] * len(rows)))
            parts.append(rows)
    return true, pa.concat_tables(parts)


def described(true: dict[int, pa.Table], line_starts: bool = True) -> pa.Table:
    """The columns of DIFFICULTY that other labels take over: every other token starts a line."""
    rows = true[0].select(["model", "domain", "document", "cluster", "position"])
    starts = [line_starts and position % 2 == 0 for position in rows["position"].to_pylist()]
    return rows.append_column("class", pa.array(["name"] * len(rows))).append_column("line_start", pa.array(starts))


def asked(by_set: dict[tuple[str, int], Losses], **options: bool) -> list[Excess]:
    true, others = tables(by_set)
    sets = label_sets.sets_of(true, others)
    return list(label_sets.gather(sets, described(true, **options), SPACE, ENDS, GAP_BUDGET))


def numbers(excesses: list[Excess]) -> dict[Statistic, float]:
    found = {}
    for excess in excesses:
        found |= {key: value[0] for key, value in excess.numbers(np.ones((1, excess.clusters))).items()}
    return found


class Fixed(Study):
    """A study with one number."""

    ids, clusters, stream = {"model": "duo", "domain": "text"}, 2, ("fixed",)

    def __init__(self, value: float) -> None:
        self.value = value

    def numbers(self, weights: np.ndarray) -> dict:
        return {
            Statistic("one", "thing", words="one thing"): weights @ np.array([0.0, self.value]),
            "other": weights[:, 0],
        }


def test_excess_is_true_less_matched_and_placebo_is_sampled_less_its_own():
    sets = {"true": [8.0], "sampled": [5.0, 3.0], "matched": [6.0], "placebo": [4.5]}
    study = Excess({labels: [Fixed(value) for value in values] for labels, values in sets.items()})
    found = study.intervals(100, 0.95, seed=1)
    values = {key.labels: interval.value for key, interval in found.items()}
    assert values == {"true": 8, "sampled": 4, "matched": 6, "placebo": 5 - 4.5, "excess": 2}
    assert {key.family for key in found} == {"one"}, "what is no statistic stays with the study"
    rows = tabled(EXCESS_STATISTICS, (study, found)).to_pylist()
    assert {row["labels"]: row["words"] for row in rows}["excess"] == "one thing, true less matched labels"
    assert len({row["words"] for row in rows}) == len(rows) == 5


def test_models_and_domains_are_told_apart_whatever_their_order():
    rng = np.random.default_rng(0)
    predicted = predictions(rng)
    by_set = {
        key: losses_of(predicted, labels) for key, labels in sets_of(predicted, drawn(predicted, rng), rng).items()
    }
    for losses in by_set.values():
        losses |= {("code", document): part[::-1] for (_, document), part in list(losses.items())}
    true, others = tables(by_set)
    backwards = others.take(np.arange(len(others))[::-1])
    (first, second), (turned, again) = (
        [
            excess
            for excess in label_sets.gather(label_sets.sets_of(true, rows), described(true), SPACE, ENDS, GAP_BUDGET)
        ][:2]
        for rows in (others, backwards)
    )
    for one, other in ((first, turned), (second, again)):
        assert one.ids == other.ids and numbers([one]) == pytest.approx(numbers([other]))


def test_every_set_of_labels_is_found_once():
    rng = np.random.default_rng(0)
    predicted = predictions(rng)
    by_set = {
        key: losses_of(predicted, labels) for key, labels in sets_of(predicted, drawn(predicted, rng), rng).items()
    }
    sets = label_sets.sets_of(*tables(by_set))
    assert {labels: len(each) for labels, each in sets.items()} == {"true": 1, "sampled": 2, "matched": 1, "placebo": 1}
    for (labels, sample), losses in by_set.items():
        lowest = np.concatenate([part[:, SPACE.with_budget(2)].min(axis=1) for part in losses.values()])
        assert sets[labels][sample][2]["oracle_loss"].to_pylist() == pytest.approx(lowest.tolist(), rel=1e-6)


def test_where_all_is_luck_there_is_no_excess():
    """True labels that are drawn as the others are: mean excess and placebo are within their error of 0; what the
    statistics are by luck alone is not.
    """
    families = [depth_preference(1), DEPTH_TREND, ORDER_COST, WITHOUT_GAIN, LINE_STARTS]
    found: dict[str, list] = {labels: [] for labels in ("true", "excess", "placebo")}
    for seed in range(50):
        rng = np.random.default_rng(seed)
        predicted = predictions(rng)
        by_set = {
            key: losses_of(predicted, labels) for key, labels in sets_of(predicted, drawn(predicted, rng), rng).items()
        }
        values = numbers(asked(by_set))
        for labels in found:
            found[labels].append([values[statistic.of(labels)] for statistic in families])
    for labels in ("excess", "placebo"):
        values = np.array(found[labels])
        assert (values.std(axis=0) > 0.001).all()
        assert (abs(values.mean(axis=0)) < 3.5 * values.std(axis=0) / np.sqrt(len(values))).all(), labels
    prefers_depth, *_, without_gain, _ = np.mean(found["true"], axis=0)
    assert abs(prefers_depth) > 0.1 and 0.1 < without_gain < 0.9


def test_what_the_true_labels_alone_have_is_excess():
    """The text goes on as the last layer would have it, which the model itself doesn't know."""
    rng = np.random.default_rng(0)
    predicted = predictions(rng)
    by_set = {
        key: losses_of(predicted, labels) for key, labels in sets_of(predicted, drawn(predicted, rng), rng).items()
    }
    by_set["true", 0] = {key: part - 3.0 * SPACE.digits[:, -1] for key, part in by_set["true", 0].items()}
    found = numbers(asked(by_set))
    assert found[depth_bias(1)] == pytest.approx(0.5) and found[depth_preference(1)] == pytest.approx(1)
    assert found[depth_preference(1).of("excess")] > 0.5
    assert abs(found[depth_preference(1).of("placebo")]) < 0.4
    assert found[depth_preference(1).of("excess")] == pytest.approx(1 - found[depth_preference(1).of("matched")])


def test_every_statistic_has_all_labels_and_those_of_a_domain_without_lines_are_missing():
    rng = np.random.default_rng(0)
    predicted = predictions(rng)
    by_set = {
        key: losses_of(predicted, labels) for key, labels in sets_of(predicted, drawn(predicted, rng), rng).items()
    }
    studies = asked(by_set, line_starts=False)
    assert [study.stream for study in studies] == [("evaluate",), ("schedules",), ("difficulty",)]
    found = numbers(studies)
    names = {statistic.of("true") for statistic in found}
    assert len(found) == 5 * len(names)
    assert {WITHOUT_GAIN, WITHOUT_GAIN_ALL_BIG, ORDER_COST, depth_preference(1), DEPTH_TREND} <= names
    assert LINE_STARTS not in names and depth_preference(LAYERS) not in names
