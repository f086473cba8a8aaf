"""Figures 3, 4a and 4b with routers: what is drawn is what the tables say, and captions say the constraint."""

import made_up
import numpy as np
import pyarrow as pa
import pytest
from made_up import LAYERS, evaluated, noise, routing_curves, tabled

from duo.figures import base, oracle, routers
from duo.tables.studies import ORACLE_CURVES


@pytest.fixture(scope="module")
def curves() -> pa.Table:
    return tabled(ORACLE_CURVES, *evaluated(noise(documents=4)).values())


@pytest.fixture(scope="module")
def setting(curves) -> base.Setting:
    model = curves["model"][0].as_py()
    return made_up.setting(model=model, documents=4)


def drawn(axes) -> dict:
    return {line.get_label(): line for line in axes.lines}


def test_hard_and_soft_stand_at_the_layers_used_and_exact_at_its_budget(curves, setting):
    picture = oracle.budget_curves(curves, setting, routing_curves())
    for index, axes in enumerate(picture.figure.axes):
        lines, below = drawn(axes), index > 1
        for label, at in {
            "router, hard, at the layers used": [1.25, 3.25],
            "router, soft mix": [0.75, 2.75],
            "router, exactly its budget": [1, 3],
            "oracle, budget on average": [1, 3],
        }.items():
            assert lines[label].get_xdata().tolist() == at, label
            loss = 2 - 0.1 * np.array(at)
            expected = loss - (2 - 0.1 * LAYERS) if below else np.exp(loss)
            assert lines[label].get_ydata() == pytest.approx(expected), label
    assert "on average over a sequence" in picture.caption and "exactly" in picture.caption


def test_without_routers_nothing_of_them_is_said(curves, setting):
    picture = oracle.budget_curves(curves, setting)
    assert not any("router" in label for label in drawn(picture.figure.axes[0]))
    assert "outer" not in picture.caption


def test_routers_at_exactly_their_budget_stand_beside_the_oracle(curves, setting):
    picture = oracle.oracle_against_random(curves, routing_curves(), setting)
    for axes in picture.figure.axes:
        lines = drawn(axes)
        assert np.round(lines["router, exactly its budget"].get_xdata()).tolist() == [1, 3]
        assert lines["router, exactly its budget"].get_ydata() == pytest.approx([-0.05, -0.15])


def test_a_map_a_router_and_domain_shows_the_shares(setting):
    shares = {
        ("text", "r", "big"): 0.25,
        ("code", "r", "big"): 0.5,
        ("text", "s", "skip"): 0.75,
        ("code", "s", "skip"): 1.0,
    }
    rows = [
        {
            "router": router,
            "domain": domain,
            "choice": choice,
            "layer": layer,
            "position": position,
            "share": share * layer / LAYERS,
        }
        for (domain, router, choice), share in shares.items()
        for layer in range(LAYERS)
        for position in range(5)
    ]
    shown = [routers.Shown("r", "big", 2.0), routers.Shown("s", "skip", 1.2)]
    picture = routers.heat_maps(pa.Table.from_pylist(rows), shown, setting)
    maps = [axes for axes in picture.figure.axes if axes.images]
    for axes, share in zip(maps, (0.25, 0.75, 0.5, 1.0), strict=True):
        np.testing.assert_allclose(
            axes.images[0].get_array(), np.tile(share * np.arange(LAYERS)[:, None] / LAYERS, (1, 5))
        )
    assert [axes.get_title() for axes in maps[:2]] == ["r\n2 of 4 big", "s\n1.2 of 4 skipped"]
    assert "mean over a sequence" in picture.caption
