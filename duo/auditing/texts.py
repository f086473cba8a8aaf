"""Texts from files, each as far as it is asked for, in the model's own tokens."""

import glob
import os
from pathlib import Path
from typing import Any

import numpy as np

from duo.errors import InputError
from duo.model import pretrained
from duo.seeds import stream


def find(pattern: str, seed: int) -> list[Path]:
    """The files that match a glob, ** being any folders, in an order that the seed draws. InputError where none is."""
    found = sorted(Path(path) for path in glob.glob(pattern, recursive=True) if Path(path).is_file())
    if not found:
        raise InputError(f"--text: no file matches {pattern!r}")
    return [found[index] for index in stream(seed, "audit", "texts").permutation(len(found))]


def windows(paths: list[Path], tokenizer: Any, documents: int, tokens: int) -> tuple[list[str], np.ndarray]:
    """Names of the first texts that are long enough and not alike, and their first ids [documents, tokens + 2],
    as pretrained.window has them.

    A name is the path from the folder that all have in common. InputError where a text is not UTF-8, or there are fewer
    of them.
    """
    folder = os.path.commonpath([path.absolute().parent for path in paths])
    found: dict[tuple[int, ...], str] = {}
    for path in paths:
        ids = pretrained.window(tokenizer, _text(path), tokens)
        if ids is not None:
            found.setdefault(tuple(ids), path.absolute().relative_to(folder).as_posix())
        if len(found) == documents:
            return list(found.values()), np.array(list(found), np.int64)
    raise InputError(
        f"--text: {len(found)} of {len(paths)} texts have {pretrained.CONTEXT + tokens} tokens or more and begin "
        f"unlike the others; should be {documents}: give more text, or ask for fewer --documents or --tokens"
    )


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is not UTF-8; leave the file out of --text or convert it"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
