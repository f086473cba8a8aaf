"""What routers learn from and are scored on, where the loss of every route is known: tokens, hidden states, losses.

Hidden states are of the run with all layers big: of every layer the FFN's normed input, which is what the paper's
router reads. That of layer 0 is there before any choice is made. Those of later layers are what an all-big run would
show; a router that really runs sees states that its own choices have changed. So they are the most that a router with
such inputs could know, not what it would know.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.model.device import Device
from duo.model.transformer import Duo
from duo.tables import files
from duo.terms import BIG

BATCH = 16  # documents run at once


@torch.no_grad()
def hidden(backbone: Duo, tokens: np.ndarray, device: Device) -> Tensor:
    """The FFN's normed input in every layer of the all-big run, [documents, length, layers, width], fp32 on the CPU.

    tokens [documents, length] int64.
    """
    batches, positions = [], backbone.positions(tokens.shape[1])
    for batch in torch.from_numpy(tokens).split(BATCH):
        states = []
        with device.autocast():
            x = backbone.embed(batch.to(device.name))
            for layer in backbone.layers:
                attended = layer.attend(x, positions)
                states.append(layer.ffn_norm(attended))
                x = attended + layer.ffns[BIG](states[-1])
        batches.append(torch.stack(states, dim=2).float().cpu())
    return torch.cat(batches)


@dataclass(frozen=True)
class RouterDataset:
    """Tokens with their hidden states and their losses under every route, document by document.

    All documents are of one length, so that [tokens, ...] can be seen as [documents, length, ...]. Tensors are on the
    CPU.
    """

    sample: EvaluationSet  # ids of tokens and labels [documents, length], and whose they are
    domains: list[str]  # of the experiment, whether or not all occur here
    inputs: Tensor  # [tokens, layers, width] fp32, hidden states
    losses: Tensor  # [tokens, routes] fp32, nats, routes in order of their codes

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def domain(self) -> Tensor:
        """[tokens] index in `domains`."""
        return torch.tensor([self.domains.index(name) for name in self.sample.domains]).repeat_interleave(
            self.sample.tokens.shape[1]
        )

    @property
    def ids(self) -> Tensor:
        """[tokens] id of the token that stands last in the context."""
        return torch.from_numpy(self.sample.tokens.ravel())

    @property
    def layers(self) -> int:
        return self.inputs.shape[1]

    def read(self, name: str) -> Tensor:
        """Hidden states [tokens, depth, width] as a policy of this input reads them: `layers`, or `upfront`, that of
        layer 0 alone.
        """
        return self.inputs if name == "layers" else self.inputs[:, :1]

    def unlabelled(self) -> "RouterDataset":
        """The same without what a policy can't know when it chooses: labels are -1, losses are no numbers."""
        sample = replace(self.sample, labels=np.full_like(self.sample.labels, -1))
        return replace(self, sample=sample, losses=torch.full((1, 1), nan).expand_as(self.losses))

    def unlike_from(self, position: int) -> "RouterDataset":
        """The same with other tokens and hidden states from this position of every document on: those of the document
        before it, in reverse.
        """
        documents, length = self.sample.tokens.shape
        tokens, inputs = self.sample.tokens.copy(), self.inputs.unflatten(0, (documents, length)).clone()
        tokens[:, position:] = np.roll(tokens, 1, axis=0)[:, position:][:, ::-1]
        inputs[:, position:] = inputs.roll(1, dims=0)[:, position:].flip(1)
        return replace(self, sample=replace(self.sample, tokens=tokens), inputs=inputs.flatten(0, 1))

    def domain_means(self) -> Tensor:
        """[domains, routes] mean loss of each domain; zeros where it has no token."""
        counts = torch.bincount(self.domain, minlength=len(self.domains))
        sums = torch.stack(
            [self.losses[self.domain == index].sum(0, dtype=torch.float64) for index in range(len(self.domains))]
        )
        return (sums / counts.clamp(min=1)[:, None]).float()


def from_losses(table: pa.Table, domains: Sequence[str], backbone: Duo, device: Device) -> RouterDataset:
    """The dataset of a table with the columns of ROUTE_LOSSES, whose documents are all of one length.

    InputError where the losses are of another number of layers than the backbone has, or one is not finite.
    """
    documents = table["document"].to_numpy(zero_copy_only=False)
    named = table["domain"].to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(table["position"].to_numpy() == 0)
    tokens, labels = (table[name].to_numpy().astype(np.int64).reshape(len(starts), -1) for name in ("token", "label"))
    clusters = table["cluster"].to_numpy(zero_copy_only=False)
    sample = EvaluationSet(list(named[starts]), list(documents[starts]), list(clusters[starts]), tokens, labels)
    inputs = hidden(backbone, tokens, device).flatten(0, 1)
    losses = torch.tensor(files.matrix(table["losses"]))  # a copy: Arrow's memory is read-only
    if losses.shape[1] != 2 ** inputs.shape[1]:
        raise InputError(
            f"losses of {losses.shape[1]} routes, but the model has {inputs.shape[1]} layers, and so "
            f"{2 ** inputs.shape[1]} routes"
        )
    bad = torch.isfinite(losses).all(1).logical_not().nonzero()
    if len(bad):
        row = bad[0].item()
        raise InputError(f"domain {named[row]}, document {documents[row]}: a loss is not finite")
    return RouterDataset(sample, list(domains), inputs, losses)
