"""What a run wrote, read from anywhere: its tables, its models, and its losses as one table for pandas or polars.

A run's folder, artifacts/, holds some forty kinds of files. Who only wants to look at numbers should not have to know
their schemas or stand in the right directory: `load` finds out what a path is, checks it, and gives it.
"""

import pkgutil
import re
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import duo.tables
from duo.errors import InputError
from duo.routes import RouteSpace
from duo.tables.data import TOKENIZER
from duo.tables.files import File, Table, matrix
from duo.tables.oracle import ROUTE_LOSSES
from duo.tables.training import MODEL

if TYPE_CHECKING:
    from duo.model.transformer import Duo

FOLDER = "artifacts"  # of a run, inside its project


def load(path: str | Path) -> "Run | pa.Table | Duo":
    """What lies at a path: a Run for a folder, a checked table for a .parquet file, a Duo for a .safetensors file.

    The folder is a run's artifacts or the project that holds them. InputError where the path is none of these.
    """
    path = Path(path)
    if path.is_dir():
        for root in (path / FOLDER, path):
            if Run(root).tables or Run(root).models:
                return Run(root.resolve())
    elif path.suffix == ".parquet":
        return _read(path)
    elif path.suffix == ".safetensors":
        return _model(path)
    what = "holds nothing that a run wrote" if path.exists() else "is missing"
    raise InputError(f"{path}: {what}; should be a run's folder of artifacts, or a .parquet or .safetensors file of it")


@dataclass(frozen=True)
class Run:
    """One run's folder of artifacts. Names are as the files' are, without suffix: run.table("oracle_curves/curves")."""

    root: Path

    @property
    def tables(self) -> list[str]:
        """Names of the tables that are there."""
        paths = {path for table in _known_tables() for path in _instances(table, self.root)}
        return sorted(path.removesuffix(".parquet") for path in paths)

    @property
    def models(self) -> list[str]:
        """Names of the trained models that are there."""
        return sorted(keys["model"] for keys in _instances(MODEL, self.root).values())

    @cached_property
    def space(self) -> RouteSpace:
        """The routes that losses were computed for. InputError where there are none."""
        losses = self._losses()
        path = self.root / ROUTE_LOSSES.template.format(**losses[0])
        return RouteSpace((pq.read_schema(path).field("losses").type.list_size - 1).bit_length())

    def table(self, name: str) -> pa.Table:
        """A table by name, checked against its schema. InputError where there is none of this name."""
        path = self.root / f"{name}.parquet"
        if not path.is_file():
            raise InputError(f"{path}: is missing; the tables that are there: {', '.join(self.tables)}")
        return _read(path)

    def model(self, name: str) -> "Duo":
        """A trained model by name, ready for evaluation. InputError where there is none of this name."""
        path = self.root / MODEL.template.format(model=name)
        if not path.is_file():
            raise InputError(f"model {name!r}: {path} is missing; the models that are there: {', '.join(self.models)}")
        return _model(path)

    def losses(self, model: str | None = None, domain: str | None = None, budget: int | None = None) -> pa.Table:
        """Losses of the held-out tokens under every route, as one table with a row per token, as `loss_table` makes it.

        model: which one's, where losses of several are there. domain: of this alone. budget: only routes with exactly
        so many big layers. A row per token and a column per route: with 12 layers 16 kB per row, so narrow it down
        before asking for all.
        """
        if budget is not None and budget not in range(self.space.layers + 1):
            raise InputError(f"budget {budget}: should be from 0 to the number of layers ({self.space.layers})")
        model = self._only([keys["model"] for keys in self._losses()], "model", model)
        shards = [keys for keys in self._losses() if keys["model"] == model]
        parts = [_read(self.root / ROUTE_LOSSES.template.format(**keys)) for keys in shards]
        if domain is not None:
            self._only([name for part in parts for name in part["domain"].unique().to_pylist()], "domain", domain)
            parts = [part.filter(pc.equal(part["domain"], domain)) for part in parts]
        ids = pa.concat_tables([part.drop_columns("losses") for part in parts])
        order = pc.sort_indices(ids, [(key, "ascending") for key in ("domain", "document", "position")])
        ids, losses = ids.take(order), np.concatenate([matrix(part["losses"]) for part in parts])[order.to_numpy()]
        words = self._words()
        return loss_table(
            losses if budget is None else losses[:, self.space.with_budget(budget)],
            self.space,
            [words[token] for token in ids["token"].to_pylist()],
            [words[label] for label in ids["label"].to_pylist()],
            budget=budget,
            **{name: ids[name] for name in ("domain", "document", "position")},
        )

    def _losses(self) -> list[dict[str, str]]:
        """Model and shard of every file of losses, in order."""
        files = _instances(ROUTE_LOSSES, self.root).values()
        if not files:
            raise InputError(f"{self.root}: holds no losses of routes ({ROUTE_LOSSES.template})")
        return sorted(files, key=lambda keys: (keys["model"], int(keys["shard"])))

    def _words(self) -> list[str]:
        """The text of every token id. One that is part of a character is shown as a replacement character."""
        from tokenizers import Tokenizer  # only needed here

        path = self.root / TOKENIZER.template
        if not path.is_file():
            raise InputError(f"{path}: is missing; it says what the tokens' ids mean")
        tokenizer = Tokenizer.from_file(str(path))
        size = tokenizer.get_vocab_size()
        return tokenizer.decode_batch([[index] for index in range(size)], skip_special_tokens=False)

    def _only(self, names: list[str], argument: str, name: str | None) -> str:
        """The name asked for, or the only one there is; InputError where it is not there or several are."""
        known = list(dict.fromkeys(names))
        if name in known or (name is None and len(known) == 1):
            return name or known[0]
        raise InputError(f"{argument}: {name!r}, should be one of {', '.join(known)}")


def loss_table(
    losses: np.ndarray,
    space: RouteSpace,
    tokens: list[str],
    labels: list[str],
    *,
    budget: int | None = None,
    domain: Any = "text",
    document: Any = None,
    position: Any = None,
) -> pa.Table:
    """Losses as one labelled table: domain, document, position, token, label, and one column of nats per route.

    A row per token: `token` is the text of the last token that the model has seen, `label` the text of the one it
    predicts. A route's column is named by its choices, layer 0 first (RouteSpace.word): in {small, big}, 0011 is big in
    the upper two of four layers. Ready for pandas (.to_pandas()) or polars (polars.from_arrow).

    losses [documents, length, routes] or [tokens, routes], of all routes of the space or, with `budget`, of those with
    exactly so many big layers; tokens, labels: a text for every token, document by document. domain: one for all, or
    one for every token. document, position: for every token; by default counted, where losses are by document.
    """
    losses = np.asarray(losses)
    if losses.ndim == 3:
        documents, length = losses.shape[:2]
        document = np.repeat([str(row) for row in range(documents)], length) if document is None else document
        position = np.tile(np.arange(length, dtype=np.int32), documents) if position is None else position
    flat = losses.reshape(-1, losses.shape[-1])
    routes = np.arange(len(space)) if budget is None else space.with_budget(budget)
    columns = {
        "domain": pa.repeat(domain, len(flat)) if isinstance(domain, str) else domain,
        "document": np.repeat("0", len(flat)) if document is None else document,
        "position": np.arange(len(flat), dtype=np.int32) if position is None else position,
        "token": tokens,
        "label": labels,
    }
    if len(routes) != flat.shape[1]:
        raise InputError(f"losses: of {flat.shape[1]} routes, should be of {len(routes)}")
    for name, values in columns.items():
        if len(values) != len(flat):
            raise InputError(f"{name}: {len(values)} values for {len(flat)} tokens")
    by_route = np.ascontiguousarray(flat.T)
    return pa.table(columns | {space.word(code): values for code, values in zip(routes, by_route, strict=True)})


def _model(path: Path) -> "Duo":
    from duo.model import transformer  # torch takes seconds to import, and tables need none

    return transformer.load(path)


def _read(path: Path) -> pa.Table:
    """The table at a path, checked against its schema."""
    table = _schema(path)
    if table is None:
        raise InputError(f"{path}: is no table of a run; should be named as one, such as {ROUTE_LOSSES.template}")
    return table.at(path).read()


def _schema(path: Path) -> Table | None:
    """The table that files of this name hold, if any: the end of the path is its template's."""
    tables = [table for table in _known_tables() if re.search(f"(^|/){_pattern(table)}$", path.as_posix())]
    return max(tables, key=lambda table: len(table.template), default=None)


def _known_tables() -> list[Table]:
    """Every table that modules of duo.tables define."""
    modules = [import_module(f"duo.tables.{module.name}") for module in pkgutil.iter_modules(duo.tables.__path__)]
    return [value for module in modules for value in vars(module).values() if isinstance(value, Table)]


def _instances(file: File, root: Path) -> dict[str, dict[str, str]]:
    """By path from the root, the keys of every instance of a file that is there."""
    glob = re.sub(r"\{\w+\}", "*", file.template)
    names = [path.relative_to(root).as_posix() for path in root.glob(glob)]
    matches = {name: re.fullmatch(_pattern(file), name) for name in names}
    return {name: match.groupdict() for name, match in matches.items() if match}


def _pattern(file: File) -> str:
    """Regular expression of a file's template, in which each key is a group."""
    parts = re.split(r"\{(\w+)\}", file.template)
    return "".join(f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
