"""Multiple choice from held-out documents: which of four endings is the true one?

Stands where the paper has HellaSwag (figure 8b), and needs no data of others. The true ending of an item serves as a
wrong one of other items, so all endings are real text of as many tokens.

Contexts and endings are whole words: both begin with white space (a context may also begin its document), and neither
ends with any. A byte-level BPE joins nothing across such a place, so the tokens of a context and of an ending are
those of the two read together.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from duo.data import tokenizer as tokens
from duo.data.needs import ENDINGS
from duo.errors import InputError
from duo.seeds import stream
from duo.settings import Ablation


class Window(NamedTuple):
    """A stretch of a document: a context and its true ending."""

    document: str
    position: int  # of the context's first token in the document
    context: str
    ending: str


def make_items(table: pa.Table, tokenizer: Tokenizer, settings: Ablation, seed: int) -> pa.Table:
    """Columns of MULTIPLE_CHOICE: `settings.items` items of every domain, sampled by seed.

    table: columns of HELD_OUT. InputError where a domain's test documents hold too few.
    """
    domains = np.array(table["domain"].to_pylist())
    rows = []
    for domain in dict.fromkeys(domains.tolist()):
        held_out = table.filter(pa.array(domains == domain))
        clusters = dict(zip(*(held_out[name].to_pylist() for name in ("document", "cluster")), strict=True))
        candidates = windows(held_out["document"].to_pylist(), held_out["tokens"].to_pylist(), tokenizer, settings)
        random = stream(seed, "choices", domain)
        chosen = _spread(candidates, settings.items, random)
        _check(domain, settings, len(candidates), chosen)
        for item, window in enumerate(chosen):
            endings = _wrong_endings(item, chosen)
            label = int(random.integers(ENDINGS))
            endings.insert(label, window.ending)
            row = {"domain": domain, "document": window.document, "item": item, "position": window.position}
            row["cluster"] = clusters[window.document]
            rows.append(row | {"context": window.context, "endings": endings, "label": label})
    return pa.Table.from_pylist(rows)


def windows(documents: list[str], ids: list[list[int]], tokenizer: Tokenizer, settings: Ablation) -> list[Window]:
    """All windows of these documents, in order, that don't overlap and whose text encodes to the same tokens again.

    No ending occurs twice, so a wrong ending is never the true one. ids: the tokens of each document, BOS first.
    """
    places = list(_places(ids, tokenizer, settings))
    cut = settings.context
    pieces = [ids[index][start : start + cut + settings.continuation] for index, start in places]
    contexts = tokenizer.decode_batch([piece[:cut] for piece in pieces], skip_special_tokens=False)
    endings = tokenizer.decode_batch([piece[cut:] for piece in pieces], skip_special_tokens=False)
    encoded = [tokens.encode(tokenizer, texts, "choices") for texts in (contexts, endings)]
    by_ending = {}
    for (index, start), piece, context, ending, first, second in zip(
        places, pieces, contexts, endings, *encoded, strict=True
    ):
        # Tokens that cut the bytes of a character apart decode to something else.
        same = first.tolist() == piece[:cut] and second.tolist() == piece[cut:]
        if same and context == context.rstrip() and ending[0].isspace():
            by_ending.setdefault(ending, Window(documents[index], start - 1, context, ending))
    return list(by_ending.values())


def _places(ids: list[list[int]], tokenizer: Tokenizer, settings: Ablation) -> Iterator[tuple[int, int]]:
    """(index of the document, index of its token) where windows begin that don't overlap, from the left."""
    length, white_space = settings.context + settings.continuation, _white_space(tokenizer)
    for index, document in enumerate(ids):
        last, free = len(document) - length, 0
        if last < 1:
            continue
        edges = _edges(np.array(document), *white_space)
        fits = edges[: last + 1] & edges[settings.context : settings.context + last + 1] & edges[length:]
        for start in np.flatnonzero(fits).tolist():
            if start >= free:
                yield index, start
                free = start + length


def _white_space(tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """[vocabulary] bool each: whether a token begins with white space, and whether it ends with some."""
    known = range(tokenizer.get_vocab_size())
    texts = tokenizer.decode_batch([[token] for token in known], skip_special_tokens=False)
    begins, ends = (np.array([text[part].isspace() for text in texts]) for part in (slice(1), slice(-1, None)))
    return begins, ends


def _edges(ids: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """[tokens + 1] bool: whether a window may begin before each token, and after the last one.

    It may where white space begins, where the document's text begins, and where it ends. begins, ends: as _white_space
    gives them.
    """
    edges = np.append(begins[ids], True)
    edges[1:-1] &= ~ends[ids[:-1]]
    edges[:2] = [False, True]  # the BOS token and the document's first token
    edges[-1] = not ends[ids[-1]]
    return edges


def _spread(candidates: list[Window], items: int, random: np.random.Generator) -> list[Window]:
    """`items` random windows, spread over the documents as evenly as can be, in order of position in the document.

    In that order neighbours stand at like positions, so that wrong endings fit as well as the true one.
    """
    shuffled = [candidates[index] for index in random.permutation(len(candidates))]
    taken, turns = {}, []  # by document, the windows so far; for every window, how many of its document come before it
    for window in shuffled:
        turns.append(taken.setdefault(window.document, 0))
        taken[window.document] += 1
    chosen = [shuffled[index] for index in np.argsort(turns, kind="stable")[:items]]
    return sorted(chosen, key=lambda window: window.position)  # stable: equal positions stay in random order


def _wrong_endings(item: int, chosen: list[Window]) -> list[str]:
    """The true endings of the next items that are of other documents: of equal length, and from like positions."""
    others = (window for window in chosen[item + 1 :] + chosen[:item] if window.document != chosen[item].document)
    return [window.ending for window, _ in zip(others, range(ENDINGS - 1), strict=False)]


def _check(domain: str, settings: Ablation, candidates: int, chosen: list[Window]) -> None:
    """InputError where there are too few windows, or too few documents to take wrong endings from."""
    if candidates < settings.items:
        raise InputError(
            f"domain {domain!r}: {settings.items} items of {settings.context} + {settings.continuation} tokens are "
            f"asked for, but its test documents give {candidates} at most; ask for fewer items, for shorter contexts "
            "or continuations, or hold out more text"
        )
    documents = [window.document for window in chosen]
    for document in set(documents):
        if len(documents) - documents.count(document) < ENDINGS - 1:
            raise InputError(
                f"domain {domain!r}: its items need wrong endings, at least {ENDINGS - 1} of other documents than "
                f"{document!r}; hold out more documents"
            )
