"""The hashes by which DVC knows files and directories."""

import hashlib
import os
from pathlib import Path

from pathspec import GitIgnoreSpec

IGNORED = Path(".dvcignore")


def md5(path: str | Path) -> str:
    """Of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def of(path: str | Path) -> str:
    """Of a file or directory."""
    if not Path(path).is_dir():
        return md5(path)
    return of_files(path, {file: md5(file) for file in sources(path)})


def of_files(path: str | Path, files: dict[str, str]) -> str:
    """Of a directory, from those of the files in it."""
    from dvc_data.hashfile.hash_info import HashInfo  # slow to import, and needed by few
    from dvc_data.hashfile.tree import Tree

    tree = Tree()
    for file, known in files.items():
        tree.add(Path(file).relative_to(path).parts, None, HashInfo("md5", known))
    tree.digest()
    return tree.hash_info.value


def sources(path: str | Path) -> list[str]:
    """The files in a directory that DVC looks at."""
    ignored = GitIgnoreSpec.from_lines(IGNORED.read_text(encoding="utf-8").splitlines() if IGNORED.exists() else [])
    files = [str(Path(root, name)) for root, _, names in os.walk(path) for name in names]
    return [file for file in files if not ignored.match_file(file)]
