"""The committed pages with the results: pictures, numbers and verdicts of one run, without a word of its corpus."""

import json
import re
import shutil
from pathlib import Path

from duo.errors import InputError
from duo.report import page as report
from duo.tables import files
from duo.tables.report import CLAIMS, CORRECTED_CLAIMS, FIGURE
from duo.tables.studies import GAIN_STATISTICS, JOINT_CURVES, ORACLE_METRICS, SEED_SPREAD
from workflow.params import load_params

DOCS, README = Path("docs"), Path("README.md")
_BLOCK = re.compile(r"(<!-- results[^\n]*-->\n).*?(<!-- end of results -->)", re.DOTALL)


def collect() -> dict:
    """All that the pages say, from the artifacts and the params that made them. InputError where one is missing."""
    params = load_params()
    figures = [report.embed(name) for name in report.figure_names(params.figures.patterns)]
    return {
        "metrics": ORACLE_METRICS.read(),
        "claims": report.rows(CLAIMS.read()),
        "seeds": report.rows(SEED_SPREAD.read()),
        "gain": report.rows(GAIN_STATISTICS.read()),
        "corrected_claims": report.rows(CORRECTED_CLAIMS.read()),
        "joint": report.rows(JOINT_CURVES.read()),
        "figures": [{"name": figure.name, "title": figure.title, "caption": figure.caption} for figure in figures],
        "params": params.model_dump(mode="json", exclude_none=True),
    }


def page(results: dict) -> str:
    """docs/results.md, from the content of docs/results.json."""
    return _render("results.md.jinja", results)


def readme(text: str, results: dict) -> str:
    """README with the part between its two results marks renewed. InputError where a mark is missing."""
    if not _BLOCK.search(text):
        raise InputError(
            f"{README}: has no part between <!-- results --> and <!-- end of results -->; put the marks back"
        )
    block = _render("readme.md.jinja", results)
    return _BLOCK.sub(lambda found: found[1] + block + found[2], text)


def publish() -> list[Path]:
    """Write docs/results.md, docs/results.json, README's part and every picture under docs/figures; the files written.

    All is read before anything is written.
    """
    results = collect()
    texts = {
        DOCS / "results.json": json.dumps(results, indent=1, ensure_ascii=False) + "\n",
        DOCS / "results.md": page(results),
        README: readme(README.read_text(encoding="utf-8"), results),
    }
    pictures = [
        FIGURE.path(name=figure["name"], format=form) for figure in results["figures"] for form in ("png", "svg")
    ]
    missing = [str(picture) for picture in pictures if not picture.exists()]
    if missing:
        raise InputError(f"{', '.join(missing)}: missing; run `dvc repro` first")
    for path, text in texts.items():
        with files.atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    for picture in pictures:
        with files.atomic(DOCS / "figures" / picture.name) as temporary:
            shutil.copyfile(picture, temporary)
    return [*texts, *(DOCS / "figures" / picture.name for picture in pictures)]


def _render(template: str, results: dict) -> str:
    environment = report.environment()
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    found, survived = (report.claims(results[part]) for part in ("claims", "corrected_claims"))
    return environment.get_template(template).render(
        results,
        found=found,
        tally=report.tally(found),
        gains=report.gains(results["gain"]),
        joint=report.joint(results["joint"]),
        survived=survived,
        survival_tally=report.tally(survived, report.SURVIVES),
        gain_figures=report.GAIN_FIGURES,
    )
