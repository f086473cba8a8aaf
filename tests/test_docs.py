"""The documents say what the project does: numbers are those of docs/results.json, commands exist, links lead somewhere."""

import json
import re
from pathlib import Path

import pytest

from duo.__main__ import _parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted((ROOT / "docs").glob("*.md"))


def test_readme_gives_the_published_numbers():
    results = json.loads((ROOT / "docs/results.json").read_text(encoding="utf-8"))
    caption = re.search(r"\*Figure 4b of the paper.*?\*\n", README, re.DOTALL).group()
    told = [float(number) for number in re.findall(r"\d+\.\d", caption)]
    expected = []
    for domain in ("text", "code"):
        found = results[domain]["perplexity"]
        expected += [found[name] for name in ("all_small", "oracle_lowest", "all_big", "oracle_1")]
    assert told == [round(number, 1) for number in expected]
    assert re.findall(r"k = (\d+)", caption) == [str(results[domain]["oracle_budget"]) for domain in ("text", "code")]
    assert f"{results['text']['documents']} held-out documents" in caption


def test_commands_exist():
    verbs = set(_parser()._subparsers._group_actions[0].choices)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"python -m duo (\w+)", text)) <= verbs, page.name
        for target in re.findall(r"[`\n ]make (env|paper|test|ui|lint|lock|\w+)`", text):
            assert f"\n{target}:" in makefile, f"{page.name}: make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
