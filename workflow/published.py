"""What `python -m duo publish` gathers of a run, and which of its stages must be up to date for that."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from duo import scale
from duo.errors import InputError
from duo.report import content
from duo.report import publish as results
from duo.tables.answers import ANSWER_CURVES, TASK_ACCURACY
from duo.tables.report import FIGURE
from workflow import instance, pretrained_part, studies
from workflow.dag import Dag
from workflow.params import Params, load_params

PRETRAINED = "pretrained"
# Stages whose outs the part on pretrained models shows.
OF_ROUTES = ("pretrained_gain", "pretrained_claims", "figures_pretrained")
OF_PRETRAINED = (*OF_ROUTES, "pretrained_harness", "answers", "figures_answers", "adapted_router", "adapted_patterns")
OF_OTHERS = (ANSWER_CURVES, TASK_ACCURACY)  # tables of this part


def publish(part: str | None, entries: Sequence[str] = ()) -> list[Path]:
    """Publish the whole run, or its part on models trained here ("trained") or on those of others ("pretrained") beside
    what was published of the other; the files written. InputError where a stage that this needs is not up to date.

    entries: of pretrained models, these alone: names of pretrained_routes, or of figures.adapted_patterns.
    """
    dag, params = Dag(), load_params()
    if entries and part != PRETRAINED:
        raise InputError(f"{', '.join(entries)}: entries are of the part {PRETRAINED}, not of {part}")
    if entries:
        return _some(dag, params, entries)
    groups = {group.name for group in dag.groups}
    needed = dag.behind([name for name in OF_PRETRAINED if name in groups]) if part == PRETRAINED else dag.stages
    _require_up_to_date(dag, needed)
    values = params.model_dump(mode="json", exclude_none=True)
    of_others = pretrained_part.figures(params)
    if part == "trained":
        whole = _whole(params, values, of_others)
        kept = {PRETRAINED: results.published().get(PRETRAINED)}
        return results.publish(whole | kept, [figure["name"] for figure in whole["figures"]])
    tried = pretrained_part.every(params.pretrained_routes, params.pretrained_windows, params.bootstrap.confidence)
    others = {PRETRAINED: results.collect_pretrained(values, tried, of_others) if params.pretrained else None}
    if part == PRETRAINED:
        return results.publish(results.published() | others, of_others)
    whole = _whole(params, values, of_others) | others
    return results.publish(whole, [figure["name"] for figure in results.shown(whole)])


def _some(dag: Dag, params: Params, entries: Sequence[str]) -> list[Path]:
    """Publish entries of the part on pretrained models beside those that were published before."""
    routes = {name: asked for name, asked in params.pretrained_routes.items() if name in entries}
    patterns = [name for name in params.figures.adapted_patterns if name in entries]
    unknown = [name for name in entries if name not in routes and name not in patterns]
    if unknown:
        known = ", ".join([*params.pretrained_routes, *params.figures.adapted_patterns])
        raise InputError(
            f"{', '.join(unknown)}: not in pretrained_routes or figures.adapted_patterns, which have {known}"
        )
    addresses = [f"{group}@{name}" for name in routes for group in OF_ROUTES]
    _require_up_to_date(dag, dag.behind([*addresses, *(f"adapted_patterns@{name}" for name in patterns)]))
    before = results.published()
    if not before.get(PRETRAINED):
        raise InputError("docs/results.json: nothing was published of pretrained models; leave out the entries' names")
    values = params.model_dump(mode="json", exclude_none=True)
    routers = {router for name in patterns for router in params.figures.adapted_patterns[name]}
    models = {asked.model for asked in routes.values() if asked.of == "adapted"}
    models |= {params.adapted_routers[router].model for router in routers}
    for group, used in {"adapted": models, "adapted_routers": routers}.items():
        values[group] = {name: value for name, value in values[group].items() if name in used}
    tried = pretrained_part.every(routes, params.pretrained_windows, params.bootstrap.confidence)
    figures = [*pretrained_part.figures_of_routes(routes), *patterns]
    part = results.beside(before[PRETRAINED], results.collect_routes(values, tried, figures))
    return results.publish(before | {PRETRAINED: part}, figures)


def _require_up_to_date(dag: Dag, addresses: Iterable[str]) -> None:
    stale = [address for address in addresses if dag.changes(address)]
    if stale:
        raise InputError(
            f"{', '.join(stale)}: not up to date; run `dvc repro` first, `python -m duo why` says what changed"
        )


def _whole(params: Params, values: Mapping[str, Any], of_others: list[str]) -> dict[str, Any]:
    """All of a run but for pretrained models, whose figures are `of_others`."""
    drawn = [keys["name"] for keys in instance.made(FIGURE.template) if keys["name"] not in of_others]
    shown = {table: title for table, title in content.study_tables().items() if table not in OF_OTHERS}
    found = {title: studies.whole(table) for table, title in shown.items()}
    tables = {title: table for title, table in found.items() if table is not None}
    return results.collect(values, scale.parameters(params.tokens, params.model), dict.fromkeys(drawn), tables)
