"""The helper verbs beside DVC and Snakemake.

Each imports what it needs when it runs, so that `--help` and bad words answer at once.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from duo import commands
from duo.auditing import command
from duo.errors import InputError


def merge(target: Any, patch: Any) -> None:
    """Apply an RFC 7396 merge patch in place: null removes a key, a mapping is merged, any other value replaces.

    Uses up the patch.
    """
    for key, value in list(patch.items()):
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            if not isinstance(target.get(key), dict):
                target[key] = value  # the merge of a mapping with itself drops its nulls
            merge(target[key], value)
        else:
            target[key] = value


def use(file: str, params: Path = Path("params.yaml")) -> None:
    """Merge `file` into params.yaml, and say so."""
    change(params, Path(file))
    print(f"{params}: changed as {file} says; `git checkout {params}` takes it back")


def change(params: Path, file: Path) -> None:
    """Merge `file` into params, which keep their comments where that can be. What would not load changes nothing."""
    from ruamel.yaml import YAML

    from duo.tables.files import atomic
    from workflow.params import load_params, read_yaml

    yaml = YAML()  # the round-trip loader: keeps comments, and like the safe one makes no objects of a tag's choosing
    yaml.preserve_quotes, yaml.width = True, 4096
    yaml.indent(mapping=2, sequence=4, offset=2)  # as params.yaml is written
    plain, plain_patch = read_yaml(params), read_yaml(file)  # as DVC will, which takes less than what follows
    values, patch = (read_yaml(path, yaml) for path in (params, file))
    merge(plain, plain_patch)
    merge(values, patch)
    _in_line_where_empty(values)
    with atomic(params) as temporary:
        _dump(values, yaml, temporary)
        if not _says(temporary, plain):  # as where `dvc exp run -S` has written params.yaml, whose comments then hinder
            _dump(plain, YAML(typ="safe", pure=True), temporary)
        try:
            load_params(temporary)
        except InputError as error:
            raise InputError(str(error).replace(str(temporary), f"{params} with {file}")) from None


def _dump(values: Any, yaml: Any, path: Path) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        yaml.dump(values, stream)


def _says(path: Path, values: Any) -> bool:
    """Whether the YAML file has these values."""
    from workflow.params import read_yaml

    try:
        return read_yaml(path) == values
    except InputError:
        return False


def _in_line_where_empty(values: Any) -> None:
    """Have mappings of ruamel's that a patch has emptied written as {} beside their keys.

    Those that stood in lines of their own would get their braces there, behind the key's comment: no YAML.
    """
    for value in values.values():
        if isinstance(value, dict) and not value:
            value.fa.set_flow_style()
            value.ca.comment = None  # the key has it, too
        elif isinstance(value, dict):
            _in_line_where_empty(value)


def check() -> None:
    """Read all of params.yaml, which says what is wrong with it sooner and more plainly than DVC."""
    from workflow.params import load_params

    load_params()
    print("params.yaml: nothing wrong")


def why(stage: str) -> None:
    """Say what changed since the stage last ran."""
    from workflow import dag

    for address, lines in dag.Dag().why(stage).items():
        print(f"{address}: {'nothing changed' if not lines else ''}".rstrip())
        for line in lines:
            print(f"  {line}")


def prune(dry_run: bool) -> None:
    """Remove what no longer belongs to the DAG, and say what."""
    from workflow import dag

    for line in dag.prune(dry_run):
        print(f"{'would remove' if dry_run else 'removed'} {line}")


def first() -> None:
    """Run a small experiment within minutes, and say where its figure 4b is; of params that it doesn't fit, why not."""
    from workflow import first as small
    from workflow.params import load_params

    load_params()
    small.lay_out(Path.cwd())
    try:
        change(small.FOLDER / "params.yaml", Path("params/first.yaml"))
    except InputError as error:
        print(f"no first picture of this experiment: {error}")
        return
    print(f"The first picture is {small.run()}: figure 4b of the small run that params/first.yaml describes.")


def cost() -> None:
    """Say what the stages of this experiment cost at best, here and on larger machines."""
    from duo import cost as paper
    from duo.model.device import Device, prepare
    from duo.model.transformer import Shape
    from workflow.params import load_params

    params = load_params()
    prepare(params.runtime.device, params.runtime.threads)
    device = Device.of(params.runtime, params.route_losses.precision)
    measured = paper.this_machine(device, Shape.of(params.tokens, params.model))
    for line in paper.lines(params, len(params.corpus), *measured):
        print(line)


def sync() -> None:
    """Bring the artifacts into MLflow's database."""
    from workflow import track

    track.sync()


def ui(port: int) -> None:
    """Serve MLflow's pages on this machine until interrupted."""
    from workflow import track

    track.ui(port)


def publish(part: str | None, entries: Sequence[str] = ()) -> None:
    """Write docs/results.md, its numbers and pictures, and README's part, from the artifacts of a finished run."""
    from workflow import published

    for path in published.publish(part, entries):
        print(path)


def audit(model: str | None, **options: Any) -> None:
    """Audit a model of anybody's, as elsewhere without an experiment; one of params pretrained goes by its name."""
    from duo.tables.files import ROOT
    from workflow.params import read_yaml

    params, name = Path("params.yaml"), ""
    if params.is_file() and model in read_yaml(params).get("pretrained", {}):
        name, model = model, (ROOT / "pretrained" / model).as_posix()
        if not Path(model).is_dir():
            raise InputError(f"MODEL: {model} is missing; `dvc repro pretrained` brings the models of params.yaml")
    command.run(model, name=name, **options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m duo", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(function: Any, text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(function.__name__, help=text, description=text)
        added.set_defaults(run=function)
        return added

    verb(use, "merge a file such as params/smoke.yaml into params.yaml").add_argument("file")
    verb(check, "say what is wrong in params.yaml, old names included, before a run does")
    verb(why, "say which param, file or command changed since the stage last ran").add_argument(
        "stage", help="e.g. oracle@4, or oracle for all"
    )
    verb(prune, "remove artifacts, checkpoints and records that no longer belong to the DAG").add_argument(
        "--dry-run", action="store_true", help="only list them"
    )
    verb(first, "make figure 4b of a small run within minutes")
    verb(cost, "say what this experiment costs at best: operations, memory and hours by stage")
    verb(sync, "bring the artifacts into MLflow's database")
    verb(ui, "serve MLflow's pages on 127.0.0.1").add_argument("--port", type=int, default=5000)
    command.arguments(verb(audit, command.__doc__.splitlines()[0].partition(": ")[2]))
    publishing = verb(publish, "write the numbers and pictures that README and docs show, from a finished run")
    publishing.add_argument(
        "part",
        nargs="?",
        choices=["trained", "pretrained"],
        help="what is said of models trained here, or of those of others, alone; the other stays as it was published",
    )
    publishing.add_argument(
        "entries",
        nargs="*",
        metavar="ENTRY",
        help="of pretrained, these entries of pretrained_routes or figures.adapted_patterns alone",
    )
    return parser


def _heal() -> None:
    """Mend what a killed run may have left damaged, and say so."""
    if Path("dvc.yaml").is_file():
        from workflow import healing

        for line in healing.heal():
            print(line, file=sys.stderr)


def main(words: list[str] | None = None) -> None:
    """Run one verb, which ends as `duo.commands.exit_status` says."""
    arguments = vars(_parser().parse_args(words))
    del arguments["verb"]
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)

    def work() -> None:
        run = arguments.pop("run")
        if run is not audit:
            _heal()
        run(**arguments)

    if status := commands.exit_status(work):
        sys.exit(status)


if __name__ == "__main__":
    main()
