"""The documents say what the project does: numbers are those of docs/results.json, commands exist, links lead
somewhere.
"""

import copy
import functools
import json
import operator
import re

import pytest
from project import REPOSITORY as ROOT

from duo.report import content, glossary, publish
from workflow.__main__ import _parser

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
PUBLISHED = json.loads((ROOT / "docs/results.json").read_text(encoding="utf-8"))
# The numbers of 2026-11-22, under rules that docs/log.md says the faults of. README has none of them.
SUPERSEDED = "evaluation" not in PUBLISHED
of_results = pytest.mark.skipif(SUPERSEDED, reason="docs/results.json is superseded: the next run takes its place")


def test_glossary_is_written_from_its_terms():
    assert glossary.page() == (ROOT / "docs/glossary.md").read_text(encoding="utf-8")


def test_superseded_numbers_are_shown_nowhere_as_results():
    shown = README[README.index("<!-- results") : README.index("<!-- end of results")]
    results = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    assert ("superseded" in results.splitlines()[2]) == SUPERSEDED == ("![" not in shown)


@of_results
def test_readme_and_results_give_the_published_numbers():
    assert publish.readme(README, PUBLISHED) == README
    assert publish.page(PUBLISHED) == (ROOT / "docs/results.md").read_text(encoding="utf-8")


def changed(path: list, value: float) -> dict:
    """What was published, with another number in one place."""
    other = copy.deepcopy(PUBLISHED)
    *places, last = path
    functools.reduce(operator.getitem, places, other)[last] += value
    return other


@of_results
def test_another_number_would_show():
    """What the test above rests on: that the page holds the headline numbers of every model and domain."""
    for model, domains in PUBLISHED["metrics"].items():
        for domain, numbers in domains.items():
            for name in set(numbers["perplexity"]) - {"random_all_1"}:
                other = changed(["metrics", model, domain, "perplexity", name], 1)
                assert publish.page(other) != publish.page(PUBLISHED), (model, domain, name)


@of_results
def test_another_finding_would_show_in_readme():
    """README has the first model's findings on the first domain, each with its numbers."""
    first = content.gains(PUBLISHED["gain"], [], 0)[0]
    best = first.foreseen[-1]
    for row in (first.parts[0], first.parts[3], first.parts[4], best["foreseeable"], best["luck"]):
        for column in ("value", "low", "high"):
            other = changed(["gain", PUBLISHED["gain"].index(row), column], 1)
            assert publish.readme(README, other) != README, (row, column)
    columns, rows = PUBLISHED["statistics"]["columns"], PUBLISHED["statistics"]["rows"]
    of_run = [dict(zip(columns, row, strict=True)) for row in rows]
    wanted = {"model": first.model, "domain": first.domain, "budget": first.budget, "subject": "oracle"}
    for family in ("isolated_gain", "joint_gain"):
        keys = wanted | {"family": family, "reference": "shared"}
        (index,) = (place for place, row in enumerate(of_run) if all(row[name] == keys[name] for name in keys))
        other = changed(["statistics", "rows", index, columns.index("value")], 1)
        assert publish.readme(README, other) != README, family
    assert publish.readme(README, changed(["parameters"], 10**6)) != README


@of_results
def test_another_finding_on_a_pretrained_model_would_show():
    """README has the first entry's gain, luck and what is left in one run; results.md every entry's, and verdicts."""
    block = PUBLISHED["pretrained"]
    columns, rows = block["statistics"]["columns"], block["statistics"]["rows"]
    first, value = block["tried"][0], columns.index("value")
    wanted = {"model": first["routes"], "domain": "text", "budget": min(first["budgets"]), "labels": "true"}
    for family, subject, reference in (
        ("gain", "oracle", "all_big"),
        ("luck", "own", "oracle"),
        ("unexplained", "own", "oracle"),
        ("joint_gain", "oracle", "shared"),
    ):
        keys = wanted | {"family": family, "subject": subject, "reference": reference}
        (index,) = (
            place for place, row in enumerate(rows) if all(row[columns.index(name)] == keys[name] for name in keys)
        )
        other = changed(["pretrained", "statistics", "rows", index, value], 1)
        assert publish.readme(README, other) != README, family
        assert publish.page(other) != publish.page(PUBLISHED), family
    judged = [name for name, claims in block["claims"].items() if claims]
    assert judged
    for name in judged:
        assert publish.page(changed(["pretrained", "claims", name, 0, "estimate"], 1)) != publish.page(PUBLISHED)


@of_results
def test_another_gain_would_show():
    for each in content.gains(PUBLISHED["gain"], [], 0):
        for part in each.parts:
            other = changed(["gain", PUBLISHED["gain"].index(part), "value"], 1)
            assert publish.page(other) != publish.page(PUBLISHED), part


def test_published_pictures_are_there():
    for figure in publish.shown(PUBLISHED):
        for form in ("png", "svg"):
            assert (ROOT / "docs/figures" / f"{figure['name']}.{form}").stat().st_size > 1000
    assert {path.stem for path in (ROOT / "docs/figures").iterdir()} == {
        figure["name"] for figure in publish.shown(PUBLISHED)
    }


def test_commands_exist():
    verbs = set(_parser()._subparsers._group_actions[0].choices)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for document in PAGES:
        text = document.read_text(encoding="utf-8")
        assert set(re.findall(r"python -m duo (\w+)", text)) <= verbs, document.name
        for target in re.findall(r"[`\n ]make (env|paper|test|ui|lint|lock|\w+)`", text):
            assert f"\n{target}:" in makefile, f"{document.name}: make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    anchors = set(re.findall(r'<a id="([^"]+)"', text))
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_params_named_in_the_pages_exist(page):
    """Every `group.key` in backticks that begins with a group of params.yaml."""
    from workflow.params import load_params

    params = load_params(ROOT / "params.yaml").model_dump()
    for group, key in re.findall(r"`([a-z_]+)\.([a-z_]+)[^`/]*`", page.read_text(encoding="utf-8")):
        if isinstance(params.get(group), dict) and group not in ("corpus", "models", "routers"):
            assert key in params[group], f"{page.name}: {group}.{key}"
