"""What routers learn from, and are scored on, where the loss of every route is known: tokens, hidden states, losses.

Inputs are hidden states of the run with all layers big: of layer l, the FFN's normed input, which is what the paper's
router reads. Layer 0's is there before any choice is made. Those of later layers show what an all-big run would show;
a router that really runs sees states that its own choices have changed. They are the most that a router of such
inputs could know, not what it would.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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
    """The FFN's normed input in every layer of the all-big run, [documents, time, layers, width], fp32 on the CPU.

    tokens [documents, time] int64.
    """
    found, positions = [], backbone.positions(tokens.shape[1])
    for batch in torch.from_numpy(tokens).split(BATCH):
        seen = []
        with device.autocast():
            x = backbone.embed(batch.to(device.name))
            for layer in backbone.layers:
                attended = layer.attend(x, positions)
                seen.append(layer.ffn_norm(attended))
                x = attended + layer.ffns[BIG](seen[-1])
        found.append(torch.stack(seen, dim=2).float().cpu())
    return torch.cat(found)


@dataclass(frozen=True)
class Examples:
    """Tokens with their inputs and with their losses under every route, document by document, all documents of one
    length.
    """

    sample: EvaluationSet
    domains: list[str]  # of the experiment, whether or not all occur here
    inputs: Tensor  # [tokens, layers, width]
    losses: Tensor  # [tokens, routes] nats

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
        """[tokens] id of the context's last token."""
        return torch.from_numpy(self.sample.tokens.ravel())

    @property
    def layers(self) -> int:
        return self.inputs.shape[1]

    def read(self, name: str) -> Tensor:
        """What a policy of this input reads, [tokens, depth, width]: `layers`, or `upfront`, layer 0 alone."""
        return self.inputs if name == "layers" else self.inputs[:, :1]

    def domain_means(self) -> Tensor:
        """[domains, routes] mean loss of each domain; zeros where it has no token."""
        counts = torch.bincount(self.domain, minlength=len(self.domains))
        sums = torch.stack(
            [self.losses[self.domain == index].sum(0, dtype=torch.float64) for index in range(len(self.domains))]
        )
        return (sums / counts.clamp(min=1)[:, None]).float()


def examples(table: pa.Table, domains: Sequence[str], backbone: Duo, device: Device) -> Examples:
    """Examples of a table with the columns of artifacts.LOSSES, its documents all of one length."""
    documents = table["document"].to_numpy(zero_copy_only=False)
    named = table["domain"].to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(table["position"].to_numpy() == 0)
    tokens, labels = (table[name].to_numpy().astype(np.int64).reshape(len(starts), -1) for name in ("token", "label"))
    sample = EvaluationSet(list(named[starts]), list(documents[starts]), tokens, labels)
    inputs = hidden(backbone, tokens, device).flatten(0, 1)
    losses = torch.tensor(files.matrix(table["losses"]))  # a copy: Arrow's memory is read-only
    if losses.shape[1] != 2 ** inputs.shape[1]:
        raise InputError(
            f"losses of {losses.shape[1]} routes, but the model has {inputs.shape[1]} layers, "
            f"and so {2 ** inputs.shape[1]} routes"
        )
    bad = torch.isfinite(losses).all(1).logical_not().nonzero()
    if len(bad):
        row = bad[0].item()
        raise InputError(f"domain {named[row]}, document {documents[row]}: a loss is not finite")
    return Examples(sample, list(domains), inputs, losses)
