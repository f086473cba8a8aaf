"""Shares of the teacher-informed gap and differences from fixed, from tables of known losses."""

import numpy as np
import pyarrow as pa
import pytest

from duo.errors import InputError
from duo.settings import Bootstrap, OneRouter
from duo.stats import Intervals
from duo.studies import gap_closed
from duo.studies.gap_closed import GapClosed, difference, less_fixed, share_closed
from duo.tables.routers import POLICY_ROUTES
from duo.tables.studies import GAP_CLOSED_CURVES, GAP_CLOSED_STATISTICS
from workflow import studies

LAYERS, DOCUMENTS, TIME = 4, 6, 5
ROUTER = OneRouter(model="duo", mix={"text": 1.0}, choices=["small", "big"], big=2.0)
ROUTE_LOSSES = {"fixed": 3.0, "random": 3.6, "expected_loss": 2.6, "value": 2.7}


def ids(domain: str = "text") -> dict:
    documents = [f"d{index}" for index in range(DOCUMENTS)]
    return {
        "domain": [domain] * DOCUMENTS * TIME,
        "document": np.repeat(documents, TIME),
        "cluster": np.repeat(documents, TIME),
        "position": np.tile(np.arange(TIME, dtype=np.int32), DOCUMENTS),
    }


def jitter(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=DOCUMENTS * TIME) * 0.05


def variant(policy: str, network: str) -> dict[str, str]:
    """A policy without a network reads nothing and is a baseline."""
    learned = network != "none"
    role, reads = ("learned", "layers") if learned else ("baseline", "none")
    return {"policy": policy, "role": role, "input": reads, "network": network}


def routes(policy: str, network: str, loss: float, constraint: str = "exact", seed: int = 0) -> pa.Table:
    """POLICY_ROUTES of one policy: two big layers everywhere, a mean loss around `loss`, a tenth more when joint."""
    count = DOCUMENTS * TIME
    constants = variant(policy, network) | {"constraint": constraint}
    columns = {key: [value] * count for key, value in constants.items()} | ids()
    columns |= {"budget": np.full(count, 2, np.int32), "route": np.full(count, 0b0011, np.int32)}
    losses = (loss + jitter(seed)).astype(np.float32)
    table = pa.table(columns | {"loss": losses, "joint": losses + np.float32(0.1)})
    return table.select(POLICY_ROUTES.schema.names).cast(POLICY_ROUTES.schema)  # as read


def settings(policy: str, network: str, validation: float) -> pa.Table:
    row = variant(policy, network) | {"constraint": "exact", "budget": 2}
    return pa.Table.from_pylist(
        [row | {"steps": 0, "setting": float("nan"), "price": float("nan"), "validation": validation}]
    )


def choices(documents: int = DOCUMENTS, **losses: float) -> pa.Table:
    """CHOICES of a teacher, at 2 nats a token, and of more choosers at theirs."""
    parts = [of_chooser(name, loss, documents) for name, loss in ({"teacher": 2.0} | losses).items()]
    return pa.concat_tables(parts)


def of_chooser(name: str, loss: float, documents: int) -> pa.Table:
    count = documents * TIME
    columns = {key: column[:count] for key, column in ids().items()} | {
        "model": ["duo"] * count,
        "chooser": [name] * count,
        "budget": np.full(count, 2, np.int32),
    }
    return pa.table(columns | {"loss": np.full(count, loss, np.float32)})


def routed() -> pa.Table:
    count = DOCUMENTS * TIME
    parts = [
        pa.table(
            ids()
            | {"kind": [kind] * count, "loss": np.full(count, loss, np.float32), "big": np.full(count, 2.0, np.float32)}
        )
        for kind, loss in {"hard": 2.9, "exact": 3.1, "soft": 9.0}.items()
    ]
    return pa.concat_tables(parts)


def gathered(**changes) -> list[GapClosed]:
    tables = [
        routes(policy, "none" if policy in ("fixed", "random") else "linear", loss)
        for policy, loss in ROUTE_LOSSES.items()
    ]
    tables += [routes("expected_loss", "mlp", 2.5), routes("expected_loss", "linear", 2.4, "average")]
    chosen = [
        settings(policy, "none" if policy in ("fixed", "random") else "linear", loss)
        for policy, loss in ROUTE_LOSSES.items()
    ]
    chosen += [settings("expected_loss", "mlp", 2.8)]
    arguments = {
        "routes": tables,
        "settings": chosen,
        "choices": choices(),
        "teacher": "teacher",
        "routers": {"both-2": ROUTER},
        "routed": {"both-2": routed()},
    }
    return gap_closed.gather("duo", LAYERS, **arguments | changes)


def measured(**changes) -> tuple[list[dict], Intervals]:
    """Rows of GAP_CLOSED_CURVES, and all intervals, those of the agreement among them."""
    (study,) = gathered(**changes)
    estimates = study.intervals(200, 0.95, seed=1)
    return study.tables(estimates)[GAP_CLOSED_CURVES], {**estimates, **study.agreement(estimates)}


def test_share_is_of_the_gap_between_fixed_and_ceiling():
    curves, estimates = measured()

    def value(statistic) -> float:
        return estimates[statistic].value

    fixed = 3.0 + jitter(0).mean()
    for policy, loss in {"expected_loss": 2.6, "value": 2.7, "random": 3.6}.items():
        assert value(share_closed(policy, 2, "isolated")) == pytest.approx((3.0 - loss) / (fixed - 2.0), abs=1e-5)
        assert value(less_fixed(policy, 2, "isolated")) == pytest.approx(loss - 3.0, abs=1e-5)
        assert value(less_fixed(policy, 2, "joint")) == pytest.approx(loss - 2.9, abs=1e-5)
    assert value(less_fixed("ceiling", 2, "isolated")) == pytest.approx(2.0 - fixed, abs=1e-5)
    assert value(less_fixed("paper", 2, "joint")) == pytest.approx(3.1 - fixed, abs=1e-5)
    assert value(less_fixed("paper", 2, "joint", "average")) == pytest.approx(2.9 - fixed, abs=1e-5)
    assert value(less_fixed("expected_loss", 2, "isolated", "average")) == pytest.approx(-0.6, abs=1e-5)
    paired = estimates[less_fixed("expected_loss", 2, "isolated")]  # the difference is the same in all documents
    assert paired.low == pytest.approx(paired.value, abs=1e-6)
    shares = {
        row["policy"]: row["share"] for row in curves if row["kind"] == "isolated" and row["constraint"] == "exact"
    }
    assert shares["fixed"] == 0 and shares["ceiling"] == 1


def test_choosers_stand_beside_the_ceiling_and_teachers_that_are_not_the_first_do_not():
    curves, estimates = measured(choices=choices(own=2.8, stack=1.9, second_teacher=1.0))
    fixed = 3.0 + jitter(0).mean()
    for chooser, loss in {"own": 2.8, "stack": 1.9}.items():
        closed = estimates[share_closed(chooser, 2, "isolated")]
        assert closed.value == pytest.approx((fixed - loss) / (fixed - 2.0), abs=1e-5)
        below = estimates[less_fixed(chooser, 2, "isolated")]
        assert below.value == pytest.approx(loss - fixed, abs=1e-5) and below.low < below.value < below.high
    assert {row["policy"] for row in curves if row["role"] == "chooser"} == {"own", "stack"}
    assert estimates[less_fixed("ceiling", 2, "isolated")].value == pytest.approx(2.0 - fixed, abs=1e-5)
    # They learned nothing from losses, so they are in no comparison of those that did.
    assert difference("own", "value", 2) not in estimates and difference("expected_loss", "own", 2) not in estimates


def test_the_best_on_validation_stands_for_its_objective():
    """Of expected_loss the linear network, though the mlp is better on the held-out documents."""
    curves, estimates = measured()
    chosen = {(row["policy"], row["network"]) for row in curves if row["chosen"]}
    assert chosen == {(name, "none") for name in ("fixed", "random", "ceiling")} | {
        (name, "linear") for name in ("expected_loss", "value", "paper")
    }
    assert estimates[difference("expected_loss", "value", 2)].value == pytest.approx(-0.1, abs=1e-5)
    assert estimates[gap_closed.spread(2)].value == pytest.approx(0.1, abs=1e-5)


def added(**losses: tuple[float, int]) -> dict:
    """Arguments of `measured`: the fixed route, and learned policies of these losses and seeds of their jitter."""
    learned = [routes(name, "linear", loss, seed=seed) for name, (loss, seed) in losses.items()]
    validated = [settings(name, "linear", loss) for name, (loss, _) in losses.items()]
    fixed = {"routes": routes("fixed", "none", 3.0), "settings": settings("fixed", "none", 3.0)}
    return {"routes": [fixed["routes"], *learned], "settings": [fixed["settings"], *validated]}


def as_baseline(table: pa.Table) -> pa.Table:
    role = table.column_names.index("role")
    return table.set_column(role, table.schema.field("role"), pa.array(["baseline"] * len(table)))


def test_a_policy_that_nobody_listed_is_compared_by_its_role():
    tables = added(value=(2.7, 0), plug_in=(2.5, 0))
    _, estimates = measured(**tables)
    assert estimates[less_fixed("plug_in", 2, "isolated")].value == pytest.approx(-0.5, abs=1e-5)
    assert estimates[difference("plug_in", "value", 2)].value == pytest.approx(-0.2, abs=1e-5)
    for parts in tables.values():
        parts[-1] = as_baseline(parts[-1])
    _, estimates = measured(**tables)
    assert less_fixed("plug_in", 2, "isolated") in estimates and difference("plug_in", "value", 2) not in estimates


def test_agreement_counts_the_pairs_that_are_surely_better_than_fixed():
    """Two are 0.2 nats apart on every token, a third is like the first but for its jitter; a fourth is no better."""
    learned = {"first": (2.5, 0), "second": (2.7, 0), "third": (2.5, 1), "useless": (3.0, 2)}
    _, estimates = measured(**added(**learned))
    assert estimates[gap_closed.good_pairs(2)] == (3, 3, 3)
    assert estimates[gap_closed.good_pairs_alike(2)] == (1, 1, 1)
    apart = [abs(estimates[difference(*pair, 2)].value) for pair in (("first", "second"), ("second", "third"))]
    largest = estimates[gap_closed.largest_difference(2)]
    assert largest.value == pytest.approx(max(apart)) and 0 < largest.low <= largest.value <= largest.high


def test_without_two_good_policies_there_is_no_largest_difference():
    _, estimates = measured(**added(first=(2.5, 0), useless=(3.0, 2)))
    assert estimates[gap_closed.good_pairs(2)] == estimates[gap_closed.good_pairs_alike(2)] == (0, 0, 0)
    assert gap_closed.largest_difference(2) not in estimates


def test_tables_fit_their_schemas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    studies.write(gathered(), Bootstrap(confidence=0.95, resamples=200), seed=1)
    row = GAP_CLOSED_CURVES.read().to_pylist()[0]
    assert row["big"] == 2 and row["perplexity"] == pytest.approx(np.exp(row["loss"]))
    written = GAP_CLOSED_STATISTICS.read().to_pylist()
    assert {"isolated_gap_closed", "joint_difference_on_average", "good_pairs"} <= {row["family"] for row in written}
    assert all(row["words"] and "_" not in row["words"] for row in written)


def test_other_documents_are_one_error():
    with pytest.raises(
        InputError, match="ceiling at budget 2: scored on other documents of domain 'text' than the others"
    ):
        gathered(choices=choices(DOCUMENTS - 1))
