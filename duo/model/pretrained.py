"""Pretrained models and tokenizers, from a local directory or from the Hugging Face hub.

transformers reads them; it is an optional package, slow to import, and so imported only here and when it is needed.
"""

from pathlib import Path
from typing import Any

from duo.errors import InputError


def from_pretrained(kind: str, name: str, argument: str, **options: Any) -> Any:
    """What transformers' class `kind` makes of `name`, a local directory or NAME[@REVISION] on the hub.

    InputError, naming the `argument` that `name` came as, where transformers is not installed or `name` can't be read.
    """
    try:
        import transformers
    except ImportError:
        raise InputError(f"{argument}: {name!r} needs the extra `opt`: pip install 'duo-lab[opt]'") from None
    path, _, revision = (name, "", "") if Path(name).is_dir() else name.partition("@")
    if revision:
        options["revision"] = revision
    try:
        return getattr(transformers, kind).from_pretrained(path, **options)
    except Exception as error:  # whatever is wrong with files or network, each library below raises errors of its own
        raise InputError(f"{argument}: {name!r} can't be read: {' '.join(str(error).split())}") from None
