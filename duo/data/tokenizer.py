"""From text to token ids: a byte-level BPE that loses nothing, or the tokenizer of a pretrained model; and tables of
its ids.

Every document is preceded by a mark when it is packed for training or run for evaluation, so that its first token is
predicted like any other: MARK, id 0, or what the pretrained model begins its texts with.
"""

import sys
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm

from duo.errors import InputError
from duo.model import pretrained as hub
from duo.seeds import stream
from duo.tables import files
from duo.tables.data import PACKED, TEST_TOKENS, TOKEN_METRICS, TOKENIZER

MARK = "<|document|>"
MARK_ID = 0
SPLITS = ("train", "validation", "test")
BATCH = 256  # documents encoded at once; bounds the memory that their intermediate form takes


def train(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """A byte-level BPE of exactly `vocabulary` entries, the mark among them;

    InputError where the texts don't give as many.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[MARK],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=sys.stderr.isatty(),
    )
    tokenizer.train_from_iterator(texts, trainer, length=len(texts))
    _as_plain_text(tokenizer)
    if tokenizer.get_vocab_size() < vocabulary:
        largest = tokenizer.get_vocab_size()
        raise InputError(
            f"tokens.vocabulary: {vocabulary} is more than the training text gives; the largest possible is {largest}"
        )
    return tokenizer


def pretrained(name: str, vocabulary: int) -> tuple[Tokenizer, int]:
    """The tokenizer of a pretrained model, as duo.model.pretrained names it, and the id of its mark.

    InputError where it can't be read, has no mark, or has ids beyond those of `vocabulary` entries.
    """
    loaded = hub.from_pretrained("AutoTokenizer", name, "tokens.pretrained")
    tokenizer, mark = getattr(loaded, "backend_tokenizer", None), loaded.bos_token_id
    if tokenizer is None or mark is None:
        raise InputError(
            f"tokens.pretrained: {name!r} has no fast tokenizer with a token for the beginning of a text (bos_token)"
        )
    largest = max(tokenizer.get_vocab().values())
    if largest >= vocabulary:
        raise InputError(f"tokens.vocabulary: {vocabulary} is too small for {name!r}, whose largest id is {largest}")
    _as_plain_text(tokenizer)
    return tokenizer, mark


def save(tokenizer: Tokenizer) -> None:
    with files.atomic(TOKENIZER.path()) as temporary:
        tokenizer.save(str(temporary))


def load() -> Tokenizer:
    """The tokenizer as `save` left it."""
    path = TOKENIZER.path()
    if not path.exists():
        raise InputError(f"{path}: is missing; run the stage that makes it")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise InputError(f"{path}: damaged ({error}); delete it and run its stage again") from None
    _as_plain_text(tokenizer)
    return tokenizer


def _as_plain_text(tokenizer: Tokenizer) -> None:
    """Encode the characters of the mark, where a text holds them, like any others: only `pack` sets marks."""
    tokenizer.encode_special_tokens = True


def encode(tokenizer: Tokenizer, texts: Sequence[str], name: str = "encode") -> list[np.ndarray]:
    """The ids of each text, uint16 [tokens], without the mark."""
    ids = []
    with tqdm(total=len(texts), desc=name, unit=" documents", disable=None) as progress:
        for start in range(0, len(texts), BATCH):
            batch = tokenizer.encode_batch_fast(texts[start : start + BATCH], add_special_tokens=False)
            ids += [np.array(encoding.ids, dtype=np.uint16) for encoding in batch]
            progress.update(len(batch))
    return ids


def pack(documents: Sequence[np.ndarray], sequence: int, random: np.random.Generator) -> np.ndarray:
    """Documents in random order, each beginning with the mark, as rows [rows, sequence + 1] of uint16.

    The last id of a row is the first of the next, so every id but the very first is predicted once. What is left at the
    end, less than a row, is dropped.
    """
    ids = np.concatenate([documents[index] for index in random.permutation(len(documents))]).astype(np.uint16)
    if len(ids) <= sequence:
        return np.empty((0, sequence + 1), dtype=np.uint16)
    return np.lib.stride_tricks.sliding_window_view(ids, sequence + 1)[::sequence]


def make(corpora: dict[str, pa.Table], vocabulary: int, sequence: int, seed: int, model: str | None = None) -> None:
    """Write tokenizer, packed rows, test documents and metrics of `corpora`, tables of artifacts.DOCUMENTS by domain.

    The tokenizer is that of the pretrained `model`, else one trained on the training split.
    """
    texts = {(domain, split): _column(table, split, "text") for domain, table in corpora.items() for split in SPLITS}
    if model:
        tokenizer, mark = pretrained(model, vocabulary)
    else:
        tokenizer, mark = (
            train([text for (_, split), each in texts.items() if split == "train" for text in each], vocabulary),
            MARK_ID,
        )
    ids = {(domain, split): encode(tokenizer, each, f"{domain} {split}") for (domain, split), each in texts.items()}
    _check_lengths(ids, corpora)
    marked = {key: [np.insert(document, 0, mark) for document in each] for key, each in ids.items()}
    packed, tested = _packed(marked, sequence, seed), _tested(marked, corpora)
    metrics = {domain: {} for domain in corpora}
    for (domain, split), each in texts.items():
        metrics[domain][split] = {
            "documents": len(each),
            "tokens": sum(map(len, ids[domain, split])),
            "bytes": sum(len(text.encode()) for text in each),
        }
    save(tokenizer)
    PACKED.write(packed)
    TEST_TOKENS.write(tested)
    TOKEN_METRICS.write(metrics)


def _column(table: pa.Table, split: str, name: str) -> list[str]:
    return table.filter(pc.equal(table["split"], split))[name].to_pylist()


def _check_lengths(ids: dict[tuple[str, str], list[np.ndarray]], corpora: dict[str, pa.Table]) -> None:
    """InputError for a document in which there is next to nothing to predict, whichever split the seed gave it to."""
    for (domain, split), each in ids.items():
        short = [index for index, tokens in enumerate(each) if len(tokens) < 2]
        if short:
            name = _column(corpora[domain], split, "id")[short[0]]
            raise InputError(
                f"corpus.{domain}: document {name!r} is shorter than two tokens ({len(short)} such in the {split} split); leave it out"
            )


def _packed(ids: dict[tuple[str, str], list[np.ndarray]], sequence: int, seed: int) -> dict:
    """Columns of artifacts.PACKED; InputError for a split that doesn't fill a row."""
    rows = {key: pack(each, sequence, stream(seed, "tokens", *key)) for key, each in ids.items() if key[1] != "test"}
    for (domain, split), each in rows.items():
        if not len(each):
            raise InputError(
                f"corpus.{domain}: its {split} split is too short for one row of {sequence} tokens (tokens.sequence)"
            )
    return {
        "domain": [domain for (domain, _), each in rows.items() for _ in each],
        "split": [split for (_, split), each in rows.items() for _ in each],
        "tokens": files.fixed_lists(np.concatenate(list(rows.values()))),
    }


def _tested(ids: dict[tuple[str, str], list[np.ndarray]], corpora: dict[str, pa.Table]) -> dict:
    """Columns of artifacts.TEST_TOKENS."""
    names = {domain: _column(table, "test", "id") for domain, table in corpora.items()}
    return {
        "domain": [domain for domain, each in names.items() for _ in each],
        "document": [name for each in names.values() for name in each],
        "tokens": pa.array([tokens for domain in names for tokens in ids[domain, "test"]], pa.list_(pa.uint16())),
    }
