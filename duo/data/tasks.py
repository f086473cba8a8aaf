"""Multiple choice from held-out documents: which of four endings is the true one? Built as HellaSwag is used (paper,
figure 8b).

Contexts and endings are whole words: each begins with white space (but for a document's beginning) and none ends with
any. A byte-level BPE joins nothing across such a place, so the tokens of a context and then of any ending are those
of the text of both.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from duo.data import tokenizer as tokens
from duo.errors import InputError
from duo.seeds import stream
from duo.settings import Ablation

ENDINGS = 4


class Window(NamedTuple):
    """A stretch of a document: a context and its true ending."""

    document: str
    position: int  # of the context's first token in the document
    context: str
    ending: str


def make(table: pa.Table, tokenizer: Tokenizer, settings: Ablation, seed: int) -> pa.Table:
    """Columns of artifacts.CHOICES: `settings.items` items of every domain, chosen by seed. table as
    artifacts.TEST_TOKENS.

    InputError where a domain's test documents hold fewer.
    """
    domains = np.array(table["domain"].to_pylist())
    rows = []
    for domain in dict.fromkeys(domains.tolist()):
        held_out = table.filter(pa.array(domains == domain))
        found = windows(held_out["document"].to_pylist(), held_out["tokens"].to_pylist(), tokenizer, settings)
        rng = stream(seed, "choices", domain)
        chosen = _spread(found, settings.items, rng)
        _check(domain, settings, found, chosen)
        for item, window in enumerate(chosen):
            endings = _wrong_endings(item, chosen)
            label = int(rng.integers(ENDINGS))
            endings.insert(label, window.ending)
            row = {"domain": domain, "document": window.document, "item": item, "position": window.position}
            rows.append(row | {"context": window.context, "endings": endings, "label": label})
    return pa.Table.from_pylist(rows)


def windows(documents: list[str], ids: list[list[int]], tokenizer: Tokenizer, settings: Ablation) -> list[Window]:
    """All windows, in order, that don't overlap and whose text gives their tokens back; no ending occurs twice. ids
    begin with the mark.
    """
    places = [
        (index, place) for index, each in enumerate(ids) for place in _places(each, _edges(each, tokenizer), settings)
    ]
    cut = settings.context
    pieces = [ids[index][place : place + cut + settings.continuation] for index, place in places]
    contexts = tokenizer.decode_batch([piece[:cut] for piece in pieces], skip_special_tokens=False)
    endings = tokenizer.decode_batch([piece[cut:] for piece in pieces], skip_special_tokens=False)
    again = [tokens.encode(tokenizer, texts, "choices") for texts in (contexts, endings)]
    found = {}
    for (index, place), piece, context, ending, first, second in zip(
        places, pieces, contexts, endings, *again, strict=True
    ):
        kept = (
            first.tolist() == piece[:cut] and second.tolist() == piece[cut:]
        )  # not where a character's bytes were cut apart
        if kept and context == context.rstrip() and ending[0].isspace():
            found.setdefault(ending, Window(documents[index], place - 1, context, ending))
    return list(found.values())


def _edges(ids: list[int], tokenizer: Tokenizer) -> np.ndarray:
    """[tokens + 1] bool: whether white space begins before each token, where the document's text begins, or where it
    ends.
    """
    texts = tokenizer.decode_batch([[each] for each in ids], skip_special_tokens=False)
    begins, ends = (np.array([text[part].isspace() for text in texts]) for part in (slice(1), slice(-1, None)))
    edges = np.append(begins, True)
    edges[1:-1] &= ~ends[:-1]
    edges[:2] = [False, True]  # the mark and the document's first token
    edges[-1] = not ends[-1]
    return edges


def _places(ids: list[int], edges: np.ndarray, settings: Ablation) -> list[int]:
    """Where windows begin that don't overlap, from the left."""
    length = settings.context + settings.continuation
    last = len(ids) - length
    if last < 1:
        return []
    fits = edges[: last + 1] & edges[settings.context : settings.context + last + 1] & edges[length:]
    places, free = [], 0
    for place in np.flatnonzero(fits).tolist():
        if place >= free:
            places.append(place)
            free = place + length
    return places


def _spread(found: list[Window], items: int, rng: np.random.Generator) -> list[Window]:
    """`items` windows drawn so that documents have as like numbers of them as they can, in order of position in the
    document.
    """
    drawn = [found[index] for index in rng.permutation(len(found))]
    seen, turn = {}, []
    for window in drawn:
        turn.append(seen.setdefault(window.document, 0))
        seen[window.document] += 1
    chosen = [drawn[index] for index in np.argsort(turn, kind="stable")[:items]]
    return sorted(
        chosen, key=lambda window: window.position
    )  # stable: windows of the same position stay in random order


def _wrong_endings(item: int, chosen: list[Window]) -> list[str]:
    """The true endings of the next items that are of other documents: of the same length, and from like positions."""
    others = (window for window in chosen[item + 1 :] + chosen[:item] if window.document != chosen[item].document)
    return [window.ending for window, _ in zip(others, range(ENDINGS - 1), strict=False)]


def _check(domain: str, settings: Ablation, found: list[Window], chosen: list[Window]) -> None:
    """InputError where there are too few windows, or too few documents to take wrong endings from."""
    if len(found) < settings.items:
        raise InputError(
            f"ablation.items: {settings.items} items of {settings.context} + {settings.continuation} tokens asked, but the test documents "
            f"of domain {domain!r} give {len(found)} at most; lower items, context or continuation, or hold out more text"
        )
    documents = [window.document for window in chosen]
    for document in set(documents):
        if len(documents) - documents.count(document) < ENDINGS - 1:
            raise InputError(
                f"ablation.items: the items of domain {domain!r} need wrong endings, at least {ENDINGS - 1} of other documents than "
                f"{document!r}; hold out more documents"
            )
