"""Models in EleutherAI's evaluation harness, which scores the items of duo.data.tasks, the questions of
duo.data.questions, and other tasks of its own.

A loss in nats says little to somebody who knows benchmarks; the harness's accuracy does, by the rules that everybody
uses. Nothing is fetched for items and questions. Set HF_HUB_OFFLINE before this module is imported to be sure of it.
"""

import json
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the harness is imported

import datasets
import numpy as np
import pyarrow as pa
import torch
from lm_eval import evaluator
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager
from tokenizers import Tokenizer
from torch import Tensor

from duo.data.packed import Ids, Packed, pack
from duo.errors import InputError
from duo.model.device import Device
from duo.model.transformer import Duo
from duo.progress import progress
from duo.seeds import stream
from duo.tables.training import HARNESS
from duo.training.random_routes import routed

logging.getLogger("lm_eval").setLevel(logging.WARNING)
BATCH = 16  # contexts computed at once, with all their endings; of a pretrained model, endings
LONGEST = 4  # times what a model reads: of a context and all its endings in one row
# A task of ours in the harness's format, but for its name, its data, and what stands between context and ending.
TASK = {
    "dataset_path": "json",
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "context",
    "doc_to_choice": "endings",
    "doc_to_target": "label",
    "num_fewshot": 0,
    # acc: the choice has the highest log-likelihood; acc_norm: the highest per character.
    "metric_list": [
        {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in ("acc", "acc_norm")
    ],
    "metadata": {"version": 1.0},
}
AS_ITEMS = {"task": "domain", "question": "document"}  # columns of QUESTIONS as those of items

Encoded = tuple[tuple[str, str], Ids, Ids]  # context and ending as texts, then the ids of both
Score = tuple[float, bool]  # log-likelihood of an ending in nats, and whether greedy decoding would give it


class Text(NamedTuple):
    """A context and the endings that are scored behind it, as ids."""

    whole: Ids  # the context as it was asked for
    context: Ids  # what of it the model reads: of a text that is too long the beginning is cut off
    endings: list[Ids]
    requests: list[int]  # the places of these endings among all that are asked for

    @property
    def tokens(self) -> int:
        """Of context and endings together."""
        return len(self.context) + sum(map(len, self.endings))


class HarnessModel(TemplateLM):
    """A causal model in the form that the harness wants a model in; what it computes, and of which texts, is told by
    the classes below.

    start: id of the token that precedes every text. longest: how many tokens the model reads. words: what the model is,
    for whoever awaits it. InputError from tasks that generate text or take the likelihood of a whole one.
    """

    def __init__(self, start: int, longest: int, words: str, device: Device):
        super().__init__()
        self.start, self.longest, self.words, self.runtime = start, longest, words, device

    def encode(self, text: str) -> Ids:
        """Token ids of the text alone."""
        raise NotImplementedError

    def scores(self, texts: Sequence[Text]) -> list[Score]:
        """Of every ending of the texts, one after the other."""
        raise NotImplementedError

    @property
    def eot_token_id(self) -> int:
        return self.start

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: object) -> Ids:
        """Token ids of the text, the token that begins it first unless add_special_tokens is False."""
        ids = self.encode(string)
        return ids if add_special_tokens is False else [self.start, *ids]

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = True) -> list[Score]:
        """The score of the ending in every request, given its context."""
        return super().loglikelihood(requests, disable_tqdm)

    @torch.no_grad()
    def _loglikelihood_tokens(self, requests: list[Encoded], **kwargs: object) -> list[Score]:
        ordered = sorted(self._texts(requests), key=lambda text: -text.tokens)  # alike ones are computed together
        scores: list[Score] = [(0.0, False)] * len(requests)
        with progress(self.words, "endings", total=len(requests)) as shown:
            for start in range(0, len(ordered), BATCH):
                texts = ordered[start : start + BATCH]
                indices = [index for text in texts for index in text.requests]
                with self.runtime.autocast():
                    found = self.scores(texts)
                for index, score in zip(indices, found, strict=True):
                    scores[index] = score
                shown.update(len(indices))
        return scores

    def _texts(self, requests: list[Encoded]) -> list[Text]:
        """The requests by their contexts; of what would be far longer than the model reads, several of one context."""
        texts: list[Text] = []
        latest: dict[tuple, Text] = {}
        for index, (_, context, ending) in enumerate(requests):
            row = (context + ending)[-(self.longest + 1) :]
            count = min(len(ending), len(row) - 1)
            key = tuple(context), tuple(row[:-count])
            text = latest.get(key)
            if text is None or text.tokens + count > LONGEST * self.longest:
                text = latest[key] = Text(context, row[:-count], [], [])
                texts.append(text)
            text.endings.append(row[-count:])
            text.requests.append(index)
        return texts

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        raise InputError("tasks of output_type loglikelihood_rolling can't be run here; give multiple_choice ones")

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        raise InputError("tasks of output_type generate_until can't be run here; give multiple_choice ones")


class DuoInHarness(HarnessModel):
    """A Duo model under random routes with one chance of the big FFN.

    A context is computed once for all its endings, which share its routes, so that random routes favour none. bos: id
    of the BOS token, which precedes every text.
    """

    def __init__(self, model: Duo, tokenizer: Tokenizer, bos: int, p_big: float, device: Device, seed: int):
        super().__init__(bos, model.shape.sequence, f"p_big {p_big:g}", device)
        self.model, self.own_tokenizer, self.p_big, self.seed = model, tokenizer, p_big, seed

    def encode(self, text: str) -> Ids:
        return self.own_tokenizer.encode(text, add_special_tokens=False).ids

    def scores(self, texts: Sequence[Text]) -> list[Score]:
        packed = [pack(text.context, text.endings) for text in texts]
        streams = self._streams(texts, packed)
        found = []
        for row, each in enumerate(packed):
            logits = self.model.logits(streams[row, each.asked]).float().cpu()
            chances = logits.log_softmax(-1).gather(1, each.labels.T).T.double()  # [endings, asked]
            greedy = (logits.argmax(-1) == each.labels) | ~each.scored
            found += zip((chances * each.scored).sum(1).tolist(), greedy.all(1).tolist(), strict=True)
        return found

    def _streams(self, texts: Sequence[Text], packed: Sequence[Packed]) -> Tensor:
        """After the last layer, [texts, length of the longest row, width]."""
        size, where = (len(packed), max(len(each.kept) for each in packed)), self.runtime.name
        x = torch.zeros(*size, self.model.width, device=where)
        places, mask = torch.zeros(size, dtype=torch.int64), torch.zeros(size[0], 1, size[1], size[1])
        # What fills a row up takes either FFN, as the others do: computing few tokens by both is what makes this fast.
        uniform = stream(self.seed, "routes").random((*size, self.model.shape.layers), np.float32)
        for row, (text, each) in enumerate(zip(texts, packed, strict=True)):
            count, (answer, place) = len(each.kept), each.kept.unbind(1)
            x[row, :count] = self.model.embed(each.rows.to(where))[answer, place]
            places[row, :count] = place
            # What fills the row up sees all, and nobody sees it.
            mask[row, 0, :count, :count], mask[row, 0, :count, count:] = each.earlier, -torch.inf
            by_place = stream(self.seed, "routes", *text.whole).random((self.longest, uniform.shape[-1]), np.float32)
            uniform[row, :count] = by_place[place]
        return routed(self.model, x, self.model.rotary(places.to(where)), uniform, self.p_big, mask.to(where))


class PretrainedInHarness(HarnessModel):
    """A model of transformers with its tokenizer, as duo.model.pretrained loads them: all big, as it is.

    start: id of the token that precedes every text; longest: how many tokens it reads.
    """

    def __init__(self, name: str, model: Any, tokenizer: Any, start: int, longest: int, device: Device):
        super().__init__(start, longest, name, device)
        self.model, self.own_tokenizer, self.p_big = model, tokenizer, 1.0

    def encode(self, text: str) -> Ids:
        return self.own_tokenizer(text, add_special_tokens=False)["input_ids"]

    def scores(self, texts: Sequence[Text]) -> list[Score]:
        # Each ending behind its context: how a model of transformers takes other masks and places differs by family.
        pairs = [(text.context, ending) for text in texts for ending in text.endings]
        batches = (pairs[start : start + BATCH] for start in range(0, len(pairs), BATCH))
        return [score for batch in batches for score in self._apart(batch)]

    def _apart(self, pairs: Sequence[tuple[Ids, Ids]]) -> Iterator[Score]:
        """Of context and ending each."""
        length = max(len(context) + len(ending) for context, ending in pairs) - 1
        # The model is causal: what a row is filled up with at its end is seen by no token that is scored.
        tokens = [(context + ending)[:-1] for context, ending in pairs]
        padded = torch.tensor([row + [self.start] * (length - len(row)) for row in tokens], device=self.runtime.name)
        streams = self.model.base_model(padded, use_cache=False).last_hidden_state
        for row, (context, ending) in zip(streams, pairs, strict=True):
            asked = row[len(context) - 1 : len(context) + len(ending) - 1]
            logits, labels = self.model.get_output_embeddings()(asked).float().cpu(), torch.tensor(ending)
            chances = logits.log_softmax(-1).gather(1, labels[:, None]).double()
            yield chances.sum().item(), bool((logits.argmax(-1) == labels).all())


def run(model: HarnessModel, items: pa.Table | None, questions: pa.Table, others: Sequence[str] = ()) -> pa.Table:
    """Columns p_big to lengths of HARNESS: the model's answers to our items, to the questions of other people's tasks,
    and to tasks of the harness by name or file.

    items: columns of MULTIPLE_CHOICE, of which every domain makes a task, if any; questions: of QUESTIONS. InputError
    for another task that is not there, does not load, or is no multiple choice.
    """
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder)
        tasks = _local_tasks(items, kept, "") if items is not None else {}  # endings of ours begin with white space
        tasks |= _local_tasks(questions.rename_columns(AS_ITEMS), kept, " ") | _other_tasks(others)
        group, samples = {"tasks": tasks, "groups": {}}, {}
        if tasks:
            samples = evaluator.evaluate(lm=model, task_dict=group, bootstrap_iters=0, log_samples=True)["samples"]
    rows = []
    for name, answers in samples.items():
        for answer in sorted(answers, key=lambda answer: answer["doc_id"]):
            rows.append({"p_big": model.p_big} | _row(name, answer, tasks[name]))
    return pa.Table.from_pylist(rows, pa.schema([field for field in HARNESS.schema if field.name != "model"]))


def _local_tasks(items: pa.Table, folder: Path, between: str) -> dict[str, Task]:
    """Items of ours as one task per domain, with data files in `folder`, which must stay until the tasks have run.

    between: what stands between a context and its endings.
    """
    datasets.disable_progress_bars()
    rows, specs = items.to_pylist(), []
    for domain in dict.fromkeys(row["domain"] for row in rows):
        file = folder / f"{domain}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows if row["domain"] == domain), encoding="utf-8")
        source = {"data_files": {"test": str(file)}, "cache_dir": str(folder / "cache")}
        specs.append(TASK | {"task": domain, "dataset_kwargs": source, "target_delimiter": between})
    return TaskManager(include_defaults=False).load(specs)["tasks"] if specs else {}


def _other_tasks(names: Sequence[str]) -> dict[str, Task]:
    if not names:
        return {}
    manager, tasks = TaskManager(), {}
    for name in names:
        try:
            loaded = manager.load([name])["tasks"]
        except Exception as error:  # whatever a task file, its data set or the network throws
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"task {name!r}: the harness can't load it: {reason}") from None
        for part, task in loaded.items():
            if task.OUTPUT_TYPE != "multiple_choice":
                raise InputError(
                    f"task {name!r}: {part} is of output_type {task.OUTPUT_TYPE}; only multiple_choice can be run"
                )
            if "acc_norm" not in task.aggregation():
                raise InputError(f"task {name!r}: {part} has no metric acc_norm, the one that is compared here")
        tasks |= loaded
    return tasks


def _row(name: str, answer: dict, task: Task) -> dict:
    """The answer to one item, in columns of HARNESS."""
    likelihoods = [scores[0][0] for scores in answer["resps"]]
    lengths = [len(ending) for ending in task.doc_to_choice(answer["doc"])]
    return {
        "domain": name,
        "document": str(answer["doc"].get("document", answer["doc_id"])),
        "cluster": str(answer["doc"].get("cluster", answer["doc"].get("document", answer["doc_id"]))),
        "item": answer["doc_id"],
        "label": answer["target"],
        "choice": int(np.argmax(np.array(likelihoods) / lengths)),
        "correct": bool(answer["acc_norm"]),
        "likeliest": int(np.argmax(likelihoods)),
        "log_likelihoods": likelihoods,
        "lengths": lengths,
    }
