"""The pages with the results in docs/: pictures, numbers and verdicts of one run, without a word of its corpus."""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from duo.errors import InputError
from duo.report import content, glossary
from duo.tables import files
from duo.tables.report import CLAIMS, FIGURE
from duo.tables.studies import GAIN_STATISTICS, JOINT_CURVES, ORACLE_METRICS, SEED_SPREAD

DOCS, README = Path("docs"), Path("README.md")
_BLOCK = re.compile(r"(<!-- results[^\n]*-->\n).*?(<!-- end of results -->)", re.DOTALL)


def collect(params: Mapping[str, Any], parameters: int, drawn: Iterable[str] = ()) -> dict[str, Any]:
    """All that the pages say, from the artifacts and the params that made them.

    parameters: how many the backbone has; drawn: the names of all figures of the run. InputError where an artifact is
    missing.
    """
    figures = [content.embed(name) for name in content.figure_names(params["figures"]["patterns"], drawn)]
    return {
        "parameters": parameters,
        "metrics": ORACLE_METRICS.read(),
        "claims": content.rows(CLAIMS.read()),
        "seeds": content.rows(SEED_SPREAD.read()),
        "gain": content.rows(GAIN_STATISTICS.read()),
        "joint": content.rows(JOINT_CURVES.read()),
        "figures": [{"name": figure.name, "title": figure.title, "caption": figure.caption} for figure in figures],
        "params": dict(params),
    }


def page(results: Mapping[str, Any]) -> str:
    """docs/results.md, from the content of docs/results.json."""
    return _render("results.md.jinja", results)


def readme(text: str, results: Mapping[str, Any]) -> str:
    """README with the part between its two results marks renewed. InputError where a mark is missing."""
    if not _BLOCK.search(text):
        raise InputError(
            f"{README}: has no part between <!-- results --> and <!-- end of results -->; put the marks back"
        )
    block = _render("readme.md.jinja", results)
    return _BLOCK.sub(lambda match: match[1] + block + match[2], text)


def publish(params: Mapping[str, Any], parameters: int, drawn: Iterable[str] = ()) -> list[Path]:
    """Write docs/results.md, docs/results.json, README's part and every picture under docs/figures; the files written.

    All is read before anything is written.
    """
    results = collect(params, parameters, drawn)
    texts = {
        DOCS / "results.json": json.dumps(results, indent=1, ensure_ascii=False) + "\n",
        DOCS / "results.md": page(results),
        DOCS / "glossary.md": glossary.page(),
        README: readme(README.read_text(encoding="utf-8"), results),
    }
    pictures = [FIGURE.path(name=shown["name"], format=form) for shown in results["figures"] for form in ("png", "svg")]
    missing = [str(picture) for picture in pictures if not picture.exists()]
    if missing:
        raise InputError(f"{', '.join(missing)}: missing")
    for path, text in texts.items():
        with files.atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    for picture in pictures:
        with files.atomic(DOCS / "figures" / picture.name) as temporary:
            shutil.copyfile(picture, temporary)
    return [*texts, *(DOCS / "figures" / picture.name for picture in pictures)]


def _render(template: str, results: Mapping[str, Any]) -> str:
    environment = content.environment("docs")
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    claims = content.judged(results["claims"])
    return environment.get_template(template).render(
        results,
        found=claims,
        tallies=content.tallies(claims),
        gains=content.gains(results["gain"]),
        joint=content.joint(results["joint"]),
        gain_figures=content.second_part([figure["name"] for figure in results["figures"]]),
    )
