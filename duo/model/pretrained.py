"""Pretrained models: from a local directory or from the Hugging Face hub, by transformers, imported only here and
where it is needed.
"""

from pathlib import Path
from typing import Any

from duo.errors import InputError


def from_pretrained(kind: str, name: str, key: str, **options: Any) -> Any:
    """What transformers' class `kind` makes of `name`, a local directory or NAME[@REVISION] on the hub.

    InputError, naming the params' `key`, where transformers is not installed or `name` can't be read.
    """
    try:
        import transformers
    except ImportError:
        raise InputError(f"{key}: {name!r} needs the extra `opt`: pip install 'duo-lab[opt]'") from None
    path, _, revision = (name, "", "") if Path(name).is_dir() else name.partition("@")
    if revision:
        options["revision"] = revision
    try:
        return getattr(transformers, kind).from_pretrained(path, **options)
    except Exception as error:  # whatever is wrong with files or network, each library below raises errors of its own
        raise InputError(f"{key}: {name!r} can't be read: {' '.join(str(error).split())}") from None
