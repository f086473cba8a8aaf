"""MLflow's side of the runs: one experiment, written so that all can be done again without adding anything."""

import json
import logging
import os
import posixpath
import re
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from duo.errors import InputError
from duo.tables import files
from workflow import code
from workflow.record import Stage, digest

# Set before MLflow is imported anywhere. Its seven retries would make everybody wait minutes for a server that isn't
# there.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

TRAINING = "custom_model_development"  # the kind of experiments that MLflow shows runs and their curves of
FINGERPRINT, SYNCED = "duo.fingerprint", "duo.synced"
PICTURES = {".html", ".png", ".svg"}


class Tracker:
    """One MLflow experiment. All it does can be done again without adding anything."""

    def __init__(self) -> None:
        import mlflow
        from mlflow.utils import validation

        self.entities, self.limits = mlflow.entities, validation
        self.client = mlflow.MlflowClient(uri())
        self.created = 0
        self._experiment = self._find_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "duo"))

    def _find_experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if not found:
            return self.client.create_experiment(name, tags={"mlflow.experimentKind": TRAINING})
        if found.lifecycle_stage == "deleted":  # on MLflow's pages, where a deleted one keeps its name
            self.client.restore_experiment(found.experiment_id)
        return found.experiment_id

    def run(self, digest: str, name: str, tags: dict[str, str]) -> Any:
        """The run of this fingerprint, made where there is none."""
        found = self.client.search_runs([self._experiment], f"tags.`{FINGERPRINT}` = '{digest}'", max_results=1)
        if found:
            return found[0]
        self.created += 1
        return self.client.create_run(self._experiment, run_name=name, tags={FINGERPRINT: digest, **tags})

    def stage_run(self, stage: Stage) -> Any:
        run = self.run(stage.fingerprint, stage.address, {"duo.stage": stage.address, "duo.cmd": stage.cmd})
        if SYNCED not in run.data.tags:
            self.params(run, stage.params)
        return run

    def params(self, run: Any, params: dict[str, Any]) -> None:
        limit = self.limits.MAX_PARAM_VAL_LENGTH
        entries = [self.entities.Param(_name(key), _text(value, limit)) for key, value in flat(params, ".").items()]
        for some in _chunks(entries, self.limits.MAX_PARAMS_TAGS_PER_BATCH):
            self.client.log_batch(run.info.run_id, params=some)

    def tags(self, run: Any, tags: dict[str, str]) -> None:
        entries = [self.entities.RunTag(_name(key), value) for key, value in tags.items()]
        for some in _chunks(entries, self.limits.MAX_PARAMS_TAGS_PER_BATCH):
            self.client.log_batch(run.info.run_id, tags=some)

    def curves(self, run: Any, points: Iterable[tuple[int, dict[str, float]]]) -> None:
        # MLflow drops a point that equals an old one in all, its time included; so a point's time is its step.
        entries = [
            self.entities.Metric(_name(key), float(value), step, step)
            for step, values in points
            for key, value in values.items()
        ]
        for some in _chunks(entries, self.limits.MAX_METRICS_PER_BATCH):
            self.client.log_batch(run.info.run_id, metrics=some)

    def numbers(self, run: Any, group: str, numbers: dict[str, float]) -> None:
        self.curves(run, [(0, {f"{group}/{name}": value for name, value in numbers.items()})])

    def inputs(self, run: Any, stage: Stage) -> None:
        """The artifacts that the stage read, as MLflow data sets; code is left to the fingerprint."""
        context = [self.entities.InputTag("mlflow.data.context", "input")]
        for path, md5 in stage.deps.items():
            if files.ROOT in Path(path).parents and not Path(path).is_relative_to(code.ARTIFACTS):
                data_set = self.entities.Dataset(path, md5, "local", path)
                self.client.log_inputs(run.info.run_id, [self.entities.DatasetInput(data_set, context)])

    def pictures(self, run: Any, stage: Stage) -> None:
        for path in map(Path, stage.outs):
            if path.suffix in PICTURES:
                self.client.log_artifact(run.info.run_id, str(path), path.parent.name)

    def complete(self, run: Any) -> None:
        self.tags(run, {SYNCED: "true"})
        self.client.set_terminated(run.info.run_id)


@contextmanager
def opened() -> Iterator[Tracker]:
    """The tracker, for one process at a time: MLflow can't make a database, nor look and then create, from several."""
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)  # an error becomes one message of ours
    path = _database_file(uri())
    with FileLock(f"{path or 'mlflow.db'}.lock"):
        if path and not path.exists():
            create_database(path)
        yield Tracker()


def create_database(path: Path) -> None:
    """Make an SQLite database beside its place, then rename it: a process killed meanwhile leaves none half-made."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    SqlAlchemyStore(f"sqlite:///{temporary}", str(path.with_name("mlruns"))).engine.dispose()
    os.replace(temporary, path)


@contextmanager
def explained() -> Iterator[None]:
    """Turn a failure of MLflow, its database or the network into one InputError."""
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, CommandError, ImportError, OSError) as error:
        remedy = f"{_remedy(error)}; results are not affected"
        raise InputError(
            f"MLFLOW_TRACKING_URI: {shown(uri())} doesn't answer as it should ({reason(error)}); {remedy}"
        ) from None


def _remedy(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"`python -m pip install {error.name}` brings what reaches it, or set MLFLOW_TRACKING_URI to another"
    if path := _database_file(uri()):
        anew = f"move {path.name} away, and `python -m duo sync` writes all runs anew"
        return f"{anew}; or set MLFLOW_TRACKING_URI to another"
    return "start it, or set MLFLOW_TRACKING_URI to another"


def uri() -> str:
    """Where the runs go; SQLite files by their whole path, since MLflow tells connections apart by the text."""
    where = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    path = _database_file(where)
    return where.replace(f":///{path}", f":///{path.absolute()}", 1) if path else where


def is_database(uri: str) -> bool:
    return uri.split(":")[0].split("+")[0] in ("sqlite", "postgresql", "mysql", "mssql")


def _database_file(uri: str) -> Path | None:
    """Where an SQLite URI has its file; None for any other URI."""
    file = uri.partition(":///")[2].partition("?")[0]
    return Path(file) if uri.startswith("sqlite") and file else None


def shown(text: str) -> str:
    """Text without the user names and passwords of the URIs in it."""
    return re.sub(r"://[^/@\s]+@", "://", text)


def reason(error: Exception) -> str:
    return f"{type(error).__name__}: {textwrap.shorten(shown(str(error)), 200, placeholder=' ...')}"


def flat(values: dict[str, Any], separator: str) -> dict[str, Any]:
    """Nested mappings as one, keys joined by `separator`; lists stay whole."""
    leaves = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            leaves |= {f"{key}{separator}{name}": leaf for name, leaf in flat(value, separator).items()}
        else:
            leaves[str(key)] = value
    return leaves


def _name(name: str) -> str:
    """A key that MLflow accepts. A changed one gets a digest, so that different names stay different."""
    clean = posixpath.normpath(re.sub(r"[^\w.\-: /]", "_", name)).lstrip("./")[:240]
    return name if clean == name else f"{clean}-{digest(name)[:8]}"


def _text(value: Any, limit: int) -> str:
    """A param's value. One over the limit is cut and gets a digest, so that different values stay different."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[: limit - 40]}... {digest(text)}"


def _chunks(items: list, size: int) -> Iterator[list]:
    return (items[start : start + size] for start in range(0, len(items), size))
