"""Pictures of one sequence's choices: what is drawn is what the router chose."""

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.colors import to_rgba

from duo.figures import patterns
from duo.routes import RouteSpace
from duo.settings import OneRouter

LAYERS, TOKENS = 24, 10  # more routes, with three choices, than could be listed
ROUTERS = {
    "two": OneRouter(model="duo", mix={"text": 0.5, "code": 0.5}, choices=["small", "big"], big=7.2),
    "three": OneRouter(
        model="skip", mix={"text": 0.5, "code": 0.5}, choices=["small", "big", "skip"], big=7.2, skip=4.8
    ),
}


def routed(one: OneRouter) -> tuple[pa.Table, np.ndarray]:
    """ROUTED of two documents per domain, tokens from last to first, and their digits [domains, documents, tokens,
    layers].
    """
    digits = np.random.default_rng(len(one.choices)).integers(0, len(one.choices), (2, 2, TOKENS, LAYERS))
    codes = RouteSpace(LAYERS, tuple(one.choices)).encode(digits)
    rows = [
        {
            "kind": kind,
            "domain": domain,
            "document": f"d{document}",
            "position": position,
            "route": route if kind == "hard" else -1,
        }
        for kind in ("soft", "hard")
        for domain, each in zip(("text", "code"), codes.tolist(), strict=True)
        for document, routes in enumerate(each)
        for position, route in reversed(list(enumerate(routes)))
    ]
    return pa.Table.from_pylist(rows), digits


@pytest.fixture
def drawn():
    found = {name: routed(one) for name, one in ROUTERS.items()}
    picture = patterns.one_sequence("figure-9", ROUTERS, {name: table for name, (table, _) in found.items()}, LAYERS)
    return picture, {name: digits for name, (_, digits) in found.items()}


def test_every_cell_has_its_choices_colour(drawn):
    picture, digits = drawn
    for index, panel in enumerate(picture.figure.axes):
        (image,) = panel.images
        name, domain = list(ROUTERS)[index // 2], index % 2
        wanted = np.array([to_rgba(patterns.COLOURS[choice]) for choice in ROUTERS[name].choices])[
            digits[name][domain, 0].T
        ]
        np.testing.assert_allclose(image.cmap(image.norm(image.get_array())), wanted)
        share = (digits[name][domain, 0] == 1).mean()
        assert panel.get_title().startswith(f"{('text', 'code')[domain]}: {share:.0%} big")


def test_it_says_what_it_shows(drawn):
    picture, _ = drawn
    assert picture.title == "Figure 9: what routers choose in one sequence"
    for said in ("average over a sequence", "1. two; 2. three", "text: d0; code: d0", "no interval"):
        assert said in picture.caption
    (legend,) = picture.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["big", "small", "skip"]
