"""The folder that an audit leaves: all of it at the end, or none."""

import base64
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from duo.auditing import findings as words
from duo.auditing.findings import Findings
from duo.errors import InputError
from duo.figures import audit as figure
from duo.figures import base
from duo.oracle.walked import Walked
from duo.routes import RouteSpace
from duo.studies.departures import BySampled
from duo.tables import audit, files
from duo.terms import BIG, SAMPLED, TRUE


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """Where to write what will be the folder, which appears when all is written. InputError where it can't."""
    refuse(folder)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        refuse(folder)
        os.rename(temporary, folder)
    except OSError as error:
        raise InputError(f"{folder}: could not be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse(folder: Path) -> None:
    """InputError where something is in the way."""
    if folder.exists() or folder.is_symlink():
        raise InputError(f"--out: {folder} exists already; give another, or remove it")


def write(folder: Path, findings: Findings, tables: Mapping[files.Table, Any]) -> None:
    """Write what was found: tables of numbers by route, the table as Parquet and JSON, the picture, the page."""
    rows = findings.columns()
    own = audit.AUDIT_SAMPLED if isinstance(findings.rows[0], BySampled) else audit.AUDIT
    picture = figure.gains(rows, findings.bound, f"{findings.documents} documents.", findings.confidence)
    with whole(folder) as place:
        for table, columns in {**tables, own: pa.Table.from_pylist(rows)}.items():
            table.at(place / table.template).write(columns)
        paths = {format: place / f"gain.{format}" for format in ("svg", "png")}
        base.write(picture, paths)
        with files.atomic(place / "audit.json") as temporary:
            temporary.write_text(json.dumps(findings.json(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        with files.atomic(place / "index.html") as temporary:
            temporary.write_text(page(findings, picture, paths["svg"].read_bytes()), encoding="utf-8")


def page(findings: Findings, picture: base.Picture, svg: bytes) -> str:
    """The page as HTML, which needs no other file; every text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("duo.auditing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return templates.get_template("page.html.jinja").render(
        findings=findings,
        numbers=findings.numbers(),
        calibration=words.CALIBRATION,
        estimate=words.estimate,
        head=words.head,
        sentences=[*words.sentences(findings)],
        caveats=words.caveats(findings),
        picture=picture,
        uri="data:image/svg+xml;base64," + base64.b64encode(svg).decode(),
    )


def by_route(names: list[str], ids: np.ndarray, found: Walked, space: RouteSpace) -> dict[files.Table, Any]:
    """AUDIT_LOSSES, AUDIT_ROUTES and AUDIT_CHOICES of a walk.

    names [documents]; ids [documents, length + 1].
    """
    away = space.places - space.counts(BIG)
    length = found.losses.shape[1]
    tokens = {"document": np.repeat(names, length), "position": np.tile(np.arange(length), len(names))}
    losses = [
        tokens
        | {"labels": [labels] * len(tokens["position"]), "token": ids[:, :-1].ravel(), "label": label.ravel()}
        | {"losses": files.fixed_lists(values.reshape(-1, len(space)))}
        for labels, label, values in (
            (TRUE, ids[:, 1:], found.losses),
            (SAMPLED, found.sampled_labels, found.sampled),
        )
    ]
    about = {audit.REFERENCE: str(int(away.argmin())), audit.DEPARTURES: json.dumps(away.tolist())}
    left_out = [np.flatnonzero(route != space.choices.index(BIG)).tolist() for route in space.by_layer(space.codes)]
    return {
        audit.AUDIT_LOSSES: pa.concat_tables(map(pa.table, losses)).replace_schema_metadata(about),
        audit.AUDIT_ROUTES: {"route": np.arange(len(space)), "departures": away, "left_out": left_out},
        audit.AUDIT_CHOICES: pa.concat_tables(
            pa.table(tokens | _choices(found, away, most)) for most in range(1, away.max() + 1)
        ),
    }


def _choices(found: Walked, away: np.ndarray, most: int) -> dict[str, np.ndarray]:
    """Columns of AUDIT_CHOICES of at most so many departures; of equal routes the first."""
    among = np.flatnonzero(away <= most)
    columns: dict[str, np.ndarray] = {"reference_loss": found.losses[..., away.argmin()].ravel()}
    for name, scores in {"oracle": found.losses, "foreseen": found.expected}.items():
        route = among[scores[..., among].argmin(axis=-1)]
        columns[f"{name}_route"] = route.ravel()
        columns[f"{name}_loss"] = np.take_along_axis(found.losses, route[..., None], axis=-1).ravel()
    columns["null_gain"] = found.null_gain[most].ravel()
    columns["plain_null_gain"] = found.plain_null_gain[most].ravel()
    return columns | {"departures": np.full(route.size, most)}
