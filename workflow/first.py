"""Figure 4b of a small run within minutes, for whoever has just come.

The stages are those of the experiment, with what params/first.yaml changes. DVC and Snakemake start Python, torch and a
compiler anew for every stage, which for so small a run would take longer than the work; here one process runs all. So
nothing is cached but the downloads, and each call begins anew.
"""

import logging
import os
import shutil
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

from duo.errors import InputError
from workflow import code, stage
from workflow.dag import Dag
from workflow.instance import Instance
from workflow.params import load_params

log = logging.getLogger(__name__)

FOLDER = Path(".pipeline/first")
TARGET = "headline"
PICTURE = Path("artifacts/figures/headline.png")


def lay_out(root: Path) -> None:
    """Make FOLDER a working directory of the project at `root`, with its downloads and without any artifact.

    InputError where that can't be written.
    """
    downloads = root / stage.DOWNLOADS
    try:
        if FOLDER.exists():
            shutil.rmtree(FOLDER)
        for folder in (downloads, (FOLDER / stage.DOWNLOADS).parent):
            folder.mkdir(parents=True, exist_ok=True)
        (FOLDER / stage.DOWNLOADS).symlink_to(downloads)
        for name in (*code.FOLDERS, "dvc.yaml", load_params(root / "params.yaml").own_text):
            if not Path(name).is_absolute():
                (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
                (FOLDER / name).symlink_to(root / name)
        shutil.copyfile(root / "params.yaml", FOLDER / "params.yaml")
    except OSError as error:
        raise InputError(f"{error.filename or FOLDER}: could not be written: {error.strerror}") from None


def run() -> Path:
    """Run all that the figure needs, in the working directory FOLDER; the path of the picture."""
    os.environ["DUO_LIVE"] = "0"  # MLflow takes longer to start than the model to train
    os.chdir(FOLDER)
    stages = in_order(Dag(), TARGET)
    for index, instance in enumerate(stages, 1):
        log.info("%d of %d: %s", index, len(stages), instance.address)
        _, _, module, *words = instance.cmd.split()
        with stage.held(instance):
            import_module(module).main(*words)
    return FOLDER / PICTURE


def in_order(dag: Dag, target: str) -> list[Instance]:
    """The stage `target` and all that it rests on, each behind what it reads."""
    reads = {
        address: {dag.makers[out] for out in dag.upstream(dag.stages[address])} for address in dag.behind([target])
    }
    return [dag.stages[address] for address in TopologicalSorter(reads).static_order()]
