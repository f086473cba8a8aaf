"""Texts from files, each as far as it is asked for, in the model's own tokens."""

import glob
import itertools
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from duo.data import documents as read
from duo.data import own_files
from duo.errors import InputError
from duo.model import pretrained
from duo.seeds import stream

log = logging.getLogger(__name__)


def find(pattern: str, seed: int) -> list[Path]:
    """The files that match a glob, ** being any folders, in an order that the seed draws. InputError where none is."""
    folder = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), Path(pattern).parent.parts))
    below = os.path.relpath(pattern, folder)
    there = own_files.files_in(folder) if folder.is_dir() else []
    found = [path for path in there if own_files.matches(path.relative_to(folder), below)]
    if not found:
        raise InputError(f"--text: no file matches {pattern!r}")
    return [found[index] for index in stream(seed, "audit", "texts").permutation(len(found))]


def windows(paths: list[Path], tokenizer: Any, documents: int, tokens: int) -> tuple[list[str], np.ndarray]:
    """Names of the first texts that are long enough and not alike, and their first ids [documents, tokens + 2],
    as pretrained.window has them.

    A name is the path from the folder that all have in common. A text that is not UTF-8 is passed over, and the log
    says so. InputError where one can't be read, or there are fewer of them.
    """
    folder = os.path.commonpath([path.absolute().parent for path in paths])
    found: dict[tuple[int, ...], str] = {}
    unread = 0
    for path in paths:
        try:
            ids = pretrained.window(tokenizer, read.decode(_content(path)), tokens)
        except read.UnusableError as unusable:
            log.warning("%s: passed over: %s, %s", path, unusable.reason, unusable.detail)
            unread += 1
            continue
        if ids is not None:
            found.setdefault(tuple(ids), path.absolute().relative_to(folder).as_posix())
        if len(found) == documents:
            return list(found.values()), np.array(list(found), np.int64)
    raise InputError(
        f"--text: {len(found)} of {len(paths)} texts have {pretrained.CONTEXT + tokens} tokens or more and begin "
        f"unlike the others, {unread} can't be read as text; should be {documents}: give more text, or ask for fewer "
        "--documents or --tokens"
    )


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(read.LONGEST + 1)
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
