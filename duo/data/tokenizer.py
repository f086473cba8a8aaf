"""Text to token ids: a byte-level BPE that loses nothing, or the tokenizer of a pretrained model; and tables of ids.

The BOS token (beginning of sequence) stands before every document, in training as in evaluation, so that a document's
first token is predicted like any other. It is BOS, with id BOS_ID, or the one that the pretrained model begins its
texts with.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from duo.data import needs
from duo.data.needs import Need
from duo.errors import InputError
from duo.model import pretrained as hub
from duo.progress import progress
from duo.seeds import stream
from duo.tables import files
from duo.tables.data import HELD_OUT, HELD_OUT_SPLITS, PACKED, SHORT, SPLITS, TOKEN_METRICS, TOKENIZER

BOS = "<|document|>"
BOS_ID = 0
PACKED_SPLITS = ("train", "validation")  # that training reads
LEAST = 2  # tokens of a document
PIECE = 1000  # characters that BPE learns from as one piece at most
BATCH = 256  # documents encoded at once; bounds the memory that their intermediate form takes

BySplit = dict[tuple[str, str], list]  # what there is of every document, by domain and split


def train(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """A byte-level BPE of exactly `vocabulary` entries, the BOS token among them.

    InputError where the texts give fewer.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=sys.stderr.isatty(),
    )
    tokenizer.train_from_iterator((part for text in texts for part in _parts(text)), trainer)
    _as_plain_text(tokenizer)
    largest = tokenizer.get_vocab_size()
    if largest < vocabulary:
        raise InputError(
            f"vocabulary: {vocabulary} entries are more than the training text gives; the largest possible is {largest}"
        )
    return tokenizer


def _parts(text: str) -> Iterator[str]:
    """The text, cut where for PIECE characters it has no white space, or nothing else.

    BPE learns from pieces between white space, in time that grows with the square of a piece's length: a megabyte of
    DNA or base64 would take hours.
    """
    start = 0
    for run in re.finditer(rf"\S{{{PIECE}}}|\s{{{PIECE}}}", text):
        yield text[start : run.end()]
        start = run.end()
    yield text[start:]


def pretrained(name: str, vocabulary: int) -> tuple[Tokenizer, int]:
    """The tokenizer of a pretrained model, named as in duo.model.pretrained, and the id of its BOS token.

    InputError where it can't be read, has no BOS token, or has ids that do not fit into `vocabulary` entries.
    """
    loaded = hub.from_pretrained("AutoTokenizer", name, "tokenizer")
    tokenizer, bos = getattr(loaded, "backend_tokenizer", None), loaded.bos_token_id
    if tokenizer is None or bos is None:
        raise InputError(f"tokenizer: {name!r} should be a fast tokenizer with a BOS token (bos_token)")
    largest = max(tokenizer.get_vocab().values())
    if largest >= vocabulary:
        raise InputError(f"vocabulary: {vocabulary} entries are too few for {name!r}, whose largest id is {largest}")
    _as_plain_text(tokenizer)
    return tokenizer, bos


def save(tokenizer: Tokenizer) -> None:
    with files.atomic(TOKENIZER.path()) as temporary:
        temporary.write_text(tokenizer.to_str(pretty=True), encoding="utf-8")


def load() -> Tokenizer:
    """The tokenizer that `save` wrote. InputError where its file is missing or damaged."""
    path = TOKENIZER.path()
    if not path.exists():
        raise InputError(f"{path}: is missing")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise InputError(f"{path}: damaged ({error})") from None
    _as_plain_text(tokenizer)
    return tokenizer


def _as_plain_text(tokenizer: Tokenizer) -> None:
    """Encode the characters of the BOS token, where a text holds them, like any others: no text fakes a beginning."""
    tokenizer.encode_special_tokens = True


def encode(
    tokenizer: Tokenizer, texts: Sequence[str], name: str = "encode", kind: type[np.integer] = np.uint16
) -> list[np.ndarray]:
    """The ids of each text, [tokens] of this kind, without the BOS token."""
    ids = []
    with progress(name, "documents", total=len(texts)) as shown:
        for start in range(0, len(texts), BATCH):
            batch = tokenizer.encode_batch_fast(texts[start : start + BATCH], add_special_tokens=False)
            ids += [np.array(encoding.ids, dtype=kind) for encoding in batch]
            shown.update(len(batch))
    return ids


def encode_one(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """The ids of one text, uint16 [tokens], without the BOS token."""
    return np.array(tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.uint16)


def pack(documents: Sequence[np.ndarray], sequence: int, random: np.random.Generator) -> np.ndarray:
    """Documents in random order, cut into rows [rows, sequence + 1] of equal length, without padding.

    Every document begins with the BOS token. The last id of a row is the first of the next, so every id but the very
    first is predicted once. What is left at the end, less than a row, is dropped.
    """
    ids = np.concatenate([documents[index] for index in random.permutation(len(documents))])
    if len(ids) <= sequence:
        return np.empty((0, sequence + 1), dtype=ids.dtype)
    return np.lib.stride_tricks.sliding_window_view(ids, sequence + 1)[::sequence]


def tokenize(
    corpora: dict[str, pa.Table],
    vocabulary: int,
    sequence: int,
    seed: int,
    model: str | None = None,
    asked: Sequence[Need] = (),
    most_left_out: Mapping[str, float] | None = None,
) -> None:
    """Write the tokenizer, the packed rows, the documents that are held out, those left out, and the counts of all
    splits.

    corpora: by domain, the columns id, cluster, split and text of DOCUMENTS. The tokenizer is that of the pretrained
    `model`, else one that is trained on the training split. A document of fewer than two tokens, in which there is next
    to nothing to predict, is left out; most_left_out: the largest share of such by domain. InputError, before anything
    is written, where there is less text than is asked for, or too much is left out.
    """
    texts = {(domain, split): _column(table, split, "text") for domain, table in corpora.items() for split in SPLITS}
    tokenizer, bos = pretrained(model, vocabulary) if model else (train(_training(texts), vocabulary), BOS_ID)
    plain = {(domain, split): encode(tokenizer, part, f"{domain} {split}") for (domain, split), part in texts.items()}
    short = _short(plain, corpora, most_left_out or {})
    corpora = {domain: _without(table, short, domain) for domain, table in corpora.items()}
    texts = {(domain, split): _column(corpora[domain], split, "text") for domain, split in texts}
    plain = {key: [ids for ids in part if len(ids) >= LEAST] for key, part in plain.items()}
    documents = {key: [np.insert(ids, 0, bos) for ids in part] for key, part in plain.items()}
    needs.check({key: list(map(len, part)) for key, part in documents.items()}, needs.training(sequence), asked)
    packed, held_out = packed_columns(documents, sequence, seed), _held_out(documents, corpora)
    metrics = {
        domain: {split: _counts(texts[domain, split], plain[domain, split]) for split in SPLITS} for domain in corpora
    }
    save(tokenizer)
    PACKED.write(packed)
    HELD_OUT.write(held_out)
    SHORT.write(short)
    TOKEN_METRICS.write(metrics)


def of_training(corpora: dict[str, pa.Table], vocabulary: int) -> Tokenizer:
    """The tokenizer that `tokenize` trains. InputError as there."""
    return train([text for table in corpora.values() for text in _column(table, "train", "text")], vocabulary)


def repacked(
    tokenizer: Tokenizer,
    corpora: dict[str, pa.Table],
    sequence: int,
    seed: int,
    bos: int = BOS_ID,
    kind: type[np.integer] = np.uint16,
) -> dict:
    """Columns of PACKED in the tokens of another tokenizer, ids of this kind. InputError as of `tokenize`."""

    def encoded(table: pa.Table, split: str) -> list[np.ndarray]:
        return encode(tokenizer, _column(table, split, "text"), kind=kind)

    documents = {
        (domain, split): [np.insert(ids, 0, bos) for ids in encoded(table, split)]
        for domain, table in corpora.items()
        for split in PACKED_SPLITS
    }
    return packed_columns(documents, sequence, seed)


def repacked_as(theirs: Any, corpora: dict[str, pa.Table], sequence: int, seed: int) -> dict:
    """Columns of ADAPTED_PACKED, in the tokens of a pretrained model: `theirs`, of transformers. InputError as of
    `tokenize`, and where it is not a fast one.
    """
    tokenizer = getattr(theirs, "backend_tokenizer", None)
    if tokenizer is None:
        raise InputError(f"tokenizer: {type(theirs).__name__} should be a fast tokenizer of transformers")
    _as_plain_text(tokenizer)
    return repacked(tokenizer, corpora, sequence, seed, hub.beginning(theirs), np.uint32)


def _column(table: pa.Table, split: str, name: str) -> list[str]:
    return table.filter(pc.equal(table["split"], split))[name].to_pylist()


def _training(texts: BySplit) -> list[str]:
    return [text for (_, split), part in texts.items() if split == "train" for text in part]


def _counts(texts: Sequence[str], ids: Iterable[np.ndarray]) -> dict[str, int]:
    """Documents, tokens and bytes, the BOS tokens left out."""
    return {
        "documents": len(texts),
        "tokens": sum(map(len, ids)),
        "bytes": sum(len(text.encode()) for text in texts),
    }


def _short(ids: BySplit, corpora: dict[str, pa.Table], most: Mapping[str, float]) -> pa.Table:
    """SHORT. InputError where more than this share of a domain is in it."""
    rows = [
        {"domain": domain, "document": name, "tokens": len(tokens)}
        for (domain, split), part in ids.items()
        for name, tokens in zip(_column(corpora[domain], split, "id"), part, strict=True)
        if len(tokens) < LEAST
    ]
    for domain, count in Counter(row["domain"] for row in rows).items():
        if count > most.get(domain, 1) * len(corpora[domain]):
            first = next(row["document"] for row in rows if row["domain"] == domain)
            raise InputError(
                f"domain {domain!r}: {count} of {len(corpora[domain])} documents would be left out as shorter than "
                f"{LEAST} tokens (the first: {first}); give longer ones, or raise most_left_out"
            )
    return pa.Table.from_pylist(rows, schema=SHORT.schema)


def _without(table: pa.Table, short: pa.Table, domain: str) -> pa.Table:
    left_out = short.filter(pc.equal(short["domain"], domain))["document"]
    return table.filter(pc.invert(pc.is_in(table["id"], left_out)))


def packed_columns(ids: BySplit, sequence: int, seed: int) -> dict:
    """Columns of PACKED, of documents with their BOS tokens, but for domains that no model trains on.

    InputError for a split that does not fill a row.
    """
    rows = {
        (domain, split): pack(part, sequence, stream(seed, "tokens", domain, split))
        for (domain, split), part in ids.items()
        if split in PACKED_SPLITS and ids[domain, "train"]
    }
    for (domain, split), part in rows.items():
        if not len(part):
            raise InputError(
                f"domain {domain!r}: its {split} split is too short for one row of {sequence} tokens; "
                "give more text or take shorter sequences"
            )
    return {
        "domain": [domain for (domain, _), part in rows.items() for _ in part],
        "split": [split for (_, split), part in rows.items() for _ in part],
        "tokens": files.fixed_lists(np.concatenate(list(rows.values()))),
    }


def _held_out(ids: BySplit, corpora: dict[str, pa.Table]) -> pa.Table:
    """HELD_OUT, split by split."""
    parts = []
    for split, (domain, table) in product(HELD_OUT_SPLITS, corpora.items()):
        names, clusters = _column(table, split, "id"), _column(table, split, "cluster")
        columns = {"domain": [domain] * len(names), "document": names, "cluster": clusters}
        columns |= {"split": [split] * len(names), "tokens": pa.array(ids[domain, split], pa.list_(pa.uint16()))}
        parts.append(pa.table(columns, HELD_OUT.schema))
    return pa.concat_tables(parts)
