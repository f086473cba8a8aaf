"""Our model in EleutherAI's evaluation harness, which scores the multiple-choice items of duo.data.tasks, and other
tasks of its own.

Nothing is fetched for our own items. Set HF_HUB_OFFLINE before this module is imported to be sure of it.
"""

import json
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

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
from tqdm import tqdm

from duo.errors import InputError
from duo.model.device import Device
from duo.model.transformer import Duo
from duo.seeds import stream
from duo.studies.ablation import final_streams
from workflow.params import read_yaml

logging.getLogger("lm_eval").setLevel(logging.WARNING)
log = logging.getLogger(__name__)

TEMPLATE = Path(__file__).with_name("multiple_choice.yaml")
BATCH = 64  # sequences computed at once

Encoded = tuple[tuple[str, str], list[int], list[int]]  # texts, context and ending, with the ids of each


class HarnessModel(TemplateLM):
    """A Duo model at a chance of the big FFN, as the harness wants a model; the four endings of a context share their
    routes.

    mark: id of the token that precedes every text. Tasks that generate text or take its whole likelihood get an
    InputError.
    """

    def __init__(self, model: Duo, tokenizer: Tokenizer, mark: int, p_big: float, device: Device, seed: int):
        super().__init__()
        self.model, self.tokenizer, self.mark, self.p_big = model, tokenizer, mark, p_big
        self.runtime, self.seed = device, seed

    @property
    def eot_token_id(self) -> int:
        return self.mark

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: object) -> list[int]:
        """Ids of the text, behind the mark unless that is not wanted."""
        ids = self.tokenizer.encode(string, add_special_tokens=False).ids
        return ids if add_special_tokens is False else [self.mark, *ids]

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """Log-likelihood in nats of each request's ending, and whether it is what the model finds likeliest token by
        token.
        """
        return super().loglikelihood(requests, disable_tqdm)

    def _loglikelihood_tokens(self, requests: list[Encoded], **kwargs: object) -> list[tuple[float, bool]]:
        by_length = sorted(range(len(requests)), key=lambda index: -len(requests[index][1]) - len(requests[index][2]))
        found: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        with tqdm(total=len(requests), unit=" endings", disable=None, desc=f"p_big {self.p_big:g}") as progress:
            for start in range(0, len(requests), BATCH):
                some = by_length[start : start + BATCH]
                for index, result in zip(some, self._score([requests[index][1:] for index in some]), strict=True):
                    found[index] = result
                progress.update(len(some))
        if progress.disable:
            log.info("p_big %g: %d endings", self.p_big, len(requests))
        return found

    @torch.no_grad()
    def _score(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[tuple[float, bool]]:
        """Log-likelihood and greediness of every ending given its context; ids.

        Of what is too long the beginning is left out.
        """
        sequence, layers = self.model.shape.sequence, self.model.shape.layers
        rows = [(context + ending)[-(sequence + 1) :] for context, ending in pairs]
        time = max(map(len, rows)) - 1
        tokens = torch.tensor(
            [row[:-1] + [self.mark] * (time + 1 - len(row)) for row in rows], device=self.runtime.name
        )
        draws = np.stack(
            [stream(self.seed, "routes", *context).random((time, layers), np.float32) for context, _ in pairs]
        )
        lengths = [min(len(ending), len(row) - 1) for row, (_, ending) in zip(rows, pairs, strict=True)]
        last = np.array([len(row) - 1 for row in rows])[:, None]
        scored = torch.from_numpy((np.arange(time) >= last - np.array(lengths)[:, None]) & (np.arange(time) < last))
        labels = torch.tensor([label for row, length in zip(rows, lengths, strict=True) for label in row[-length:]])
        with self.runtime.autocast():
            streams = final_streams(self.model, tokens, draws, self.p_big)
            logits = self.model.logits(streams[scored.to(self.runtime.name)]).float().cpu()
        likelihoods = logits.log_softmax(-1).gather(1, labels[:, None])[:, 0].double().split(lengths)
        greedy = (logits.argmax(-1) == labels).split(lengths)
        return [(value.sum().item(), bool(same.all())) for value, same in zip(likelihoods, greedy, strict=True)]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        raise InputError(
            "ablation.tasks: only tasks of output_type multiple_choice run here, not loglikelihood_rolling"
        )

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        raise InputError("ablation.tasks: only tasks of output_type multiple_choice run here, not generate_until")


def run(model: HarnessModel, items: pa.Table, others: list[str]) -> pa.Table:
    """Columns p_big to lengths of artifacts.HARNESS: our items (artifacts.CHOICES), a task a domain, and other tasks
    by name or file.

    InputError for a task that is not there, does not load, or is not multiple choice.
    """
    with tempfile.TemporaryDirectory() as folder:
        tasks = _local_tasks(items, Path(folder)) | _other_tasks(others)
        found = evaluator.evaluate(
            lm=model, task_dict={"tasks": tasks, "groups": {}}, bootstrap_iters=0, log_samples=True
        )
    rows = []
    for name, samples in found["samples"].items():
        for sample in sorted(samples, key=lambda each: each["doc_id"]):
            rows.append({"p_big": model.p_big} | _row(name, sample, tasks[name]))
    return pa.Table.from_pylist(rows)


def _local_tasks(items: pa.Table, folder: Path) -> dict[str, Task]:
    """Our items as a task a domain; the data go to files in `folder`, which must stay until the tasks have run."""
    datasets.disable_progress_bars()
    rows, specs = items.to_pylist(), []
    for domain in dict.fromkeys(row["domain"] for row in rows):
        file = folder / f"{domain}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows if row["domain"] == domain), encoding="utf-8")
        source = {"data_files": {"test": str(file)}, "cache_dir": str(folder / "cache")}
        specs.append(read_yaml(TEMPLATE) | {"task": domain, "dataset_kwargs": source})
    return TaskManager(include_defaults=False).load(specs)["tasks"]


def _other_tasks(names: list[str]) -> dict[str, Task]:
    if not names:
        return {}
    manager, found = TaskManager(), {}
    for name in names:
        try:
            tasks = manager.load([name])["tasks"]
        except Exception as error:  # whatever a task file, its data set or the network throws
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"ablation.tasks: {name!r} is no task that the harness can load: {reason}") from None
        for each, task in tasks.items():
            if task.OUTPUT_TYPE != "multiple_choice":
                raise InputError(
                    f"ablation.tasks: {name!r}: {each} is of output_type {task.OUTPUT_TYPE}; only multiple_choice can be run"
                )
            if "acc_norm" not in task.aggregation():
                raise InputError(
                    f"ablation.tasks: {name!r}: {each} has no metric acc_norm, the one that is compared here"
                )
        found |= tasks
    return found


def _row(name: str, sample: dict, task: Task) -> dict:
    """One item's answer, in columns of artifacts.HARNESS."""
    likelihoods = [answers[0][0] for answers in sample["resps"]]
    lengths = [len(ending) for ending in task.doc_to_choice(sample["doc"])]
    return {
        "domain": name,
        "document": str(sample["doc"].get("document", sample["doc_id"])),
        "item": sample["doc_id"],
        "label": sample["target"],
        "choice": int(np.argmax(np.array(likelihoods) / lengths)),
        "correct": bool(sample["acc_norm"]),
        "log_likelihoods": likelihoods,
        "lengths": lengths,
    }
