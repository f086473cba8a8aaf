"""The pages with the results in docs/: pictures, numbers and verdicts of one run, without a word of its corpus.

What is said of pretrained models is a part of its own, with its own params: it may be of another run than the rest.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from duo import scale
from duo.errors import InputError
from duo.figures.pretrained import Tried
from duo.report import answers, content, glossary, pretrained, sentences
from duo.tables import files
from duo.tables import pretrained as studied
from duo.tables.answers import ANSWER_CURVES, TASK_ACCURACY
from duo.tables.data import EVALUATION_SET_METRICS
from duo.tables.learning import LEARNING_STATISTICS
from duo.tables.pretrained_claims import JUDGED
from duo.tables.report import CLAIMS, FIGURE, RUN_STATISTICS
from duo.tables.studies import GAIN_STATISTICS, JOINT_CURVES, JOINT_STATISTICS, ORACLE_METRICS, SEED_SPREAD

DOCS, README = Path("docs"), Path("README.md")
RESULTS = DOCS / "results.json"
# What of params the part on pretrained models depends on beside the corpus.
PARAMS = (
    *("seed", "pretrained", "pretrained_windows", "pretrained_routes", "tasks", "answers", "adapted"),
    *("adapted_routers", "evaluation_set", "oracle", "sampled_labels", "bootstrap"),
)
# Of these, what all entries of pretrained_routes rest on.
ALIKE = ("seed", "pretrained", "pretrained_windows", "evaluation_set", "oracle", "sampled_labels", "bootstrap")
_BLOCK = re.compile(r"(<!-- results[^\n]*-->\n).*?(<!-- end of results -->)", re.DOTALL)


def collect(
    params: Mapping[str, Any],
    parameters: int,
    drawn: Iterable[str] = (),
    tables: Mapping[str, pa.Table] | None = None,
) -> dict[str, Any]:
    """All that the pages say but for pretrained models, and every number of the run that they or docs/log.md may quote,
    from the artifacts and the params that made them.

    parameters: how many the backbone has; drawn: the names of its figures; tables: of its studies, by title. InputError
    where an artifact is missing.
    """
    evaluation = EVALUATION_SET_METRICS.read()["test"]
    bits = scale.bits_per_nat(evaluation)
    return {
        "parameters": parameters,
        "metrics": ORACLE_METRICS.read(),
        "claims": content.rows(CLAIMS.read()),
        "evaluation": evaluation,
        "seeds": content.rows(SEED_SPREAD.read()),
        "gain": content.rows(GAIN_STATISTICS.read()),
        "joint": content.rows(JOINT_CURVES.read()),
        "learning": content.rows(LEARNING_STATISTICS.read()),
        "figures": _described(content.figure_names(params["figures"]["patterns"], drawn)),
        "params": dict(params),
        "statistics": _compact(RUN_STATISTICS.read()),
        "tables": {title: _compact(content.with_bits(table, bits)) for title, table in (tables or {}).items()},
    }


def collect_pretrained(params: Mapping[str, Any], tried: Sequence[Tried], figures: Iterable[str]) -> dict[str, Any]:
    """All that the pages say of pretrained models: what docs/results.json has under that name.

    tried: each entry of params pretrained_routes; figures: the names of those of this part. InputError where an
    artifact is missing.
    """
    return collect_routes(params, tried, figures) | {
        "answers": _joined([ANSWER_CURVES.read(name=name) for name in params["answers"]]),
        "accuracy": _joined([TASK_ACCURACY.read(model=name) for name in params["pretrained"]]),
    }


def collect_routes(params: Mapping[str, Any], tried: Sequence[Tried], figures: Iterable[str]) -> dict[str, Any]:
    """The same but for tasks and answers, of some entries of params pretrained_routes."""
    statistics = (studied.GAIN_STATISTICS, studied.JOINT_STATISTICS)
    return {
        "tried": [asdict(each) for each in tried],
        "statistics": _joined([table.read(routes=each.routes) for each in tried for table in statistics]),
        "claims": {each.routes: content.rows(JUDGED.read(routes=each.routes)) for each in tried},
        "figures": _described(figures),
        "params": {group: params[group] for group in PARAMS},
    }


def beside(before: Mapping[str, Any], entries: Mapping[str, Any]) -> dict[str, Any]:
    """What was published of pretrained models, with what `collect_routes` gives of other entries, or of the same, which
    are replaced.

    InputError where the others were published with other settings than these have.
    """
    for group in ALIKE:
        if before["params"][group] != entries["params"][group]:
            raise InputError(
                f"params.yaml: {group}: {entries['params'][group]} differs from what the other entries were published "
                f"with: {before['params'][group]}; publish the whole part, or take these"
            )
    new = [each["routes"] for each in entries["tried"]]
    tables = [table for table in (before["statistics"], entries["statistics"]) if table]
    rows = [row for row in _rows(before["statistics"]) if row["model"] not in new] + _rows(entries["statistics"])
    routes = {name: entries["params"]["pretrained_routes"][name] for name in new}
    changed = {"pretrained_routes": before["params"]["pretrained_routes"] | routes}
    changed |= {group: before["params"][group] | entries["params"][group] for group in ("adapted", "adapted_routers")}
    return {
        **before,
        "tried": _renewed("routes", before["tried"], entries["tried"]),
        "statistics": {"columns": tables[0]["columns"], "rows": [list(row.values()) for row in rows]}
        if tables
        else None,
        "claims": before["claims"] | entries["claims"],
        "figures": _renewed("name", before["figures"], entries["figures"]),
        "params": before["params"] | changed,
    }


def _renewed(key: str, before: Iterable[dict], now: Iterable[dict]) -> list[dict]:
    """These in their order, those of now in the places of those that have the same key, or behind them."""
    return list(({each[key]: each for each in before} | {each[key]: each for each in now}).values())


def _described(figures: Iterable[str]) -> list[dict[str, str]]:
    """Name, title and caption of each figure."""
    embedded = [content.embed(name) for name in figures]
    return [{"name": figure.name, "title": figure.title, "caption": figure.caption} for figure in embedded]


def _joined(tables: Sequence[pa.Table]) -> dict[str, list] | None:
    return _compact(pa.concat_tables(tables)) if tables else None


def _compact(table: pa.Table) -> dict[str, list]:
    """A table as columns' names and rows of values: without the names in each row it is a fifth as long."""
    return {"columns": table.column_names, "rows": [list(row.values()) for row in content.rows(table)]}


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


def published() -> dict[str, Any]:
    """What was published before. InputError where nothing was."""
    try:
        return json.loads(RESULTS.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{RESULTS}: is missing; `python -m duo publish` of a whole run writes it") from None


def publish(results: Mapping[str, Any], renewed: Iterable[str]) -> list[Path]:
    """Write docs/results.md, docs/results.json, README's part and docs/figures; the files written.

    results: as `collect`, and under "pretrained" as `collect_pretrained`; renewed: names of the figures to take from
    the run, those of the others are there already. All is read before anything is written.
    """
    texts = {
        RESULTS: _lines(results),
        DOCS / "results.md": page(results),
        DOCS / "glossary.md": glossary.page(),
        README: readme(README.read_text(encoding="utf-8"), results),
    }
    pictures = [FIGURE.path(name=name, format=form) for name in renewed for form in ("png", "svg")]
    missing = [str(picture) for picture in pictures if not picture.exists()]
    if missing:
        raise InputError(f"{', '.join(missing)}: missing")
    for path, text in texts.items():
        with files.atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    for picture in pictures:
        with files.atomic(DOCS / "figures" / picture.name) as temporary:
            shutil.copyfile(picture, temporary)
    names = {figure["name"] for figure in shown(results)}
    for left in (DOCS / "figures").iterdir():
        if left.stem not in names:  # of a run with other figures
            left.unlink()
    return [*texts, *(DOCS / "figures" / picture.name for picture in pictures)]


def shown(results: Mapping[str, Any]) -> list[dict[str, str]]:
    """All figures of the pages: name, title and caption."""
    return [*results["figures"], *(results.get("pretrained") or {"figures": []})["figures"]]


def _lines(results: Mapping[str, Any]) -> str:
    """As JSON, a line for each row of a table, so that a change can be read."""
    rows: list[str] = []

    def marked(value: Any) -> Any:
        if isinstance(value, dict) and value.keys() == {"columns", "rows"}:
            first = len(rows)
            rows.extend(json.dumps(row, ensure_ascii=False) for row in value["rows"])
            return value | {"rows": [f"@{number}@" for number in range(first, len(rows))]}
        return {key: marked(part) for key, part in value.items()} if isinstance(value, dict) else value

    text = json.dumps(marked(dict(results)), indent=1, ensure_ascii=False)
    return re.sub(r'"@(\d+)@"', lambda match: rows[int(match[1])], text) + "\n"


def _of_study(statistics: Mapping[str, list], table: files.Table) -> list[dict[str, Any]]:
    """The rows of a study's table of statistics, from those of the whole run."""
    return [row for row in _rows(statistics) if row["study"] == table.template.split("/")[0]]


def _of_model(rows: Iterable[dict[str, Any]], model: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["model"] == model]


def _rows(table: Mapping[str, list] | None) -> list[dict[str, Any]]:
    """The rows of a table that `_compact` made; none of none."""
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]] if table else []


def _render(template: str, results: Mapping[str, Any]) -> str:
    environment = content.environment("docs")
    environment.filters["percent"] = answers.percent
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    claims, windows = content.judged(results["claims"]), results["params"]["joint"]["documents"]
    of_others = results.get("pretrained")  # which results have not that are older
    tried = [Tried(**each) for each in of_others["tried"]] if of_others else []
    studied_rows = _rows(of_others and of_others["statistics"])
    return environment.get_template(template).render(
        results,
        found=claims,
        tallies=content.tallies(claims),
        gains=content.gains(results["gain"], _of_study(results["statistics"], JOINT_STATISTICS), windows),
        joint=content.joint(results["joint"]),
        models=content.model_words(results["params"]),
        learned=content.learning_sentences(results["learning"]),
        routers=[sentences.router(results["learning"], domain) for domain in sentences.domains(results["learning"])],
        together=(together := content.together(results["joint"], windows)),
        lowest_together=content.lowest_together(together),
        bits_per_nat=(per_nat := scale.bits_per_nat(results["evaluation"])),
        bits="; ".join(f"{domain}: a nat per token is {bits:.3f} bits per byte" for domain, bits in per_nat.items()),
        gain_figures=content.second_part([figure["name"] for figure in results["figures"]]),
        others=of_others,
        SHARE=pretrained.SHARE,
        CALIBRATION=pretrained.CALIBRATION,
        parts=[
            pretrained.part(each, _of_model(studied_rows, each.routes), of_others["claims"][each.routes])
            for each in tried
        ],
        shares=pretrained.shares(results["gain"], results["params"], tried, studied_rows),
        answered=answers.sentences(_rows(of_others and of_others["answers"])),
        accuracies=_rows(of_others and of_others["accuracy"]),
    )
