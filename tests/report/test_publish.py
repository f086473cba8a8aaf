import json
from itertools import product
from pathlib import Path

import pytest
from made_up_page import FIGURES, HOSTILE, TEXTS, inputs, params

from duo.errors import InputError
from duo.report import content, glossary, publish
from duo.tables import files
from duo.tables.report import CLAIMS, FIGURE
from duo.tables.studies import GAIN_STATISTICS, JOINT_CURVES, ORACLE_METRICS, SEED_SPREAD

PARAMS = params() | {"figures": {"patterns": ["figure-7"]}}
MARKS = "before\n<!-- results: made -->\nold\n<!-- end of results -->\nafter\n"


@pytest.fixture(scope="module")
def given() -> dict:
    return inputs()


@pytest.fixture
def run(given, tmp_path, monkeypatch) -> Path:
    """The artifacts of a finished run that the pages are made from, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(content, "embed", {figure.name: figure for figure in given["figures"]}.get)
    ORACLE_METRICS.write(given["metrics"])
    CLAIMS.write(given["verdicts"])
    SEED_SPREAD.write(given["tables"]["Spread over seeds"])
    gain = given["gain"]
    GAIN_STATISTICS.write(gain["statistics"])
    JOINT_CURVES.write(gain["joint"])
    for name, form in product(FIGURES, ("png", "svg")):
        with files.atomic(FIGURE.path(name=name, format=form)) as temporary:
            temporary.write_text(f"{name} as {form}")
    Path("README.md").write_text(MARKS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def published(run) -> dict[str, str]:
    return {
        path.name: path.read_text(encoding="utf-8")
        for path in publish.publish(PARAMS, 1_500_000)
        if path.suffix in (".md", ".json")
    }


def test_every_picture_is_copied_and_shown(run):
    written = publish.publish(PARAMS, 1_500_000)
    assert all((run / path).exists() for path in written)
    for name in FIGURES:
        copy = run / "docs/figures" / f"{name}.png"
        assert copy.read_bytes() == FIGURE.path(name=name, format="png").read_bytes()
        assert f"(figures/{name}.png)\n\nCaption of {name}." in (run / "docs/results.md").read_text(encoding="utf-8")


def test_the_pages_follow_from_the_numbers_alone(published):
    numbers = json.loads(published["results.json"])
    assert published["results.md"] == publish.page(numbers)
    assert published["glossary.md"] == glossary.page()
    assert published["README.md"] == publish.readme(MARKS, numbers)
    assert published["README.md"].startswith("before\n<!-- results: made -->\n![Perplexity") and published[
        "README.md"
    ].endswith("results -->\nafter\n")
    assert "NaN" not in published["results.json"]


def test_claims_show_both_verdicts_estimate_interval_and_what_stands_beside(published):
    lines = published["results.md"].splitlines()
    words = "words of C2 \\| " + HOSTILE
    numbers = "fails | not foreseen | +0.250 | +0.188 to +0.312 | &gt; 0.5 | 0.013 | 24 | 1, 2 |"
    assert f"| C2 | {words} | [figure 4b](#figure-4b) | text | {numbers}" in lines
    assert f"|  |  |  | code | {numbers}" in lines
    beside = [
        line for line in lines if line.startswith("| code | shown | the oracle's best budget | duo, seed-2 | +2.0")
    ]
    assert len(beside) == 1
    assert any(line.startswith("| text | placebo |") and "no more than luck" in line for line in lines)
    assert "holds 2, fails 2, not applicable 2" in published["results.md"]
    assert "more than luck 2, not foreseen 2, not applicable 2" in published["results.md"]


def test_what_is_left_of_the_gain_is_told(published):
    page = published["results.md"]
    for text in (page,):
        assert (
            "On text the oracle at budget 2 gains +1.000 nats per token (+0.938 to +1.062) over all layers big." in text
        )
        assert "it gains +0.750 nats per token (+0.688 to +0.812): 75 % as much (69 % to 81 %)." in text
        assert (
            "The difference is +0.250 nats per token (+0.188 to +0.312): more than those predictions explain." in text
        )
        assert "The difference is +0.000 nats per token (-0.062 to +0.062): not significant." in text
    lines = page.splitlines()
    left = "+1.000 (+0.938 to +1.062) | +0.750 (+0.688 to +0.812) | +0.250 (+0.188 to +0.312) | "
    left += "+0.750 (+0.688 to +0.812) |"
    assert f"| text | seed-2 | 2 | {left}" in lines
    assert "| text | shared | 2 | 7.4 (6.9 to 7.9) | 9.5 (8.9 to 10.1) |" in lines
    assert "| code | greedy | 2 | 7.4 (6.9 to 7.9) | 7.4 (6.9 to 7.9) |" in lines


def test_readme_has_three_findings_with_intervals(published):
    findings = [line for line in published["README.md"].splitlines() if line.startswith("- **")]
    assert len(findings) == 3
    assert "1.000 nats per token (0.938 to 1.062) below that of all layers big" in findings[0]
    assert "still gains 0.750 nats per token (0.688 to 0.812)" in findings[0]
    assert "at budget 2 on 4 of the documents, its perplexity is 7.4 (6.9 to 7.9);" in findings[1]
    assert findings[1].endswith("takes its own best route, 9.5 (8.9 to 10.1).")
    assert "the loss of the routes that `others` expects to be best" in findings[2]
    assert findings[2].endswith("is 0.250 nats per token (0.188 to 0.312) below that of all layers big.")
    assert "has 1.5 M\nparameters in 4 layers" in published["README.md"]


def test_headline_numbers_are_those_of_the_run(published, given):
    lowest = given["metrics"]["seed-2"]["code"]["perplexity"]["oracle_lowest"]
    assert any(
        line.startswith("| seed-2 | code |") and f" {lowest:.1f} |" in line
        for line in published["results.md"].splitlines()
    )


def test_no_word_of_the_corpus_is_published(published):
    assert not any(TEXTS[6].strip() + " 'a" in text or "def f(" in text for text in published.values())
    assert not Path("docs/index.html").exists() and not list(Path("docs").rglob("passages*"))


def test_all_or_nothing(run):
    FIGURE.path(name="figure-8", format="png").unlink()
    with pytest.raises(InputError, match=r"figure-8\.png: missing"):
        publish.publish(PARAMS, 1_500_000)
    assert not Path("docs").exists() and Path("README.md").read_text() == MARKS


def test_readme_without_marks_is_refused(run):
    Path("README.md").write_text("no marks")
    with pytest.raises(InputError, match=r"README\.md: has no part between"):
        publish.publish(PARAMS, 1_500_000)
    assert not Path("docs").exists()
