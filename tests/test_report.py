import re
from html.parser import HTMLParser

import pyarrow as pa
import pytest
from made_up import LAYERS, evaluated, noise

from duo import artifacts, evaluate, report
from duo.errors import InputError

HOSTILE = "<script>alert('x')</script>"


class Tags(HTMLParser):
    """Every start tag with its attributes, and the text."""

    def __init__(self, html: str):
        super().__init__()
        self.tags, self.words = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words += data


@pytest.fixture(scope="module")
def found() -> dict:
    return evaluated(noise(documents=4), budgets=[1, 2, LAYERS])


@pytest.fixture(scope="module")
def html(found) -> str:
    wheels = [{"name": name, "version": "1.0", "licence": "MIT", "attribution": HOSTILE} for name in ("one", "two")]
    params = {
        "model": {"layers": LAYERS},
        "oracle": {"random_routes": 7},
        "enumerate": {"context": "shared"},
        "evaluate": {"confidence": 0.9, "resamples": 200},
        "corpus": {"text": {"wheels": wheels}, "code": {"glob": "texts/*.txt", "licence": "CC0-1.0", "attribution": "nobody"}},
    }
    figure = report.Embedded(
        "figure-4b", "data:image/svg+xml;base64,AAAA", "A title", "A caption.", {"stage": "s", "params": {}, "md5": {"f": "0"}}
    )
    return report.render(
        params=params,
        metrics={name: evaluate.headline(domain, numbers, LAYERS) for name, (domain, numbers) in found.items()},
        contrasts=pa.concat_tables([evaluate.contrast_table(name, numbers) for name, (_, numbers) in found.items()]),
        curves=pa.concat_tables([evaluate.curves(name, *pair) for name, pair in found.items()]),
        figures=[figure],
        tokens={"text": {"test": {"documents": 4}}},
        training={"loss": 2.5},
    )


def test_hostile_words_stay_words(html):
    page = Tags(html)
    assert "script" not in {tag for tag, _ in page.tags}
    assert HOSTILE in page.words


def test_page_fetches_nothing(html):
    for _, attributes in Tags(html).tags:
        for name in ("src", "href", "srcset", "data"):
            assert attributes.get(name, "data:").startswith("data:")
    assert not re.search(r"url\(|@import", html)


def test_images_and_tables_can_be_heard(html):
    tags = Tags(html).tags
    assert all(attributes.get("alt") for tag, attributes in tags if tag == "img")
    assert all("scope" in attributes for tag, attributes in tags if tag == "th")


def test_numbers_of_the_run_are_on_the_page(html, found):
    words = Tags(html).words
    for domain, numbers in found.values():
        assert f"{evaluate.headline(domain, numbers, LAYERS)['perplexity']['oracle_1']:.2f}" in words
        contrast = numbers["oracle_1-all_big"]
        assert f"{contrast.value:+.3f}" in words and f"{contrast.low:+.3f} to {contrast.high:+.3f}" in words
    assert "all layers small" not in words  # budget 0 was not run
    assert "one 1.0, two 1.0" in words and "texts/*.txt" in words
    for warning in ("The oracle sees the answer", "cannot all be made together"):
        assert warning in words


def test_a_missing_or_foreign_figure_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"figure-2\.svg: is missing"):
        report.embed("figure-2")
    path = artifacts.FIGURE.path(name="figure-2", format="svg")
    path.parent.mkdir(parents=True)
    for content in ("<svg/>", "<svg"):
        path.write_text(content)
        with pytest.raises(InputError, match="damaged, or not a figure of ours"):
            report.embed("figure-2")
