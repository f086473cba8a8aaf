"""`python -m duo audit`: is what an oracle gains by leaving out parts of a model real, or luck? For anybody's model.

It needs no checkout: a model, some text, and a folder to leave what it finds.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from duo import commands
from duo.errors import InputError

# Torch is imported when the command runs, so that --help and wrong words answer at once.


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes to a parser."""
    add = parser.add_argument
    add("model", nargs="?", help="a directory with safetensors, a .gguf file, or NAME[@REVISION] on the hub")
    add("--text", metavar="GLOB", help="files of UTF-8 text, a document each; in quotes, ** being any folders")
    add("--losses", metavar="FILE", help="instead of a model: losses of your own in Parquet (docs/pretrained.md)")
    add("--reference", type=int, metavar="ROUTE", help="with --losses: the route that others are compared with")
    add("--departures", type=int, metavar="D", help="leave out at most D layers, or blocks; 2, with --blocks all")
    add("--blocks", type=int, metavar="B", help="divide the layers into B blocks that are left out as one")
    add("--skip", choices=("ffn", "layer"), default="ffn", help="what of a layer is left out; %(default)s")
    add("--documents", type=int, default=16, metavar="N", help="how many texts; %(default)s")
    add("--tokens", type=int, default=128, metavar="N", help="how many tokens of each are scored; %(default)s")
    add("--out", type=Path, default=Path("audit"), metavar="FOLDER", help="where to leave what is found; %(default)s")
    add("--precision", choices=("auto", "bf16", "fp32"), default="auto", help="of matrix products; %(default)s")
    add("--device", default="cpu", help="cpu, cuda or another of torch's; %(default)s")
    add("--threads", type=int, metavar="N", help="of the processor; by default as many as torch takes")
    add("--seed", type=int, default=1, help="draws texts, sampled labels, and documents for intervals; %(default)s")


def run(
    model: str | None, text: str | None, losses: str | None, reference: int | None, out: Path, **options: Any
) -> None:
    """Audit a model on text, or losses that are there; print what is found and leave it in the folder `out`.

    options: the other arguments of the command, and `name`, what the model is called where not by what it is read from.
    InputError where something doesn't fit; the folder then does not appear.
    """
    given = {"MODEL": model, "--text": text, "--losses": losses, "--reference": reference}
    said = [name for name, value in given.items() if value is not None]
    if said not in (["MODEL", "--text"], ["--losses"], ["--losses", "--reference"]):
        raise InputError(f"{' and '.join(said) or 'nothing'} given; should be MODEL and --text GLOB, or --losses FILE")
    from duo.auditing import findings, folder, subjects

    folder.refuse(out)
    if losses is None:
        found, tables = subjects.of_model(model, text, **options)
    else:
        found, tables = subjects.of_losses(Path(losses), reference, options["seed"])
    folder.write(out, found, tables)
    print(findings.table(found))
    print("\n".join(findings.sentences(found)))
    print(f"\n{out / 'index.html'} says what these numbers mean, and what they don't.")


def main(words: list[str]) -> None:
    """Run the command, which ends as `duo.commands.exit_status` says."""
    parser = argparse.ArgumentParser(prog="python -m duo audit", description=__doc__.splitlines()[0])
    arguments(parser)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    given = vars(parser.parse_args(words))
    if status := commands.exit_status(lambda: run(**given)):
        sys.exit(status)
