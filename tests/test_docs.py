"""The documents say what the project does: numbers are those of docs/results.json, commands exist, links lead
somewhere.
"""

import copy
import json
import re

import pytest
from project import REPOSITORY as ROOT

from duo.report import page, publish
from workflow.__main__ import _parser

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
PUBLISHED = json.loads((ROOT / "docs/results.json").read_text(encoding="utf-8"))


def test_readme_and_results_give_the_published_numbers():
    assert publish.readme(README, PUBLISHED) == README
    assert publish.page(PUBLISHED) == (ROOT / "docs/results.md").read_text(encoding="utf-8")


def test_another_number_would_show():
    """What the test above rests on: that README and the page hold the headline numbers of every model and domain."""
    for model, domains in PUBLISHED["metrics"].items():
        for domain, numbers in domains.items():
            for name, value in numbers["perplexity"].items():
                if name == "random_all_1":
                    continue
                other = copy.deepcopy(PUBLISHED)
                other["metrics"][model][domain]["perplexity"][name] = value + 1
                assert publish.readme(README, other) != README, name
                assert publish.page(other) != publish.page(PUBLISHED), name


def test_another_gain_would_show():
    """Of every model on the page, of the first in README."""
    for each in page.gains(PUBLISHED["gain"]):
        for part in each.parts:
            other = copy.deepcopy(PUBLISHED)
            (row,) = (row for row in other["gain"] if row == part)
            row["value"] += 1
            assert publish.page(other) != publish.page(PUBLISHED), part
            if each.model == PUBLISHED["params"]["route_losses"]["models"][0]:
                assert publish.readme(README, other) != README, part


def test_published_pictures_are_there():
    for figure in PUBLISHED["figures"]:
        for form in ("png", "svg"):
            assert (ROOT / "docs/figures" / f"{figure['name']}.{form}").stat().st_size > 1000
    assert {path.stem for path in (ROOT / "docs/figures").iterdir()} == {
        figure["name"] for figure in PUBLISHED["figures"]
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
