"""Shares of the attainable gap and differences from fixed, from tables of known losses."""

import numpy as np
import pyarrow as pa
import pytest

from duo.errors import InputError
from duo.settings import OneRouter
from duo.studies import gap_closed
from duo.tables import files
from duo.tables.routers import POLICY_ROUTES
from duo.tables.studies import GAP_CLOSED_CURVES, GAP_CLOSED_STATISTICS

LAYERS, DOCUMENTS, TIME = 4, 6, 5
ROUTER = OneRouter(model="duo", mix={"text": 1.0}, choices=["small", "big"], big=2.0)
ROUTE_LOSSES = {"fixed": 3.0, "random": 3.6, "expected_loss": 2.6, "value": 2.7}


def ids(domain: str = "text") -> dict:
    documents = [f"d{index}" for index in range(DOCUMENTS)]
    return {
        "domain": [domain] * DOCUMENTS * TIME,
        "document": np.repeat(documents, TIME),
        "position": np.tile(np.arange(TIME, dtype=np.int32), DOCUMENTS),
    }


def jitter(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=DOCUMENTS * TIME) * 0.05


def routes(policy: str, network: str, loss: float, constraint: str = "exact", seed: int = 0) -> pa.Table:
    """POLICY_ROUTES of one policy: two big layers everywhere, a mean loss around `loss`, and a tenth more when joint."""
    count = DOCUMENTS * TIME
    constants = {
        "policy": policy,
        "input": "layers" if network != "none" else "none",
        "network": network,
        "constraint": constraint,
    }
    columns = {key: [value] * count for key, value in constants.items()} | ids()
    columns |= {"budget": np.full(count, 2, np.int32), "route": np.full(count, 0b0011, np.int32)}
    losses = (loss + jitter(seed)).astype(np.float32)
    table = pa.table(columns | {"loss": losses, "joint": losses + np.float32(0.1)})
    return table.select(POLICY_ROUTES.schema.names).cast(POLICY_ROUTES.schema)  # as read


def settings(policy: str, network: str, validation: float) -> pa.Table:
    row = {
        "policy": policy,
        "input": "layers" if network != "none" else "none",
        "network": network,
        "constraint": "exact",
        "budget": 2,
    }
    return pa.Table.from_pylist(
        [row | {"steps": 0, "setting": float("nan"), "price": float("nan"), "validation": validation}]
    )


def luck(documents: int = DOCUMENTS, ceiling: float = 2.0) -> pa.Table:
    count = documents * TIME
    columns = {key: column[:count] for key, column in ids().items()} | {
        "model": ["duo"] * count,
        "budget": np.full(count, 2, np.int32),
    }
    return pa.table(columns | {"ceiling_loss": files.fixed_lists(np.tile(np.float32([ceiling, 9.0]), (count, 1)))})


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


def gathered(**changes) -> list[gap_closed.Domain]:
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
        "luck": luck(),
        "routers": {"both-2": ROUTER},
        "routed": {"both-2": routed()},
    }
    return gap_closed.gather("duo", LAYERS, **arguments | changes)


def found() -> tuple[pa.Table, dict[str, dict]]:
    (domain,) = gathered()
    numbers = domain.intervals(200, 0.95, seed=1)
    return gap_closed.curves(domain, numbers), {
        row["name"]: row for row in gap_closed.statistics(domain, numbers).to_pylist()
    }


def test_share_is_of_the_gap_between_fixed_and_ceiling():
    curves, statistics = found()
    fixed = 3.0 + jitter(0).mean()
    for policy, loss in {"expected_loss": 2.6, "value": 2.7, "random": 3.6}.items():
        expected = (3.0 - loss) / (fixed - 2.0)
        assert statistics[f"share_{policy}_2"]["value"] == pytest.approx(expected, abs=1e-5)
        assert statistics[f"{policy}_2-fixed_2"]["value"] == pytest.approx(loss - 3.0, abs=1e-5)
        assert statistics[f"{policy}_joint_2-fixed_2"]["value"] == pytest.approx(loss - 2.9, abs=1e-5)
    assert statistics["ceiling_2-fixed_2"]["value"] == pytest.approx(2.0 - fixed, abs=1e-5)
    assert statistics["paper_joint_2-fixed_2"]["value"] == pytest.approx(3.1 - fixed, abs=1e-5)
    assert statistics["paper_average_joint_2-fixed_2"]["value"] == pytest.approx(2.9 - fixed, abs=1e-5)
    assert statistics["expected_loss_average_2-fixed_2"]["value"] == pytest.approx(-0.6, abs=1e-5)
    interval = statistics["expected_loss_2-fixed_2"]
    assert interval["low"] == pytest.approx(interval["value"], abs=1e-6), (
        "the difference is the same in all documents: it is paired"
    )
    shares = {
        row["policy"]: row["share"]
        for row in curves.to_pylist()
        if row["kind"] == "isolated" and row["constraint"] == "exact"
    }
    assert shares["fixed"] == 0 and shares["ceiling"] == 1


def test_the_best_on_validation_stands_for_its_objective():
    """Of expected_loss the linear network, though the mlp is better on the held-out documents."""
    curves, statistics = found()
    chosen = {(row["policy"], row["network"]) for row in curves.to_pylist() if row["chosen"]}
    assert chosen == {(name, "none") for name in ("fixed", "random", "ceiling")} | {
        (name, "linear") for name in ("expected_loss", "value", "paper")
    }
    assert statistics["expected_loss_2-value_2"]["value"] == pytest.approx(-0.1, abs=1e-5)
    assert statistics["spread_2"]["value"] == pytest.approx(0.1, abs=1e-5)


def test_tables_fit_their_schemas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (domain,) = gathered()
    numbers = domain.intervals(200, 0.95, seed=1)
    GAP_CLOSED_CURVES.write(gap_closed.curves(domain, numbers))
    GAP_CLOSED_STATISTICS.write(gap_closed.statistics(domain, numbers))
    row = gap_closed.curves(domain, numbers).to_pylist()[0]
    assert row["big"] == 2 and row["perplexity"] == pytest.approx(np.exp(row["loss"]))


def test_other_documents_are_one_error():
    with pytest.raises(
        InputError, match="ceiling at budget 2: scored on other documents of domain 'text' than the others"
    ):
        gathered(luck=luck(DOCUMENTS - 1))
